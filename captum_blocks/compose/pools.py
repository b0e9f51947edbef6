"""What many panels share: icons, maps on the photograph and selections, each made once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from captum_blocks.compose.context import Context
from captum_blocks.compose.icons import Icon
from captum_blocks.compose.states import Followed, selected_axes, states_of
from captum_blocks.compose.values import Value
from captum_blocks.compose.wanted import IconRequest, channel_request, group_request
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Hidden, Out, Selection, Substrate, as_substrate
from captum_blocks.scene import Field, Pairs, Panel, Sprite, first_frame, marks_in
from captum_blocks.scene import Selection as SceneSelection

Extent = tuple[float, float, float, float]
# What a list or slider decides, as printed beside it.
TITLES = {
    "groups": "number of groups",
    "top": "how many of the largest",
    "bottom": "how many of the smallest",
    "strongest": "how many of the strongest",
    "image": "photograph",
    "class": "answer",
    "number": "number",
    "alignment": "groups",
    "channel": "channel",
    "group": "group",
}
NAMES = {"channel": "channel", "group": "group", "neuron": "channel", "token": "token"}


class Pools:
    """Sprites, fields and selections by name.

    Args:
        context: what everything is made from.
        extent: what part of the photograph the network saw.

    Attributes:
        promised: keys of the atoms whose icons will be made: marks name them before they are.
        pictured: name of the selection of a photograph, where there are several.
    """

    def __init__(self, context: Context, extent: Extent) -> None:
        self.context, self.extent = context, extent
        self.promised: set[str] = set()
        self.sprites: dict[str, Sprite] = {}
        self.fields: dict[str, Field] = {}
        self.selections: dict[str, SceneSelection] = {}
        self.pictured: str | None = None
        self._opened: set[str] = set()
        self._words: dict[str, Selection] = {}

    def key(self, source: Substrate, index: int) -> str:
        """The identity of an atom, the same wherever it appears."""
        if source.grouping is not None:
            return f"{place_name(source)}/{source.grouping!r}/{index}"
        return f"{place_name(source)}/{NAMES.get(source.atom, source.atom)}/{index}"

    def label(self, source: Substrate, index: int) -> str:
        """An atom's name as printed."""
        if source.atom == "class":
            return self.context.net.label(index)
        if source.atom == "whole":
            return "the whole layer"
        if source.atom == "group":
            return f"group {index + 1}"
        return f"{NAMES.get(source.atom, source.atom)} {index}"

    def request(self, source: Substrate, index: int) -> IconRequest | None:
        """The icon of an atom; None for atoms that have none."""
        if not isinstance(source.layer, Hidden):
            return None
        if source.atom in ("channel", "neuron"):
            return channel_request(source.layer.layer, index)
        if source.atom == "group":
            direction = self.context.directions(source)[index]
            if not direction.any():  # a group that no channel is in: nothing to maximise
                return None
            return group_request(self.key(source, index), source.layer.layer, index, direction)
        return None

    def sprite(self, key: str) -> str | None:
        """The name of an atom's icon, where there will be one."""
        return key if key in self.promised else None

    def deliver(self, icons: Mapping[str, Icon], n_steps: int, seed: int) -> None:
        """Keep icons that were promised.

        Args:
            icons: by key.
            n_steps, seed: of their optimization.
        """
        made = (("steps", str(n_steps)), ("seed", str(seed)))
        self.sprites |= {key: _sprite(icon, made) for key, icon in icons.items()}

    def of_photo(self, image: int | None) -> str:
        """What tells the maps of several photographs apart."""
        return f" in {image}" if image is not None and len(self.context.x) > 1 else ""

    def activation_field(self, source: Substrate, index: int, image: int | None) -> str | None:
        """The name of the map of where an atom fires in a photograph."""
        if image is None or not isinstance(source.layer, Hidden) or source.atom not in NAMES:
            return None
        name = f"{self.key(source, index)}{self.of_photo(image)}"
        if name in self.fields:
            return name
        layer = source.layer.layer
        label = f"{self.label(source, index)} at {layer}"
        if source.atom == "group":
            sizes = self.context.directions(source).norm(dim=1)
            maps = self.context.scores(source) * sizes[:, None, None]
            # One scale for all groups and photographs: they are compared.
            domain = (min(0.0, float(maps.min())), float(maps.max()))
            return self.field(name, maps[image, index], domain, label, index)
        grids = self.context.maps(layer)[:, index]
        domain = (min(0.0, float(grids.min())), float(grids.max()))
        return self.field(name, grids[image], domain, label)

    def field(
        self,
        name: str,
        grid: Tensor,
        domain: tuple[float, float],
        label: str,
        hue: int | None = None,
        unit: str = "activation",
    ) -> str:
        """Keep a map under a name."""
        low, high = domain
        if low < 0 and hue is None:
            low, high = -max(-low, high), max(-low, high)
        span = (low, high if high > low else low + 1.0)
        self.fields[name] = Field(grid.numpy(), span, unit, label, hue, self.extent)
        return name

    def followed(self, followed: Followed, place: int) -> str:
        """The name of a selection that a panel follows.

        The first panel that follows a selection decides the state it opens in.

        Args:
            followed: the selection and its states.
            place: of the state that the panel opens in.
        """
        selection, owner = followed.selection, followed.owner
        if selection.atom == "spatial":
            name, made = self._spatial(selection, followed.value, followed.of_target, place)
        else:
            name = self._name(selection, owner)
            keys, labels = self._states(followed)
            title = selection.name or TITLES.get(followed.purpose) or TITLES[selection.atom]
            made = SceneSelection(
                name, selection.gesture, selection.atom, keys, place, labels=labels, title=title
            )
        if selection.atom == "image":
            self.pictured = name
        if name not in self._opened:
            self._opened.add(name)
            self.selections[name] = made
        return name

    def pointed(self, selection: Selection, values: Iterable[Value]) -> str:
        """The name of a selection that a panel sets or highlights, over its values' atoms.

        Where no panel follows it, it opens on the atom with the largest number.
        """
        values = list(values)
        if selection.atom in ("image", "number", "alignment"):
            raise InvalidArgument(f"{selection!r} is changed by its own control, not by a panel")
        if selection.atom == "spatial":
            name, made = self._spatial(selection, values[0], False, None)
        else:
            owner = _owner(selection, values[0])
            name = self._name(selection, owner)
            keys = {
                self.key(_owner(selection, value), int(index)): None  # type: ignore[arg-type]
                for value in values
                for index in states_of(selection, value, _of_target(selection, value))
            }
            old = self.selections[name].keys if name in self.selections else ()
            known = tuple(dict.fromkeys((*old, *keys)))
            if not keys:
                raise InvalidArgument(
                    f"{selection!r} has nothing to select: the filter of {owner!r} leaves no atom"
                )
            axes = selected_axes(selection, _of_target(selection, values[0]))
            opened = known.index(list(keys)[_strongest(values[0], axes)])
            made = SceneSelection(name, selection.gesture, selection.atom, known, opened)
        if name not in self._opened:
            self.selections[name] = made
        return name

    def open_alike(self, names: Sequence[str]) -> None:
        """Let what one panel sets start in one state: where the first of these selections does."""
        if not names:
            return
        first, *others = (self.selections[name] for name in names)
        opened = first.keys[first.default]
        for other in others:
            word = self._words.get(other.name)
            told = word is not None and word.start is not None
            if (other.atom, other.grid) == (first.atom, first.grid) and not told:
                self._open(other, opened)

    def open_on_what_is_shown(self, panels: Sequence[Panel]) -> None:
        """Let what panels of changing marks set start with a mark that they show at first.

        The page does so whenever the reader changes the marks; figures show the start.
        """
        for _ in self.selections:  # what one shows may follow another
            for selection in list(self.selections.values()):
                shown = self._shown_at_first(selection, panels)
                if shown and selection.keys[selection.default] not in shown:
                    self._open(selection, *shown)

    def _shown_at_first(self, selection: SceneSelection, panels: Sequence[Panel]) -> list[str]:
        """Keys and names of the marks on which a selection that follows others is pointed at."""
        if selection.gesture not in ("hover", "click") or selection.grid is not None:
            return []
        changing = [
            panel
            for panel in panels
            if selection.name in panel.sets
            and panel.follows
            and selection.name not in panel.follows
        ]
        marks = [
            mark
            for panel in changing
            for mark in marks_in(panel.frames[first_frame(panel, self.selections)])  # type: ignore[attr-defined]
        ]
        return [words for mark in marks for words in (mark.key, mark.label)]

    def _open(self, selection: SceneSelection, *keys: str) -> None:
        """Let a selection start in the first of these states that it has."""
        found = [selection.keys.index(key) for key in keys if key in selection.keys]
        if found:
            self.selections[selection.name] = replace(selection, default=found[0])

    def _states(self, followed: Followed) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Keys and labels of a selection's states."""
        states, owner = followed.states, followed.owner
        if followed.selection.atom == "number":
            return tuple(map(str, states)), ()
        if followed.selection.atom == "image":
            names = tuple(self.context.names[int(i)] for i in states)  # type: ignore[arg-type]
            return tuple(f"image/{i}" for i in states), names
        if followed.selection.atom == "alignment":
            upper = followed.selection.options
            assert isinstance(upper, Substrate)
            return ("alone", "aligned"), ("made alone", f"aligned with {place_name(upper)}")
        assert owner is not None
        indices = [int(state) for state in states]  # type: ignore[arg-type]
        labels = tuple(self.label(owner, index) for index in indices)
        return tuple(self.key(owner, index) for index in indices), labels

    def _spatial(
        self, selection: Selection, value: Value | None, of_target: bool, place: int | None
    ) -> tuple[str, SceneSelection]:
        """Spatial selections of one grid are one."""
        assert value is not None
        of_target = of_target or "y" not in value.axes
        axes = selected_axes(selection, of_target)
        states = states_of(selection, value, of_target)
        rows, columns = (value.data.shape[value.axis(axis)] for axis in axes)
        if tuple(states[-1]) != (rows - 1, columns - 1):  # type: ignore[arg-type]
            raise InvalidArgument(f"{selection!r} needs the whole grid of {value.source!r}")
        name = f"{_given(selection)}{selection.gesture}-spatial-{rows}x{columns}"
        opened = _strongest(value, axes) if place is None else place
        keys = tuple(f"{y},{x}" for y, x in states)  # type: ignore[misc]
        made = SceneSelection(
            name, selection.gesture, "spatial", keys, opened, (rows, columns), self.extent
        )
        return name, made

    def _name(self, selection: Selection, owner: Substrate | None) -> str:
        """One name a selection and place; unequal selections never share it."""
        place = "" if owner is None else f"-{place_name(owner)}"
        name = plain = f"{_given(selection)}{selection.gesture}-{selection.atom}{place}"
        number = 1
        while self._words.setdefault(name, selection) != selection:
            number += 1
            name = f"{plain}-{number}"
        return name


