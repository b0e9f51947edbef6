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
    """Compares vectors so that what varies together among photographs of one thing counts once.

    Where channels rise and fall together whatever is seen, as all those do that texture sets off,
    their correlation tells one thing many times. So vectors are taken from a mean, and their
    products are those by the inverse of a covariance within kinds (as in linear discriminant
    analysis), half-way to that of vectors that scatter alike in all directions: there are fewer
    photographs than channels (shrunk as by Ledoit & Wolf 2004, but by a fixed half).

    Attributes:
        mean: (feature,) of all kinds, that vectors are taken from.
        within: (photograph, feature) how each is away from the mean of its kind.
        alike: variance along directions in which photographs do not scatter.
        factor: (photograph, photograph) lower triangle by which Woodbury's identity inverts the
            covariance through the smaller matrix.

    >>> photographs = torch.randn(400, 3) * torch.tensor([9.0, 1.0, 1.0])
    >>> whitening = Whitening.of(photographs, torch.arange(400) % 2)
    >>> solved = whitening.solve(torch.eye(3) + whitening.mean).diag()
    >>> bool(solved[0] < 0.3 * solved[1])
    True
    """

    mean: Tensor
    within: Tensor
    alike: Tensor
    factor: Tensor

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
        within = photographs - means[of]
        free = max(len(of) - member.shape[1], 1)
        scattered = within.square().sum() / free
        alike = (SHRUNK * scattered / photographs.shape[1]).clamp_min(LEAST)
        inner = within @ within.mT
        inner.diagonal().add_(alike * free / (1 - SHRUNK))
        return Whitening(means.mean(0), within, alike, torch.linalg.cholesky(inner))

    def solve(self, vectors: Tensor) -> Tensor:
        """(vector, feature): how vectors are away from the mean, by the inverse of the covariance.

        Args:
            vectors: (vector, feature).
        """
        away = vectors - self.mean
        across = torch.cholesky_solve(self.within @ away.mT, self.factor)
        return (away - across.mT @ self.within) / self.alike

    def cosines(self, vectors: Tensor) -> Tensor:
        """(vector, vector): their products by the inverse of the covariance, as cosines.

        A vector without numbers, or one that is the mean, is like no other: 0.
        """
        products = self.solve(vectors) @ (vectors - self.mean).mT
        lengths = products.diagonal().clamp_min(0).sqrt()
        found: Tensor = (products / (lengths[:, None] * lengths)).nan_to_num(0.0)
        return found
