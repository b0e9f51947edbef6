"""What marks that list atoms share: which numbers are in which row, and what a row is of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from captum_blocks.compose.evaluation.facts import Facts, place_name
from captum_blocks.compose.evaluation.values import ALONE, REGION, Value
from captum_blocks.compose.marks import captions
from captum_blocks.compose.marks.lending import lenders
from captum_blocks.compose.marks.view import View, bounds, image_of, only_image
from captum_blocks.compose.pictures.requests import Subject
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Ablation, FeatureVis, Hidden, Substrate
from captum_blocks.numerals import percent
from captum_blocks.scene import Field, Mark


def mark_axis(value: Value) -> str | None:
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


def atoms_of(value: Value) -> tuple[int, ...]:
    """The places of the mark axis; a single mark has place 0."""
    axis = mark_axis(value)
    return (0,) if axis is None else value.coords[axis]


def marked(value: Value) -> Substrate:
    """The substrate whose atoms are marks."""
    if value.source_axes or value.target is None:
        return value.source
    return value.target


def is_a_place(value: Value) -> bool:
    """Whether it is the activation of one position of a hidden layer, of one photograph."""
    of_place = value.source.atom == "spatial" and value.target is None and bool(value.places)
    return of_place and isinstance(value.source.layer, Hidden) and image_of(value) is not None


def is_whole(value: Value) -> bool:
    """Whether the shown atoms and remainders add up to something worth a total."""
    adds_up = value.target is not None and bool(value.source_axes) and value.additive
    return adds_up and "elsewhere" not in value.remainder


def domain(values: tuple[Value, ...]) -> tuple[float, float]:
    """One scale for all states: remainders are drawn, totals of activations are not."""
    drawn = [value for value in values if value.target is not None and is_whole(value)]
    rest = [held for value in drawn for held in (*value.remainder.values(), value.total)]
    return bounds([columns(value) for value in values] + rest)


def headings(values: tuple[Value, ...], facts: Facts) -> tuple[str, ...]:
    """Names of the columns; blank where they change with a state, which its own list tells."""
    found = [_column_names(value, facts) for value in values]
    return found[0] if len(set(found)) == 1 else ("",) * len(found[0])


def _column_axis(value: Value) -> str | None:
    """The target axis, where marks are of the source."""
    return value.target_axes[0] if value.source_axes and value.target_axes else None


def columns(value: Value) -> Tensor:
    """(mark, column) numbers of the one photograph."""
    mark_axis(value)
    data = only_image(value.data)
    if data.ndim == 0:
        return data[None, None]
    return data[:, None] if _column_axis(value) is None else data.T


def _column_names(value: Value, facts: Facts) -> tuple[str, ...]:
    axis = _column_axis(value)
    if axis is None or value.target is None:
        return ("",)
    found = (facts.label(value.target, index) for index in value.coords[axis])
    return value.labels.get(axis) or tuple(found)


@dataclass(frozen=True)
class Row:
    """What one row is of: its identity, its name, its icon, and the atom whose map it shows."""

    key: str
    label: str
    icon: str
    shown: int


def row_of(value: Value, atom: int, facts: Facts) -> Row:
    """The row of an atom."""
    source = marked(value)
    if value.source_axes == ("neuron",):
        cells = facts.picture
        if isinstance(source.layer, Hidden):
            cells = tuple(facts.maps[source.layer.layer].shape[-2:])  # type: ignore[assignment]
        label = value.labels["neuron"][value.coords["neuron"].index(atom)]
        key, channel = f"{place_name(source)}/neuron/{atom}", atom // (cells[0] * cells[1])
        return Row(key, label, facts.key(source, channel), channel)
    if is_a_place(value):
        y, x = value.places["y"], value.places["x"]
        key = f"{place_name(source)}/spatial{facts.of_photo(image_of(value))}/{y},{x}"
        return Row(key, f"row {y + 1}, column {x + 1}", key, atom)
    axis = mark_axis(value) or "image"
    labels = dict(zip(value.coords[axis], value.labels.get(axis, ()), strict=False))
    key = facts.key(source, atom)
    return Row(key, labels.get(atom) or facts.label(source, atom), key, atom)


def icon_key(key: str, view: View) -> str:
    """The identity of an atom's picture; an objective of one's own makes another one."""
    own = view.element.objective if isinstance(view.element, FeatureVis) else None
    key = key if own is None else f"{key} with {own.name}"
    # What is listed shares nothing with neighbours: its pictures are the usual ones.
    return key if view.recipe == "shared" else view.by_recipe(key)


def marks(value: Value, view: View, icons: bool) -> tuple[Mark, ...]:
    """A mark for each atom, then what they leave out, and the sum of everything."""
    facts, source = view.facts, marked(value)
    regions = value.also.get(REGION)
    value = _told_once(value, view)
    names = _column_names(value, facts)
    image = image_of(value) if view.on_photograph else None
    rows = [row_of(value, atom, facts) for atom in atoms_of(value)]
    keys = [icon_key(row.icon, view) for row in rows]
    drawn = icons and view.is_drawn
    sprites = [view.sprite(key) if drawn else None for key in keys]
    # Pictures of another kind are not lent.
    usual = drawn and icon_key("", view) == ""
    bare = [row.shown for row, sprite in zip(rows, sprites, strict=True) if sprite is None]
    lent = lenders(source, facts, view.pictured, bare) if usual and bare else {}
    made = []
    for place, (atom, row, sprite, numbers) in enumerate(
        zip(atoms_of(value), rows, sprites, columns(value).tolist(), strict=True)
    ):
        size = "" if regions is None else f": {percent(float(regions[0, 0, place]))} of the picture"
        made.append(
            Mark(
                key=row.key,
                label=captions.mark_label(facts, value, atom, row.label) + size,
                values=tuple(numbers),
                sprite=sprite,
                lent=lent.get(row.shown) if sprite is None else None,
                gallery=view.gallery(keys[place]) if icons else None,
                field=view.where(source, row.shown, image),
                hue=atom if source.grouping is not None and source is value.source else None,
                detail=captions.detail(facts, value, (atom, row.label), tuple(numbers), names),
            )
        )
    return (*made, *_rest(value, view, names)) if is_whole(value) else tuple(made)


def _told_once(value: Value, view: View) -> Value:
    """Without what the names or the ticks say already."""
    ticked = view.beside is not None and isinstance(view.element.beside, Ablation)
    told = (REGION, *((ALONE,) if ticked else ()))
    return replace(value, also={n: held for n, held in value.also.items() if n not in told})


def _rest(value: Value, view: View, names: tuple[str, ...]) -> list[Mark]:
    """What the atoms leave out, and the sum of everything."""
    rest = [
        (name, "remainder", _flat(held), _remainder_field(value, name, view))
        for name, held in value.remainder.items()
    ]
    rest.append(("total", "total", _flat(value.total), None))
    found = []
    for name, role, held, field in rest:
        numbers, label = tuple(held.tolist()), captions.remainder_label(value, name)
        key = f"{view.facts.key(value.source, 0).rsplit('/', 1)[0]}/{name}"
        detail = captions.effects(label, numbers, names, value.unit)
        found.append(Mark(key, label, numbers, field=field, role=role, detail=detail))  # type: ignore[arg-type]
    return found


def _flat(held: Tensor) -> Tensor:
    """A remainder of the one photograph, one number a column."""
    return only_image(held).reshape(-1)


def _remainder_field(value: Value, name: str, view: View) -> str | None:
    if name not in value.remainder_maps or not view.on_photograph:
        return None
    grid = only_image(value.remainder_maps[name])[0]
    low, high = bounds([grid])
    towards = _column_names(value, view.facts)[0]
    label = f"{captions.remainder_label(value, name)}: {towards}"
    key = f"{value.source!r}/{name}/{towards}{view.facts.of_photo(image_of(value))}"
    return view.keep(key, Field(grid.numpy(), (min(low, -high), high), value.unit, label))


def own_objective(view: View) -> Any:
    """What the element adds to each atom's own objective, if anything."""
    own = view.element.objective if isinstance(view.element, FeatureVis) else None
    return None if own is None else view.facts.given[own.name]


def of_atom(
    source: Substrate, index: int, key: str, view: View, image: int | None
) -> Subject | None:
    """A channel or group of a hidden layer as the subject of a picture; None for other atoms."""
    if not isinstance(source.layer, Hidden):
        return None
    layer, facts, extra = source.layer.layer, view.facts, own_objective(view)
    fires = facts.fires(source)
    where = None if fires is None or image is None else fires[image, index]
    if source.grouping is not None:
        label, vector = f"{layer} / {facts.label(source, index)}", facts.direction(source, index)
        subject = Subject(key, label, layer, "group", index, direction=vector)
    elif fires is not None:
        subject = Subject(key, f"{layer} : {index}", layer, "channel", index)
    else:
        return None
    return replace(subject, fires=where, image=image, extra=extra)
