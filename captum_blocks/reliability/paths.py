"""The way that a picture takes through the layers, beside that of photographs.

After Geirhos et al., "Don't trust your eyes: on the (un)reliability of feature visualizations",
ICML 2024: rank correlation of activations layer by layer, between that of pictures of unlike things
(0) and that of photographs of one thing (1). Published without code; what is chosen here is told at
each place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.reliability.correlating import correlations

# Of fewer photographs that excite a unit nothing is said.
FEWEST = 8
RESAMPLES, COVERED = 1000, 0.95
# A layer tells where same-unit pairs are at least so much more alike than random ones: below, a
# ratio to that difference is noise.
GAP = 0.02


@dataclass(frozen=True, eq=False)
class Along:
    """What pictures do at one layer on the way to a unit.

    Attributes:
        layer: its name.
        icon: (copy, feature), the icon; of several copies, each.
        own: (photograph, feature), those that excite the unit most.
        others: (other, feature), photographs drawn at random.

    >>> Along("early", torch.rand(1, 6), torch.rand(9, 6), torch.rand(20, 6)).layer
    'early'
    """

    layer: str
    icon: Tensor
    own: Tensor
    others: Tensor


@dataclass(frozen=True, eq=False)
class PathSimilarity:
    """How much an icon's way through the layers is that of the unit's photographs.

    Attributes:
        agreement: 0 as like them as a random photograph, 1 as they are like one another; over all
            layers that tell. NaN where nothing can be said.
        low, high: where 95 % of resampled source photographs put it.
        layers: their names, in order.
        icon: (layer,) mean rank correlation of the icon with the unit's photographs.
        same: (layer,) of those photographs with one another.
        random: (layer,) of them with photographs drawn at random.
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
    same: Tensor
    random: Tensor
    telling: Tensor
    photographs: int
    missing: str = ""

    @staticmethod
    def unknown(why: str, photographs: int = 0) -> PathSimilarity:
        """Nothing can be said, and why."""
        nan, none = float("nan"), torch.zeros(0, dtype=torch.float64)
        return PathSimilarity(
            nan, nan, nan, (), none, none, none, none.bool(), photographs, missing=why
        )


@dataclass(frozen=True, eq=False)
class _Curves:
    """Similarities along the layers, (draw, layer) each."""

    icon: Tensor
    same: Tensor
    random: Tensor

    def agreement(self, telling: Tensor) -> Tensor:
        """(draw,) how far the icon is from random pairs to same-unit ones, over layers that tell.

        Differences are added up before they are divided: a layer that tells much counts for much,
        and one where both are alike cannot blow the ratio up.
        """
        apart = (self.same - self.random)[:, telling].sum(1)
        return ((self.icon - self.random)[:, telling].sum(1) / apart).clamp(0, 1)


def path_similarity(
    along: Sequence[Along],
    own_sources: Sequence[int],
    other_sources: Sequence[int],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PathSimilarity:
    """Compare an icon's way through the layers with that of the unit's photographs.

    Activations are taken as differences from what the random photographs have on average, feature
    by feature: most of what pictures share at a layer is what all pictures do there. Pairs are of
    different source photographs. The interval resamples sources, not pairs, since all pairs of one
    photograph move together.

    Args:
        along: the layers up to the unit's, in order.
        own_sources: (photograph,) a number that is the same for pictures cut from one photograph.
        other_sources: (other,) the same numbers, of the photographs drawn at random.
        resamples: how often sources are drawn again.
        seed: of the drawing.

    Returns:
        What is found; ``missing`` says why nothing is said: of fewer than eight sources, or where
        no layer tells same-unit pairs from random ones.

    Raises:
        InvalidArgument: numbers of photographs that do not match.

    >>> own = torch.arange(6.0) + torch.rand(9, 6)
    >>> layer = Along("late", own.mean(0, keepdim=True), own, torch.rand(20, 6))
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
    pairs = _Pairs.of(along, own, others)
    once = pairs.curves(torch.ones(1, len(own)), torch.ones(1, len(others)))
    drawn = pairs.curves(_drawn(own, resamples, seed), _drawn(others, resamples, seed + 1))
    telling = _tells(once, drawn)
    found = (once.agreement(telling), drawn.agreement(telling))
    missing = "" if telling.any() else _OVERLAP
    low, high = _interval(found[1])
    names = tuple(each.layer for each in along)
    curves = (once.icon[0], once.same[0], once.random[0], telling)
    agreement = found[0].item() if telling.any() else float("nan")
    return PathSimilarity(agreement, low, high, names, *curves, sources, missing)


_OVERLAP = (
    "at no layer are the unit's photographs more like one another than like photographs drawn at "
    "random, so nothing can be compared with them"
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
    """Rank correlations of all pairs, and which pairs are of different sources.

    Attributes:
        icon: (layer, photograph).
        same: (layer, photograph, photograph).
        random: (layer, photograph, other).
        same_apart, random_apart: (photograph, ...) 1 for pairs of different sources.
    """

    icon: Tensor
    same: Tensor
    random: Tensor
    same_apart: Tensor
    random_apart: Tensor

    @staticmethod
    def of(along: Sequence[Along], own: Tensor, others: Tensor) -> _Pairs:
        """Of pictures whose sources are given."""
        icon, same, random = list[Tensor](), list[Tensor](), list[Tensor]()
        for each in along:
            usual = each.others.double().mean(0)
            made, photos, drawn = (
                held.double() - usual for held in (each.icon, each.own, each.others)
            )
            # A picture without ranks, where nothing differs from the usual, is like no other.
            icon.append(correlations(photos, made).nan_to_num(0.0).mean(1))
            same.append(correlations(photos, photos).nan_to_num(0.0))
            random.append(correlations(photos, drawn).nan_to_num(0.0))
        apart = [(own[:, None] != each[None]).double() for each in (own, others)]
        return _Pairs(*map(torch.stack, (icon, same, random)), *apart)

    def curves(self, own: Tensor, others: Tensor) -> _Curves:
        """Weighted means of pairs, each weighted by how often both its pictures are drawn.

        Args:
            own: (draw, photograph) how often each is drawn.
            others: (draw, other) the same.
        """
        own, others = own.double(), others.double()
        icon = own @ self.icon.mT / own.sum(1, keepdim=True)
        same = _weighted(own, self.same, self.same_apart, own)
        return _Curves(icon, same, _weighted(own, self.random, self.random_apart, others))


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
    return torch.nn.functional.one_hot(picked, len(names)).sum(1)[:, of]


def _tells(once: _Curves, drawn: _Curves) -> Tensor:
    """(layer,) whether same-unit pairs are more alike than random ones, whatever is drawn."""
    apart = (drawn.same - drawn.random).nan_to_num(-1.0)
    least = apart.quantile((1 - COVERED) / 2, dim=0)
    return (least > 0) & ((once.same - once.random)[0] >= GAP)


def _interval(agreements: Tensor) -> tuple[float, float]:
    edges = torch.tensor([(1 - COVERED) / 2, (1 + COVERED) / 2], dtype=torch.float64)
    low, high = agreements.nanquantile(edges).tolist()
    return low, high
