"""Ways to hold an image while it is optimized.

A parameterization is frozen data; ``start`` makes the tensors an optimizer moves and a function
from them to pixels. Which one is chosen decides which pictures are near: in Fourier space with
decorrelated colours all frequencies learn equally fast (Olah et al., Feature Visualization, 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument

# Square root of the colour covariance of ImageNet, from Lucid's recipe; columns are its axes.
IMAGENET_COLOUR = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Canvas:
    """What is painted on: pixels of ``channels`` numbers, ``height`` by ``width``, on a device."""

    height: int
    width: int
    channels: int = 3
    device: torch.device = CPU


@dataclass(frozen=True, eq=False)
class Image:
    """Images in the making.

    Attributes:
        parameters: the tensors an optimizer moves; the first axis counts images.
        pixels: () -> (n, channel, y, x) in [0, 1], differentiable.
    """

    parameters: list[Tensor]
    pixels: Callable[[], Tensor]


class Parameterization:
    """How an image is held; subclasses are frozen dataclasses."""

    learning_rate: ClassVar[float] = 0.1

    def start(self, canvas: Canvas, generators: Sequence[torch.Generator]) -> Image:
        """One image per generator, each drawn from its own."""
        raise NotImplementedError


@dataclass(frozen=True)
class Fourier(Parameterization):
    """The spectrum of the image, scaled so that all frequencies learn equally fast.

    Attributes:
        decay: power p of the 1/f^p that a coefficient is multiplied with.
        deviation: standard deviation of the first coefficients.
        decorrelate: whether colours are mixed by the ImageNet matrix (three channels only).

    >>> image = Fourier().start(Canvas(8, 12), [torch.Generator().manual_seed(0)])
    >>> image.pixels().shape
    torch.Size([1, 3, 8, 12])
    """

    decay: float = 1.0
    deviation: float = 0.01
    decorrelate: bool = True

    def start(self, canvas: Canvas, generators: Sequence[torch.Generator]) -> Image:
        """One spectrum per generator."""
        size = (canvas.height, canvas.width)
        scale = frequency_scale(*size, self.decay).to(canvas.device)[..., None]
        shape = (canvas.channels, *scale.shape[:2], 2)
        spectrum = (normal(shape, generators) * self.deviation).to(canvas.device).requires_grad_()

        def pixels() -> Tensor:
            planes = torch.fft.irfft2(torch.view_as_complex(spectrum * scale), s=size, norm="ortho")
            return to_colours(planes / 4, self.decorrelate)

        return Image([spectrum], pixels)


def normal(shape: Sequence[int], generators: Sequence[torch.Generator]) -> Tensor:
    """Standard normal numbers, (len(generators), *shape), each row from its own generator."""
    return torch.stack([torch.randn(*shape, generator=generator) for generator in generators])


def frequency_scale(height: int, width: int, decay: float) -> Tensor:
    """1/f^decay for each coefficient of a real FFT, (height, width // 2 + 1).

    f is in cycles per pixel; the constant term counts as the lowest frequency.
    """
    rows = torch.fft.fftfreq(height)[:, None]
    columns = torch.fft.rfftfreq(width)[None]
    frequency = (rows.square() + columns.square()).sqrt()
    return frequency.clamp_min(1 / max(height, width)) ** -decay


def to_colours(planes: Tensor, decorrelate: bool) -> Tensor:
    """Unbounded planes (n, channel, y, x) -> colours in [0, 1]."""
    if decorrelate and planes.shape[1] == 3:
        planes = torch.einsum("dc,nchw->ndhw", colour_matrix().to(planes), planes)
    return planes.sigmoid()


def colour_matrix() -> Tensor:
    """Decorrelated colour axes -> RGB, (3, 3), the longest axis of length 1."""
    matrix = torch.tensor(IMAGENET_COLOUR)
    return matrix / matrix.norm(dim=0).max()


PARAMETERIZATIONS: dict[str, Parameterization] = {"fourier": Fourier()}


def parameterization(given: str | Parameterization) -> Parameterization:
    """A parameterization by name, or the one given.

    Raises:
        InvalidArgument: no parameterization has that name.
    """
    if isinstance(given, Parameterization):
        return given
    if given not in PARAMETERIZATIONS:
        raise InvalidArgument(
            f"parameterization {given!r} is none of {', '.join(PARAMETERIZATIONS)}"
        )
    return PARAMETERIZATIONS[given]
