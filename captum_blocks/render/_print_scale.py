"""The scale bar of icons on paper: how much of what the network takes an icon spans."""

from __future__ import annotations

from collections.abc import Iterable

from captum_blocks.render._blocks import Block, gap
from captum_blocks.render.paper import QUIET, Paper, line_height
from captum_blocks.scene import Mark, Scene

SMALL = 7.5
TICK, SPACE = 0.03, 0.06
# Lengths a bar may have, in pixels; the longest that is at most half an icon is drawn.
LENGTHS = (4, 8, 16, 32, 64, 128, 256, 512)


def icon_scale(marks: Iterable[Mark], scene: Scene, side: float) -> Block:
    """A bar of a round number of pixels, at the size at which these marks' icons are printed.

    No height where the marks have no icons, or icons of several sizes.

    Args:
        marks: what is printed.
        scene: with their icons.
        side: of a printed icon, in inches.
    """
    sides = {scene.sprites[mark.sprite].pixels.shape[1] for mark in marks if mark.sprite}
    if len(sides) != 1:
        return gap(0)
    pixels = sides.pop()
    length = max((each for each in LENGTHS if each <= pixels / 2), default=pixels)

    def draw(paper: Paper, x: float, y: float) -> None:
        end, middle = x + side * length / pixels, y + line_height(SMALL) / 2
        paper.rule(x, middle, end - x, color=QUIET)
        for tick in (x, end):
            paper.rule(tick, middle - TICK, 0, 2 * TICK, color=QUIET)
        paper.text(end + SPACE, middle, f"{length} px", SMALL, color=QUIET, va="center_baseline")

    return Block(line_height(SMALL), draw)
