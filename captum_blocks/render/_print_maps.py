"""Fields on paper: on the photograph, on an empty sheet, on small photographs side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from captum_blocks.render import inks, palette
from captum_blocks.render._blocks import Block, below, beside, paragraph
from captum_blocks.render._print_bars import SMALL, print_picture
from captum_blocks.render.paper import INK, LINE, QUIET, Paper, line_height, wrap
from captum_blocks.render.wording import number
from captum_blocks.scene import Field, Mark, Multiples, Overlay, Scene, Selection

WHOLE = (0.0, 0.0, 1.0, 1.0)
LARGE, NARROWEST_LEGEND = 2.6, 1.2
MULTIPLE, SPACE = 1.22, 0.12


def print_overlay(panel: Overlay, frame: Sequence[str], scene: Scene, width: float) -> Block:
    """Fields on the photograph or on a sheet, and what their colours mean."""
    fields = [scene.fields[name] for name in frame]
    bare = panel.bare or scene.photo is None
    side = min(LARGE, width)
    shown = _sheet(fields, side) if bare else photograph(scene, fields, side)
    picture = _outlined(shown, side, _spot(panel, scene, fields if bare else []))
    if width - side < NARROWEST_LEGEND:
        return below([picture, legend(fields, width, bare)], 0.05)
    words = legend(fields, width - side - 0.2, bare)
    return beside([picture, words], (side, width - side), 0.15)


def photograph(scene: Scene, fields: Sequence[Field], width: float) -> Block:
    """The photograph below fields, with a line around what the network saw of it."""
    assert scene.photo is not None
    pixels, seen = scene.photo.pixels, scene.photo.seen
    height = width * pixels.shape[0] / pixels.shape[1]

    def draw(paper: Paper, x: float, y: float) -> None:
        print_picture(paper, pixels, fields, (x, y, width, height))
        if seen != WHOLE:
            top, left, bottom, right = seen
            corner = (x + left * width, y + top * height)
            size = ((right - left) * width, (bottom - top) * height)
            paper.box(*corner, *size, fill=False, edgecolor="white", linewidth=0.6)

    return Block(height, draw)


def print_multiples(panel: Multiples, frame: Sequence[Mark], scene: Scene, width: float) -> Block:
    """Small photographs in lines, name and value below each, one scale below all."""
    marks = [mark for mark in frame if mark.field is not None]
    count = max(1, int((width + SPACE) / (MULTIPLE + SPACE)))
    each = min(MULTIPLE, width)
    signed = any((value or 0.0) < 0 for shown in panel.frames for m in shown for value in m.values)
    lines = [
        beside(
            [_multiple(mark, panel, scene, each, signed) for mark in marks[i : i + count]],
            [each] * len(marks[i : i + count]),
            SPACE,
        )
        for i in range(0, len(marks), count)
    ]
    scale = _shared_scale([scene.fields[mark.field] for mark in marks if mark.field is not None])
    return below([*lines, paragraph(scale, width, SMALL, color=QUIET)], 0.1)


def _multiple(mark: Mark, panel: Multiples, scene: Scene, width: float, signed: bool) -> Block:
    assert mark.field is not None
    fields = [scene.fields[mark.field]]
    picture = _sheet(fields, width) if scene.photo is None else photograph(scene, fields, width)
    values = ", ".join(number(value, signed) for value in mark.values)
    told = paragraph(f"{values} {panel.unit}".strip() if values else "", width, SMALL, color=QUIET)
    return below([picture, _entry_of(mark, width), told], 0.02)


def _entry_of(mark: Mark, width: float) -> Block:
    if mark.hue is None:
        return paragraph(mark.label, width, SMALL, most=2)
    return _entry(palette.group_colour(mark.hue), mark.label, width)


def _shared_scale(fields: Sequence[Field]) -> str:
    scales = {_scale_words(field) for field in fields}
    return f"maps from {scales.pop()}" if len(scales) == 1 else "each map has its own scale"


def _spot(panel: Overlay, scene: Scene, bare: Sequence[Field]) -> tuple[float, ...] | None:
    """The default cell of the selection, in fractions of what the picture shows."""
    selection = scene.placed([*panel.sets, panel.highlights])
    if selection is None:
        return None
    top, left, bottom, right = bare[0].extent if bare else WHOLE
    high, wide = bottom - top, right - left
    y, x, end_y, end_x = _cell(selection)
    return (y - top) / high, (x - left) / wide, (end_y - top) / high, (end_x - left) / wide


def _cell(spot: Selection) -> tuple[float, float, float, float]:
    assert spot.grid is not None
    rows, columns = spot.grid
    top, left, bottom, right = spot.extent
    row, column = divmod(spot.default, columns)
    high, wide = (bottom - top) / rows, (right - left) / columns
    y, x = top + row * high, left + column * wide
    return y, x, y + high, x + wide


def _outlined(picture: Block, width: float, spot: tuple[float, ...] | None) -> Block:
    """The picture with the cell that the selection is in by default."""
    if spot is None:
        return picture
    top, left, bottom, right = spot

    def draw(paper: Paper, x: float, y: float) -> None:
        picture.draw(paper, x, y)
        box = (x + left * width, y + top * picture.height)
        size = ((right - left) * width, (bottom - top) * picture.height)
        for colour, line in ((INK, 2.2), ("white", 1.1)):
            paper.box(*box, *size, fill=False, edgecolor=colour, linewidth=line)

    return Block(picture.height, draw)


def _sheet(fields: Sequence[Field], width: float) -> Block:
    """Fields on white, in the shape of their grid."""
    rows, columns = fields[0].values.shape
    height = width * rows / columns
    cells = [layer for layer, _ in inks.layers(fields, bare=True)]

    def draw(paper: Paper, x: float, y: float) -> None:
        paper.picture(np.ones((1, 1, 3)), x, y, width, height)
        for layer in cells:
            paper.picture(layer, x, y, width, height)
        paper.box(x, y, width, height, fill=False, edgecolor=LINE, linewidth=0.5)

    return Block(height, draw)


def legend(fields: Sequence[Field], width: float, bare: bool = False) -> Block:
    """Colours of fields in words, a line each, and their scale."""
    scales = [_scale_words(field) for field in fields]
    colours = [inks.field_colour(field, bare) for field in fields]
    shared = len(set(scales)) <= 1
    words = [
        field.label if shared else f"{field.label}: {scale}"
        for field, scale in zip(fields, scales, strict=True)
    ]
    entries = [_entry(colour, text, width) for colour, text in zip(colours, words, strict=True)]
    signs = [field.hue is None for field in fields if field.domain[0] < 0]
    if any(signs):
        entries.append(_entry(palette.OPPOSES, "below zero", width))
    notes = [*scales[:1]] if shared else []
    if not all(signs):
        notes.append("below zero: no colour")
    told = paragraph("; ".join(notes), width, SMALL, color=QUIET)
    return below([*entries, told], 0.02)


def _scale_words(field: Field) -> str:
    signed = field.domain[0] < 0
    low, high = (number(edge, signed) for edge in field.domain)
    return f"{low} to {high} {field.unit}".rstrip()


def _entry(colour: str, text: str, width: float) -> Block:
    lines = wrap(text, max(width - 0.13, 0.5), SMALL, most=3)

    def draw(paper: Paper, x: float, y: float) -> None:
        paper.box(x, y + 0.02, 0.08, 0.08, facecolor=colour)
        for i, line in enumerate(lines):
            paper.text(x + 0.13, y + i * line_height(SMALL), line, SMALL)

    return Block(line_height(SMALL) * len(lines), draw)
