"""Ranks of numbers: what rank correlations are made of."""

from __future__ import annotations

import torch
from torch import Tensor


def ranks(numbers: Tensor) -> Tensor:
    """The rank of each number along the last axis, from 1; equal ones share their mean rank.

    >>> ranks(torch.tensor([0.5, -1.0, 0.5, 7.0])).tolist()
    [2.5, 1.0, 2.5, 4.0]
    """
    rows = numbers.reshape(-1, numbers.shape[-1]).contiguous()
    held = rows.sort(-1).values
    below = torch.searchsorted(held, rows)
    up_to = torch.searchsorted(held, rows, right=True)
    return ((below + 1 + up_to).double() / 2).reshape(numbers.shape)
