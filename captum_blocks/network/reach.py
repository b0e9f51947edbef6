"""How much of the picture a unit sees, followed through one forward pass.

The receptive field grows with every convolution and pooling (Dumoulin and Visin, "A guide to
convolution arithmetic for deep learning", 2016, section 5). Operations that are not known to keep
positions apart end the account: nothing is said of what comes behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]

# Positions stay apart, whatever happens to channels. Names as functions of torch have them.
ACTIVATIONS = {
    *("relu", "relu_", "relu6", "hardtanh", "hardtanh_", "hardswish", "hardswish_", "hardsigmoid"),
    *("silu", "silu_", "gelu", "sigmoid", "sigmoid_", "tanh", "leaky_relu", "leaky_relu_", "elu"),
    *("elu_", "selu", "mish", "softplus", "prelu", "clamp", "clamp_", "dropout", "dropout2d"),
}
ARITHMETIC = {
    *("add", "add_", "__add__", "__iadd__", "__radd__", "sub", "sub_", "__sub__", "mul", "mul_"),
    *("__mul__", "__imul__", "__rmul__", "div", "div_", "__truediv__", "batch_norm", "layer_norm"),
    *("local_response_norm", "linear"),
}
SHAPING = {
    *("cat", "clone", "contiguous", "detach", "to", "float", "chunk", "split", "view", "reshape"),
    *("unsqueeze", "squeeze", "__getitem__", "permute", "transpose", "pad"),
}
POINTWISE = ACTIVATIONS | ARITHMETIC | SHAPING
WINDOWS = ("max_pool2d", "avg_pool2d", "max_pool2d_with_indices")
GLOBAL = ("mean", "adaptive_avg_pool2d", "adaptive_max_pool2d", "amax")


@dataclass(frozen=True)
class Reach:
    """What one unit of a map sees.

    Attributes:
        field: (height, width) of the receptive field in input pixels.
        stride: input pixels between neighbouring units, down and across.
        axes: of the map's rows and columns, counted from the end.
        gated: whether a number made from the whole picture (squeeze and excitation) scales it.
    """

    field: Pair = (1, 1)
    stride: Pair = (1, 1)
    axes: Pair = (-2, -1)
    gated: bool = False

    def through(self, kernel: Pair, stride: Pair, dilation: Pair) -> Reach:
        """Behind a convolution or pooling window.

        >>> Reach().through((3, 3), (2, 2), (1, 1)).through((3, 3), (1, 1), (1, 1)).field
        (7, 7)
        """
        tall, wide = (
            field + (size - 1) * apart * step
            for field, size, apart, step in zip(
                self.field, kernel, dilation, self.stride, strict=True
            )
        )
        down, across = (old * step for old, step in zip(self.stride, stride, strict=True))
        return replace(self, field=(tall, wide), stride=(down, across))

    def grid(self, tensor: Tensor) -> tuple[int, ...]:
        """(rows, columns) of a tensor that is laid out so."""
        return tuple(tensor.shape[axis] for axis in self.axes)


class Reaches(TorchFunctionMode):
    """Follows what units see while a network runs inside.

    >>> import torch
    >>> picture = torch.zeros(1, 3, 8, 8)
    >>> with Reaches(picture) as reaches:
    ...     map = torch.nn.functional.max_pool2d(picture, 2)
    >>> reaches.of(map).stride
    (2, 2)
    """

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        # Tensors are kept alive: another one may get the number of one that is gone.
        self._known: dict[int, tuple[Tensor, Reach | None]] = {id(picture): (picture, Reach())}

    def of(self, tensor: Tensor) -> Reach | None:
        """What the units of a map see; None where that is not known."""
        return self._known.get(id(tensor), (tensor, None))[1]

    @staticmethod
    def aside() -> AbstractContextManager[None]:
        """What is computed meanwhile is none of the network's, and is not followed."""
        return torch._C.DisableTorchFunction()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        # A convolution's weights may look like a map.
        given = list(_tensors(args[:1] if func.__name__ == "conv2d" else args))
        if any(id(tensor) in self._known for tensor in given):
            reach = self._sources(given)
            for made in _tensors((output,)):
                behind = self._behind(func.__name__, reach, made, args, kwargs) if reach else None
                self._known[id(made)] = (made, behind)
        return output

    def _sources(self, given: list[Tensor]) -> list[tuple[Tensor, Reach]]:
        """The maps among some arguments; none where one comes from where nothing is known."""
        found: list[tuple[Tensor, Reach]] = []
        for tensor in given:
            reach = self.of(tensor)
            strange = bool(found) and _alike(tensor, found[0][0])
            if reach is not None:
                found.append((tensor, reach))
            elif id(tensor) in self._known or strange:
                return []
        return found

    def _behind(
        self,
        name: str,
        sources: list[tuple[Tensor, Reach]],
        made: Tensor,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Reach | None:
        tensor, reach = sources[0]
        if name == "conv2d":
            return _convolved(reach, args, kwargs)
        if name in WINDOWS:
            return _pooled(reach, args, kwargs)
        if name in GLOBAL:
            return _collapsed(reach, tensor, made)
        return _merged(name, sources, made, args) if name in POINTWISE else None


WHOLE: Pair = (0, 0)


def _convolved(reach: Reach, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Reach | None:
    if reach.axes != (-2, -1):
        return None
    weight = args[1] if len(args) > 1 else kwargs["weight"]
    stride = _pair(args[3] if len(args) > 3 else kwargs.get("stride", 1))
    dilation = _pair(args[5] if len(args) > 5 else kwargs.get("dilation", 1))
    return reach.through(tuple(weight.shape[-2:]), stride, dilation)


def _pooled(reach: Reach, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Reach | None:
    if reach.axes != (-2, -1):
        return None
    kernel = args[1] if len(args) > 1 else kwargs["kernel_size"]
    stride = args[2] if len(args) > 2 else kwargs.get("stride")
    return reach.through(_pair(kernel), _pair(stride or kernel), (1, 1))


def _collapsed(reach: Reach, tensor: Tensor, made: Tensor) -> Reach | None:
    """A mean over all positions sees everything; one over channels leaves positions apart."""
    if made.ndim == tensor.ndim and reach.grid(made) == reach.grid(tensor):
        return reach
    return replace(reach, field=WHOLE, stride=WHOLE)


def _merged(
    name: str, sources: list[tuple[Tensor, Reach]], made: Tensor, args: tuple[Any, ...]
) -> Reach | None:
    """Of several maps the largest field, where they have one grid and keep it."""
    local = [(t, reach) for t, reach in sources if reach.field != WHOLE]
    if not local:
        return sources[0][1]
    tensor, reach = local[0]
    if name in ("permute", "transpose"):
        return _turned(reach, tensor, made, args)
    if name == "linear" and -1 in reach.axes:
        return None
    for other, its in local:
        if its.axes != reach.axes or its.grid(other) != reach.grid(tensor):
            return None
    kept = name == "pad" or (made.ndim >= 2 and _keeps(reach, tensor, made))
    if not kept:
        return None
    return Reach(
        _largest(its.field for _, its in local),
        _largest(its.stride for _, its in local),
        reach.axes,
        any(its.gated for _, its in local) or len(local) < len(sources),
    )


def _largest(pairs: Iterable[Pair]) -> Pair:
    down, across = zip(*pairs, strict=True)
    return (max(down), max(across))


def _keeps(reach: Reach, tensor: Tensor, made: Tensor) -> bool:
    return made.ndim >= -min(reach.axes) and reach.grid(made) == reach.grid(tensor)


def _turned(reach: Reach, tensor: Tensor, made: Tensor, args: tuple[Any, ...]) -> Reach | None:
    order = args[1:] if len(args) > 2 or not args[1:] else args[1]
    order = (order,) if isinstance(order, int) else tuple(order)
    if len(order) == tensor.ndim != 2:
        places = [axis % tensor.ndim for axis in order]
    elif len(order) == 2:
        places = list(range(tensor.ndim))
        first, second = (axis % tensor.ndim for axis in order)
        places[first], places[second] = second, first
    else:
        return None
    rows, columns = (places.index(axis % tensor.ndim) - tensor.ndim for axis in reach.axes)
    return replace(reach, axes=(rows, columns))


def _alike(tensor: Tensor, other: Tensor) -> bool:
    """Whether an argument could be another map: it has as many axes, and the same grid."""
    return tensor.ndim == other.ndim > 2 and tensor.shape[-2:] == other.shape[-2:] != (1, 1)


def _pair(size: Any) -> Pair:
    if isinstance(size, int):
        return (size, size)
    found = tuple(size)
    return (found[0], found[-1])


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _tensors(value)
