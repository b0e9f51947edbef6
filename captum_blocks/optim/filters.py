"""Transforms that change values, not places: noise, blur, colour, backgrounds, foreign ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.optim.images import normal
from captum_blocks.optim.transforms import (
    GREY,
    Generators,
    Jitter,
    Rotate,
    Scale,
    Transform,
)


@dataclass(frozen=True)
class Noise(Transform):
    """Add normal noise of a standard deviation.

    >>> Noise(0.1)(torch.zeros(1, 3, 4, 4), [torch.Generator()]).shape
    torch.Size([1, 3, 4, 4])
    """

    deviation: float = 0.08

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """The noisy images."""
        return images + self.deviation * normal(images.shape[1:], generators).to(images)


@dataclass(frozen=True)
class Blur(Transform):
    """Blur by a normal kernel of a standard deviation in pixels.

    >>> Blur(1.0)(torch.ones(1, 3, 8, 8), [torch.Generator()]).shape
    torch.Size([1, 3, 8, 8])
    """

    deviation: float = 1.0

    def __post_init__(self) -> None:
        if self.deviation <= 0:
            raise InvalidArgument(f"Blur({self.deviation:g}): give a positive number of pixels")

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """The blurred images."""
        reach = min(ceil(3 * self.deviation), *(side - 1 for side in images.shape[2:]))
        places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
        line = (-(places / self.deviation).square() / 2).exp()
        line = (line / line.sum()).expand(images.shape[1], 1, 1, -1)
        padded = F.pad(images, [reach] * 4, mode="reflect")
        across = F.conv2d(padded, line, groups=images.shape[1])
        return F.conv2d(across, line.transpose(2, 3), groups=images.shape[1])


@dataclass(frozen=True)
class ColourShift(Transform):
    """Brighten or darken each channel by up to ``amount``.

    >>> ColourShift(0.0)(torch.ones(1, 3, 2, 2), [torch.Generator()]).mean().item()
    1.0
    """

    amount: float = 0.1

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """The shifted images."""
        uniform = torch.stack([torch.rand(images.shape[1], generator=g) for g in generators])
        return images + ((uniform * 2 - 1) * self.amount).to(images)[:, :, None, None]


@dataclass(frozen=True)
class CollapseAlpha(Transform):
    """Lay images with an alpha channel on a background, which takes the alpha channel away.

    Attributes:
        background: ``"noise"`` (smooth, random), ``"colour"`` (one random colour) or ``"grey"``.

    >>> CollapseAlpha("grey")(torch.zeros(1, 4, 2, 2), [torch.Generator()]).unique().item()
    0.5
    """

    background: Literal["noise", "colour", "grey"] = "noise"

    def __post_init__(self) -> None:
        if self.background not in ("noise", "colour", "grey"):
            raise InvalidArgument(
                f"background {self.background!r} is none of 'noise', 'colour', 'grey'"
            )

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """(n, channel + 1, y, x) -> (n, channel, y, x)."""
        colours, alpha = images[:, :-1], images[:, -1:]
        return colours * alpha + self._behind(colours, generators) * (1 - alpha)

    def _behind(self, colours: Tensor, generators: Generators) -> Tensor:
        if self.background == "grey":
            return torch.full_like(colours, GREY)
        side = 1 if self.background == "colour" else 8
        shape = (colours.shape[1], side, side)
        drawn = torch.stack([torch.rand(*shape, generator=g) for g in generators]).to(colours)
        return F.interpolate(drawn, colours.shape[2:], mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Foreign(Transform):
    """Any callable from images to images, such as a transform of ``torchvision.transforms.v2``.

    It draws from the global generator, which is seeded for it and given back as it was; it sees the
    batch as one, so what it draws for an image depends on the others.

    >>> twice = Foreign(lambda images: images * 2)
    >>> twice(torch.ones(1, 3, 4, 4), [torch.Generator()]).max()
    tensor(2.)
    """

    function: Callable[[Tensor], Tensor]

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """What the callable returns.

        Raises:
            InvalidArgument: it does not return images of the same number and channels.
        """
        seed = int(torch.randint(2**31, (), generator=generators[0]))
        devices = [images.device] if images.is_cuda else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            done = self.function(images)
        if not isinstance(done, Tensor) or done.shape[:2] != images.shape[:2]:
            got = tuple(done.shape) if isinstance(done, Tensor) else type(done).__name__
            raise InvalidArgument(
                f"transform {self.function!r} made {got} of images of shape {tuple(images.shape)}; "
                "it must keep the batch and its channels"
            )
        return done


# Lucid's own.
NARROW: tuple[Transform, ...] = (Jitter(8), Scale(0.9, 1.1), Rotate(10.0), Jitter(4))
# A channel detects something of one size; a class is the same at any, and in any light.
WIDE: tuple[Transform, ...] = (
    Jitter(8),
    Scale(0.63, 1.17),
    Rotate(10.0),
    Jitter(4),
    ColourShift(0.1),
)
TRANSFORMS: dict[str, tuple[Transform, ...]] = {
    "robust": NARROW,
    "narrow": NARROW,
    "wide": WIDE,
    "none": (),
}
# Sets that are others for objectives of the network's answer.
OF_ANSWER = {"robust": WIDE}

Given = (
    str | Transform | Callable[[Tensor], Tensor] | Sequence[Transform | Callable[[Tensor], Tensor]]
)


def resolve(given: Given, of_answer: bool = False) -> tuple[Transform, ...]:
    """Transforms by the name of a set, one transform or callable, or a sequence of them.

    Args:
        given: ``"robust"`` is ``"narrow"`` for parts of a network and ``"wide"`` for its answer.
        of_answer: whether they are for an objective of the network's answer.

    Raises:
        InvalidArgument: no set has that name.
        WrongType: something in the sequence can transform nothing.

    >>> resolve("none")
    ()
    """
    if isinstance(given, str):
        if given not in TRANSFORMS:
            raise InvalidArgument(f"transforms {given!r} is none of {', '.join(TRANSFORMS)}")
        return OF_ANSWER.get(given, TRANSFORMS[given]) if of_answer else TRANSFORMS[given]
    members = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    return tuple(_one(member) for member in members)


def _one(member: object) -> Transform:
    if isinstance(member, Transform):
        return member
    if callable(member) and not isinstance(member, type):
        return Foreign(member)
    raise WrongType(
        f"a transform is a Transform or a callable from images to images, not {member!r}"
    )
