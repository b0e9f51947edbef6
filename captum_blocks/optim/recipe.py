"""Everything but the objective that decides what a picture looks like, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.optim import images
from captum_blocks.optim.transforms import Transform, resolve

VERSION = 1
Optimizer = Callable[..., torch.optim.Optimizer]
OPTIMIZERS: dict[str, Optimizer] = {"adam": torch.optim.Adam, "nadam": torch.optim.NAdam}


@dataclass(frozen=True)
class Recipe:
    """How pictures are made; the arguments are those of ``FeatureVisualizer.visualize``."""

    size: int | tuple[int, int] = 128
    n_steps: int = 256
    seed: int = 0
    parameterization: str | images.Parameterization = "fourier"
    transforms: str | Transform | Sequence[Transform] = "robust"
    optimizer: str | Optimizer | None = None
    learning_rate: float | None = None
    channels: int = 3

    def __post_init__(self) -> None:
        if self.n_steps < 1:
            raise InvalidArgument(f"n_steps is {self.n_steps}; a picture needs at least 1 step")
        if min(self.height_width) < 1:
            raise InvalidArgument(f"size is {self.size}; give a positive number of pixels")
        if isinstance(self.optimizer, str) and self.optimizer not in OPTIMIZERS:
            raise InvalidArgument(
                f"optimizer {self.optimizer!r} is none of {', '.join(OPTIMIZERS)}"
            )
        _ = self.painter, self.robustness  # raise here where a name is unknown

    @property
    def height_width(self) -> tuple[int, int]:
        """The size as (height, width)."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def painter(self) -> images.Parameterization:
        """The parameterization meant."""
        return images.parameterization(self.parameterization)

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
        if callable(self.optimizer):
            return None
        data = {
            "version": VERSION,
            "size": self.height_width,
            "n_steps": self.n_steps,
            "seed": self.seed,
            "parameterization": describe(self.painter),
            "transforms": [describe(transform) for transform in self.robustness],
            "optimizer": self.optimizer,
            "learning_rate": self.learning_rate,
            "channels": self.channels,
        }
        described = [data["parameterization"], *data["transforms"]]  # type: ignore[misc]
        return None if None in described else data


def describe(config: Any) -> dict[str, Any] | None:
    """A frozen dataclass as JSON data; None where it holds something that is not data."""
    if not is_dataclass(config):
        return None
    data = {field.name: getattr(config, field.name) for field in fields(config)}
    if any(not _is_json(value) for value in data.values()):
        return None
    return {"type": type(config).__name__, **data}


def _is_json(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_json(item) for item in value)
    return value is None or isinstance(value, (str, int, float, bool))
