"""What a picture source of photographs makes: crops of an atom's examples, in bands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Order:
    """Which photographs are asked for.

    Attributes:
        dataset: its name.
        n: how many crops are shown beside an atom before the reader acts.
        rank: which: "top", "bottom", "quantiles", "random" or "meanings".

    >>> Order("birds").key("bn2/channel/7")
    'bn2/channel/7 in birds: 3 top'
    """

    dataset: str
    n: int = 3
    rank: str = "top"

    def key(self, atom: str) -> str:
        """The identity of an atom's gallery on the page."""
        return f"{atom} in {self.dataset}: {self.n} {self.rank}"


@dataclass(frozen=True, eq=False)
class Crop:
    """A part of a photograph.

    Attributes:
        pixels: (side, side, 3) uint8.
        words: value, label, name of the photograph: what is told when it is pointed at.
        photograph: name of the whole in ``Gallery.photographs``.
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
    """Some of an atom's examples: the highest, random ones.

    Attributes:
        title: in words.
        crops: in order.
    """

    title: str
    crops: tuple[Crop, ...]


@dataclass(frozen=True, eq=False)
class Gallery:
    """An atom's examples.

    Attributes:
        label: the atom's name.
        about: what the values are, and how large the crops.
        bands: the one that is shown at first before the others.
        shown: how many of that.
        photographs: (y, x, 3) uint8 by name, small.
    """

    label: str
    about: str
    bands: tuple[Band, ...]
    shown: int
    photographs: Mapping[str, np.ndarray]
