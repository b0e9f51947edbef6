"""Boxes and what they keep, as loops: every box by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Box = tuple[int, int, int, int]


def kept(module: nn.Module, x: Tensor, box: Box, place: tuple[int, int], channel: int) -> float:
    """Share of one channel at one place, of maps (1, channel, y, x), that a box alone keeps."""
    plain = torch.zeros_like(x)
    for colour in range(x.shape[1]):
        plain[0, colour] = x[0, colour].mean()
    alone = plain.clone()
    for y in range(box[0], box[2]):
        for across in range(box[1], box[3]):
            alone[0, :, y, across] = x[0, :, y, across]
    with torch.no_grad():
        own, rest, none = (
            float(module(each)[0, channel, place[0], place[1]]) for each in (x, alone, plain)
        )
    sign = 1 if own > 0 else -1
    base = max(0.0, sign * none)
    return (sign * rest - base) / (sign * own - base)


def best(energy: Tensor, most: float, longest: float) -> float:
    """The most that any box holds that has at most so many pixels and is not too long."""
    found = 0.0
    height, width = energy.shape
    for top in range(height):
        for bottom in range(top + 1, height + 1):
            for left in range(width):
                for right in range(left + 1, width + 1):
                    tall, wide = bottom - top, right - left
                    if tall * wide <= most and max(tall / wide, wide / tall) <= longest:
                        found = max(found, float(energy[top:bottom, left:right].sum()))
    return found
