"""What is shown of a photograph where the smallest part that matters was not looked for.

To find that part takes some fourteen passes, and a page shows hundreds. A few of them, found once
for a layer, tell how large such a part usually is; gradients tell where it lies.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_blocks.errors import BlocksError
from captum_blocks.examples._looked import Looked
from captum_blocks.examples.again import BATCH, Again
from captum_blocks.examples.boxes import Extent, Size, on_photograph
from captum_blocks.examples.crops import Crop, cropped
from captum_blocks.examples.example import Box
from captum_blocks.examples.stored import Stored
from captum_blocks.hooks import running
from captum_blocks.network import Network
from captum_blocks.store import whole_file

# So many examples of a layer tell what is usual there: what is shown holds this share of them.
TRIED, HELD = 8, 0.6
KEPT = "extents.json"
# Steps along a side of the network's input: more than anybody sees.
_FINE = 4096
Ends = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """What is shown about a place of a layer.

    Attributes:
        grid: (rows, columns) of the layer.
        sides: (height, width) as shares of the network's input.
        down, across: where the first and the last row look, and the first and the last column, in
            fractions of the input; None where cells share it evenly.

    >>> Frame((4, 4), (0.5, 0.5)).about((0, 3), None)
    (0.0, 0.5, 0.5, 1.0)
    >>> Frame((4, 4), (0.5, 0.5)).about((0, 3), ((200, 100), (0.0, 0.25, 1.0, 0.75)))
    (0.0, 0.5, 0.5, 0.75)
    >>> Frame((3, 3), (0.25, 0.25), down=(0.25, 0.75), across=(0.25, 0.75)).about((0, 1), None)
    (0.125, 0.375, 0.375, 0.625)
    """

    grid: Size
    sides: Ends
    down: Ends | None = None
    across: Ends | None = None

    def middle(self, place: Size) -> tuple[float, float]:
        """Where a place looks, down and across in fractions of the network's input."""
        down, across = (
            first + (last - first) * cell / max(cells - 1, 1)
            for cell, cells, (first, last) in zip(
                place,
                self.grid,
                (self.down or even(self.grid[0]), self.across or even(self.grid[1])),
                strict=True,
            )
        )
        return down, across

    def about(self, place: Size, shown: tuple[Size, Extent] | None) -> Box:
        """The part about a place, in fractions of the photograph, moved where it would leave it.

        Args:
            place: (y, x) on the grid.
            shown: (width, height) of the photograph, and the part of it that the network sees; None
                where it sees what there is.
        """
        edges = []
        for middle, side in zip(self.middle(place), self.sides, strict=True):
            start = min(max(middle - side / 2, 0.0), 1.0 - side)
            edges.append((start, start + side))
        (top, bottom), (left, right) = edges
        if shown is None:
            return (top, left, bottom, right)
        (wide, high), extent = shown
        fine = tuple(round(edge * _FINE) for edge in (top, left, bottom, right))
        found = on_photograph(fine, (_FINE, _FINE), (wide, high), extent)  # type: ignore[arg-type]
        if found is None:  # all of it lies on the bars of a letterbox
            return (0.0, 0.0, 1.0, 1.0)
        return (found[0] / high, found[1] / wide, found[2] / high, found[3] / wide)


def even(cells: int) -> Ends:
    """Where the first and the last of some cells look that share a side evenly.

    >>> even(4)
    (0.125, 0.875)
    """
    return 0.5 / cells, 1 - 0.5 / cells


class Extents:
    """What is usual at each layer: what holds, about a place, most of the smallest parts.

    What was found is kept in the folder of the index, where that can be written to.
    """

    def __init__(self, stored: Stored) -> None:
        self._stored, self._path = stored, Path(stored.folder) / KEPT
        self._known = _read(self._path, stored)

    def frame(self, order: int, again: Again, net: Network) -> Frame:
        """Of a layer, by its number."""
        name = self._stored.names[order]
        if name not in self._known:
            self._known[name] = _found(self._stored, order, again, net)
            content = {name: _packed(held) for name, held in self._known.items()}
            with suppress(BlocksError, OSError), whole_file(self._path) as file:
                file.write(json.dumps(content).encode())
        return self._known[name]


def _packed(frame: Frame) -> dict[str, Any]:
    return {"sides": frame.sides, "down": frame.down, "across": frame.across}


def _unpacked(held: dict[str, Any], grid: Size) -> Frame:
    sides, down, across = (
        None if ends is None else (float(ends[0]), float(ends[1]))
        for ends in (held["sides"], held["down"], held["across"])
    )
    return Frame(grid, sides or (1.0, 1.0), down, across)


