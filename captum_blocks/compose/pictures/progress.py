"""One line per stage of the work, with a bar."""

from __future__ import annotations

import sys
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
        # A log file or a pipe is not redrawn: fewer lines say as much there.
        pause = 0.1 if sys.stderr.isatty() else 2.0
        options = {"bar_format": shape, "mininterval": pause, "disable": not self.enabled}
        with tqdm(total=total or 1, desc=name, **options) as bar:
            yield bar.update
            bar.update(bar.total - bar.n)
