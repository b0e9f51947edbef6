"""A mosaic of icons on paper: the cells of a layer's grid, and the chosen one enlarged beside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from captum_blocks.render import inks
from captum_blocks.render._blocks import Block, below, beside, paragraph
from captum_blocks.render._print_maps import legend
from captum_blocks.render._print_scale import icon_scale
from captum_blocks.render.paper import INK, LINE, QUIET, Paper
from captum_blocks.scene import Cell, Cells, Field, Scene

SMALL = 7.5
WIDEST, LENS, SPACE = 3.0, 0.98, 0.15
# The pixels of the widest mosaic; no cell needs more than its icon has.
MOSAIC_PIXELS, CELL_PIXELS = 1280, 128
EMPTY = (244, 245, 247)
# Where there is no picture, its size is still told, quietly.
GHOST = (229, 230, 232)
# How much of its ink a field has over cells, so that their pictures stay readable.
TINT = 0.62


def print_cells(panel: Cells, frame: Sequence[Cell], scene: Scene, width: float) -> Block:
    """The mosaic in the shape of the photograph, the default cell outlined and enlarged."""
    side = min(WIDEST, width)
    spot = spot_of(panel, scene)
    names = panel.tints[scene.default_frame(panel)] if panel.tints else ()
    tints = [scene.fields[name] for name in names]
    mosaic = _mosaic(panel, frame, scene, side, spot, tints)
    if tints:
        mosaic = below([mosaic, legend(tints, side)], 0.05)
    rest = width - side - SPACE
    if rest < LENS:
        return below([mosaic, _lens(frame[spot], scene, width)], 0.05)
    return beside([mosaic, _lens(frame[spot], scene, rest)], (side, rest), SPACE)


def spot_of(panel: Cells, scene: Scene) -> int:
    """The cell chosen by default: the selection's; where there is no selection, the largest."""
    selection = scene.placed([panel.highlights, *panel.sets])
    if selection is not None and selection.grid == panel.grid:
        return selection.default
    sizes = [cell.size for cell in panel.frames[0]]
    return sizes.index(max(sizes))


def drawn(panel: Cells, frame: Sequence[Cell], scene: Scene, aspect: float) -> np.ndarray:
    """The cells as one picture (y, x, rgb), quiet where there is no icon.

    Args:
        panel: whose grid it is.
        frame: its cells, row by row.
        scene: with the icons.
        aspect: width of the whole over its height.
    """
    rows, columns = panel.grid
    wide = min(CELL_PIXELS, MOSAIC_PIXELS // columns)
    high = max(1, round(wide * columns / (rows * aspect)))
    canvas = np.full((rows * high, columns * wide, 3), EMPTY, np.uint8)
    for index, cell in enumerate(frame):
        size = (round(wide * cell.size**0.5), round(high * cell.size**0.5))
        if min(size) < 1:
            continue
        top = (index // columns) * high + (high - size[1]) // 2
        left = (index % columns) * wide + (wide - size[0]) // 2
        canvas[top : top + size[1], left : left + size[0]] = _pixels(cell, scene, size)
    return canvas


def _pixels(cell: Cell, scene: Scene, size: tuple[int, int]) -> np.ndarray:
    if cell.mark.sprite is None:
        return np.array(GHOST, np.uint8)
    icon = Image.fromarray(scene.sprites[cell.mark.sprite].pixels)
    return np.asarray(icon.resize(size, Image.Resampling.LANCZOS))


def _mosaic(
    panel: Cells,
    frame: Sequence[Cell],
    scene: Scene,
    width: float,
    spot: int,
    tints: Sequence[Field],
) -> Block:
    aspect = _aspect(panel, scene)
    height = width / aspect
    rows, columns = panel.grid
    picture = drawn(panel, frame, scene, aspect)

    def draw(paper: Paper, x: float, y: float) -> None:
        paper.picture(picture, x, y, width, height)
        for ink, _ in inks.layers(tints):
            paper.picture(ink * (1, 1, 1, TINT), x, y, width, height)
        row, column = divmod(spot, columns)
        corner = (x + column * width / columns, y + row * height / rows)
        cell = (width / columns, height / rows)
        for colour, line in ((INK, 2.2), ("white", 1.1)):
            paper.box(*corner, *cell, fill=False, edgecolor=colour, linewidth=line)

    return Block(height, draw)


def _aspect(panel: Cells, scene: Scene) -> float:
    """Width over height of the part of the photograph that the grid covers."""
    if scene.photo is None:
        return panel.grid[1] / panel.grid[0]
    top, left, bottom, right = panel.extent
    height, width = scene.photo.pixels.shape[:2]
    return float((right - left) * width / ((bottom - top) * height))


def _lens(cell: Cell, scene: Scene, width: float) -> Block:
    def draw(paper: Paper, x: float, y: float) -> None:
        if cell.mark.sprite is None:
            paper.box(x, y, LENS, LENS, fill=False, edgecolor=LINE, linewidth=0.5, linestyle="--")
        else:
            paper.icon(scene, cell.mark.sprite, x, y, LENS)

    words = paragraph(cell.mark.detail or cell.mark.label, width, SMALL, color=QUIET)
    return below([Block(LENS, draw), icon_scale([cell.mark], scene, LENS), words], 0.05)
