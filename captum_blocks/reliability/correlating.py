"""Rank correlations of many pictures with many others, at one layer."""

from __future__ import annotations

import torch
from torch import Tensor


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
    rows = numbers.reshape(-1, numbers.shape[-1]).contiguous()
    held = rows.sort(-1).values
    below = torch.searchsorted(held, rows)
    up_to = torch.searchsorted(held, rows, right=True)
    places = (below + up_to).double()
    centred = places - places.mean(-1, keepdim=True)
    length = centred.norm(dim=-1, keepdim=True)
    found: Tensor = centred / length.where(length > 0, torch.nan)
    return found.reshape(numbers.shape)


def correlations(ones: Tensor, others: Tensor) -> Tensor:
    """Spearman's rank correlation of each picture with each other one.

    Pearson's of the ranks (Spearman, "The proof and measurement of association between two
    things", 1904).

    Args:
        ones: (picture, feature).
        others: (other, feature).

    Returns:
        (picture, other), float64, NaN where a picture has the same number everywhere.

    >>> found = correlations(torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[0.0, 3.0, 4.0]]))
    >>> round(found.item(), 4)
    1.0
    """
    return (ranked(ones) @ ranked(others).mT).clamp(-1, 1)