def _given(selection: Selection) -> str:
    return f"{selection.name.replace(' ', '-')}-" if selection.name else ""


def _strongest(value: Value, axes: tuple[str, ...]) -> int:
    """The state with the largest magnitude over everything else, counted in rows."""
    places = [value.axis(axis) for axis in axes]
    others = [place for place in range(value.data.ndim) if place not in places]
    size = value.data.abs().amax(others) if others else value.data.abs()
    return int(size.flatten().argmax())


def _of_target(selection: Selection, value: Value) -> bool:
    """Whether a selection picks a value's target atoms: where its source has none of the kind."""
    return value.source.atom != selection.atom and "class" not in value.source_axes


def _owner(selection: Selection, value: Value) -> Substrate:
    """The substrate whose atoms a selection picks."""
    if selection.atom == "class":
        return as_substrate(Out())
    owner = value.target if _of_target(selection, value) else value.source
    if owner is None:
        raise InvalidArgument(
            f"{selection!r} cannot be set or marked by a panel of {value.source!r}: it shows no "
            f"{selection.atom} atoms"
        )
    return owner


def image_of(value: Value) -> int | None:
    """The photograph that a value's numbers are of; None where they are of several."""
    return None if "image" in value.labels else value.coords["image"][0]


def place_name(source: Substrate) -> str:
    """The layer's name, "input" or "out"."""
    if isinstance(source.layer, Hidden):
        return source.layer.layer
    return "out" if isinstance(source.layer, Out) else "input"


def only_image(tensor: Tensor) -> Tensor:
    """The numbers of the one photograph."""
    if tensor.shape[0] != 1:
        raise InvalidArgument(
            f"a page shows one photograph, not {tensor.shape[0]}; explain them one by one"
        )
    return tensor[0]


def bounds(tensors: list[Tensor]) -> tuple[float, float]:
    """The range of some numbers, zero included."""
    flat = torch.cat([torch.zeros(1), *(tensor.flatten() for tensor in tensors)])
    return (min(0.0, float(flat.min())), max(0.0, float(flat.max())))


def _sprite(icon: Icon, made: Pairs) -> Sprite:
    details = (
        ("objective", icon.request.objective.label),
        ("layer", icon.request.layer or "the network's answer"),
        ("score", f"{icon.score:.3g}"),
        *made,
    )
    return Sprite(icon.pixels, icon.request.label, details)
