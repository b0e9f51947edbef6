"""What stands at the place of a unit, in every layer on the way to it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Place = tuple[float, float]


def around(maps: Tensor, places: Sequence[Place], side: Place) -> Tensor:
    """The mean of each channel over the part of a layer's grid that covers a place.

    A layer with a finer grid than the unit's has several cells there, its own has one: pictures of
    any size are compared where the unit stands, and not where something else is in them.

    Args:
        maps: (picture, channel, y, x).
        places: (picture,) where its unit stands, down and across in fractions of the picture.
        side: height and width of the place, in the same fractions.

    Returns:
        (picture, channel).

    >>> maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    >>> around(maps, [(0.25, 0.75)], (0.5, 0.5)).item()  # the upper right quarter
    4.5
    >>> around(maps, [(0.1, 0.9)], (0.25, 0.25)).item()
    3.0
    """
    rows, columns = maps.shape[-2:]
    found = []
    for picture, (down, across) in zip(maps, places, strict=True):
        up, low = _cells(down, side[0], rows)
        left, right = _cells(across, side[1], columns)
        found.append(picture[:, up:low, left:right].mean((1, 2)))
    return torch.stack(found)


def peaks(maps: Tensor) -> tuple[Tensor, list[Place]]:
    """The largest number of each picture, and where it is.

    Args:
        maps: (picture, y, x).

    Returns:
        (picture,) the number, and the middle of the first cell that has it, down and across in
        fractions of the picture.

    >>> values, places = peaks(torch.tensor([[[0.0, 1.0], [3.0, 2.0]]]))
    >>> values.tolist(), places
    ([3.0], [(0.75, 0.25)])
    """
    rows, columns = maps.shape[-2:]
    best = maps.flatten(1).max(1)
    cells = [divmod(cell, columns) for cell in best.indices.tolist()]
    return best.values, [middle(cell, (rows, columns)) for cell in cells]


def middle(cell: tuple[int, int], grid: tuple[int, int]) -> Place:
    """The middle of a cell in fractions of the picture.

    >>> middle((1, 0), (2, 4))
    (0.75, 0.125)
    """
    return (cell[0] + 0.5) / grid[0], (cell[1] + 0.5) / grid[1]


def _cells(centre: float, side: float, cells: int) -> tuple[int, int]:
    """The first cell and the one behind the last, at least one."""
    first = min(max(round((centre - side / 2) * cells), 0), cells - 1)
    return first, max(first + 1, min(round((centre + side / 2) * cells), cells))
