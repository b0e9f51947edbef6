"""Images held as spectra: Fourier, shared between images, and MACO's phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from captum_blocks.errors import InvalidArgument
from captum_blocks.optim.images import (
    Canvas,
    Matrix,
    Paint,
    Parameterization,
    colour_matrix,
    normal,
)
from captum_blocks.optim.objectives import Stored, stored


@dataclass(frozen=True)
class Fourier(Parameterization):
    """The spectrum of the image, scaled so that all frequencies learn equally fast.

    Attributes:
        decay: power p of the 1/f^p that a coefficient is multiplied with.
        deviation: standard deviation of the first coefficients.

    >>> image = Fourier().start(Canvas(8, 12), [torch.Generator().manual_seed(0)])
    >>> image.pixels().shape
    torch.Size([1, 3, 8, 12])
    """

    decay: float = 1.0
    deviation: float = 0.01

    def sketch(
        self, canvas: Canvas, generators: Sequence[torch.Generator], planes: Tensor | None
    ) -> tuple[list[Tensor], Paint]:
        """One spectrum per image, (n, plane, row, column, 2)."""
        scale = _spectrum_scale(canvas, self.decay)
        if planes is None:
            shape = (canvas.planes, *scale.shape[:2], 2)
            spectrum = (normal(shape, generators) * self.deviation).to(canvas.device)
        else:
            spectrum = torch.view_as_real(torch.fft.rfft2(planes, norm="ortho")) / scale
        spectrum.requires_grad_()
        return [spectrum], lambda: spectrum_planes(spectrum * scale, canvas)


@dataclass(frozen=True)
class Shared(Parameterization):
    """Images that are aligned because they share a part of their spectrum.

    Each is ``own * its spectrum + shared * sum_j mix[image][j] * shared spectrum j`` (the recipe of
    the article's activation grid, in Fourier parameters). The images of a batch depend on each
    other on purpose; what they share is drawn from the first one's generator.

    Attributes:
        own: weight of an image's own spectrum.
        shared: weight of the shared ones.
        mix: one row of weights per image; None: one spectrum that all share.
        decay: as for ``Fourier``.
        deviation: as for ``Fourier``.

    >>> generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    >>> Shared().start(Canvas(8, 8), generators).pixels().shape
    torch.Size([2, 3, 8, 8])
    """

    own: float = 0.7
    shared: float = 0.5
    mix: tuple[tuple[float, ...], ...] | None = None
    decay: float = 1.0
    deviation: float = 0.01

    def sketch(
        self, canvas: Canvas, generators: Sequence[torch.Generator], planes: Tensor | None
    ) -> tuple[list[Tensor], Paint]:
        """One spectrum per image and the shared ones.

        Raises:
            InvalidArgument: ``mix`` has not one row per image, or a photograph was given.
        """
        refuse_photo(self, planes)
        n = len(generators)
        mix = torch.tensor(self.mix if self.mix is not None else [[1.0]] * n)
        if len(mix) != n:
            raise InvalidArgument(f"Shared: mix has {len(mix)} rows for {n} images; give one each")
        own = Fourier(decay=self.decay, deviation=self.deviation)
        (spectrum,), _ = own.sketch(canvas, generators, None)
        (common,), _ = own.sketch(canvas, _descendants(generators[0], mix.shape[1]), None)
        scale = _spectrum_scale(canvas, self.decay)
        mix = mix.to(canvas.device)

        def paint() -> Tensor:
            together = torch.einsum("nj,jcyxk->ncyxk", mix, common)
            return spectrum_planes((self.own * spectrum + self.shared * together) * scale, canvas)

        return [spectrum, common], paint


@dataclass(frozen=True)
class Maco(Parameterization):
    """Natural magnitudes, and only the phases are optimized.

    Fel et al., Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained
    Optimization, 2023. The paper's crops are for a canvas of 1280 pixels: crops of an icon enlarge
    parts that no other network recognises in the whole, so the usual transforms stay.

    Attributes:
        decay: the magnitudes are 1/f^decay where no spectrum is given.
        spectrum: magnitudes (channel, height, width // 2 + 1) as ``fit_spectrum`` gives.

    >>> image = Maco().start(Canvas(8, 8), [torch.Generator().manual_seed(0)])
    >>> image.pixels().shape
    torch.Size([1, 3, 8, 8])
    """

    decay: float = 1.25
    spectrum: Stored | None = None
    learning_rate: ClassVar[float] = 0.1

    def sketch(
        self, canvas: Canvas, generators: Sequence[torch.Generator], planes: Tensor | None
    ) -> tuple[list[Tensor], Paint]:
        """One phase per coefficient.

        Raises:
            InvalidArgument: the spectrum is not of the canvas's size.
        """
        magnitude = self._magnitude(canvas)
        if planes is None:
            shape = (canvas.planes, *magnitude.shape[-2:])
            uniform = [torch.rand(*shape, generator=generator) for generator in generators]
            phase = ((torch.stack(uniform) * 2 - 1) * pi).to(canvas.device)
        else:
            phase = torch.fft.rfft2(planes).angle().contiguous()
        phase.requires_grad_()

        def paint() -> Tensor:
            spectrum = torch.polar(magnitude.expand_as(phase), phase)
            made = torch.fft.irfft2(spectrum, s=(canvas.height, canvas.width), norm="ortho")
            made = made - made.mean((2, 3), keepdim=True)
            result: Tensor = made / (made.std((1, 2, 3), keepdim=True) + 1e-4)
            return result

        return [phase], paint

    def _magnitude(self, canvas: Canvas) -> Tensor:
        scale = frequency_scale(canvas.height, canvas.width, self.decay).to(canvas.device)
        if self.spectrum is None:
            return scale
        if self.spectrum.shape != (canvas.channels, *scale.shape):
            raise InvalidArgument(
                f"Maco: a spectrum of shape {self.spectrum.shape} for {canvas.channels} channels "
                f"of {canvas.height}x{canvas.width} pixels; fit_spectrum takes that size"
            )
        fitted = self.spectrum.like(scale)
        return torch.cat([fitted, fitted[:1]])[: canvas.planes]


def fit_spectrum(
    images: Tensor,
    size: int | tuple[int, int],
    colour: Literal["imagenet"] | Matrix | None = "imagenet",
) -> Stored:
    """Mean magnitudes of one's own images, for ``Maco(spectrum=...)``.

    Args:
        images: (n, channel, y, x) in [0, 1].
        size: of the pictures that will be made, in pixels.
        colour: the axes of the ``Maco`` it is for; magnitudes are along them.

    >>> fit_spectrum(torch.rand(2, 3, 8, 8), 8).shape
    (3, 8, 5)
    """
    height, width = (size, size) if isinstance(size, int) else size
    resized = F.interpolate(
        images.float(), (height, width), mode="bilinear", antialias=True, align_corners=False
    )
    matrix = colour_matrix(colour, images.shape[1])
    planes = resized - resized.mean((2, 3), keepdim=True)
    if matrix is not None:
        planes = torch.einsum("dc,nchw->ndhw", torch.linalg.inv(matrix), planes)
    return stored(torch.fft.rfft2(planes, norm="ortho").abs().mean(0))


def _descendants(generator: torch.Generator, n: int) -> list[torch.Generator]:
    """Further generators that depend on one, which is left as it is."""
    spare = torch.Generator()
    spare.set_state(generator.get_state())
    seeds = torch.randint(2**62, (n,), generator=spare).tolist()
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def spectrum_planes(spectrum: Tensor, canvas: Canvas) -> Tensor:
    """(n, plane, row, column, 2) -> planes (n, plane, y, x)."""
    size = (canvas.height, canvas.width)
    made: Tensor = torch.fft.irfft2(torch.view_as_complex(spectrum), s=size, norm="ortho")
    return made


def _spectrum_scale(canvas: Canvas, decay: float) -> Tensor:
    """What Fourier parameters are multiplied with, (height, width // 2 + 1, 1)."""
    scale = frequency_scale(canvas.height, canvas.width, decay) / 4
    return scale.to(canvas.device)[..., None]


def frequency_scale(height: int, width: int, decay: float) -> Tensor:
    """1/f^decay for each coefficient of a real FFT, (height, width // 2 + 1).

    f is in cycles per pixel; the constant term counts as the lowest frequency.
    """
    rows = torch.fft.fftfreq(height)[:, None]
    columns = torch.fft.rfftfreq(width)[None]
    frequency = (rows.square() + columns.square()).sqrt()
    made: Tensor = frequency.clamp_min(1 / max(height, width)).pow(-decay)
    return made


def refuse_photo(parameterization: Parameterization, planes: Tensor | None) -> None:
    """For those that cannot hold a given picture."""
    if planes is not None:
        raise InvalidArgument(
            f"{type(parameterization).__name__} cannot start from a photo; "
            "use Fourier, Pixel, LaplacianPyramid or Maco"
        )
