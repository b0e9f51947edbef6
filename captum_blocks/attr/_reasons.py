"""Why there is no gradient: the score does not depend on a layer, or something is in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients
from captum_blocks.errors import UnusableLayer

# What PyTorch says where a graph was cut, and where no graph may be made.
_MISSING = ("not have been used in the graph", "does not require grad", "doesn't require gradient")
_FORBIDDEN = ("use_reentrant", "Inference tensor", "Trying to use forward AD with")
# What it says where numbers that a gradient needs are no longer there.
_OVERWRITTEN = "modified by an inplace operation"


def speaks_of_gradients(message: str) -> bool:
    """Whether an error is about a gradient that is not there.

    >>> speaks_of_gradients("element 0 of tensors does not require grad")
    True
    """
    return any(words in message for words in (*_MISSING, *_FORBIDDEN, _OVERWRITTEN))


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
        with without_gradients(), hooks.replace(layer, change):
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


def cut(what: str, layer: str, said: str = "") -> str:
    """What is said of a path that has values and no gradient.

    Args:
        what: "the class scores move", say.
        layer: as it is to be called.
        said: by PyTorch, of this path.
    """
    if _OVERWRITTEN in said:
        return (
            f"{what} with {layer}, but what lies between writes over numbers that its own gradient "
            "needs, e.g. x.relu().mul_(2) or x += y behind a sigmoid, so PyTorch has none. Write "
            f"x.relu().mul(2), x = x + y, or use a method that needs none, e.g. {_WITHOUT}"
        )
    return (
        f"{what} with {layer}, but no gradient leads from one to the other: what lies between runs "
        "under without_gradients(), behind .detach() or another operation without a gradient "
        "(quantized ones have none), or in a reentrant checkpoint. Run that part with gradients, "
        f"checkpoint(..., use_reentrant=False), or use a method that needs none, e.g. {_WITHOUT}"
    )


_WITHOUT = "ShapleyValues or LayerFeatureAblation"


@contextmanager
def gradients_explained(what: str, layer: str) -> Iterator[None]:
    """PyTorch's own error for a graph that cannot be asked comes out in words.

    Args:
        what: "the class scores move", say.
        layer: as it is to be called.

    Raises:
        UnusableLayer: a reentrant checkpoint, a part under ``inference_mode`` or without
            gradients, numbers that were written over.
    """
    try:
        yield
    except RuntimeError as error:
        if not speaks_of_gradients(str(error)):
            raise
        raise UnusableLayer(cut(what, layer, str(error))) from error
