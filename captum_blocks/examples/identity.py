"""What an index is of: the network's weights, what they are put together to, the preprocessing."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from captum_blocks.errors import InvalidArgument
from captum_blocks.network import Network

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
# The picture that a preprocessing is known by, and how far what becomes of it may be from what
# became of it elsewhere: other versions of Pillow resize by other roundings.
PICTURE, SEEN, NEAR = (57, 43), 6, 0.02


def identity(net: Network) -> dict[str, Any]:
    """What tells a network from others, as plain values.

    >>> made = identity(Network(nn.Conv2d(3, 4, 3), name="small"))
    >>> made["network"], len(made["weights"]), made["preprocessing"]
    ('small', 32, None)
    """
    return {
        "network": net.name,
        "weights": weights_of(net.module),
        "architecture": _digest(_ADDRESS.sub("", repr(net.module)).encode()),
        "preprocessing": None if net.preprocess is None else _seen_by(net.preprocess),
    }


@cache
def read_by() -> dict[str, str]:
    """What reads pictures, on which bits depend: the versions of libraries, and the machine.

    >>> sorted(read_by())
    ['machine', 'numpy', 'pillow', 'torch', 'torchvision']
    """
    made = {name: version(name) for name in ("numpy", "pillow", "torch", "torchvision")}
    return made | {"machine": platform.machine()}


def weights_of(module: nn.Module) -> str:
    """A hash of all parameters and buffers, by name.

    >>> weights_of(nn.ReLU()) == weights_of(nn.Tanh())
    True
    """
    made = sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if isinstance(tensor, Tensor):
            made.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
            made.update(_bytes_of(tensor))
    return made.hexdigest()[:32]


def _bytes_of(tensor: Tensor) -> Any:
    plain = tensor.detach()
    if plain.is_quantized:
        plain = plain.dequantize()
    flat = plain.to_dense() if plain.layout != torch.strided else plain
    return flat.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:32]


def _seen_by(preprocess: Any) -> dict[str, Any]:
    """What becomes of a picture that has something everywhere."""
    width, height = PICTURE
    y, x, band = np.mgrid[:height, :width, : preprocess.channels]
    pixels = 128 + 90 * np.sin(0.31 * x + 0.17 * y + band) + 30 * np.cos(0.23 * y - band)
    array = pixels.clip(0, 255).astype(np.uint8)
    if preprocess.channels in (1, 3):
        rgb = np.ascontiguousarray(np.broadcast_to(array[..., :1], (height, width, 3)))
        ready = preprocess(Image.fromarray(rgb if preprocess.channels == 1 else array))
    else:
        ready = preprocess.bands(array)
    small = adaptive_avg_pool2d(ready.float(), (SEEN, SEEN)).flatten()
    return {"shape": list(ready.shape[1:]), "seen": [round(v, 4) for v in small.tolist()]}


def check_same(of: Mapping[str, Any], net: Network, what: str) -> None:
    """Whether a network is the one that an index is of.

    Args:
        of: what the index is of, see ``identity``.
        net: the network.
        what: the index, for the message.

    Raises:
        InvalidArgument: it is another one; what is different is said.
    """
    now = identity(net)
    different = []
    if of["weights"] != now["weights"]:
        different.append("other weights")
    elif of["architecture"] != now["architecture"]:
        different.append("the same weights, put together otherwise")
    if not _same_preprocessing(of["preprocessing"], now["preprocessing"]):
        different.append("another preprocessing")
    if different:
        raise InvalidArgument(
            f"{what} is of {of['network']}, and {net.name} has {' and '.join(different)}: its "
            "numbers say nothing of this network; build another index with ExampleIndex.build"
        )


def _same_preprocessing(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    if one["shape"] != other["shape"] or len(one["seen"]) != len(other["seen"]):
        return False
    return bool(np.abs(np.subtract(one["seen"], other["seen"])).max() <= NEAR)
