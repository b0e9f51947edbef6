"""What an image is to maximise: one score per image, as an algebra of frozen data.

Built-in objectives are hashable dataclasses of JSON scalars, so a picture can be found again by
what it shows. ``+ - * /`` combine them with each other and with numbers; a list of objectives is a
batch of independent images; ``copies`` and the objectives that compare images couple some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument, WrongType

INPUT = "input"
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Seen:
    """What an objective may look at.

    Attributes:
        maps: activations by layer name, (n, channel, y, x).
        image: the pixels before any transform, (n, channel, y, x) in [0, 1].
        layer: the layer meant where an objective names none.
    """

    maps: Mapping[str, Tensor]
    image: Tensor
    layer: str

    def at(self, layer: str | None) -> Tensor:
        """The maps of a layer, of the default layer (None) or the pixels (``"input"``)."""
        return self.image if layer == INPUT else self.maps[layer or self.layer]


class Objective:
    """One score per image, larger is better.

    >>> (Channel(3) - 0.5 * Channel(4)).label
    'channel 3 - 0.5 channel 4'
    """

    @property
    def label(self) -> str:
        """How a person would call it."""
        return type(self).__name__.lower()

    @property
    def n_images(self) -> int | None:
        """How many images it scores together; None: any number."""
        sizes = sorted({part.n_images or 0 for part in self.parts()} - {0})
        if len(sizes) > 1:
            counts = " and ".join(map(str, sizes))
            raise InvalidArgument(
                f"{self.label!r} joins objectives of {counts} images; "
                "give both the same number of copies"
            )
        return sizes[0] if sizes else None

    def score(self, seen: Seen) -> Tensor:
        """The score of each image, (n,)."""
        raise NotImplementedError

    def parts(self) -> tuple[Objective, ...]:
        """The objectives this one is made of."""
        return tuple(v for v in self._values() if isinstance(v, Objective))

    def layers(self, default: str) -> frozenset[str]:
        """The layers it looks at, ``"input"`` left out."""
        own = {getattr(self, "layer", None) or default} if hasattr(self, "layer") else set()
        return frozenset(own.union(*(part.layers(default) for part in self.parts())) - {INPUT})

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse what the layers cannot give, before any work.

        Args:
            shapes: (channel, y, x) by layer name, ``"input"`` included.
            default: the layer meant where an objective names none.

        Raises:
            InvalidArgument: a channel or position that the layer does not have.
        """
        for part in self.parts():
            part.check(shapes, default)

    def to_data(self) -> dict[str, Any] | None:
        """JSON data that determines the objective; None where it holds a Python callable."""
        data: dict[str, Any] = {"type": type(self).__name__}
        for name, value in zip((f.name for f in fields(self)), self._values(), strict=True):  # type: ignore[arg-type]
            data[name] = value.to_data() if isinstance(value, Objective) else value
            if callable(value) or (isinstance(value, Objective) and data[name] is None):
                return None
        return data

    def copies(self, n: int) -> Objective:
        """The same objective for ``n`` images that start from different noise.

        >>> (Channel(3).copies(4) + Channel(5)).n_images
        4
        """
        return Copies(self, n)

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]

    def __add__(self, other: Objective | float) -> Objective:
        return _combine("+", self, other)

    def __radd__(self, other: float) -> Objective:
        # sum() starts at 0; the objective itself keeps labels and data plain.
        return self if _is_zero(other) else _combine("+", other, self)

    def __sub__(self, other: Objective | float) -> Objective:
        return _combine("-", self, other)

    def __rsub__(self, other: float) -> Objective:
        return _combine("-", other, self)

    def __mul__(self, other: Objective | float) -> Objective:
        return _combine("*", self, other)

    def __rmul__(self, other: float) -> Objective:
        return _combine("*", other, self)

    def __truediv__(self, other: Objective | float) -> Objective:
        return _combine("/", self, other)

    def __rtruediv__(self, other: float) -> Objective:
        return _combine("/", other, self)

    def __neg__(self) -> Objective:
        return _combine("*", -1.0, self)


