"""The scene as a printed figure: default states, every chapter below the one before."""

from __future__ import annotations

from functools import singledispatch

from matplotlib.figure import Figure

from captum_blocks.errors import WrongType
from captum_blocks.render import inks, palette
from captum_blocks.render._blocks import Block, below, beside, gap, paragraph
from captum_blocks.render._print_bars import SMALL, print_picture, print_rows, print_tiles
from captum_blocks.render._print_cells import print_cells
from captum_blocks.render._print_sankey import print_sankey
from captum_blocks.render.paper import INK, QUIET, Paper, line_height, wrap
from captum_blocks.render.wording import number
from captum_blocks.scene import (
    Bars,
    Below,
    Cells,
    Chapter,
    Field,
    Layout,
    Overlay,
    Panel,
    Sankey,
    Scene,
    Selection,
)

WIDTH, MARGIN = 7.0, 0.15
WHOLE = (0.0, 0.0, 1.0, 1.0)
TITLE, HEADING, BODY = 14, 11, 8.5
OPENING_PHOTO, OVERLAY_PHOTO, NARROWEST_LEGEND = 1.9, 2.6, 1.2


def figure(scene: Scene, width: float = WIDTH) -> Figure:
    """The scene as a matplotlib figure with vector text.

    Args:
        scene: drawn in the default state of its selections.
        width: in inches; the height follows from what there is to draw.

    Returns:
        A figure that belongs to no window: save it as .png, .svg or .pdf.

    >>> from captum_blocks.scene import Scene
    >>> float(figure(Scene("Why?", "Because.", None, ())).get_figwidth())
    7.0
    """
    inner = width - 2 * MARGIN
    chapters = [_chapter(chapter, scene, inner) for chapter in scene.chapters]
    whole = below([_opening(scene, inner), *chapters, _closing(scene, inner)], 0.22)
    paper = Paper(width, whole.height + 2 * MARGIN)
    whole.draw(paper, MARGIN, MARGIN)
    return paper.figure


def _opening(scene: Scene, width: float) -> Block:
    if scene.photo is None:
        return _headline(scene, width)
    photo = _picture(scene, (), OPENING_PHOTO)
    rest = width - OPENING_PHOTO - 0.2
    return beside([photo, _headline(scene, rest)], (OPENING_PHOTO, rest), 0.2)


def _headline(scene: Scene, width: float) -> Block:
    title = paragraph(scene.title, width, TITLE, weight="bold")
    return below([title, paragraph(scene.answer, width, BODY + 1)], 0.06)


def _chapter(chapter: Chapter, scene: Scene, width: float) -> Block:
    def rule(paper: Paper, x: float, y: float) -> None:
        paper.rule(x, y, width)

    heading = paragraph(chapter.heading, width, HEADING, weight="bold")
    reading = paragraph(chapter.reading, width, BODY, color=QUIET)
    body = _arranged(chapter.body, scene, width)
    return below([Block(0.04, rule), heading, reading, body], 0.05)


def _closing(scene: Scene, width: float) -> Block:
    words = "; ".join(f"{term}: {text}" for term, text in scene.footer)
    return paragraph(words, width, SMALL, most=20, color=QUIET)


def _arranged(layout: Layout, scene: Scene, width: float) -> Block:
    if isinstance(layout, Panel):
        return below([gap(0.02), *_described(layout, scene, width)], 0.04)
    if isinstance(layout, Below):
        return below([_arranged(part, scene, width) for part in layout.parts], 0.14)
    space = 0.25
    each = (width - space * (len(layout.parts) - 1)) / len(layout.parts)
    parts = [_arranged(part, scene, each) for part in layout.parts]
    return beside(parts, [each] * len(parts), space)


def _described(panel: Panel, scene: Scene, width: float) -> list[Block]:
    return [
        paragraph(panel.title, width, BODY, weight="bold"),
        paragraph(panel.caption, width, SMALL, color=QUIET),
        draw_panel(panel, scene, width),
        paragraph(panel.left_out, width, SMALL, color=QUIET),
    ]


@singledispatch
def draw_panel(panel: Panel, scene: Scene, width: float) -> Block:
    """A panel as a block; a new kind registers itself with ``@draw_panel.register``."""
    raise WrongType(
        f"no printed form for a panel of type {type(panel).__name__}; "
        "add one with @draw_panel.register"
    )


@draw_panel.register
def _bars(panel: Bars, scene: Scene, width: float) -> Block:
    frame = panel.frames[scene.default_frame(panel)]
    draw = print_rows if panel.arrangement == "rows" else print_tiles
    return below([_signs(panel), draw(panel, frame, scene, width)], 0.03)


