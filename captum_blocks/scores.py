"""Which of the numbers a network returns are its scores: one rule, for every entrance.

A network answers with one row of scores for each picture. Which tensor of what it returns holds
them, and which axis counts the pictures, is settled here and nowhere else; what cannot be settled
is refused with the names and shapes of what there is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from captum_blocks.errors import UnusableOutput
from captum_blocks.hooks import described, element, tensors_in

# What torchvision's segmenters and the networks of transformers call their scores.
NAMES = ("logits", "out")
_CLOSE = 1e-4


def class_scores(
    output: Any, images: int, name: str = "the network", wanted: str | int | None = None
) -> Tensor:
    """What a network returned as (image, class).

    Args:
        output: what it returned.
        images: how many pictures it was given.
        name: of the network, for the messages.
        wanted: the element that holds the scores, by name or index; found unless given.

    Raises:
        UnusableOutput: no tensor of it can be read so; what there is and what to do is said.

    >>> class_scores(torch.zeros(10), images=1).shape, class_scores(torch.zeros(10), 10).shape
    (torch.Size([1, 10]), torch.Size([10, 1]))
    """
    return counted(table(chosen(output, images, name, wanted), images, name), images, name)


def chosen(
    output: Any, images: int, name: str = "the network", wanted: str | int | None = None
) -> Tensor:
    """The tensor that holds the scores, as the network returned it.

    Several tensors: the one that is wanted; or the one called "logits" or "out"; or the only
    table with a row for each picture; or, of probabilities and their logits, the logits.

    Raises:
        UnusableOutput: there is no tensor, several could be meant, or it holds whole numbers.

    >>> chosen({"map": torch.zeros(1, 8, 4, 4), "classes": torch.zeros(1, 5)}, images=1).shape
    torch.Size([1, 5])
    """
    if wanted is not None:
        scores = element(output, wanted, name)[1]
    else:
        found = tensors_in(output)
        if not found:
            raise UnusableOutput(f"{name} returns {type(output).__name__}, not a tensor")
        path = _meant(output, images)
        if path is None:
            raise UnusableOutput(_which(output, name))
        scores = found[path]
    if not scores.is_floating_point():
        raise UnusableOutput(
            f"{name} returns {scores.dtype} numbers, such as class numbers after argmax: nothing "
            "can be attributed to them; let it return the scores they are made from"
        )
    return scores


def choice(output: Any, images: int, name: str = "the network") -> str | None:
    """Which of several tensors is taken for the scores, in words; None where there is only one.

    >>> choice((torch.zeros(1, 3), torch.zeros(1, 3, 4, 4)), images=1)
    "the network returns tuple with '0' (1, 3), '1' (1, 3, 4, 4); element '0' is taken for its \
scores"
    """
    path = _meant(output, images) if len(tensors_in(output)) > 1 else None
    if path is None:
        return None
    return f"{name} returns {described(output)}; element {'.'.join(path)!r} is taken for its scores"


def squash_between(output: Any, images: int) -> str | None:
    """How a network makes probabilities of the scores chosen, where it returns both.

    >>> logits = torch.tensor([[2.0, -1.0]])
    >>> squash_between((logits.sigmoid(), logits), images=1)
    'sigmoid'
    """
    path, found = _meant(output, images), tensors_in(output)
    if path is None or not _is_table(found[path], images):
        return None
    others = (tensor for way, tensor in found.items() if way != path)
    return next((name for other in others if (name := _squash(found[path], other))), None)


def table(scores: Tensor, images: int, name: str = "the network") -> Tensor:
    """Scores as (image, class): one axis counts the pictures, or the classes of the only one.

    Raises:
        UnusableOutput: they have more axes.

    >>> table(torch.zeros(()), images=1).shape
    torch.Size([1, 1])
    """
    if scores.ndim == 0 or (scores.ndim == 1 and images == 1):
        return scores.reshape(1, -1)
    if scores.ndim == 1:
        return scores[:, None]
    if scores.ndim != 2:
        raise UnusableOutput(
            f"{name} returns a tensor of shape {tuple(scores.shape)}, not (image, class); "
            + _way(scores, images)
        )
    return scores


def counted(scores: Tensor, images: int, name: str = "the network") -> Tensor:
    """A table of scores whose rows are the pictures.

    Raises:
        UnusableOutput: it has another number of rows.

    >>> counted(torch.zeros(2, 5), images=2).shape
    torch.Size([2, 5])
    """
    if len(scores) != images:
        raise UnusableOutput(
            f"{name} gives scores of shape {tuple(scores.shape)} for {images} "
            f"{'picture' if images == 1 else 'pictures'}: the first axis does not count them, as "
            "with the boxes of a detector or the queries of a transformer; "
            f"{_WRAP}return self.network(x).amax(0, keepdim=True)"
        )
    return scores


_WRAP = "put it into an nn.Module whose forward makes one row of scores of each picture's, e.g. "


def _meant(output: Any, images: int) -> tuple[str, ...] | None:
    """The way to the tensor that holds the scores; None where several could be meant."""
    found = tensors_in(output)
    if len(found) == 1:
        return next(iter(found))
    for name in NAMES:
        if (name,) in found:
            return (name,)
    tables = [path for path, tensor in found.items() if _is_table(tensor, images)]
    if len(tables) == 2:
        pairs = [(p, q) for p in tables for q in tables if _squash(found[p], found[q])]
        tables = [logits for logits, _ in pairs] or tables
    return tables[0] if len(tables) == 1 else None


def _is_table(tensor: Tensor, images: int) -> bool:
    return tensor.ndim == 2 and len(tensor) == images and tensor.is_floating_point()


def _squash(logits: Tensor, other: Tensor) -> str | None:
    """Which of softmax and sigmoid makes another table out of this one; None for neither."""
    if logits is other or logits.shape != other.shape:
        return None
    given, made = logits.detach().float(), other.detach().float()
    for name, squashed in (("softmax", given.softmax(-1)), ("sigmoid", given.sigmoid())):
        if torch.allclose(squashed, made, atol=_CLOSE):
            return name
    return None


def _which(output: Any, name: str) -> str:
    found = tensors_in(output)
    likely = [path for path, tensor in found.items() if tensor.is_floating_point()] or list(found)
    last = ".".join(likely[-1])
    return (
        f"{name} returns {described(output)}, and several of them could be its scores; say which: "
        f"Network(module, output={last!r}), whose .module every engine takes"
    )


def _way(scores: Tensor, images: int) -> str:
    if scores.ndim == 4 and len(scores) == images:
        return (
            "of a map of scores, say which region counts: "
            "Network(module, region=(top, left, bottom, right)), (0, 0, 1, 1) for all of it"
        )
    if scores.ndim == 3 and len(scores) == images:
        return f"{_WRAP}return self.network(x).amax(1), or [:, 0] for the first of them"
    return f"{_WRAP}return self.network(x).flatten(1)"