@dataclass(frozen=True)
class Combined(Objective):
    """Two objectives, or an objective and a number, joined by ``+ - *`` or ``/``."""

    operator: Literal["+", "-", "*", "/"]
    left: Objective | float
    right: Objective | float

    @property
    def label(self) -> str:
        """The sum or product as one would write it."""
        left, right = (_operand_label(side, self.operator) for side in (self.left, self.right))
        if self.operator == "*" and self.left == -1.0:
            return f"-{right}"
        if self.operator == "*" and not isinstance(self.left, Objective):
            return f"{left} {right}"
        return f"{left} {self.operator} {right}"

    def score(self, seen: Seen) -> Tensor:
        """The score of each image, (n,)."""
        left, right = (
            side.score(seen) if isinstance(side, Objective) else side
            for side in (self.left, self.right)
        )
        if self.operator == "+":
            return left + right  # type: ignore[return-value]
        if self.operator == "-":
            return left - right  # type: ignore[return-value]
        if self.operator == "*":
            return left * right  # type: ignore[return-value]
        return left / right  # type: ignore[return-value]


@dataclass(frozen=True)
class Copies(Objective):
    """An objective for ``n`` images at once, each with its own noise."""

    objective: Objective
    n: int

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InvalidArgument(f"{self.n} copies of {self.objective.label!r}: give at least 1")
        if self.objective.n_images not in (None, 1):
            raise InvalidArgument(
                f"{self.objective.label!r} is for {self.objective.n_images} images already; "
                "copy the single objective before combining"
            )

    @property
    def label(self) -> str:
        """The label of what is copied."""
        return self.objective.label

    @property
    def n_images(self) -> int | None:
        """How many copies there are."""
        return self.n

    def score(self, seen: Seen) -> Tensor:
        """The score of each copy, (n,)."""
        return self.objective.score(seen)


@dataclass(frozen=True)
class Channel(Objective):
    """Mean activation of one channel over its map.

    Attributes:
        channel: its index; negative counts from the end.
        layer: another layer than the visualizer's, by name.

    >>> Channel(3).label
    'channel 3'
    """

    channel: int
    layer: str | None = None

    def __post_init__(self) -> None:
        _set_integer(self, "channel")

    @property
    def label(self) -> str:
        """``channel 3``, with its layer where it is not the visualizer's."""
        return f"channel {self.channel}{_of(self.layer)}"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse a channel that the layer does not have."""
        _check_index("channel", self.channel, shapes, self.layer or default, axis=0)

    def score(self, seen: Seen) -> Tensor:
        """Mean over y and x, (n,)."""
        return seen.at(self.layer)[:, self.channel].mean((1, 2))


@dataclass(frozen=True)
class Neuron(Objective):
    """Activation of one channel at one position.

    Attributes:
        channel: its index.
        y: row of the map, counted from the top; None: the middle.
        x: column of the map, counted from the left; None: the middle.
        layer: another layer than the visualizer's, by name.

    >>> Neuron(3, y=1, x=4).label
    'channel 3 at y=1, x=4'
    """

    channel: int
    y: int | None = None
    x: int | None = None
    layer: str | None = None

    def __post_init__(self) -> None:
        for name in ("channel", "y", "x"):
            _set_integer(self, name)

    @property
    def label(self) -> str:
        """``channel 3 at y=1, x=4``."""
        return f"channel {self.channel} {_place(self.y, self.x)}{_of(self.layer)}"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse a channel or position that the layer does not have."""
        layer = self.layer or default
        _check_index("channel", self.channel, shapes, layer, axis=0)
        _check_place(self.y, self.x, shapes, layer)

    def score(self, seen: Seen) -> Tensor:
        """The activation, (n,)."""
        return _at_place(seen.at(self.layer), self.y, self.x)[:, self.channel]


