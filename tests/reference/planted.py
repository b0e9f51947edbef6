"""A small trained network with planted units: one detector each, or two of different kinds."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.reference.scenes import KINDS, Small, scenes, trained

# A detector is kept where other kinds excite it less than this share of what its own does.
CLEAN = 0.2
NOISE = 0.1


@dataclass(frozen=True)
class Truth:
    """What a planted unit is.

    Attributes:
        kinds: of pictures that its detectors are of, one or two.
        gains: how much each counts.
        joined: "sum" or "max"; of one detector neither.
        noise: how much else excites it or stills it, as a share of what its first detector does.
    """

    kinds: tuple[int, ...]
    gains: tuple[float, ...]
    joined: str
    noise: float


class Planted(nn.Module):
    """A network whose layer ``units`` has planted units, beside what it answers.

    Args:
        module: the network.
        detectors: (detector, channel) over the network's last layer, and (detector,) what is added.
        truths: (unit,).
        parts: (unit,) the numbers of its detectors.
        noise: (unit, channel) what else excites each.
    """

    def __init__(
        self,
        module: Small,
        detectors: tuple[Tensor, Tensor],
        truths: list[Truth],
        parts: list[tuple[int, ...]],
        noise: Tensor,
    ) -> None:
        super().__init__()
        self.module, self.truths, self.parts = module, truths, parts
        self.rows, self.added = detectors
        self.noise, self.units = noise, nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        maps = self.module.fourth(self.module.third(self.module.second(self.module.first(x))))
        # Not as modules: the layers before the units are the network's own.
        told = functional.conv2d(maps, self.rows[..., None, None], self.added).relu()
        made = []
        for truth, parts in zip(self.truths, self.parts, strict=True):
            held = torch.stack(
                [gain * told[:, part] for gain, part in zip(truth.gains, parts, strict=True)]
            )
            made.append(held.amax(0) if truth.joined == "max" else held.sum(0))
        units = self.units(
            torch.stack(made, 1) + functional.conv2d(maps, self.noise[..., None, None])
        )
        answer: Tensor = self.module.head(maps.amax((2, 3)))
        return answer + 0 * units.mean()


def planted(seed: int, count: int) -> Planted:
    """Every second unit has two detectors of different kinds, the others one.

    Detectors differ by the noise that they begin with, units by gains from .6 to 1, by how two are
    joined, and by noise up to a tenth of what excites them.
    """
    module, draw = trained(seed), random.Random(seed)
    weights, biases, kinds = _detectors(module, seed)
    truths, parts = [], []
    for unit in range(count):
        picked = draw.sample(range(len(kinds)), 1)
        while unit % 2 == 0 and len(picked) < 2:
            other = draw.randrange(len(kinds))
            picked += [other] if kinds[other] != kinds[picked[0]] else []
        gains = tuple([1.0, draw.uniform(0.6, 1.0)][: len(picked)])
        joined = draw.choice(("sum", "max"))
        own = tuple(kinds[each] for each in picked)
        truths.append(Truth(own, gains, joined, draw.uniform(0, NOISE)))
        parts.append(tuple(picked))
    noise = torch.randn(count, weights.shape[1], generator=torch.Generator().manual_seed(seed))
    maps = _maps(module, scenes(200, seed + 300)[0])
    most = torch.einsum("nchw,uc->unhw", maps, noise).abs().amax((2, 3)).quantile(0.95, dim=1)
    scale = torch.tensor([each.noise for each in truths]) / most.clamp_min(1e-6)
    return Planted(module, (weights, biases), truths, parts, noise * scale[:, None]).eval()


def _maps(module: Small, pictures: Tensor) -> Tensor:
    with torch.no_grad():
        x = pictures * 2 - 1
        found: Tensor = module.fourth(module.third(module.second(module.first(x))))
    return found


def _detectors(module: Small, seed: int) -> tuple[Tensor, Tensor, list[int]]:
    """Linear detectors of kinds, some of each, which their own kind excites to 1 in the median."""
    (shown, kinds), (fresh, told) = scenes(400, seed + 200), scenes(200, seed + 300)
    maps, judged = _maps(module, shown), _maps(module, fresh)
    scale = maps.amax((0, 2, 3)).clamp_min(1e-3)
    weights, biases, found = [], [], []
    for number in range(3):
        rows, added = _fitted(maps / scale[:, None, None], kinds, 10 * seed + number)
        high = torch.einsum("nchw,kc->nkhw", judged / scale[:, None, None], rows)
        excited = (high + added[:, None, None]).relu().amax((2, 3))
        for kind in range(KINDS):
            own, other = excited[told == kind, kind], excited[told != kind, kind]
            if own.median() > 0 and other.quantile(0.98) < CLEAN * own.median():
                weights.append(rows[kind] / scale / own.median())
                biases.append(added[kind] / own.median())
                found.append(kind)
    return torch.stack(weights), torch.stack(biases), found


def _fitted(maps: Tensor, kinds: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """(kind, channel) and (kind,): the largest response over places tells a kind from all others.

    They begin at what tells the kind on average, and some noise.
    """
    generator, own = torch.Generator().manual_seed(seed), functional.one_hot(kinds, KINDS).float()
    high = maps.amax((2, 3))
    start = functional.normalize(own.T @ high / own.sum(0)[:, None] - high.mean(0), dim=1)
    rows = start + 0.1 * torch.randn(start.shape, generator=generator)
    rows, added = rows.requires_grad_(), torch.full((KINDS,), -0.1, requires_grad=True)
    optimizer = torch.optim.Adam([rows, added], 0.05)
    for _ in range(150):
        some = torch.randint(len(maps), (48,), generator=generator)
        told = torch.einsum("nchw,kc->nkhw", maps[some], rows) + added[:, None, None]
        loss = functional.binary_cross_entropy_with_logits(
            6 * told.amax((2, 3)), own[some], pos_weight=torch.tensor(3.0)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return rows.detach(), added.detach()
