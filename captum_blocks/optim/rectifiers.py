"""Letting a gradient through rectifiers that are shut, for images that get none at all.

An objective whose unit is silent on noise has no gradient to start from. While the context is open,
ReLU and ReLU6 pass what would open them, but only for images whose whole gradient they would block
(after Lucid's redirected ReLU). Such a gradient is wrong on purpose: it is for the first steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class _Redirected(torch.autograd.Function):
    """``clamp(x, low, high)`` with the redirected gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        ctx.limits = (low, high)
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        low, high = ctx.limits
        open_ = torch.where((x > low) & (x < high), gradient, 0)
        towards_open = ((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0))
        redirected = torch.where(towards_open, gradient, open_)
        blocked = open_.flatten(1).eq(0).all(1).reshape(-1, *[1] * (x.ndim - 1))
        return torch.where(blocked, redirected, open_), None, None


def _relu(x: Tensor, *_: Any, **__: Any) -> Tensor:
    return _Redirected.apply(x, 0.0, inf)  # type: ignore[no-any-return]


def _relu6(x: Tensor, *_: Any, **__: Any) -> Tensor:
    return _Redirected.apply(x, 0.0, 6.0)  # type: ignore[no-any-return]


def _hardtanh(
    x: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    return _Redirected.apply(x, min_val, max_val)  # type: ignore[no-any-return]


_REPLACEMENTS: dict[Any, Callable[..., Tensor]] = {
    **dict.fromkeys([F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_], _relu),
    F.relu6: _relu6,
    **dict.fromkeys([F.hardtanh, F.hardtanh_], _hardtanh),
}


class redirected_rectifiers(TorchFunctionMode):
    """While open, scores are ascended through rectifiers that are shut.

    >>> x = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    >>> with redirected_rectifiers():
    ...     F.relu(x).sum().backward()
    >>> x.grad
    tensor([[1., 1.]])
    """

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Exchange rectifiers, leave everything else alone."""
        return _REPLACEMENTS.get(func, func)(*args, **(kwargs or {}))
