"""What happens to an image before the network sees it, so that it must work in many positions.

A transform is frozen data, called as ``transform(images, generators)`` with one generator per
image. Geometric transforms that stand next to each other become one warp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from captum_blocks.errors import InvalidArgument, WrongType

Generators = Sequence[torch.Generator]


class Transform:
    """(n, channel, y, x) -> (n, channel, y, x); subclasses are frozen dataclasses.

    >>> class Mirror(Transform):
    ...     def __call__(self, images, generators):
    ...         return images.flip(-1)
    >>> Mirror()(torch.tensor([[[[1.0, 2.0]]]]), [])
    tensor([[[[2., 1.]]]])
    """

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """The transformed images; random numbers come from each image's own generator."""
        raise NotImplementedError

    def at(self, progress: float) -> Transform:
        """The transform as it is at some part of the way, 0 to 1; most never change."""
        return self


class Geometric(Transform):
    """A transform that moves pixels: an affine map from places in its output to its input.

    Places are (x, y) in pixels, counted from the middle of the picture.
    """

    draws: ClassVar[int] = 0
    grow: int = 0

    def matrix(self, uniform: Tensor) -> Tensor:
        """Random numbers (n, draws) in [0, 1) -> matrices (n, 3, 3)."""
        raise NotImplementedError

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """The moved images."""
        return warp([self], images, generators)


@dataclass(frozen=True)
class Jitter(Geometric):
    """Shift by up to ``pixels`` in any direction.

    >>> Jitter(8)(torch.rand(2, 3, 32, 32), [torch.Generator(), torch.Generator()]).shape
    torch.Size([2, 3, 32, 32])
    """

    pixels: float
    draws: ClassVar[int] = 2

    def matrix(self, uniform: Tensor) -> Tensor:
        """A translation."""
        shift = (uniform * 2 - 1) * self.pixels
        matrices = torch.eye(3).repeat(len(uniform), 1, 1)
        matrices[:, :2, 2] = shift
        return matrices


@dataclass(frozen=True)
class Scale(Geometric):
    """Enlarge by a factor between ``smallest`` and ``largest``.

    >>> Scale(0.5, 0.5).matrix(torch.zeros(1, 1))[0].diagonal()
    tensor([2., 2., 1.])
    """

    smallest: float = 0.9
    largest: float = 1.1
    draws: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 < self.smallest <= self.largest:
            raise InvalidArgument(
                f"Scale({self.smallest:g}, {self.largest:g}): "
                "give two positive factors, the smaller one first"
            )

    def matrix(self, uniform: Tensor) -> Tensor:
        """The inverse of the enlargement: output places -> input places."""
        factor = self.smallest + uniform[:, 0] * (self.largest - self.smallest)
        return torch.diag_embed(torch.stack([1 / factor, 1 / factor, torch.ones_like(factor)], 1))


@dataclass(frozen=True)
class Rotate(Geometric):
    """Turn by up to ``degrees`` either way.

    >>> Rotate(90).matrix(torch.ones(1, 1))[0, :2, :2].round().int()
    tensor([[ 0, -1],
            [ 1,  0]], dtype=torch.int32)
    """

    degrees: float = 10.0
    draws: ClassVar[int] = 1

    def matrix(self, uniform: Tensor) -> Tensor:
        """A rotation."""
        angle = torch.deg2rad((uniform[:, 0] * 2 - 1) * self.degrees)
        matrices = torch.eye(3).repeat(len(uniform), 1, 1)
        matrices[:, 0, 0] = matrices[:, 1, 1] = angle.cos()
        matrices[:, 1, 0] = angle.sin()
        matrices[:, 0, 1] = -angle.sin()
        return matrices


@dataclass(frozen=True)
class Pad(Geometric):
    """Show the picture with ``pixels`` of grey around it; a negative number cuts its edges off.

    >>> Pad(12)(torch.rand(1, 3, 32, 32), [torch.Generator()]).shape
    torch.Size([1, 3, 56, 56])
    """

    pixels: int

    def __post_init__(self) -> None:
        if not isinstance(self.pixels, int):
            raise WrongType(f"Pad({self.pixels!r}): give a whole number of pixels")

    @property
    def grow(self) -> int:  # type: ignore[override]
        """How much larger the picture becomes; negative: smaller."""
        return 2 * self.pixels

    def matrix(self, uniform: Tensor) -> Tensor:
        """Nothing moves."""
        return torch.eye(3).repeat(len(uniform), 1, 1)


@dataclass(frozen=True)
class RandomCrop(Geometric):
    """Enlarge a random square of the picture to its full size.

    Attributes:
        largest: side of the square at the first step, as a part of the picture's.
        smallest: at the last step.

    >>> RandomCrop(0.5, 0.1).at(0.5).largest
    0.3
    """

    largest: float = 0.5
    smallest: float = 0.05
    draws: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not 0 < self.smallest <= self.largest <= 1:
            raise InvalidArgument(
                f"RandomCrop({self.largest:g}, {self.smallest:g}): "
                "give two parts of the picture in (0, 1], the larger one first"
            )

    def at(self, progress: float) -> Transform:
        """A crop of one size, between the first and the last."""
        now = self.largest + progress * (self.smallest - self.largest)
        return RandomCrop(now, now)

    def matrix(self, uniform: Tensor) -> Tensor:
        """A reduction; where it goes is in ``placed``, which knows the picture's size."""
        return torch.diag(torch.tensor([self.largest, self.largest, 1.0])).repeat(
            len(uniform), 1, 1
        )

    def placed(self, uniform: Tensor, height: int, width: int) -> Tensor:
        """The matrices (n, 3, 3) of crops that stay within the picture."""
        matrices = self.matrix(uniform)
        room = torch.tensor([width, height]) * (1 - self.largest) / 2
        matrices[:, :2, 2] = (uniform * 2 - 1) * room
        return matrices


GREY = 0.5


def warp(transforms: Sequence[Geometric], images: Tensor, generators: Generators) -> Tensor:
    """Apply geometric transforms in order, resampling once; what comes from outside is grey."""
    draws = [transform.draws for transform in transforms]
    uniform = torch.stack([torch.rand(sum(draws), generator=g) for g in generators])
    n, channels, height, width = images.shape
    grow, matrix = 0, torch.eye(3)
    for transform, part in zip(transforms, uniform.split(draws, 1), strict=True):
        if isinstance(transform, RandomCrop):
            matrix = matrix @ transform.placed(part, height + grow, width + grow)
        else:
            matrix = matrix @ transform.matrix(part)
        grow += transform.grow
    out_height, out_width = height + grow, width + grow
    if min(out_height, out_width) < 1:
        raise InvalidArgument(
            f"Pad({grow // 2}) leaves nothing of a picture of {height}x{width} pixels; cut off less"
        )
    # affine_grid counts in half-sizes: output places are stretched to pixels, input places back.
    theta = matrix[:, :2] * torch.tensor([[2 / width], [2 / height]])
    theta = theta * torch.tensor([out_width / 2, out_height / 2, 1.0])
    grid = F.affine_grid(
        theta.to(images), [n, channels, out_height, out_width], align_corners=False
    )
    return F.grid_sample(images - GREY, grid, align_corners=False).add_(GREY)


def apply(transforms: Sequence[Transform], images: Tensor, generators: Generators) -> Tensor:
    """All transforms in order, neighbouring geometric ones as one warp."""
    for geometric, group in groupby(transforms, lambda t: isinstance(t, Geometric)):
        members = list(group)
        if geometric:
            images = warp(members, images, generators)  # type: ignore[arg-type]
        else:
            for member in members:
                images = member(images, generators)
    return images
