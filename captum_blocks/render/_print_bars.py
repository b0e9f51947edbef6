"""Bars on paper: rows that share columns, and tiles side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from captum_blocks.render import inks, palette
from captum_blocks.render._blocks import Block, below, beside, gap, paragraph
from captum_blocks.render._print_crops import Strip, crops_of, filling, most_crops
from captum_blocks.render._print_scale import icon_scale
from captum_blocks.render.paper import INK, QUIET, Paper, breadth, line_height, wrap
from captum_blocks.render.wording import number
from captum_blocks.scene import Bars, Field, Mark, Scene

SMALL = 7.5
ICON, TILE, CROP = 0.56, 0.98, 0.4
# Crops side by side in a row; further ones stand below them.
MOST_ACROSS = 4
SPACE, VALUE_WIDTH = 0.1, 0.42
BAR = 0.1
# How far zero lines and ticks stand out of a bar, and the bar that shows what a tick is.
OUT, SAMPLE = 0.03, 0.3
# Bounds nearer to zero than this, in inches, would be printed over it.
CLOSE = 0.34
SHORTEST_TRACK = 0.45
# A range that is a smaller share of its track is no line.
LEAST_WIDTH = 0.01


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    signed: bool
    ticked: bool

    def at(self, value: float) -> float:
        clipped = min(self.high, max(self.low, value))
        return (clipped - self.low) / ((self.high - self.low) or 1.0)

    def end(self, value: float | None) -> float:
        """Where on a track its number stands: at the bar's end, beside ticks in a column."""
        return 1.0 if self.ticked else self.at(max(value or 0.0, 0.0))


@dataclass(frozen=True)
class _Rows:
    """Where the parts of a row stand, in inches from its left edge."""

    scene: Scene
    panel: Bars
    scale: _Scale
    icon: float
    crops: Strip
    map: float
    name: float
    bars: float
    column: float
    stacked: bool

    @property
    def track(self) -> float:
        return self.column - VALUE_WIDTH - SPACE

    def lefts(self) -> list[float]:
        return [self.bars + i * self.column for i in range(len(self.panel.columns))]


def print_rows(panel: Bars, frame: Sequence[Mark], scene: Scene, width: float) -> Block:
    """A line a mark: icon, map, name, one bar a column, under a printed scale."""
    plan = _plan(panel, frame, scene, width)
    rows = (_row(mark, plan) for mark in frame)
    legend = _legend(panel, plan.scale, width)
    return below([legend, _axis(plan), *rows, icon_scale(frame, scene, ICON)])


def print_tiles(panel: Bars, frame: Sequence[Mark], scene: Scene, width: float) -> Block:
    """Icons side by side, name and bar below each."""
    scale = _scale(panel)
    count = max(1, int((width + SPACE) / (TILE + SPACE)))
    atoms = [mark for mark in frame if mark.role == "atom"]
    rest = [mark for mark in frame if mark.role != "atom"]
    lines = [atoms[i : i + count] for i in range(0, len(atoms), count)]
    lines += [rest] if rest else []

    blocks = [_tile_line(line, panel, scene, scale) for line in lines]
    notes = below([icon_scale(frame, scene, TILE), _note(panel, scale, width)])
    return below([*blocks, notes], SPACE)


def _note(panel: Bars, scale: _Scale, width: float) -> Block:
    """The range in words and, on the same line where there is room, what ticks and lines are."""
    words, told = _range(panel, scale), panel.ticked or panel.spanned

    def draw(paper: Paper, x: float, y: float) -> None:
        paper.text(x, y, words, SMALL, color=QUIET)

    said, room = Block(line_height(SMALL), draw), breadth(words, SMALL) + 2 * SPACE
    if room + SAMPLE + SPACE + breadth(told, SMALL) > width:
        return below([said, _legend(panel, scale, width)])
    return beside([said, _legend(panel, scale, width - room)], (room, width - room))


