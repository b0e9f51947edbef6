"""What the composition computes, as loops over plain modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def activation(module: nn.Module, layer: nn.Module, x: Tensor) -> Tensor:
    """A layer's output, by a hook of its own."""
    kept = []
    handle = layer.register_forward_hook(lambda _, __, output: kept.append(output.detach().clone()))
    module(x)
    handle.remove()
    return kept[-1]


def gradient_times_activation(
    module: nn.Module, layer: nn.Module, x: Tensor, target: int
) -> Tensor:
    """A * d logit / dA, (image, channel, y, x): the article's linear approximation."""
    kept = []
    handle = layer.register_forward_hook(lambda _, __, output: kept.append(output))
    logit = module(x)[:, target].sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(logit, kept[-1])
    return (gradient * kept[-1]).detach()
