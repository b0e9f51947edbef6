"""What a layer does at the places of a picture where a unit is active."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

# Where a unit is at least so active, as a share of its most, there it counts as active.
ENOUGH = 0.5


def where(maps: Tensor, counts: Tensor) -> Tensor:
    """The mean of each channel over places, each as often as it counts.

    A layer with a finer grid than the unit's has several cells at a place, its own has one:
    pictures of any size are compared where the unit is active, and not where something else is in
    them.

    Args:
        maps: (picture, channel, y, x).
        counts: (picture, row, column) how often each place counts, on a grid of any size; of one
            picture any number of times.

    Returns:
        (picture, channel), or as often as is counted.

    >>> maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    >>> where(maps, torch.tensor([[[0, 1], [0, 0]]])).item()  # the upper right quarter
    4.5
    >>> where(maps, torch.tensor([[[1, 1], [0, 0]], [[0, 0], [0, 1]]])).tolist()
    [[3.5], [12.5]]
    """
    spread = functional.interpolate(counts[:, None].float(), maps.shape[-2:], mode="area")
    share = spread[:, 0] / spread.sum((2, 3))[..., None]
    if len(maps) == 1:
        return share.to(maps.dtype).flatten(1) @ maps[0].flatten(1).mT
    return torch.einsum("ncyx,nyx->nc", maps, share.to(maps.dtype))


def active(maps: Tensor) -> Tensor:
    """Where a unit is at least half as active as where it is most.

    What an icon shows is all over it: at its highest place alone stands what the highest of many
    chances put there, and where a unit does the same everywhere that place is none.

    Args:
        maps: (picture, y, x) of the unit.

    Returns:
        (picture, y, x), 1 where it is and 0 elsewhere.

    >>> active(torch.tensor([[[0.0, 2.0], [4.0, 3.0]]])).tolist()
    [[[0, 1], [1, 1]]]
    """
    most = maps.amax((1, 2), keepdim=True)
    return (maps >= most - (1 - ENOUGH) * most.abs()).long()


def spots(cells: Sequence[tuple[int, int]], grid: tuple[int, int]) -> Tensor:
    """The same where one cell of a grid is known for each picture.

    >>> spots([(1, 0)], (2, 3)).tolist()
    [[[0, 0, 0], [1, 0, 0]]]
    """
    counts = torch.zeros(len(cells), *grid, dtype=torch.long)
    rows, columns = torch.tensor(list(cells)).reshape(-1, 2).T
    counts[torch.arange(len(cells)), rows, columns] = 1
    return counts
