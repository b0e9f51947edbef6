"""Whether a network is still the one it was: how a copy of it is known to be out of date."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from captum_blocks.optim._behaviour import settings_of
from captum_blocks.wrappers import stored

BLOCK = 2**14
State = tuple[object, ...]


def state_of(module: nn.Module) -> State:
    """What differs as soon as a network is trained, loaded, moved, edited or put together anew.

    A few milliseconds where hashing all weights takes tens: content is known by its products with
    random numbers, which also tell assignments to ``.data`` that no version counter tells.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> before = state_of(net)
    >>> _ = net[0].weight.data.zero_()
    >>> state_of(net) == before
    False
    """
    parts = tuple(module.modules())
    held = [*module.parameters(), *module.buffers()]
    tensors = [part for tensor in held for part in stored(tensor)]
    settings = tuple(map(settings_of, parts))
    return (parts, settings, tuple(_place(tensor) for tensor in tensors), _content(tensors))


def _place(tensor: Tensor) -> tuple[object, ...]:
    # Tensors made under inference_mode count no versions.
    version = None if tensor.is_inference() else tensor._version
    return (tensor.data_ptr(), version, tensor.shape, tensor.dtype, tensor.device)


@torch.inference_mode()
def _content(tensors: list[Tensor]) -> bytes:
    products = [product for tensor in tensors for product in _products(_numbers(tensor))]
    if not products:
        return b""
    together = torch.cat([product.to(products[0].device) for product in products])
    return together.cpu().numpy().tobytes()  # as bytes, a number that is none equals itself


def _products(numbers: Tensor) -> list[Tensor]:
    """Block by block, so that the random numbers need no more memory than one block."""
    noise = _noise(numbers.device)
    if len(numbers) <= BLOCK:
        return [numbers.dot(noise[: len(numbers)])[None]]
    whole = len(numbers) // BLOCK * BLOCK
    return [numbers[:whole].view(-1, BLOCK) @ noise, *_products(numbers[whole:])]


def _numbers(tensor: Tensor) -> Tensor:
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return real.flatten().float()


@lru_cache(maxsize=8)
def _noise(device: torch.device) -> Tensor:
    return torch.randn(BLOCK, generator=torch.Generator().manual_seed(0)).to(device)
