"""What an image is to maximise: one score per image, as an algebra of frozen data.

Built-in objectives are hashable dataclasses of JSON scalars, so a picture can be found again by
what it shows. ``+ - * /`` combine them with each other and with numbers; a list of objectives is a
batch of independent images; ``copies`` and the objectives that compare images couple some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from captum_blocks.errors import InvalidArgument, WrongType

INPUT = "input"
# How much of what is above the ceiling of a ReLU6 counts while a picture is made.
THROUGH_CEILING = 0.25
ALPHA = "input:alpha"
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Seen:
    """What an objective may look at.

    Attributes:
        maps: activations by layer name, (n, channel, y, x).
        image: the pixels before any transform, (n, channel, y, x) in [0, 1].
        layer: the layer meant where an objective names none.
        reference: the maps of the photograph under the same transforms, where one is compared to.
        balance: how much a comparison counts, (n,).
        ceilings: of maps that end with a ReLU6 whose ceiling was taken off, by layer name.
    """

    maps: Mapping[str, Tensor]
    image: Tensor
    layer: str
    reference: Mapping[str, Tensor] = field(default_factory=dict)
    balance: Tensor | float = 1.0
    ceilings: Mapping[str, float] = field(default_factory=dict)

    def balanced(self, balance: Tensor) -> Seen:
        """The same with another balance."""
        return replace(self, balance=balance)

    def at(
        self,
        layer: str | None,
        lifted: bool = False,
        pick: Callable[[Tensor], Tensor] = lambda maps: maps,
    ) -> Tensor:
        """The maps of a layer, of the default layer (None) or the pixels (``"input"``).

        Args:
            layer: its name.
            lifted: with a soft ceiling in place of that of a ReLU6 that the layer ends with.
            pick: takes the units wanted, so that only they are worked on.
        """
        if layer == INPUT:
            return pick(self.image)
        name = layer or self.layer
        ceiling, maps = self.ceilings.get(name), pick(self.maps[name])
        if ceiling is None:
            return maps
        # Not clamp: a rectifier can be redirected where it blocks the whole gradient.
        return _softened(maps, ceiling) if lifted else F.hardtanh(maps, 0.0, ceiling)


def _softened(maps: Tensor, ceiling: float) -> Tensor:
    """A ceiling that lets some through: what is more than enough counts, but less than what lacks.

    With none at all a picture excites few places ever more; with a hard one it stops at the first
    weak resemblance everywhere.
    """
    return torch.where(maps > ceiling, ceiling + THROUGH_CEILING * (maps - ceiling), maps)


class Objective:
    """One score per image, larger is better.

    Attributes:
        lifts: whether it asks for ever more of a unit, and therefore sees a layer that ends with a
            ReLU6 with a soft ceiling while a picture is made: a unit at its ceiling gives no
            gradient. Whatever compares activations, or measures them, sees them as they are.

    >>> from captum_blocks.optim.units import Channel
    >>> (Channel(3) - 0.5 * Channel(4)).label
    'channel 3 - 0.5 channel 4'
    """

    lifts: ClassVar[bool] = False

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

    @classmethod
    def together(cls, objectives: Sequence[Any]) -> Objective | None:
        """One objective that scores image i by objective i, for speed; None: there is none.

        Args:
            objectives: all of this class and for one image each.
        """
        return None

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
            shapes: (channel, y, x) by layer name, ``"input"`` included, and ``"input:alpha"``
                where pictures have an alpha channel.
            default: the layer meant where an objective names none.

        Raises:
            InvalidArgument: a channel or position that the layer does not have.
        """
        for part in self.parts():
            part.check(shapes, default)

    def to_data(self) -> dict[str, Any] | None:
        """JSON data that determines the objective; None where Python code of one's own does."""
        if not is_built_in(self):
            return None
        data: dict[str, Any] = {"type": type(self).__name__}
        for name, value in zip((f.name for f in fields(self)), self._values(), strict=True):  # type: ignore[arg-type]
            if callable(value):
                return None
            data[name] = value.to_data() if hasattr(value, "to_data") else value
            if value is not None and data[name] is None:
                return None
        return data

    def copies(self, n: int) -> Objective:
        """The same objective for ``n`` images that start from different noise.

        >>> from captum_blocks.optim.units import Channel
        >>> (Channel(3).copies(4) + Channel(5)).n_images
        4
        """
        return Copies(self, n)

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, one.name) for one in fields(self))  # type: ignore[arg-type]

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
        layer: another layer than the visualizer's; ``"input"``: the pixels in [0, 1], also where
            the network has a module of that name, which is ``".input"``.

    Raises:
        WrongType: ``function`` cannot be called.

    >>> from captum_blocks.optim.units import Channel
    >>> (Channel(0) + 0.1 * objective(lambda a: a.mean((1, 2, 3)), name="warm")).label
    'channel 0 + 0.1 warm'
    """
    if not callable(function):
        raise WrongType(
            f"objective() takes a function of activations, not {type(function).__name__}"
        )
    return Function(function, name or str(getattr(function, "__name__", "objective")), layer)


@dataclass(frozen=True)
class Stored:
    """A tensor as frozen data: equal where its numbers are.

    >>> stored([1.0, 2.0]) == stored(torch.tensor([1.0, 2.0]))
    True
    """

    shape: tuple[int, ...]
    content: bytes

    def like(self, other: Tensor) -> Tensor:
        """The tensor, on the device and of the type of another."""
        return _tensor(self, other.device, other.dtype)

    def to_data(self) -> dict[str, Any]:
        """Its shape and a hash of its numbers."""
        return {"shape": self.shape, "sha256": sha256(self.content).hexdigest()}


def stored(values: Tensor | Iterable[Any]) -> Stored:
    """A tensor, or nested sequences of numbers, as frozen data."""
    tensor = torch.as_tensor(values).detach().to("cpu", torch.float32).contiguous()
    return Stored(tuple(tensor.shape), tensor.numpy().tobytes())


@lru_cache(maxsize=64)
def _tensor(values: Stored, device: torch.device, dtype: torch.dtype) -> Tensor:
    flat = torch.frombuffer(bytearray(values.content), dtype=torch.float32)
    return flat.reshape(values.shape).to(device, dtype)


def all_parts(objective: Objective) -> list[Objective]:
    """An objective and all it is made of, at any depth."""
    return [objective, *(deeper for part in objective.parts() for deeper in all_parts(part))]


def is_built_in(value: object) -> bool:
    """Whether what a class does is known from its name: code of one's own may change under it.

    >>> is_built_in(stored([1.0])), is_built_in(len)
    (True, False)
    """
    return type(value).__module__.startswith("captum_blocks.")


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
