"""What a network does beyond its weights and structure, so that a picture is known by it.

Two networks of equal weights differ where their ``forward()`` was edited, a plain attribute was set
or written to, or a hook was added. Code, attributes and hooks are read, tensors and arrays among
them by their numbers, and what no reading tells (a global) shows in what the layers answer on a
fixed picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from hashlib import sha256
from inspect import unwrap
from types import CodeType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from captum_blocks.wrappers import stored

_BARE = frozenset(vars(nn.Module()))
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
# Attributes of attributes are read so far down: a list may hold itself.
_DEEPEST = 4
# Numbers of one tensor or array; of a larger one, every second, third, ... is read.
_MOST_NUMBERS = 2**24
_PROJECTIONS, _BLOCK = 8, 2**14


def settings_of(module: nn.Module) -> str:
    """How a module is set, apart from weights, buffers and children; equal in every process.

    >>> one, other = nn.ReLU(), nn.ReLU()
    >>> one.mask, other.mask = torch.ones(2), torch.ones(2)
    >>> settings_of(one) == settings_of(other)
    True
    >>> _ = other.mask.zero_()
    >>> settings_of(one) == settings_of(other)
    False
    """
    own = {name: held for name, held in vars(module).items() if name not in _BARE}
    hooks = [_told(hook) for name in _HOOKS for hook in getattr(module, name).values()]
    foreign = not type(module).__module__.startswith("torch.")
    forward = [_told(type(module).forward)] if foreign else []
    return f"{module.extra_repr()} {_told(own)} {forward} {hooks}"


def sketch(outputs: Mapping[str, Tensor]) -> str:
    """The outputs of layers in short: how large they are, and eight random projections.

    Rounded to a thousandth, so that another number of threads hardly ever makes another sketch.

    >>> ones = {"layer": torch.ones(1, 4)}
    >>> sketch(ones) == sketch({"layer": torch.ones(1, 4) * 1.01})
    False
    """
    return "; ".join(f"{name}: {_numbers(output)}" for name, output in sorted(outputs.items()))


def _numbers(output: Tensor) -> str:
    flat = output.detach().flatten()
    flat = (torch.view_as_real(flat).flatten() if flat.is_complex() else flat).double().cpu()
    size = float(flat.norm())
    padded = nn.functional.pad(flat, (0, -len(flat) % _BLOCK)).view(-1, _BLOCK)
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    products = padded @ draw(_BLOCK, _PROJECTIONS)
    found = (products * draw(len(padded), 1)).sum(0) / (size or 1.0)
    return f"{tuple(output.shape)} {size:.3e} {[f'{number:.3f}' for number in found.tolist()]}"


def _told(value: Any, depth: int = 0) -> str:
    """Plain values as they are, tensors by their numbers, functions by their code.

    Anything else is told by its type.
    """
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return repr(value)
    if isinstance(value, Tensor):
        return " ".join([type(value).__qualname__, *map(_content, stored(value))])
    if isinstance(value, np.ndarray):
        return f"{type(value).__qualname__} {_array_content(value)}"
    if depth >= _DEEPEST or isinstance(value, nn.Module):
        return type(value).__qualname__
    deeper = depth + 1
    if isinstance(value, Mapping):
        return str({str(key): _told(held, deeper) for key, held in value.items()})
    if isinstance(value, (tuple, list)):
        return str([_told(held, deeper) for held in value])
    if isinstance(value, (set, frozenset)):
        return str(sorted(_told(held, deeper) for held in value))
    return _code(value, deeper) if callable(value) else type(value).__qualname__


def _content(tensor: Tensor) -> str:
    """A digest of a tensor's numbers; of one that shows none (meta, sparse) what it is like."""
    told = f"{tensor.dtype} {tuple(tensor.shape)} {tensor.device.type}"
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        return told
    with suppress(RuntimeError, NotImplementedError):  # a tensor of somebody's own making
        flat = _flat(tensor.detach()).cpu().contiguous()
        told += f" {_hash(flat.view(torch.uint8).numpy())}"
    return told


def _flat(tensor: Tensor) -> Tensor:
    """The numbers there are, in a row, no more than a digest takes."""
    there = tensor.untyped_storage().nbytes() // tensor.element_size() - tensor.storage_offset()
    if there < tensor.numel():  # the same few over and over
        tensor = tensor.as_strided((there,), (1,))
    tensor = tensor.resolve_conj().resolve_neg()
    flat = (torch.view_as_real(tensor) if tensor.is_complex() else tensor).flatten()
    return flat[:: -(-len(flat) // _MOST_NUMBERS) or 1]


def _array_content(array: np.ndarray) -> str:
    told = f"{array.dtype} {array.shape}"
    if array.dtype.hasobject:
        return told
    flat = array.ravel()[:: -(-array.size // _MOST_NUMBERS) or 1]
    return f"{told} {_hash(np.frombuffer(flat.tobytes(), np.uint8))}"


def _hash(content: np.ndarray) -> str:
    return sha256(content.tobytes()).hexdigest()[:16]


def _code(function: Callable[..., Any], depth: int) -> str:
    """A function by what it is made of, not by where it lies in memory."""
    if isinstance(function, partial):
        held = [function.func, function.args, function.keywords]
        return f"partial {_told(held, depth)}"
    if isinstance(function, MethodType):
        return f"method {_told(function.__func__, depth)} of {_told(function.__self__, depth)}"
    function = unwrap(function)
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType):
        defaults = _told(getattr(function, "__defaults__", None), depth)
        return f"{_digest(code)} {defaults} {_told(_captured(function), depth)}"
    if isinstance(function, type) or not hasattr(function, "__dict__"):
        return getattr(function, "__qualname__", type(function).__qualname__)
    called = getattr(type(function).__call__, "__code__", None)
    code_of_call = _digest(called) if isinstance(called, CodeType) else ""
    return f"{type(function).__qualname__} {code_of_call} {_told(vars(function), depth)}"


def _captured(function: Callable[..., Any]) -> list[Any]:
    """What a function took along from where it was made."""
    cells = getattr(function, "__closure__", None) or ()
    found = []
    for cell in cells:
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not yet assigned
            found.append(None)
    return found


@lru_cache(maxsize=4096)
def _digest(code: CodeType) -> str:
    constants = [
        _digest(held) if isinstance(held, CodeType) else _told(held) for held in code.co_consts
    ]
    told = f"{code.co_names} {code.co_freevars} {constants}".encode()
    return sha256(code.co_code + told).hexdigest()[:16]
