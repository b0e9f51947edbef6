"""The registry of marks: an element and its values -> a panel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from captum_blocks.compose import sentences
from captum_blocks.compose.pools import Pools
from captum_blocks.compose.states import Frames
from captum_blocks.compose.values import Value
from captum_blocks.compose.wanted import Wanted
from captum_blocks.errors import InvalidArgument, UnknownName
from captum_blocks.grammar import Element, InfoVis, name_mark
from captum_blocks.scene import Panel


class Words(TypedDict):
    """What every panel takes from its element."""

    title: str
    caption: str
    unit: str
    follows: tuple[str, ...]
    sets: tuple[str, ...]
    highlights: str | None


@dataclass(frozen=True, eq=False)
class Drawing:
    """What a mark is drawn from.

    Attributes:
        element: the element of the interface.
        frames: its content's values.
        pools: icons, fields and selections shared by all panels.
        follows: names of the selections it follows.
        sets: names of the selections it sets.
        highlights: name of the selection whose state it marks.
        colours: the values of its ``colour_by``, in the same states.
        coverage: share of the icons this element wanted that were made.
    """

    element: Element
    frames: Frames
    pools: Pools
    follows: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    highlights: str | None = None
    colours: Frames | None = None
    coverage: float = 1.0

    @property
    def base(self) -> Value:
        """The value of the first frame: its axes and units are those of all."""
        return self.frames.values[0]

    @property
    def on_photograph(self) -> bool:
        """Whether its numbers are of the photograph that the page shows."""
        several = len(self.pools.context.x) > 1
        return not several or any(each.selection.atom == "image" for each in self.frames.followed)

    def words(self, default_title: str = "") -> Words:
        """The fields that every panel has."""
        place = sentences.place(self.pools.context, self.base)
        caption = self.element.caption or "; ".join(
            words for words in (*self.base.labels.get("image", ()), place) if words
        )
        return Words(
            title=self.element.title or default_title or sentences.named(self.base.source),
            caption=caption,
            unit=self.base.unit,
            follows=self.follows,
            sets=self.sets,
            highlights=self.highlights,
        )


Draw = Callable[[Drawing], Panel]
Want = Callable[[Element, Frames, Wanted, Pools], None]
MARKS: dict[str, Draw] = {}
# The icons that a mark needs, for marks that show icons.
WANTED: dict[str, Want] = {}


def mark(name: str) -> Callable[[Draw], Draw]:
    """Register a function that draws a mark: a ``Drawing`` -> a panel of ``captum_blocks.scene``.

    Args:
        name: as in ``InfoVis(content, name)``.

    >>> from captum_blocks.scene import Bars
    >>> @mark("nothing")
    ... def nothing(drawing):
    ...     return Bars(**drawing.words(), frames=((),) * len(drawing.frames.values))
    """

    def register(function: Draw) -> Draw:
        MARKS[name] = function
        name_mark(name)
        return function

    return register


def wants(name: str) -> Callable[[Want], Want]:
    """Register a function that asks for the icons of a mark."""

    def register(function: Want) -> Want:
        WANTED[name] = function
        return function

    return register


def wanted_icons(element: Element, frames: Frames, pools: Pools) -> Wanted:
    """The icons an element would show, weighted by how much they are seen."""
    wanted = Wanted()
    name = mark_name(element, frames.values[0])
    if name in WANTED:
        WANTED[name](element, frames, wanted, pools)
    return wanted


def mark_name(element: Element, value: Value) -> str:
    """The mark that draws an element: icons of positions are cells."""
    if isinstance(element, InfoVis):
        return element.mark
    return "cells" if value.source_axes == ("y", "x") and value.target is None else "icons"


def draw(drawing: Drawing) -> Panel:
    """One element as a panel.

    Raises:
        UnknownName: no mark of that name is registered.
        InvalidArgument: colours for what has no positions.
    """
    name = mark_name(drawing.element, drawing.base)
    if name not in MARKS:
        raise UnknownName(f"nothing draws the mark {name!r}; add a function with @mark({name!r})")
    if drawing.colours is not None and name != "cells":
        raise InvalidArgument(
            f"{drawing.element!r}: colour_by lays maps over pictures of positions, and "
            f"{drawing.base.source!r} has none; take FeatureVis(Activation(layer.spatial), "
            "colour_by=...), or show the maps with InfoVis(..., 'overlay')"
        )
    return MARKS[name](drawing)
