"""Fewer bits a number, and never a doubt what is left open by it.

Halves are rounded outward, so that two of them hold a number between them; activations in 8 bits
come with a bound of what the rounding may have changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
LEVELS = 255
# What sums in single precision may add to the length of a remainder, as a share of it.
SLACK = 1e-4


def half_above(numbers: Array) -> Array:
    """The smallest half-precision numbers that are not below; inf where there is none.

    >>> half_above(np.float32([1.0001, -1.0001])).tolist()
    [1.0009765625, -1.0]
    """
    with np.errstate(over="ignore"):
        halves = numbers.astype(np.float16)
        short = halves.astype(np.float32) < numbers
        return np.where(short, np.nextafter(halves, np.float16(np.inf)), halves)


def half_below(numbers: Array) -> Array:
    """The largest half-precision numbers that are not above; -inf where there is none.

    >>> half_below(np.float32([1.0001, -1.0001])).tolist()
    [1.0, -1.0009765625]
    """
    return -half_above(-numbers)


@dataclass(frozen=True)
class Eighths:
    """Activations in 8 bits.

    Attributes:
        levels: (image, channel, place) uint8: steps above the channel's lowest number in the image.
        left: (image, place) float16: no less than the length (L2 norm over channels) of what the
            rounding changed at a place; infinite where 8 bits tell nothing.
    """

    levels: Array
    left: Array


def in_eight_bits(maps: Tensor, low: Array, high: Array) -> Eighths:
    """Activations between their bounds, as steps of a 255th of the way.

    Args:
        maps: (image, channel, place) float32.
        low, high: (image, channel) float16, bounds that are kept anyway.

    >>> made = in_eight_bits(torch.tensor([[[0.0, 1.0, 0.25]]]), np.zeros((1, 1)), np.ones((1, 1)))
    >>> made.levels.tolist(), bool(made.left[0, 2] >= abs(64 / 255 - 0.25))
    ([[[0, 255, 64]]], True)
    """
    base, step = (torch.from_numpy(each)[:, :, None] for each in steps(low, high))
    levels = maps - base
    levels.mul_(torch.where(step > 0, 1 / step, 0.0)).round_().clamp_(0, LEVELS)
    found = levels.to(torch.uint8)
    left = levels.mul_(step).add_(base).sub_(maps).square_().sum(1).sqrt_()
    left = left.mul_(1 + SLACK).nan_to_num_(torch.inf, torch.inf)
    open_ = ~(np.isfinite(low) & np.isfinite(high)).all(1)
    bounds = half_above(left.numpy())
    bounds[open_] = np.inf
    return Eighths(found.numpy(), bounds)


def steps(low: Array, high: Array) -> tuple[Array, Array]:
    """(image, channel) bounds -> where the steps begin and how far they are apart, float32.

    >>> [each.tolist() for each in steps(np.zeros((1, 1)), np.full((1, 1), 255.0))]
    [[[0.0]], [[1.0]]]
    """
    base, top = low.astype(np.float32), high.astype(np.float32)
    known = np.isfinite(base) & np.isfinite(top)
    return np.where(known, base, 0), np.where(known, top - base, 0) / np.float32(LEVELS)
