"""Flows on paper: two columns of marks and the ribbons between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from captum_blocks.render import flows, palette
from captum_blocks.render._blocks import Block, below, paragraph
from captum_blocks.render._print_scale import icon_scale
from captum_blocks.render.paper import QUIET, Paper, line_height, wrap
from captum_blocks.render.wording import number
from captum_blocks.scene import Flows, Mark, Sankey, Scene

SMALL = 7.5
# In inches: all flows together, the least a mark takes, the space between marks, the stem.
FULL, LEAST_SLOT, BETWEEN, STEM = 2.2, 0.46, 0.06, 0.06
ICON, SPACE = 0.4, 0.08
WIDEST, NARROW = 5.2, 4.0
SIDE_SHARE, NARROW_SIDE_SHARE = 0.3, 0.37
HAIR = 0.5
BAND_ALPHA, REST_ALPHA = 0.5, 0.3


@dataclass(frozen=True)
class _Node:
    """A mark, the upper edge and height of its slot, and the length of its stem."""

    mark: Mark
    top: float
    slot: float
    stem: float
    sum: float

    @property
    def start(self) -> float:
        return self.top + (self.slot - self.stem) / 2


@dataclass(frozen=True)
class _Plan:
    """Where the columns stand, in inches from the upper left corner."""

    panel: Sankey
    scene: Scene
    unit: float
    columns: tuple[list[_Node], list[_Node]]
    height: float
    left: float
    right: float


def print_sankey(panel: Sankey, frame: Flows, scene: Scene, width: float) -> Block:
    """Ribbons as wide as their flows, on one scale that is printed above them."""
    plan = _plan(panel, frame, scene, min(width, WIDEST))
    least = flows.too_thin(frame.flows, panel.least)

    def draw(paper: Paper, x: float, y: float) -> None:
        for band in flows.bands(frame.flows):
            if band.width >= least:
                _ribbon(paper, band, plan, x, y)
        for side in (0, 1):
            for node in plan.columns[side]:
                _node(paper, node, plan, side, (x, y))

    scale = icon_scale([*frame.left, *frame.right], scene, ICON)
    note = paragraph(_undrawn(panel, frame), width, SMALL, color=QUIET)
    return below([_legend(plan), _titles(plan), Block(plan.height, draw), note, scale], 0.04)


def _undrawn(panel: Sankey, frame: Flows) -> str:
    left_out = flows.undrawn(frame.flows, panel.least)
    bands = "band" if left_out == 1 else "bands"
    return f"{left_out} {bands} below {panel.least:.0%} of all not drawn" if left_out else ""


def _plan(panel: Sankey, frame: Flows, scene: Scene, width: float) -> _Plan:
    whole = flows.whole(panel)
    unit = FULL / whole if whole > 0 else 0.0
    columns = (frame.left, frame.right)
    slots = [
        [max(LEAST_SLOT, unit * held[mark.key]) for mark in marks]
        for marks, held in zip(columns, flows.thickness(panel), strict=True)
    ]
    height = max(sum(each) + BETWEEN * len(each) for each in slots)
    given = [(flow.source, flow.value) for flow in frame.flows]
    received = [(flow.target, flow.value) for flow in frame.flows]
    left = _column(frame.left, slots[0], given, unit, height)
    right = _column(frame.right, slots[1], received, unit, height)
    side = (NARROW_SIDE_SHARE if width < NARROW else SIDE_SHARE) * width
    return _Plan(panel, scene, unit, (left, right), height, side, width - side)


def _column(
    marks: Sequence[Mark],
    slots: Sequence[float],
    ends: Sequence[tuple[int, float]],
    unit: float,
    height: float,
) -> list[_Node]:
    space = (height - sum(slots)) / max(1, len(slots))
    top, nodes = space / 2, []
    for index, (mark, slot) in enumerate(zip(marks, slots, strict=True)):
        values = [value for end, value in ends if end == index]
        nodes.append(_Node(mark, top, slot, unit * sum(map(abs, values)), sum(values)))
        top += slot + space
    return nodes


def _legend(plan: _Plan) -> Block:
    step = flows.scale_step(plan.panel)
    length = plan.unit * step
    # The same in every panel, so that columns side by side begin at one height.
    height = max(FULL * flows.STEP_SHARE, line_height(SMALL))
    words = f"= {number(step)} {plan.panel.unit}".rstrip()
    shown = wrap(words, plan.left + plan.right - 1.4, SMALL, most=1)[0]

    def draw(paper: Paper, x: float, y: float) -> None:
        middle = y + height / 2
        for colour, word in ((palette.SUPPORTS, "supports"), (palette.OPPOSES, "opposes")):
            paper.box(x, middle - 0.04, 0.08, 0.08, facecolor=colour)
            paper.text(x + 0.12, middle, word, SMALL, va="center_baseline")
            x += 0.7
        paper.box(x, middle - length / 2, STEM, length, facecolor=palette.NEUTRAL)
        paper.text(x + STEM + 0.05, middle, shown, SMALL, va="center_baseline")

    return Block(height, draw)


def _titles(plan: _Plan) -> Block:
    def draw(paper: Paper, x: float, y: float) -> None:
        ends = ((plan.left, "right"), (plan.right, "left"))
        for (edge, align), title in zip(ends, plan.panel.titles, strict=True):
            shown = wrap(title, plan.left, SMALL, most=1)[0]
            paper.text(x + edge, y, shown, SMALL, color=QUIET, ha=align)

    return Block(line_height(SMALL) if any(plan.panel.titles) else 0.0, draw)


def _ribbon(paper: Paper, band: flows.Band, plan: _Plan, x: float, y: float) -> None:
    source = plan.columns[0][band.flow.source]
    target = plan.columns[1][band.flow.target]
    rest = "remainder" in (source.mark.role, target.mark.role)
    width = plan.unit * band.width
    colour = palette.OPPOSES if band.flow.value < 0 else palette.SUPPORTS
    # What is too thin to be seen is drawn as a hairline, not dropped.
    hair = HAIR if 72 * width < HAIR else 0.0
    start = (x + plan.left, y + source.start + plan.unit * band.start)
    end = (x + plan.right, y + target.start + plan.unit * band.end)
    style = {"color": colour, "alpha": REST_ALPHA if rest else BAND_ALPHA, "linewidth": hair}
    paper.ribbon(start, end, width, **style)


def _node(paper: Paper, node: _Node, plan: _Plan, side: int, corner: tuple[float, float]) -> None:
    x, y = corner[0] + (plan.right if side else plan.left), corner[1]
    outward = 1 if side else -1
    stem = (x if side else x - STEM, y + node.start, STEM, node.stem)
    paper.box(*stem, **_fill(node.mark))
    middle = y + node.top + node.slot / 2
    near = x + outward * (STEM + SPACE)
    if node.mark.sprite is not None:
        icon = near if side else near - ICON
        paper.icon(plan.scene, node.mark.sprite, icon, middle - ICON / 2, ICON)
        near += outward * (ICON + 0.06)
    _words(paper, node, (near, middle), side, plan.left - abs(near - x))


def _words(paper: Paper, node: _Node, place: tuple[float, float], side: int, room: float) -> None:
    chip = 0.12 if node.mark.hue is not None else 0.0
    lines = wrap(node.mark.label, room - chip, SMALL, most=3)
    x, y = place[0], place[1] - line_height(SMALL) * (len(lines) + 1) / 2
    align: dict[str, Any] = {"ha": "left" if side else "right"}
    if node.mark.hue is not None:
        box = x if side else x - 0.08
        paper.box(box, y + 0.02, 0.08, 0.08, facecolor=palette.group_colour(node.mark.hue))
    inset = chip if side else -chip
    for i, line in enumerate(lines):
        paper.text(x + inset, y + i * line_height(SMALL), line, SMALL, **align)
    total = number(node.sum, signed=True)
    if len(node.mark.values) > 1:
        total += f" of {number(node.mark.values[1], signed=True)}"
    paper.text(x + inset, y + len(lines) * line_height(SMALL), total, SMALL, color=QUIET, **align)


def _fill(mark: Mark) -> dict[str, Any]:
    if mark.role == "remainder":
        return {"facecolor": "white", "edgecolor": QUIET, "hatch": "//////", "linewidth": 0.5}
    return {"facecolor": palette.NEUTRAL}
