"""How somebody's transform wants its pictures, and what it makes of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from captum_blocks.errors import InvalidArgument, WrongType

Feed = Callable[[np.ndarray], Any]
# Where a transform that answers by name keeps the picture.
ENTRIES = ("pixel_values", "image", "img", "x")
HOW_TO_WRAP = (
    "give a function of a PIL picture that returns a float tensor (channel, y, x), or "
    "Preprocess(size, mean, std)"
)


def _whole_numbers(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _up_to_one(pixels: np.ndarray) -> Tensor:
    return _whole_numbers(pixels).float() / 255


def _up_to_255(pixels: np.ndarray) -> Tensor:
    return _whole_numbers(pixels).float()


def as_picture(pixels: np.ndarray) -> Image.Image:
    """(y, x, 3) uint8 -> a PIL picture, which is what most transforms take."""
    return Image.fromarray(pixels)


TENSORS: tuple[Feed, ...] = (_whole_numbers, _up_to_one, _up_to_255)


@contextmanager
def undisturbed(seed: int | None = None) -> Iterator[None]:
    """The generators of torch, NumPy and Python are afterwards as they were.

    Args:
        seed: of all three while the context is open; as they are unless given.
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            if seed is not None:
                random.seed(seed)
                np.random.seed(seed)
                torch.default_generator.manual_seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def tensor_of(made: Any) -> Tensor:
    """What a transform returned for one picture, as (1, channel, y, x).

    Tensors and float arrays, with or without a batch axis, a channel axis; alone, as the only
    element of a list, or by a name such as ``"pixel_values"``.

    Raises:
        WrongType: it is nothing of the kind.
        InvalidArgument: it is several pictures, or has other axes.

    >>> tensor_of({"pixel_values": [np.zeros((3, 4, 5))]}).shape
    torch.Size([1, 3, 4, 5])
    """
    if isinstance(made, Mapping):
        return tensor_of(_entry(made))
    if isinstance(made, Sequence) and not isinstance(made, str) and len(made) == 1:
        return tensor_of(made[0])
    if isinstance(made, np.ndarray) and made.dtype.kind == "f":
        made = _channels_first(torch.from_numpy(np.ascontiguousarray(made)).float())
    if not isinstance(made, Tensor) or not made.is_floating_point():
        raise WrongType(
            f"the preprocessing gives {_kind(made)}, not a float tensor; "
            "does it end in ToTensor or ToDtype(scale=True)?"
        )
    tensor = made.detach().as_subclass(Tensor)
    if tensor.ndim == 2:
        tensor = tensor[None]
    tensor = tensor if tensor.ndim == 4 else tensor[None]
    if tensor.ndim != 4 or len(tensor) != 1:
        raise InvalidArgument(
            f"the preprocessing gives a tensor of shape {tuple(made.shape)} for one picture, not "
            f"(channel, y, x); {HOW_TO_WRAP}"
        )
    return tensor


def _channels_first(array: Tensor) -> Tensor:
    """NumPy's pictures keep their channels last, as torchvision's ToTensor knows."""
    last = array.ndim == 3 and array.shape[2] in (1, 3, 4) and array.shape[0] not in (1, 3, 4)
    return array.permute(2, 0, 1).contiguous() if last else array


def _entry(made: Mapping[str, Any]) -> Any:
    for name in ENTRIES:
        if name in made:
            return made[name]
    if len(made) == 1:
        return next(iter(made.values()))
    raise WrongType(
        f"the preprocessing gives {_kind(made)} with {', '.join(map(repr, made))}, and which of "
        f"them is the picture is not known; {HOW_TO_WRAP}"
    )


def _kind(made: Any) -> str:
    name = type(made).__name__
    return f"{name} of {made.dtype}" if isinstance(made, Tensor) else name
