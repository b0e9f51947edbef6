"""Where a layer's tensor keeps its images, channels and positions.

Engines think in maps, ``(image, channel, y, x)``. A ``Layout`` turns what a layer returns into maps
and back, and keeps class and register tokens, which have no position, apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Literal

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument, UnusableLayer

Kind = Literal["NCHW", "tokens", "NHWC", "none"]
KINDS: tuple[Kind, ...] = ("NCHW", "tokens", "NHWC", "none")
AXES: dict[str, tuple[int, ...]] = {"NCHW": (2, 4), "NHWC": (4,), "tokens": (3,)}
NO_PLACES = (
    "an output of shape {shape} has no places in the picture; declare where they are if it has, "
    "e.g. Layout('tokens', grid=(14, 14), order=...)"
)


@dataclass(frozen=True, repr=False)
class Layout:
    """How a layer's output is laid out.

    Attributes:
        kind: ``"NCHW"`` (also ``(N, C)``: one position), ``"tokens"`` ``(N, token, C)``,
            ``"NHWC"``, or ``"none"``: its numbers have no places in the picture.
        prefix: how many class and register tokens stand before the patches.
        grid: the patch grid ``(h, w)`` of a token layer or of windows.
        order: for each place of the grid, row by row, which of the tokens that have a place is
            there; row by row unless given.
        unplaced: where further tokens without a place stand, along the token axis; negative ones
            are counted from the end.
        window: ``(h, w)`` of the windows that a picture is cut into. The first axis then counts
            windows, those of a picture one after another, row by row; windows that reach over the
            grid are padded. An ``order`` counts the tokens of all windows of a picture.

    >>> Layout("tokens", prefix=1, grid=(2, 3)).to_maps(torch.zeros(1, 7, 5)).shape
    torch.Size([1, 5, 2, 3])
    >>> Layout("tokens", grid=(4, 6), window=(2, 3)).to_maps(torch.zeros(4, 6, 5)).shape
    torch.Size([1, 5, 4, 6])
    >>> tokens = torch.tensor([[[10.0], [99.0], [11.0]]])  # one without a place in the middle
    >>> Layout("tokens", grid=(1, 2), order=(1, 0), unplaced=(1,)).to_maps(tokens).tolist()
    [[[[11.0, 10.0]]]]
    """

    kind: Kind = "NCHW"
    prefix: int = 0
    grid: tuple[int, int] | None = None
    order: tuple[int, ...] | None = None
    unplaced: tuple[int, ...] = ()
    window: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidArgument(f"layout {self.kind!r} is none of {', '.join(KINDS)}")
        if self.grid is None and (self.kind == "tokens" or self.window is not None):
            raise InvalidArgument("a token layout needs its patch grid, e.g. grid=(14, 14)")
        if self.window is not None and (self.n_unplaced or self.kind == "none"):
            raise InvalidArgument("a layout of windows has no tokens without a place")
        if self.kind != "tokens" and self.window is None and (self.order or self.unplaced):
            raise InvalidArgument(f"a {self.kind} layout has no tokens to be put in an order")
        if self.grid is not None and (self.order is not None or self.unplaced):
            self._check_order()

    def __repr__(self) -> str:
        shown = [f"kind={self.kind!r}", f"prefix={self.prefix}", f"grid={self.grid}"]
        if self.order is not None:
            shown.append(f"order=<of {len(self.order)} tokens>")
        shown += [f"unplaced={self.unplaced}"] if self.unplaced else []
        shown += [f"window={self.window}"] if self.window is not None else []
        return f"Layout({', '.join(shown)})"

    def to_maps(self, output: Tensor) -> Tensor:
        """A layer's output -> ``(image, channel, y, x)``, without tokens that have no place.

        Raises:
            InvalidArgument: the output is not laid out so.
            UnusableLayer: its numbers have no places.
        """
        self._check(output)
        if self.kind == "tokens" or self.window is not None:
            height, width = self._patch_grid
            table = self._table(output)
            patches = table[:, self.prefix :] if self._is_plain else table[:, self._index(table)]
            return patches.transpose(1, 2).reshape(len(table), table.shape[2], height, width)
        if self.kind == "NHWC":
            return output.permute(0, 3, 1, 2)
        return output if output.ndim == 4 else output[:, :, None, None]

    def tokens(self, output: Tensor) -> Tensor:
        """The tokens without a place, ``(image, token, channel)``; no token at all for maps."""
        if self.kind == "tokens" and self.window is None:
            if not self.unplaced:
                return output[:, : self.prefix]
            return output[:, list(self.token_places)]
        channels = output.shape[self.channel_axis]
        return output.new_zeros(len(output) // self.windows, 0, channels)

    def from_maps(self, maps: Tensor, tokens: Tensor | None = None, ndim: int = 4) -> Tensor:
        """``(image, channel, y, x)`` -> the layer's own layout.

        Args:
            maps: what ``to_maps`` gave, or something of that shape with other channels.
            tokens: ``(image, token, channel)``, zeros where none are given.
            ndim: 2 gives ``(N, C)`` back for a layer without positions.
        """
        if self.kind == "tokens" or self.window is not None:
            return self._cut(self._table_of(maps.flatten(2).transpose(1, 2), tokens))
        if self.kind == "NHWC":
            return maps.permute(0, 2, 3, 1)
        return maps if ndim == 4 else maps[:, :, 0, 0]

    @property
    def channel_axis(self) -> int:
        """The axis of a layer's output that counts channels."""
        return 1 if self.kind == "NCHW" else -1

    @property
    def n_unplaced(self) -> int:
        """How many tokens have no place."""
        return self.prefix + len(self.unplaced)

    @property
    def token_places(self) -> tuple[int, ...]:
        """Where the tokens without a place stand along the token axis.

        >>> Layout("tokens", prefix=1, grid=(2, 2), unplaced=(-1,)).token_places
        (0, 5)
        """
        return (*range(self.prefix), *(at % self._n_tokens for at in self.unplaced))

    @property
    def windows(self) -> int:
        """How many rows of the first axis make one picture."""
        if self.window is None:
            return 1
        (rows, columns), (tall, wide) = self._patch_grid, self.window
        return -(-rows // tall) * -(-columns // wide)

    def without_tokens(self) -> Layout:
        """The same places, of an output that has left out the tokens without one."""
        return replace(self, prefix=0, unplaced=())

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether an output of this shape, batch axis included, can be laid out so.

        >>> Layout("tokens", prefix=1, grid=(2, 3)).fits((1, 6, 8))
        False
        """
        shape = tuple(shape)
        if self.kind == "none":
            return True
        if len(shape) not in AXES[self.kind]:
            return False
        if self.window is not None:
            size = {"NCHW": shape[2:], "NHWC": shape[1:3]}.get(self.kind)
            fitting = shape[1] == prod(self.window) if size is None else size == self.window
            return fitting and shape[0] % self.windows == 0
        return self.kind != "tokens" or shape[1] == self._n_tokens

    @property
    def _patch_grid(self) -> tuple[int, int]:
        assert self.grid is not None
        return self.grid

    @property
    def _n_tokens(self) -> int:
        """Of one picture, padding included."""
        if self.window is not None:
            return self.windows * prod(self.window)
        return self.n_unplaced + prod(self._patch_grid)

    @property
    def _is_plain(self) -> bool:
        """Row by row behind the prefix."""
        return self.order is None and not self.unplaced and self.window is None

    def _index(self, table: Tensor) -> Tensor:
        return torch.tensor(_index(self), device=table.device)

    def _table(self, output: Tensor) -> Tensor:
        """A layer's output -> (image, token, channel), the windows of a picture one by one."""
        if self.window is None:
            return output
        last = output.movedim(1, -1) if self.kind == "NCHW" else output
        return last.reshape(len(output) // self.windows, self._n_tokens, last.shape[-1])

    def _table_of(self, patches: Tensor, tokens: Tensor | None) -> Tensor:
        """(image, place, channel) and the tokens without one -> (image, token, channel)."""
        images, _, channels = patches.shape
        if tokens is None:
            tokens = patches.new_zeros(images, self.n_unplaced, channels)
        if self._is_plain:
            return torch.cat([tokens, patches], 1)
        table = patches.new_zeros(images, self._n_tokens, channels)
        table = table.index_copy(1, self._index(table), patches)
        apart = torch.tensor(self.token_places, dtype=torch.long, device=patches.device)
        return table.index_copy(1, apart, tokens.to(table))

    def _cut(self, table: Tensor) -> Tensor:
        """(image, token, channel) -> windows, where there are any."""
        if self.window is None:
            return table
        rows, channels = len(table) * self.windows, table.shape[-1]
        if self.kind == "tokens":
            return table.reshape(rows, prod(self.window), channels)
        cut = table.reshape(rows, *self.window, channels)
        return cut.movedim(-1, 1) if self.kind == "NCHW" else cut

    def _check(self, output: Tensor) -> None:
        shape = tuple(output.shape)
        if self.kind == "none":
            raise UnusableLayer(NO_PLACES.format(shape=shape))
        if not self.fits(shape):
            raise InvalidArgument(f"an output of shape {shape} does not have the layout {self}")

    def _check_order(self) -> None:
        """Each place has a token of its own, and no token stands at two places."""
        places, tokens = prod(self._patch_grid), self._n_tokens - self.n_unplaced
        order = range(places) if self.order is None else self.order
        known = all(0 <= token < tokens for token in order)
        if len(order) != places or len(set(order)) != places or not known:
            raise InvalidArgument(
                f"an order names, for each of {places} places, one of the {tokens} tokens that "
                f"have one; the one given names {len(set(order))}"
            )
        inside = all(-self._n_tokens <= at < self._n_tokens for at in self.unplaced)
        if not inside or len(set(self.token_places)) != self.n_unplaced:
            raise InvalidArgument(
                f"unplaced={self.unplaced}: other places among {self._n_tokens} tokens, behind "
                f"the {self.prefix} of the prefix, are wanted"
            )


@lru_cache(maxsize=64)
def _index(layout: Layout) -> tuple[int, ...]:
    """Where the token of each place, row by row, stands among all tokens of a picture."""
    if layout.window is not None:
        return layout.order or _row_by_row(layout._patch_grid, layout.window)
    apart = set(layout.token_places)
    placed = [token for token in range(layout._n_tokens) if token not in apart]
    return tuple(placed[token] for token in layout.order or range(len(placed)))


def _row_by_row(grid: tuple[int, int], window: tuple[int, int]) -> tuple[int, ...]:
    """Which token of all windows of a picture stands at each place."""
    (rows, columns), (tall, wide) = grid, window
    across = -(-columns // wide)
    return tuple(
        ((y // tall) * across + x // wide) * tall * wide + (y % tall) * wide + x % wide
        for y in range(rows)
        for x in range(columns)
    )
