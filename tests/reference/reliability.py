"""Whether an icon goes the way of photographs, as loops over pairs, correlated by SciPy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor

Layer = tuple[Tensor, Tensor, Tensor]  # icon (copy, feature), own (photograph, feature), others


def about_the_usual(layer: Layer) -> Layer:
    """Differences from what the others have on average, feature by feature."""
    icon, own, others = (held.double() for held in layer)
    usual = others.mean(0)
    return icon - usual, own - usual, others - usual


def similarities(
    layer: Layer, own: Sequence[int], others: Sequence[int]
) -> tuple[float, float, float]:
    """Mean rank correlation of icon and photographs, of photographs, of photographs and others.

    Args:
        layer: what pictures do there, about the usual.
        own: sources of the unit's photographs.
        others: sources of the others.
    """
    icons, photos, drawn = (held.numpy() for held in layer)
    icon = [_spearman(photo, copy) for photo in photos for copy in icons]
    same, random = [], []
    for i, photo in enumerate(photos):
        for j, photograph in enumerate(photos):
            if own[i] != own[j]:
                same.append(_spearman(photo, photograph))
        for j, photograph in enumerate(drawn):
            if own[i] != others[j]:
                random.append(_spearman(photo, photograph))
    return float(np.mean(icon)), float(np.mean(same)), float(np.mean(random))


def agreement(
    layers: Sequence[Layer], own: Sequence[int], others: Sequence[int], telling: Sequence[bool]
) -> float:
    """From random pairs (0) to same-unit ones (1), differences added up over layers that tell."""
    above = apart = 0.0
    for layer, tells in zip(layers, telling, strict=True):
        if tells:
            icon, same, random = similarities(layer, own, others)
            above, apart = above + icon - random, apart + same - random
    return min(1.0, max(0.0, above / apart))


def resampled(
    layers: Sequence[Layer],
    sources: tuple[Sequence[int], Sequence[int]],
    telling: Sequence[bool],
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
            found.append(agreement(picked, *names, telling))
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
