"""Marks that list atoms: "bars", "icons", "table" and "matrix"."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from captum_blocks.compose import sentences
from captum_blocks.compose.build import MARKS, Drawing, mark, wants
from captum_blocks.compose.pools import Pools, bounds, image_of, only_image, place_name
from captum_blocks.compose.states import Frames
from captum_blocks.compose.values import Value
from captum_blocks.compose.wanted import IconRequest, Wanted, class_request, place_request
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Element, FeatureVis, Given, Hidden, Substrate
from captum_blocks.scene import Bars, Mark, Matrix, Panel


@mark("bars")
def _bars(drawing: Drawing) -> Panel:
    return _bars_panel(drawing, icons=False)


def _icons(drawing: Drawing) -> Panel:
    return _bars_panel(drawing, icons=True)


# Not a mark of InfoVis: icons are what FeatureVis draws.
MARKS["icons"] = _icons


@mark("table")
def _table(drawing: Drawing) -> Panel:
    return _matrix_panel(drawing, "numbers")


@mark("matrix")
def _matrix(drawing: Drawing) -> Panel:
    return _matrix_panel(drawing, "colours")


@wants("icons")
def _wanted(element: Element, frames: Frames, wanted: Wanted, pools: Pools) -> None:
    for index, value in enumerate(frames.values):
        atoms = _atoms(value)
        _check_pictured(value)
        if not atoms:  # a filter has left none
            continue
        largest = value.data.abs().reshape(-1, len(atoms)).amax(0)
        for place, size in zip(atoms, largest.tolist(), strict=True):
            request = _request(element, value, place, pools)
            if request is not None and size > 0:
                wanted.add(request, size, at_once=index == frames.default)


def _check_pictured(value: Value) -> None:
    """Whether there is a picture of such atoms at all."""
    marked = _marked(value)
    hidden = isinstance(marked.layer, Hidden) and marked.atom in ("channel", "neuron", "group")
    if not hidden and marked.atom != "class" and not _is_a_place(value):
        raise InvalidArgument(
            f"{marked!r} has no picture of its own: FeatureVis draws channels, neurons, groups and "
            "positions of hidden layers, and classes; InfoVis(content) shows numbers of all atoms"
        )


def _is_a_place(value: Value) -> bool:
    """Whether it is the activation of one position of a hidden layer, of one photograph."""
    of_place = value.source.atom == "spatial" and value.target is None and bool(value.places)
    return of_place and isinstance(value.source.layer, Hidden) and image_of(value) is not None


def _request(element: Element, value: Value, atom: int, pools: Pools) -> IconRequest | None:
    """The icon of an atom, with the element's own objective where it has one."""
    request, own = _plain_request(value, atom, pools), _own_objective(element)
    if request is None or own is None:
        return request
    objective = request.objective + pools.context.object(own)
    return replace(request, key=_icon_key(request.key, element), objective=objective)


def _plain_request(value: Value, atom: int, pools: Pools) -> IconRequest | None:
    named, marked = _named(value, atom, pools), _marked(value)
    if _is_a_place(value):
        layer = place_name(value.source)
        vectors = pools.context.maps(layer)[image_of(value)]
        return place_request(named.icon, layer, vectors[:, value.places["y"], value.places["x"]])
    if marked.atom == "class":
        return class_request(named.icon, atom, named.label)
    return pools.request(marked, named.shown)


def _own_objective(element: Element) -> Given | None:
    return element.objective if isinstance(element, FeatureVis) else None


def _icon_key(key: str, element: Element) -> str:
    own = _own_objective(element)
    return key if own is None else f"{key} with {own.name}"


def _bars_panel(drawing: Drawing, icons: bool) -> Panel:
    values, element = drawing.frames.values, drawing.element
    rows = not drawing.follows or not icons or _is_whole(drawing.base)
    if isinstance(element, FeatureVis) and element.arrangement is not None:
        rows = element.arrangement == "rows"
    return Bars(
        **drawing.words(),
        left_out=sentences.left_out(drawing.frames.values, drawing.coverage, icons),
        columns=_headings(values, drawing.pools),
        frames=tuple(_marks(value, drawing, icons) for value in values),
        domain=_domain(values),
        signed=drawing.base.target is not None,
        arrangement="rows" if rows else "tiles",
        maps=icons and rows and drawing.base.maps is not None,
    )