def _legend(panel: Bars, scale: _Scale, width: float) -> Block:
    """What ticks and thin lines are, in words, each behind a sample."""
    told = ((panel.ticked, _sampled_tick), (panel.spanned, _sampled_whisker))
    return below([_told(words, drawn, scale, width) for words, drawn in told if words] or [gap(0)])


def _told(words: str, drawn: Callable[..., None], scale: _Scale, width: float) -> Block:
    said = paragraph(words, width - SAMPLE - SPACE, SMALL, color=QUIET)
    colour = palette.SUPPORTS if scale.signed else palette.NEUTRAL

    def draw(paper: Paper, x: float, y: float) -> None:
        middle = y + 0.06
        paper.box(x, middle - BAR / 2, SAMPLE, BAR, facecolor=colour)
        drawn(paper, x, middle)
        said.draw(paper, x + SAMPLE + SPACE, y)

    return Block(said.height + OUT, draw)


def _sampled_tick(paper: Paper, x: float, middle: float) -> None:
    _tick(paper, x + 0.66 * SAMPLE, middle)


def _sampled_whisker(paper: Paper, x: float, middle: float) -> None:
    _whisker(paper, x + 0.3 * SAMPLE, x + 0.85 * SAMPLE, middle)


def _scale(panel: Bars) -> _Scale:
    low, high = panel.domain
    return _Scale(
        min(low, 0.0), max(high, 0.0), panel.is_signed, panel.is_ticked or bool(panel.spanned)
    )


def _plan(panel: Bars, frame: Sequence[Mark], scene: Scene, width: float) -> _Rows:
    icon = ICON + SPACE if any(mark.sprite for mark in frame) else 0.0
    several = most_crops(frame, scene)
    crops = Strip(several, min(several, MOST_ACROSS) or 1, CROP)
    beside_icon = crops.width + SPACE if several else 0.0
    mapped = panel.maps and scene.photo is not None and any(mark.field for mark in frame)
    aspect = scene.photo.pixels.shape[1] / scene.photo.pixels.shape[0] if scene.photo else 1.0
    map_ = min(ICON * aspect, 0.9) + SPACE if mapped else 0.0
    name = icon + beside_icon + map_
    bars = name + min(1.6, 0.3 * width)
    column = (width - bars) / len(panel.columns)
    # Where the bars would be too short they get lines of their own, below the names.
    stacked = column - VALUE_WIDTH - SPACE < SHORTEST_TRACK
    if stacked:
        bars, column = 0.0, width / len(panel.columns)
    return _Rows(scene, panel, _scale(panel), icon, crops, map_, name, bars, column, stacked)


def _axis(plan: _Rows) -> Block:
    line = line_height(SMALL)
    titled = line if any(plan.panel.columns) else 0.0
    words = _axis_words(plan)
    apart = plan.stacked or breadth(words, SMALL) > plan.bars - SPACE
    above = line if apart else 0.0

    def draw(paper: Paper, x: float, y: float) -> None:
        paper.text(x, y if apart else y + titled, words, SMALL, color=QUIET)
        for left, title in zip(plan.lefts(), plan.panel.columns, strict=True):
            shown = wrap(title, plan.column - SPACE, SMALL, most=1, weight="bold")[0]
            paper.text(x + left, y + above, shown, SMALL, weight="bold")
            _ticks(paper, x + left, y + above + titled, plan)

    return Block(above + titled + line + 0.03, draw)


def _axis_words(plan: _Rows) -> str:
    if not _apart(plan.scale.low, plan) or not _apart(plan.scale.high, plan):
        return _range(plan.panel, plan.scale)
    return "" if plan.panel.unit in plan.panel.columns else plan.panel.unit


def _range(panel: Bars, scale: _Scale) -> str:
    low, high = number(scale.low, scale.signed), number(scale.high, scale.signed)
    return f"bars from {low} to {high} {panel.unit}".rstrip()


def _apart(value: float, plan: _Rows) -> bool:
    """Whether a bound can be printed beside zero; otherwise words tell the range."""
    return value == 0 or plan.track * abs(plan.scale.at(value) - plan.scale.at(0)) > CLOSE


