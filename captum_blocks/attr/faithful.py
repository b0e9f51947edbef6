"""Measures of an attribution against what really changes when atoms are taken away."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients
from captum_blocks.errors import InvalidArgument, UnknownName, did_you_mean
from captum_blocks.ranking import ranks
from captum_blocks.rewriting import private_copy
from captum_blocks.wrappers import taking_a_picture

Weights = Literal["head", "all"]
WEIGHTS = ("head", "all")
MOST_COMPARED = 20


def rank_correlation(one: Tensor, other: Tensor) -> Tensor:
    """Spearman's rank correlation along the last axis, (..., atom) twice -> (...).

    Pearson's correlation of the ranks, equal numbers sharing their mean rank (Spearman, "The proof
    and measurement of association between two things", 1904). NaN where one of them is constant.

    >>> rank_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 4.0, 9.0])).item()
    1.0
    """
    first, second = (each - each.mean(-1, keepdim=True) for each in (ranks(one), ranks(other)))
    spread = (first.square().sum(-1) * second.square().sum(-1)).sqrt()
    found = (first * second).sum(-1) / spread
    return found.clamp(-1, 1).to(one.dtype)


def top_overlap(one: Tensor, other: Tensor, k: int) -> Tensor:
    """Which share of the k strongest of one is among the k strongest of the other.

    Args:
        one: (..., atom); the strongest are the largest without sign, of equals the first. What is
            zero is never strong.
        other: the same.
        k: how many.

    Returns:
        (...), from 0 to 1.

    >>> top_overlap(torch.tensor([3.0, -4.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 2.0, 0.0]), 2)
    tensor(0.5000)
    >>> top_overlap(torch.tensor([0.0, 0.0, 5.0]), torch.tensor([0.0, 0.0, 1.0]), 2)
    tensor(0.5000)
    """
    both = _is_strong(one, k) & _is_strong(other, k)
    return both.to(one.dtype).sum(-1) / k


def _is_strong(numbers: Tensor, k: int) -> Tensor:
    first = numbers.abs().argsort(dim=-1, descending=True, stable=True)[..., :k]
    return torch.zeros_like(numbers, dtype=torch.bool).scatter(-1, first, True) & (numbers != 0)


def compared(atoms: int) -> int:
    """How many of the strongest atoms are compared: twenty, or half of them where there are fewer.

    >>> compared(672), compared(7)
    (20, 3)
    """
    return min(MOST_COMPARED, atoms // 2)


def area(share: Tensor, curve: Tensor) -> Tensor:
    """The area under a curve by the trapezoidal rule.

    Args:
        share: (point,), from 0 to 1.
        curve: (..., point).

    Returns:
        (...): the mean height of the curve.

    >>> area(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 0.0, 0.0]))
    tensor(0.2500)
    """
    return torch.trapezoid(curve, share.to(curve))


def randomised(module: nn.Module, x: Tensor, weights: Weights, seed: int = 0) -> nn.Module:
    """A copy of a network with its weights in another order.

    An attribution that still fits what such a network does is none of what the network has learned
    (Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018). Each tensor's values are
    shuffled among themselves, and running statistics stay. New initial weights would let the
    activations of a deep network without its norms' statistics fade away: its answer would not
    depend on any atom.

    Args:
        module: the network; it stays as it is.
        x: (image, ...), what it takes: tells which part is its classifier.
        weights: "head": of the last linear or 1x1 convolutional part to run, alone; "all": of every
            part.
        seed: of the shuffling, which leaves the global random numbers alone.

    Raises:
        UnknownName: ``weights`` is neither.
        InvalidArgument: the network has no weights.
        UnusableLayer: a part of it refuses to be copied.

    >>> net = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(8, 3)).eval()
    >>> other = randomised(net, torch.ones(1, 1, 3, 3), "head")
    >>> torch.equal(other[0].weight, net[0].weight), torch.equal(other[2].weight, net[2].weight)
    (True, False)
    """
    if weights not in WEIGHTS:
        hint = did_you_mean(str(weights), WEIGHTS) or f"; there are {', '.join(WEIGHTS)}"
        raise UnknownName(f"no weights {weights!r} to shuffle{hint}")
    copy = private_copy(module)
    if not any(True for _ in copy.parameters()):
        raise InvalidArgument(f"{module._get_name()} has no weights to shuffle")
    part = classifier(copy, x) if weights == "head" else copy
    generator = torch.Generator().manual_seed(seed)
    with without_gradients():
        for weight in part.parameters():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].reshape(weight.shape))
    return copy


def classifier(module: nn.Module, x: Tensor) -> nn.Module:
    """The last linear or 1x1 convolutional part to run, or the last one that has weights.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2), nn.LayerNorm(2))
    >>> classifier(net, torch.ones(1, 2)) is net[1]
    True
    """
    with (
        without_gradients(),
        hooks.running(module),
        taking_a_picture(module),
        hooks.called() as met,
    ):
        module(x[:1])
    # Parts of compiled programs are not seen when they run: there the last one registered is taken.
    for parts in (met, list(module.modules())):
        linear = [part for part in parts if _is_linear(part)]
        weighted = [part for part in parts if any(True for _ in part.parameters(recurse=False))]
        if linear or weighted:
            return (linear or weighted)[-1]
    return module


def _is_linear(part: nn.Module) -> bool:
    if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        return set(part.kernel_size) == {1}
    return isinstance(part, nn.Linear)
