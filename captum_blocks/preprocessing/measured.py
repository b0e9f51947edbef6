"""Anybody's transforms as preprocessing: measured by pictures, not believed by an attribute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from captum_blocks.errors import BlocksError, InvalidArgument, WrongType
from captum_blocks.preprocessing import lights, places
from captum_blocks.preprocessing.declared import WHOLE, Extent, Preprocess
from captum_blocks.preprocessing.feeding import (
    HOW_TO_WRAP,
    TENSORS,
    Feed,
    as_picture,
    tensor_of,
    undisturbed,
)
from captum_blocks.preprocessing.lights import Light

Array = np.ndarray[Any, np.dtype[Any]]
MOST_BANDS = 32
# Deviation of what a textured picture becomes: below and above it, another unit was meant.
PLAUSIBLE = (0.02, 80.0)
# Pictures it is asked by: the first ones, to learn how it takes any; and the others.
SMALL = 64
SIDE = 256
# How far a measured edge may be from that of a usual fit, which is then the exact one.
NEAR = 0.012


class FromTransforms:
    """Any torchvision-like transform (picture -> tensor) as preprocessing.

    It is asked by pictures. Whether it takes PIL pictures or tensors is tried; where on a
    photograph the network looks is read off pictures that tell their places, and how brightness
    is normalised off uniform ones, checked by textured ones. A transform that standardises each
    picture by itself (z-score, min-max) is recognised.

    Args:
        transforms: takes a PIL picture, or a tensor (channel, y, x) of whole numbers up to 255 or
            of floats; gives a float tensor, alone or as ``"pixel_values"``.

    Attributes:
        shape: (height, width) of the network's input.
        channels: how many the network takes.

    Raises:
        WrongType: it takes no picture, or gives no float tensor.
        InvalidArgument: it is made for other units than a picture's.

    >>> def halved(picture):
    ...     pixels = np.array(picture.resize((8, 8)), np.float32)
    ...     return torch.from_numpy(pixels).movedim(2, 0) / 127.5
    >>> found = FromTransforms(halved)
    >>> found.extent((40, 20)), found.normalise(torch.ones(3, 1, 1)).flatten().tolist()
    ((0.0, 0.0, 1.0, 1.0), [2.0, 2.0, 2.0])
    """

    def __init__(self, transforms: Callable[[Any], Any]) -> None:
        self.transforms = transforms
        self._feed, self._bands = _feed_of(transforms)
        picture = lights.TEXTURES[0].picture((SIDE, SIDE), self._bands)
        self._still = _is_still(self._sees, picture)
        seen = self._sees(picture)
        self.channels = int(seen.shape[0])
        self.shape: tuple[int, int] = (seen.shape[1], seen.shape[2])
        self._extents: dict[tuple[int, int], Extent] = {}
        self._guess = lights.fixed(self._sees, self._bands)
        self._light = self._checked_light() if self._still else None

    def __call__(self, picture: Image.Image) -> Tensor:
        """A PIL picture -> (1, channel, height, width)."""
        if self._feed is as_picture:
            return self._asked(picture)
        pixels = np.asarray(picture.convert("L" if self._bands == 1 else "RGB"))
        return self.bands(pixels[:, :, None] if pixels.ndim == 2 else pixels)

    def bands(self, pixels: Array) -> Tensor:
        """(height, width, band) uint8 -> (1, channel, height, width).

        Raises:
            InvalidArgument: another number of bands than the transforms take.
        """
        if pixels.shape[2] != self._bands:
            raise InvalidArgument(
                f"a picture of {pixels.shape[2]} bands, and a preprocessing for {self._bands}"
            )
        return self._asked(self._feed(pixels))

    def normalise(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1], (..., channel, height, width), as the network takes them.

        Raises:
            InvalidArgument: what the transforms do is not known, so it cannot be done to pixels.
        """
        self._check_still()
        if self._light is None:
            raise InvalidArgument(
                "the preprocessing changes pictures in a way that is neither one shift and scale "
                "for all nor a z-score or min-max of each picture, so pictures cannot be made for "
                f"the network through it; {HOW_TO_WRAP}, or Preprocess(...) for icons and ready "
                "tensors as pictures"
            )
        return self._light(pixels)

    @property
    def note(self) -> str:
        """What a page has to say of it; empty where all pictures are treated alike."""
        return "" if self._light is None else self._light.note

    def extent(self, size: tuple[int, int]) -> Extent:
        """Where the network's input lies on a (width, height) photograph.

        Top, left, bottom, right as fractions of the photograph.

        Raises:
            InvalidArgument: the picture is mirrored, turned, or its place cannot be told.
        """
        self._check_still()
        if size not in self._extents:
            self._extents[size] = self._measured(size)
        return self._extents[size]

    def _check_still(self) -> None:
        if not self._still:
            raise InvalidArgument(
                "the preprocessing draws at random: the same picture becomes another tensor each "
                "time, so nothing could be drawn at its place; give the transforms that are used "
                "for evaluation"
            )

    def _asked(self, given: Any) -> Tensor:
        with undisturbed():
            return tensor_of(self.transforms(given))

    def _sees(self, pixels: Array) -> Tensor:
        return self._asked(self._feed(pixels))[0]

    def _checked_light(self) -> Light | None:
        try:
            top, left, bottom, right = self.extent((SIDE, SIDE))
            # Of this size the photograph is as large as the network's view of it: no resampling.
            rows, columns = self.shape
            size = (round(columns / (right - left)), round(rows / (bottom - top)))
            # Bars of so many pixels leave little of a small photograph.
            return self._light_at(size) or self._light_at((SIDE, SIDE))
        except BlocksError:  # nothing is drawn at its place, which is said where it is wanted
            return self._guess

    def _light_at(self, size: tuple[int, int]) -> Light | None:
        found = lights.trials(self._sees, self._bands, size, self.extent(size))
        return lights.explaining(found, self._guess)

    def _measured(self, size: tuple[int, int]) -> Extent:
        width, height = size
        shape = self._sees(np.zeros((height, width, self._bands), np.uint8)).shape[1:]
        known = self._guess is not None
        edges = []
        for pixels, side, vertical in ((shape[0], height, True), (shape[1], width, False)):
            edges.append(places.ends(self._lines(size, vertical), pixels, side, known))
        (top, bottom), (left, right) = edges
        return _exact((top, left, bottom, right), size, (shape[0], shape[1]))

    def _lines(self, size: tuple[int, int], vertical: bool) -> places.Sees:
        """How a photograph looks whose brightness changes along one side only."""
        width, height = size

        def sees(brightness: Array) -> tuple[Array, Array]:
            shades = (brightness * 255).round().astype(np.uint8)
            plane = shades[:, None, None] if vertical else shades[None, :, None]
            picture = np.broadcast_to(plane, (height, width, self._bands)).copy()
            flat = self._brightness(self._sees(picture))
            down, across = flat[:, flat.shape[1] // 2], flat[flat.shape[0] // 2]
            return (down, across) if vertical else (across, down)

        return sees

    def _brightness(self, seen: Tensor) -> Array:
        """(channel, y, x) as the network takes it -> (y, x), in [0, 1] where that is known."""
        if self._guess is None:
            return np.asarray(seen[int(seen.flatten(1).std(1).argmax())].double())
        strongest = int(self._guess.gain.abs().argmax())
        made = (seen[strongest] - self._guess.offset[strongest]) / self._guess.gain[strongest]
        return np.asarray(made.double())


def _feed_of(transforms: Callable[[Any], Any]) -> tuple[Feed, int]:
    """How the transforms want a picture, and of how many bands.

    Raises:
        WrongType: in no way that is known.
        InvalidArgument: they take it, and are made for other units.
    """
    refused: list[Exception] = []
    for bands in (3, 1, 2, *range(4, MOST_BANDS + 1)):
        picture = lights.TEXTURES[0].picture((SMALL, SMALL), bands)
        deviation = None
        for feed in (as_picture, *TENSORS) if bands == 3 else TENSORS:
            try:
                deviation = _deviation(transforms, feed, picture)
            except BlocksError as error:
                if feed is as_picture:
                    raise
                refused.append(error)
            except Exception as error:
                refused.append(error)
            else:
                if feed is as_picture or PLAUSIBLE[0] < deviation < PLAUSIBLE[1]:
                    return feed, bands
        if deviation is not None:
            raise InvalidArgument(_OTHER_UNITS.format(deviation))
    raise WrongType(
        f"the preprocessing takes no picture, neither a PIL picture nor a tensor: "
        f"{_first_line(refused[0])}; {HOW_TO_WRAP}"
    ) from refused[0]


_OTHER_UNITS = (
    "the preprocessing takes tensors in units of its own, such as reflectances, and no pictures: "
    "one of whole numbers up to 255 becomes numbers that differ by {:.2g}. Give ready tensors, "
    "x = transforms(values)[None], to a network without preprocess=, or Preprocess(size, mean, "
    "std) for bands of whole numbers up to 255"
)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _deviation(transforms: Callable[[Any], Any], feed: Feed, picture: Array) -> float:
    """How much the numbers differ that a picture becomes.

    Raises:
        BlocksError: it becomes nothing that a network could take.
    """
    with undisturbed(0):
        made = transforms(feed(picture))
    if isinstance(made, Image.Image):  # what is for tensors often hands pictures on as they are
        raise TypeError("it gives a PIL picture, not a tensor")
    seen, bands = tensor_of(made), picture.shape[2]
    if seen.shape[1] not in (1, bands):
        raise InvalidArgument(
            f"the preprocessing gives {seen.shape[1]} channels for a picture of {bands}; "
            f"{HOW_TO_WRAP}"
        )
    return float(seen.std())


def _is_still(sees: Callable[[Array], Tensor], picture: Array) -> bool:
    """False of transforms for training, which make another tensor of a picture each time."""
    drawn = []
    for seed in range(6):
        with undisturbed(seed):
            drawn.append(sees(picture))
    return all(
        again.shape == drawn[0].shape and torch.allclose(again, drawn[0], 1e-3, 1e-4, True)
        for again in drawn
    )


def _exact(found: Extent, size: tuple[int, int], shape: tuple[int, int]) -> Extent:
    """The extent of the usual fit that a measured one is, up to what eight bits can tell."""
    pixels = (found[2] - found[0]) * size[1] / shape[0]  # of the photograph, for one of the input
    resize = max(1, round(min(size) / pixels))
    usual = (
        WHOLE,
        Preprocess(shape, fit="crop", resize=resize).extent(size),
        Preprocess(shape, fit="letterbox").extent(size),
    )
    for extent in usual:
        if max(abs(a - b) for a, b in zip(found, extent, strict=True)) < NEAR:
            return extent
    top, left, bottom, right = (_snapped(edge) for edge in found)
    return (top, left, bottom, right)


def _snapped(edge: float) -> float:
    """An edge of the photograph where it is one."""
    return next((whole for whole in (0.0, 1.0) if abs(edge - whole) < NEAR), edge)
