"""Elements and their values -> panels, chapters, a scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from captum_blocks.compose import sentences
from captum_blocks.compose.icons import Wanted
from captum_blocks.compose.pools import Pools, bounds, only_image
from captum_blocks.compose.states import Frames
from captum_blocks.compose.values import Value
from captum_blocks.errors import InvalidArgument, UnknownName
from captum_blocks.grammar import Element, FeatureVis, InfoVis, Interface, Substrate
from captum_blocks.scene import (
    Bars,
    Below,
    Beside,
    Chapter,
    Layout,
    Mark,
    Overlay,
    Pairs,
    Panel,
)


@dataclass(frozen=True, eq=False)
class Drawing:
    """What a mark is drawn from.

    Attributes:
        element: the element of the interface.
        frames: its content's values.
        pools: icons, fields and selections shared by all panels.
        follows: names of the selections it follows.
        sets: name of the selection it sets.
        highlights: name of the selection whose state it marks.
        coverage: share of the icons this element wanted that were made.
    """

    element: Element
    frames: Frames
    pools: Pools
    follows: tuple[str, ...] = ()
    sets: str | None = None
    highlights: str | None = None
    coverage: float = 1.0

    @property
    def base(self) -> Value:
        """The value of the first frame: its axes and units are those of all."""
        return self.frames.values[0]


MARKS: dict[str, Callable[[Drawing], Panel]] = {}
# The icons that a mark needs, for marks that are not a list of atoms.
WANTED: dict[str, Callable[[Frames, Wanted, Pools], None]] = {}


def mark(name: str) -> Callable[[Callable[[Drawing], Panel]], Callable[[Drawing], Panel]]:
    """Register a function that draws a mark: a ``Drawing`` -> a scene panel."""

    def register(function: Callable[[Drawing], Panel]) -> Callable[[Drawing], Panel]:
        MARKS[name] = function
        return function

    return register


def wanted_icons(element: Element, frames: Frames, default: int, pools: Pools) -> Wanted:
    """The icons an element would show, weighted by how much they are seen."""
    wanted = Wanted()
    name = mark_name(element, frames.values[0])
    if name in WANTED:
        WANTED[name](frames, wanted, pools)
    if not isinstance(element, FeatureVis) or name in WANTED:
        return wanted
    for index, value in enumerate(frames.values):
        atoms = _atoms(value)
        largest = value.data.abs().reshape(-1, len(atoms)).amax(0)
        for place, size in zip(atoms, largest.tolist(), strict=True):
            request = pools.request(_marked(value), place)
            if request is not None and size > 0:
                wanted.add(request, size, at_once=index == default)
    return wanted


def telling_frame(frames: Frames) -> int:
    """The frame that holds the most: shown before the reader acts."""
    sums = torch.stack([value.data.abs().sum() for value in frames.values])
    return int(sums.argmax())


def mark_name(element: Element, value: Value) -> str:
    """The mark that draws an element: icons of positions are cells."""
    if isinstance(element, InfoVis):
        return element.mark
    return "cells" if value.source_axes == ("y", "x") and value.target is None else "icons"


def draw(drawing: Drawing) -> Panel:
    """One element as a panel.

    Raises:
        UnknownName: no mark of that name is registered.
    """
    name = mark_name(drawing.element, drawing.base)
    if name not in MARKS:
        raise UnknownName(f"nothing draws the mark {name!r}; add a function with @mark({name!r})")
    return MARKS[name](drawing)


@mark("overlay")
def _overlay(drawing: Drawing) -> Panel:
    element, frames = drawing.element, drawing.frames
    named = [_overlay_fields(drawing, index, value) for index, value in enumerate(frames.values)]
    return Overlay(
        title=element.title or "Map",
        caption=element.caption,
        unit=drawing.base.unit,
        follows=drawing.follows,
        sets=drawing.sets,
        highlights=drawing.highlights,
        frames=tuple(named),
        stage=not drawing.follows,
    )


def _overlay_fields(drawing: Drawing, frame: int, value: Value) -> tuple[str, ...]:
    pools, source = drawing.pools, value.source
    if value.maps is None or source.atom in ("neuron", "token", "whole", "class"):
        raise InvalidArgument(
            f"{source!r} has no map to lay over a photograph; show its .spatial, .channels or "
            ".groups, or take the mark 'bars'"
        )
    targets = int(np.prod([len(value.coords[axis]) for axis in value.target_axes], dtype=int))
    if targets > 1:
        raise InvalidArgument(
            f"a map shows what came from it to one place of {value.target!r}, not {targets}: "
            "add .filter(to=0), .filter(to=(y, x)) or .filter(to=selection)"
        )
    if source.atom in ("channel", "group") and value.target is None:
        fields = (pools.activation_field(source, i) for i in value.coords[source.atom])
        return tuple(name for name in fields if name is not None)
    grids = only_image(value.maps)
    grids = grids.reshape(-1, *grids.shape[-2:])
    domain = bounds([grids])
    name = f"{drawing.element!r}/{frame}"
    label = drawing.element.title or repr(source)
    return tuple(
        pools.field(f"{name}/{i}", grid, domain, label, unit=value.unit)
        for i, grid in enumerate(grids)
    )


@mark("bars")
def _bars(drawing: Drawing) -> Panel:
    return _marks_panel(drawing, icons=False)


@mark("icons")
def _icons(drawing: Drawing) -> Panel:
    return _marks_panel(drawing, icons=True)


def _marks_panel(drawing: Drawing, icons: bool) -> Panel:
    values = drawing.frames.values
    domain = bounds([_columns(value) for value in values] + _remainders(values))
    fixed = not drawing.follows
    return Bars(
        title=drawing.element.title or repr(drawing.base.source),
        caption=drawing.element.caption or sentences.place(drawing.pools.context, drawing.base),
        unit=drawing.base.unit,
        follows=drawing.follows,
        sets=drawing.sets,
        highlights=drawing.highlights,
        left_out=sentences.left_out(drawing.base, drawing.coverage, icons),
        columns=_column_names(drawing.base, drawing.pools),
        frames=tuple(_marks(value, drawing, icons) for value in values),
        domain=domain,
        signed=drawing.base.target is not None,
        arrangement="rows" if fixed or not icons else "tiles",
        maps=icons and fixed and drawing.base.maps is not None,
    )


def _mark_axis(value: Value) -> str | None:
    """The axis whose places are marks: the source's, or the target's where a place is named.

    None where there is one number.
    """
    if len(value.target_axes) > 1:
        raise InvalidArgument(
            f"{value.target!r} has axes {', '.join(value.target_axes)}: bars and icons take one; "
            "name a place with .filter(to=...)"
        )
    axes = value.source_axes or value.target_axes
    if not axes:
        return None
    if len(axes) != 1:
        raise InvalidArgument(
            f"{value.source!r} has axes {', '.join(axes)}: bars and icons need one; "
            "name a place with .filter(at=...)"
        )
    return axes[0]


def _atoms(value: Value) -> tuple[int, ...]:
    """The places of the mark axis; a single mark has place 0."""
    axis = _mark_axis(value)
    return (0,) if axis is None else value.coords[axis]


def _column_axis(value: Value) -> str | None:
    """The target axis, where marks are of the source."""
    return value.target_axes[0] if value.source_axes and value.target_axes else None


def _columns(value: Value) -> Tensor:
    """(mark, column) numbers of the one photograph."""
    _mark_axis(value)
    data = only_image(value.data)
    if data.ndim == 0:
        return data[None, None]
    return data[:, None] if _column_axis(value) is None else data.T


def _marked(value: Value) -> Substrate:
    """The substrate whose atoms are marks."""
    if value.source_axes or value.target is None:
        return value.source
    return value.target


def _remainders(values: tuple[Value, ...]) -> list[Tensor]:
    """Remainders are drawn, so the scale holds them; totals of activations are not drawn."""
    drawn = [value for value in values if value.target is not None and _is_whole(value)]
    return [held for value in drawn for held in (*value.remainder.values(), value.total)]


def _is_whole(value: Value) -> bool:
    """Whether the shown atoms and remainders add up to something worth a total."""
    adds_up = value.target is not None and bool(value.source_axes)
    return adds_up and "elsewhere" not in value.remainder


def _column_names(value: Value, pools: Pools) -> tuple[str, ...]:
    axis = _column_axis(value)
    if axis is None or value.target is None:
        return ("",)
    named = (pools.label(value.target, index) for index in value.coords[axis])
    return value.labels.get(axis) or tuple(named)


def _marks(value: Value, drawing: Drawing, icons: bool) -> tuple[Mark, ...]:
    pools, source = drawing.pools, _marked(value)
    atoms = _atoms(value)
    names = _column_names(value, pools)
    made = [
        Mark(
            key=pools.key(source, atom),
            label=sentences.mark_label(pools.context, source, atom, pools.label(source, atom)),
            values=tuple(row),
            sprite=pools.sprite(pools.key(source, atom)) if icons else None,
            field=pools.activation_field(source, atom),
            hue=atom if source.atom == "group" else None,
            detail=sentences.detail(pools.context, value, atom, tuple(row), names),
        )
        for atom, row in zip(atoms, _columns(value).tolist(), strict=True)
    ]
    if _is_whole(value):
        made += _rest(value, drawing, names)
    return tuple(made)


def _rest(value: Value, drawing: Drawing, names: tuple[str, ...]) -> list[Mark]:
    """What the atoms leave out, and the sum of everything."""
    rest = [
        (name, "remainder", _flat(held), _remainder_field(value, name, drawing))
        for name, held in value.remainder.items()
    ]
    rest.append(("total", "total", _flat(value.total), None))
    marks = []
    for name, role, held, field in rest:
        numbers, label = tuple(held.tolist()), sentences.remainder_label(value, name)
        key = f"{drawing.pools.key(value.source, 0).rsplit('/', 1)[0]}/{name}"
        detail = sentences.effects(label, numbers, names, value.unit)
        marks.append(Mark(key, label, numbers, field=field, role=role, detail=detail))  # type: ignore[arg-type]
    return marks


def _flat(held: Tensor) -> Tensor:
    """A remainder of the one photograph, one number a column."""
    return only_image(held).reshape(-1)


def _remainder_field(value: Value, name: str, drawing: Drawing) -> str | None:
    if name not in value.remainder_maps:
        return None
    grid = only_image(value.remainder_maps[name])[0]
    low, high = bounds([grid])
    towards = _column_names(value, drawing.pools)[0]
    label = f"{sentences.remainder_label(value, name)}: {towards}"
    key = f"{value.source!r}/{name}/{towards}"
    span = (min(low, -high), high)
    return drawing.pools.field(key, grid, span, label, unit=value.unit)


def arrange(interface: Interface, panels: Mapping[int, Panel]) -> Layout:
    """The panels of an interface (by position of their element in reading order), arranged."""
    numbered = iter(sorted(panels))

    def place(part: Element | Interface) -> Layout:
        if not isinstance(part, Interface):
            return panels[next(numbered)]
        parts = tuple(place(inner) for inner in part.parts)
        return _joined(parts, Beside if part.arrangement == "beside" else Below)

    return place(interface)


def _joined(parts: tuple[Layout, ...], kind: type[Beside] | type[Below]) -> Layout:
    """What is drawn on the stage takes no room in the chapter, so nothing stands beside it."""
    staged = tuple(part for part in parts if isinstance(part, Overlay) and part.stage)
    if kind is Beside and staged and len(staged) < len(parts):
        rest = tuple(part for part in parts if part not in staged)
        return Below((*staged, _joined(rest, Beside)))
    return parts[0] if len(parts) == 1 else kind(parts)


def chapters_of(interface: Interface) -> list[Interface]:
    """A titled interface is a chapter; so are the titled parts of an untitled one below another."""
    if interface.title or interface.arrangement != "below":
        return [interface]
    if not any(isinstance(part, Interface) and part.title for part in interface.parts):
        return [interface]
    return [part if isinstance(part, Interface) else Interface((part,)) for part in interface.parts]


def elements_of(interface: Interface) -> list[Element]:
    """The elements of an interface in reading order."""
    found: list[Element] = []
    for part in interface.parts:
        found += elements_of(part) if isinstance(part, Interface) else [part]
    return found


def chapter(interface: Interface, panels: list[Panel], method: Pairs) -> Chapter:
    """An interface and its panels as a chapter."""
    body = arrange(interface, dict(enumerate(panels)))
    return Chapter(interface.title, interface.reading, body, method)
