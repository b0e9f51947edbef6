"""Which rows of an order are shown: one of each photograph, near duplicates once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from captum_blocks.examples.likeness import alike

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Looks:
    """What tells photographs apart, row by row.

    Attributes:
        sources: (row,) the number of the photograph each is of.
        hashes, colours: see ``signatures``.
    """

    sources: Array
    hashes: Array
    colours: Array

    def is_among(self, row: int, rows: Sequence[int]) -> bool:
        """Whether a row is of the same photograph as one of some rows, or nearly the same."""
        if not len(rows):
            return False
        others = np.asarray(rows, np.int64)
        if bool((self.sources[others] == self.sources[row]).any()):
            return True
        return bool(alike(self.hashes, self.colours, row, others).any())

    def count_like(self, row: int, rows: Array) -> int:
        """How many of some rows are nearly the same as one, and of other photographs."""
        others = rows[self.sources[rows] != self.sources[row]]
        return int(alike(self.hashes, self.colours, row, others).sum())


def choose(order: Iterable[int], looks: Looks, k: int) -> list[int]:
    """The first k rows of an order that are of different photographs.

    Args:
        order: rows, the best first.
        looks: of all rows.
        k: how many; fewer where there are no more.

    >>> looks = Looks(np.uint64([1, 1, 2]), np.uint64([0, 2**40 - 1, 2**20 - 1]), np.zeros((3, 12)))
    >>> choose([0, 1, 2], looks, 2)
    [0, 2]
    """
    rows = list[int]()
    for row in order:
        if len(rows) == k:
            break
        if not looks.is_among(int(row), rows):
            rows.append(int(row))
    return rows


def spread(order: Array, looks: Looks, k: int, seed: int) -> list[int]:
    """k rows drawn from as many bands of an order, which hold as many rows each.

    >>> hashes = np.uint64(2**64 - 1) >> np.uint64(np.arange(9) * 7)
    >>> looks = Looks(np.arange(9), hashes, np.zeros((9, 12)))
    >>> [row // 3 for row in spread(np.arange(9), looks, 3, seed=0)]
    [0, 1, 2]
    """
    rows, generator = list[int](), np.random.default_rng((seed, 1))
    for band in np.array_split(order, k):
        drawn = generator.permutation(band)
        found = next((int(row) for row in drawn if not looks.is_among(int(row), rows)), None)
        if found is not None:
            rows.append(found)
    return rows
