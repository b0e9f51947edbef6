"""One colour for each group of a page: groups of different layers do not share any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from captum_blocks.compose.evaluation.facts import Facts, place_name
from captum_blocks.scene import Cell, Field, Flows, Framed, Mark, Panel


def group_hues(facts: Facts) -> dict[str, int]:
    """The hue of each group by its key.

    A layer's groups are counted on from those of the layers before it, in the order in which the
    page asks for their groups: it has as many hues as it has groups at most.
    """
    most: dict[str, int] = {}
    for source, held in facts.groups.items():
        place = place_name(source)
        most[place] = max(most.get(place, 0), len(held.directions))
    starts, taken = {}, 0
    for place, count in most.items():
        starts[place], taken = taken, taken + count
    return {
        facts.key(source, index): starts[place_name(source)] + index
        for source, held in facts.groups.items()
        for index in range(len(held.directions))
    }


def coloured(panels: Iterable[Panel], facts: Facts) -> list[Panel]:
    """Panels in which each group has its hue."""
    hues = group_hues(facts)
    return [_panel(panel, hues) if isinstance(panel, Framed) else panel for panel in panels]


def _panel(panel: Framed, hues: Mapping[str, int]) -> Panel:
    frames: Any = tuple(_frame(each, hues) for each in panel.frames)
    return replace(panel, frames=frames)


def coloured_fields(fields: Mapping[str, Field], facts: Facts) -> dict[str, Field]:
    """Maps of where groups fire, in the hues of the groups."""
    hues = group_hues(facts)
    names = {
        f"{key}{facts.of_photo(image)}": hue
        for key, hue in hues.items()
        for image in range(len(facts.photographs))
    }
    return {
        name: replace(field, hue=names[name]) if name in names else field
        for name, field in fields.items()
    }


def _frame(frame: Any, hues: Mapping[str, int]) -> Any:
    if isinstance(frame, Flows):
        sides = (tuple(_marked(mark, hues) for mark in side) for side in (frame.left, frame.right))
        left, right = sides
        return replace(frame, left=left, right=right)
    return tuple(_marked(each, hues) for each in frame)


def _marked(item: Any, hues: Mapping[str, int]) -> Any:
    """A mark, or the mark of a cell, in its hue; anything else as it is."""
    if isinstance(item, Cell):
        return replace(item, mark=_marked(item.mark, hues))
    if isinstance(item, Mark) and item.hue is not None and item.key in hues:
        return replace(item, hue=hues[item.key])
    return item
