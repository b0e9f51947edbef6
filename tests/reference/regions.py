"""Edits of a picture's regions, as loops: one picture at a time through the whole network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def edited(module: nn.Module, x: Tensor, masks: Tensor, filling: Tensor) -> Tensor:
    """(image, region, class) of x * (1 - mask) + filling * mask."""
    with torch.no_grad():
        return torch.stack(
            [
                torch.stack(
                    [
                        module(x[i : i + 1] * (1 - mask) + filling[i : i + 1] * mask)[0]
                        for mask in masks[i]
                    ]
                )
                for i in range(len(x))
            ]
        )


def blurred(picture: Tensor, sigma: float) -> Tensor:
    """(y, x) under a Gaussian, cut off at three sigma, the picture mirrored around its edges."""
    height, width = picture.shape
    reach = [min(math.ceil(3 * sigma), side - 1) for side in (height, width)]

    def weight(step: int, most: int) -> float:
        every = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(-most, most + 1)]
        return every[step + most] / sum(every)

    def mirrored(place: int, side: int) -> int:
        return -place if place < 0 else 2 * (side - 1) - place if place >= side else place

    found = torch.zeros_like(picture)
    for y in range(height):
        for x in range(width):
            for dy in range(-reach[0], reach[0] + 1):
                for dx in range(-reach[1], reach[1] + 1):
                    share = weight(dy, reach[0]) * weight(dx, reach[1])
                    there = picture[mirrored(y + dy, height), mirrored(x + dx, width)]
                    found[y, x] += share * there
    return found


def strongest(fires: Tensor, share: float) -> Tensor:
    """Places (y, x) taken from the highest down until they hold a share of the sum."""
    order = sorted(range(fires.numel()), key=lambda place: -float(fires.flatten()[place]))
    found, held, whole = torch.zeros(fires.numel()), 0.0, float(fires.double().sum())
    for place in order:
        if held >= share * whole:
            break
        found[place] = 1.0
        held += float(fires.flatten()[place])
    return found.reshape(fires.shape)
