"""The derivative of one recorded operation, for many rows at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from captum_blocks.attr._crops import Rows, channels_last, in_rows

Node = Any

# Operations on each number by itself: what comes back for ones is what they multiply by.
_ELEMENTWISE = {
    f"{name}Backward{number}"
    for number in range(2)
    for name in (
        *("Abs", "Add", "Celu", "Clamp", "ClampMax", "ClampMin", "Clone", "Div", "Elu", "Exp"),
        *("Gelu", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyRelu", "Log", "LogSigmoid"),
        *("Mish", "Mul", "Neg", "Pow", "Relu", "Rsqrt", "Sigmoid", "Silu", "Softplus", "Sqrt"),
        *("Sub", "Tanh", "Threshold"),
    )
}


class Unsuited(Exception):
    """The graph holds something that only PyTorch's own engine can follow."""


class Step(ABC):
    """One operation's derivative with respect to those of its inputs that lead to the source."""

    @abstractmethod
    def pull(self, rows: Rows) -> list[Rows]:
        """Gradients of the output -> gradients of each input."""

    @abstractmethod
    def push(self, rows: Sequence[Tensor]) -> Tensor:
        """Changes of each input (row, ...) -> change of the output (row, ...)."""


class Scaled(Step):
    """Each number by its own factor, None for one: activation functions, products, sums."""

    def __init__(self, factors: Sequence[Tensor | None]) -> None:
        self.factors = [None if factor is None else channels_last(factor) for factor in factors]

    def join(self, edge: int, before: Scaled) -> None:
        """Also multiply by the only factor of the step before."""
        factor, more = self.factors[edge], before.factors[0]
        both = factor is not None and more is not None
        self.factors[edge] = factor * more if both else more if factor is None else factor  # type: ignore[operator]

    def pull(self, rows: Rows) -> list[Rows]:
        if len(self.factors) > 1:
            rows = replace(rows, fresh=False)
        return [rows if factor is None else rows.times(factor) for factor in self.factors]

    def push(self, rows: Sequence[Tensor]) -> Tensor:
        total = None
        for row, factor in zip(rows, self.factors, strict=True):
            part = row if factor is None else row * factor
            total = part if total is None else total + part
        assert total is not None
        return total


class Padded(Step):
    """Zeros around maps; backwards, they are cut off."""

    def __init__(self, node: Node, size: torch.Size) -> None:
        self.left, self.right, self.top, self.bottom = node._saved_pad
        self.size = (int(size[2]), int(size[3]))

    def pull(self, rows: Rows) -> list[Rows]:
        if rows.corner is not None:
            return [rows.grown(rows.values, (self.top, self.left), self.size)]
        y, x = slice(self.top, self.top + self.size[0]), slice(self.left, self.left + self.size[1])
        return [Rows(rows.values[..., y, x], fresh=rows.fresh)]

    def push(self, rows: Sequence[Tensor]) -> Tensor:
        around = (self.left, self.right, self.top, self.bottom)
        return in_rows(functional.pad(rows[0].flatten(0, 1), around), rows[0])


