"""How a network is run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[nn.Module]:
    """Every submodule in ``eval()`` while the context is open, each as it was afterwards.

    >>> net = nn.Dropout()
    >>> with evaluation_mode(net):
    ...     net.training
    False
    >>> net.training
    True
    """
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield model
    finally:
        for module in training:
            module.training = True
