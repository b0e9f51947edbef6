"""Gradients of many targets, each nonzero in a small part of the map only.

The gradient of one position's score is zero outside of what that position looked at. Close to the
target that is a small window, so only the window goes through the convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

# A crop larger than this share of the map costs more to handle than it saves.
_WORTH = 0.6


def channels_last(values: Tensor) -> Tensor:
    """The same values, maps (..., channel, y, x) stored the way convolutions read fastest."""
    if values.ndim < 4:
        return values.contiguous()
    flat = values.reshape(-1, *values.shape[-3:])
    return flat.contiguous(memory_format=torch.channels_last).reshape(values.shape)


def in_rows(flat: Tensor, like: Tensor) -> Tensor:
    """(row and image, ...) as (row, image, ...)."""
    rows: Tensor = flat.unflatten(0, like.shape[:2])
    return rows


@dataclass(frozen=True, eq=False)
class Rows:
    """Gradients (row, ...); of maps, possibly cropped.

    Attributes:
        values: (row, ...), or a window (row, image, channel, y, x) of each row's map.
        corner: (row, 2), where each row's window begins, possibly outside of the map; None for
            the whole of it.
        size: of the whole map, y and x.
        clean: whether the part of a window that is outside of the map is zero.
        fresh: whether nobody else holds the values, so that they may be changed in place.
    """

    values: Tensor
    corner: Tensor | None = None
    size: tuple[int, int] = (0, 0)
    clean: bool = True
    fresh: bool = False

    def whole(self) -> Tensor:
        """The gradients of all positions, (row, ...)."""
        if self.corner is None:
            return self.values
        maps = _empty(self.values, self.size)
        height, width = self.values.shape[-2:]
        for row, (top, left) in enumerate(self.corner.tolist()):
            y, x = _inside(top, height, self.size[0]), _inside(left, width, self.size[1])
            maps[row, ..., top + y[0] : top + y[1], left + x[0] : left + x[1]] = self.values[
                row, ..., y[0] : y[1], x[0] : x[1]
            ]
        return maps

    def times(self, factor: Tensor) -> Rows:
        """Multiplied by (image, channel, y, x), the whole map's factors."""
        if self.corner is None and self.fresh:
            return replace(self, values=self.values.mul_(factor))
        if self.corner is None:
            return Rows(self.values * factor, fresh=True)
        return replace(self, values=self._window_of(factor) * self.values, clean=True)

    def grown(
        self,
        values: Tensor,
        before: Sequence[int],
        size: tuple[int, int],
        stride: Sequence[int] = (1, 1),
    ) -> Rows:
        """The windows that a convolution backwards makes of these.

        Args:
            values: the new windows.
            before: how far each one begins in front of this one's place in the new map.
            size: of the new map.
            stride: how many places of the new map one of the old map is.
        """
        assert self.corner is not None
        corner = self.corner * self.corner.new_tensor(stride) - self.corner.new_tensor(before)
        return Rows(values, corner, size, clean=False).if_worth()

    def if_worth(self) -> Rows:
        """These windows, or the whole maps where the windows are most of them."""
        area = self.values.shape[-2] * self.values.shape[-1]
        small = area <= _WORTH * self.size[0] * self.size[1]
        return self if small else Rows(self.whole(), fresh=True)

    def cleaned(self) -> Rows:
        """With zeros outside of the map."""
        if self.corner is None or self.clean:
            return self
        return self.times(self.values.new_ones(1, 1, *self.size))

    def plus(self, other: Rows) -> Rows:
        """The sum; cropped where both windows lie alike in every row."""
        if self.corner is None or other.corner is None:
            return Rows(self.whole() + other.whole())
        apart = other.corner - self.corner
        if bool((apart != apart[0]).any()):
            return Rows(self.whole() + other.whole())
        ours, theirs = self.values.shape[-2:], other.values.shape[-2:]
        shift: list[int] = apart[0].tolist()
        first = [min(0, s) for s in shift]
        end = [max(n, s + m) for n, m, s in zip(ours, theirs, shift, strict=True)]
        mine = _padded(self.values, [0, 0], first, end)
        values = mine + _padded(other.values, shift, first, end)
        corner = self.corner + self.corner.new_tensor(first)
        return Rows(values, corner, self.size, self.clean and other.clean)

    def _window_of(self, factor: Tensor) -> Tensor:
        assert self.corner is not None
        height, width = self.values.shape[-2:]
        padded = functional.pad(factor, (width, width, height, height)).permute(0, 2, 3, 1)
        top = self.corner[:, 0].clamp(-height, self.size[0]) + height
        left = self.corner[:, 1].clamp(-width, self.size[1]) + width
        y = top[:, None] + torch.arange(height, device=top.device)
        x = left[:, None] + torch.arange(width, device=left.device)
        return padded[:, y[:, :, None], x[:, None, :]].permute(1, 0, 4, 2, 3)


def cropped(values: Tensor) -> Rows:
    """Rows cut to windows, where that leaves out most of the maps; stored for convolutions.

    Args:
        values: (row, ...).
    """
    if values.ndim != 5 or not len(values):
        return Rows(channels_last(values))
    size = (int(values.shape[-2]), int(values.shape[-1]))
    taken = values.abs().sum((1, 2)) > 0
    spans = [_span(taken.any(2)), _span(taken.any(1))]
    lengths = [int((end - start).max()) for start, end in spans]
    if lengths[0] * lengths[1] > _WORTH * size[0] * size[1]:
        return Rows(channels_last(values))
    corner = torch.stack([start for start, _ in spans], 1)
    windows = _empty(values, (lengths[0], lengths[1]))
    for row, (top, left) in enumerate(corner.tolist()):
        part = values[row, ..., top : top + lengths[0], left : left + lengths[1]]
        windows[row, ..., : part.shape[-2], : part.shape[-1]] = part
    return Rows(windows, corner, size)


def _span(taken: Tensor) -> tuple[Tensor, Tensor]:
    """Where a row (row, place) first and last is True; nothing at all is the first place."""
    places = torch.arange(taken.shape[1], device=taken.device)
    start = torch.where(taken, places, taken.shape[1]).amin(1)
    end = torch.where(taken, places + 1, 0).amax(1)
    return start.where(end > 0, 0), end.clamp(min=1)


def _inside(start: int, length: int, size: int) -> tuple[int, int]:
    """The part of a window, in its own places, that is inside of the map."""
    first = min(max(0, -start), length)
    return first, max(first, min(length, size - start))


def _empty(values: Tensor, size: tuple[int, int]) -> Tensor:
    return channels_last(values.new_zeros(*values.shape[:3], *size))


def _padded(values: Tensor, at: list[int], first: list[int], end: list[int]) -> Tensor:
    height, width = values.shape[-2:]
    top, left = at[0] - first[0], at[1] - first[1]
    bottom, right = end[0] - at[0] - height, end[1] - at[1] - width
    if not any((top, left, bottom, right)):
        return values
    return in_rows(functional.pad(values.flatten(0, 1), (left, right, top, bottom)), values)
