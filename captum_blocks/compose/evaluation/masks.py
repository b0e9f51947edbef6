"""What a reader gives for an edit: a mask of the picture, and what stands in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from captum_blocks.attr.edits import checked_filling, checked_masks
from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.grammar import Given
from captum_blocks.network import Network


def mask_of(mask: Given | None, given: Any, x: Tensor) -> Tensor:
    """The mask of a reader as (1, 1, rows, columns); all of the picture where there is none.

    Args:
        mask: the word.
        given: the objects that such words name.
        x: (image, channel, y, x), the photographs as the network takes them.

    Raises:
        InvalidArgument: it has another size, other values than from 0 to 1 (whole numbers: to 255),
            or no region; there are several photographs.
        WrongType: it is neither a tensor, nor an array, nor a PIL image.
    """
    if mask is None:
        return torch.ones(1, 1, *x.shape[2:])
    if len(x) != 1:
        raise InvalidArgument(
            f"mask {mask.name!r} covers a part of one photograph, and {len(x)} are explained "
            "together; explain them one by one"
        )
    held = _numbers(given[mask.name], mask.name)
    if held.shape != x.shape[2:]:
        raise InvalidArgument(
            f"mask {mask.name!r} has shape {tuple(held.shape)}, and the picture as the network "
            f"takes it is {tuple(x.shape[2:])} (rows, columns); cut and scale it as the photograph "
            "is, e.g. by the network's own preprocessing"
        )
    try:
        return checked_masks(held[None, None], x).float().cpu()
    except InvalidArgument as error:
        raise InvalidArgument(f"mask {mask.name!r}: {error}") from None


def _numbers(held: Any, name: str) -> Tensor:
    """A mask as floats, whole numbers up to 255 scaled to 1; axes of length one go."""
    if isinstance(held, Image.Image):
        held = np.asarray(held.convert("L"))
    if isinstance(held, np.ndarray) and held.dtype.kind in "biuf":
        held = torch.from_numpy(np.array(held))
    if not isinstance(held, Tensor) or held.is_complex():
        raise WrongType(
            f"mask {name!r} is a {type(held).__name__}; give a tensor, an array or a PIL image of "
            "(rows, columns)"
        )
    held = held[0] if held.ndim == 3 and len(held) == 1 else held
    found: Tensor = held.detach().float().cpu()
    scaled = not held.is_floating_point() and bool((found > 1).any())
    return found / 255 if scaled else found


def filling_of(fill: str | Given, given: Any, net: Network, x: Tensor) -> Any:
    """What stands in the place of a region, as the engine takes it.

    Raises:
        InvalidArgument: it is of another shape than the photographs.
        WrongType: it is neither a tensor nor a picture.
    """
    if not isinstance(fill, Given):
        return fill
    held = given[fill.name]
    try:
        return checked_filling(held if isinstance(held, Tensor) else net.read(held), x)
    except (InvalidArgument, WrongType) as error:
        raise type(error)(f"given {fill.name!r} replaces a part of the picture: {error}") from None
