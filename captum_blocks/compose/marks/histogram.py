"""The mark "histogram": how often which number occurs."""

from __future__ import annotations

import numpy as np

from captum_blocks import scene
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.marks import captions
from captum_blocks.compose.marks.base import Mark, mark
from captum_blocks.compose.marks.view import View, only_image
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar.atoms import plural

BINS = 30
FEWEST = 5


@mark("histogram")
class Histogram(Mark):
    """How often which number occurs, a curve a target."""

    def panel(self, view: View) -> scene.Panel:
        """The same bins in every state."""
        values = view.frames.values
        sets = [_sets(value) for value in values]
        edges = np.histogram_bin_edges(np.concatenate([each.ravel() for each in sets]), BINS)
        several = len(view.base.source_axes) > 1
        return scene.Histogram(
            **view.words(),
            **captions.under(view.frames, 1.0, icons=False),
            edges=tuple(edges.tolist()),
            columns=_names(view),
            frames=tuple(
                tuple(tuple(np.histogram(column, edges)[0].tolist()) for column in each)
                for each in sets
            ),
            counted="neurons" if several else plural(view.base.source.atom),
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


def _names(view: View) -> tuple[str, ...]:
    value = view.base
    if value.target is None or not value.target_axes:
        return ("",)
    if len(value.target_axes) > 1:
        raise InvalidArgument(
            f"a histogram takes one place of {value.target!r}: add .filter(to=(y, x))"
        )
    axis = value.target_axes[0]
    named = (view.facts.label(value.target, index) for index in value.coords[axis])
    return value.labels.get(axis) or tuple(named)
