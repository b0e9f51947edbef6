"""Counts over bins on paper."""

from __future__ import annotations

from collections.abc import Sequence

from captum_blocks.render import palette
from captum_blocks.render._blocks import Block, below, paragraph
from captum_blocks.render._print_bars import SMALL
from captum_blocks.render.paper import QUIET, Paper, line_height
from captum_blocks.render.wording import number
from captum_blocks.scene import Histogram

WIDEST, TALL = 4.6, 0.85
# In inches: between rows, and between a line and its number.
BETWEEN, ASIDE = 0.04, 0.05
# The accent of the page.
MARKED = "#1f6feb"
# Edges nearer to each other than this share of the width are not both printed.
APART = 0.16


def print_histogram(panel: Histogram, frame: int, width: float) -> Block:
    """Bars over the printed edges, a row of them for each column, all on one scale."""
    wide = min(WIDEST, width)
    marked = panel.marked[frame] if panel.marked else (None,) * len(panel.columns)
    rows: list[Block] = []
    for title, counts, own in zip(panel.columns, panel.frames[frame], marked, strict=True):
        rows.append(paragraph(title, wide, SMALL, most=1, weight="bold"))
        rows += [] if own is None else [_told(panel, own, wide)]
        rows.append(_row(panel, counts, own, wide))
    along = f"along: {panel.unit}; " if panel.unit else ""
    words = f"{along}the full height is {most(panel)} {panel.counted}".rstrip()
    return below([*rows, _axis(panel, wide), paragraph(words, width, SMALL, color=QUIET)], BETWEEN)


def most(panel: Histogram) -> int:
    """The count of the highest bar of all frames."""
    return max((n for frame in panel.frames for counts in frame for n in counts), default=0) or 1


def ticks(panel: Histogram) -> list[float]:
    """The outer edges, zero where it lies well within, and others as far apart as can be read."""
    first, last = panel.edges[0], panel.edges[-1]
    span = (last - first) or 1.0
    kept = [first, last]
    for edge in (0.0, *panel.edges):
        if first < edge < last and all(abs(edge - other) > APART * span for other in kept):
            kept.append(edge)
    return sorted(kept)


def _told(panel: Histogram, own: float, width: float) -> Block:
    """The number of the photograph, on the side of its line where there is more room."""

    def draw(paper: Paper, x: float, y: float) -> None:
        share = _share(panel, own)
        align, beside = ("right", -ASIDE) if share > 0.5 else ("left", ASIDE)
        words = f"this photograph: {number(own)}"
        paper.text(x + width * share + beside, y, words, SMALL, ha=align)
        _line(paper, x + width * share, y, line_height(SMALL) + BETWEEN)

    return Block(line_height(SMALL), draw)


def _line(paper: Paper, x: float, y: float, height: float) -> None:
    paper.rule(x, y, 0, height, color=MARKED, linewidth=1.2)


def _row(panel: Histogram, counts: Sequence[int], own: float | None, width: float) -> Block:
    def draw(paper: Paper, x: float, y: float) -> None:
        for i, count in enumerate(counts):
            left, right = (width * _share(panel, edge) for edge in panel.edges[i : i + 2])
            high = TALL * count / most(panel)
            inner = max((right - left) * 0.94, 0.004)
            paper.box(x + left, y + TALL - high, inner, high, facecolor=palette.NEUTRAL)
        paper.rule(x, y + TALL, width, color=QUIET)
        if own is not None:
            _line(paper, x + width * _share(panel, own), y, TALL)

    return Block(TALL + 0.02, draw)


def _axis(panel: Histogram, width: float) -> Block:
    def draw(paper: Paper, x: float, y: float) -> None:
        for edge in ticks(panel):
            share = _share(panel, edge)
            align = "left" if share == 0 else "right" if share == 1 else "center"
            paper.text(x + width * share, y, number(edge), SMALL, color=QUIET, ha=align)

    return Block(line_height(SMALL), draw)


def _share(panel: Histogram, edge: float) -> float:
    return (edge - panel.edges[0]) / ((panel.edges[-1] - panel.edges[0]) or 1.0)
