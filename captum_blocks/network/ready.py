"""What a network is given: tensors that are ready, and arrays of more bands than a picture has."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.preprocessing import Preprocess

# The deviation of a module that takes pixels from 0 to 255.
BYTE = 1 / 64
# Bytes that the same few numbers over and over may come to: 170 pictures of 1,024 pixels a side.
MOST_REPEATED = 2**31


def is_of_bands(source: Any, channels: int) -> bool:
    """Whether an array has as many bands as a network that takes no ordinary picture."""
    known = isinstance(source, np.ndarray) and source.ndim == 3 and source.dtype == np.uint8
    return known and channels not in (1, 3) and source.shape[2] == channels


def _warn_of_pixels(tensor: Tensor) -> None:
    """A picture that has not gone through the preprocessing is whole numbers up to 255."""
    low, high = (float(edge) for edge in tensor.aminmax()) if tensor.numel() else (0.0, 0.0)
    if low >= 0 and 64 < high <= 255 and bool((tensor == tensor.round()).all()):
        warnings.warn(
            "this tensor holds whole numbers up to 255, as a picture does before preprocessing; a "
            "ready tensor is what the module takes: give the picture itself, as a path, PIL image "
            "or uint8 array, and it is preprocessed",
            stacklevel=4,
        )


def shape_of(like: Tensor | None, size: tuple[int, ...]) -> tuple[int, ...]:
    """(channel, height, width) of the pictures that a network is tried on.

    Args:
        like: a ready tensor whose size to use.
        size: what is used where there is none.

    Raises:
        WrongType: what is given is no tensor.
        InvalidArgument: it is no batch of pictures.

    >>> import torch
    >>> shape_of(torch.zeros(1, 3, 8, 6), ()), shape_of(None, (3, 2, 2))
    ((3, 8, 6), (3, 2, 2))
    """
    if like is None:
        return size
    if not isinstance(like, Tensor):
        raise WrongType(
            f"layers() takes one ready tensor (image, channel, y, x), not {type(like).__name__}; "
            "a network that needs several inputs is wrapped in a module that takes the picture "
            "and has the others"
        )
    _check_axes(like)
    return tuple(like.shape[1:])


def checked(tensor: Tensor, preprocess: object) -> Tensor:
    """A tensor that a network can take as it is.

    Raises:
        InvalidArgument: it is not of floats, not (image, channel, y, x), has no plain numbers, or
            more than were ever computed.
    """
    if not tensor.is_floating_point():
        raise InvalidArgument(
            f"a {tensor.dtype} tensor is not ready for a network; give a float tensor as the "
            "module takes it, or the picture itself as a path, PIL image or uint8 array"
        )
    _check_axes(tensor)
    _check_numbers(tensor)
    if isinstance(preprocess, Preprocess) and min(preprocess.std) > BYTE:
        _warn_of_pixels(tensor)
    return tensor


def _check_numbers(tensor: Tensor) -> None:
    """Refuse what holds no plain numbers, or says that it has numbers which are nowhere."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_nested:
        kind = "meta" if tensor.is_meta else str(tensor.layout).removeprefix("torch.")
        raise InvalidArgument(
            f"a {kind} tensor is no picture that a network can take; give plain numbers, e.g. "
            "x.to_dense()"
        )
    needed, there = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    if needed > MOST_REPEATED and needed > there:
        raise InvalidArgument(
            f"a tensor of shape {tuple(tensor.shape)} takes {needed / 2**30:,.0f} GiB, and holds "
            f"{there} bytes of numbers: was a side of it expanded by mistake?"
        )


def _check_axes(tensor: Tensor) -> None:
    if tensor.ndim == 5:
        raise InvalidArgument(
            f"a tensor of shape {tuple(tensor.shape)} is a batch of volumes or films, and what is "
            "shown here are places in a picture: (image, channel, y, x); give single slices or "
            "frames to a network of pictures"
        )
    if tensor.ndim != 4:
        raise InvalidArgument(
            f"a ready tensor is (image, channel, y, x), not {tuple(tensor.shape)}; "
            "a single image needs its batch axis: x[None]"
        )