def _read(path: Path, stored: Stored) -> dict[str, Frame]:
    """What is known already; nothing where it is not as it was written."""
    try:
        held = json.loads(path.read_text("utf-8"))
        known = {
            name: _unpacked(held[name], stored.grid(order))
            for order, name in enumerate(stored.names)
            if name in held
        }
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return {}
    return {name: frame for name, frame in known.items() if _can_be(frame)}


def _can_be(frame: Frame) -> bool:
    ends = [*(frame.down or (0.5,)), *(frame.across or (0.5,))]
    return all(0 < side <= 1 for side in frame.sides) and all(0 <= end <= 1 for end in ends)


def _found(stored: Stored, order: int, again: Again, net: Network) -> Frame:
    """From the best photographs of some channels that fire anywhere."""
    table, grid = stored.layer(order), stored.grid(order)
    chosen = _best(table)
    if not chosen:
        return Frame(grid, (1.0, 1.0))
    images = [int(stored.pictures["images"][row]) for _, row in chosen]
    batch = again.read(sorted(set(images)))
    assert batch.x is not None
    x = batch.x[[batch.images.index(image) for image in images]]
    layout = again.layout(x)
    looked = Looked.at(net.module, again.layer, x, layout)
    places = [divmod(int(table["at"][row, channel]), grid[1]) for channel, row in chosen]
    crops = cropped(
        net.module,
        again.layer,
        x,
        torch.tensor(places),
        torch.tensor([channel for channel, _ in chosen]),
        layout=layout,
        signs=torch.ones(len(chosen)),
    )
    with running(net.module):
        down, across = _ends(looked, x)
    middles = Frame(grid, (1.0, 1.0), down, across)
    return Frame(grid, _sides(crops, [middles.middle(place) for place in places]), down, across)


def _sides(crops: Sequence[Crop], middles: Sequence[tuple[float, float]]) -> Ends:
    """Height and width of what holds, about its place, most of the parts that say where."""
    reach = [
        [
            2 * max(middle * long - first, last - middle * long) / long
            for middle, long, first, last in zip(
                about, crop.shape, crop.box[:2], crop.box[2:], strict=True
            )
        ]
        for crop, about in zip(crops, middles, strict=True)
        if isfinite(crop.kept)
    ]
    if not reach:
        return (1.0, 1.0)
    high, wide = np.quantile(np.array(reach), HELD, axis=0).clip(max=1.0)
    return float(high), float(wide)


def _best(table: dict[str, Any]) -> list[tuple[int, int]]:
    """Some channels that fire anywhere, each with a photograph that excites it most: its row."""
    values, rows = np.array(table["top"], np.float64), np.array(table["top_rows"])
    alive = np.flatnonzero(values[0] > 0)
    if not len(alive):
        return []
    channels = alive[np.linspace(0, len(alive) - 1, min(TRIED, len(alive))).astype(int)]
    each = min(-(-TRIED // len(channels)), len(rows))
    return [(int(c), int(rows[rank, c])) for c in channels for rank in range(each)][:BATCH]


def _ends(looked: Looked, x: Tensor) -> tuple[Ends | None, Ends | None]:
    """Where the first and the last row and column look; None where cells share a side evenly.

    The middle of what a place looks at is the weighted median of its gradient's squared energy,
    taken at places a quarter from either end; between them and beyond it goes on in a line.
    """
    grid = looked.shape[1:]
    near = [cells // 4 for cells in grid]
    far = [cells - 1 - cells // 4 for cells in grid]
    first, last = (_middles(looked, x, place) for place in (near, far))
    found: list[Ends | None] = []
    for cells, low, high, start, stop in zip(grid, near, far, first, last, strict=True):
        apart = (stop - start) / (high - low) if high > low else 0.0
        ends = (start - apart * low, start + apart * (cells - 1 - low))
        off = max(abs(one - other) for one, other in zip(ends, even(cells), strict=True))
        inside = 0 <= ends[0] <= ends[1] <= 1
        found.append(ends if cells > 1 and inside and off > 1 / cells else None)
    return found[0], found[1]


def _middles(looked: Looked, x: Tensor, place: Sequence[int]) -> list[float]:
    """Down and across in fractions of the input, the median over pictures."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(len(x), looked.shape[0], generator=generator).to(x)
    places = torch.tensor([list(place)] * len(x), device=x.device)
    with torch.enable_grad():
        pictures = x.detach().clone().requires_grad_()
        value = looked.values(pictures, places, directions).sum()
        (moved,) = torch.autograd.grad(value, pictures)
    energy = moved.double().square().sum(1)
    return [float(_median_along(energy.sum(axis)).median()) for axis in (2, 1)]


def _median_along(held: Tensor) -> Tensor:
    """(picture,) where half of what lies along a side is reached, in fractions of it."""
    share = held.cumsum(1) / held.sum(1, keepdim=True).clamp_min(1e-300)
    return ((share < 0.5).sum(1) + 0.5) / held.shape[1]
