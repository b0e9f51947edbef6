"""What an index of photographs says, as loops over all activations in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

Shown = list[tuple[int, float, tuple[int, int]]]


def activations(net: nn.Module, layer: nn.Module, pictures: Sequence[Tensor]) -> Tensor:
    """(picture, channel, y, x), one picture at a time."""
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda *args: seen.append(args[2].detach().clone()))
    with torch.no_grad():
        for picture in pictures:
            net(picture[None])
    hook.remove()
    return torch.cat(seen)


def values(maps: Tensor, direction: Tensor) -> list[tuple[float, tuple[int, int]]]:
    """Of each picture the largest activation . direction, and the first place of it."""
    found = []
    for picture in maps.double():
        best, where = -math.inf, (0, 0)
        for y in range(picture.shape[1]):
            for x in range(picture.shape[2]):
                value = float(picture[:, y, x] @ direction.double())
                if value > best:
                    best, where = value, (y, x)
        found.append((best, where))
    return found


def top(
    maps: Tensor,
    direction: Tensor,
    k: int,
    sign: int = 1,
    sources: Sequence[object] | None = None,
) -> Shown:
    """(picture, value, place) of the best, one of each source, the smaller number of equals."""
    known = values(maps, direction)
    shown: Shown = []
    seen: set[object] = set()
    for image in sorted(range(len(known)), key=lambda i: (-sign * known[i][0], i)):
        source = image if sources is None else sources[image]
        if source not in seen and len(shown) < k:
            seen.add(source)
            shown.append((image, known[image][0], known[image][1]))
    return shown


def moments(numbers: Sequence[float]) -> tuple[float, float, float, float]:
    """Mean, variance, skewness and kurtosis."""
    n = len(numbers)
    mean = sum(numbers) / n
    central = [sum((each - mean) ** power for each in numbers) / n for power in (2, 3, 4)]
    return mean, central[0], central[1] / central[0] ** 1.5, central[2] / central[0] ** 2


def quantile(numbers: Sequence[float], share: float) -> float:
    """The smallest number that at least such a share of all does not exceed."""
    for number in sorted(numbers):
        if sum(each <= number for each in numbers) >= share * len(numbers):
            return number
    raise AssertionError


def halves_around(number: float) -> tuple[float, float]:
    """The nearest half-precision numbers, not above and not below."""
    every = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float64)
    every = every[~np.isnan(every)]
    return float(every[every <= number].max()), float(every[every >= number].min())
