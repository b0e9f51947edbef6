"""From a photograph to what a network takes, explicit and reversible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from captum_blocks.errors import InvalidArgument, WrongType

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


class FromTransforms:
    """Any torchvision-like transform (picture -> tensor) as preprocessing.

    Its normalisation is read off by sending a black and a white picture through it, and what part
    of a photograph it sees by sending pictures whose brightness tells the place.
    """

    def __init__(self, transforms: Callable[[Any], Tensor]) -> None:
        self.transforms = transforms
        black, white = (self(Image.new("RGB", (256, 256), shade)) for shade in ("black", "white"))
        self.shape: tuple[int, int] = (black.shape[-2], black.shape[-1])
        self.channels = int(black.shape[1])
        middle = (..., self.shape[0] // 2, self.shape[1] // 2)
        self._offset = black[middle][0]
        self._gain = white[middle][0] - self._offset

    def __call__(self, picture: Image.Image) -> Tensor:
        """A PIL picture -> (1, channel, height, width)."""
        with torch.random.fork_rng():
            tensor = self.transforms(picture)
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise WrongType(
                f"the preprocessing gives {type(tensor).__name__}, not a float tensor; "
                "does it end in ToTensor or ToDtype(scale=True)?"
            )
        return tensor if tensor.ndim == 4 else tensor[None]

    def normalise(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1], (..., channel, height, width), as the network takes them."""
        gain, offset = (stat.to(pixels)[:, None, None] for stat in (self._gain, self._offset))
        return pixels * gain + offset

    def extent(self, size: tuple[int, int]) -> Extent:
        """Where the network's input lies on a (width, height) photograph.

        Top, left, bottom, right as fractions of the photograph.
        """
        resize = getattr(self.transforms, "resize_size", None)
        if resize:
            crop = Preprocess(self.shape, fit="crop", resize=min(resize))
            return crop.extent(size)
        top, bottom = self._ramped(size, rows=True)
        left, right = self._ramped(size, rows=False)
        return (top, left, bottom, right)

    def _ramped(self, size: tuple[int, int], rows: bool) -> tuple[float, float]:
        """Where the input begins and ends along one axis, read off a ramp of brightness."""
        width, height = size
        side = height if rows else width
        ramp = (np.arange(side) + 0.5) / side
        shades = np.broadcast_to(ramp[:, None] if rows else ramp, (height, width))
        picture = Image.fromarray((shades * 255).round().astype(np.uint8)).convert("RGB")
        seen = ((self(picture)[0] - self._offset[:, None, None]) / self._gain[:, None, None]).mean(
            0
        )
        # Along the middle: beside it there may be bars, which hold no place.
        line = seen[:, seen.shape[1] // 2] if rows else seen[seen.shape[0] // 2]
        return _ends(line.numpy())


def _ends(line: np.ndarray) -> tuple[float, float]:
    """Where a ramp, seen through a crop, a resize or bars, begins and ends.

    Raises:
        InvalidArgument: it falls: the picture is mirrored.
    """
    places = np.linspace(0, len(line) - 1, min(len(line), 33)).round().astype(int)
    steps = np.diff(line[places]) / np.diff(places)
    moving = steps[np.abs(steps) > 1e-4]
    if not len(moving):  # too small to tell
        return (0.0, 1.0)
    usual = float(np.median(moving))
    if usual < 0:
        raise InvalidArgument(
            "the preprocessing mirrors the picture, so nothing could be drawn at its place; give "
            "the transforms that are used for evaluation"
        )
    # Flat bars and the jumps at their edges are no part of the ramp.
    ramp = np.flatnonzero((steps > 0.5 * usual) & (steps < 2 * usual))
    inside = places[ramp[0] : ramp[-1] + 2] if len(ramp) > 1 else places
    slope, start = np.polyfit(inside + 0.5, line[inside], 1)
    return _snapped(float(start)), _snapped(float(start + slope * len(line)))


def _snapped(edge: float) -> float:
    """An edge of the photograph where it is one, up to what eight bits can tell."""
    return next((whole for whole in (0.0, 1.0) if abs(edge - whole) < 0.01), edge)


def preprocessing(
    given: Preprocess | Callable[[Any], Tensor] | None,
) -> Preprocess | FromTransforms | None:
    """What a network's preprocessing was given as, in a form that can be asked.

    >>> preprocessing(None) is None
    True
    """
    return given if given is None or isinstance(given, Preprocess) else FromTransforms(given)
