"""The exact best photographs for directions, of which most are never looked at again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from captum_blocks.errors import InvalidArgument
from captum_blocks.examples.bounds import Bounds
from captum_blocks.examples.choosing import Looks, choose

Array = np.ndarray[Any, np.dtype[Any]]
# Rows that are looked at before the others are asked again whether they have to be.
CHUNK = 64
# Of more, it takes longer to find out which are stood for than to look at some of them.
FEW = 512
# A share of all pictures that is worth a word before it begins.
MANY = 0.25
# How far beyond its bounds a value may be, as a share of the numbers that it is a sum of: those of
# another machine or batch.
APART = 2e-3
# Values and places of rows, (row, direction).
Look = Callable[[Sequence[int], bool], tuple[Array, Array]]


@dataclass
class Found:
    """Values that are known exactly.

    Attributes:
        values, places: (row, direction); NaN and -1 where not known.
    """

    values: Array
    places: Array

    @property
    def known(self) -> Array:
        """(row,) whether a row was looked at."""
        return np.asarray(self.places[:, 0] >= 0)


class Search:
    """Finds the best rows for each of some directions.

    Args:
        bounds: what is known of them; the larger, the better.
        looks: what tells photographs apart.
        look: tells values exactly, of ascending rows; also whether a bar is to be shown.
        allowed: (row,) which rows may be among them.
        same: (row,) the first row of the same picture, which is looked at for all of them: their
            values are equal, and stay so.
    """

    def __init__(
        self, bounds: Bounds, looks: Looks, look: Look, allowed: Array, same: Array
    ) -> None:
        self._bounds, self._looks, self._look, self._allowed = bounds, looks, look, allowed
        self._same = same
        shape = bounds.estimate.shape
        self.found = Found(np.full(shape, np.nan), np.full(shape, -1, np.int64))
        self._told = False
        self.looked_at = 0

    def best(self, k: int) -> list[list[int]]:
        """The k best rows for each direction, of different photographs."""
        while True:
            chosen = [self._chosen(d, k) for d in range(self._bounds.estimate.shape[1])]
            known = self.found.known
            wanted = {row for rows in chosen for row in rows if not known[row]}
            if not wanted:
                wanted = self._open(chosen, k)
            if not wanted:
                return chosen
            self.look_at(sorted(wanted))

    def look_at(self, rows: Sequence[int]) -> None:
        """Learn the values of rows exactly.

        Raises:
            InvalidArgument: they are not what the index says.
        """
        at = np.unique(self._same[rows])
        values, places = self._look(at.tolist(), len(at) > CHUNK)
        off = APART * np.maximum(self._bounds.scale[at], 1e-6)
        wrong = (values > self._bounds.upper[at] + off) | (values < self._bounds.lower[at] - off)
        if wrong.any():
            raise InvalidArgument(
                f"{int(wrong.any(1).sum())} of {len(rows)} photographs say something else than "
                "when the index was built: the photographs, or how the network computes, are not "
                "what they were; build it again"
            )
        copies = np.flatnonzero(np.isin(self._same, at))
        learnt = np.searchsorted(at, self._same[copies])
        self.found.values[copies], self.found.places[copies] = values[learnt], places[learnt]
        self.looked_at += len(at)

    def _chosen(self, direction: int, k: int) -> list[int]:
        values = np.where(
            self.found.known, self.found.values[:, direction], self._bounds.estimate[:, direction]
        )
        rows = np.flatnonzero(self._allowed)
        order = rows[np.argsort(-values[rows], kind="stable")]
        return choose(order, self._looks, k)

    def _open(self, chosen: Sequence[list[int]], k: int) -> set[int]:
        """Rows that may be better than the last one chosen, the most promising first."""
        gains: dict[int, float] = {}
        unknown = np.flatnonzero(self._allowed & ~self.found.known)
        for direction, each in enumerate(chosen):
            values = self.found.values[each, direction]
            least = values.min() if len(each) == k else -np.inf
            upper = self._bounds.upper[unknown, direction]
            rows, tops = unknown[upper >= least], upper[upper >= least]
            for row, top in zip(rows, tops, strict=True):
                if len(rows) > FEW or not self._is_stood_for(int(row), float(top), each, values):
                    gains[int(row)] = max(gains.get(int(row), -np.inf), float(top - least))
        first = sorted(gains, key=lambda row: (-gains[row], row))
        self._tell(len(gains))
        return set(first[: max(CHUNK, len(first) // 4)])

    def _is_stood_for(self, row: int, top: float, each: list[int], values: Array) -> bool:
        """Whether a photograph that is shown, and cannot be worse, is the same one or like it."""
        better = [other for other, value in zip(each, values, strict=True) if value >= top]
        return self._looks.is_among(row, better)

    def _tell(self, count: int) -> None:
        total = len(self._allowed)
        if self._told or count <= max(CHUNK, MANY * total):
            return
        self._told = True
        warnings.warn(
            f"what is kept of this layer leaves open {count} of {total} photographs, which may "
            "have to be looked at again: keep its activations (a larger budget=) to answer sooner",
            stacklevel=4,
        )
