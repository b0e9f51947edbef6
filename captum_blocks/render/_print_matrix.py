"""Tables on paper: numbers, or cells whose area is the magnitude."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from captum_blocks.render import palette
from captum_blocks.render._blocks import Block, below, gap
from captum_blocks.render._print_bars import SMALL
from captum_blocks.render.paper import INK, LINE, QUIET, Paper, breadth, line_height, wrap
from captum_blocks.render.wording import number
from captum_blocks.scene import Mark, Matrix, Scene

ICON, CELL, LEAST_CELL, SPACE = 0.32, 0.27, 0.09, 0.08
WIDEST_NAME, WIDEST_COLUMN = 1.9, 0.95
# Names of more columns than this stand upright.
MOST_LEVEL, UPRIGHT = 6, 1.1
CELL_GROUND = "#f4f5f7"


@dataclass(frozen=True)
class _Plan:
    """Where the parts of a row stand, in inches from its left edge."""

    panel: Matrix
    scene: Scene
    icon: float
    name: float
    column: float

    @property
    def lefts(self) -> list[float]:
        start = self.icon + self.name
        return [start + i * self.column for i in range(len(self.panel.columns))]

    @property
    def width(self) -> float:
        return self.icon + self.name + self.column * len(self.panel.columns)


def print_matrix(panel: Matrix, frame: Sequence[Mark], scene: Scene, width: float) -> Block:
    """A line a mark under the names of the columns."""
    coloured = panel.style == "colours"
    plan = _plan(panel, frame, scene, width)
    row = _cells if coloured else _numbers
    head = _head(plan, upright=coloured and len(panel.columns) > MOST_LEVEL)
    legend = _legend(panel, width) if coloured else _unit(panel)
    return below([head, *(row(mark, plan) for mark in frame), gap(0.03), legend])


def _plan(panel: Matrix, frame: Sequence[Mark], scene: Scene, width: float) -> _Plan:
    icon = ICON + SPACE if any(mark.sprite for mark in frame) else 0.0
    longest = max((breadth(mark.label, SMALL) for mark in frame), default=0.0) + 0.25
    name = min(longest, WIDEST_NAME, 0.4 * width)
    room = (width - icon - name) / len(panel.columns)
    widest = CELL if panel.style == "colours" else WIDEST_COLUMN
    return _Plan(panel, scene, icon, name, max(LEAST_CELL, min(room, widest)))


def _head(plan: _Plan, upright: bool) -> Block:
    columns = plan.panel.columns
    if not any(columns):
        return gap(0)
    if upright:
        return _upright(plan)
    coloured = plan.panel.style == "colours"
    # A few cells stand further apart than their names are wide: the last may reach beyond them.
    room = max(plan.column - SPACE, 0.3)
    lines = [wrap(title, room, SMALL, most=3) for title in columns]
    most = max(map(len, lines))

    def draw(paper: Paper, x: float, y: float) -> None:
        for left, title in zip(plan.lefts, lines, strict=True):
            at = x + left + (plan.column / 2 if coloured else plan.column)
            for i, line in enumerate(title):
                top = y + (most - len(title) + i) * line_height(SMALL)
                paper.text(at, top, line, SMALL, ha="center" if coloured else "right")
        if not coloured:
            paper.rule(x, y + most * line_height(SMALL) + 0.02, plan.width, color=QUIET)

    return Block(most * line_height(SMALL) + 0.05, draw)


def _upright(plan: _Plan) -> Block:
    titles = [wrap(title, UPRIGHT, SMALL, most=1)[0] for title in plan.panel.columns]
    height = max(breadth(title, SMALL) for title in titles) + 0.06

    def draw(paper: Paper, x: float, y: float) -> None:
        for left, title in zip(plan.lefts, titles, strict=True):
            at = (x + left + plan.column / 2, y + height - 0.04)
            paper.text(*at, title, SMALL, rotation=90, va="bottom", ha="center")

    return Block(height, draw)


def _name(paper: Paper, mark: Mark, plan: _Plan, x: float, middle: float) -> None:
    if mark.sprite is not None:
        paper.icon(plan.scene, mark.sprite, x, middle - ICON / 2, ICON)
    x += plan.icon
    if mark.hue is not None:
        colour = palette.group_colour(mark.hue)
        paper.box(x, middle - 0.04, 0.08, 0.08, facecolor=colour)
        x += 0.13
    label = wrap(mark.label, plan.name - 0.18, SMALL, most=1)[0]
    style = {"weight": "bold"} if mark.role == "total" else {}
    colour = QUIET if mark.role == "remainder" else INK
    paper.text(x, middle, label, SMALL, va="center_baseline", color=colour, **style)


def _numbers(mark: Mark, plan: _Plan) -> Block:
    height = ICON + 0.05 if plan.icon else 0.2

    def draw(paper: Paper, x: float, y: float) -> None:
        if mark.role == "total":
            paper.rule(x, y, plan.width, color=QUIET)
        _name(paper, mark, plan, x, y + height / 2)
        style = {"weight": "bold"} if mark.role == "total" else {}
        for left, value in zip(plan.lefts, mark.values, strict=True):
            text = number(value, plan.panel.is_signed)
            end = x + left + plan.column
            paper.text(end, y + height / 2, text, SMALL, va="center_baseline", ha="right", **style)

    return Block(height, draw)


def _cells(mark: Mark, plan: _Plan) -> Block:
    side = plan.column
    height = max(side, ICON + 0.04 if plan.icon else line_height(SMALL))
    inner = side * 0.9

    def draw(paper: Paper, x: float, y: float) -> None:
        middle = y + height / 2
        if mark.role == "total":
            paper.rule(x, y, plan.width, color=QUIET)
        _name(paper, mark, plan, x, middle)
        for left, value in zip(plan.lefts, mark.values, strict=True):
            corner = (x + left + (side - inner) / 2, middle - inner / 2)
            paper.box(*corner, inner, inner, facecolor=CELL_GROUND)
            if value is not None:
                _patch(paper, value, plan.panel, (*corner, inner))

    return Block(height, draw)


def _patch(paper: Paper, value: float, panel: Matrix, box: tuple[float, float, float]) -> None:
    """A square whose share of the cell is the magnitude; what opposes carries a minus."""
    left, top, whole = box
    side = whole * sqrt(min(1.0, abs(value) / _reach(panel)))
    x, y = left + (whole - side) / 2, top + (whole - side) / 2
    opposes = panel.is_signed and value < 0
    signs = palette.OPPOSES if opposes else palette.SUPPORTS
    paper.box(x, y, side, side, facecolor=signs if panel.is_signed else palette.NEUTRAL)
    if opposes:
        paper.box(x + 0.22 * side, y + 0.42 * side, 0.56 * side, 0.16 * side, facecolor="white")


def _reach(panel: Matrix) -> float:
    return max(map(abs, panel.domain)) or 1.0


def _legend(panel: Matrix, width: float) -> Block:
    words = f"= {number(_reach(panel))} {panel.unit}".rstrip()
    shown = wrap(words, width - 1.9, SMALL, most=1)[0]
    side = 0.14

    def draw(paper: Paper, x: float, y: float) -> None:
        middle = y + side / 2
        if panel.is_signed:
            for sign, word in ((1, "supports"), (-1, "opposes")):
                _patch(paper, sign * _reach(panel) / 2, panel, (x, y, side))
                paper.text(x + side + 0.04, middle, word, SMALL, va="center_baseline")
                x += 0.8
        paper.box(x, y, side, side, facecolor=palette.NEUTRAL, edgecolor=LINE)
        paper.text(x + side + 0.04, middle, shown, SMALL, va="center_baseline")

    return Block(side, draw)


def _unit(panel: Matrix) -> Block:
    if not panel.unit:
        return gap(0)

    def draw(paper: Paper, x: float, y: float) -> None:
        paper.text(x, y, f"in {panel.unit}", SMALL, color=QUIET)

    return Block(line_height(SMALL), draw)
