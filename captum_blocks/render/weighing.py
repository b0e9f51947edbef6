"""How much of a page each panel takes: states times bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass

from captum_blocks.errors import InvalidArgument
from captum_blocks.render.payload import packed_alone
from captum_blocks.scene import LARGEST_PAGE, Panel, Scene

NAMED = 3


@dataclass(frozen=True)
class Weight:
    """What a panel adds to a page.

    Attributes:
        panel: the panel.
        states: how many frames it holds.
        bytes: of them all.
    """

    panel: Panel
    states: int
    bytes: int


def weights(scene: Scene) -> list[Weight]:
    """What each panel adds to a page, the heaviest first; icons and maps are shared by all."""
    found = []
    for panel in scene.panels():
        packed = packed_alone(panel)
        text = json.dumps(packed, separators=(",", ":"))
        found.append(Weight(panel, len(packed.get("frames", ())), len(text)))
    return sorted(found, key=lambda weight: -weight.bytes)


def check_size(page: str, scene: Scene, budget: int = LARGEST_PAGE) -> None:
    """Refuse a page that browsers would be slow with.

    Args:
        page: the page's text.
        scene: what it shows.
        budget: the most bytes.

    Raises:
        InvalidArgument: with the panels that take most, and what to change.
    """
    if len(page) <= budget:
        return
    heaviest = ", ".join(
        f"{weight.panel.title!r} ({weight.states} states, {weight.bytes / 1e6:.1f} MB)"
        for weight in weights(scene)[:NAMED]
    )
    raise InvalidArgument(
        f"the page would take {len(page) / 1e6:.0f} MB, {budget / 1e6:.0f} MB at most; most of it "
        f"is {heaviest}: follow fewer selections at once, show fewer atoms with .filter(top=...), "
        "or take a layer with a coarser grid; .png, .svg, .pdf and .npz have no such limit"
    )
