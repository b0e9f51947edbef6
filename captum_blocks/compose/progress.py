"""One line per stage of the work, with a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm

Advance = Callable[[int], object]


class Progress:
    """Names what is being done while it is done.

    Args:
        enabled: whether anything is written (to standard error).

    >>> with Progress(enabled=False).stage("counting", total=2) as advance:
    ...     _ = advance(2)
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        """A stage; without ``total`` it is done when the context ends."""
        shape = "{desc:<42}{percentage:3.0f}%|{bar:24}| {elapsed}"
        if total is not None:
            shape += " [{n:.0f}/{total:.0f} " + unit + ", {remaining} left]"
        with tqdm(total=total or 1, desc=name, bar_format=shape, disable=not self.enabled) as bar:
            yield bar.update
            bar.update(bar.total - bar.n)
