"""Between which numbers the largest activation along a direction lies, without the network.

From activations in 8 bits: a place's activation a is known up to a remainder r, of which the length
and, channel by channel, the largest size are known; so a . d differs from its estimate by at most
the smaller of |r| |d| and sum_c (step_c / 2) |d_c|. From extremes alone: the largest a . d is no
less than that of the mean, and no more than if each channel were as extreme as it ever is, all at
one place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_blocks.examples.roundings import steps
from captum_blocks.examples.stored import Stored

Array = np.ndarray[Any, np.dtype[Any]]
# What sums in single precision, here and in another batch of the network, may change, as a share of
# the sum of all sizes.
SLACK = 1e-5
BLOCK = 2048


@dataclass(frozen=True)
class Bounds:
    """Of each picture and direction, (row, direction) float32.

    Attributes:
        lower, upper: what the value lies between.
        estimate: what it probably is.
        scale: the size of the numbers that it is a sum of.
        places: where it probably is, row by row of the grid; -1 where that is not known.
    """

    lower: Array
    upper: Array
    estimate: Array
    scale: Array
    places: Array

    def turned(self) -> Bounds:
        """Of the value times -1."""
        return Bounds(-self.upper, -self.lower, -self.estimate, self.scale, self.places)


def bounds_of(stored: Stored, order: int, directions: Array) -> Bounds:
    """What is known of directions in a layer.

    Args:
        stored: the index.
        order: the layer's number.
        directions: (direction, channel).
    """
    asked = (order, directions.tobytes())
    last = stored.asked_last
    if last is None or last[0] != asked:  # a page asks for the highest, for others, for any
        last = (asked, _bounds_of(stored, order, directions))
        stored.asked_last = last
    found: Bounds = last[1]
    return found


def _bounds_of(stored: Stored, order: int, directions: Array) -> Bounds:
    shape = (stored.rows, len(directions))
    lower, upper, estimate, scale = (np.empty(shape, np.float32) for _ in range(4))
    made = Bounds(lower, upper, estimate, scale, np.full(shape, -1, np.int32))
    for rows, found in _blocks(stored, order, directions):
        made.lower[rows], made.upper[rows] = found.lower, found.upper
        made.estimate[rows], made.scale[rows] = found.estimate, found.scale
        made.places[rows] = found.places
    return made


def _blocks(stored: Stored, order: int, directions: Array) -> Iterator[tuple[slice, Bounds]]:
    """All rows: by activations where those are kept, which is of the first ones."""
    start = 0
    for rows, found in _kept(stored, order, directions):
        start = rows.stop
        yield rows, found
    yield from _extremes(stored, order, directions, start)


def _kept(stored: Stored, order: int, directions: Array) -> Iterator[tuple[slice, Bounds]]:
    """By activations in 8 bits."""
    table = stored.layer(order)
    d = torch.from_numpy(directions.astype(np.float32))
    length = torch.from_numpy(np.linalg.norm(directions, axis=1).astype(np.float32))
    for rows, levels, left in stored.kept(order):
        low, high = np.array(table["low"][rows]), np.array(table["high"][rows])
        base, step = (torch.from_numpy(each) for each in steps(low, high))
        scores = _scores(levels, d, base, step)
        scale = _size(low, high) @ np.abs(directions).T
        least = torch.from_numpy(np.array(left, np.float32))[:, None] * length[:, None]
        widest = (step / 2) @ d.abs().T + torch.from_numpy(scale * SLACK).float()
        open_ = least.isinf()
        off = torch.minimum(least * (1 + SLACK), widest[:, :, None])
        off = torch.where(
            open_, torch.inf, off + torch.from_numpy(scale * SLACK).float()[:, :, None]
        )
        lower, upper = (scores - off).amax(2).numpy(), (scores + off).amax(2).numpy()
        best = scores.max(2)
        estimate, places = best.values.numpy(), best.indices.numpy()
        yield rows, Bounds(lower, upper, estimate, scale.astype(np.float32), places)


def _scores(levels: Array, d: Tensor, base: Tensor, step: Tensor) -> Tensor:
    """(row, direction, place) estimates of activation . direction."""
    given, made = torch.from_numpy(np.array(levels)), base.new_empty(*_shape(levels, d))
    start, numbers = base @ d.T, base.new_empty(levels.shape[1:])
    for row, own in enumerate(made):  # a picture's numbers stay near the processor
        numbers.copy_(given[row])
        torch.addmm(start[row][:, None], d * step[row], numbers, out=own)
    return made


def _shape(levels: Array, d: Tensor) -> tuple[int, int, int]:
    return len(levels), len(d), levels.shape[2]


def _size(low: Array, high: Array) -> Array:
    """(row, channel) the largest size of a number; those that halves cannot tell count as such."""
    largest = np.maximum(np.abs(low.astype(np.float64)), np.abs(high.astype(np.float64)))
    return np.asarray(np.minimum(largest, float(np.finfo(np.float16).max)))


def _extremes(
    stored: Stored, order: int, directions: Array, first: int
) -> Iterator[tuple[slice, Bounds]]:
    """By the extremes and the mean of each channel, from a row on."""
    table = stored.layer(order)
    up, down = directions.clip(0), directions.clip(None, 0)
    for start in range(first, stored.rows, BLOCK):
        rows = slice(start, min(start + BLOCK, stored.rows))
        high, low = (np.array(table[name][rows], np.float64) for name in ("high", "low"))
        scale = _size(low, high) @ np.abs(directions).T
        with np.errstate(invalid="ignore"):
            upper = np.nan_to_num(high @ up.T + low @ down.T, nan=np.inf, posinf=np.inf)
        lower = np.array(table["mean"][rows], np.float64) @ directions.T
        off = scale * SLACK
        estimate = np.where(np.isfinite(upper), (lower + upper) / 2, lower)
        numbers = (lower - off, upper + off, estimate, scale)
        less, more, about, size = (each.astype(np.float32) for each in numbers)
        yield rows, Bounds(less, more, about, size, np.full(scale.shape, -1))


def bounds_of_channel(stored: Stored, order: int, channel: int) -> Bounds:
    """What the table of maxima knows of one channel."""
    upper = np.array(stored.layer(order)["high"][:, channel : channel + 1])
    lower = np.nextafter(upper, np.float16(-np.inf)).astype(np.float32)
    top = upper.astype(np.float32)
    slack = SLACK * np.abs(np.nan_to_num(top, posinf=6.6e4))
    places = np.array(stored.layer(order)["at"][:, channel : channel + 1], np.int32)
    return Bounds(lower - slack, top + slack, top, np.abs(top), places)
