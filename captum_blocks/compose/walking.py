"""What pictures do along the layers of a network, at the places where a unit is active."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from captum_blocks._gradients import without_gradients
from captum_blocks.behaviour import observed
from captum_blocks.errors import InvalidArgument
from captum_blocks.hooks import find_layer, run_until, running, together
from captum_blocks.network import LayerInfo, Network
from captum_blocks.reliability.places import where

# So many layers are compared, and a rank correlation of fewer channels is noise.
LAYERS, FEWEST_CHANNELS = 8, 8
AT_ONCE = 16


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

    def maps(self, x: Tensor) -> list[Tensor]:
        """(picture, channel, y, x) of each layer."""
        return maps_along([self], x)[self]

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


def maps_along(walks: Sequence[Walk], x: Tensor) -> dict[Walk, list[Tensor]]:
    """By each walk of one network (picture, channel, y, x) of each layer, all of one pass."""
    net = walks[0].net
    parts = {name: find_layer(net.module, name)[1] for each in walks for name in each.layers}
    apart = len(x) > 1 and observed(net.module, x[:2]).apart
    with without_gradients(), running(net.module):
        rows = [run_until(net.module, parts, some) for some in x.split(1 if apart else len(x))]
    outputs = {name: together([each[name] for each in rows]) for name in parts}
    shape = tuple(x.shape[1:])
    net.tested(list(parts), shape)  # all at once, before they are asked for one by one
    maps = {
        name: net.layout_of(name, output, shape).to_maps(output).float().cpu()
        for name, output in outputs.items()
    }
    return {each: [maps[name] for name in each.layers] for each in walks}


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
