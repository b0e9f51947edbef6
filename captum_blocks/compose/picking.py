"""Some of a value's atoms: what is left out becomes a remainder, so the total never changes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from captum_blocks.compose.values import Value
from captum_blocks.errors import InvalidArgument


def of_image(value: Value, place: int) -> Value:
    """The numbers of one photograph; the image axis stays."""
    index = torch.tensor([place])
    coords = {**value.coords, "image": (value.coords["image"][place],)}
    return _each(
        value, lambda held: held.index_select(0, index), value.axes, coords, dict(value.labels)
    )


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
    sizes = value.data.shape[leading:]
    coords = {axis: value.coords[axis] for axis in value.axes[:leading]}
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
        coords={**coords, "neuron": tuple(range(sizes.numel()))},
        labels={**value.labels, "neuron": names},
        maps=None,
    )


def within(value: Value, region: tuple[float, float, float, float]) -> Value:
    """What lies in a region of the picture; the rest becomes the remainder "outside"."""
    if value.maps is None:
        raise InvalidArgument(
            f"within= needs positions, and {value.source!r} has none; filter its layer's .spatial, "
            ".channels or .groups before anything that drops them"
        )
    rows, columns = (
        _covered(size, region[i], region[i + 2]) for i, size in enumerate(value.maps.shape[-2:])
    )
    maps = value.maps[..., rows, :][..., columns]
    coords = dict(value.coords)
    if "y" in value.source_axes:
        coords["y"] = tuple(
            value.coords["y"][i] for i in range(*rows.indices(value.maps.shape[-2]))
        )
        coords["x"] = tuple(
            value.coords["x"][i] for i in range(*columns.indices(value.maps.shape[-1]))
        )
        data = maps
    else:
        data = maps.mean((-2, -1)) if value.target is None else maps.sum((-2, -1))
    picked = replace(value, data=data, coords=coords, maps=_masked(value.maps, rows, columns))
    outside = value.remainder.get("outside", 0.0) + value.total - picked.total
    return replace(picked, remainder={**value.remainder, "outside": outside})


def _covered(size: int, low: float, high: float) -> slice:
    """The rows or columns whose middle lies in a span of the picture; at least one."""
    first = math.ceil(low * size - 0.5)
    last = max(math.ceil(high * size - 0.5), first + 1)
    return slice(min(first, size - 1), last)


def _masked(maps: Tensor, rows: slice, columns: slice) -> Tensor:
    """Maps that are zero outside of a region: they still lie over the whole photograph."""
    kept = torch.zeros_like(maps)
    kept[..., rows, columns] = maps[..., rows, columns]
    return kept


def at(value: Value, place: int | tuple[int, ...]) -> Value:
    """One place of the source: its axes go, what lies elsewhere becomes a remainder."""
    axes: list[str] = [axis for axis in ("y", "x") if axis in value.source_axes]
    if not axes:
        axes = list(value.source_axes[:1])
    places = (place,) if isinstance(place, int) else place
    if len(places) != len(axes):
        raise InvalidArgument(f"at={place!r}: {value.source!r} is picked by ({', '.join(axes)})")
    total, data = value.total, value.data
    if not all(isinstance(index, int) for index in places):
        raise InvalidArgument(f"at={place!r}: atoms are picked by number, from 0")
    for axis, index in zip(axes, places, strict=True):
        size = data.shape[value.axis(axis)]
        if not 0 <= index < size:
            raise InvalidArgument(f"at={place!r}: {axis} runs from 0 to {size - 1}")
    for axis, index in sorted(zip(axes, places, strict=True), key=lambda p: -value.axis(p[0])):
        data = data.select(value.axis(axis), index)
    rest = tuple(axis for axis in value.axes if axis not in axes)
    coords = {axis: value.coords[axis] for axis in rest}
    counts = {axis: size for axis, size in value.counts.items() if axis in rest}
    where = {axis: value.coords[axis][i] for axis, i in zip(axes, places, strict=True)}
    picked = replace(value, data=data, axes=rest, coords=coords, counts=counts, places=where)
    elsewhere = total - picked.total
    return replace(picked, remainder={**value.remainder, "elsewhere": elsewhere})


def keep(value: Value, axis: str, indices: list[int]) -> Value:
    """Some places of an axis, in that order; the others become the remainder "not shown"."""
    size = value.data.shape[value.axis(axis)]
    if indices and not 0 <= min(indices) <= max(indices) < size:
        raise InvalidArgument(f"{value.source!r} has {size} {axis}s, no {max(indices)}")
    place, index = value.axis(axis), torch.tensor(indices, dtype=torch.long)
    data = value.data.index_select(place, index)
    coords = {**value.coords, axis: tuple(value.coords[axis][i] for i in indices)}
    maps = value.maps
    if maps is not None and axis in value.source_axes and value.source.atom != "spatial":
        maps = maps.index_select(place, index)
    labels = dict(value.labels)
    if axis in labels:
        labels[axis] = tuple(labels[axis][i] for i in indices)
    picked = replace(value, data=data, coords=coords, maps=maps, labels=labels)
    picked = replace(picked, counts={**value.counts, axis: value.counts.get(axis, size)})
    left = value.total - picked.total
    shown_before = value.remainder.get("not shown", left.new_zeros(()))
    return replace(picked, remainder={**value.remainder, "not shown": shown_before + left})


def towards(value: Value, axis: str, indices: list[int]) -> Value:
    """Some places of a target axis. Targets do not add up: nothing is left over."""
    size = value.data.shape[value.axis(axis)]
    if not all(0 <= index < size for index in indices):
        raise InvalidArgument(f"{value.target!r} has {size} places along {axis!r}, not {indices}")
    place, index = value.axis(axis), torch.tensor(indices, dtype=torch.long)
    coords = {**value.coords, axis: tuple(value.coords[axis][i] for i in indices)}
    labels = dict(value.labels)
    if axis in labels:
        labels[axis] = tuple(labels[axis][i] for i in indices)
    return _each(
        value, lambda tensor: tensor.index_select(place, index), value.axes, coords, labels
    )


def to(value: Value, place: int | tuple[int, ...]) -> Value:
    """One place of the target. Classes and factors of them keep their axis; places of a hidden
    layer lose theirs."""
    if not value.target_axes:
        raise InvalidArgument(f"to={place!r}: {value.source!r} has no target to pick from")
    if value.target_axes == ("class",) or value.of_factors:
        (axis,) = value.target_axes
        return towards(value, axis, [place] if isinstance(place, int) else list(place))
    axes = tuple(axis for axis in value.target_axes if axis in ("to_y", "to_x"))
    axes = axes or value.target_axes[:1]
    places = (place,) if isinstance(place, int) else place
    if len(places) != len(axes):
        raise InvalidArgument(f"to={place!r}: {value.target!r} is picked by ({', '.join(axes)})")
    for axis, index in zip(axes, places, strict=True):
        value = _dropped(towards(value, axis, [index]), axis)
    return value


def _dropped(value: Value, axis: str) -> Value:
    """Without a target axis of length one."""
    place = value.axis(axis)
    axes = tuple(name for name in value.axes if name != axis)
    coords = {name: held for name, held in value.coords.items() if name != axis}
    return _each(value, lambda tensor: tensor.squeeze(place), axes, coords, dict(value.labels))


def _each(
    value: Value,
    change: Callable[[Tensor], Tensor],
    axes: tuple[str, ...],
    coords: dict[str, tuple[int, ...]],
    labels: dict[str, tuple[str, ...]],
) -> Value:
    """The same change to every tensor: target axes stand at the same place in all of them."""
    return replace(
        value,
        data=change(value.data),
        axes=axes,
        coords=coords,
        labels=labels,
        maps=None if value.maps is None else change(value.maps),
        remainder={name: change(held) for name, held in value.remainder.items()},
        remainder_maps={name: change(held) for name, held in value.remainder_maps.items()},
    )
