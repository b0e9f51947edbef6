"""One photograph, and why it is shown."""

from __future__ import annotations

from dataclasses import dataclass

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Example:
    """A photograph that excites a unit or a direction, or one that does not.

    Attributes:
        value: the largest over places of activation . direction: of a channel, its maximum.
        path: of the photograph, complete where the root is known; empty where it has no name.
        label: its label, in words, or None.
        image: its number among the pictures that the index was built of.
        source: the photograph that it is, or was cut from.
        position: (y, x) of that place in the grid of the layer.
        box: the smallest part of the photograph that alone keeps 80 % of the activation, top, left,
            bottom, right in fractions of it; None where it was not asked for.
        like: how many others are nearly the same photograph, and not shown beside it.
        note: why the box is all of it; empty where it is not.
        error: how far the value may be from the exact one, where that is not known.

    >>> str(Example(2.5, "birds/a.jpg", "bird", 3, "a", (1, 4), like=3))
    'birds/a.jpg (2.5, and 3 like it)'
    """

    value: float
    path: str
    label: str | None
    image: int
    source: str
    position: tuple[int, int]
    box: Box | None = None
    like: int = 0
    note: str = ""
    error: float = 0.0

    @property
    def area(self) -> float:
        """Of the box, as a share of the photograph; NaN without one.

        >>> Example(2.5, "a.jpg", None, 0, "a", (0, 0), box=(0.0, 0.5, 0.5, 1.0)).area
        0.25
        """
        if self.box is None:
            return float("nan")
        top, left, bottom, right = self.box
        return (bottom - top) * (right - left)

    def __str__(self) -> str:
        """What it is called, its value, and how many like it are not shown."""
        more = f", and {self.like} like it" if self.like else ""
        return f"{self.path or f'picture {self.image}'} ({self.value:.4g}{more})"
