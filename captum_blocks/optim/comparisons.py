"""Objectives that compare the images of a batch; couple them with ``copies``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.optim.checks import check_index, of, set_integer
from captum_blocks.optim.objectives import Objective, Seen, Shape


@dataclass(frozen=True)
class Diversity(Objective):
    """How different the images are in style: minus their mean pairwise cosine of Gram matrices.

    Olah et al., Feature Visualization, 2017, section on diversity.

    Attributes:
        layer: where the Gram matrices are taken.

    >>> Diversity("layer2").label
    'diversity of layer2'
    """

    layer: str | None = None

    @property
    def label(self) -> str:
        """``diversity`` and its layer."""
        return f"diversity{of(self.layer)}"

    def score(self, seen: Seen) -> Tensor:
        """Minus the mean cosine with each other image, (n,)."""
        flat = seen.at(self.layer).flatten(2)
        _refuse_single(self, flat.shape[0])
        gram = (flat @ flat.transpose(1, 2)).flatten(1)
        unit = gram / gram.norm(dim=1, keepdim=True).clamp_min(1e-8)
        return -_mean_of_others(unit @ unit.T)


@dataclass(frozen=True)
class Alignment(Objective):
    """How alike neighbouring images are, so that one can morph into the next.

    Minus the mean squared distance to each other image, weighted by ``decay`` per step between
    them (Mordvintsev et al., Differentiable Image Parameterizations, 2018).

    Attributes:
        layer: where distances are taken; ``"input"``: the pixels.
        decay: how much less each further neighbour counts.

    >>> Alignment().label
    'alignment of input'
    """

    layer: str | None = "input"
    decay: float = 0.5

    @property
    def label(self) -> str:
        """``alignment`` and its layer."""
        return f"alignment{of(self.layer)}"

    def score(self, seen: Seen) -> Tensor:
        """Minus the weighted mean distance, (n,)."""
        flat = seen.at(self.layer).flatten(1)
        n = flat.shape[0]
        _refuse_single(self, n)
        distance = (flat[:, None] - flat[None]).square().mean(2)
        place = torch.arange(n, device=flat.device)
        weight = self.decay ** (place[:, None] - place[None]).abs().to(flat)
        return -_mean_of_others(distance * weight)


@dataclass(frozen=True)
class ChannelInterpolation(Objective):
    """``n`` images on the way from one channel to another.

    Image i maximises ``(1 - i/(n-1)) * first + i/(n-1) * second``; add ``Alignment()`` to keep
    neighbours alike.

    Attributes:
        first: channel of the first image.
        second: channel of the last image.
        n: how many images.
        layer: another layer than the visualizer's, by name.

    >>> (ChannelInterpolation(3, 5, n=4) + 0.1 * Alignment()).n_images
    4
    """

    first: int
    second: int
    n: int = 5
    layer: str | None = None
    lifts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("first", "second", "n"):
            set_integer(self, name)
        if self.n < 2:
            raise InvalidArgument(f"an interpolation of {self.n} images; give at least 2")

    @property
    def label(self) -> str:
        """``channels 3 to 5``."""
        return f"channels {self.first} to {self.second}{of(self.layer)}"

    @property
    def n_images(self) -> int | None:
        """How many images there are on the way, both ends included."""
        return self.n

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse a channel that the layer does not have."""
        for channel in (self.first, self.second):
            check_index("channel", channel, shapes, self.layer or default, axis=0)

    def score(self, seen: Seen) -> Tensor:
        """The mixed activation, (n,)."""
        maps = seen.at(self.layer, self.lifts).mean((2, 3))
        way = torch.linspace(0, 1, self.n, device=maps.device, dtype=maps.dtype)
        return (1 - way) * maps[:, self.first] + way * maps[:, self.second]


def _mean_of_others(pairs: Tensor) -> Tensor:
    """(n, n) -> mean over all entries of a row but the diagonal, (n,)."""
    return (pairs.sum(1) - pairs.diagonal()) / (len(pairs) - 1)


def _refuse_single(objective: Objective, n: int) -> None:
    if n < 2:
        raise InvalidArgument(
            f"{objective.label!r} compares images and there is one; "
            "couple several, e.g. Channel(3).copies(4) + Diversity()"
        )
