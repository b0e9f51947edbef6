"""Which rows of an order are shown: one of each photograph, near duplicates once."""

from __future__ import annotations

from collections.abc import Iterable
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

    def stands_for(self, row: int, chosen: Array) -> int | None:
        """The place of the first chosen row that is of the same photograph, or like this one."""
        if not len(chosen):
            return None
        same = self.sources[chosen] == self.sources[row]
        same |= alike(self.hashes, self.colours, row, chosen)
        return int(same.argmax()) if same.any() else None


@dataclass(frozen=True)
class Chosen:
    """Rows that are shown.

    Attributes:
        rows: in their order.
        like: of each, how many near duplicates, or others of its photograph, it stands for.
        read: how many rows of the order were looked at.
    """

    rows: list[int]
    like: list[int]
    read: int

    @property
    def last(self) -> int:
        """The last row shown."""
        return self.rows[-1]


def choose(order: Iterable[int], looks: Looks, k: int) -> Chosen:
    """The first k rows of an order that are of different photographs.

    Args:
        order: rows, the best first.
        looks: of all rows.
        k: how many; fewer where there are no more.

    >>> looks = Looks(np.uint64([1, 1, 2]), np.uint64([0, 2**40 - 1, 2**20 - 1]), np.zeros((3, 12)))
    >>> choose([0, 1, 2], looks, 2)
    Chosen(rows=[0, 2], like=[0, 0], read=3)
    """
    rows, like, read = list[int](), list[int](), 0
    for row in order:
        if len(rows) == k:
            break
        read += 1
        chosen = np.array(rows, np.int64)
        place = looks.stands_for(row, chosen)
        if place is None:
            rows.append(int(row))
            like.append(0)
        elif looks.sources[rows[place]] != looks.sources[row]:
            like[place] += 1
    return Chosen(rows, like, read)


def spread(order: Array, looks: Looks, k: int, seed: int) -> Chosen:
    """k rows drawn from as many bands of an order, which hold as many rows each.

    >>> hashes = np.uint64(2**64 - 1) >> np.uint64(np.arange(9) * 7)
    >>> looks = Looks(np.arange(9), hashes, np.zeros((9, 12)))
    >>> [row // 3 for row in spread(np.arange(9), looks, 3, seed=0).rows]
    [0, 1, 2]
    """
    rows, generator = list[int](), np.random.default_rng((seed, 1))
    for band in np.array_split(order, k):
        drawn = generator.permutation(band)
        found = next((r for r in drawn if looks.stands_for(r, np.array(rows, int)) is None), None)
        if found is not None:
            rows.append(int(found))
    return Chosen(rows, [0] * len(rows), len(order))
