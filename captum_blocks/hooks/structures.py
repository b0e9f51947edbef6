"""The tensors in what a module takes or returns, by the way to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from captum_blocks.errors import UnusableLayer
from captum_blocks.wrappers import QUANTIZED

Path = tuple[str, ...]


def tensors_in(output: Any) -> dict[Path, Tensor]:
    """The tensors in what a module returned, by the way to them.

    Tuples and lists count their elements, mappings and dataclasses name them.

    >>> import torch
    >>> list(tensors_in({"map": torch.ones(1), "pair": (None, torch.ones(2))}))
    [('map',), ('pair', '1')]
    """
    if isinstance(output, Tensor):
        return {(): output}
    found = {}
    for key, part in _parts(output):
        for path, tensor in tensors_in(part).items():
            deeper = (str(key), *path)
            found[deeper] = tensor
    return found


def _parts(output: Any) -> Iterable[tuple[Any, Any]]:
    """The named or numbered elements of a structure; none of anything else."""
    if isinstance(output, Mapping):
        return list(output.items())
    if is_dataclass(output) and not isinstance(output, type):
        return [(field.name, getattr(output, field.name)) for field in fields(output)]
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return list(zip(output._fields, output, strict=True))
    return list(enumerate(output)) if isinstance(output, (tuple, list)) else []


def element(output: Any, name: str | int, owner: str) -> tuple[Path, Tensor]:
    """One tensor of what a module returned, by name or index, dotted where it lies deeper.

    Raises:
        UnusableLayer: there is no such tensor; those there are, with their shapes, are named.

    >>> import torch
    >>> element((torch.ones(2), {"x": torch.ones(3)}), "1.x", "the layer")[1].shape
    torch.Size([3])
    """
    found = tensors_in(output)
    for path, tensor in found.items():
        if path and ".".join(path) == str(name):
            return path, tensor
    raise UnusableLayer(f"{owner} returns no element {str(name)!r}; it returns {described(output)}")


def described(output: Any) -> str:
    """What a module returned, in words: the shapes of its tensors and what they are called.

    >>> import torch
    >>> described({"logits": torch.ones(1, 3)})
    "dict with 'logits' (1, 3)"
    """
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    named = [f"{'.'.join(path)!r} {tuple(t.shape)}" for path, t in tensors_in(output).items()]
    return type(output).__name__ + (f" with {', '.join(named)}" if named else "")


def first_tensor(output: Any, name: str) -> Tensor:
    """The tensor a layer returned, or the first one of a tuple, list, mapping or dataclass.

    Raises:
        UnusableLayer: there is no tensor in the output, or one of quantized numbers.
    """
    for tensor in tensors_in(output).values():
        if tensor.is_quantized:
            raise UnusableLayer(QUANTIZED.format(f"layer {name!r}"))
        return tensor
    raise UnusableLayer(f"layer {name!r} returns {type(output).__name__}, not a tensor")


def with_first_tensor(output: Any, tensor: Tensor) -> Any:
    """``output`` with its first tensor exchanged for ``tensor``."""
    return exchanged(output, next(iter(tensors_in(output))), tensor)


def exchanged(output: Any, path: Path, tensor: Tensor) -> Any:
    """``output`` with the tensor at a path exchanged; the structure given is left alone.

    >>> import torch
    >>> exchanged((1, [torch.ones(2), 2]), ("1", "0"), torch.zeros(1))
    (1, [tensor([0.]), 2])
    """
    if not path:
        return tensor
    key, part = next((key, part) for key, part in _parts(output) if str(key) == path[0])
    changed = exchanged(part, path[1:], tensor)
    if isinstance(output, MutableMapping) or is_dataclass(output):
        made = copy(output)
        if isinstance(made, MutableMapping):
            made[key] = changed
        else:
            object.__setattr__(made, key, changed)
        return made
    if isinstance(output, Mapping):
        return type(output)({**output, key: changed})  # type: ignore[call-arg]
    if hasattr(output, "_fields"):
        return output._replace(**{key: changed})
    items = list(output)
    items[key] = changed
    return type(output)(items)


def copied(given: Any) -> Any:
    """A structure with every tensor in it exchanged for a copy, through which gradients go.

    >>> import torch
    >>> x = torch.ones(2)
    >>> _ = copied((x, {"scale": 2}))[0].zero_()
    >>> x
    tensor([1., 1.])
    """
    for path, tensor in tensors_in(given).items():
        given = exchanged(given, path, tensor.clone())
    return given


def rows_of(arguments: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """The arguments of several images, as the arguments of each of them.

    The first tensor counts the images; what has as many rows is divided, all else goes with each.

    >>> import torch
    >>> rows_of((torch.tensor([[1.0], [2.0]]), "rgb"))
    [(tensor([[1.]]), 'rgb'), (tensor([[2.]]), 'rgb')]
    """
    tensors = tensors_in(arguments)
    count = next((len(tensor) for tensor in tensors.values() if tensor.ndim), 1)
    rows = []
    for row in range(count):
        own: Any = arguments
        for path, tensor in tensors.items():
            if tensor.shape[:1] == (count,):
                own = exchanged(own, path, tensor[row : row + 1])
        rows.append(own)
    return rows


def together(outputs: Sequence[Any]) -> Any:
    """What a network returned for single images, as if it had returned it for all of them.

    >>> import torch
    >>> together([{"logits": torch.ones(1)}, {"logits": torch.zeros(1)}])
    {'logits': tensor([1., 0.])}
    """
    joined = outputs[0]
    if len(outputs) == 1:
        return joined
    parts = [tensors_in(output) for output in outputs]
    for path, first in parts[0].items():
        each = [part[path] for part in parts if path in part]
        joined = exchanged(joined, path, torch.cat(each) if first.ndim else torch.stack(each))
    return joined
