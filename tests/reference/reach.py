"""What one position of a layer sees, one backward pass each."""

from __future__ import annotations

import torch
from torch import nn

from captum_blocks.layouts import Layout


def measured(
    module: nn.Module, layer: str, layout: Layout, shape: tuple[int, ...]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Receptive field and stride in the middle of a layer, by where the gradient is not zero."""
    x = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    seen = []
    handle = dict(module.named_modules())[layer].register_forward_hook(
        lambda module, inputs, output: seen.append(output)
    )
    module(x)
    handle.remove()
    maps = layout.to_maps(seen[-1])
    rows, columns = maps.shape[2] // 2, maps.shape[3] // 2

    def box(row: int, column: int) -> list[tuple[int, int]]:
        (gradient,) = torch.autograd.grad(maps[:, :, row, column].abs().sum(), x, retain_graph=True)
        hit = gradient.abs().sum((0, 1)) > 0
        return [(int(i[0]), int(i[-1])) for i in (hit.any(1).nonzero(), hit.any(0).nonzero())]

    here, below, beside = box(rows, columns), box(rows + 1, columns), box(rows, columns + 1)
    field = tuple(last - first + 1 for first, last in here)
    return field, (below[0][0] - here[0][0], beside[1][0] - here[1][0])  # type: ignore[return-value]
