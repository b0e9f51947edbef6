"""Whether two photographs are nearly the same one: what the network sees of them, very small."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

Array = np.ndarray[Any, np.dtype[Any]]
ROWS, COLUMNS = 8, 8
# Of 64 bits; 8-bit rounding, JPEG and another size change one or two.
FEW_BITS = 4
# Of the deviation that a normalised picture has.
NEAR_COLOUR = 0.15
# Of a plain ground with something small on it, or of a plain gradient, nearly all bits are alike
# whatever is there: a hash with fewer bits of a kind than this tells nothing.
TELLING = 8
# A step of brightness that is none, as a share of the picture's deviation.
FLAT = 0.02
_ONES = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


def signatures(x: Tensor) -> tuple[Array, Array]:
    """What is compared of pictures.

    Args:
        x: (image, channel, y, x), as the network takes them.

    Returns:
        (image,) uint64: whether brightness rises from each of 8 x 9 fields to the next (Krawetz'
        dHash); (image, 4 x channel) float16: the colours of the quarters.

    >>> hashes, colours = signatures(torch.linspace(0, 1, 16).expand(1, 3, 16, 16))
    >>> int(hashes[0]) == 2**64 - 1, colours.shape
    (True, (1, 12))
    """
    pictures = x.detach().float().cpu()
    grey = pictures.mean(1, keepdim=True)
    fields = adaptive_avg_pool2d(grey, (ROWS, COLUMNS + 1))[:, 0].double().numpy()
    least = FLAT * fields.std((1, 2), keepdims=True)
    rises = np.diff(fields, axis=2) > np.maximum(least, 1e-6)
    bits = np.uint64(1) << np.arange(ROWS * COLUMNS, dtype=np.uint64)
    hashes = (rises.reshape(len(x), -1) * bits).sum(1, dtype=np.uint64)
    colours = adaptive_avg_pool2d(pictures, (2, 2)).flatten(1)
    return hashes, colours.clamp(-6e4, 6e4).to(torch.float16).numpy()


def digests(x: Tensor) -> Array:
    """(picture,) uint64: the same number for the same picture, bit for bit.

    >>> found = digests(torch.tensor([[0.0], [1.0], [0.0]]))
    >>> bool(found[0] == found[2]), bool(found[0] == found[1])
    (True, False)
    """
    pictures = x.detach().float().cpu().contiguous().numpy()
    made = [blake2b(each.data, digest_size=8).digest() for each in pictures]
    return np.array([int.from_bytes(each, "little") for each in made], np.uint64)


def alike(hashes: Array, colours: Array, one: int, others: Array) -> Array:
    """Which others are nearly the same photograph as one.

    Photographs whose hash tells nothing are the same where both hash and colours are equal.

    Args:
        hashes, colours: of all photographs, as ``signatures`` gives them.
        one: its row.
        others: (k,) their rows.

    >>> hashes, colours = np.uint64([2**20 - 1, 2**21 - 1, 2**40 - 1]), np.zeros((3, 12))
    >>> alike(hashes, colours.astype(np.float16), 0, np.array([1, 2])).tolist()
    [True, False]
    """
    near = bits_apart(hashes[others], hashes[one]) <= FEW_BITS
    places = others[near]
    apart = np.abs(colours[places].astype(np.float32) - colours[one].astype(np.float32))
    farthest = apart.max(1, initial=0)
    same = (hashes[places] == hashes[one]) & (farthest == 0)
    near[near] = ((farthest <= NEAR_COLOUR) & _tells(hashes[places])) | same
    return near


def _tells(hashes: Array) -> Array:
    """Whether enough bits of a hash are of either kind."""
    ones = bits_apart(hashes, np.zeros_like(hashes))
    return np.asarray((ones >= TELLING) & (ones <= 64 - TELLING))


def bits_apart(hashes: Array, others: Array) -> Array:
    """In how many of 64 bits hashes differ.

    >>> bits_apart(np.uint64([7, 8]), np.uint64([0, 0])).tolist()
    [3, 1]
    """
    changed = np.ascontiguousarray(hashes ^ others)
    return np.asarray(_ONES[changed.view(np.uint8)].reshape(-1, 8).sum(1))
