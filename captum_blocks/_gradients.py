"""``torch.no_grad()`` that Ctrl-C cannot leave half open.

PyTorch's own context is left in several instructions of Python: a ``KeyboardInterrupt`` between two
of them leaves gradients off for good, and the caller's next training step fails.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from captum_blocks._interrupts import uninterrupted


@uninterrupted
def without_gradients() -> Iterator[None]:
    """Nothing is recorded within; gradients are afterwards as they were before, whatever happens.

    >>> with without_gradients():
    ...     torch.is_grad_enabled()
    False
    >>> torch.is_grad_enabled()
    True
    """
    with torch.no_grad():
        yield
