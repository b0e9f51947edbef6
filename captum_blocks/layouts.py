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

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether an output of this shape, batch axis included, can be laid out so.

        >>> Layout("tokens", prefix=1, grid=(2, 3)).fits((1, 6, 8))
        False
        """
        axes: dict[str, tuple[int, ...]] = {"NCHW": (2, 4), "NHWC": (4,), "tokens": (3,)}
        if len(shape) not in axes[self.kind]:
            return False
        if self.kind != "tokens":
            return True
        height, width = self._patch_grid
        return shape[1] == self.prefix + height * width

    def _check(self, output: Tensor) -> None:
        shape = tuple(output.shape)
        if not self.fits(shape):
            raise InvalidArgument(f"an output of shape {shape} does not have the layout {self}")


def detect(shape: Sequence[int], image: tuple[int, int] | None = None) -> Layout:
    """The likely layout of a layer's output from its shape, batch axis included.

    Four axes are NCHW unless those behind the batch are a grid of the picture's proportions and
    the last two are not (Swin's NHWC); three axes are tokens, with the fewest prefix tokens that
    leave a grid of square patches.

    Args:
        shape: of the output.
        image: (height, width) of what the network was given; square unless told.

    Raises:
        InvalidArgument: no layout fits, with what to declare instead.

    >>> detect((1, 197, 768))
    Layout(kind='tokens', prefix=1, grid=(14, 14))
    >>> detect((1, 25, 768), image=(64, 96))
    Layout(kind='tokens', prefix=1, grid=(4, 6))
    """
    shape = tuple(shape)
    image = image or (1, 1)
    if len(shape) == 2:
        return Layout("NCHW")
    if len(shape) == 4:
        last = _proportionate(shape[1:3], image) and not _proportionate(shape[2:], image)
        return Layout("NHWC" if last else "NCHW")
    if len(shape) == 3:
        for prefix in range(min(MOST_PREFIX_TOKENS, shape[1] - 1) + 1):
            grid = _patch_grid(shape[1] - prefix, image)
            if grid is not None:
                return Layout("tokens", prefix, grid)
    raise InvalidArgument(
        f"no layout fits an output of shape {shape}; declare one, "
        "e.g. Layout('tokens', prefix=1, grid=(12, 16))"
    )


def _proportionate(grid: Sequence[int], image: tuple[int, int]) -> bool:
    """Whether cells of a grid over a picture are square, up to what is lost at the edges."""
    (rows, columns), (height, width) = grid, image
    if height == width:
        return rows == columns
    return abs(rows * width - columns * height) <= max(height, width)


def _patch_grid(patches: int, image: tuple[int, int]) -> tuple[int, int] | None:
    """(rows, columns) that so many square patches of a picture make; None if they make none."""
    height, width = image
    if height == width:
        side = isqrt(patches)
        return (side, side) if side * side == patches else None
    for patch in range(1, min(height, width) + 1):
        rows, columns = height // patch, width // patch
        exact = height % patch == 0 and width % patch == 0
        if exact and rows * columns == patches:
            return (rows, columns)
    return None


def resolve(
    layout: Layout | Kind | None, shape: Sequence[int], image: tuple[int, int] | None = None
) -> Layout:
    """The layout an engine was told, or the one its tensor's shape suggests.

    Args:
        layout: what was told; None: nothing.
        shape: of the output, batch axis included.
        image: (height, width) of what the network was given; square unless told.

    >>> resolve("NHWC", (1, 4, 4, 8)).kind
    'NHWC'
    >>> resolve(None, (1, 6, 10, 8), image=(12, 20)).kind
    'NHWC'
    """
    if isinstance(layout, Layout):
        return layout
    if layout is None:
        return detect(shape, image)
    if layout == "tokens":
        found = detect(shape, image) if len(shape) == 3 else None
        if found is None:
            raise InvalidArgument(f"an output of shape {tuple(shape)} is not made of tokens")
        return found
    return Layout(layout)


def picture_size(inputs: object) -> tuple[int, int] | None:
    """(height, width) of the pictures that a network is given; None where it is given none.

    >>> picture_size((torch.zeros(1, 3, 12, 20), 0.5))
    (12, 20)
    """
    first = inputs[0] if isinstance(inputs, tuple) and inputs else inputs
    if not isinstance(first, Tensor) or first.ndim != 4:
        return None
    return (first.shape[2], first.shape[3])
