"""What an image is while it is optimized: planes of unbounded numbers, and colours made of them.

A parameterization is frozen data; ``start`` makes the tensors an optimizer moves and a function
from them to pixels. Which one is chosen decides which pictures are near (Olah et al., Feature
Visualization, 2017; Mordvintsev et al., Differentiable Image Parameterizations, 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from captum_blocks.errors import InvalidArgument

# Square root of the colour covariance of ImageNet, from Lucid's recipe; columns are its axes.
IMAGENET_COLOUR = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
CPU = torch.device("cpu")
DARKEST = 0.02

Matrix = tuple[tuple[float, ...], ...]
Paint = Callable[[], Tensor]


@dataclass(frozen=True)
class Canvas:
    """What is painted on.

    Attributes:
        height: in pixels.
        width: in pixels.
        channels: colour channels.
        alpha: whether one more channel says how opaque each pixel is.
        device: where the image lives.
    """

    height: int
    width: int
    channels: int = 3
    alpha: bool = False
    device: torch.device = CPU

    @property
    def planes(self) -> int:
        """Colour channels and alpha."""
        return self.channels + self.alpha


@dataclass(frozen=True, eq=False)
class Image:
    """Images in the making.

    Attributes:
        parameters: the tensors an optimizer moves.
        pixels: () -> (n, channel, y, x) in [0, 1], differentiable.
    """

    parameters: list[Tensor]
    pixels: Paint


@dataclass(frozen=True)
class Parameterization:
    """How an image is held.

    Attributes:
        colour: axes that colours are mixed from: ``"imagenet"`` (three channels only; others are
            left alone), a square matrix as ``fit_colour`` gives, or None.

    >>> from captum_blocks.optim import Fourier, Pixel
    >>> isinstance(Fourier(), Parameterization), Pixel(colour=None).colour
    (True, None)
    """

    colour: Literal["imagenet"] | Matrix | None = field(default="imagenet", kw_only=True)
    learning_rate: ClassVar[float] = 0.1

    def start(
        self, canvas: Canvas, generators: Sequence[torch.Generator], photo: Tensor | None = None
    ) -> Image:
        """One image per generator, drawn from it or started from a photograph.

        Args:
            canvas: what is painted on.
            generators: one per image.
            photo: (channel, y, x) or (n, channel, y, x) in [0, 1]; resized to the canvas.

        Raises:
            InvalidArgument: the photograph or the colours do not have the canvas's channels.
        """
        matrix = colour_matrix(self.colour, canvas.channels)
        planes = None
        if photo is not None:
            planes = _photo_planes(photo, canvas, len(generators), matrix)
        parameters, paint = self.sketch(canvas, generators, planes)
        return Image(parameters, lambda: to_colours(paint(), canvas, matrix))

    def sketch(
        self, canvas: Canvas, generators: Sequence[torch.Generator], planes: Tensor | None
    ) -> tuple[list[Tensor], Paint]:
        """The tensors to move and the planes (n, canvas.planes, y, x) they make.

        Args:
            canvas: what is painted on.
            generators: one per image.
            planes: what to start from, (n, canvas.planes, y, x); None: noise.
        """
        raise NotImplementedError


def normal(shape: Sequence[int], generators: Sequence[torch.Generator]) -> Tensor:
    """Standard normal numbers, (len(generators), *shape), each row from its own generator."""
    return torch.stack([torch.randn(*shape, generator=generator) for generator in generators])


def to_colours(planes: Tensor, canvas: Canvas, matrix: Tensor | None) -> Tensor:
    """Unbounded planes (n, plane, y, x) -> colours, and alpha, in [0, 1]."""
    if matrix is None:
        return planes.sigmoid()
    # Not einsum, which would bring the batch behind the channels and copy all planes.
    flat = planes[:, : canvas.channels].flatten(2)
    colours: Tensor = (matrix.to(planes) @ flat).unflatten(2, planes.shape[2:])
    if canvas.alpha:
        colours = torch.cat([colours, planes[:, canvas.channels :]], 1)
    made: Tensor = colours.sigmoid()
    return made


def colour_matrix(colour: Literal["imagenet"] | Matrix | None, channels: int) -> Tensor | None:
    """Colour axes as columns, (channel, channel), the longest of length 1; None: no mixing.

    Raises:
        InvalidArgument: the matrix is of another number of channels.
    """
    if colour is None or (colour == "imagenet" and channels != 3):
        return None
    matrix = torch.tensor(IMAGENET_COLOUR if colour == "imagenet" else colour)
    if matrix.shape != (channels, channels):
        raise InvalidArgument(
            f"colours of shape {tuple(matrix.shape)} for {channels} channels; "
            f"fit them on images of {channels} channels"
        )
    result: Tensor = matrix / matrix.norm(dim=0).max()
    return result


def fit_colour(images: Tensor) -> Matrix:
    """The colour axes of one's own images: the square root of their colour covariance.

    Args:
        images: (n, channel, y, x) in [0, 1].

    Returns:
        A matrix for the ``colour`` of any parameterization.

    >>> fit_colour(torch.rand(2, 1, 8, 8))[0][0] > 0
    True
    """
    flat = images.detach().to("cpu", torch.float64).transpose(0, 1).flatten(1)
    centred = flat - flat.mean(1, keepdim=True)
    values, vectors = torch.linalg.eigh(centred @ centred.T / flat.shape[1])
    axes = vectors * values.clamp_min(1e-8).sqrt()
    # Largest axis first and pointing to white, so that equal images give equal matrices.
    axes = axes.flip(1) * torch.where(axes.flip(1).sum(0) < 0, -1.0, 1.0)
    return tuple(tuple(row) for row in axes.tolist())


def _photo_planes(photo: Tensor, canvas: Canvas, n: int, matrix: Tensor | None) -> Tensor:
    """A photograph as the planes that make it, (n, canvas.planes, y, x)."""
    photo = photo.detach().to(canvas.device, torch.float32)
    photo = photo[None] if photo.ndim == 3 else photo
    if photo.ndim != 4 or photo.shape[1] != canvas.channels or photo.shape[0] not in (1, n):
        raise InvalidArgument(
            f"a photo of shape {tuple(photo.shape)} for {n} images of {canvas.channels} channels; "
            f"give (channel, y, x) or ({n}, channel, y, x) in [0, 1]"
        )
    size = (canvas.height, canvas.width)
    if photo.shape[2:] != size:
        photo = F.interpolate(photo, size, mode="bilinear", antialias=True, align_corners=False)
    planes = photo.clamp(DARKEST, 1 - DARKEST).logit()
    if matrix is not None:
        planes = torch.einsum("dc,nchw->ndhw", torch.linalg.inv(matrix).to(planes), planes)
    if canvas.alpha:
        opaque = torch.full_like(planes[:, :1], 1 - DARKEST).logit()
        planes = torch.cat([planes, opaque], 1)
    return planes.expand(n, -1, -1, -1)
