"""Boxes in a picture: which of them hold most of what is spread over it, and where they lie.

A box is (top, left, bottom, right) in pixels; bottom and right are not included.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log, prod

import torch
from torch import Tensor

Box = tuple[int, int, int, int]
# Top, left, bottom, right of the network's input, in fractions of the photograph.
Extent = tuple[float, float, float, float]
Size = tuple[int, int]

# The area of a box of a ladder, as a share of that of the one before.
STEP = 0.7
# Along each side of the window in which boxes are laid out.
CELLS = 24
# A box is at most so many times as long as it is wide: it is looked at as a picture.
LONGEST = 2.0
# Of what is spread along a side, the share that is left over at its ends.
_TAIL = 0.01
# Of boxes that hold as much, but for this share, the smaller one.
_EVEN = 1e-4
_ROUNDING = 1e-6


def ladder(energy: Tensor) -> list[Box]:
    """Boxes from the whole picture down, each the one of its size that holds the most.

    The area falls by ``STEP`` from one to the next. Within the window outside of which there is
    hardly anything, a box is the best of all whose edges lie on a grid of ``CELLS`` x ``CELLS``
    and that are no longer than ``LONGEST`` times their width, found from a summed-area table
    (Crow, "Summed-area tables for texture mapping", 1984); larger ones are the window grown.

    Args:
        energy: (y, x), non-negative: how much is where.

    Returns:
        Boxes, at least the whole picture.

    >>> energy = torch.zeros(64, 64)
    >>> energy[40:48, 8:16] = 1
    >>> ladder(energy)[0], (40, 8, 48, 16) in ladder(energy)
    ((0, 0, 64, 64), True)
    """
    size = (energy.shape[0], energy.shape[1])
    window = _window(energy.double().cpu())
    steps = int(log(area(window) / prod(size)) / log(STEP))
    grown = [_grown(window, prod(size) * STEP**step, size) for step in range(1, steps + 1)]
    inside = _best(energy.double().cpu(), window)
    return list(dict.fromkeys([(0, 0, *size), *grown, *inside]))


def area(box: Box) -> int:
    """How many pixels a box has.

    >>> area((1, 1, 3, 5))
    8
    """
    return (box[2] - box[0]) * (box[3] - box[1])


def masks(boxes: Sequence[Box], size: Size) -> Tensor:
    """Boxes as (box, 1, y, x): ones inside and zeros outside.

    >>> masks([(0, 1, 1, 3)], (2, 3)).tolist()
    [[[[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]]]
    """
    top, left, bottom, right = torch.tensor(boxes).T[:, :, None]
    down, across = (torch.arange(side) for side in size)
    rows = (top <= down) & (down < bottom)
    columns = (left <= across) & (across < right)
    inside: Tensor = rows[:, :, None] & columns[:, None, :]
    return inside[:, None].float()


def shaved(box: Box, side: int, share: float) -> Box:
    """A box without a share of it at one side; the box itself where no pixel would be left.

    Args:
        box: to cut from.
        side: 0, 1, 2, 3: top, left, bottom, right.
        share: of its height, or width.

    >>> shaved((0, 0, 8, 8), 2, 0.25)
    (0, 0, 6, 8)
    """
    long = box[side % 2 + 2] - box[side % 2]
    cut = min(round(long * share), long - 1)
    edges = list(box)
    edges[side] += cut if side < 2 else -cut
    return (edges[0], edges[1], edges[2], edges[3])


def on_photograph(box: Box, shape: Size, size: Size, extent: Extent) -> Box | None:
    """Where a box of the network's input lies on the photograph, in pixels of that.

    Rounded outward and cut off at the photograph's edges, beyond which a letterbox has bars.

    Args:
        box: in pixels of the network's input.
        shape: (height, width) of the network's input.
        size: (width, height) of the photograph.
        extent: where the input lies on the photograph: ``preprocess.extent(size)``.

    Returns:
        The box, or None where all of it lies on bars.

    >>> on_photograph((0, 0, 4, 8), (8, 8), (100, 50), (0.0, 0.25, 1.0, 0.75))
    (0, 25, 25, 75)
    >>> on_photograph((0, 0, 2, 8), (8, 8), (100, 50), (-0.5, 0.0, 1.5, 1.0)) is None
    True
    """
    edges = []
    for axis, long in enumerate((size[1], size[0])):
        start, stop = extent[axis], extent[axis + 2]
        scale = (stop - start) * long / shape[axis]
        first = floor(start * long + box[axis] * scale + _ROUNDING * long)
        last = ceil(start * long + box[axis + 2] * scale - _ROUNDING * long)
        edges.append((max(first, 0), min(last, long)))
    (top, bottom), (left, right) = edges
    return (top, left, bottom, right) if bottom > top and right > left else None


def _window(energy: Tensor) -> Box:
    """The part of the picture outside of which there is hardly anything, and no thin strip."""
    (top, bottom), (left, right) = (_ends(energy.sum(axis)) for axis in (1, 0))
    tall, wide = bottom - top, right - left
    shape = (max(tall, round(wide / LONGEST)), max(wide, round(tall / LONGEST)))
    return _placed((top, left, bottom, right), shape, (energy.shape[0], energy.shape[1]))


def _ends(along: Tensor) -> tuple[int, int]:
    held = along.cumsum(0)
    if not held[-1] > 0:
        return (0, len(along))
    share = held / held[-1]
    first, last = int((share <= _TAIL / 2).sum()), int((share < 1 - _TAIL / 2).sum()) + 1
    return (min(first, len(along) - 1), min(last, len(along)))


def _grown(window: Box, pixels: float, size: Size) -> Box:
    """The window grown to so many pixels."""
    tall, wide = window[2] - window[0], window[3] - window[1]
    down = min(max(tall, (pixels * tall / wide) ** 0.5), size[0])
    across = min(max(wide, pixels / down), size[1])
    down = min(max(tall, pixels / across), size[0])
    return _placed(window, (round(down), round(across)), size)


def _placed(window: Box, shape: Size, size: Size) -> Box:
    """A box of a shape about the window's middle, moved where it would reach over an edge."""
    edges = []
    for axis, (long, most) in enumerate(zip(shape, size, strict=True)):
        side = min(max(1, long), most)
        middle = (window[axis] + window[axis + 2]) / 2
        start = min(max(0, round(middle - side / 2)), most - side)
        edges.append((start, start + side))
    (top, bottom), (left, right) = edges
    return (top, left, bottom, right)


def _best(energy: Tensor, window: Box) -> list[Box]:
    """Of each size, the box within the window that holds the most; from large to small."""
    down, across = _edges(window[0], window[2]), _edges(window[1], window[3])
    (top, bottom), (left, right) = _pairs(torch.tensor(down)), _pairs(torch.tensor(across))
    tall, wide = (bottom - top).double()[:, None], (right - left).double()
    pixels = tall * wide
    longer = torch.maximum(tall / wide, wide / tall)
    # A picture may be longer itself.
    allowed = longer <= max(LONGEST, float(longer[len(down) - 2, len(across) - 2]))
    held = _held(energy, down, across)
    worth = held / held.max().clamp(min=1e-300) - _EVEN * pixels / pixels.max()
    level = ((pixels / pixels.max()).log() / log(STEP) + _ROUNDING).floor()
    found = []
    for step in range(int(level[allowed].max()) + 1):
        place = int(worth.masked_fill(~allowed | (level < step), -torch.inf).argmax())
        row, column = divmod(place, len(left))
        box = torch.stack([top[row], left[column], bottom[row], right[column]]).tolist()
        found.append((box[0], box[1], box[2], box[3]))
    return found


def _edges(first: int, last: int) -> list[int]:
    cells = min(CELLS, last - first)
    return [first + round(cell * (last - first) / cells) for cell in range(cells + 1)]


def _pairs(edges: Tensor) -> tuple[Tensor, Tensor]:
    """All starts and stops along the first axis, the stop behind the start."""
    first, last = torch.triu_indices(len(edges), len(edges), 1)
    return edges[first], edges[last]


def _held(energy: Tensor, down: list[int], across: list[int]) -> Tensor:
    """What each box between these edges holds, (rows, columns)."""
    table = torch.nn.functional.pad(energy.cumsum(0).cumsum(1), (1, 0, 1, 0))
    first, last = _pairs(table[down][:, across])
    first, last = _pairs((last - first).T)
    return (last - first).T
