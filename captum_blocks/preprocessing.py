"""From a photograph to what a network takes, explicit and reversible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from captum_blocks.errors import InvalidArgument, WrongType

Extent = tuple[float, float, float, float]
WHOLE: Extent = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Preprocess:
    """From a photograph to what a network takes, explicit and reversible.

    Attributes:
        size: side of the network's input in pixels, or (height, width).
        mean, std: of the normalisation, one number a channel, for pixels in [0, 1].
        fit: ``"stretch"`` shows the network the whole photograph, ``"crop"`` resizes its shorter
            side to ``resize`` and takes the centre.
        resize: shorter side before the crop; ``size`` unless given.

    >>> Preprocess(size=8).extent((100, 50))
    (0.0, 0.0, 1.0, 1.0)
    """

    size: int | tuple[int, int] = 224
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    fit: Literal["stretch", "crop"] = "stretch"
    resize: int | None = None

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise InvalidArgument(f"an input of {self.size} pixels cannot be made")
        if len(self.mean) != len(self.std) or not self.mean:
            raise InvalidArgument(f"{len(self.mean)} means and {len(self.std)} deviations")
        if self.fit not in ("stretch", "crop"):
            raise InvalidArgument(f"fit={self.fit!r} is neither 'stretch' nor 'crop'")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the network's input."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def __call__(self, picture: Image.Image) -> Tensor:
        """An RGB picture -> (1, channel, height, width)."""
        height, width = self.shape
        top, left, bottom, right = self.extent(picture.size)
        across, down = picture.size
        box = (left * across, top * down, right * across, bottom * down)
        picture = picture.convert("L" if len(self.mean) == 1 else "RGB").resize(
            (width, height), Image.Resampling.BICUBIC, box=box
        )
        pixels = torch.from_numpy(np.array(picture, dtype=np.float32) / 255)
        pixels = pixels[None, None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)[None]
        return self.normalise(pixels).contiguous()

    def normalise(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1], (..., channel, height, width), as the network takes them."""
        mean, std = (pixels.new_tensor(stat)[:, None, None] for stat in (self.mean, self.std))
        return (pixels - mean) / std

    def extent(self, size: tuple[int, int]) -> Extent:
        """What part of a (width, height) photograph the network sees: top, left, bottom, right."""
        if self.fit == "stretch":
            return WHOLE
        width, height = size
        rows, columns = self.shape
        scale = (self.resize or min(self.shape)) / min(width, height)
        tall, wide = rows / (height * scale), columns / (width * scale)
        shrink = max(tall, wide, 1.0)  # a crop larger than the photograph is cut down to it
        tall, wide = tall / shrink, wide / shrink
        return ((1 - tall) / 2, (1 - wide) / 2, (1 + tall) / 2, (1 + wide) / 2)


class FromTransforms:
    """Any torchvision-like transform (picture -> tensor) as preprocessing.

    Its normalisation is read off by sending a black and a white picture through it. What part of a
    photograph it sees is known for torchvision's own classification presets (resize, centre crop).
    """

    def __init__(self, transforms: Callable[[Any], Tensor]) -> None:
        self.transforms = transforms
        black, white = (self(Image.new("RGB", (256, 256), shade)) for shade in ("black", "white"))
        self.shape: tuple[int, int] = (black.shape[-2], black.shape[-1])
        self._offset = black.mean((0, 2, 3))
        self._gain = white.mean((0, 2, 3)) - self._offset

    def __call__(self, picture: Image.Image) -> Tensor:
        """A PIL picture -> (1, channel, height, width)."""
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
        """What part of a (width, height) photograph the network sees."""
        resize = getattr(self.transforms, "resize_size", None)
        if not resize:
            return WHOLE
        crop = Preprocess(self.shape, fit="crop", resize=min(resize))
        return crop.extent(size)
