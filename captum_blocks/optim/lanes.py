"""Two threads that draw side by side, each with half of the images and of the processor.

Operators that divide their work among threads wait for the slowest after each of some hundreds of
operators of a step; threads with images of their own meet once a step. The pictures are the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import torch

from captum_blocks._interrupts import uninterrupted
from captum_blocks.optim.trunk import Trunk

T = TypeVar("T")
R = TypeVar("R")

MOST = 2


class Lanes:
    """Threads that each have a copy of the network.

    Args:
        trunk: the network.
        n: how many have work; there are no more threads than torch has, nor than ``MOST``, and one
            where two copies of the network would not do what one does.
        memory: bytes that copies of the network may take.

    Attributes:
        n: how many there are.

    >>> from torch import nn
    >>> lanes = Lanes(Trunk(nn.Sequential(nn.Conv2d(3, 4, 3)), ["0"], torch.zeros(1, 3, 8, 8)), 2)
    >>> with lanes.open():
    ...     lanes.map(lambda picture: lanes.trunk(picture)["0"].shape[0], [torch.zeros(2, 3, 8, 8)])
    [2]
    """

    def __init__(self, trunk: Trunk, n: int, memory: int = 2**30) -> None:
        possible = n > 1 and trunk.divisible and trunk.bytes_of_weights <= memory
        self.n = max(1, min(n, MOST, torch.get_num_threads())) if possible else 1
        self._trunk = trunk
        self._of_thread = threading.local()
        self._pool: ThreadPoolExecutor | None = None

    @property
    def trunk(self) -> Trunk:
        """The copy of the network that this thread runs."""
        own: Trunk = getattr(self._of_thread, "trunk", self._trunk)
        return own

    @uninterrupted
    def open(self) -> Iterator[None]:
        """While open, ``map`` works side by side; what has begun is finished at the end."""
        if self.n == 1:
            yield
            return
        n_threads = torch.get_num_threads()
        trunks: SimpleQueue[Trunk] = SimpleQueue()
        for trunk in [self._trunk, *(self._trunk.copy() for _ in range(self.n - 1))]:
            trunks.put(trunk)
        all_here = threading.Barrier(self.n)

        def begin(_: int) -> None:
            self._of_thread.trunk = trunks.get()
            torch.get_num_threads()  # a thread's first question gives it as many as there are
            torch.set_num_threads(max(1, n_threads // self.n))
            all_here.wait()

        with ThreadPoolExecutor(self.n, "captum_blocks-lane") as pool:
            try:
                list(pool.map(begin, range(self.n)))
            except BaseException:  # one has not begun: the others are not to wait for it
                all_here.abort()
                raise
            finally:
                torch.set_num_threads(n_threads)  # threads that come later begin with the last set
            self._pool = pool
            try:
                yield
            finally:
                self._pool = None

    def map(self, work: Callable[[T], R], parts: Sequence[T]) -> list[R]:
        """What the work makes of each part, in order."""
        if self._pool is None or len(parts) == 1:
            return [work(part) for part in parts]
        return list(self._pool.map(work, parts))
