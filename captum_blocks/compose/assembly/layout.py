"""Panels -> chapters: what stands beside what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from captum_blocks.grammar import Element, Interface
from captum_blocks.scene import (
    Below,
    Beside,
    Chapter,
    Layout,
    Overlay,
    Pairs,
    Panel,
    Section,
    Versus,
)

# Between the name of a layer and its size, in a caption.
SIZE = ", "


def arrange(interface: Interface, panels: Mapping[int, Panel]) -> Layout:
    """The panels of an interface (by position of their element in reading order), arranged."""
    numbered = iter(sorted(panels))

    def place(part: Element | Interface) -> Layout:
        if not isinstance(part, Interface):
            return panels[next(numbered)]
        return Section(part.title, part.reading, inside(part)) if part.title else inside(part)

    def inside(part: Interface) -> Layout:
        parts = tuple(place(inner) for inner in part.parts)
        return _joined(parts, Beside if part.arrangement == "beside" else Below)

    return inside(interface)


def _joined(parts: tuple[Layout, ...], kind: type[Beside] | type[Below]) -> Layout:
    """What is drawn on the stage takes no room in the chapter, so nothing stands beside it."""
    staged = tuple(part for part in parts if isinstance(part, Overlay) and part.stage)
    if kind is Beside and staged and len(staged) < len(parts):
        rest = tuple(part for part in parts if part not in staged)
        return Below((*staged, _joined(rest, Beside)))
    return parts[0] if len(parts) == 1 else kind(parts)


def chapters_of(interface: Interface) -> list[Interface]:
    """A titled interface is a chapter; so are the titled parts of one below another."""
    if not has_chapters(interface):
        return [interface]
    return [part if isinstance(part, Interface) else Interface((part,)) for part in interface.parts]


def has_chapters(interface: Interface) -> bool:
    """Whether its parts are chapters: then its own title is the page's."""
    titled = (isinstance(part, Interface) and bool(part.title) for part in interface.parts)
    return interface.arrangement == "below" and any(titled)


def elements_of(interface: Interface) -> list[Element]:
    """The elements of an interface in reading order."""
    found: list[Element] = []
    for part in interface.parts:
        found += elements_of(part) if isinstance(part, Interface) else [part]
    return found


def sized_once(panels: Sequence[Panel]) -> list[Panel]:
    """What a layer's size is stands where it is seen first, and no layer below its own name.

    >>> place = "bn2, 9 channels"
    >>> shown = sized_once([Panel("Groups", place), Panel("Places at bn2", place)])
    >>> [panel.caption for panel in shown]
    ['bn2, 9 channels', '']
    """
    met: set[str] = set()
    found = []
    for panel in panels:
        layer, comma, _ = panel.caption.partition(SIZE)
        if comma and panel.caption in met:
            short = "" if layer in panel.title.replace(":", " ").split() else layer
            panel = replace(panel, caption=short)
        elif not _unseen(panel):
            met.add(panel.caption)
        found.append(panel)
    return found


def _placed_once(panels: Sequence[Panel]) -> list[Panel]:
    """What is of the same layer as the panel before it need not say so again."""
    last, found = "", []
    for panel in panels:
        layer = panel.caption.partition(SIZE)[0]
        found.append(replace(panel, caption="") if panel.caption == last else panel)
        if not _unseen(panel):
            last = layer or last
    return found


def _unseen(panel: Panel) -> bool:
    """Whether a page has no place for its caption."""
    return isinstance(panel, Versus) or (isinstance(panel, Overlay) and panel.on_stage)


def chapter(interface: Interface, panels: list[Panel], method: Pairs, said: str = "") -> Chapter:
    """An interface and its panels as a chapter; what is said stands before any number of it."""
    body = arrange(interface, dict(enumerate(_placed_once(panels))))
    return Chapter(interface.title, interface.reading, body, method, said)
