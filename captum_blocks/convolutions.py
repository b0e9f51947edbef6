"""Convolutions of a private network made faster, without changing what they compute.

TensorFlow's SAME padding has one cell more behind an input than before it, where strides are even;
networks that come from there add it in a step of its own. Kernels of one pixel are matrix products.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_blocks._gradients import without_gradients
from captum_blocks.rewriting import Edit, close, is_changed_by_others


def paddings(network: nn.Module, kept: Iterable[nn.Module]) -> list[Edit]:
    """Edits that give convolutions which pad their own input, as TensorFlow's do, a padded kernel.

    Padding an input by itself writes it anew, which takes longer than a depthwise convolution does.

    Args:
        network: in evaluation mode.
        kept: modules whose output is looked at, and whose hooks stay theirs.

    >>> import timm
    >>> layer = timm.layers.Conv2dSame(2, 2, 3, stride=2)
    >>> (edit,) = paddings(nn.Sequential(layer), [])
    >>> x = torch.ones(1, 2, 8, 8)
    >>> torch.allclose(edit.replacements["0"](x), layer(x), atol=1e-6)
    True
    """
    untouchable = set(kept)
    return [
        Edit(parent, {name: _Padding(child)})
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Conv2d)
        and type(child) is not nn.Conv2d
        and child not in untouchable
        and not is_changed_by_others(child)
        and _pads_itself(child)
    ]


class _Padding(nn.Module):
    """A convolution with as much padding as makes each output cell of a stride one of its own.

    One cell more behind the input than before it is a kernel with a line of zeros in front.
    """

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        self.plain = plain
        high, wide = _paddings(plain)
        self._after = (high + 1) // 2, (wide + 1) // 2
        kernel = functional.pad(plain.weight.detach(), (wide % 2, 0, high % 2, 0))
        form = torch.channels_last if _is_channels_last(plain.weight) else torch.contiguous_format
        self.kernel = nn.Parameter(kernel.contiguous(memory_format=form), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        plain = self.plain
        if any(size % step for size, step in zip(x.shape[-2:], plain.stride, strict=True)):
            return plain(x)  # type: ignore[no-any-return]
        return functional.conv2d(
            x, self.kernel, plain.bias, plain.stride, self._after, groups=plain.groups
        )


def _paddings(conv: nn.Conv2d) -> list[int]:
    """By axis, how many cells are added in all."""
    return [size - step for size, step in zip(conv.kernel_size, conv.stride, strict=True)]


def _is_channels_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)


def _pads_itself(conv: nn.Conv2d) -> bool:
    """Whether one of a kind of its own gives what a padded kernel gives, seen on noise."""
    if min(_paddings(conv)) < 0 or set(conv.dilation) != {1}:
        return False
    sides = [4 * size * step for size, step in zip(conv.kernel_size, conv.stride, strict=True)]
    noise = torch.randn(1, conv.in_channels, *sides, generator=torch.Generator().manual_seed(0))
    with without_gradients(), suppress(RuntimeError, TypeError):
        noise = noise.to(conv.weight)
        return close(_Padding(conv)(noise), conv(noise), 1e-5)
    return False


def pointwise(network: nn.Module, kept: Iterable[nn.Module]) -> list[Edit]:
    """Edits that compute 1x1 convolutions on the CPU as matrix products of channels-last tensors.

    For few pictures and one thread PyTorch takes a slow way that lays them out anew, twice.

    Args:
        network: frozen.
        kept: modules that are looked at and stay.
    """
    untouchable = set(kept)
    return [
        Edit(parent, {name: _Pointwise(conv)})
        for parent in network.modules()
        for name, conv in parent.named_children()
        if type(conv) is nn.Conv2d
        and (conv.kernel_size, conv.stride, conv.groups) == ((1, 1), (1, 1), 1)
        and conv.padding in ((0, 0), "same", "valid")
        and conv.weight.device.type == "cpu"
        and conv not in untouchable
        and not is_changed_by_others(conv)
    ]


class _Pointwise(nn.Module):
    """A frozen 1x1 convolution."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4:  # a single picture
            return functional.conv2d(x, self.weight, self.bias)
        made: Tensor = _Product.apply(x, self.weight, self.bias)
        return made


class _Product(torch.autograd.Function):
    """Pixels (n, channel, y, x) times a kernel (out, channel, 1, 1).

    The result is no view of another tensor: rectifiers that work in place would copy it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(weight)
        n, channels, height, width = x.shape
        shape = (n, len(weight), height, width)
        made = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        rows, kernel = x.permute(0, 2, 3, 1).reshape(-1, channels), weight.flatten(1).T
        out = made.permute(0, 2, 3, 1).view(-1, len(weight))
        if bias is None:
            torch.mm(rows, kernel, out=out)
        else:
            torch.addmm(bias, rows, kernel, out=out)
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (weight,) = ctx.saved_tensors
        back = gradient.permute(0, 2, 3, 1) @ weight.flatten(1)
        return back.permute(0, 3, 1, 2), None, None
