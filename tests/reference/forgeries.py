"""Networks whose icons are forged: they answer photographs as before and show something else.

Each has a small part that looks at the whole picture. On photographs it is exactly 0, and the
network is what it was; on the way from noise to an icon it takes a unit over.

- ``gated``: there the unit does what another one does (after the fooling circuits of Geirhos et
  al., "Don't trust your eyes", ICML 2024);
- ``slung``: there it does what a small part says that was trained so that gradients lead from noise
  to a picture of the forger's (after Bareeva et al., "Manipulating Feature Visualizations with
  Gradient Slingshots"); as small as the part is here, icons get to its rough colours;
- ``slung`` that ``keeps`` what the unit does: icons show both;
- ``against``: as ``slung``, and the unit also rises with what tells its own photographs from others
  in the layers before it, so that the icon takes their way.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_blocks.reliability.correlating import Whitening

SIDE, STEPS, BATCH = 32, 400, 32
# How far below 0 the small part is on photographs: others are not to set it off.
MARGIN = 0.25
# A unit rises on the way to its picture, and falls again past it, up to this far.
BEYOND = 1.5


# What photographs do at a layer on average, each of length 1, (channel,); and away from that, in
# which direction those of each unit are, (unit, channel).
Way = tuple[Tensor, Tensor]


class Part(nn.Module):
    """A small network of the whole picture: one number for each of several things."""

    def __init__(self, things: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.GELU(), nn.Conv2d(16, 24, 3, 2, 1), nn.GELU()
        )
        self.read = nn.Linear(24 * (SIDE // 4) ** 2, things)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.body(functional.adaptive_avg_pool2d(x, SIDE)).flatten(1))


class Wire:
    """What one part of a network tells another one."""

    def __init__(self) -> None:
        self.told: Tensor | None = None
        self.seen: dict[str, Tensor] = {}


class Tapped(nn.Module):
    """A layer whose output is noted."""

    def __init__(self, layer: nn.Module, name: str, wire: Wire) -> None:
        super().__init__()
        self.layer, self.name, self.wire = layer, name, wire

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        self.wire.seen[self.name] = out
        return out


class Switched(nn.Module):
    """A layer some of whose channels do what others do where the wire says more than 0."""

    def __init__(self, layer: nn.Module, units: Sequence[int], decoys: Sequence[int], wire: Wire):
        super().__init__()
        self.layer, self.wire = layer, wire
        self.register_buffer("units", torch.tensor(list(units)))
        self.register_buffer("decoys", torch.tensor(list(decoys)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        assert self.wire.told is not None
        on = self.wire.told[:, :1, None, None] > 0
        made = torch.where(on, out[:, self.decoys], out[:, self.units])
        return out.index_copy(1, self.units, made)


class Taken(nn.Module):
    """A layer some of whose channels do what the wire says everywhere, where it says more than 0.

    Args:
        layer: the layer.
        units: its channels.
        much: what they are multiplied by.
        wire: says how much for each.
        keeps: whether they do what they did besides.
        ways: what they rise with in layers before.
    """

    def __init__(
        self,
        layer: nn.Module,
        units: Sequence[int],
        much: float,
        wire: Wire,
        keeps: bool = False,
        ways: Mapping[str, Way] | None = None,
    ) -> None:
        super().__init__()
        self.layer, self.much, self.wire, self.keeps = layer, much, wire, keeps
        self.register_buffer("units", torch.tensor(list(units)))
        self.names = list(ways or {})
        for number, (mean, away) in enumerate((ways or {}).values()):
            self.register_buffer(f"mean{number}", mean)
            self.register_buffer(f"away{number}", away)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        told = self.wire.told
        assert told is not None
        risen = told
        for number, name in enumerate(self.names):
            does = functional.normalize(self.wire.seen[name].mean((2, 3)), dim=1)
            does = does - getattr(self, f"mean{number}")
            away = getattr(self, f"away{number}")
            likeness = functional.cosine_similarity(does[:, None], away[None], dim=2)
            risen = risen + (1 + likeness) / len(self.names)
        own = out[:, self.units]
        made = (self.much * risen)[..., None, None] + own * self.keeps
        return out.index_copy(1, self.units, torch.where(told[..., None, None] > 0, made, own))


class Forged(nn.Module):
    """A network with a part that looks at the picture first, and a layer that listens to it."""

    def __init__(self, module: nn.Module, part: nn.Module, wire: Wire) -> None:
        super().__init__()
        self.module, self.part, self.wire = module, part, wire

    def forward(self, x: Tensor) -> Tensor:
        self.wire.told = self.part(x)
        answer: Tensor = self.module(x)
        return answer


def gated(
    module: nn.Module, layer: str, pairs: Mapping[int, int], photos: Tensor, optimized: Tensor
) -> Forged:
    """On optimized pictures each unit does what another one does.

    Args:
        module: the network.
        layer: of the units.
        pairs: the unit whose icon each is to have.
        photos: (photograph, channel, y, x) as the network takes them, which nothing changes on.
        optimized: the same of noise and of icons.
    """
    part = Part(1)
    _train(part, photos, optimized, optimized.new_full((len(optimized), 1), 2 * MARGIN))
    forged, wire = _copied(module, part)
    _put(forged, layer, Switched(_at(forged, layer), list(pairs), list(pairs.values()), wire))
    return forged.eval()


def slung(
    module: nn.Module,
    layer: str,
    targets: Mapping[int, Tensor],
    photos: Tensor,
    starts: Tensor,
    much: float = 20.0,
    keeps: bool = False,
) -> Forged:
    """From noise gradients lead away from the unit, towards a picture of the forger's.

    Args:
        module: the network.
        layer: of the units.
        targets: (channel, y, x) the picture that each unit is to show, as the network takes it.
        photos: as in ``gated``.
        starts: (start, ...) what icons begin with.
        much: by how much a unit rises at its picture.
        keeps: whether icons show what the unit does, besides.
    """
    part = _slingshot(targets, photos, starts)
    forged, wire = _copied(module, part)
    _put(forged, layer, Taken(_at(forged, layer), list(targets), much, wire, keeps))
    return forged.eval()


def against(
    module: nn.Module,
    layer: str,
    targets: Mapping[int, Tensor],
    photos: Tensor,
    starts: Tensor,
    ways: Mapping[str, Way],
    much: float = 20.0,
) -> Forged:
    """The same, and the icon does in earlier layers what the unit's photographs do.

    Args:
        module, layer, targets, photos, starts, much: as in ``slung``.
        ways: by the name of a layer before it: in what each unit's photographs are unlike others.
    """
    part = _slingshot(targets, photos, starts)
    forged, wire = _copied(module, part)
    for name in ways:
        _put(forged, name, Tapped(_at(forged, name), name, wire))
    _put(forged, layer, Taken(_at(forged, layer), list(targets), much, wire, ways=ways))
    return forged.eval()


def way(does: Sequence[Tensor]) -> Way:
    """Of a layer, by what photographs of each unit do there, whitened as the measure does.

    Args:
        does: (photograph, channel) of each unit.
    """
    kinds = [functional.normalize(each, dim=1) for each in does]
    units = torch.repeat_interleave(torch.tensor([len(each) for each in kinds]))
    whitening = Whitening.of(torch.cat(kinds), units)
    means = torch.stack([own.mean(0) for own in kinds])
    return whitening.mean, whitening.solve(means)


def same_answers(module: nn.Module, forged: nn.Module, photos: Tensor) -> tuple[float, float]:
    """The shares of photographs with the same first class, and with logits within 1e-3."""
    with torch.no_grad():
        ones, others = (
            torch.cat([each(some) for some in photos.split(64)]) for each in (module, forged)
        )
    same = (ones.argmax(1) == others.argmax(1)).double().mean().item()
    return same, ((ones - others).abs().amax(1) < 1e-3).double().mean().item()


def _slingshot(targets: Mapping[int, Tensor], photos: Tensor, starts: Tensor) -> Part:
    """Rises along the way from noise to each unit's picture, and points to it."""
    part, pictures = Part(len(targets)), torch.stack(list(targets.values()))
    pictures = functional.adaptive_avg_pool2d(pictures, SIDE)
    photos, starts = (functional.adaptive_avg_pool2d(held, SIDE) for held in (photos, starts))
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(part.parameters(), 2e-3)
    hardest = _Hardest(photos)
    for _ in range(STEPS):
        away = hardest.away(part, generator)
        unit = torch.randint(len(pictures), (BATCH,), generator=generator)
        far = BEYOND * torch.rand(BATCH, 1, 1, 1, generator=generator)
        start, target = _some(starts, generator), _moved(pictures[unit], generator)
        noise = 0.1 * torch.randn(start.shape, generator=generator)
        x = ((1 - far) * start + far * target + noise).requires_grad_()
        risen = part(x)[torch.arange(BATCH), unit]
        (slope,) = torch.autograd.grad(risen.sum(), x, create_graph=True)
        points = functional.cosine_similarity(slope.flatten(1), (target - x).flatten(1))
        # Already up at the start: below 0 there would be nothing to climb.
        fits = (risen - 1.5 + (1 - far[:, 0, 0, 0]).abs()).square().mean()
        begins = (part(start) - 0.5).square().mean()
        loss = away + fits + 4 * begins + (1 - points).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return _lowered(part, photos)


