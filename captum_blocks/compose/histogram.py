"""The mark "histogram": how often which number occurs."""

from __future__ import annotations

import numpy as np

from captum_blocks.compose import sentences
from captum_blocks.compose.build import Drawing, mark
from captum_blocks.compose.pools import only_image
from captum_blocks.compose.values import Value
from captum_blocks.errors import InvalidArgument
from captum_blocks.scene import Histogram, Panel

BINS = 30
FEWEST = 5


@mark("histogram")
def _histogram(drawing: Drawing) -> Panel:
    values = drawing.frames.values
    sets = [_sets(value) for value in values]
    edges = np.histogram_bin_edges(np.concatenate([each.ravel() for each in sets]), BINS)
    return Histogram(
        **drawing.words(),
        left_out=sentences.left_out(drawing.frames.values, 1.0, icons=False),
        edges=tuple(edges.tolist()),
        columns=_names(drawing),
        frames=tuple(
            tuple(tuple(np.histogram(column, edges)[0].tolist()) for column in each)
            for each in sets
        ),
        counted="neurons" if len(drawing.base.source_axes) > 1 else _counted(drawing.base),
    )


def _sets(value: Value) -> np.ndarray:
    """(target, number) of the one photograph."""
    flat: np.ndarray = only_image(value.data).numpy()
    leading = len(value.target_axes)
    flat = flat.reshape(int(np.prod(flat.shape[:leading], dtype=int)), -1)
    if flat.shape[1] < FEWEST:
        raise InvalidArgument(
            f"a histogram of {flat.shape[1]} numbers says nothing: {value!r}; take the mark 'bars' "
            "or 'table'"
        )
    return flat


def _counted(value: Value) -> str:
    return sentences.PLURALS.get(value.source.atom, value.source.atom)


def _names(drawing: Drawing) -> tuple[str, ...]:
    value = drawing.base
    if value.target is None or not value.target_axes:
        return ("",)
    if len(value.target_axes) > 1:
        raise InvalidArgument(
            f"a histogram takes one place of {value.target!r}: add .filter(to=(y, x))"
        )
    axis = value.target_axes[0]
    named = (drawing.pools.label(value.target, index) for index in value.coords[axis])
    return value.labels.get(axis) or tuple(named)
