"""States that the reader changes and panels follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captum_blocks.errors import InvalidArgument

Gesture = Literal["hover", "click", "choose", "slider", "toggle"]


@dataclass(frozen=True)
class Selection:
    """A state that the reader changes and panels follow.

    Attributes:
        name: unique in the scene.
        gesture, atom: how it is changed, and what is selected: "spatial", "channel", "group", ...;
            of a "toggle" any of the states can be off, at first none is.
        keys: the states: atom keys; for "spatial" the cells of ``grid`` in rows, ``"y,x"``.
        default: index of the state that is shown first, and in print.
        grid: (rows, columns) of a spatial selection. Spatial selections of all layers move
            together: a place on the photograph picks the cell it lies in, in each.
        extent: of that grid, as in ``Field``.
        labels: the states as printed in a list or beside a slider; the keys where there are none.
        title: what the reader chooses, as printed beside the control: "number of groups".
    """

    name: str
    gesture: Gesture
    atom: str
    keys: tuple[str, ...]
    default: int = 0
    grid: tuple[int, int] | None = None
    extent: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    labels: tuple[str, ...] = ()
    title: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.default < len(self.keys):
            raise InvalidArgument(
                f"selection {self.name!r} has {len(self.keys)} states and no state {self.default}"
            )
        if self.labels and len(self.labels) != len(self.keys):
            raise InvalidArgument(
                f"selection {self.name!r} has {len(self.keys)} states and {len(self.labels)} labels"
            )
