"""Ticks on bars: other numbers of the same atoms, on the same scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from captum_blocks.compose.assembly.method import content_name
from captum_blocks.compose.evaluation.facts import Facts
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.marks import listed
from captum_blocks.compose.marks.view import View
from captum_blocks.errors import InvalidArgument
from captum_blocks.numerals import number
from captum_blocks.scene import Mark


def beside(view: View) -> Sequence[Value | None]:
    """The value that stands beside each frame's; None where none is asked for.

    Raises:
        InvalidArgument: it follows a selection that the bars do not follow.
    """
    frames, others = view.frames, view.beside
    if others is None:
        return [None] * len(frames.values)
    ours = [each.selection for each in frames.followed]
    for theirs in others.followed:
        own = (
            frames.followed[ours.index(theirs.selection)].states if theirs.selection in ours else ()
        )
        if set(own) != set(theirs.states):
            raise InvalidArgument(
                f"{view.element!r}: the numbers beside follow {theirs.selection!r}, and the bars "
                f"follow {ours or 'nothing'} in these states; let both follow the same"
            )
    return [others.values[frames.same_state(frame, others)] for frame in range(len(frames.values))]


def ticked(
    marks: tuple[Mark, ...], value: Value, other: Value | None, facts: Facts
) -> tuple[Mark, ...]:
    """Marks with the other numbers of their atoms.

    Raises:
        InvalidArgument: the other numbers are not of the same atoms and classes.
    """
    if other is None:
        return marks
    axis = listed.mark_axis(value)
    atoms, numbers = listed.atoms_of(value), listed.columns(_alike(value, other, axis)).tolist()
    made = []
    for mark, ticks in zip(marks[: len(atoms)], numbers, strict=True):
        told = ", ".join(map(number, ticks))
        detail = f"{mark.detail}; tick {told} {other.unit}"
        made.append(replace(mark, ticks=tuple(ticks), detail=detail))
    return (*made, *marks[len(atoms) :])


def _alike(value: Value, other: Value, axis: str | None) -> Value:
    """The other value, of those atoms and classes that the first one shows."""
    if value.axes != other.axes:
        raise InvalidArgument(f"beside= takes numbers of the same atoms: {value!r}, {other!r}")
    for name in dict.fromkeys((axis, *value.target_axes)):
        if name is None:
            continue
        there, wanted = other.coords[name], value.coords[name]
        if missing := [index for index in wanted if index not in there]:
            raise InvalidArgument(
                f"beside= takes numbers of the same atoms, and {other!r} has no {name} {missing[0]}"
            )
        places = torch.tensor([there.index(index) for index in wanted])
        data = other.data.index_select(other.axis(name), places)
        coords = {**other.coords, name: wanted}
        other = replace(other, data=data, coords=coords, maps=None, remainder={}, ends={}, sides={})
    return other


def domain(span: tuple[float, float], frames: Sequence[Sequence[Mark]]) -> tuple[float, float]:
    """One scale for bars and ticks."""
    every = [tick for marks in frames for mark in marks for tick in mark.ticks if tick is not None]
    return min([span[0], *every]), max([span[1], *every])


def told(view: View) -> str:
    """What bars and ticks are, in words; nothing where there are no ticks."""
    if view.element.beside is None:
        return ""
    names = [
        value.by or content_name(content, view.facts.given)
        for content, value in (
            (view.element.content, view.base),
            (view.element.beside, view.base if view.beside is None else view.beside.values[0]),
        )
    ]
    bars = f"bar: {names[0]}, {view.base.unit}"
    if view.beside is None:
        return f"{bars}; no tick: {view.missing}"
    return f"{bars}; tick: {names[1]}, {view.beside.values[0].unit}"
