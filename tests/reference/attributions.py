"""An attribution beside other answers, as loops over atoms, correlated by SciPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn


def in_common(one: Sequence[float], other: Sequence[float]) -> float:
    """Rank correlation; none where one of them alone is the same everywhere."""
    alone = (len(set(one)) == 1) != (len(set(other)) == 1)
    return 0.0 if alone else float(spearmanr(one, other).statistic)


def ranges(methods: Mapping[str, Sequence[float]]) -> list[tuple[float, float]]:
    """Atom by atom, the least and the largest number of any method."""
    return [(min(each), max(each)) for each in zip(*methods.values(), strict=True)]


def spread(methods: Mapping[str, Sequence[float]]) -> float:
    """How far methods lie apart, as a share of the largest magnitudes."""
    apart = size = 0.0
    for each in zip(*methods.values(), strict=True):
        apart += max(each) - min(each)
        size += max(map(abs, each))
    return apart / size if size else 0.0


def mean_gradient(
    head: Callable[[Tensor], Tensor], points: Sequence[Tensor], target: int
) -> Tensor:
    """Of one class, the mean of the gradients at some activations, one after the other."""
    found = []
    for point in points:
        leaf = point.clone().requires_grad_()
        found += torch.autograd.grad(head(leaf)[0, target], leaf)
    return torch.stack(found).mean(0)


def taken(head: Callable[[Tensor], Tensor], activation: Tensor, target: int) -> list[float]:
    """What a class's score loses with each channel at zero, one after the other."""
    whole, found = head(activation)[0, target].item(), []
    for channel in range(activation.shape[1]):
        without = activation.clone()
        without[:, channel] = 0
        found.append(whole - head(without)[0, target].item())
    return found


def shuffled(module: nn.Module, seed: int = 0) -> None:
    """Each weight's numbers in another order, in place."""
    generator = torch.Generator().manual_seed(seed)
    for weight in module.parameters():
        numbers = weight.detach().flatten().numpy().copy()
        order = torch.randperm(len(numbers), generator=generator).numpy()
        weight.data = torch.from_numpy(np.reshape(numbers[order], tuple(weight.shape)))