@dataclass(frozen=True)
class Direction(Objective):
    """How far, and how purely, the activations point in a direction of channel space.

    Mean over positions of ``dot * max(0.1, cosine) ** power`` (Carter et al., Activation Atlas,
    2019): the dot product alone is won by large activations in other directions.

    Attributes:
        vector: one number per channel; any sequence or tensor is stored as a tuple of floats.
        power: weight of the cosine; 0 is the plain dot product.
        layer: another layer than the visualizer's, by name.

    >>> Direction([0.0, 1.0]).vector
    (0.0, 1.0)
    """

    vector: tuple[float, ...]
    power: float = 1.0
    layer: str | None = None

    def __post_init__(self) -> None:
        _set_vector(self)

    @property
    def label(self) -> str:
        """``direction`` and its layer."""
        return f"direction{_of(self.layer)}"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse a direction of another length than the layer has channels."""
        _check_vector(self.vector, shapes, self.layer or default)

    def score(self, seen: Seen) -> Tensor:
        """Mean over positions, (n,)."""
        maps = seen.at(self.layer)
        return _along(maps, as_tensor(self.vector, maps), self.power).mean((1, 2))


@dataclass(frozen=True)
class NeuronDirection(Objective):
    """``Direction`` at one position; the middle unless told.

    >>> NeuronDirection([0.0, 1.0], y=2, x=3).label
    'direction at y=2, x=3'
    """

    vector: tuple[float, ...]
    y: int | None = None
    x: int | None = None
    power: float = 1.0
    layer: str | None = None

    def __post_init__(self) -> None:
        _set_vector(self)
        _set_integer(self, "y")
        _set_integer(self, "x")

    @property
    def label(self) -> str:
        """``direction at y=2, x=3``."""
        return f"direction {_place(self.y, self.x)}{_of(self.layer)}"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse a direction or position that does not fit the layer."""
        layer = self.layer or default
        _check_vector(self.vector, shapes, layer)
        _check_place(self.y, self.x, shapes, layer)

    def score(self, seen: Seen) -> Tensor:
        """The score at the position, (n,)."""
        here = _at_place(seen.at(self.layer), self.y, self.x)[:, :, None, None]
        return _along(here, as_tensor(self.vector, here), self.power)[:, 0, 0]


@dataclass(frozen=True)
class Function(Objective):
    """A reader's own score of the captured activations; made by ``objective``.

    Attributes:
        function: (n, channel, y, x) -> (n,).
        name: its label.
        layer: which activations it is given; ``"input"``: the pixels.
    """

    function: Callable[[Tensor], Tensor]
    name: str
    layer: str | None = None

    @property
    def label(self) -> str:
        """The name it was given."""
        return self.name

    def score(self, seen: Seen) -> Tensor:
        """What the function returns, (n,).

        Raises:
            InvalidArgument: it did not return one number per image.
        """
        maps = seen.at(self.layer)
        scores = self.function(maps)
        if not isinstance(scores, Tensor) or scores.shape != (maps.shape[0],):
            got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise InvalidArgument(
                f"objective {self.name!r} returned {got} for activations of shape "
                f"{tuple(maps.shape)}; return one score per image, shape ({maps.shape[0]},)"
            )
        return scores


def objective(
    function: Callable[[Tensor], Tensor], *, name: str | None = None, layer: str | None = None
) -> Objective:
    """An objective from any function of a layer's activations.

    Args:
        function: (n, channel, y, x) -> (n,), differentiable.
        name: its label; the function's own name unless told.
        layer: another layer than the visualizer's; ``"input"``: the pixels in [0, 1].

    Raises:
        WrongType: ``function`` cannot be called.

    >>> (Channel(0) + 0.1 * objective(lambda a: a.mean((1, 2, 3)), name="warm")).label
    'channel 0 + 0.1 warm'
    """
    if not callable(function):
        raise WrongType(
            f"objective() takes a function of activations, not {type(function).__name__}"
        )
    return Function(function, name or str(getattr(function, "__name__", "objective")), layer)


