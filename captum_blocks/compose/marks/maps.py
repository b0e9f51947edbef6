"""Marks that lay numbers over the photograph, or on a sheet: "overlay", "heatmap", "multiples"."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from torch import Tensor

from captum_blocks import scene
from captum_blocks.compose.evaluation.frames import Followed
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.marks import captions
from captum_blocks.compose.marks.base import Mark, mark
from captum_blocks.compose.marks.view import View, bounds, image_of, only_image
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import ATOMS, Hidden, InfoVis, Substrate
from captum_blocks.numerals import number
from captum_blocks.scene import Field


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


@mark("heatmap")
class Heatmap(Mark):
    """Maps on an empty sheet."""

    bare: ClassVar[bool] = True

    def panel(self, view: View) -> scene.Panel:
        """The maps of each state, over one another."""
        maps = maps_on_one_ground(view)
        return scene.Overlay(
            **view.words(default_title="Map"),
            frames=tuple(tuple(found.field for found in each) for each in maps),
            stage=not self.bare and all(map(_has_own_control, view.frames.followed)),
            bare=self.bare,
        )


@mark("overlay")
class Overlay(Heatmap):
    """Maps on the photograph."""

    bare: ClassVar[bool] = False

    def panel(self, view: View) -> scene.Panel:
        """The maps of each state, on the photograph that they are of."""
        _check_photograph(view)
        return super().panel(view)


@mark("multiples")
class Multiples(Mark):
    """One small photograph an atom, each under its map."""

    def panel(self, view: View) -> scene.Panel:
        """A photograph a map."""
        _check_photograph(view)
        values = view.frames.values
        return scene.Multiples(
            **view.words(),
            **captions.under(view.frames, 1.0, icons=False),
            frames=tuple(
                tuple(_mark(found, value.unit) for found in _maps(view, frame, value))
                for frame, value in enumerate(values)
            ),
        )


def _check_photograph(view: View) -> None:
    """A map of one photograph, or of several, must not lie on another one."""
    if not view.on_photograph:
        raise InvalidArgument(
            f"{view.element!r} lies on the photograph that the reader has chosen, and its "
            "numbers are always of the same: leave out image=, explain that photograph alone, or "
            "take the mark 'heatmap', which lies on none"
        )


def maps_on_one_ground(view: View) -> list[tuple[Map, ...]]:
    """The maps of each frame that lie over one another.

    Raises:
        InvalidArgument: the content has no maps, or maps that would hide one another.
    """
    for value in view.frames.values:
        _check_one_target(value)
    return [_maps(view, i, value) for i, value in enumerate(view.frames.values)]


def _has_own_control(followed: Followed) -> bool:
    """What is not changed by pointing at the photograph can be looked at on it."""
    return followed.selection.gesture in ("choose", "slider")


def _mark(found: Map, unit: str) -> scene.Mark:
    detail = f"{found.label}: {number(found.value)} {unit}"
    return scene.Mark(
        found.key, found.label, (found.value,), field=found.field, hue=found.hue, detail=detail
    )


def _maps(view: View, frame: int, value: Value) -> tuple[Map, ...]:
    """A map for each atom of the source, or for each place of the target; of one atom, the map of
    where it went."""
    if value.of_places:
        return (_target_map(view, frame, value),)
    source = value.source
    if value.maps is None or not ATOMS[source.atom].places or source.atom == "neuron":
        raise InvalidArgument(
            f"{source!r} has no map to lay over a photograph; show its .spatial, .channels or "
            ".groups, or take the mark 'bars' or 'table'"
        )
    whole = value.target is None and "outside" not in value.remainder
    countable = ATOMS[source.atom].numbered and isinstance(source.layer, Hidden)
    if whole and countable and image_of(value) is not None:
        return _activation_maps(view, value)
    return _value_maps(view, frame, value)


def _value_maps(view: View, frame: int, value: Value) -> tuple[Map, ...]:
    assert value.maps is not None
    source, grids = value.source, only_image(value.maps)
    grids = grids.reshape(-1, *grids.shape[-2:])
    names = _names(view, value)
    if len(names) != len(grids):
        raise InvalidArgument(
            f"{len(grids)} maps of {source!r} to {value.target!r}: show one place of the target, "
            "with .filter(to=0), .filter(to=(y, x)) or .filter(to=selection)"
        )
    sums = grids.mean((1, 2)) if value.target is None else grids.sum((1, 2))
    overlaid = isinstance(view.element, InfoVis) and view.element.mark == "overlay"
    domain = _domain(
        value, _raised(grids) if overlaid and value.target is None else bounds([grids])
    )
    hues = _of(value, "to_group") if _are_factors(value) else (None,) * len(grids)
    found = []
    for i, (grid, (key, label), total) in enumerate(zip(grids, names, sums, strict=True)):
        hue = hues[i]
        # Elements that show one content share its maps.
        name = f"{view.element.content!r}/{frame}/{i} {label}"
        field = view.keep(name, Field(grid.numpy(), domain, value.unit, label, hue))
        found.append(Map(key, label, field, float(total), hue))
    return tuple(found)


def _target_map(view: View, frame: int, value: Value) -> Map:
    """What one atom did to each place of a later layer."""
    grid, label = only_image(value.data), _title(view, value.target)
    name = f"{view.element.content!r}/{frame} {label}"
    made = Field(grid.numpy(), _domain(value, bounds([grid])), value.unit, label)
    index = value.places.get(value.source.atom, 0)
    key = view.facts.key(value.source, index)
    return Map(key, label, view.keep(name, made), float(grid.sum()))


def _title(view: View, source: Substrate | None) -> str:
    """What a map of all positions is called: by its element, else by its atoms."""
    return view.element.title or captions.named(source or view.base.source)


def _are_factors(value: Value) -> bool:
    """Whether its maps are of factors, each of which has its own colour."""
    return value.of_factors and value.source.atom == "spatial"


def _raised(grids: Tensor) -> tuple[float, float]:
    """The range of colours over a photograph, which numbers large everywhere would hide.

    Of those that are above zero everywhere, only the larger half has a colour.

    >>> import torch
    >>> _raised(torch.tensor([[[4.0, 5.0], [6.0, 9.0]]])), _raised(torch.tensor([[[0.0, 5.0]]]))
    ((5.0, 9.0), (0.0, 5.0))
    """
    low, middle, high = (float(each) for each in (grids.min(), grids.median(), grids.max()))
    return (middle, high) if 0 < low < middle < high else bounds([grids])


def _domain(value: Value, span: tuple[float, float]) -> tuple[float, float]:
    """What an attribution gives is for or against, even where all of it is for."""
    low, high = span
    plain = value.target is None or _are_factors(value)
    return span if plain else (min(low, -high), max(high, -low))


def _activation_maps(view: View, value: Value) -> tuple[Map, ...]:
    facts, source, found = view.facts, value.source, []
    numbers = only_image(value.data).reshape(-1).tolist()
    for index, amount in zip(_of(value, source.atom), numbers, strict=True):
        field = view.where(source, index, image_of(value))
        assert field is not None
        hue = index if source.grouping is not None else None
        label = facts.label(source, index)
        found.append(Map(facts.key(source, index), label, field, amount, hue))
    return tuple(found)


def _of(value: Value, axis: str) -> tuple[int, ...]:
    """The places that an axis has, or the one that was named of it."""
    return value.coords[axis] if axis in value.coords else (value.places[axis],)


def _names(view: View, value: Value) -> list[tuple[str, str]]:
    """(key, label) of each map: of each atom, or of each class where the source is positions."""
    facts, source, target = view.facts, value.source, value.target
    if source.atom != "spatial":
        return [
            (facts.key(source, index), facts.label(source, index))
            for index in _of(value, source.atom)
        ]
    axes = value.target_axes
    if target is None or not axes:
        return [(facts.key(source, 0), _title(view, source))]
    if len(axes) > 1:
        return []
    indices = value.coords[axes[0]]
    labels = value.labels.get(axes[0]) or [facts.label(target, i) for i in indices]
    return [(facts.key(target, i), label) for i, label in zip(indices, labels, strict=True)]


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
