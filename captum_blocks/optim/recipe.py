"""Everything but the objective that decides what a picture looks like, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.optim.filters import Given, resolve
from captum_blocks.optim.grids import Cppn, LaplacianPyramid, Pixel
from captum_blocks.optim.images import Parameterization
from captum_blocks.optim.objectives import is_built_in, stored
from captum_blocks.optim.spectra import Fourier, Maco, Shared
from captum_blocks.optim.transforms import Transform

VERSION = 4
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
    keep_best: bool = False
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.n_steps < 1:
            raise InvalidArgument(f"n_steps is {self.n_steps}; a picture needs at least 1 step")
        if min(self.height_width) < 1:
            raise InvalidArgument(f"size is {self.size}; give a positive number of pixels")
        if self.patience is not None and self.patience < 1:
            raise InvalidArgument(f"patience is {self.patience}; give at least 1 step")
        if isinstance(self.optimizer, str) and self.optimizer not in OPTIMIZERS:
            raise InvalidArgument(
                f"optimizer {self.optimizer!r} is none of {', '.join(OPTIMIZERS)}"
            )
        _ = self.painter, self.robustness  # raise here where a name is unknown

    @property
    def height_width(self) -> tuple[int, int]:
        """The size as (height, width)."""
        if isinstance(self.size, int):
            return (self.size, self.size)
        height, width = self.size
        return (int(height), int(width))

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

    @property
    def robustness(self) -> tuple[Transform, ...]:
        """The transforms meant."""
        return resolve(self.transforms)

    def make_optimizer(self, parameters: list[Tensor]) -> torch.optim.Optimizer:
        """The optimizer meant, for these parameters."""
        chosen = self.optimizer or "nadam"
        make = OPTIMIZERS[chosen] if isinstance(chosen, str) else chosen
        rate = self.painter.learning_rate if self.learning_rate is None else self.learning_rate
        return make(parameters, lr=rate)

    def to_data(self) -> dict[str, Any] | None:
        """JSON data that determines the recipe; None where it holds a Python callable."""
        data: dict[str, Any] = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("schedule", "photo", "transforms")
        }
        data["version"] = VERSION
        data["size"] = self.height_width
        data["parameterization"] = describe(self.painter)
        data["photo"] = None if self.photo is None else stored(self.photo).to_data()
        data["transforms"] = [describe(transform) for transform in self.robustness]
        unknown = callable(self.optimizer) or self.schedule is not None
        if unknown or data["parameterization"] is None or None in data["transforms"]:
            return None
        return data


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
