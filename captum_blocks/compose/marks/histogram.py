"""The mark "histogram": how often which number occurs."""

from __future__ import annotations

import numpy as np

from captum_blocks import scene
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.marks import captions
from captum_blocks.compose.marks.base import Mark, mark
from captum_blocks.compose.marks.view import View, only_image
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import ATOMS
from captum_blocks.grammar.atoms import plural

BINS = 30
FEWEST = 5
# Distributions one below the other, beyond which nobody compares them.
MOST_COLUMNS = 12


@mark("histogram")
class Histogram(Mark):
    """How often which number occurs, a curve a target; or among photographs, a curve an atom."""

    def panel(self, view: View) -> scene.Panel:
        """The same bins in every state."""
        values = view.frames.values
        among = stands_among(view.base)
        sets = [_kept(value) if among else _sets(value) for value in values]
        marked = [only_image(value.data).flatten().numpy() for value in values] if among else []
        edges = np.histogram_bin_edges(np.concatenate([e.ravel() for e in (*sets, *marked)]), BINS)
        several = len(view.base.source_axes) > 1
        counted = "neurons" if several else plural(view.base.source.atom)
        if among and view.base.among is not None:
            counted = view.base.among.noun
        return scene.Histogram(
            **view.words(),
            **captions.under(view.frames, 1.0, icons=False),
            edges=tuple(edges.tolist()),
            columns=_atoms(values) if among else _names(view),
            frames=tuple(
                tuple(tuple(np.histogram(column, edges)[0].tolist()) for column in each)
                for each in sets
            ),
            counted=counted,
            marked=tuple(tuple(each.tolist()) for each in marked),
        )


def stands_among(value: Value) -> bool:
    """Whether the same numbers of other photographs are there, to show these among."""
    return value.among is not None and value.among.unit == value.unit


def _kept(value: Value) -> np.ndarray:
    """(atom, number) of the photographs that a value stands among."""
    assert value.among is not None
    if len(value.source_axes) > 1:
        raise InvalidArgument(
            f"{value.source!r} are at every position: a histogram of what one stands among takes "
            "one place, .filter(at=(y, x)), or .filter(top=5)"
        )
    numbers: np.ndarray = value.among.numbers.T.numpy()
    _check_enough(numbers, value)
    if len(numbers) > MOST_COLUMNS:
        raise InvalidArgument(
            f"{len(numbers)} distributions one below the other are not compared, {MOST_COLUMNS} "
            f"are: name fewer, as in .filter(top={MOST_COLUMNS}) or Hidden(...).channels[[7, 9]]"
        )
    return numbers


def _atoms(values: tuple[Value, ...]) -> tuple[str, ...]:
    """The names of the atoms that stand among others, which are those of all states.

    Of one that is selected, another in each state, the page tells which.
    """
    names = [_atom_names(value) for value in values]
    first = values[0]
    if first.among is not None and first.among.axis not in first.axes and len(set(names)) > 1:
        return (f"the {first.among.axis} selected",)
    if other := next((each for each in names if each != names[0]), None):
        raise InvalidArgument(
            f"a histogram's rows stay, and these would be {', '.join(names[0])} in one state and "
            f"{', '.join(other)} in another: name one, as in .filter(at=7)"
        )
    return names[0]


def _atom_names(value: Value) -> tuple[str, ...]:
    assert value.among is not None
    named = value.labels.get(value.among.axis)
    return named or tuple(ATOMS["channel"].label(column) for column in value.among.columns)


def _check_enough(numbers: np.ndarray, value: Value) -> None:
    if numbers.shape[1] < FEWEST:
        raise InvalidArgument(
            f"a histogram of {numbers.shape[1]} numbers says nothing: {value!r}; take the mark "
            "'bars' or 'table'"
        )


def _sets(value: Value) -> np.ndarray:
    """(target, number) of the one photograph."""
    flat: np.ndarray = only_image(value.data).numpy()
    leading = len(value.target_axes)
    flat = flat.reshape(int(np.prod(flat.shape[:leading], dtype=int)), -1)
    _check_enough(flat, value)
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
