"""What many panels share: icons, maps on the photograph and selections, each made once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from captum_blocks.compose.context import Context
from captum_blocks.compose.icons import Icon, IconRequest, Quality, channel_request, group_request
from captum_blocks.compose.states import selected_axes, states_of
from captum_blocks.compose.values import Value
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Hidden, Out, Selection, Substrate, as_substrate
from captum_blocks.scene import Field, Sprite
from captum_blocks.scene import Selection as SceneSelection

Extent = tuple[float, float, float, float]
NAMES = {"channel": "channel", "group": "group", "neuron": "channel", "token": "token"}


class Pools:
    """Sprites, fields and selections by name.

    Args:
        context: what everything is made from.
        extent: what part of the photograph the network saw.

    Attributes:
        promised: keys of the atoms whose icons will be made: marks name them before they are.
    """

    def __init__(self, context: Context, extent: Extent) -> None:
        self.context, self.extent = context, extent
        self.promised: set[str] = set()
        self.sprites: dict[str, Sprite] = {}
        self.fields: dict[str, Field] = {}
        self.selections: dict[str, SceneSelection] = {}
        self._opened: set[str] = set()

    def key(self, source: Substrate, index: int) -> str:
        """The identity of an atom, the same wherever it appears."""
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
            return group_request(source.layer.layer, index, direction)
        return None

    def sprite(self, key: str) -> str | None:
        """The name of an atom's icon, where there will be one."""
        return key if key in self.promised else None

    def deliver(self, icons: Mapping[str, Icon], quality: Quality) -> None:
        """Keep the icons that were promised."""
        self.sprites = {key: _sprite(icon, quality) for key, icon in icons.items()}

    def activation_field(self, source: Substrate, index: int) -> str | None:
        """The name of the map of where an atom fires."""
        if not isinstance(source.layer, Hidden) or source.atom not in NAMES:
            return None
        key = self.key(source, index)
        if key in self.fields:
            return key
        layer = source.layer.layer
        label = f"{self.label(source, index)} at {layer}"
        if source.atom == "group":
            sizes = self.context.directions(source).norm(dim=1)
            maps = self.context.scores(source)[0] * sizes[:, None, None]
            top = float(maps.max())  # one scale for all groups: they are compared
            return self.field(key, maps[index], (0.0, top), label, index)
        grid = self.context.maps(layer)[0, index]
        domain = (min(0.0, float(grid.min())), float(grid.max()))
        return self.field(key, grid, domain, label)

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
        if low < 0:
            low, high = -max(-low, high), max(-low, high)
        span = (low, high if high > low else low + 1.0)
        self.fields[name] = Field(grid.numpy(), span, unit, label, hue, self.extent)
        return name

    def selection(
        self,
        selection: Selection,
        value: Value,
        default: int | None = None,
        of_target: bool = False,
    ) -> str:
        """The name of a selection over a value's source (or target) atoms.

        Spatial selections of one grid are one; the others belong to a layer. The first panel that
        follows a selection decides the state it opens in; where none does, it opens on the atom
        with the largest number.
        """
        states = states_of(selection, value, of_target)
        axes = selected_axes(selection, of_target)
        opened = _strongest(value, axes) if default is None else default
        given = f"{selection.name}-" if selection.name else ""
        if selection.atom == "spatial":
            rows, columns = (value.data.shape[value.axis(axis)] for axis in axes)
            grid = (rows, columns)
            name = f"{given}{selection.gesture}-spatial-{grid[0]}x{grid[1]}"
            keys = tuple(f"{y},{x}" for y, x in states)  # type: ignore[misc]
            made = SceneSelection(
                name, selection.gesture, "spatial", keys, opened, grid, self.extent
            )
        else:
            owner = _owner(selection, value, of_target)
            name = f"{given}{selection.gesture}-{selection.atom}-{place_name(owner)}"
            places = value.coords[axes[0]]
            keys = tuple(self.key(owner, places[int(i)]) for i in states)  # type: ignore[arg-type]
            made = SceneSelection(name, selection.gesture, selection.atom, keys, opened)
        if name not in self.selections or (default is not None and name not in self._opened):
            self.selections[name] = made
        if default is not None:
            self._opened.add(name)
        return name


def _strongest(value: Value, axes: tuple[str, ...]) -> int:
    """The state with the largest magnitude over everything else, counted in rows."""
    places = [value.axis(axis) for axis in axes]
    others = [place for place in range(value.data.ndim) if place not in places]
    size = value.data.abs().amax(others) if others else value.data.abs()
    return int(size.flatten().argmax())


def _owner(selection: Selection, value: Value, of_target: bool) -> Substrate:
    """The substrate whose atoms a selection picks."""
    if selection.atom == "class":
        return as_substrate(Out())
    return value.target if of_target and value.target is not None else value.source


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
    flat = torch.cat([tensor.flatten() for tensor in tensors] or [torch.zeros(1)])
    return (min(0.0, float(flat.min())), max(0.0, float(flat.max())))


def _sprite(icon: Icon, quality: Quality) -> Sprite:
    details = (
        ("objective", icon.request.objective.label),
        ("layer", icon.request.layer),
        ("score", f"{icon.score:.3g}"),
        ("steps", str(quality.n_steps)),
        ("seed", str(quality.seed)),
    )
    return Sprite(icon.pixels, icon.request.label, details)
