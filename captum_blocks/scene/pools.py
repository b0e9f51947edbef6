"""What many marks share and name: photographs, icons and numbers on a grid over a photograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from captum_blocks.errors import InvalidArgument

Pairs = tuple[tuple[str, str], ...]
# The grey of a picture that is not there yet.
BLANK = 200


@dataclass(frozen=True, eq=False)
class Photo:
    """The photograph the page is about.

    Attributes:
        pixels: (height, width, 3) uint8.
        name: what to call it, e.g. its file name.
        seen: (top, left, bottom, right) of what the network saw of it, as fractions.
        whole: (height, width, 3) uint8, a small picture of all that it is a part of; None where it
            is all.
    """

    pixels: np.ndarray
    name: str
    seen: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    whole: np.ndarray | None = None

    def __post_init__(self) -> None:
        _check_pixels(self.pixels, self.name)


@dataclass(frozen=True, eq=False)
class Sprite:
    """An icon: a small square picture that stands for a channel, a group or a direction.

    Attributes:
        pixels: (side, side, 3) uint8.
        label: its name, e.g. ``"bn2 : 1034"``.
        details: what is told when it is enlarged, e.g. (("objective", "channel 1034"),).
        drawn: False while it is being drawn: its pixels are blank.

    >>> Sprite.blank(8, "bn2 : 1034").drawn
    False
    """

    pixels: np.ndarray
    label: str
    details: Pairs = ()
    drawn: bool = True

    @classmethod
    def blank(cls, side: int, label: str) -> Sprite:
        """The place of one that is being drawn."""
        return cls(np.full((side, side, 3), BLANK, np.uint8), label, drawn=False)

    def __post_init__(self) -> None:
        _check_pixels(self.pixels, self.label)


@dataclass(frozen=True, eq=False)
class Field:
    """Numbers on a layer's grid, laid over the photograph.

    Attributes:
        values: (y, x) float.
        domain: (low, high) of the colour scale. Fields that are to be compared share it.
            ``low < 0`` makes a signed field, white at zero.
        unit: of the values.
        label: what the numbers are, e.g. "group 2 at bn2".
        hue: index of the group whose categorical colour draws it. None: the sign colours for a
            signed field, one neutral colour for magnitudes.
        extent: (top, left, bottom, right) of the grid as fractions of the photograph.
    """

    values: np.ndarray
    domain: tuple[float, float]
    unit: str
    label: str
    hue: int | None = None
    extent: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.values.ndim != 2:
            raise InvalidArgument(f"a field is (y, x), not of shape {self.values.shape}")
        if not np.isfinite(self.values).all():
            raise InvalidArgument(f"the field {self.label!r} holds values that are not finite")


def _check_pixels(pixels: np.ndarray, name: str) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InvalidArgument(
            f"the picture {name!r} is {pixels.dtype} {pixels.shape}, not uint8 (height, width, 3)"
        )
