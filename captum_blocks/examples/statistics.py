"""What is known of each channel over all photographs, and of what is usual among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from captum_blocks.errors import InvalidArgument
from captum_blocks.examples.moments import Moments
from captum_blocks.examples.stored import Stored

Array = np.ndarray[Any, np.dtype[Any]]
TABLES = {"maximum": "high", "minimum": "low", "mean": "mean"}
# Numbers of a table that are in memory at a time.
AT_ONCE = 2**23


@dataclass(frozen=True)
class UnitStatistics:
    """Of each channel, over all places of all photographs.

    Attributes:
        count: how many numbers of a channel there are.
        mean, variance, skewness, kurtosis: (channel,) float64.
        maximum: (channel,) float64.
    """

    count: int
    mean: Array
    variance: Array
    skewness: Array
    kurtosis: Array
    maximum: Array


def statistics_of(stored: Stored, order: int) -> UnitStatistics:
    """The moments of a layer's channels."""
    table, grid = stored.layer(order), stored.grid(order)
    moments = Moments(stored.rows * grid[0] * grid[1], np.array(table["moments"]))
    return UnitStatistics(
        moments.count,
        moments.mean,
        moments.variance,
        moments.skewness,
        moments.kurtosis,
        np.array(table["top"][0], np.float64),
    )


def quantiles(stored: Stored, order: int, at: Sequence[float], of: str) -> Array:
    """(quantile, channel) of a table, some channels at a time.

    Raises:
        InvalidArgument: no such table, or shares beyond 0 and 1.
    """
    if of not in TABLES:
        raise InvalidArgument(f"of={of!r} is none of {', '.join(TABLES)}")
    shares = np.atleast_1d(np.asarray(at, np.float64))
    if not ((shares >= 0) & (shares <= 1)).all():
        raise InvalidArgument(f"quantiles are shares from 0 to 1, not {at!r}")
    table = stored.layer(order)[TABLES[of]]
    step = max(1, AT_ONCE // len(table))
    found = np.empty((len(shares), table.shape[1]), np.float32)
    for start in range(0, table.shape[1], step):
        some = np.array(table[:, start : start + step], np.float32)
        found[:, start : start + step] = np.quantile(some, shares, axis=0, method="inverted_cdf")
    return found
