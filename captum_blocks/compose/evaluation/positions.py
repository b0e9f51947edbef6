"""Rows and columns of maps: which of them count, and what their numbers come to."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

POSITIONS = ("y", "x")


def size_of(maps: Tensor, axis: str) -> int:
    """How many rows ("y") or columns ("x") some maps have.

    >>> size_of(torch.ones(1, 4, 2, 3), "y")
    2
    """
    return maps.shape[POSITIONS.index(axis) - len(POSITIONS)]


def only(maps: Tensor, kept: Mapping[str, tuple[int, ...]]) -> Tensor:
    """Maps over the whole photograph that are zero outside of some rows and columns.

    >>> only(torch.ones(2, 3), {"y": (1,), "x": (0, 2)})
    tensor([[0., 0., 0.],
            [1., 0., 1.]])
    """
    for place, axis in enumerate(POSITIONS, -len(POSITIONS)):
        if axis in kept:
            index = torch.tensor(kept[axis], dtype=torch.long)
            held = maps.index_select(place, index)
            maps = torch.zeros_like(maps).index_copy(place, index, held)
    return maps


def pooled(
    maps: Tensor, kept: Mapping[str, tuple[int, ...]], along: tuple[str, ...], mean: bool
) -> Tensor:
    """What maps come to.

    Args:
        maps: (..., y, x).
        kept: the rows and columns that count, where not all do.
        along: which of "y" and "x" stay axes.
        mean: average over the others, instead of summing up.

    >>> pooled(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), {"x": (1,)}, along=("y",), mean=True)
    tensor([2., 4.])
    """
    gone = []
    for place, axis in enumerate(POSITIONS, -len(POSITIONS)):
        if axis in kept:
            maps = maps.index_select(place, torch.tensor(kept[axis], dtype=torch.long))
        if axis not in along:
            gone.append(place)
    if not gone:
        return maps
    averaged = prod(maps.shape[place] for place in gone) if mean else 1
    return maps.sum(gone) / max(averaged, 1)
