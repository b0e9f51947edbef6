"""Photographs beside an atom: crops that open to the whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from captum_blocks.errors import InvalidArgument

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Crop:
    """A part of a photograph.

    Attributes:
        pixels: (side, side, 3) uint8.
        words: what is told when it is pointed at.
        photograph: name of the whole in ``Scene.photographs``.
        box: the part, top, left, bottom, right in fractions of the photograph.
        kind: what it is called: "Photograph", or "Picture" where it was drawn.
    """

    pixels: np.ndarray
    words: str
    photograph: str
    box: Box
    kind: str = "Photograph"


@dataclass(frozen=True, eq=False)
class Band:
    """Some of an atom's photographs.

    Attributes:
        title: which: "highest", "random".
        crops: in order.
    """

    title: str
    crops: tuple[Crop, ...]


@dataclass(frozen=True, eq=False)
class Gallery:
    """The photographs beside one atom.

    Attributes:
        label: the atom's name.
        about: what values and crops are, one line or two.
        bands: the one of which crops are shown before the reader acts, then the others.
        shown: how many crops of that.

    Raises:
        InvalidArgument: no band.
    """

    label: str
    about: str
    bands: tuple[Band, ...]
    shown: int

    def __post_init__(self) -> None:
        if not self.bands:
            raise InvalidArgument(f"the gallery of {self.label!r} has no photographs")

    @property
    def first(self) -> tuple[Crop, ...]:
        """The crops that are shown before the reader acts."""
        return self.bands[0].crops[: self.shown]

    @property
    def crops(self) -> tuple[Crop, ...]:
        """All of them, band after band."""
        return tuple(crop for band in self.bands for crop in band.crops)
