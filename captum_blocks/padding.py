"""Convolutions that pad their own input, made faster: an ``Edit`` of a private network.

TensorFlow's SAME padding has one cell more behind an input than before it, where strides are even;
networks that come from there add it in a step of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

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
        self._plain = (plain,)
        self._after = tuple(
            (size - step + 1) // 2
            for size, step in zip(plain.kernel_size, plain.stride, strict=True)
        )
        odd = [
            (size - step) % 2 for size, step in zip(plain.kernel_size, plain.stride, strict=True)
        ]
        kernel = functional.pad(plain.weight.detach(), (odd[1], 0, odd[0], 0))
        form = torch.channels_last if _is_channels_last(plain.weight) else torch.contiguous_format
        self.kernel = nn.Parameter(kernel.contiguous(memory_format=form), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        (plain,) = self._plain
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
