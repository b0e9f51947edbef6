"""A content in every state of the selections it follows: what marks draw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count, product
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import (
    ATOMS,
    Attribution,
    Content,
    Hidden,
    Out,
    Selection,
    Substrate,
    parts_of,
)

if TYPE_CHECKING:
    from captum_blocks.compose.evaluation.values import Value

State = int | tuple[int, ...]
# A page holds what every place does, and a picture of it; of a finer grid, so many at most.
MOST_PLACES, OF_FINER = 784, 200


@dataclass(frozen=True)
class Listed:
    """The atoms that the panels which set a selection show.

    Attributes:
        atoms: of all panels and states.
        first: the one a reader sees first, where a panel lists them by rank.
    """

    atoms: tuple[int, ...]
    first: int | None = None


@dataclass(frozen=True, eq=False)
class Followed:
    """A selection that a content follows.

    Attributes:
        selection: the word.
        states: everything it can be: a number of a slider, the place of a photograph, the index of
            an atom or class, a (y, x) position, whether groups are aligned.
        content: for atoms, the content from which it picks.
        value: that content's value.
        of_target: it picks among the atoms that an attribution goes to.
        purpose: what a number decides: "groups", "top", ...
        first: the state it opens in: of atoms that a panel lists by rank, the first.
    """

    selection: Selection
    states: tuple[State, ...]
    content: Content | None = None
    value: Value | None = None
    of_target: bool = False
    purpose: str = ""
    first: State | None = None

    @property
    def n_atoms(self) -> int:
        """How many atoms there are; the states may be some of them."""
        if self.value is None or self.selection.atom != "spatial":
            return len(self.states)
        axes = selected_axes(self.selection, self.of_target)
        return prod(len(self.value.coords[axis]) for axis in axes)

    @property
    def owner(self) -> Substrate | None:
        """The substrate whose atoms are picked."""
        if self.value is None:
            return None
        return self.value.target if self.of_target else self.value.source


@dataclass(frozen=True, eq=False)
class Frames:
    """A content in every state of the selections it follows.

    Attributes:
        values: one value a combination of states, in row-major order, each of one photograph.
        followed: the selections, outermost first.
        numbers: the values behind it, of all photographs, by content: of a content that picks
            atoms, those it picks from.
    """

    values: tuple[Value, ...]
    followed: tuple[Followed, ...] = ()
    numbers: Mapping[Content, Value] = field(default_factory=dict)

    @cached_property
    def default(self) -> int:
        """The frame that is shown before the reader acts: of those where all that has a start
        stands there, the one that holds the most."""
        sums = [float(value.data.abs().sum()) for value in self.values]
        open_to = [i for i in range(len(sums)) if all(map(_starts, self.followed, self.places(i)))]
        return max(open_to, key=lambda index: sums[index])

    def places(self, frame: int) -> tuple[int, ...]:
        """A frame's number as the place of a state in each selection."""
        sizes = [len(each.states) for each in self.followed]
        return tuple(int(place) for place in np.unravel_index(frame, sizes)) if sizes else ()

    def same_state(self, frame: int, others: Frames) -> int:
        """The frame of others in which each selection is in the state that it has in a frame here.

        Args:
            frame: of these.
            others: they follow the same selections, or fewer.
        """
        places = zip(self.followed, self.places(frame), strict=True)
        states = {each.selection: each.states[place] for each, place in places}
        wanted = [each.states.index(states[each.selection]) for each in others.followed]
        sizes = [len(each.states) for each in others.followed]
        return int(np.ravel_multi_index(wanted, sizes)) if wanted else 0


def attributions(frames: Iterable[Frames]) -> Iterator[Attribution]:
    """The attributions of classes to hidden layers that are shown at first, of all atoms each.

    Of groups whose number the reader changes, those of the number that is shown at first.
    """
    for each in frames:
        seen = set()
        for content in each.numbers:
            for part in parts_of(content):
                if isinstance(part, Attribution) and _to_classes(part):
                    source = part.source
                    kind = (source.layer, source.atom, part.target, part.method)
                    if kind not in seen:
                        seen.add(kind)
                        yield replace(part, source=replace(source, only=None))


def _to_classes(part: Attribution) -> bool:
    to_classes = isinstance(part.target.layer, Out) and part.target.grouping is None
    return to_classes and isinstance(part.source.layer, Hidden) and part.source.atom != "whole"


def _starts(followed: Followed, place: int) -> bool:
    """Whether a selection may open at a place: what has a start opens there."""
    start = 0 if followed.selection.atom == "image" else None
    if followed.first is not None:
        start = followed.states.index(followed.first)
    start = start if followed.selection.start is None else followed.selection.start
    return start is None or min(start, len(followed.states) - 1) == place


def states_of(selection: Selection, value: Value, of_target: bool = False) -> tuple[State, ...]:
    """The source or target atoms of a value that a selection can pick."""
    axes = selected_axes(selection, of_target)
    if missing := [axis for axis in axes if axis not in value.axes]:
        raise InvalidArgument(
            f"a selection of {selection.atom} atoms cannot pick from {value.source!r}: "
            f"it has no axis {missing[0]!r}"
        )
    if len(axes) == 1:
        return tuple(value.coords[axes[0]])
    grid = [value.coords[axis] for axis in axes]
    picked = thinned(*map(len, grid))
    return tuple(
        product(*([held[i] for i in some] for held, some in zip(grid, picked, strict=True)))
    )


def thinned(rows: int, columns: int) -> tuple[range, range]:
    """Which rows and columns of a grid are picked and drawn: all, or every second, third, ...

    >>> thinned(28, 28)
    (range(0, 28), range(0, 28))
    >>> [len(picked) for picked in thinned(64, 96)]
    [11, 16]
    """
    most = MOST_PLACES if rows * columns <= MOST_PLACES else OF_FINER
    for step in count(1):
        down, across = (range(min(step, size) // 2, size, step) for size in (rows, columns))
        if len(down) * len(across) <= most:
            break
    return down, across


def selected_axes(selection: Selection, of_target: bool) -> tuple[str, ...]:
    """The axes of a value that a selection picks from."""
    axes = ATOMS[selection.atom].picked_by
    if not of_target or selection.atom == "class":
        return axes
    return tuple(f"to_{axis}" for axis in axes)
