"""Whether an icon goes the way of photographs, as loops over pairs, correlated by SciPy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor

Layer = tuple[Tensor, Tensor, Tensor]  # icon (copy, feature), own (photograph, feature), others


def similarities(
    layer: Layer, own: Sequence[int], others: Sequence[int]
) -> tuple[float, float, float, float]:
    """Mean rank correlation: icon and own, icon and others, own and own, own and others.

    Args:
        layer: what pictures do there.
        own: sources of the unit's photographs.
        others: sources of the others.
    """
    icons, photos, drawn = (held.double().numpy() for held in layer)
    icon = [_spearman(photo, copy) for photo in photos for copy in icons]
    apart = [_spearman(photo, copy) for photo in drawn for copy in icons]
    same, random = [], []
    for i, photo in enumerate(photos):
        for j, photograph in enumerate(photos):
            if own[i] != own[j]:
                same.append(_spearman(photo, photograph))
        for j, photograph in enumerate(drawn):
            if own[i] != others[j]:
                random.append(_spearman(photo, photograph))
    return tuple(float(np.mean(each)) for each in (icon, apart, same, random))  # type: ignore[return-value]


def weights(
    layers: Sequence[Layer], own: Sequence[int], others: Sequence[int], telling: Sequence[bool]
) -> list[float]:
    """Of layers that tell: (depth * gap / deviation over others of their likeness to own) ** 2."""
    found = []
    for number, (layer, tells) in enumerate(zip(layers, telling, strict=True), 1):
        depth = number / len(layers)
        _, _, same, random = similarities(layer, own, others)
        _, photos, drawn = (held.double().numpy() for held in layer)
        likeness = [np.mean([_spearman(photo, other) for photo in photos]) for other in drawn]
        above = depth * (same - random) / float(np.std(likeness, ddof=1))
        found.append(above**2 if tells else 0.0)
    return [each / sum(found) for each in found]


def agreement(
    layers: Sequence[Layer],
    own: Sequence[int],
    others: Sequence[int],
    weight: Sequence[float],
) -> float:
    """From random pairs (0) to same-unit ones (1), differences added up over weighted layers."""
    above = between = 0.0
    for layer, counts in zip(layers, weight, strict=True):
        icon, apart, same, random = similarities(layer, own, others)
        above, between = above + counts * (icon - apart), between + counts * (same - random)
    return min(1.0, max(0.0, above / between))


def resampled(
    layers: Sequence[Layer],
    sources: tuple[Sequence[int], Sequence[int]],
    weight: Sequence[float],
    draws: int,
    seed: int,
) -> tuple[float, float]:
    """Where 95 % of agreements lie when sources, with all their pictures, are drawn again."""
    generator, found = np.random.default_rng(seed), []
    for _ in range(draws):
        own, others = (_drawn(np.asarray(held), generator) for held in sources)
        names = [np.asarray(held)[rows] for held, rows in zip(sources, (own, others), strict=True)]
        if len(set(names[0])) > 1:
            picked = [(icon, photos[own], drawn[others]) for icon, photos, drawn in layers]
            found.append(agreement(picked, *names, weight))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def percentile(value: float, photographs: Sequence[float]) -> float:
    """The share of photographs with a smaller number, and half of those with an equal one."""
    below = sum(each < value for each in photographs)
    equal = sum(each == value for each in photographs)
    return (below + equal / 2) / len(photographs)


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    return _known_spearman(one.tobytes(), other.tobytes())


@lru_cache(None)
def _known_spearman(one: bytes, other: bytes) -> float:
    """The same pairs come again and again when pictures are drawn again."""
    first, second = (np.frombuffer(each, np.float64) for each in (one, other))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)


def _drawn(sources: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Rows of sources drawn with replacement, each with all its pictures."""
    names = np.unique(sources)
    picked = generator.choice(names, len(names))
    return np.concatenate([np.flatnonzero(sources == name) for name in picked])
