"""Memory that has been freed goes back to the system.

The C library keeps what it is given back, but for the largest pieces, for whoever asks next. Who
asks for other sizes gets more beside it: work in steps of several kinds ends up with the sum of
what they took, and not with the largest.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any


def give_back() -> None:
    """Hand freed memory to the system, where its C library can be asked to (glibc).

    Takes milliseconds; what is in use stays where it is.

    >>> give_back()
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], Any] | None:
    with suppress(OSError, AttributeError, TypeError):  # another C library, or none by that way
        found: Callable[[int], Any] = ctypes.CDLL(None).malloc_trim
        return found
    return None
