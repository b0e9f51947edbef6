"""The article's max-pool relaxation: smoother gradients, asked for by name and labelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_blocks.errors import UnsupportedMethod, UnusableLayer

_EPSILON = 1e-2


@contextmanager
def relaxed_pooling(module: nn.Module) -> Iterator[nn.Module]:
    """Max-pooling with an unchanged forward pass and a smooth backward pass.

    While the context is open, gradients pass a max-pooling as if it computed
    avgpool(x^2) / (1e-2 + avgpool|x|): neighbours of the maximum get their part, where the true
    gradient is all on one position and makes a checkerboard ("The Building Blocks of
    Interpretability", Distill 2018, footnote on spatial attribution). Numbers computed inside are
    no longer the network's gradient: every ``LayerResult`` and ``GroupResult`` made inside carries
    a note that says so. Plain tensors, as ``LayerToLayerAttribution`` and ``LayerGroupAttribution``
    answer with, cannot: whoever shows them has to say it.

    Args:
        module: the network; all its ``nn.MaxPool2d`` take part.

    Raises:
        UnusableLayer: the network has no ``nn.MaxPool2d``.
        UnsupportedMethod: one of them is dilated or returns indices.

    >>> pool = nn.MaxPool2d(2)
    >>> x = torch.tensor([[[[1.0, 1.0], [1.0, 3.0]]]], requires_grad=True)
    >>> with relaxed_pooling(pool):
    ...     pool(x).backward()
    >>> bool((x.grad != 0).all())
    True
    """
    pools = [part for part in module.modules() if isinstance(part, nn.MaxPool2d)]
    if not pools:
        raise UnusableLayer(f"this {type(module).__name__} has no nn.MaxPool2d to relax")
    for pool in pools:
        if pool.return_indices or pool.dilation not in (1, (1, 1)):
            raise UnsupportedMethod(f"{pool} cannot be relaxed: it is dilated or returns indices")
    with ExitStack() as undo:
        for pool in pools:
            if "forward" not in vars(pool):
                pool.forward = _relaxed(pool)  # type: ignore[assignment,method-assign]
                undo.callback(delattr, pool, "forward")
        yield module


def is_relaxed(module: nn.Module) -> bool:
    """Whether a ``relaxed_pooling`` context is open around the module.

    >>> is_relaxed(nn.MaxPool2d(2))
    False
    """
    return any(hasattr(vars(part).get("forward"), "_is_relaxed") for part in module.modules())


def _relaxed(pool: nn.MaxPool2d) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        exact = nn.MaxPool2d.forward(pool, x).detach()
        smooth = _average(pool, x * x) / (_EPSILON + _average(pool, x.abs()))
        # The difference is exactly zero: only its gradient is wanted.
        passed: Tensor = exact + (smooth - smooth.detach())
        return passed

    forward._is_relaxed = True  # type: ignore[attr-defined]
    return forward


def _average(pool: nn.MaxPool2d, x: Tensor) -> Tensor:
    averaged: Tensor = functional.avg_pool2d(
        x,
        pool.kernel_size,
        pool.stride,
        pool.padding,
        ceil_mode=pool.ceil_mode,
        count_include_pad=False,
    )
    return averaged


def blur(maps: Tensor) -> Tensor:
    """The article's blur of a gradient: a quarter centre, half neighbours, a quarter diagonals.

    Positions outside repeat the border, so that a constant map stays as it is.

    Args:
        maps: (..., y, x).

    Returns:
        The same shape.

    >>> blur(torch.ones(1, 3, 3)).unique()
    tensor([1.])
    """
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    row = maps.new_tensor([0.25, 0.5, 0.25])
    padded = functional.pad(flat, (1, 1, 1, 1), mode="replicate")
    blurred: Tensor = functional.conv2d(padded, torch.outer(row, row)[None, None])
    return blurred.reshape(maps.shape)
