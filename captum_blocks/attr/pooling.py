"""The article's max-pool relaxation and blur: smoother gradients, asked for and labelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_blocks._interrupts import uninterrupted
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, UnusableLayer

_EPSILON = 1e-2


_NOTES = {
    False: "gradients went through relaxed max-pooling",
    True: "gradients went through relaxed max-pooling and were blurred there",
}


@uninterrupted
def relaxed_pooling(module: nn.Module, blurred: bool = False) -> Iterator[nn.Module]:
    """Max-pooling with an unchanged forward pass and a smooth backward pass.

    While the context is open, gradients pass a max-pooling as if it computed
    avgpool(x^2) / (1e-2 + avgpool|x|): neighbours of the maximum get their part, where the true
    gradient is all on one position and makes a checkerboard ("The Building Blocks of
    Interpretability", Distill 2018, footnote on spatial attribution). With ``blurred``, what comes
    out of each of them is ``blur``-red as well, as in the notebooks published with the article,
    whose authors call this a way to hide artifacts from a demonstration and advise against it
    elsewhere.

    Numbers computed inside are no longer the network's gradient: every ``LayerResult`` and
    ``GroupResult`` made inside carries a note that says so. Plain tensors, as
    ``LayerToLayerAttribution`` and ``LayerGroupAttribution`` answer with, cannot: whoever shows
    them has to say it; ``relaxation_note`` has the words.

    Args:
        module: the network; all its ``nn.MaxPool2d`` take part.
        blurred: also blur the gradient behind each pooling.

    Raises:
        UnusableLayer: the network has no ``nn.MaxPool2d``.
        UnsupportedMethod: one of them is dilated or returns indices.
        InvalidArgument: a context of the other kind is open around this one.

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
        if relaxation_note(pool) not in (None, _NOTES[blurred]):
            raise InvalidArgument(
                f"blurred={blurred}, and a relaxed_pooling context with blurred={not blurred} is "
                "open around this one; close it first"
            )
    with ExitStack() as undo:
        for pool in pools:
            if "forward" not in vars(pool):
                pool.forward = _relaxed(pool, blurred)  # type: ignore[assignment,method-assign]
                undo.callback(delattr, pool, "forward")
        yield module


def relaxation_note(module: nn.Module) -> str | None:
    """What a reader has to be told of gradients taken now; None outside of ``relaxed_pooling``.

    >>> pool = nn.MaxPool2d(2)
    >>> with relaxed_pooling(pool):
    ...     relaxation_note(pool)
    'gradients went through relaxed max-pooling'
    >>> relaxation_note(pool) is None
    True
    """
    notes = (getattr(vars(part).get("forward"), "_note", None) for part in module.modules())
    return next((note for note in notes if note is not None), None)


def _relaxed(pool: nn.MaxPool2d, blurred: bool) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        exact = nn.MaxPool2d.forward(pool, x).detach()
        # The blur equals its own transpose, so a gradient is blurred by blurring what it is of.
        way = _only_gradient(x.detach(), blur(x)) if blurred else x
        smooth = _average(pool, way * way) / (_EPSILON + _average(pool, way.abs()))
        return _only_gradient(exact, smooth)

    forward._note = _NOTES[blurred]  # type: ignore[attr-defined]
    return forward


def _only_gradient(value: Tensor, way: Tensor) -> Tensor:
    """``value``, with the gradient of ``way``; the difference added is exactly zero."""
    passed: Tensor = value + (way - way.detach())
    return passed


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
