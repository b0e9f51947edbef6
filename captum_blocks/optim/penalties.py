"""Costs of an image or of activations: positive numbers to subtract from an objective.

``Channel(3) - 0.1 * TotalVariation()``. They look at the pixels unless a layer is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from captum_blocks.errors import InvalidArgument
from captum_blocks.optim.checks import of
from captum_blocks.optim.objectives import ALPHA, INPUT, Objective, Seen, Shape


@dataclass(frozen=True)
class TotalVariation(Objective):
    """Mean absolute difference of vertical plus horizontal neighbours.

    >>> TotalVariation().label
    'total variation'
    """

    layer: str | None = INPUT

    @property
    def label(self) -> str:
        """``total variation``."""
        return f"total variation{_where(self.layer)}"

    def score(self, seen: Seen) -> Tensor:
        """The roughness, (n,)."""
        maps = seen.at(self.layer)
        down = (maps[:, :, 1:] - maps[:, :, :-1]).abs()
        right = (maps[:, :, :, 1:] - maps[:, :, :, :-1]).abs()
        return _mean(down) + _mean(right)


@dataclass(frozen=True)
class L1(Objective):
    """Mean absolute distance from a constant.

    >>> L1("layer2").label
    'L1 of layer2'
    """

    layer: str | None = INPUT
    constant: float = 0.0

    @property
    def label(self) -> str:
        """``L1``."""
        return f"L1{_where(self.layer)}"

    def score(self, seen: Seen) -> Tensor:
        """The mean distance, (n,)."""
        return _mean((seen.at(self.layer) - self.constant).abs())


@dataclass(frozen=True)
class L2(Objective):
    """Root of the mean squared distance from a constant; grey for the pixels of a picture is 0.5.

    >>> L2(constant=0.5).label
    'L2'
    """

    layer: str | None = INPUT
    constant: float = 0.0

    @property
    def label(self) -> str:
        """``L2``."""
        return f"L2{_where(self.layer)}"

    def score(self, seen: Seen) -> Tensor:
        """The root mean square, (n,)."""
        # The small number keeps the gradient of the root finite where nothing differs.
        return (_mean((seen.at(self.layer) - self.constant).square()) + 1e-12).sqrt()


@dataclass(frozen=True)
class Blurring(Objective):
    """What a small blur would change: the mean squared difference from the 3x3 mean.

    >>> Blurring().label
    'blurring'
    """

    layer: str | None = INPUT

    @property
    def label(self) -> str:
        """``blurring``."""
        return f"blurring{_where(self.layer)}"

    def score(self, seen: Seen) -> Tensor:
        """The mean squared change, (n,)."""
        maps = seen.at(self.layer)
        smooth = F.avg_pool2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        return _mean((maps - smooth.detach()).square())


@dataclass(frozen=True)
class Boundary(Objective):
    """Mean squared distance from grey in a border, to keep what is shown inside the picture.

    Attributes:
        width: of the border, in pixels.
        layer: another tensor than the pixels.

    >>> Boundary(8).label
    'boundary'
    """

    width: int = 5
    layer: str | None = INPUT
    constant: float = 0.5

    def __post_init__(self) -> None:
        if self.width < 1:
            raise InvalidArgument(f"a boundary of {self.width} pixels; give at least 1")

    @property
    def label(self) -> str:
        """``boundary``."""
        return f"boundary{_where(self.layer)}"

    def score(self, seen: Seen) -> Tensor:
        """The mean over the border, (n,)."""
        maps = seen.at(self.layer)
        border = torch.ones_like(maps[0, 0])
        border[self.width : -self.width, self.width : -self.width] = 0
        distance = ((maps - self.constant).square() * border).sum((2, 3)).mean(1)
        return distance / border.sum()


@dataclass(frozen=True)
class Opacity(Objective):
    """Mean of the alpha channel of a picture that has one.

    >>> Opacity().label
    'opacity'
    """

    @property
    def label(self) -> str:
        """``opacity``."""
        return "opacity"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse pictures without an alpha channel."""
        if ALPHA not in shapes:
            raise InvalidArgument("'opacity' is of pictures with an alpha channel: give alpha=True")

    def score(self, seen: Seen) -> Tensor:
        """The mean alpha, (n,)."""
        return seen.image[:, -1].mean((1, 2))


def _mean(maps: Tensor) -> Tensor:
    return maps.mean((1, 2, 3))


def _where(layer: str | None) -> str:
    return "" if layer == INPUT else of(layer)
