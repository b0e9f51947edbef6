"""Mean and central moments of many numbers, put together piece by piece without losing digits.

Pébay, Formulas for Robust, One-Pass Parallel Computation of Covariances and Arbitrary-Order
Statistical Moments, Sandia SAND2008-6212.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Moments:
    """How numbers are spread, channel by channel.

    Attributes:
        count: how many numbers of a channel there are.
        sums: (4, channel) float64: their mean, and the sums of the second, third and fourth powers
            of what they are away from it.

    >>> pieces = [np.float64([[1], [2]]), np.float64([[3], [4], [8]])]
    >>> joined = Moments.joined([Moments.of(piece) for piece in pieces])
    >>> joined.mean.tolist(), joined.variance.tolist()
    ([3.6], [5.84])
    """

    count: int
    sums: Array

    @classmethod
    def of(cls, numbers: Array) -> Moments:
        """Of (number, channel)."""
        mean = numbers.mean(0)
        away = numbers - mean
        return cls(len(numbers), np.stack([mean, *((away**power).sum(0) for power in (2, 3, 4))]))

    @classmethod
    def each(cls, count: int, sums: Array) -> Moments:
        """Of images, (image, 4, channel), that hold as many numbers each."""
        sums = sums.astype(np.float64)
        mean, second, third, fourth = sums.swapaxes(0, 1)
        middle = mean.mean(0)
        d = mean - middle
        made = (
            middle,
            (second + count * d**2).sum(0),
            (third + 3 * d * second + count * d**3).sum(0),
            (fourth + 4 * d * third + 6 * d**2 * second + count * d**4).sum(0),
        )
        return cls(count * len(sums), np.stack(made))

    @classmethod
    def joined(cls, parts: list[Moments]) -> Moments:
        """Of all parts together; the order decides the last bits."""
        made = parts[0]
        for part in parts[1:]:
            made = made.with_more(part)
        return made

    def with_more(self, other: Moments) -> Moments:
        """Of both together."""
        if not other.count:
            return self
        if not self.count:
            return other
        (m1, a2, a3, a4), (m2, b2, b3, b4) = self.sums, other.sums
        na, nb = self.count, other.count
        n, d = na + nb, m2 - m1
        second = a2 + b2 + d**2 * na * nb / n
        third = a3 + b3 + d**3 * na * nb * (na - nb) / n**2 + 3 * d * (na * b2 - nb * a2) / n
        fourth = (
            a4
            + b4
            + d**4 * na * nb * (na**2 - na * nb + nb**2) / n**3
            + 6 * d**2 * (na**2 * b2 + nb**2 * a2) / n**2
            + 4 * d * (na * b3 - nb * a3) / n
        )
        return Moments(n, np.stack([m1 + d * nb / n, second, third, fourth]))

    @property
    def mean(self) -> Array:
        """(channel,)."""
        return np.asarray(self.sums[0])

    @property
    def variance(self) -> Array:
        """(channel,) of all numbers, not an estimate from some."""
        return np.asarray(self.sums[1] / max(self.count, 1))

    @property
    def skewness(self) -> Array:
        """(channel,); NaN where all numbers are equal."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.sums[2] / max(self.count, 1) / self.variance**1.5)

    @property
    def kurtosis(self) -> Array:
        """(channel,); 3 for a normal distribution, NaN where all numbers are equal."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.sums[3] / max(self.count, 1) / self.variance**2)