def _ticks(paper: Paper, left: float, top: float, plan: _Rows) -> None:
    scale = plan.scale
    for value in sorted({v for v in (scale.low, 0.0, scale.high) if _apart(v, plan)}):
        x = left + plan.track * scale.at(value)
        # The first bound of a track at the edge of the paper would be cut.
        align = "left" if plan.stacked and scale.at(value) == 0 else "center"
        paper.text(x, top, number(value, scale.signed), SMALL, color=QUIET, ha=align)


def _row(mark: Mark, plan: _Rows) -> Block:
    end = plan.column * len(plan.panel.columns) if plan.stacked else plan.bars
    lines = wrap(mark.label, end - plan.name - SPACE, SMALL, most=3)
    crops = crops_of(mark, plan.scene)
    pictured = mark.sprite is not None or bool(crops) or (mark.field is not None and plan.map > 0)
    shown = max(ICON, plan.crops.height if crops else 0.0) + 0.07
    lead = max(shown if pictured else 0.2, line_height(SMALL) * len(lines) + 0.06)

    def draw(paper: Paper, x: float, y: float) -> None:
        if mark.role == "total":
            paper.rule(x, y, plan.bars + plan.column * len(plan.panel.columns), color=QUIET)
        _icon(paper, mark, plan.scene, x, y + (lead - ICON) / 2, ICON)
        plan.crops.draw(paper, crops, x + plan.icon, y + (lead - plan.crops.height) / 2)
        _map(paper, mark, plan, x + plan.name - plan.map, y + lead / 2)
        _name(paper, mark, lines, x + plan.name, y + lead / 2)
        _bars(paper, mark, plan, x, y + (lead + 0.1 if plan.stacked else lead / 2))

    return Block(lead + (0.24 if plan.stacked else 0), draw)


def _bars(paper: Paper, mark: Mark, plan: _Rows, x: float, middle: float) -> None:
    style = {"weight": "bold"} if mark.role == "total" else {"color": QUIET}
    after = 0.08 if plan.scale.ticked else 0.05
    for i, (left, value) in enumerate(zip(plan.lefts(), mark.values, strict=True)):
        _bar(paper, mark, i, plan.scale, (x + left, middle, plan.track))
        end = x + left + plan.track * plan.scale.end(value) + after
        text = number(value, plan.scale.signed)
        paper.text(end, middle, text, SMALL, va="center_baseline", **style)


def _icon(paper: Paper, mark: Mark, scene: Scene, x: float, y: float, side: float) -> None:
    if mark.sprite is not None:
        paper.icon(scene, mark.sprite, x, y, side)


def _map(paper: Paper, mark: Mark, plan: _Rows, x: float, middle: float) -> None:
    if mark.field is None or not plan.map or plan.scene.photo is None:
        return
    pixels = plan.scene.photo.pixels
    width = plan.map - SPACE
    height = width * pixels.shape[0] / pixels.shape[1]
    print_picture(
        paper, pixels, [plan.scene.fields[mark.field]], (x, middle - height / 2, width, height)
    )


def print_picture(
    paper: Paper,
    pixels: Any,
    fields: Sequence[Field],
    box: tuple[float, float, float, float],
) -> None:
    """The photograph, grey below fields, in a box (x, y, width, height)."""
    x, y, width, height = box
    paper.picture(inks.ground(pixels) if fields else pixels, *box)
    for cells, (top, left, bottom, right) in inks.layers(fields):
        part = (x + left * width, y + top * height, (right - left) * width, (bottom - top) * height)
        paper.picture(cells, *part)


def _name(paper: Paper, mark: Mark, lines: Sequence[str], x: float, middle: float) -> None:
    top = middle - line_height(SMALL) * len(lines) / 2 + 0.015
    if mark.hue is not None:
        paper.box(x, top + 0.015, 0.08, 0.08, facecolor=palette.group_colour(mark.hue))
        x += 0.13
    weight = "bold" if mark.role == "total" else "normal"
    for i, line in enumerate(lines):
        paper.text(x, top + i * line_height(SMALL), line, SMALL, weight=weight)


