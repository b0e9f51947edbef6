"""Threads of torch that wait for one another sleep instead of spinning.

Operators divide their work among threads, and who is done first waits for the others by trying
again and again: beside any other program on the same processors it then takes from the others the
time that it waits for. The library that does so (OpenMP) reads how to wait from the environment,
once, as it is loaded with torch.
"""

from __future__ import annotations

import os

POLICY, SLEEPING = "OMP_WAIT_POLICY", "PASSIVE"


def sleep_while_waiting() -> None:
    """Ask for it, unless it was said how to wait; to be called before torch is imported.

    Processes started from here on inherit it.

    >>> sleep_while_waiting()
    >>> os.environ["OMP_WAIT_POLICY"] != ""
    True
    """
    os.environ.setdefault(POLICY, SLEEPING)
