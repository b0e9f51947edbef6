"""A layer's output as the table that factorizations eat, and back.

A factorization sees ``(position, channel)``. ``Rows`` is that table together with what is needed to
hand a result back in the kind, layout, device and dtype it was given in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from captum_blocks.errors import WrongType
from captum_blocks.layouts import Kind, Layout, resolve

Array: TypeAlias = Tensor | np.ndarray[Any, Any]


@dataclass(frozen=True)
class Form:
    """What a table was made from.

    Attributes:
        layout: where channels stand; ``None`` for a table that was given as a table.
        shape: ``(image, y, x)``, whose product is the number of rows.
        is_tensor: a tensor was given, not an array.
        dtype: the floating type to hand back.
        device: where to hand it back.
    """

    layout: Layout | None
    shape: tuple[int, ...]
    is_tensor: bool
    dtype: torch.dtype
    device: torch.device

    @property
    def is_one_image(self) -> bool:
        """Exactly one image, with more than one position."""
        return self.layout is not None and self.shape[0] == 1 and self.shape[1:] != (1, 1)

    def give_back(self, table: Tensor) -> Array:
        """``(position, feature)`` -> the layout, kind, device and dtype of the original."""
        table = table.to(device=self.device, dtype=self.dtype)
        if self.layout is not None:
            maps = table.reshape(*self.shape, table.shape[1]).permute(0, 3, 1, 2)
            table = self.layout.from_maps(maps)
        return self.like(table)

    def like(self, values: Tensor) -> Array:
        """Fitted numbers of any shape, in the kind, device and dtype of the original."""
        values = values.to(device=self.device, dtype=self.dtype)
        return values if self.is_tensor else values.detach().cpu().numpy()


@dataclass(frozen=True)
class Rows:
    """A table ``(position, channel)`` and the form it came in.

    >>> rows = to_rows(torch.zeros(2, 5, 3, 4), Layout("NCHW"))
    >>> rows.table.shape, rows.form.give_back(rows.table[:, :2]).shape
    (torch.Size([24, 5]), torch.Size([2, 2, 3, 4]))
    """

    table: Tensor
    form: Form


def to_rows(data: Array, layout: Layout | Kind | None) -> Rows:
    """Activations -> their table. Two axes are a table already: rows x channels.

    Args:
        data: a tensor or array: ``(position, channel)`` or a layer's output with 3 or 4 axes.
        layout: where the channels of a layer's output stand; ``None``: detected from the shape.

    Raises:
        InvalidArgument: the shape does not have the layout.
        WrongType: the numbers are complex, or the tensor is sparse.
    """
    tensor = data if isinstance(data, Tensor) else torch.from_numpy(_writable(data))
    if tensor.layout != torch.strided:
        raise WrongType(f"activations are a {tensor.layout} tensor; give activations.to_dense()")
    if tensor.is_complex():
        raise WrongType(f"Complex data not supported: activations are {tensor.dtype}")
    dtype = tensor.dtype if tensor.is_floating_point() else torch.float32
    working = dtype if dtype == torch.float64 else torch.float32
    if tensor.ndim == 2:
        form = Form(None, (tensor.shape[0],), isinstance(data, Tensor), dtype, tensor.device)
        return Rows(tensor.to(working), form)
    found = resolve(layout, tensor.shape)
    maps = found.to_maps(tensor)
    images, channels, height, width = maps.shape
    table = maps.permute(0, 2, 3, 1).reshape(-1, channels).to(working)
    shape = (images, height, width)
    return Rows(table, Form(found, shape, isinstance(data, Tensor), dtype, tensor.device))


def is_table(data: Any) -> bool:
    """Rows x columns as scikit-learn means them: no tensor, and no more than two axes."""
    return not isinstance(data, Tensor) and len(getattr(data, "shape", ())) < 3


def tables_only(wrapped: Any) -> Any:
    """scikit-learn's ``set_output`` speaks of tables: let maps and tensors pass by its wrapper."""

    @wraps(wrapped)
    def method(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        return (wrapped if is_table(X) else wrapped.__wrapped__)(self, X, *args, **kwargs)

    return method


def same_kind(fitted: Layout | None, shape: Sequence[int]) -> Layout | Kind | None:
    """The layout of a new tensor for a reducer that detected its layout when it was fitted.

    With another number of channels the same layer may look like another layout: the fitted one
    decides. Only the patch grid is found anew.
    """
    if fitted is None or len(shape) == 2:
        return None
    placed = fitted.order is not None or fitted.unplaced or fitted.window is not None
    return fitted if placed else fitted.kind


def _writable(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # torch.from_numpy warns about read-only memory (memory-mapped files) and refuses negative
    # strides and foreign byte orders.
    if array.dtype.kind not in "fiub":
        if array.dtype.kind == "c":
            raise WrongType(f"Complex data not supported: activations are {array.dtype}")
        raise WrongType(f"activations must be numbers, not {array.dtype}")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    usable = native.flags.writeable and all(stride >= 0 for stride in native.strides)
    return native if usable else native.copy()


def wide(device: torch.device) -> torch.dtype:
    """The widest floating type of a device, for sums and small systems."""
    return torch.float32 if device.type == "mps" else torch.float64


def squared_norm(table: Tensor) -> float:
    """``||X||^2``, summed in the widest type without a copy as large as the table."""
    kind = wide(table.device)
    # Parts that stay in the processor's cache: ten times sooner than parts of a million.
    parts = table.detach().reshape(-1).split(1 << 16)
    return float(sum(part.to(kind).square().sum() for part in parts))
