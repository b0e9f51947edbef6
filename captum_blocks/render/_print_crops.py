"""Photographs beside an atom on paper: the crops that a page shows before the reader acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from captum_blocks.render.paper import Paper
from captum_blocks.scene import Crop, Mark, Scene

# Between two crops, in inches.
BETWEEN = 0.03


def crops_of(mark: Mark, scene: Scene) -> tuple[Crop, ...]:
    """The crops beside a mark; none where it has no photographs."""
    return () if mark.gallery is None else scene.galleries[mark.gallery].first


def most_crops(frame: Sequence[Mark], scene: Scene) -> int:
    """The largest number of crops beside a mark of a frame."""
    return max((len(crops_of(mark, scene)) for mark in frame), default=0)


@dataclass(frozen=True)
class Strip:
    """How crops are laid out: so many side by side, in lines.

    Attributes:
        count: how many, at most.
        across: how many side by side.
        side: of each, in inches.

    >>> Strip(4, 2, 0.5).width, round(Strip(4, 2, 0.5).height, 2), Strip(0, 2, 0.5).height
    (1.03, 1.03, 0.0)
    """

    count: int
    across: int
    side: float

    @property
    def width(self) -> float:
        """In inches."""
        return _length(min(self.count, self.across), self.side)

    @property
    def height(self) -> float:
        """In inches."""
        return _length(-(-self.count // self.across), self.side)

    def draw(self, paper: Paper, crops: Sequence[Crop], x: float, y: float) -> None:
        """Crops from a corner on."""
        for place, crop in enumerate(crops):
            down, along = divmod(place, self.across)
            step = self.side + BETWEEN
            paper.picture(crop.pixels, x + along * step, y + down * step, self.side, self.side)


def _length(count: int, side: float) -> float:
    return count * side + max(count - 1, 0) * BETWEEN


def filling(count: int, across: int, width: float) -> Strip:
    """Crops as large as so many fill a width side by side."""
    return Strip(count, across, (width - (across - 1) * BETWEEN) / across)
