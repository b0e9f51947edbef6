"""Preprocessing as it is declared: size, fit and normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from captum_blocks.errors import InvalidArgument

Extent = tuple[float, float, float, float]
WHOLE: Extent = (0.0, 0.0, 1.0, 1.0)
Span = tuple[int, int]
Fit = Literal["stretch", "crop", "letterbox"]


@dataclass(frozen=True)
class Preprocess:
    """From a photograph to what a network takes, explicit and reversible.

    Attributes:
        size: side of the network's input in pixels, or (height, width).
        mean, std: of the normalisation, one number a channel, for pixels in [0, 1]. One makes the
            picture grey; other numbers than one and three read arrays of so many bands.
        fit: ``"stretch"`` shows the network the whole photograph, ``"crop"`` resizes its shorter
            side to ``resize`` and takes the centre, ``"letterbox"`` keeps its proportions and puts
            bars of the colour ``pad`` beside it.
        resize: shorter side before the crop; ``size`` unless given.
        pad: brightness of the bars, 0 to 1; the mean, which a normalised network sees as zero,
            unless given.

    >>> Preprocess(size=8).extent((100, 50))
    (0.0, 0.0, 1.0, 1.0)
    >>> Preprocess(size=8, fit="letterbox").extent((100, 50))
    (-0.5, 0.0, 1.5, 1.0)
    """

    size: int | tuple[int, int] = 224
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    fit: Fit = "stretch"
    resize: int | None = None
    pad: float | None = None

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise InvalidArgument(f"an input of {self.size} pixels cannot be made")
        if len(self.mean) != len(self.std) or not self.mean:
            raise InvalidArgument(f"{len(self.mean)} means and {len(self.std)} deviations")
        if self.fit not in get_args(Fit):
            raise InvalidArgument(f"fit={self.fit!r} is none of {', '.join(get_args(Fit))}")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the network's input."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def channels(self) -> int:
        """How many channels the network takes."""
        return len(self.mean)

    @property
    def note(self) -> str:
        """What a page has to say of it: nothing, as every picture is treated alike."""
        return ""

    def __call__(self, picture: Image.Image) -> Tensor:
        """An RGB picture -> (1, channel, height, width)."""
        pixels = np.asarray(picture.convert("L" if self.channels == 1 else "RGB"))
        return self.bands(pixels[:, :, None] if pixels.ndim == 2 else pixels)

    def bands(self, pixels: np.ndarray) -> Tensor:
        """(height, width, channel) uint8 -> (1, channel, height, width).

        Raises:
            InvalidArgument: another number of channels than the normalisation has.
        """
        if pixels.shape[2] != self.channels:
            raise InvalidArgument(
                f"a picture of {pixels.shape[2]} channels, and a mean for {self.channels}"
            )
        resized = [
            self._resized(Image.fromarray(np.ascontiguousarray(band))) for band in _bands(pixels)
        ]
        ready = self.normalise(torch.from_numpy(np.stack(resized))[None])
        return self._barred(ready, pixels.shape[:2]).contiguous()  # type: ignore[arg-type]

    def _resized(self, band: Image.Image) -> np.ndarray:
        """One band, (height, width) in [0, 1]; under the bars the photograph's edge repeats."""
        height, width = self.shape
        across, down = band.size
        top, left, bottom, right = self._inside(band.size)
        rows, columns = self._placed(band.size)
        box = (left * across, top * down, right * across, bottom * down)
        small = (columns[1] - columns[0], rows[1] - rows[0])
        made = np.asarray(band.resize(small, Image.Resampling.BICUBIC, box=box), np.float32) / 255
        edges = ((rows[0], height - rows[1]), (columns[0], width - columns[1]))
        return np.pad(made, edges, mode="edge")

    def _inside(self, size: tuple[int, int]) -> Extent:
        """The part of the photograph that is seen, inside the photograph."""
        top, left, bottom, right = self.extent(size)
        return (max(top, 0.0), max(left, 0.0), min(bottom, 1.0), min(right, 1.0))

    def _placed(self, size: tuple[int, int]) -> tuple[Span, Span]:
        """Rows and columns of the input that a photograph fills: all, but for the bars."""
        rows, columns = self.shape
        if self.fit != "letterbox":
            return (0, rows), (0, columns)
        width, height = size
        scale = min(rows / height, columns / width)
        tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (rows - tall) // 2, (columns - wide) // 2
        return (top, top + tall), (left, left + wide)

    def _barred(self, ready: Tensor, size: tuple[int, int]) -> Tensor:
        """Bars where a letterboxed picture has none of the photograph."""
        if self.fit != "letterbox":
            return ready
        grey = torch.full((self.channels, 1, 1), self.pad or 0.0)
        bars = torch.zeros(1) if self.pad is None else self.normalise(grey)
        (top, bottom), (left, right) = self._placed((size[1], size[0]))
        made = torch.ones_like(ready) * bars
        made[..., top:bottom, left:right] = ready[..., top:bottom, left:right]
        return made

    def normalise(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1], (..., channel, height, width), as the network takes them."""
        mean, std = (pixels.new_tensor(stat)[:, None, None] for stat in (self.mean, self.std))
        return (pixels - mean) / std

    def extent(self, size: tuple[int, int]) -> Extent:
        """Where the network's input lies on a (width, height) photograph.

        Top, left, bottom, right as fractions of the photograph: inside it for a crop, beyond its
        edges for a letterbox.
        """
        if self.fit == "stretch":
            return WHOLE
        rows, columns = self.shape
        if self.fit == "letterbox":
            (top, below), (left, beside) = self._placed(size)
            down, across = below - top, beside - left
            return (-top / down, -left / across, (rows - top) / down, (columns - left) / across)
        width, height = size
        scale = (self.resize or min(self.shape)) / min(width, height)
        tall, wide = rows / (height * scale), columns / (width * scale)
        shrink = max(tall, wide, 1.0)  # a crop larger than the photograph is cut down to it
        tall, wide = tall / shrink, wide / shrink
        return ((1 - tall) / 2, (1 - wide) / 2, (1 + tall) / 2, (1 + wide) / 2)


def _bands(pixels: np.ndarray) -> list[np.ndarray]:
    return [pixels[:, :, band] for band in range(pixels.shape[2])]
