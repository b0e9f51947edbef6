"""How high a label's photographs stand in a unit's order, and how high chance puts any label's.

Under permutation of labels over photographs, all orders of the photographs are alike: what labels
permuted against a unit's order give is what the labels as they are give against orders drawn at
random. So one table of random orders serves all units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Orders that are looked at together.
_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Asked:
    """Photographs with their values and labels.

    Attributes:
        values: (source, unit), each the mean over its images.
        labels: those that enough sources have, and not all.
        members: for each label, the sources that have it.
        strata: sources of about as many images.
    """

    values: Array
    labels: tuple[Hashable, ...]
    members: tuple[Array, ...]
    strata: tuple[Array, ...]

    @staticmethod
    def of(
        values: Array, labels: Sequence[Hashable], sources: Sequence[Hashable], fewest: int
    ) -> Asked:
        """From the images of the photographs.

        Args:
            values: (image, unit).
            labels: (image,).
            sources: (image,).
            fewest: sources of a label.

        >>> made = Asked.of(np.array([[1.0], [3.0], [5.0]]), ["a", "a", "b"], [7, 7, 8], 1)
        >>> made.values.tolist(), made.labels, [each.tolist() for each in made.members]
        ([[2.0], [5.0]], ('a', 'b'), [[0], [1]])
        """
        numbers = {source: number for number, source in enumerate(dict.fromkeys(sources))}
        of = np.array([numbers[source] for source in sources], dtype=np.intp)
        images = np.bincount(of, minlength=len(numbers))
        means = np.zeros((len(numbers), values.shape[1]))
        np.add.at(means, of, values)
        means /= images[:, None]
        pairs = dict.fromkeys(zip(labels, of.tolist(), strict=True))
        held = Counter(label for label, _ in pairs)
        told = [label for label in held if fewest <= held[label] < len(numbers)]
        told.sort(key=lambda label: (str(type(label)), str(label)))
        members: dict[Hashable, list[int]] = {label: [] for label in told}
        for label, source in pairs:
            if label in members:
                members[label].append(source)
        sizes = np.frexp(images)[1]
        return Asked(
            means,
            tuple(told),
            tuple(np.array(sorted(held)) for held in members.values()),
            tuple(np.flatnonzero(sizes == size) for size in np.unique(sizes)),
        )

    @property
    def prevalence(self) -> Array:
        """(label,) the share of the sources that have it."""
        return np.array([len(held) for held in self.members]) / len(self.values)

    def precision(self, unit: int) -> Array:
        """(label,) average precision, equal values together."""
        places = np.empty(len(self.values))
        for some in self.strata:
            _, group, counts = np.unique(
                self.values[some, unit], return_inverse=True, return_counts=True
            )
            places[some] = ((counts.cumsum() - counts / 2) / len(some))[group.ravel()]
        has = np.zeros((len(self.values), len(self.labels)), dtype=bool)
        for number, held in enumerate(self.members):
            has[held, number] = True
        return average_precision(places, has)


def average_precision(values: Array, has: Array) -> Array:
    """The sum of precision times gain in recall down an order, equal values together.

    As ``sklearn.metrics.average_precision_score``.

    Args:
        values: (source,), the highest first.
        has: (source, label), true where the source has the label; each label somewhere.

    Returns:
        (label,) from 0 to 1.

    >>> average_precision(np.array([3.0, 2.0, 1.0]), np.array([[1], [0], [1]])).round(3).tolist()
    [0.833]
    """
    order = np.argsort(-values, kind="stable")
    last = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)
    hits = has[order].cumsum(0)[last]
    gains = np.diff(hits, axis=0, prepend=0)
    found: Array = (gains * hits / (last + 1)[:, None]).sum(0) / hits[-1]
    return found


def chances(asked: Asked, permutations: int, rng: np.random.Generator) -> Array:
    """How often chance gives the best of all labels as much as a unit gives a label.

    Args:
        asked: with at least one label.
        permutations: how many orders are drawn.
        rng: draws them, and the order of equal values.

    Returns:
        (unit, label): (b + 1) / (m + 1) for b of m permutations.
    """
    orders = np.arange(1, len(asked.values) + 1, dtype=np.int32)
    drawn = (np.broadcast_to(orders, (rows, len(orders))) for rows in _parts(permutations))
    by_chance = np.concatenate(
        [_precisions(asked, rng.permuted(ranks, axis=1), rng) for ranks in drawn]
    )
    middle, spread = by_chance.mean(0), np.maximum(by_chance.std(0), 1e-9)
    best = np.sort(((by_chance - middle) / spread).max(1))
    found, first = [], 0
    for rows in _parts(asked.values.shape[1]):
        values = np.ascontiguousarray(asked.values[:, first : first + rows].T)
        high = (_precisions(asked, _ranks(values, rng), rng) - middle) / spread
        # What differs by rounding is equal.
        as_much = len(best) - np.searchsorted(best, high - 1e-6)
        found.append((as_much + 1) / (permutations + 1))
        first += rows
    return np.concatenate(found)


def discovered(p: Array, rate: float) -> float:
    """The largest p that is a discovery, Benjamini and Hochberg 1995; negative where none is.

    Args:
        p: (unit,).
        rate: of false ones among the discoveries, at most.

    >>> discovered(np.array([0.5, 0.01, 0.02]), 0.05), discovered(np.array([0.5, 0.04]), 0.05)
    (0.02, -1.0)
    """
    held = np.sort(p)
    passing = np.flatnonzero(held <= rate * np.arange(1, len(held) + 1) / len(held))
    return float(held[passing[-1]]) if len(passing) else -1.0


def _parts(number: int) -> list[int]:
    return [min(_AT_ONCE, number - first) for first in range(0, number, _AT_ONCE)]


def _precisions(asked: Asked, ranks: Array, rng: np.random.Generator) -> Array:
    """(row, label), log average precision of orders, (row, source) ranks from 1."""
    if len(asked.strata) > 1:
        places = np.empty(ranks.shape)
        for some in asked.strata:
            inside = ranks[:, some].argsort(1).argsort(1)
            places[:, some] = -(inside + 0.5) / len(some)
        ranks = _ranks(places, rng)
    found = np.empty((len(ranks), len(asked.labels)))
    for number, held in enumerate(asked.members):
        counted = np.sort(ranks[:, held], axis=1)
        found[:, number] = (np.arange(1, len(held) + 1) / counted).mean(1)
    return np.log(found)


def _ranks(values: Array, rng: np.random.Generator) -> Array:
    """(row, source), 1 for the highest; equal values in an order drawn for each row."""
    shuffled = rng.permuted(np.broadcast_to(np.arange(values.shape[1]), values.shape), axis=1)
    order = np.argsort(-np.take_along_axis(values, shuffled, 1), axis=1, kind="stable")
    order = np.take_along_axis(shuffled, order, 1)
    ranks = np.empty(values.shape, dtype=np.int32)
    np.put_along_axis(ranks, order, np.arange(1, values.shape[1] + 1, dtype=np.int32)[None], 1)
    return ranks