@draw_panel.register
def _overlay(panel: Overlay, scene: Scene, width: float) -> Block:
    fields = [scene.fields[name] for name in panel.frames[scene.default_frame(panel)]]
    side = min(OVERLAY_PHOTO, width)
    picture = _outlined(_picture(scene, fields, side), side, _spot(panel, scene))
    if width - side < NARROWEST_LEGEND:
        return below([picture, _legend(fields, width)], 0.05)
    legend = _legend(fields, width - side - 0.2)
    return beside([picture, legend], (side, width - side), 0.15)


@draw_panel.register
def _cells(panel: Cells, scene: Scene, width: float) -> Block:
    return print_cells(panel, panel.frames[scene.default_frame(panel)], scene, width)


@draw_panel.register
def _sankey(panel: Sankey, scene: Scene, width: float) -> Block:
    return print_sankey(panel, panel.frames[scene.default_frame(panel)], scene, width)


def _spot(panel: Overlay, scene: Scene) -> Selection | None:
    name = panel.sets or panel.highlights
    selection = scene.selection(name) if name else None
    return selection if selection and selection.grid else None


def _cell(spot: Selection) -> tuple[float, float, float, float]:
    assert spot.grid is not None
    rows, columns = spot.grid
    top, left, bottom, right = spot.extent
    row, column = divmod(spot.default, columns)
    high, wide = (bottom - top) / rows, (right - left) / columns
    y, x = top + row * high, left + column * wide
    return y, x, y + high, x + wide


def _outlined(picture: Block, width: float, spot: Selection | None) -> Block:
    """The picture with the cell that the selection is in by default."""
    if spot is None:
        return picture
    top, left, bottom, right = _cell(spot)

    def draw(paper: Paper, x: float, y: float) -> None:
        picture.draw(paper, x, y)
        box = (x + left * width, y + top * picture.height)
        size = ((right - left) * width, (bottom - top) * picture.height)
        for colour, line in ((INK, 2.2), ("white", 1.1)):
            paper.box(*box, *size, fill=False, edgecolor=colour, linewidth=line)

    return Block(picture.height, draw)


def _picture(scene: Scene, fields: tuple[Field, ...] | list[Field], width: float) -> Block:
    if scene.photo is None:
        rows, columns = fields[0].values.shape
        pixels = inks.ground(inks.blank(rows, columns))
    else:
        pixels = scene.photo.pixels
    height = width * pixels.shape[0] / pixels.shape[1]
    seen = scene.photo.seen if scene.photo else WHOLE

    def draw(paper: Paper, x: float, y: float) -> None:
        print_picture(paper, pixels, fields, (x, y, width, height))
        if seen != WHOLE:
            top, left, bottom, right = seen
            corner = (x + left * width, y + top * height)
            size = ((right - left) * width, (bottom - top) * height)
            paper.box(*corner, *size, fill=False, edgecolor="white", linewidth=0.6)

    return Block(height, draw)


def _legend(fields: list[Field], width: float) -> Block:
    scales = [_scale_words(field) for field in fields]
    if len(set(scales)) > 1:
        words = [f"{field.label}: {scale}" for field, scale in zip(fields, scales, strict=True)]
        return below([_entry(f, text, width) for f, text in zip(fields, words, strict=True)], 0.02)
    entries = [_entry(field, field.label, width) for field in fields]
    shared = paragraph("".join(scales[:1]), width, SMALL, color=QUIET)
    return below([*entries, shared], 0.02)


def _scale_words(field: Field) -> str:
    signed = field.domain[0] < 0
    low, high = (number(edge, signed) for edge in field.domain)
    return f"{low} to {high} {field.unit}".rstrip()


def _entry(field: Field, text: str, width: float) -> Block:
    lines = wrap(text, max(width - 0.13, 0.5), SMALL, most=3)

    def draw(paper: Paper, x: float, y: float) -> None:
        paper.box(x, y + 0.02, 0.08, 0.08, facecolor=inks.field_colour(field))
        for i, line in enumerate(lines):
            paper.text(x + 0.13, y + i * line_height(SMALL), line, SMALL)

    return Block(line_height(SMALL) * len(lines), draw)


def _signs(panel: Bars) -> Block:
    if not panel.is_signed:
        return gap(0)

    def draw(paper: Paper, x: float, y: float) -> None:
        for colour, word in ((palette.SUPPORTS, "supports"), (palette.OPPOSES, "opposes")):
            paper.box(x, y + 0.02, 0.08, 0.08, facecolor=colour)
            paper.text(x + 0.12, y, word, SMALL)
            x += 0.7

    return Block(line_height(SMALL), draw)
