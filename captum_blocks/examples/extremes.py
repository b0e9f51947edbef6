"""The largest and the smallest of many numbers, channel by channel, exactly, as they come in."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
# Rows that are looked at together: sorting a few more costs less than sorting more often.
TOGETHER = 256


class Extremes:
    """The most extreme rows of a table that is seen some rows at a time, in order.

    Args:
        most: how many are kept of each channel.
        channels: how many channels.

    >>> kept = Extremes(2, 1)
    >>> kept.see(np.float32([[1.0], [3.0], [3.0]]), start=0)
    >>> kept.see(np.float32([[0.0], [9.0]]), start=3)
    >>> values, rows = kept.top()
    >>> values.tolist(), rows.tolist()
    ([[9.0], [3.0]], [[4], [1]])
    >>> kept.bottom()[1].tolist()
    [[3], [0]]
    """

    def __init__(self, most: int, channels: int) -> None:
        self._most = most
        empty = (np.zeros((0, channels), np.float32), np.zeros((0, channels), np.int64))
        self._best = {1: empty, -1: empty}
        self._waiting: list[tuple[Array, int]] = []

    def see(self, values: Array, start: int) -> None:
        """(row, channel) numbers of rows from ``start`` on."""
        self._waiting.append((values, start))
        if sum(len(each) for each, _ in self._waiting) >= TOGETHER:
            self._settle()

    def top(self) -> tuple[Array, Array]:
        """(k, channel) the largest numbers, and their rows; the smaller row first of equals."""
        self._settle()
        return self._best[1]

    def bottom(self) -> tuple[Array, Array]:
        """(k, channel) the smallest numbers, and their rows; the smaller row first of equals."""
        self._settle()
        return self._best[-1]

    def _settle(self) -> None:
        if not self._waiting:
            return
        values = np.concatenate([each for each, _ in self._waiting])
        rows = np.concatenate([start + np.arange(len(each)) for each, start in self._waiting])
        self._waiting = []
        for sign, (best, held) in self._best.items():
            everything = np.concatenate([best, values])
            of = np.concatenate([held, np.broadcast_to(rows[:, None], values.shape)])
            order = np.argsort(-sign * everything, axis=0, kind="stable")[: self._most]
            self._best[sign] = (
                np.take_along_axis(everything, order, 0),
                np.take_along_axis(of, order, 0),
            )
