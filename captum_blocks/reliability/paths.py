"""The way that a picture takes through the layers, beside that of photographs.

After Geirhos et al., "Don't trust your eyes: on the (un)reliability of feature visualizations",
ICML 2024: rank correlation of activations layer by layer, from that of photographs of unlike things
(0) to that of photographs of one thing (1). Published without code. Three choices are ours: an icon
is compared with photographs of other units, too, since optimized pictures are unlike photographs
in some measure whatever they show; ranks are whitened before they are correlated, so that what
channels do together on whatever photograph counts once (see ``Whitening``): without that an icon
that is merely as flat, or as detailed, as the unit's photographs seems to go their way; and layers
count by how well they tell units apart, and by how deep they are. The unit's photographs are among
those that ranks are whitened by, and so a little more alike than new ones would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.reliability.correlating import Whitening, ranked

# Of fewer photographs that excite a unit nothing is said.
FEWEST = 8
RESAMPLES, COVERED = 1000, 0.95
# A layer tells where same-unit pairs are at least so much more alike than random ones: below, a
# ratio to that difference is noise.
GAP = 0.02
# Photographs that are all alike to a unit's do not make a layer infinitely certain.
LEAST = 1e-4


@dataclass(frozen=True, eq=False)
class Along:
    """What pictures do at one layer on the way to a unit, as ranks, see ``ranked``.

    Attributes:
        layer: its name.
        icon: (copy, feature), the icon; of several copies, each.
        own: (photograph, feature), those that excite the unit most.
        others: (other, feature), photographs that excite other units.

    >>> Along.of("early", torch.rand(1, 6), torch.rand(9, 6), torch.rand(20, 6)).layer
    'early'
    """

    layer: str
    icon: Tensor
    own: Tensor
    others: Tensor

    @staticmethod
    def of(layer: str, icon: Tensor, own: Tensor, others: Tensor) -> Along:
        """Of activations: (picture, feature) each.

        Whoever compares many units with the same others ranks those once, and makes an ``Along``.
        """
        return Along(layer, ranked(icon), ranked(own), ranked(others))


@dataclass(frozen=True, eq=False)
class PathSimilarity:
    """How much an icon's way through the layers is that of the unit's photographs.

    Attributes:
        agreement: how much more the icon is like them than like others', as a share of how much
            more they are like one another than like others'; from 0 to 1, over all layers that
            tell. NaN where nothing can be said.
        low, high: where 95 % of resampled source photographs put it.
        layers: their names, in order.
        icon: (layer,) mean correlation of whitened ranks of the icon with the unit's photographs.
        apart: (layer,) of the icon with photographs of other units.
        same: (layer,) of the unit's photographs with one another.
        random: (layer,) of them with those of other units.
        weight: (layer,) how much each layer counts, adding up to 1.
        telling: (layer,) whether same-unit and random similarity lie apart there.
        photographs: how many of the unit's there are, from different sources.
        missing: why nothing can be said, in words; empty where it can.

    >>> PathSimilarity.unknown("no photographs").missing
    'no photographs'
    """

    agreement: float
    low: float
    high: float
    layers: tuple[str, ...]
    icon: Tensor
    apart: Tensor
    same: Tensor
    random: Tensor
    weight: Tensor
    telling: Tensor
    photographs: int
    missing: str = ""

    @staticmethod
    def unknown(why: str, photographs: int = 0) -> PathSimilarity:
        """Nothing can be said, and why."""
        nan, none = float("nan"), torch.zeros(0, dtype=torch.float64)
        return PathSimilarity(
            nan, nan, nan, (), *(none,) * 5, none.bool(), photographs, missing=why
        )


@dataclass(frozen=True, eq=False)
class _Curves:
    """Similarities along the layers, (draw, layer) each."""

    icon: Tensor
    apart: Tensor
    same: Tensor
    random: Tensor

    def agreement(self, weight: Tensor) -> Tensor:
        """(draw,) where the icon is between random pairs (0) and same-unit ones (1).

        Differences are added up before they are divided: a layer where both are alike cannot blow
        the ratio up.
        """
        return (((self.icon - self.apart) @ weight) / ((self.same - self.random) @ weight)).clamp(
            0, 1
        )


def path_similarity(
    along: Sequence[Along],
    own_sources: Sequence[int],
    other_sources: Sequence[int],
    other_units: Sequence[int] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PathSimilarity:
    """Compare an icon's way through the layers with that of the unit's photographs.

    Pairs are of different source photographs, and as alike as their whitened ranks
    correlate. A layer counts by the square of how far same-unit
    similarity lies above random similarity, in standard deviations of the latter over photographs,
    times how deep it is, from 0 at the picture to 1 at the unit: what is early tells of textures
    that many units share. The interval resamples sources, not pairs, since all pairs of one
    photograph move together.

    Args:
        along: the layers up to the unit's, in order.
        own_sources: (photograph,) a number that is the same for pictures cut from one photograph.
        other_sources: (other,) the same numbers, of the photographs of other units.
        other_units: (other,) a number that is the same for photographs of one unit: ranks are
            whitened by how those differ; all are of one other unit unless given.
        resamples: how often sources are drawn again.
        seed: of the drawing.

    Returns:
        What is found; ``missing`` says why nothing is said: of fewer than eight sources, or where
        no layer tells same-unit pairs from random ones.

    Raises:
        InvalidArgument: numbers of photographs that do not match.

    >>> own = torch.arange(6.0) + torch.rand(9, 6)
    >>> layer = Along.of("late", own.mean(0, keepdim=True), own, torch.rand(20, 6))
    >>> round(path_similarity([layer], range(9), range(20, 40)).agreement, 1)
    1.0
    """
    own, others = torch.as_tensor(list(own_sources)), torch.as_tensor(list(other_sources))
    _check(along, len(own), len(others))
    sources = len(own.unique())
    if sources < FEWEST:
        return PathSimilarity.unknown(too_few(sources), sources)
    if not along:
        return PathSimilarity.unknown("no layer before the unit's can be compared", sources)
    units = torch.zeros_like(others) if other_units is None else torch.as_tensor(list(other_units))
    pairs = _Pairs.of(along, own, others, units)
    once = pairs.curves(torch.ones(1, len(own)), torch.ones(1, len(others)))
    drawn = pairs.curves(_drawn(own, resamples, seed), _drawn(others, resamples, seed + 1))
    telling = _tells(once, drawn)
    weight = pairs.weight(once, telling)
    agreement, (low, high) = once.agreement(weight).item(), _interval(drawn.agreement(weight))
    names = tuple(each.layer for each in along)
    curves = (once.icon[0], once.apart[0], once.same[0], once.random[0], weight, telling)
    missing = "" if telling.any() else _OVERLAP
    return PathSimilarity(agreement, low, high, names, *curves, sources, missing)


_OVERLAP = (
    "at no layer are the unit's photographs more like one another than like those of other units, "
    "so nothing can be compared with them"
)


def too_few(sources: int) -> str:
    """Why nothing is said of the icon of a unit that so few photographs excite.

    >>> too_few(3)
    '3 different photographs excite the unit, and with fewer than 8 nothing is said of its icon'
    """
    return (
        f"{sources} different photographs excite the unit, and with fewer than {FEWEST} nothing is "
        "said of its icon"
    )


def _check(along: Sequence[Along], own: int, others: int) -> None:
    for each in along:
        rows, width = (len(each.own), len(each.others)), each.icon.shape[-1]
        alike = each.own.shape[-1] == each.others.shape[-1] == width
        if rows != (own, others) or not alike or not len(each.icon):
            raise InvalidArgument(
                f"at {each.layer!r} there are {rows[0]} photographs of the unit and {rows[1]} "
                f"others, with {each.own.shape[-1]} and {each.others.shape[-1]} features, and an "
                f"icon of shape {tuple(each.icon.shape)}; sources are given of {own} and {others}"
            )


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Correlations of all pairs, and which pairs are of different sources.

    Attributes:
        icon: (layer, photograph).
        apart: (layer, other).
        same: (layer, photograph, photograph).
        random: (layer, photograph, other).
        same_apart, random_apart: (photograph, ...) 1 for pairs of different sources.
    """

    icon: Tensor
    apart: Tensor
    same: Tensor
    random: Tensor
    same_apart: Tensor
    random_apart: Tensor

    @staticmethod
    def of(along: Sequence[Along], own: Tensor, others: Tensor, units: Tensor) -> _Pairs:
        """Of pictures whose sources are given, and the units that others are of."""
        found = list[tuple[Tensor, ...]]()
        for each in along:
            found.append(_similarities(each, units))
        different = [(own[:, None] != each[None]).double() for each in (own, others)]
        return _Pairs(*map(torch.stack, zip(*found, strict=True)), *different)

    def curves(self, own: Tensor, others: Tensor) -> _Curves:
        """Weighted means of pairs, each weighted by how often both its pictures are drawn.

        Args:
            own: (draw, photograph) how often each is drawn.
            others: (draw, other) the same.
        """
        own, others = own.double(), others.double()
        icon = own @ self.icon.mT / own.sum(1, keepdim=True)
        apart = others @ self.apart.mT / others.sum(1, keepdim=True)
        same = _weighted(own, self.same, self.same_apart, own)
        random = _weighted(own, self.random, self.random_apart, others)
        return _Curves(icon, apart, same, random)

    def weight(self, once: _Curves, telling: Tensor) -> Tensor:
        """(layer,) how much each counts; NaN where none tells."""
        scattered = self.random.mean(1).var(1).clamp_min(LEAST)
        depth = torch.arange(1, len(telling) + 1, dtype=torch.float64) / len(telling)
        weight = (depth * (once.same - once.random)[0]).square() / scattered * telling
        return weight / weight.sum()


