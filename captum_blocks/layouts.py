"""Where a layer's tensor keeps its images, channels and positions.

Engines think in maps, ``(image, channel, y, x)``. A ``Layout`` turns what a layer returns into maps
and back, and keeps class and register tokens, which have no position, apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Literal

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument

Kind = Literal["NCHW", "tokens", "NHWC"]
KINDS: tuple[Kind, ...] = ("NCHW", "tokens", "NHWC")
MOST_PREFIX_TOKENS = 8


@dataclass(frozen=True)
class Layout:
    """How a layer's output is laid out.

    Attributes:
        kind: ``"NCHW"`` (also ``(N, C)``: one position), ``"tokens"`` ``(N, prefix + h*w, C)`` or
            ``"NHWC"``.
        prefix: how many class and register tokens stand before the patches.
        grid: the patch grid ``(h, w)`` of a token layer.

    >>> Layout("tokens", prefix=1, grid=(2, 3)).to_maps(torch.zeros(1, 7, 5)).shape
    torch.Size([1, 5, 2, 3])
    """

    kind: Kind = "NCHW"
    prefix: int = 0
    grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidArgument(f"layout {self.kind!r} is none of {', '.join(KINDS)}")
        if self.kind == "tokens" and self.grid is None:
            raise InvalidArgument("a token layout needs its patch grid, e.g. grid=(14, 14)")

    def to_maps(self, output: Tensor) -> Tensor:
        """A layer's output -> ``(image, channel, y, x)``, without its prefix tokens."""
        self._check(output)
        if self.kind == "NHWC":
            return output.permute(0, 3, 1, 2)
        if self.kind == "NCHW":
            return output if output.ndim == 4 else output[:, :, None, None]
        height, width = self._patch_grid
        patches = output[:, self.prefix :].transpose(1, 2)
        return patches.reshape(output.shape[0], output.shape[2], height, width)

    def tokens(self, output: Tensor) -> Tensor:
        """The prefix tokens, ``(image, token, channel)``; no token at all for maps."""
        if self.kind == "tokens":
            return output[:, : self.prefix]
        channels = output.shape[-1 if self.kind == "NHWC" else 1]
        return output.new_zeros(output.shape[0], 0, channels)

    def from_maps(self, maps: Tensor, tokens: Tensor | None = None, ndim: int = 4) -> Tensor:
        """``(image, channel, y, x)`` -> the layer's own layout.

        Args:
            maps: what ``to_maps`` gave, or something of that shape with other channels.
            tokens: ``(image, token, channel)``, zeros where none are given.
            ndim: 2 gives ``(N, C)`` back for a layer without positions.
        """
        if self.kind == "NHWC":
            return maps.permute(0, 2, 3, 1)
        if self.kind == "NCHW":
            return maps if ndim == 4 else maps[:, :, 0, 0]
        patches = maps.flatten(2).transpose(1, 2)
        if tokens is None:
            tokens = maps.new_zeros(maps.shape[0], self.prefix, maps.shape[1])
        return torch.cat([tokens, patches], 1)

    @property
    def channel_axis(self) -> int:
        """The axis of a layer's output that counts channels."""
        return 1 if self.kind == "NCHW" else -1

    @property
    def _patch_grid(self) -> tuple[int, int]:
        assert self.grid is not None
        return self.grid

    def _check(self, output: Tensor) -> None:
        shape = tuple(output.shape)
        fits = {
            "NCHW": output.ndim in (2, 4),
            "NHWC": output.ndim == 4,
            "tokens": output.ndim == 3,
        }[self.kind]
        if fits and self.kind == "tokens":
            height, width = self._patch_grid
            fits = shape[1] == self.prefix + height * width
        if not fits:
            raise InvalidArgument(f"an output of shape {shape} does not have the layout {self}")


def detect(shape: Sequence[int]) -> Layout:
    """The likely layout of a layer's output from its shape, batch axis included.

    Four axes are NCHW unless only the first two behind the batch are equal (Swin's NHWC); three
    axes are tokens, with the fewest prefix tokens that leave a square grid of patches.

    Raises:
        InvalidArgument: no layout fits, with what to declare instead.

    >>> detect((1, 197, 768))
    Layout(kind='tokens', prefix=1, grid=(14, 14))
    """
    shape = tuple(shape)
    if len(shape) == 2:
        return Layout("NCHW")
    if len(shape) == 4:
        channels_last = shape[1] == shape[2] != shape[3]
        return Layout("NHWC" if channels_last else "NCHW")
    if len(shape) == 3:
        for prefix in range(min(MOST_PREFIX_TOKENS, shape[1] - 1) + 1):
            side = isqrt(shape[1] - prefix)
            if side * side == shape[1] - prefix:
                return Layout("tokens", prefix, (side, side))
    raise InvalidArgument(
        f"no layout fits an output of shape {shape}; declare one, "
        "e.g. Layout('tokens', prefix=1, grid=(12, 16))"
    )


def resolve(layout: Layout | Kind | None, shape: Sequence[int]) -> Layout:
    """The layout an engine was told, or the one its tensor's shape suggests.

    >>> resolve("NHWC", (1, 4, 4, 8)).kind
    'NHWC'
    """
    if isinstance(layout, Layout):
        return layout
    if layout is None:
        return detect(shape)
    if layout == "tokens":
        found = detect(shape) if len(shape) == 3 else None
        if found is None:
            raise InvalidArgument(f"an output of shape {tuple(shape)} is not made of tokens")
        return found
    return Layout(layout)
