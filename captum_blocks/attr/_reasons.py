"""Why there is no gradient: the score does not depend on a layer, or something cuts the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks.errors import UnusableLayer

# What PyTorch says where a graph was cut, and where no graph may be made.
_MISSING = ("not have been used in the graph", "does not require grad", "doesn't require gradient")
_FORBIDDEN = ("use_reentrant", "Inference tensor")


def speaks_of_gradients(message: str) -> bool:
    """Whether an error is about a gradient that is not there.

    >>> speaks_of_gradients("element 0 of tensors does not require grad")
    True
    """
    return any(words in message for words in (*_MISSING, *_FORBIDDEN))


def moves(
    forward: Callable[..., Any],
    layer: nn.Module,
    arguments: tuple[Any, ...],
    target: nn.Module | None = None,
) -> bool:
    """Whether the network's answer moves with what a layer returns, whatever gradients say.

    Args:
        forward: the network.
        layer: whose output is changed.
        arguments: of the network.
        target: a layer to look at in the place of the answer.

    >>> net = nn.Sequential(nn.ReLU(), nn.Flatten())
    >>> moves(net, net[0], (torch.ones(1, 2),))
    True
    """
    found = []
    for change in (torch.clone, _another):
        with torch.no_grad(), hooks.replace(layer, change):
            if target is None:
                found.append(forward(*arguments))
            else:
                found.append(hooks.run_until(forward, {"target": target}, *arguments))
    one, other = (list(hooks.tensors_in(output).values()) for output in found)
    return any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _another(activation: Tensor) -> Tensor:
    """Other values of the same size: also behind a norm that takes off shift and scale."""
    turned = activation.flip(list(range(1, activation.ndim)))
    return turned + 0.1 * (1 + activation.abs().max())


def cut(what: str, layer: str) -> str:
    """What is said of a path that has values and no gradient.

    Args:
        what: "the class scores move", say.
        layer: as it is to be called.
    """
    return (
        f"{what} with {layer}, but no gradient leads from one to the other: what lies between runs "
        "under torch.no_grad(), behind .detach() or another operation without a gradient "
        "(quantized ones have none), or in a reentrant checkpoint. Run that part with gradients, "
        "checkpoint(..., use_reentrant=False), or use a method that needs none, e.g. ShapleyValues "
        "or LayerFeatureAblation"
    )


@contextmanager
def checkpoints_explained(what: str, layer: str) -> Iterator[None]:
    """PyTorch's own error for a graph that may not be asked comes out in words.

    Raises:
        UnusableLayer: a reentrant checkpoint, or a part under ``inference_mode``.
    """
    try:
        yield
    except RuntimeError as error:
        if not any(words in str(error) for words in _FORBIDDEN):
            raise
        raise UnusableLayer(cut(what, layer)) from error