def _matrix_panel(drawing: Drawing, style: str) -> Panel:
    values = drawing.frames.values
    return Matrix(
        **drawing.words(),
        left_out=sentences.left_out(drawing.frames.values, drawing.coverage, icons=False),
        columns=_headings(values, drawing.pools),
        frames=tuple(_marks(value, drawing, icons=False) for value in values),
        domain=_domain(values),
        signed=drawing.base.target is not None,
        style=style,  # type: ignore[arg-type]
    )


def _domain(values: tuple[Value, ...]) -> tuple[float, float]:
    """One scale for all states."""
    return bounds([_columns(value) for value in values] + _remainders(values))


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


@dataclass(frozen=True)
class _Atom:
    """What one row is of: its identity, its name, its icon, and the atom whose map it shows."""

    key: str
    label: str
    icon: str
    shown: int


def _named(value: Value, atom: int, pools: Pools) -> _Atom:
    source = _marked(value)
    if value.source_axes == ("neuron",):
        held = pools.context
        maps = held.maps(source.layer.layer) if isinstance(source.layer, Hidden) else held.x
        label = value.labels["neuron"][value.coords["neuron"].index(atom)]
        key, channel = f"{place_name(source)}/neuron/{atom}", atom // maps.shape[-2:].numel()
        return _Atom(key, label, pools.key(source, channel), channel)
    if _is_a_place(value):
        y, x = value.places["y"], value.places["x"]
        photo = pools.of_photo(image_of(value))
        key = f"{place_name(source)}/spatial{photo}/{y},{x}"
        return _Atom(key, f"row {y + 1}, column {x + 1}", key, atom)
    labels = dict(zip(value.coords[_axis(value)], value.labels.get(_axis(value), ()), strict=False))
    key = pools.key(source, atom)
    return _Atom(key, labels.get(atom) or pools.label(source, atom), key, atom)


def _axis(value: Value) -> str:
    return _mark_axis(value) or "image"


def _headings(values: tuple[Value, ...], pools: Pools) -> tuple[str, ...]:
    """Names of the columns; blank where they change with a state, which its own list tells."""
    named = [_column_names(value, pools) for value in values]
    return named[0] if len(set(named)) == 1 else ("",) * len(named[0])


def _marks(value: Value, drawing: Drawing, icons: bool) -> tuple[Mark, ...]:
    pools, source = drawing.pools, _marked(value)
    names = _column_names(value, pools)
    image = image_of(value) if drawing.on_photograph else None
    made = []
    for atom, row in zip(_atoms(value), _columns(value).tolist(), strict=True):
        named = _named(value, atom, pools)
        shown = pools.sprite(_icon_key(named.icon, drawing.element))
        made.append(
            Mark(
                key=named.key,
                label=sentences.mark_label(pools.context, value, atom, named.label),
                values=tuple(row),
                sprite=shown if icons else None,
                field=pools.activation_field(source, named.shown, image),
                hue=atom if source.atom == "group" and source is value.source else None,
                detail=sentences.detail(
                    pools.context, value, (atom, named.label), tuple(row), names
                ),
            )
        )
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
    if name not in value.remainder_maps or not drawing.on_photograph:
        return None
    grid = only_image(value.remainder_maps[name])[0]
    low, high = bounds([grid])
    towards = _column_names(value, drawing.pools)[0]
    label = f"{sentences.remainder_label(value, name)}: {towards}"
    key = f"{value.source!r}/{name}/{towards}{drawing.pools.of_photo(image_of(value))}"
    span = (min(low, -high), high)
    return drawing.pools.field(key, grid, span, label, unit=value.unit)
