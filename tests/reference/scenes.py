"""Pictures of simple things, all unlike, and a small network trained to tell them apart."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

SIDE, KINDS = 48, 10


def scenes(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(picture, 3, y, x) in [0, 1] and (picture,) kinds: gratings, rings, squares and spots.

    Each has one thing, somewhere, in colours of its own on a ground that varies.
    """
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.arange(count) % KINDS
    return torch.stack([_scene(int(kind), generator) for kind in kinds]), kinds


def _scene(kind: int, generator: torch.Generator) -> Tensor:
    draw = torch.rand(12, generator=generator).tolist()
    line = torch.arange(SIDE, dtype=torch.float32)
    y, x = torch.meshgrid(line, line, indexing="ij")
    middle = [SIDE * (0.3 + 0.4 * each) for each in draw[:2]]
    y, x = y - middle[0], x - middle[1]
    far = (y.square() + x.square()).sqrt()
    ground = torch.tensor(draw[2:5])[:, None, None] * 0.5 + 0.25
    ground = ground + 0.15 * (draw[5] - 0.5) * (y / SIDE) + 0.15 * (draw[6] - 0.5) * (x / SIDE)
    inside = torch.sigmoid(12 + 2 * draw[7] - far)
    period = 5 + 2 * draw[8]
    if kind < 4:
        angle = math.pi * (kind + 0.4 * (draw[9] - 0.5)) / 4
        wave = torch.sin(2 * math.pi * (math.cos(angle) * x + math.sin(angle) * y) / period)
        thing = 0.5 + 0.45 * wave.expand(3, -1, -1)
    elif kind == 4:
        thing = (0.5 + 0.45 * torch.cos(2 * math.pi * far / period)).expand(3, -1, -1)
    elif kind == 5:
        board = torch.sin(2 * math.pi * x / period) * torch.sin(2 * math.pi * y / period)
        thing = (0.5 + 0.45 * board.sign()).expand(3, -1, -1)
    elif kind < 9:
        thing = torch.full((3, SIDE, SIDE), 0.1)
        thing[kind - 6] = 0.95
    else:
        thing = 0.9 * (torch.rand(3, SIDE // 3, SIDE // 3, generator=generator) > 0.5).float()
        thing = thing.repeat_interleave(3, 1).repeat_interleave(3, 2)
    picture = ground * (1 - inside) + thing * inside
    return (picture + 0.02 * torch.randn(3, SIDE, SIDE, generator=generator)).clamp(0, 1)


class Small(nn.Module):
    """Four convolutions with ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 5, 2, 2), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(16, 24, 3, 1, 1), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2d(24, 32, 3, 2, 1), nn.ReLU())
        self.fourth = nn.Sequential(nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU())
        self.head = nn.Linear(32, KINDS)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.fourth(self.third(self.second(self.first(x))))
        answer: Tensor = self.head(maps.amax((2, 3)))
        return answer


@lru_cache
def trained(seed: int = 0, steps: int = 130) -> Small:
    """Told the kinds apart on pictures of its own; takes [0, 1] moved to [-1, 1]."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = Small()
    pictures, kinds = scenes(600, seed + 100)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    for _ in range(steps):
        rows = torch.randint(len(pictures), (32,), generator=generator)
        loss = nn.functional.cross_entropy(module(pictures[rows] * 2 - 1), kinds[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return module.eval()