class Convolution(Step):
    """A convolution of maps; backwards, one with the weights turned round."""

    def __init__(self, node: Node, size: torch.Size) -> None:
        self.weight = channels_last(node._saved_weight.detach())
        self.stride = tuple(node._saved_stride)
        self.padding = tuple(node._saved_padding)
        self.dilation = tuple(node._saved_dilation)
        self.groups = int(node._saved_groups)
        self.size = (int(size[2]), int(size[3]))
        kernel = self.weight.shape[2:]
        self.reach = [d * (k - 1) for d, k in zip(self.dilation, kernel, strict=True)]

    @cached_property
    def turned(self) -> Tensor:
        """The weights of the convolution that goes backwards."""
        split = self.weight.unflatten(0, (self.groups, -1)).transpose(1, 2).flatten(0, 1)
        return channels_last(split.flip(2, 3))

    def pull(self, rows: Rows) -> list[Rows]:
        if rows.corner is None:
            return [Rows(self._back(rows.values, self.padding, self.size), fresh=True)]
        rows = rows.cleaned()
        counts = zip(rows.values.shape[-2:], self.stride, self.reach, strict=True)
        values = self._back(rows.values, (0, 0), [(n - 1) * s + r + 1 for n, s, r in counts])
        return [rows.grown(values, self.padding, self.size, self.stride)]

    def _back(self, rows: Tensor, padding: Sequence[int], size: Sequence[int]) -> Tensor:
        flat = rows.flatten(0, 1)
        pad = [reach - p for reach, p in zip(self.reach, padding, strict=True)]
        if self.stride == (1, 1) and min(pad) >= 0 and max(self.reach) > 0:
            found = torch.conv2d(flat, self.turned, None, 1, pad, self.dilation, self.groups)
        else:
            counts = zip(flat.shape[2:], self.stride, padding, self.reach, strict=True)
            least = [(n - 1) * s - 2 * p + reach + 1 for n, s, p, reach in counts]
            left = [full - n for full, n in zip(size, least, strict=True)]
            found = functional.conv_transpose2d(
                flat, self.weight, None, self.stride, padding, left, self.groups, self.dilation
            )
        return in_rows(found, rows)

    def push(self, rows: Sequence[Tensor]) -> Tensor:
        flat, rest = rows[0].flatten(0, 1), (self.stride, self.padding, self.dilation, self.groups)
        return in_rows(torch.conv2d(flat, self.weight, None, *rest), rows[0])


class Joined(Step):
    """Maps with their channels one behind another; backwards, each takes its own."""

    def __init__(self, node: Node, wanted: Sequence[int]) -> None:
        meta = node._input_metadata[0]
        self.shape = output_shape(node)
        numbers = torch.arange(self.shape[1], dtype=meta.dtype, device=meta.device)
        found = _answers(node, numbers[:, None, None].expand(self.shape))
        firsts = [(int(found[edge].flatten()[0]), found[edge].shape[1]) for edge in wanted]
        self.channels = [slice(first, first + count) for first, count in firsts]

    def pull(self, rows: Rows) -> list[Rows]:
        return [
            replace(rows, values=channels_last(rows.values[:, :, its]), fresh=False)
            for its in self.channels
        ]

    def push(self, rows: Sequence[Tensor]) -> Tensor:
        made = rows[0].new_zeros(*rows[0].shape[:2], *self.shape[1:])
        for row, its in zip(rows, self.channels, strict=True):
            made[:, :, its] = row
        return channels_last(made)


