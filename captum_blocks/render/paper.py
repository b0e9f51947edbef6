"""A sheet measured in inches from its upper left corner, and text that fits a width on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import TextToPath

from captum_blocks.errors import legible
from captum_blocks.render.fonts import families
from captum_blocks.scene import Scene

POINTS = 72
LEADING = 1.32
INK, QUIET, LINE = "#1b1d21", "#5c626b", "#c9cdd3"
LONGEST_WORD = 40
# How far an icon is to be believed, by its level: told by shape.
SIGNS = {"clear": "○", "doubtful": "◐", "refuted": "×", "unknown": "?"}


class Paper:
    """A figure with one invisible pair of axes whose unit is the inch, y downwards."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height), facecolor="white")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_autoscale_on(False)
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(height, 0)

    def text(self, x: float, y: float, text: str, size: float, **style: Any) -> None:
        """A line of text with its upper edge at ``y``."""
        text = legible(text)
        style = {"color": INK, "va": "top", "fontfamily": list(families(text))} | style
        self.axes.text(x, y, text, fontsize=size, parse_math=False, usetex=False, **style)

    def picture(self, pixels: np.ndarray, x: float, y: float, width: float, height: float) -> None:
        """Pixels as they are, cells as cells."""
        extent = (x, x + width, y + height, y)
        self.axes.imshow(pixels, extent=extent, aspect="auto", interpolation="nearest")

    def icon(self, scene: Scene, sprite: str, x: float, y: float, side: float) -> None:
        """A square picture, with the mark of how far it is to be believed in its corner."""
        self.picture(scene.sprites[sprite].pixels, x, y, side, side)
        sign = scene.signs.get(sprite)
        if sign is not None and scene.sprites[sprite].drawn:
            far, radius = 0.02, min(0.055, side / 5)
            self.sign(SIGNS[sign.level], x + side - radius - far, y + radius + far, radius)

    def sign(self, letter: str, x: float, y: float, radius: float) -> None:
        """A letter in a disc about a point."""
        self.axes.add_patch(Circle((x, y), radius, facecolor="white", alpha=0.88, linewidth=0))
        size = 1.5 * radius * POINTS
        style: dict[str, Any] = {"va": "center_baseline", "ha": "center"}
        style["fontfamily"] = list(families(letter))
        self.axes.text(x, y, letter, fontsize=size, color=INK, parse_math=False, **style)

    def box(self, x: float, y: float, width: float, height: float, **style: Any) -> None:
        """A rectangle; a negative width grows to the left."""
        self.axes.add_patch(Rectangle((x, y), width, height, **({"linewidth": 0} | style)))

    def ribbon(
        self, start: tuple[float, float], end: tuple[float, float], width: float, **style: Any
    ) -> None:
        """A band of this height from (x, y) to (x, y), level at both ends."""
        (left, top), (right, bottom) = start, end
        middle = (left + right) / 2
        points = [start, (middle, top), (middle, bottom), end, (right, bottom + width)]
        points += [(middle, bottom + width), (middle, top + width), (left, top + width), start]
        codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
        self.axes.add_patch(PathPatch(Path(points, codes), **({"linewidth": 0} | style)))

    def rule(self, x: float, y: float, width: float, height: float = 0, **style: Any) -> None:
        """A hairline."""
        shown: dict[str, Any] = {"color": LINE, "linewidth": 0.5} | style
        self.axes.plot([x, x + width], [y, y + height], **shown)


def wrap(text: str, width: float, size: float, most: int = 12, **font: Any) -> list[str]:
    """Text in lines of at most ``width`` inches; what is beyond ``most`` lines becomes an ellipsis.

    >>> wrap("one two", 10, 8)
    ['one two']
    """
    lines = [""]
    for word in _words(text):
        longer = f"{lines[-1]} {word}".strip()
        if breadth(longer, size, **font) <= width or not lines[-1]:
            lines[-1] = longer
        elif len(lines) == most:
            lines[-1] = _cut(lines[-1], width, size, font)
            break
        else:
            lines.append(word)
    return lines


def breadth(text: str, size: float, **font: Any) -> float:
    """The width of a line of text in inches."""
    return _breadth(legible(text), size, tuple(sorted(font.items())))


def line_height(size: float) -> float:
    """The height of a line of text in inches."""
    return size * LEADING / POINTS


@cache
def _breadth(text: str, size: float, font: tuple[tuple[str, Any], ...]) -> float:
    properties = FontProperties(**{"family": list(families(text)), **dict(font)}, size=size)
    points, _, _ = TextToPath().get_text_width_height_descent(text, properties, ismath=False)
    return float(points) / POINTS


def _words(text: str) -> Sequence[str]:
    words = []
    for word in text.split():
        words += [word[i : i + LONGEST_WORD] for i in range(0, len(word), LONGEST_WORD)]
    return words


def _cut(line: str, width: float, size: float, font: dict[str, Any]) -> str:
    while line and breadth(line + " …", size, **font) > width:
        line = line[:-1]
    return line + " …"
