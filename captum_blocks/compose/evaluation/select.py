"""Which of a value's atoms a filter means: by place, by region, by rank."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from captum_blocks.compose.evaluation.positions import POSITIONS, size_of
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.grammar import Substrate


def ranking(value: Value, by: str = "max") -> tuple[str, Tensor]:
    """The source axis, and each atom's largest (or smallest) number over images and targets.

    Of one source atom, what it did to each target atom. Single neurons, which have three axes, must
    be put in a row first (``in_a_row``).
    """
    axes = value.source_axes or value.target_axes
    if len(axes) != 1:
        raise InvalidArgument(
            f"{value.source!r} cannot be ranked along one axis; name a place first: filter(at=...)"
        )
    flat = value.data.flatten(0, -2)
    return axes[0], flat.amax(0) if by == "max" else flat.amin(0)


def in_a_row(value: Value) -> Value:
    """Neurons along one axis, counted through channels, rows and columns; others as they are."""
    axes = value.source_axes
    if axes != ("channel", "y", "x"):
        return value
    leading = value.data.ndim - 3
    names = tuple(
        f"channel {channel} at row {y + 1}, column {x + 1}"
        for channel in value.coords["channel"]
        for y in value.coords["y"]
        for x in value.coords["x"]
    )
    return replace(
        value,
        data=value.data.flatten(leading),
        axes=(*value.axes[:leading], "neuron"),
        coords={**value.coords, "neuron": tuple(range(len(names)))},
        labels={**value.labels, "neuron": names},
        maps=None,
        also={name: held.flatten(leading) for name, held in value.also.items()},
        among=None if value.among is None else value.among.in_a_row(value.data[0, 0].numel()),
    )


def within(value: Value, region: tuple[float, float, float, float]) -> Value:
    """What lies in a region of the picture; the rest becomes the remainder "outside"."""
    if value.maps is None:
        raise InvalidArgument(
            f"within= needs positions, and {value.source!r} has none; filter its layer's .spatial, "
            ".channels or .groups before anything that drops them"
        )
    for axis, low, high in zip(POSITIONS, region[:2], region[2:], strict=True):
        covered = _covered(size_of(value.maps, axis), low, high)
        there = enumerate(value.coordinates(axis))
        value = value.select(axis, [i for i, at in there if at in covered], rest="outside")
        assert value.maps is not None
    return value


def _covered(size: int, low: float, high: float) -> range:
    """The rows or columns whose middle lies in a span of the picture; at least one."""
    first = math.ceil(low * size - 0.5)
    last = max(math.ceil(high * size - 0.5), first + 1)
    return range(min(first, size - 1), last)


def at(value: Value, place: int | tuple[int, ...]) -> Value:
    """One place of the source: its axes go, what lies elsewhere becomes a remainder."""
    axes = tuple(axis for axis in POSITIONS if axis in value.source_axes) or value.source_axes[:1]
    picks = _picks("at", place, axes, value.source)
    for axis, index in picks:
        size = len(value.coords[axis])
        if not 0 <= index < size:
            raise InvalidArgument(f"at={place!r}: {axis} runs from 0 to {size - 1}")
    if axes == POSITIONS and value.axes[-2:] == POSITIONS:
        return value.at_place(picks[0][1], picks[1][1])
    for axis, index in picks:
        value = value.at(axis, index)
    return value


def to(value: Value, place: int | tuple[int, ...]) -> Value:
    """One place of the target. Classes and factors of them keep their axis; places of a hidden
    layer lose theirs."""
    axes = value.target_axes
    if value.target is None or not axes:
        raise InvalidArgument(f"to={place!r}: {value.source!r} has no target to pick from")
    if axes == ("class",) or value.of_factors:
        return value.select(axes[0], [place] if isinstance(place, int) else place)
    axes = tuple(axis for axis in axes if axis in ("to_y", "to_x")) or axes[:1]
    for axis, index in _picks("to", place, axes, value.target):
        value = value.at(axis, index)
    return value


def _picks(
    word: str, place: int | tuple[int, ...], axes: tuple[str, ...], owner: Substrate
) -> list[tuple[str, int]]:
    """The place on each axis."""
    places = place if isinstance(place, tuple) else (place,)
    if wrong := [each for each in places if not isinstance(each, int)]:
        raise WrongType(
            f"{word}={place!r}: {axes[0]} is counted by whole numbers, not {wrong[0]!r}"
        )
    if len(places) != len(axes):
        raise InvalidArgument(f"{word}={place!r}: {owner!r} is picked by ({', '.join(axes)})")
    return list(zip(axes, places, strict=True))