class Repeated(Step):
    """Each number of a map several times, down and across; backwards, their sum."""

    def __init__(self, size: torch.Size, times: tuple[int, int]) -> None:
        self.size, self.times = (int(size[2]), int(size[3])), times

    def pull(self, rows: Rows) -> list[Rows]:
        if rows.corner is None:
            return [Rows(in_rows(self._sums(rows.values.flatten(0, 1)), rows.values), fresh=True)]
        rows = rows.cleaned()
        assert rows.corner is not None
        times = rows.corner.new_tensor(self.times)
        corner = rows.corner.div(times, rounding_mode="floor")
        before = rows.corner - corner * times
        counts = zip(rows.values.shape[-2:], self.times, strict=True)
        # The smallest that holds a window wherever it begins within a repeated number.
        height, width = (-(-(n + each - 1) // each) for n, each in counts)
        values = rows.values.new_zeros(*rows.values.shape[:3], height, width)
        for first in before.unique(dim=0):
            here = (before == first).all(1)
            values[here] = self._of_windows(rows.values[here], first.tolist(), (height, width))
        return [Rows(channels_last(values), corner, self.size).if_worth()]

    def _of_windows(self, windows: Tensor, first: list[int], size: tuple[int, int]) -> Tensor:
        """Windows that begin so far into a repeated number, as sums in windows of a size."""
        around = [0, 0, 0, 0]  # left, right, top, bottom
        for side, axis in ((2, 0), (0, 1)):
            around[side] = first[axis]
            around[side + 1] = size[axis] * self.times[axis] - first[axis] - windows.shape[3 + axis]
        return in_rows(self._sums(functional.pad(windows.flatten(0, 1), around)), windows)

    def _sums(self, maps: Tensor) -> Tensor:
        return functional.avg_pool2d(maps, self.times, divisor_override=1)

    def push(self, rows: Sequence[Tensor]) -> Tensor:
        down, across = self.times
        return rows[0].repeat_interleave(down, -2).repeat_interleave(across, -1)


class Recorded(Step):
    """Any other operation: its recorded backward pass, and the transpose of that forwards."""

    def __init__(self, node: Node, wanted: Sequence[int]) -> None:
        self.node, self.wanted = node, wanted

    def _all(self, seed: Tensor) -> tuple[Tensor, ...]:
        found = tuple(_answers(self.node, seed)[edge] for edge in self.wanted)
        if any(one is None for one in found):
            raise Unsuited(self.node)  # it is recorded and has no gradient: quantized ones
        return found

    def pull(self, rows: Rows) -> list[Rows]:
        return [Rows(found) for found in torch.func.vmap(self._all)(rows.whole())]

    def push(self, rows: Sequence[Tensor]) -> Tensor:
        with torch.enable_grad():
            seed = rows[0].new_zeros(output_shape(self.node), requires_grad=True)
            found = self._all(seed)

        def transposed(*changes: Tensor) -> Tensor:
            return torch.autograd.grad(found, seed, changes, retain_graph=True)[0]

        pushed: Tensor = torch.func.vmap(transposed)(*rows)
        return pushed


def step_of(node: Node, wanted: Sequence[int], sizes: Sequence[torch.Size]) -> Step:
    """The derivative of a recorded operation.

    Args:
        node: of the graph.
        wanted: which of its inputs lead to the source.
        sizes: of those inputs.

    Raises:
        Unsuited: only PyTorch's own engine can follow it.
    """
    if not callable(node) or len(getattr(node, "_input_metadata", ())) != 1:
        raise Unsuited(node)
    if any(node.next_functions[edge][1] for edge in wanted):
        raise Unsuited(node)
    kind, size = type(node).__name__, output_shape(node)
    maps = len(size) == 4
    if kind == "ConvolutionBackward0" and maps and wanted == [0] and not node._saved_transposed:
        return Convolution(node, sizes[0])
    if kind == "ConstantPadNdBackward0" and maps and len(node._saved_pad) == 4:
        return Padded(node, sizes[0])
    if kind == "CatBackward0" and maps and node._saved_dim == 1:
        return Joined(node, wanted)
    if kind == "UpsampleNearest2DBackward0" and (times := _times(sizes[0], size)) is not None:
        return Repeated(sizes[0], times)
    if kind in _ELEMENTWISE and all(one == size for one in sizes):
        return Scaled(_factors(node, wanted))
    return Recorded(node, wanted)


def _times(size: torch.Size, repeated: torch.Size) -> tuple[int, int] | None:
    """How often each number of a map stands in a larger one; None where that differs."""
    if any(large % small for small, large in zip(size[2:], repeated[2:], strict=True)):
        return None
    return int(repeated[2] // size[2]), int(repeated[3] // size[3])


def output_shape(node: Node) -> torch.Size:
    """Of what the operation answered with."""
    return torch.Size(node._input_metadata[0].shape)


def _factors(node: Node, wanted: Sequence[int]) -> list[Tensor | None]:
    meta = node._input_metadata[0]
    ones = torch.ones(output_shape(node), dtype=meta.dtype, device=meta.device)
    found = _answers(node, ones)
    # A sum and a copy hand on what they are given.
    return [None if found[i].data_ptr() == ones.data_ptr() else found[i] for i in wanted]


def _answers(node: Node, seed: Tensor) -> tuple[Tensor, ...]:
    found = node(seed)
    return found if isinstance(found, tuple) else (found,)
