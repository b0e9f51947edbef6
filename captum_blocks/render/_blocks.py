"""Rectangles of known height that draw themselves: what a printed figure is stacked from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from captum_blocks.render.paper import Paper, line_height, wrap

Draw = Callable[[Paper, float, float], None]


@dataclass(frozen=True)
class Block:
    """A height in inches, and how to draw it with its upper left corner at (x, y)."""

    height: float
    draw: Draw


def gap(height: float) -> Block:
    """Nothing, of a height."""
    return Block(height, lambda paper, x, y: None)


def paragraph(text: str, width: float, size: float, most: int = 12, **style: Any) -> Block:
    """Wrapped text; no height where there is no text."""
    if not text.strip():
        return gap(0)
    font = {name: style[name] for name in ("weight", "family") if name in style}
    lines = wrap(text, width, size, most, **font)

    def draw(paper: Paper, x: float, y: float) -> None:
        for number, line in enumerate(lines):
            paper.text(x, y + number * line_height(size), line, size, **style)

    return Block(len(lines) * line_height(size), draw)


def below(blocks: Sequence[Block], space: float = 0.0) -> Block:
    """Blocks from top to bottom; empty ones leave no space."""
    kept = [block for block in blocks if block.height > 0]
    height = sum(block.height for block in kept) + space * max(0, len(kept) - 1)

    def draw(paper: Paper, x: float, y: float) -> None:
        for block in kept:
            block.draw(paper, x, y)
            y += block.height + space

    return Block(height, draw)


def beside(blocks: Sequence[Block], widths: Sequence[float], space: float = 0.0) -> Block:
    """Blocks from left to right, upper edges aligned."""

    def draw(paper: Paper, x: float, y: float) -> None:
        for block, width in zip(blocks, widths, strict=True):
            block.draw(paper, x, y)
            x += width + space

    return Block(max((block.height for block in blocks), default=0.0), draw)
