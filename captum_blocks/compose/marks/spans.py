"""What bars are by other methods: a line from the least number to the largest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_blocks.compose.evaluation.facts import Weighed
from captum_blocks.compose.evaluation.frames import attributions
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.marks import listed
from captum_blocks.grammar import ATOMS
from captum_blocks.numerals import number, spelled
from captum_blocks.scene import Mark

if TYPE_CHECKING:
    from captum_blocks.compose.marks.view import View

# Numbers are those of an attribution where they differ by no more than rounding, of the largest.
SAME = 1e-4
# A range that is a smaller share of the scale is not seen.
SEEN = 0.01


def known(view: View) -> list[Weighed]:
    """The attributions shown whose numbers by other methods are known."""
    found = (view.facts.weighed.get(each) for each in attributions([view.frames]))
    return [each for each in found if each is not None and each.methods]


def spanned(marks: tuple[Mark, ...], value: Value, held: Sequence[Weighed]) -> tuple[Mark, ...]:
    """Marks with the range over methods of each number, where that is known."""
    found = _of(value, held)
    numbers = None if found is None else ranges(value, found, held)
    if numbers is None or found is None:
        return marks
    ends = [listed.columns(_with(value, end)).tolist() for end in numbers]
    by = f"by {spelled(len(found.methods))} methods"
    atoms = zip(marks, *ends, strict=False)  # behind the atoms stands what they leave out
    made = tuple(_spanned(mark, low, high, by) for mark, low, high in atoms)
    return (*made, *marks[len(made) :])


def domain(span: tuple[float, float], frames: Sequence[Sequence[Mark]]) -> tuple[float, float]:
    """One scale for bars and ranges."""
    every = [each for marks in frames for mark in marks for each in mark.spans if each is not None]
    lows, highs = ([pair[end] for pair in every] for end in (0, 1))
    return min([span[0], *lows]), max([span[1], *highs])


def told(
    frames: Sequence[Sequence[Mark]], held: Sequence[Weighed], domain: tuple[float, float]
) -> str:
    """What ranges are of, in words; nothing where none is wide enough to be seen."""
    spans = [span for marks in frames for mark in marks for span in mark.spans if span is not None]
    widest = max((high - low for low, high in spans), default=0.0)
    if widest < SEEN * (domain[1] - domain[0]) or not spans:
        return ""
    _, *others = held[0].methods
    methods = ", ".join(("its own", *others))
    return f"thin line: range over {spelled(1 + len(others))} methods: {methods}"


def ranges(value: Value, found: Weighed, held: Sequence[Weighed]) -> tuple[Tensor, Tensor] | None:
    """The least and the largest number by any method, axes as those of a value.

    None where the value's numbers are not those of the attribution, nor those of one class minus
    another; NaN of classes that were not compared.

    Args:
        value: what is shown.
        found: the attribution that it may be taken from.
        held: others, one of which may be subtracted.
    """
    numbers = _taken(found, value)
    if numbers is None:
        return None
    if not _same(numbers[0], value.data):
        numbers = next(
            (apart for apart in _apart(numbers, value, found, held) if _same(apart[0], value.data)),
            None,
        )
    return None if numbers is None else (numbers.amin(0), numbers.amax(0))


def _apart(
    numbers: Tensor, value: Value, found: Weighed, held: Sequence[Weighed]
) -> Iterator[Tensor]:
    """The numbers of one class minus those of each other class, method by method."""
    if len(value.coords.get("class", ())) != 1:
        return
    alike = (found.content.source, found.content.method, list(found.methods))
    for each in held:
        if (each.content.source, each.content.method, list(each.methods)) == alike:
            for other in each.coords["class"]:
                coords = {**value.coords, "class": (other,)}
                second = _taken(each, replace(value, coords=coords))
                if second is not None:
                    yield numbers - second


def _of(value: Value, held: Sequence[Weighed]) -> Weighed | None:
    """The attribution that a value's atoms and classes are of."""
    wanted = replace(value.source, only=None), value.target
    ends = ((each.content.source, each.content.target) for each in held)
    return next((each for each, end in zip(held, ends, strict=True) if end == wanted), None)


def _taken(found: Weighed, value: Value) -> Tensor | None:
    """(method, *axes of the value): of the numbers of all atoms, those that a value is of."""
    numbers, coords = torch.stack(list(found.methods.values())), found.coords
    axes = ("image", "class", *ATOMS[value.source.atom].axes)
    for place, axis in enumerate(axes, 1):
        if axis not in value.axes and axis not in value.places:
            return None
        wanted = value.coords[axis] if axis in value.axes else (value.places[axis],)
        there = {each: index for index, each in enumerate(coords[axis])}
        if axis != "class" and not set(wanted) <= set(there):
            return None
        index = torch.tensor([there.get(each, 0) for each in wanted])
        numbers = numbers.index_select(place, index)
        lacking = [each not in there for each in wanted]
        if any(lacking):
            numbers = numbers.clone()
            numbers[:, :, torch.tensor(lacking)] = torch.nan
    shape = (len(numbers), *value.data.shape)
    return numbers.reshape(shape) if numbers.numel() == torch.Size(shape).numel() else None


def _same(own: Tensor, shown: Tensor) -> bool:
    """Whether numbers are the same, where they are known at all."""
    known = ~own.isnan()
    size = float(shown.abs().max()) if shown.numel() else 0.0
    return bool(known.any()) and bool(((own - shown)[known].abs() <= SAME * size).all())


def _with(value: Value, numbers: Tensor) -> Value:
    return replace(
        value, data=numbers, maps=None, remainder={}, remainder_maps={}, ends={}, sides={}, also={}
    )


def _spanned(mark: Mark, lows: Sequence[float], highs: Sequence[float], by: str) -> Mark:
    spans = tuple(
        None if isnan(low) else (low, high) for low, high in zip(lows, highs, strict=True)
    )
    told = [[number(end) for end in span] for span in spans if span is not None]
    if not told:
        return mark
    ranges = ", ".join(f"from {low} to {high}" for low, high in told)
    said = "the same" if all(low == high for low, high in told) else ranges
    return replace(mark, spans=spans, detail=f"{mark.detail}; {said} {by}")
