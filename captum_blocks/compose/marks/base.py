"""The registry of marks: an element's numbers -> the pictures it wants, and its panel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.marks.view import View
from captum_blocks.compose.pictures.requests import Subject
from captum_blocks.errors import InvalidArgument, UnknownName, WrongType
from captum_blocks.grammar import Element, InfoVis, name_mark
from captum_blocks.scene import Panel


class Mark(ABC):
    """How an element is drawn: one class a mark, registered with ``mark``.

    Attributes:
        painted: whether it lays the maps of ``colour_by`` over its pictures.

    >>> from captum_blocks.compose.marks.rows import Bars
    >>> isinstance(MARKS["bars"], Mark), Bars().pictures(None)
    (True, [])
    """

    painted: ClassVar[bool] = False

    def pictures(self, view: View) -> list[Subject]:
        """The atoms whose pictures it shows; most marks show none."""
        return []

    @abstractmethod
    def panel(self, view: View) -> Panel:
        """The panel, of ``captum_blocks.scene``."""


MARKS: dict[str, Mark] = {}
Kind = type[Mark]


def mark(name: str, word: bool = True) -> Callable[[Kind], Kind]:
    """Register a class that draws a mark.

    Args:
        name: as in ``InfoVis(content, name)``.
        word: False for what ``FeatureVis`` draws, which is no mark of ``InfoVis``.

    Raises:
        WrongType: it is no class of marks.

    >>> from captum_blocks.scene import Bars
    >>> @mark("nothing")
    ... class Nothing(Mark):
    ...     def panel(self, view):
    ...         return Bars(**view.words(), frames=((),) * len(view.frames.values))
    """

    def register(kind: Kind) -> Kind:
        if not (isinstance(kind, type) and issubclass(kind, Mark)):
            raise WrongType(
                f"a mark is a class, e.g. class {name.title()}(Mark) with a method panel(self, "
                f"view), not {kind!r}"
            )
        MARKS[name] = kind()
        if word:
            name_mark(name)
        return kind

    return register


def mark_of(element: Element, value: Value) -> Mark:
    """The mark that draws an element; pictures of positions are cells.

    Raises:
        UnknownName: no mark of that name is registered.
        InvalidArgument: colours for what has no positions.
    """
    name = _mark_name(element, value)
    if name not in MARKS:
        raise UnknownName(f"nothing draws the mark {name!r}; add a class with @mark({name!r})")
    found = MARKS[name]
    if getattr(element, "colour_by", None) is not None and not found.painted:
        raise InvalidArgument(
            f"{element!r}: colour_by lays maps over pictures of positions, and "
            f"{value.source!r} has none; take FeatureVis(Activation(layer.spatial), "
            "colour_by=...), or show the maps with InfoVis(..., 'overlay')"
        )
    return found


def _mark_name(element: Element, value: Value) -> str:
    if isinstance(element, InfoVis):
        return "answers" if element.mark == "bars" and value.switches is not None else element.mark
    versus = element.arrangement == "versus" and len(value.coords.get("class", ())) > 1
    if versus:
        return "versus"
    return "cells" if value.source_axes == ("y", "x") and value.target is None else "icons"
