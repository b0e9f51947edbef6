"""Marks that lay numbers over the photograph, or on a sheet: "overlay", "heatmap", "multiples"."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from captum_blocks.compose import sentences
from captum_blocks.compose.build import Drawing, mark
from captum_blocks.compose.pools import bounds, image_of, only_image
from captum_blocks.compose.states import Followed
from captum_blocks.compose.values import Value
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Hidden
from captum_blocks.scene import Mark, Multiples, Overlay, Panel


@dataclass(frozen=True)
class Map:
    """One field and what it is of.

    Attributes:
        key, label: of the atom or class.
        field: name of the field.
        value: the one number behind it.
        hue: of a group.
    """

    key: str
    label: str
    field: str
    value: float
    hue: int | None = None


@mark("overlay")
def _overlay(drawing: Drawing) -> Panel:
    _check_photograph(drawing)
    return _on_one_ground(drawing, bare=False)


@mark("heatmap")
def _heatmap(drawing: Drawing) -> Panel:
    return _on_one_ground(drawing, bare=True)


@mark("multiples")
def _multiples(drawing: Drawing) -> Panel:
    _check_photograph(drawing)
    return Multiples(
        **drawing.words(),
        left_out=sentences.left_out(drawing.frames.values, 1.0, icons=False),
        frames=tuple(
            tuple(_mark(found, value.unit) for found in _maps(drawing, frame, value))
            for frame, value in enumerate(drawing.frames.values)
        ),
    )


def _check_photograph(drawing: Drawing) -> None:
    """A map of one photograph, or of several, must not lie on another one."""
    if not drawing.on_photograph:
        raise InvalidArgument(
            f"{drawing.element!r} lies on the photograph that the reader has chosen, and its "
            "numbers are always of the same: leave out image=, explain that photograph alone, or "
            "take the mark 'heatmap', which lies on none"
        )


def maps_on_one_ground(drawing: Drawing) -> list[tuple[Map, ...]]:
    """The maps of each frame that lie over one another.

    Raises:
        InvalidArgument: the content has no maps, or maps that would hide one another.
    """
    for value in drawing.frames.values:
        _check_one_target(value)
    return [_maps(drawing, i, value) for i, value in enumerate(drawing.frames.values)]


def _on_one_ground(drawing: Drawing, bare: bool) -> Panel:
    named = maps_on_one_ground(drawing)
    return Overlay(
        **drawing.words(default_title="Map"),
        frames=tuple(tuple(found.field for found in maps) for maps in named),
        stage=not bare and all(map(_has_own_control, drawing.frames.followed)),
        bare=bare,
    )


def _has_own_control(followed: Followed) -> bool:
    """What is not changed by pointing at the photograph can be looked at on it."""
    return followed.selection.gesture in ("choose", "slider")


def _mark(found: Map, unit: str) -> Mark:
    detail = f"{found.label}: {sentences.number(found.value)} {unit}"
    return Mark(
        found.key, found.label, (found.value,), field=found.field, hue=found.hue, detail=detail
    )


def _maps(drawing: Drawing, frame: int, value: Value) -> tuple[Map, ...]:
    """A map for each atom of the source, or for each place of the target; of one atom, the map of
    where it went."""
    if value.of_places:
        return (_target_map(drawing, frame, value),)
    source = value.source
    if value.maps is None or source.atom in ("neuron", "token", "whole", "class"):
        raise InvalidArgument(
            f"{source!r} has no map to lay over a photograph; show its .spatial, .channels or "
            ".groups, or take the mark 'bars' or 'table'"
        )
    whole = value.target is None and "outside" not in value.remainder
    countable = source.atom in ("channel", "group") and isinstance(source.layer, Hidden)
    if whole and countable and image_of(value) is not None:
        return _activation_maps(drawing, value)
    grids = only_image(value.maps)
    grids = grids.reshape(-1, *grids.shape[-2:])
    names = _names(drawing, value)
    if len(names) != len(grids):
        raise InvalidArgument(
            f"{len(grids)} maps of {source!r} to {value.target!r}: show one place of the target, "
            "with .filter(to=0), .filter(to=(y, x)) or .filter(to=selection)"
        )
    sums = grids.mean((1, 2)) if value.target is None else grids.sum((1, 2))
    domain = _domain(value, bounds([grids]))
    # Elements that show one content share its maps.
    prefix = f"{drawing.element.content!r}/{frame}"
    found = []
    for i, (grid, (key, label), total) in enumerate(zip(grids, names, sums, strict=True)):
        hue = value.coords["to_group"][i] if _are_factors(value) else None
        field = drawing.pools.field(f"{prefix}/{i} {label}", grid, domain, label, hue, value.unit)
        found.append(Map(key, label, field, float(total), hue))
    return tuple(found)


def _target_map(drawing: Drawing, frame: int, value: Value) -> Map:
    """What one atom did to each place of a later layer."""
    grid, label = only_image(value.data), drawing.element.title or repr(value.target)
    domain = _domain(value, bounds([grid]))
    name = f"{drawing.element.content!r}/{frame} {label}"
    field = drawing.pools.field(name, grid, domain, label, unit=value.unit)
    index = value.places.get(value.source.atom, 0)
    return Map(drawing.pools.key(value.source, index), label, field, float(grid.sum()))


def _are_factors(value: Value) -> bool:
    """Whether its maps are of factors, each of which has its own colour."""
    return value.of_factors and value.source.atom == "spatial"


def _domain(value: Value, span: tuple[float, float]) -> tuple[float, float]:
    """What an attribution gives is for or against, even where all of it is for."""
    low, high = span
    plain = value.target is None or _are_factors(value)
    return span if plain else (min(low, -high), max(high, -low))


def _activation_maps(drawing: Drawing, value: Value) -> tuple[Map, ...]:
    pools, source, found = drawing.pools, value.source, []
    numbers = only_image(value.data).tolist()
    for index, number in zip(value.coords[source.atom], numbers, strict=True):
        field = pools.activation_field(source, index, image_of(value))
        assert field is not None
        hue = index if source.atom == "group" else None
        label = pools.label(source, index)
        found.append(Map(pools.key(source, index), label, field, number, hue))
    return tuple(found)


def _names(drawing: Drawing, value: Value) -> list[tuple[str, str]]:
    """(key, label) of each map: of each atom, or of each class where the source is positions."""
    pools, source, target = drawing.pools, value.source, value.target
    if source.atom != "spatial":
        return [
            (pools.key(source, index), pools.label(source, index))
            for index in value.coords[source.atom]
        ]
    axes = value.target_axes
    if target is None or not axes:
        return [(pools.key(source, 0), drawing.element.title or repr(source))]
    if len(axes) > 1:
        return []
    labels = value.labels.get(axes[0]) or [pools.label(target, i) for i in value.coords[axes[0]]]
    return [
        (pools.key(target, index), label)
        for index, label in zip(value.coords[axes[0]], labels, strict=True)
    ]


def _check_one_target(value: Value) -> None:
    """Maps of several classes over one another say nothing; factors have a colour each."""
    if _are_factors(value) or value.of_places:
        return
    targets = prod(value.data.shape[value.axis(axis)] for axis in value.target_axes)
    if targets > 1:
        raise InvalidArgument(
            f"a map shows what came from it to one place of {value.target!r}, not {targets}: "
            "add .filter(to=0), .filter(to=(y, x)) or .filter(to=selection), or show them side by "
            "side with InfoVis(..., 'multiples')"
        )
