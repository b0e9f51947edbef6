"""Where numbers stand among those of photographs, and how sure that is."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
# Of the normal distribution, with 95 % between it and its negative.
Z = 1.959964
# A mean over places is rounded otherwise elsewhere: so near, as a share of a number, is equal.
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Standing:
    """Where numbers stand, as shares from 0 to 1 that all have the numbers' shape.

    Attributes:
        below: the share of the kept numbers that are smaller.
        upto: that of the smaller and the equal ones: where many are equal, as at zero behind a
            ReLU, a number stands anywhere on the step between the two.
        low, high: the step, widened by the 95 % interval of its ends.
    """

    below: Array
    upto: Array
    low: Array
    high: Array

    @property
    def point(self) -> Array:
        """The share of the smaller numbers and of half of the equal ones."""
        return (self.below + self.upto) / 2


def standing(values: Array, kept: Array, sources: Sequence[Hashable] | Array) -> Standing:
    """Where numbers stand among those that were kept.

    Args:
        values: (..., column).
        kept: (example, column).
        sources: (example,) the photograph that each example was cut from. Pictures cut from one
            are no independent samples: the interval is of as many as ``effective`` says.

    >>> found = standing(np.array([0.0, 7.0]), np.array([[0, 5], [0, 6], [4, 8]]), [0, 1, 2])
    >>> found.below.round(2).tolist(), found.upto.round(2).tolist()
    ([0.0, 0.67], [0.67, 0.67])
    >>> found.low.round(2).tolist(), found.high.round(2).tolist()
    ([0.0, 0.21], [0.94, 0.94])
    """
    numbers, table = np.asarray(values, np.float64), np.sort(np.asarray(kept, np.float64), 0)
    below, upto = np.empty(numbers.shape), np.empty(numbers.shape)
    for column in range(table.shape[1]):
        own = numbers[..., column]
        near = ROUNDING * np.abs(own)
        below[..., column] = table[:, column].searchsorted(own - near, "left")
        upto[..., column] = table[:, column].searchsorted(own + near, "right")
    below, upto = below / len(table), upto / len(table)
    count = effective(sources)
    return Standing(below, upto, wilson(below, count)[0], wilson(upto, count)[1])


def effective(sources: Sequence[Hashable] | Array) -> float:
    """How many independent samples pictures are worth that were cut from photographs.

    As many as there are photographs, where the same number was cut from each; fewer where a few
    make up most: the squared sum of their numbers by the sum of the squares (Kish, "Survey
    Sampling", 1965, section 11.7).

    >>> effective(["a", "a", "b", "b"]), round(effective([1, 1, 1, 2]), 2)
    (2.0, 1.6)
    """
    counts = np.unique(np.asarray(sources), return_counts=True)[1].astype(np.float64)
    return float(counts.sum() ** 2 / (counts**2).sum())


def wilson(share: Array, count: float) -> tuple[Array, Array]:
    """The 95 % interval of a share that was found in so many samples.

    Of the score test (Wilson, "Probable Inference, the Law of Succession, and Statistical
    Inference", Journal of the American Statistical Association 22, 1927).

    >>> [float(end.round(3)) for end in wilson(np.array(0.0), 60)]
    [0.0, 0.06]
    """
    held = np.asarray(share, np.float64)
    middle = held + Z**2 / (2 * count)
    half = Z * np.sqrt(held * (1 - held) / count + Z**2 / (4 * count**2))
    ends = ((middle + way * half) / (1 + Z**2 / count) for way in (-1, 1))
    low, high = (np.clip(end, 0.0, 1.0) for end in ends)
    return low, high
