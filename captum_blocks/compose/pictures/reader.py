"""The reader of a page whose pictures are still being drawn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from threading import Lock
from typing import TypeVar

T = TypeVar("T")


class Reader:
    """What the reader wants meanwhile: told by one thread, heard by the one that draws.

    Attributes:
        gone: whether nobody waits for further pictures.

    >>> reader = Reader()
    >>> reader.points_at("bn2/channel/7")
    >>> reader.first([("bn2/channel/3",), ("bn2/channel/7",)], key=lambda names: names)
    ('bn2/channel/7',)
    """

    def __init__(self) -> None:
        self._asked: list[str] = []
        self._lock = Lock()
        self.gone = False

    def points_at(self, *keys: str) -> None:
        """Pictures that are to be drawn next, the last one first."""
        with self._lock:
            self._asked = [asked for asked in self._asked if asked not in keys] + list(keys)

    def gets(self, keys: Collection[str]) -> None:
        """Pictures that are there: nobody waits for them."""
        with self._lock:
            self._asked = [asked for asked in self._asked if asked not in keys]

    def leaves(self) -> None:
        """Nobody waits for further pictures: drawing ends with its current step."""
        self.gone = True

    def check(self) -> None:
        """Called by what draws, at every step.

        Raises:
            KeyboardInterrupt: the reader has left. It ends the work as Ctrl-C does, nothing lost.
        """
        if self.gone:
            raise KeyboardInterrupt

    def first(self, left: Sequence[T], key: Callable[[T], Collection[str]]) -> T:
        """What to go on with: what was pointed at last and is left, else the first.

        Args:
            left: what could be gone on with, at least one.
            key: the pictures each of them would make.
        """
        for asked in reversed(self._asked):
            for each in left:
                if asked in key(each):
                    return each
        return left[0]
