"""Selections in a content: their states, and the content in each of them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

import numpy as np

from captum_blocks.compose.context import Context
from captum_blocks.compose.evaluation import value_of
from captum_blocks.compose.values import Value
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Content, Filter, Selection, parts_of

State = int | tuple[int, ...]
AXES = {"spatial": ("y", "x"), "channel": ("channel",), "group": ("group",), "class": ("class",)}


@dataclass(frozen=True, eq=False)
class Followed:
    """A selection that a content follows.

    Attributes:
        selection: the word.
        content: what it picks from.
        value: the content's value, whose atoms it picks.
        states: everything it can be.
        of_target: it picks among the atoms that an attribution goes to.
    """

    selection: Selection
    content: Content
    value: Value
    states: tuple[State, ...]
    of_target: bool = False


@dataclass(frozen=True, eq=False)
class Frames:
    """A content in every state of the selections it follows.

    Attributes:
        values: one value a combination of states, in row-major order.
        followed: the selections, outermost first.
    """

    values: tuple[Value, ...]
    followed: tuple[Followed, ...] = ()

    def defaults(self, frame: int) -> tuple[int, ...]:
        """A frame's number as the place of a state in each selection."""
        sizes = [len(each.states) for each in self.followed]
        return tuple(int(place) for place in np.unravel_index(frame, sizes)) if sizes else ()


def frames(content: Content, context: Context) -> Frames:
    """Evaluate a content once for every state of the selections in it."""
    followed = []
    for selection, (base, of_target) in _selections_in(content).items():
        value = value_of(base, context)
        states = states_of(selection, value, of_target)
        followed.append(Followed(selection, base, value, states, of_target))
    names = [each.selection for each in followed]
    values = tuple(
        value_of(bind(content, dict(zip(names, chosen, strict=True))), context)
        for chosen in product(*(each.states for each in followed))
    )
    return Frames(values, tuple(followed))


def _selections_in(content: Any) -> dict[Selection, tuple[Content, bool]]:
    """Each selection, the content whose atoms it picks, and whether it picks targets."""
    followed: dict[Selection, tuple[Content, bool]] = {}
    for part in parts_of(content):
        if isinstance(part, Filter):
            for where, of_target in ((part.to, True), (part.at, False)):
                if isinstance(where, Selection):
                    followed.setdefault(where, (part.content, of_target))
    return followed


def states_of(selection: Selection, value: Value, of_target: bool = False) -> tuple[State, ...]:
    """Everything a selection can be, for the source or target atoms of a value."""
    axes = selected_axes(selection, of_target)
    if missing := [axis for axis in axes if axis not in value.axes]:
        raise InvalidArgument(
            f"a selection of {selection.atom} atoms cannot pick from {value.source!r}: "
            f"it has no axis {missing[0]!r}"
        )
    sizes = [value.data.shape[value.axis(axis)] for axis in axes]
    places = list(product(*map(range, sizes)))
    return tuple(places) if len(axes) > 1 else tuple(place[0] for place in places)


def selected_axes(selection: Selection, of_target: bool) -> tuple[str, ...]:
    """The axes of a value that a selection picks from."""
    axes = AXES[selection.atom]
    if not of_target or selection.atom == "class":
        return axes
    return tuple(f"to_{axis}" for axis in axes)


def bind(content: Any, states: dict[Selection, State]) -> Any:
    """The content with every selection replaced by a state."""
    if isinstance(content, Selection):
        return states.get(content, content)
    if not isinstance(content, Filter):
        return content
    bound = {item.name: bind(getattr(content, item.name), states) for item in fields(content)}
    return replace(content, **bound)