@lru_cache(maxsize=256)
def _tensor(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, device=device, dtype=dtype)


def as_tensor(values: tuple[float, ...], like: Tensor) -> Tensor:
    """A stored vector as a tensor on the device and of the type of another."""
    return _tensor(values, like.device, like.dtype)


def _along(maps: Tensor, vector: Tensor, power: float) -> Tensor:
    """(n, channel, y, x) -> (n, y, x)."""
    dot = torch.einsum("nchw,c->nhw", maps, vector)
    if power == 0:
        return dot
    cosine = dot / (maps.norm(dim=1) * vector.norm()).clamp_min(1e-8)
    return dot * cosine.clamp_min(0.1) ** power


def _at_place(maps: Tensor, y: int | None, x: int | None) -> Tensor:
    """(n, channel, y, x) -> (n, channel)."""
    row = maps.shape[2] // 2 if y is None else y
    column = maps.shape[3] // 2 if x is None else x
    return maps[:, :, row, column]


def _combine(operator: Any, left: Objective | float, right: Objective | float) -> Objective:
    for side in (left, right):
        if not isinstance(side, (Objective, int, float)):
            raise WrongType(
                f"an objective is combined with numbers and objectives, not {type(side).__name__}"
            )
    combined = Combined(operator, left, right)
    _ = combined.n_images  # raises where the two sides are for different numbers of images
    return combined


def _is_zero(value: object) -> bool:
    return isinstance(value, (int, float)) and value == 0


def _operand_label(side: Objective | float, operator: str) -> str:
    if not isinstance(side, Objective):
        return f"{side:g}"
    needs_brackets = operator in "*/" and isinstance(side, Combined) and side.operator in "+-"
    return f"({side.label})" if needs_brackets else side.label


def _of(layer: str | None) -> str:
    return f" of {layer}" if layer else ""


def _place(y: int | None, x: int | None) -> str:
    if y is None and x is None:
        return "in the middle"
    return f"at y={'middle' if y is None else y}, x={'middle' if x is None else x}"


def _set_integer(objective: Objective, name: str) -> None:
    value = getattr(objective, name)
    if value is None:
        return
    try:
        object.__setattr__(objective, name, int(value.__index__()))
    except AttributeError:
        raise WrongType(
            f"{type(objective).__name__}: {name} is an integer, not {value!r}"
        ) from None


def _set_vector(objective: Objective) -> None:
    given: Iterable[Any] = objective.vector  # type: ignore[attr-defined]
    if isinstance(given, Tensor):
        given = given.detach().cpu().flatten().tolist()
    vector = tuple(float(value) for value in given)
    if not any(vector):
        raise InvalidArgument(f"{type(objective).__name__}: the vector is zero and points nowhere")
    object.__setattr__(objective, "vector", vector)


def _check_index(what: str, index: int, shapes: Mapping[str, Shape], layer: str, axis: int) -> None:
    size = shapes[layer][axis]
    if not -size <= index < size:
        raise InvalidArgument(
            f"{what} {index} of layer {layer!r}: it has {size}, so 0 to {size - 1}"
        )


def _check_place(y: int | None, x: int | None, shapes: Mapping[str, Shape], layer: str) -> None:
    for what, index, axis in (("row y =", y, 1), ("column x =", x, 2)):
        if index is not None:
            _check_index(what, index, shapes, layer, axis)


def _check_vector(vector: Sequence[float], shapes: Mapping[str, Shape], layer: str) -> None:
    if len(vector) != shapes[layer][0]:
        raise InvalidArgument(
            f"a direction of {len(vector)} numbers for layer {layer!r}, "
            f"which has {shapes[layer][0]} channels"
        )