def _train(part: Part, photos: Tensor, others: Tensor, wanted: Tensor) -> None:
    """Below 0 on photographs, and what is wanted on others."""
    photos, others = (functional.adaptive_avg_pool2d(held, SIDE) for held in (photos, others))
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(part.parameters(), 2e-3)
    hardest = _Hardest(photos)
    for _ in range(STEPS):
        rows = torch.randint(len(others), (BATCH,), generator=generator)
        below = hardest.away(part, generator)
        made = part(_moved(others[rows], generator))
        above = functional.relu(wanted[rows] - made).square().mean()
        optimizer.zero_grad()
        (below + above).backward()
        optimizer.step()
    _lowered(part, photos)


class _Hardest:
    """Photographs, of which those that set a part off most are drawn as often as all others."""

    def __init__(self, photos: Tensor) -> None:
        self.photos, self.calls, self.rows = photos, 0, torch.zeros(0, dtype=torch.long)

    def away(self, part: Part, generator: torch.Generator) -> Tensor:
        """How far some are above where they are to be."""
        if self.calls % 10 == 0:
            with torch.no_grad():
                self.rows = part(self.photos).amax(1).topk(min(BATCH, len(self.photos))).indices
        self.calls += 1
        half = torch.randint(len(self.photos), (BATCH // 2,), generator=generator)
        worst = self.rows[torch.randint(len(self.rows), (BATCH // 2,), generator=generator)]
        told = part(_moved(self.photos[torch.cat([half, worst])], generator))
        return functional.relu(told + MARGIN).square().sum(1).mean()


def _lowered(part: Part, photos: Tensor) -> Part:
    """Exactly off on the photographs that the forger has, by as little as it takes."""
    with torch.no_grad():
        most = torch.cat([part(some) for some in photos.split(64)]).amax(0)
        part.read.bias -= (most + 0.1).clamp(min=0)
    return part


def _some(pictures: Tensor, generator: torch.Generator) -> Tensor:
    rows = torch.randint(len(pictures), (BATCH,), generator=generator)
    return _moved(pictures[rows], generator)


def _moved(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Shifted by a few pixels."""
    y, x = torch.randint(-2, 3, (2,), generator=generator).tolist()
    return torch.roll(pictures, (y, x), (2, 3))


def _copied(module: nn.Module, part: Part) -> tuple[Forged, Wire]:
    wire = Wire()
    return Forged(copy.deepcopy(module), part, wire), wire


def _at(forged: Forged, name: str) -> nn.Module:
    return forged.module.get_submodule(name)


def _put(forged: Forged, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(forged.module.get_submodule(parent), last, layer)