def _bar(
    paper: Paper,
    mark: Mark,
    column: int,
    scale: _Scale,
    place: tuple[float, float, float],
) -> None:
    left, middle, track = place
    value, tick = mark.values[column], mark.ticks[column] if mark.ticks else None
    zero = left + track * scale.at(0)
    if value is not None:
        length = track * scale.at(value) - track * scale.at(0)
        paper.box(zero, middle - BAR / 2, length, BAR, **_fill(mark, value, scale))
    paper.rule(zero, middle - BAR / 2 - OUT, 0, BAR + 2 * OUT, color=QUIET)
    span = mark.spans[column] if mark.spans else None
    if span is not None:
        low, high = (left + track * scale.at(end) for end in span)
        # Where all methods say the same, ends would look like a tick.
        if high - low >= LEAST_WIDTH * track:
            _whisker(paper, low, high, middle)
    if tick is not None:
        _tick(paper, left + track * scale.at(tick), middle)


def _tick(paper: Paper, x: float, middle: float) -> None:
    """The second number: a line across the track, with a rim that parts it from the bar."""
    for colour, width in (("white", 2.6), (INK, 1.2)):
        style = {"color": colour, "linewidth": width, "solid_capstyle": "butt"}
        paper.rule(x, middle - BAR / 2 - OUT, 0, BAR + 2 * OUT, **style)


def _whisker(paper: Paper, low: float, high: float, middle: float) -> None:
    """What a bar is by other methods: a thin line along it, with short ends."""
    for colour, width in (("white", 1.8), (INK, 0.6)):
        style: dict[str, Any] = {"color": colour, "linewidth": width, "solid_capstyle": "butt"}
        paper.rule(low, middle, high - low, 0, **style)
        for end in (low, high):
            paper.rule(end, middle - BAR / 4, 0, BAR / 2, **style)


def _fill(mark: Mark, value: float, scale: _Scale) -> dict[str, Any]:
    if mark.role == "remainder":
        return {"facecolor": "white", "edgecolor": QUIET, "hatch": "//////", "linewidth": 0.5}
    if not scale.signed:
        return {"facecolor": palette.NEUTRAL}
    return {"facecolor": palette.OPPOSES if value < 0 else palette.SUPPORTS}


def _tile_line(marks: Sequence[Mark], panel: Bars, scene: Scene, scale: _Scale) -> Block:
    labels = [wrap(mark.label, TILE, SMALL, most=2) for mark in marks]
    named = line_height(SMALL) * max(len(lines) for lines in labels)
    side = TILE if any(mark.sprite for mark in marks) else 0.0
    strip = filling(most_crops(marks, scene), 3 if side else 2, TILE)
    between = 0.03 if side and strip.count else 0.0
    pictures = side + between + strip.height
    pitch, after = (0.18, 0.07) if scale.ticked else (0.15, 0.04)

    def draw(paper: Paper, x: float, y: float) -> None:
        for mark, lines in zip(marks, labels, strict=True):
            _icon(paper, mark, scene, x, y, side)
            strip.draw(paper, crops_of(mark, scene), x, y + side + between)
            for i, line in enumerate(lines):
                paper.text(x, y + pictures + 0.04 + i * line_height(SMALL), line, SMALL)
            for i, value in enumerate(mark.values):
                middle = y + pictures + 0.04 + named + pitch * (i + 0.5)
                _bar(paper, mark, i, scale, (x, middle, TILE - VALUE_WIDTH))
                text = number(value, scale.signed)
                end = x + (TILE - VALUE_WIDTH) * scale.end(value) + after
                paper.text(end, middle, text, SMALL, color=QUIET, va="center_baseline")
            x += TILE + SPACE

    return Block(pictures + 0.04 + named + pitch * len(panel.columns), draw)
