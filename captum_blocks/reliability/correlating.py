"""Ranks as vectors, whose products are the rank correlations of many pictures with many others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from captum_blocks.ranking import ranks

# How far a covariance is moved to that of vectors that scatter alike in all directions; and what
# photographs that are all alike are taken to scatter by.
SHRUNK, LEAST = 0.5, 1e-12
# A direction along which they scatter less than so much of the most, squared, is rounding.
NONE = 1e-12


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


@dataclass(frozen=True, eq=False)
class Whitening:
    """Makes vectors in which what varies together among photographs of one thing counts once.

    Where channels rise and fall together whatever is seen, as all those do that texture sets off,
    their correlation tells one thing many times. So vectors are taken from a mean, and multiplied
    by the inverse root of a covariance within kinds (as in linear discriminant analysis), half-way
    to that of vectors that scatter alike in all directions: there are fewer photographs than
    channels (shrunk as by Ledoit & Wolf 2004, but by a fixed half).

    Attributes:
        mean: (feature,) of all kinds, that vectors are taken from.
        along: (direction, feature) in which photographs scatter, each of length 1.
        scale: (direction,) what is along each is multiplied by.
        else_by: what is along none is multiplied by.

    >>> photographs = torch.randn(400, 3) * torch.tensor([9.0, 1.0, 1.0])
    >>> whitened = Whitening.of(photographs, torch.arange(400) % 2)
    >>> scale = whitened(torch.eye(3) + whitened.mean).diag()
    >>> bool(scale[0] < 0.6 * scale[1])
    True
    """

    mean: Tensor
    along: Tensor
    scale: Tensor
    else_by: Tensor

    @staticmethod
    def of(photographs: Tensor, kinds: Tensor) -> Whitening:
        """By some photographs.

        Args:
            photographs: (photograph, feature).
            kinds: (photograph,) a number that is the same for those of one kind.
        """
        _, of = kinds.unique(return_inverse=True)
        member = functional.one_hot(of).to(photographs)
        means = member.mT @ photographs / member.sum(0)[:, None]
        free = max(len(of) - member.shape[1], 1)
        within = photographs - means[of]
        # There are fewer photographs than channels: their products are the smaller matrix.
        squares, turned = torch.linalg.eigh(within @ within.mT)
        some = squares > squares[-1] * NONE
        along = (turned[:, some] / squares[some].sqrt()).mT @ within
        scattered = squares[some] / free
        alike = (SHRUNK * scattered.sum() / photographs.shape[1]).clamp_min(LEAST)
        scale = ((1 - SHRUNK) * scattered + alike).rsqrt()
        return Whitening(means.mean(0), along, scale, alike.rsqrt())

    def __call__(self, vectors: Tensor) -> Tensor:
        """(..., feature) of the same."""
        away = vectors - self.mean
        parts = away @ self.along.mT
        return away * self.else_by + (parts * (self.scale - self.else_by)) @ self.along
