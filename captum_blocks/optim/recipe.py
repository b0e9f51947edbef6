"""Everything but the objective that decides what a picture looks like, as data."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, is_dataclass
from inspect import Parameter, signature
from operator import index
from typing import Any

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.optim.accentuation import accentuation_in
from captum_blocks.optim.filters import Given, resolve
from captum_blocks.optim.grids import Cppn, LaplacianPyramid, Pixel
from captum_blocks.optim.images import Parameterization
from captum_blocks.optim.naming import OUTPUT
from captum_blocks.optim.objectives import Objective, is_built_in, stored
from captum_blocks.optim.spectra import Fourier, Maco, Shared
from captum_blocks.optim.transforms import Transform

VERSION = 7
ROUNDING = 1e-4
Optimizer = Callable[..., torch.optim.Optimizer]
Schedule = Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]

OPTIMIZERS: dict[str, Optimizer] = {
    "adam": torch.optim.Adam,
    "nadam": torch.optim.NAdam,
    "sgd": torch.optim.SGD,
}
PARAMETERIZATIONS: dict[str, Parameterization] = {
    "fourier": Fourier(),
    "pixel": Pixel(),
    "laplacian": LaplacianPyramid(),
    "cppn": Cppn(),
    "shared": Shared(),
    "maco": Maco(),
}


@dataclass(frozen=True)
class NAdam:
    """NAdam with its memories told, as data: what is made with it can be kept and found again.

    Each step sees another view of the picture. A short memory of how large gradients are lets
    parts learn fast that have only now begun to matter.

    Attributes:
        gradient: how much of the mean gradient stays from step to step.
        square: how much of its mean square.

    >>> NAdam(square=0.95)([torch.zeros(2, requires_grad=True)], lr=0.1).defaults["betas"]
    (0.9, 0.95)
    """

    gradient: float = 0.9
    square: float = 0.999

    def __post_init__(self) -> None:
        if not (0 <= self.gradient < 1 and 0 <= self.square < 1):
            raise InvalidArgument(
                f"NAdam({self.gradient:g}, {self.square:g}): give two numbers from 0 to below 1"
            )

    def __call__(self, parameters: list[Tensor], lr: float) -> torch.optim.Optimizer:
        """The optimizer of some parameters."""
        return torch.optim.NAdam(parameters, lr=lr, betas=(self.gradient, self.square))


@dataclass(frozen=True, eq=False)
class Recipe:
    """How pictures are made; the arguments are those of ``FeatureVisualizer.visualize``."""

    size: int | tuple[int, int] = 128
    n_steps: int = 256
    seed: int = 0
    parameterization: str | Parameterization = "fourier"
    transforms: Given = "robust"
    optimizer: str | Optimizer | None = None
    learning_rate: float | None = None
    schedule: Schedule | None = None
    channels: int = 3
    alpha: bool = False
    photo: Tensor | None = None
    normalize_gradient: bool = False
    average: bool = True
    keep_best: bool = False
    patience: int | None = None

    def __post_init__(self) -> None:
        for name in ("n_steps", "seed", "channels", "patience"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _whole(name, value))
        object.__setattr__(self, "size", _sides(self.size))
        if self.n_steps < 1:
            raise InvalidArgument(f"n_steps is {self.n_steps}; a picture needs at least 1 step")
        if self.channels < 1:
            raise InvalidArgument(f"channels is {self.channels}; a picture has at least 1")
        if self.patience is not None and self.patience < 1:
            raise InvalidArgument(f"patience is {self.patience}; give at least 1 step")
        if self.learning_rate is not None and not self.learning_rate >= 0:
            raise InvalidArgument(f"learning_rate is {self.learning_rate}; give at least 0")
        if self.photo is not None:
            _check_photo(self.photo)
        if isinstance(self.optimizer, str) and self.optimizer not in OPTIMIZERS:
            raise InvalidArgument(
                f"optimizer {self.optimizer!r} is none of {', '.join(OPTIMIZERS)}"
            )
        _ = self.painter, resolve(self.transforms)  # raise here where a name is unknown

    @property
    def height_width(self) -> tuple[int, int]:
        """The size as (height, width)."""
        return self.size if isinstance(self.size, tuple) else (self.size, self.size)

    @property
    def painter(self) -> Parameterization:
        """The parameterization meant."""
        given = self.parameterization
        if isinstance(given, Parameterization):
            return given
        if given not in PARAMETERIZATIONS:
            raise InvalidArgument(
                f"parameterization {given!r} is none of {', '.join(PARAMETERIZATIONS)}"
            )
        return PARAMETERIZATIONS[given]

    def seen_through(self, objective: Objective, layer: str) -> tuple[Transform, ...]:
        """The transforms meant for an objective.

        What compares a picture with a photograph sees both in the same light.

        Args:
            objective: what looks.
            layer: the layer meant where it names none.
        """
        compares = accentuation_in(objective) is not None
        of_answer = OUTPUT in objective.layers(layer) and not compares
        return resolve(self.transforms, of_answer)

    def make_optimizer(self, parameters: list[Tensor]) -> torch.optim.Optimizer:
        """The optimizer meant, for these parameters.

        Raises:
            InvalidArgument: it asks for the score again within a step, as LBFGS does.
        """
        chosen = self.optimizer or "nadam"
        make = OPTIMIZERS[chosen] if isinstance(chosen, str) else chosen
        rate = self.painter.learning_rate if self.learning_rate is None else self.learning_rate
        made = make(parameters, lr=rate)
        closure = signature(made.step).parameters.get("closure")
        if closure is not None and closure.default is Parameter.empty:
            raise InvalidArgument(
                f"{type(made).__name__} asks for the score several times a step, and each picture "
                f"is seen once; give another optimizer, e.g. {', '.join(OPTIMIZERS)}"
            )
        return made

    def to_data(self, transforms: tuple[Transform, ...]) -> dict[str, Any] | None:
        """JSON data that determines the recipe; None where it holds a Python callable.

        Args:
            transforms: those meant, as ``seen_through`` gives them.
        """
        data: dict[str, Any] = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("schedule", "photo", "transforms")
        }
        data["version"] = VERSION
        data["size"] = self.height_width
        data["parameterization"] = describe(self.painter)
        if callable(self.optimizer):
            data["optimizer"] = describe(self.optimizer)
        data["photo"] = None if self.photo is None else stored(self.photo).to_data()
        data["transforms"] = [describe(transform) for transform in transforms]
        known = None not in (data["parameterization"], *data["transforms"])
        told = self.optimizer is None or data["optimizer"] is not None
        return data if known and told and self.schedule is None else None


def snapshot_steps(snapshots: Collection[int], n_steps: int) -> frozenset[int]:
    """After which steps to keep a copy of the images.

    Raises:
        InvalidArgument: a run has no such step.
        WrongType: not a collection of whole numbers.

    >>> sorted(snapshot_steps([2, 4], n_steps=4))
    [2, 4]
    """
    if not isinstance(snapshots, Collection) or isinstance(snapshots, str):
        raise WrongType(f"snapshots is {snapshots!r}; give numbers of steps, e.g. snapshots=(16,)")
    steps = frozenset(_whole("a snapshot", step) for step in snapshots)
    for step in sorted(steps):
        if not 1 <= step <= n_steps:
            raise InvalidArgument(f"a snapshot after step {step} of {n_steps}; give 1 to {n_steps}")
    return steps


def _whole(name: str, value: Any) -> int:
    try:
        return index(value)
    except TypeError:
        raise WrongType(f"{name} is {value!r}; give a whole number") from None


def _sides(given: Any) -> tuple[int, int]:
    sides = tuple(given) if isinstance(given, (tuple, list)) else (given, given)
    try:
        height, width = (index(side) for side in sides)
    except (TypeError, ValueError):
        raise WrongType(
            f"size is {given!r}; give a whole number of pixels, or (height, width)"
        ) from None
    if min(height, width) < 1:
        raise InvalidArgument(f"size is {given}; give a positive number of pixels")
    return (height, width)


def _check_photo(photo: Any) -> None:
    """Refuse what is no picture in [0, 1]; clamped, it would be another picture without a word."""
    if not isinstance(photo, Tensor):
        raise WrongType(
            f"photo is of type {type(photo).__name__}; give a tensor (channel, y, x) in [0, 1]"
        )
    if not photo.is_floating_point():
        raise WrongType(f"photo is of type {photo.dtype}; give numbers in [0, 1], e.g. photo / 255")
    low, high = photo.min().item(), photo.max().item()
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        raise InvalidArgument(
            f"photo has values from {low:.3g} to {high:.3g}; give the picture in [0, 1], as it is "
            "before preprocessing"
        )


def describe(config: Any) -> dict[str, Any] | None:
    """A built-in frozen dataclass as JSON data; None where something in it is not data."""
    if not is_dataclass(config) or not is_built_in(config):
        return None
    data = {"type": type(config).__name__}
    for field in fields(config):
        value = getattr(config, field.name)
        value = value.to_data() if hasattr(value, "to_data") else value
        if not _is_json(value):
            return None
        data[field.name] = value
    return data


def _is_json(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_json(item) for item in value)
    return value is None or isinstance(value, (str, int, float, bool, dict))
