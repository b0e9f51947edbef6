"""Ranks as vectors, whose products are the rank correlations of many pictures with many others."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_blocks.ranking import ranks


def ranked(numbers: Tensor) -> Tensor:
    """The ranks of each row, as vectors of length 1 whose products are rank correlations.

    Equal numbers share their mean rank. A row whose numbers are all equal has no ranks: NaN.

    Args:
        numbers: (..., feature).

    Returns:
        (..., feature), float64.

    >>> one, other = ranked(torch.tensor([[1.0, 2.0, 3.0], [9.0, 4.0, 1.0]]))
    >>> round((one @ other).item(), 4)
    -1.0
    """
    held = ranks(numbers)
    centred = held - held.mean(-1, keepdim=True)
    length = centred.norm(dim=-1, keepdim=True)
    found: Tensor = centred / length.where(length > 0, torch.nan)
    return found
