"""What is said of the meanings of a unit, and the photographs and pictures that show them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from captum_blocks.examples import Example
from captum_blocks.reliability import Meanings


@dataclass(frozen=True, eq=False)
class Meaning:
    """One of the things that a unit stands for.

    Attributes:
        examples: the photographs that show it, those that excite the unit most first.
        share: of all photographs that were sorted, from 0 to 1.
        picture: (y, x, 3) bytes, optimized from noise to excite the unit as these photographs do;
            of the only meaning of a unit its icon.
        likeness: (meaning,) cosine of what the middle of the picture does in the layers before the
            unit with what the photographs of each meaning do there on average, in their order; of
            an icon, wherever the unit is active. Not every picture shows its own meaning best: of
            thirty planted units of five small networks, 56 of 60 did.

    >>> Meaning((Example(2.5, "a.jpg", None, 0, "a", (1, 4)),), 1.0).share
    1.0
    """

    examples: tuple[Example, ...]
    share: float
    picture: np.ndarray | None = None
    likeness: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Meant:
    """How many things a unit stands for, and which.

    Attributes:
        found: the number, the criterion and the uncertainty.
        by_chance: (direction,) the number of each random direction of the layer; none where the
            index keeps no activations to ask for directions.
        each: the meanings, the one with the most photographs first.

    >>> Meant(Meanings.unknown("3 photographs excite it")).told
    'meanings: unknown, as 3 photographs excite it'
    """

    found: Meanings
    by_chance: tuple[int, ...] = ()
    each: tuple[Meaning, ...] = ()

    @property
    def number(self) -> int | None:
        """How many there are; None where nothing can be said."""
        return self.found.number

    @property
    def chance(self) -> float:
        """The share of random directions with as many or more; NaN where they are not known."""
        if self.number is None or not self.by_chance:
            return math.nan
        return sum(each >= self.number for each in self.by_chance) / len(self.by_chance)

    def __str__(self) -> str:
        return self.told

    @property
    def told(self) -> str:
        """Number and uncertainty in words."""
        if self.number is None:
            return f"meanings: unknown, as {self.found.missing}"
        said = f"meanings: {self.number}, in {self.found.certainty:.0%} of resamples"
        if not self.by_chance:
            return f"{said}; of random directions nothing is known"
        drawn = f"{len(self.by_chance)} random directions of this layer"
        if self.number == 1:
            more = sum(each > 1 for each in self.by_chance) / len(self.by_chance)
            return f"{said}; of {drawn} {more:.0%} have more"
        return f"{said}; of {drawn} {self.chance:.0%} have as many or more"
