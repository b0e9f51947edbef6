"""What stands at places of a layer, run no further than to it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients
from captum_blocks.errors import InvalidArgument, UnusableLayer
from captum_blocks.layouts import Kind, Layout, resolve


@dataclass(frozen=True, eq=False)
class Looked:
    """A layer of a network, and how it is laid out."""

    module: nn.Module
    name: str
    layer: nn.Module
    calls: int
    layout: Layout
    shape: tuple[int, int, int]  # channels, rows, columns

    @staticmethod
    def at(
        module: nn.Module, layer: str | nn.Module, images: Tensor, layout: Layout | Kind | None
    ) -> Looked:
        """Found by one pass."""
        name, found = hooks.find_layer(module, layer)
        named = {name: found}
        with without_gradients(), hooks.capture(named) as seen, hooks.count_calls(named) as counts:
            module(images[:1])
        if name not in seen:
            raise UnusableLayer(f"the network ran to its end without calling layer {name!r}")
        size = (images.shape[2], images.shape[3])
        laid = resolve(layout, seen[name].shape, size, found)
        shape = laid.to_maps(seen[name]).shape
        return Looked(module, name, found, counts[name], laid, (shape[1], shape[2], shape[3]))

    def checked(self, rows: int, places: Tensor, units: Tensor, signs: Tensor | None) -> Tensor:
        """The units of so many rows as directions (row, channel).

        Raises:
            InvalidArgument: they do not fit the layer.
        """
        channels, *grid = self.shape
        alone = signs is None or signs.shape == (rows,)
        if places.shape != (rows, 2) or units.shape[:1] != (rows,) or not alone:
            raise InvalidArgument(
                f"{rows} rows, places of shape {tuple(places.shape)} and units of shape "
                f"{tuple(units.shape)}; each row has a place (y, x), a unit, and a sign if any"
            )
        if bool((places < 0).any() or (places >= torch.tensor(grid, device=places.device)).any()):
            raise InvalidArgument(f"a place outside of the grid of {self.name!r}: {tuple(grid)}")
        if units.is_floating_point():
            if units.shape != (rows, channels):
                raise InvalidArgument(
                    f"directions of shape {tuple(units.shape)}; give (row, {channels})"
                )
            return units
        if units.ndim != 1 or bool(((units < 0) | (units >= channels)).any()):
            raise InvalidArgument(f"{self.name!r} has channels 0 to {channels - 1}")
        return torch.nn.functional.one_hot(units, channels).float()

    def values(self, x: Tensor, places: Tensor, directions: Tensor) -> Tensor:
        """(row,) what stands there."""
        seen = hooks.run_until(
            self.module, {self.name: self.layer}, x, calls={self.name: self.calls}
        )
        maps = self.layout.to_maps(seen[self.name])
        rows = torch.arange(len(maps), device=maps.device)
        return (maps[rows, :, places[:, 0], places[:, 1]] * directions.to(maps)).sum(1)