def _similarities(each: Along, units: Tensor) -> tuple[Tensor, ...]:
    """Of the icon with the unit's photographs and with others, of those with both.

    Correlations of ranks, whitened by all photographs; those of the icon are means over its copies.
    A picture without ranks, the same number everywhere, is like no other.
    """
    # The unit's own photographs are one more kind.
    kinds = torch.cat([units, (units.max() + 1).expand(len(each.own))])
    whitening = Whitening.of(torch.cat([each.others, each.own]).nan_to_num(0.0), kinds)
    alike = whitening.cosines(torch.cat([each.icon, each.own, each.others]))
    icon, own, _ = parts = [len(each.icon), len(each.own), len(each.others)]
    _, of_own, of_others = alike.split(parts, 1)
    return (
        of_own[:icon].mean(0),
        of_others[:icon].mean(0),
        of_own[icon : icon + own],
        of_others[icon : icon + own],
    )


def _weighted(left: Tensor, pairs: Tensor, apart: Tensor, right: Tensor) -> Tensor:
    """(draw, layer) the mean over pairs of different sources; NaN where a draw has none."""
    above = torch.einsum("di,lij,dj->dl", left, pairs * apart, right)
    return above / torch.einsum("di,ij,dj->d", left, apart, right)[:, None]


def _drawn(sources: Tensor, resamples: int, seed: int) -> Tensor:
    """(draw, picture) how often each picture is there when sources are drawn with replacement."""
    names, of = sources.unique(return_inverse=True)
    chance = torch.full((resamples, len(names)), 1.0 / len(names))
    generator = torch.Generator().manual_seed(seed)
    picked = torch.multinomial(chance, len(names), replacement=True, generator=generator)
    counts = torch.zeros_like(picked).scatter_add_(1, picked, torch.ones_like(picked))
    return counts[:, of]


def _tells(once: _Curves, drawn: _Curves) -> Tensor:
    """(layer,) whether same-unit pairs are more alike than random ones, whatever is drawn."""
    apart = (drawn.same - drawn.random).nan_to_num(-1.0)
    least = apart.quantile((1 - COVERED) / 2, dim=0)
    return (least > 0) & ((once.same - once.random)[0] >= GAP)


def _interval(agreements: Tensor) -> tuple[float, float]:
    edges = torch.tensor([(1 - COVERED) / 2, (1 + COVERED) / 2], dtype=torch.float64)
    low, high = agreements.nanquantile(edges).tolist()
    return low, high
