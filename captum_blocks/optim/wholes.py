"""Objectives of a whole layer: dream, caricature, inversion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.optim.checks import of
from captum_blocks.optim.objectives import Objective, Seen, Shape, Stored, stored


@dataclass(frozen=True)
class DeepDream(Objective):
    """Whatever a layer sees already, more of it: the mean square of its activations.

    Mordvintsev et al., Inceptionism, 2015.

    >>> DeepDream("layer3").label
    'dream of layer3'
    """

    layer: str | None = None
    lifts: ClassVar[bool] = True

    @property
    def label(self) -> str:
        """``dream`` and its layer."""
        return f"dream{of(self.layer)}"

    def score(self, seen: Seen) -> Tensor:
        """Mean over channels and positions, (n,)."""
        return seen.at(self.layer, self.lifts).square().mean((1, 2, 3))


@dataclass(frozen=True)
class TensorDirection(Objective):
    """The direction of a whole activation tensor: with one of a photograph, its caricature.

    ``dot * max(0.1, cosine) ** power`` over channels and positions together (Lucid).

    Attributes:
        target: (channel, y, x), given as a tensor and stored as frozen data.
        power: weight of the cosine.
        layer: another layer than the visualizer's, by name.

    >>> import torch
    >>> TensorDirection(torch.ones(4, 2, 2)).label
    'caricature'
    """

    target: Stored
    power: float = 1.0
    layer: str | None = None

    def __post_init__(self) -> None:
        _set_target(self)

    @property
    def label(self) -> str:
        """``caricature`` and its layer."""
        return f"caricature{of(self.layer)}"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse a target of another shape than the layer's."""
        _check_target(self.target, shapes, self.layer or default)

    def score(self, seen: Seen) -> Tensor:
        """The score, (n,)."""
        maps = seen.at(self.layer).flatten(1)
        target = self.target.like(maps).flatten()
        dot = maps @ target
        if self.power == 0:
            return dot
        cosine = dot / (maps.norm(dim=1) * target.norm()).clamp_min(1e-8)
        made: Tensor = dot * cosine.clamp_min(0.1) ** self.power
        return made


@dataclass(frozen=True)
class Inversion(Objective):
    """An image with the same activations: minus the relative squared distance to the target.

    Mahendran and Vedaldi, Understanding Deep Image Representations by Inverting Them, 2015.

    Attributes:
        target: (channel, y, x), given as a tensor and stored as frozen data.
        layer: another layer than the visualizer's, by name.

    >>> import torch
    >>> Inversion(torch.ones(4, 2, 2)).label
    'inversion'
    """

    target: Stored
    layer: str | None = None

    def __post_init__(self) -> None:
        _set_target(self)

    @property
    def label(self) -> str:
        """``inversion`` and its layer."""
        return f"inversion{of(self.layer)}"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse a target of another shape than the layer's."""
        _check_target(self.target, shapes, self.layer or default)

    def score(self, seen: Seen) -> Tensor:
        """0 where the activations are those of the target, (n,)."""
        maps = seen.at(self.layer)
        target = self.target.like(maps)
        return -(maps - target).square().sum((1, 2, 3)) / target.square().sum()


def _set_target(objective: TensorDirection | Inversion) -> None:
    target = objective.target
    target = target if isinstance(target, Stored) else stored(target)
    name = type(objective).__name__
    if len(target.shape) == 4 and target.shape[0] == 1:
        target = Stored(target.shape[1:], target.content)
    if len(target.shape) != 3:
        raise InvalidArgument(
            f"{name}: the target has shape {target.shape}; give (channel, y, x), e.g. acts[0]"
        )
    if not any(target.content):
        raise InvalidArgument(f"{name}: the target is zero")
    object.__setattr__(objective, "target", target)


def _check_target(target: Stored, shapes: Mapping[str, Shape], layer: str) -> None:
    if target.shape != tuple(shapes[layer]):
        raise InvalidArgument(
            f"a target of shape {target.shape} for layer {layer!r}, whose maps are "
            f"{tuple(shapes[layer])} at this size; take the target from a picture of the same size"
        )
