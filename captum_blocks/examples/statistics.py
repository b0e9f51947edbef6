"""What is known of each channel over all photographs, and of what is usual among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from captum_blocks.errors import InvalidArgument
from captum_blocks.examples.moments import Moments
from captum_blocks.examples.roundings import half_above, half_below
from captum_blocks.examples.stored import Stored

Array = np.ndarray[Any, np.dtype[Any]]
ROUNDED = {"maximum": half_above, "minimum": half_below}
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
    shares = np.atleast_1d(np.asarray(at, np.float64))
    if not ((shares >= 0) & (shares <= 1)).all():
        raise InvalidArgument(f"quantiles are shares from 0 to 1, not {at!r}")
    found = np.empty((len(shares), stored.widths[order]), np.float32)
    for channels, some in _columns(stored, order, of):
        found[:, channels] = np.quantile(some, shares, axis=0, method="inverted_cdf")
    return found


def percentiles(stored: Stored, order: int, values: Array, of: str) -> Array:
    """(channel,) the share of a table's rows below a value, and half of those equal to it.

    Values are rounded as the table's numbers are, so that equal ones stay equal.

    Raises:
        InvalidArgument: no such table, or another number of values than there are channels.
    """
    if values.shape != (stored.widths[order],):
        raise InvalidArgument(
            f"{stored.names[order]} has {stored.widths[order]} channels, and the values are of "
            f"shape {values.shape}"
        )
    rounded = ROUNDED[of](values).astype(np.float32) if of in ROUNDED else values
    found = np.empty(len(values), np.float64)
    for channels, some in _columns(stored, order, of):
        own = rounded[channels]
        found[channels] = (some < own).mean(0) + (some == own).mean(0) / 2
    return found


def _columns(stored: Stored, order: int, of: str) -> Iterator[tuple[slice, Array]]:
    """Some channels of a table at a time, (row, channel) float32."""
    if of not in TABLES:
        raise InvalidArgument(f"of={of!r} is none of {', '.join(TABLES)}")
    table = stored.layer(order)[TABLES[of]]
    step = max(1, AT_ONCE // len(table))
    for start in range(0, table.shape[1], step):
        channels = slice(start, start + step)
        yield channels, np.array(table[:, channels], np.float32)
