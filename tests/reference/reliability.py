"""Whether an icon goes the way of photographs, as loops over pairs, with ranks by SciPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata
from torch import Tensor

Layer = tuple[Tensor, Tensor, Tensor]  # icon (copy, feature), own (photograph, feature), others


Tables = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def tables(layer: Layer, units: Sequence[int] | None = None) -> Tables:
    """How alike pictures are: icon and own, icon and others, own and own, own and others.

    The cosine of ranks after the mean of all units is taken away, in the metric of the inverse of
    the covariance within units, which is moved half-way to a multiple of the identity.
    """
    icons, photos, drawn = ([_rank_vector(row) for row in held.double().numpy()] for held in layer)
    there = np.nan_to_num(np.array([*drawn, *photos]))
    of = np.array([*(units or [0] * len(drawn)), *[-1] * len(photos)])
    names, width = np.unique(of), there.shape[1]
    within = sum(np.cov(there[of == name].T, bias=True) * (of == name).sum() for name in names)
    mean = np.mean([there[of == name].mean(0) for name in names], 0)
    spread = within / (len(of) - len(names))
    inverse = np.linalg.inv(spread / 2 + np.trace(spread) / width / 2 * np.eye(width))

    def alike(ones: list[np.ndarray], others: list[np.ndarray]) -> np.ndarray:
        return np.array([[_cosine(a - mean, b - mean, inverse) for b in others] for a in ones])

    return alike(icons, photos), alike(icons, drawn), alike(photos, photos), alike(photos, drawn)


def _cosine(one: np.ndarray, other: np.ndarray, metric: np.ndarray) -> float:
    if np.isnan(one[0]) or np.isnan(other[0]):
        return 0.0
    lengths = (one @ metric @ one) * (other @ metric @ other)
    return float(one @ metric @ other / np.sqrt(lengths))


def _rank_vector(numbers: np.ndarray) -> np.ndarray:
    """Centred and of length 1; NaN where all numbers are equal."""
    if np.ptp(numbers) == 0:
        return np.full(len(numbers), np.nan)
    centred = rankdata(numbers) - (len(numbers) + 1) / 2
    return np.asarray(centred / np.sqrt((centred**2).sum()))


def similarities(
    layer: Layer, own: Sequence[int], others: Sequence[int]
) -> tuple[float, float, float, float]:
    """Means of these over pairs of different sources.

    Args:
        layer: what pictures do there.
        own: sources of the unit's photographs.
        others: sources of the others.
    """
    return _means(tables(layer), own, others)


def _means(
    held: Tables, own: Sequence[int], others: Sequence[int]
) -> tuple[float, float, float, float]:
    same, random = [], []
    for i, source in enumerate(own):
        same += [held[2][i, j] for j, name in enumerate(own) if name != source]
        random += [held[3][i, j] for j, name in enumerate(others) if name != source]
    found = (held[0], held[1], same, random)
    return tuple(float(np.mean(each)) for each in found)  # type: ignore[return-value]


def weights(
    layers: Sequence[Layer], own: Sequence[int], others: Sequence[int], telling: Sequence[bool]
) -> list[float]:
    """Of layers that tell: (depth * gap / deviation over others of their likeness to own) ** 2."""
    found = []
    for number, (layer, tells) in enumerate(zip(layers, telling, strict=True), 1):
        depth = number / len(layers)
        _, _, same, random = similarities(layer, own, others)
        likeness = tables(layer)[3].mean(0)
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
    return _agreement([tables(layer) for layer in layers], own, others, weight)


def _agreement(
    layers: Sequence[Tables],
    own: Sequence[int],
    others: Sequence[int],
    weight: Sequence[float],
) -> float:
    above = between = 0.0
    for held, counts in zip(layers, weight, strict=True):
        icon, apart, same, random = _means(held, own, others)
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
    whole = [tables(layer) for layer in layers]
    for _ in range(draws):
        own, others = (_drawn(np.asarray(held), generator) for held in sources)
        names = [np.asarray(held)[rows] for held, rows in zip(sources, (own, others), strict=True)]
        if len(set(names[0])) > 1:
            picked = [
                (icon[:, own], apart[:, others], same[own][:, own], random[own][:, others])
                for icon, apart, same, random in whole
            ]
            found.append(_agreement(picked, *names, weight))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def percentile(value: float, photographs: Sequence[float]) -> float:
    """The share of photographs with a smaller number, and half of those with an equal one."""
    below = sum(each < value for each in photographs)
    equal = sum(each == value for each in photographs)
    return (below + equal / 2) / len(photographs)


def _drawn(sources: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Rows of sources drawn with replacement, each with all its pictures."""
    names = np.unique(sources)
    picked = generator.choice(names, len(names))
    return np.concatenate([np.flatnonzero(sources == name) for name in picked])
