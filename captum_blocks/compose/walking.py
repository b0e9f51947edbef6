"""What pictures do along the layers of a network, at the places where a unit is active."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from captum_blocks._gradients import without_gradients
from captum_blocks.errors import InvalidArgument
from captum_blocks.hooks import find_layer, run_until, running
from captum_blocks.layouts import Layout
from captum_blocks.network import LayerInfo, Network
from captum_blocks.optim.lanes import MOST, Lanes
from captum_blocks.optim.trunk import Trunk
from captum_blocks.reliability.places import where

# So many layers are compared, and a rank correlation of fewer channels is noise.
LAYERS, FEWEST_CHANNELS = 8, 8
AT_ONCE = 16


class Passes:
    """A network as far as some layers, made fast once for pictures of a size.

    Args:
        net: the network.
        layers: names of the layers.

    Raises:
        UnusableLayer: icons of the network could not be drawn either.

    >>> net = Network(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()))
    >>> Passes(net, ["1"])(torch.zeros(2, 3, 8, 8))["1"].shape
    torch.Size([2, 4, 6, 6])
    """

    def __init__(self, net: Network, layers: Sequence[str]) -> None:
        self._net, self._layers = net, tuple(layers)
        self._by_shape: dict[tuple[int, ...], Lanes] = {}

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """(picture, ...) as the network takes them -> (picture, channel, y, x) by layer."""
        with without_gradients():
            return {name: maps.float().cpu() for name, maps in self.lanes(x).trunk(x).items()}

    def lanes(self, x: Tensor) -> Lanes:
        """Threads that run it side by side for such pictures, once they are opened."""
        shape = tuple(x.shape[1:])
        if shape not in self._by_shape:
            layouts = self._layouts(x[:1])
            trunk = Trunk(self._net.module, self._layers, x[:1], layouts=layouts)
            self._by_shape[shape] = Lanes(trunk, MOST)
        return self._by_shape[shape]

    def _layouts(self, x: Tensor) -> dict[str, Layout]:
        """Where the layers keep their places, for pictures of this size."""
        parts = {name: find_layer(self._net.module, name)[1] for name in self._layers}
        shape = tuple(x.shape[1:])
        self._net.tested(self._layers, shape)  # all at once, before they are asked for one by one
        with without_gradients(), running(self._net.module):
            outputs = run_until(self._net.module, parts, x)
        return {name: self._net.layout_of(name, output, shape) for name, output in outputs.items()}


@dataclass(frozen=True, eq=False)
class Walk:
    """The layers that pictures go through on the way to a unit's.

    Attributes:
        net: the network.
        layers: their names, in the order in which they return; the last is the unit's.
        cells: rows and columns of the unit's layer, as photographs are seen.
    """

    net: Network
    layers: tuple[str, ...]
    cells: tuple[int, int]

    @staticmethod
    def to(net: Network, layer: str, x: Tensor) -> Walk:
        """The way to a layer, for pictures like some.

        Args:
            net: the network.
            layer: full name of the unit's layer.
            x: (picture, ...) as the network takes them.

        Raises:
            InvalidArgument: the layer has no places, so photographs have none where it stands.
        """
        table = {info.name: info for info in net.layers(x[:1])}
        if layer not in table or min(table[layer].grid) < 2:
            raise InvalidArgument(
                f"{layer!r} has no places in the picture, so nothing can be compared where a unit "
                "of it stands: ask for a layer before it, net.layers() lists all"
            )
        names = list(table)
        before = [table[name] for name in names[: names.index(layer)]]
        rows, columns = table[layer].grid
        able = [
            each.name
            for each in _unlike(before, table[layer])
            if _comparable(each, (rows, columns))
        ]
        return Walk(net, (*_spread(able, LAYERS - 1), layer), (rows, columns))

    @cached_property
    def passes(self) -> Passes:
        """The network as far as the unit's layer."""
        return Passes(self.net, self.layers)

    def maps(self, x: Tensor) -> list[Tensor]:
        """(picture, channel, y, x) of each layer."""
        return list(self.passes(x).values())

    def vectors(self, x: Tensor, counts: Tensor) -> list[Tensor]:
        """(picture, channel) of each layer, a mean over places of each picture.

        Args:
            x: (picture, ...) as the network takes them.
            counts: (picture, row, column) how often each place counts.
        """
        parts = [self.cut(self.maps(some), of) for some, of in _together(x, counts)]
        return [torch.cat(each) for each in zip(*parts, strict=True)]

    def cut(self, maps: Sequence[Tensor], counts: Tensor) -> list[Tensor]:
        """The same of maps, (picture, channel, y, x) of each layer."""
        return [where(each, counts) for each in maps]


def _together(x: Tensor, counts: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(x.split(AT_ONCE), counts.split(AT_ONCE), strict=True)


def _comparable(info: LayerInfo, grid: tuple[int, int]) -> bool:
    """Whether a layer before the unit's says something of a place as small as the unit's."""
    fine = all(own >= cells for own, cells in zip(info.grid, grid, strict=True))
    return fine and info.channels >= FEWEST_CHANNELS and info.calls == 1 and ":" not in info.name


def _unlike(before: Sequence[LayerInfo], last: LayerInfo) -> list[LayerInfo]:
    """Without the last part of a layer where the layer returns just what that does."""
    return [
        each
        for each, then in pairwise([*before, last])
        if not (each.name.startswith(f"{then.name}.") and each.shape == then.shape)
    ]


def _spread(names: Sequence[str], count: int) -> list[str]:
    """At most so many, evenly along the way, the last of them always.

    >>> _spread(list("abcdefg"), 3)
    ['b', 'e', 'g']
    """
    count = min(count, len(names))
    return [names[round((each + 1) * len(names) / count) - 1] for each in range(count)]
