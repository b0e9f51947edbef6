"""The scene as a printed figure: default states, every chapter below the one before."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from os import PathLike
from typing import Any

from matplotlib import rc_context, rcParams
from matplotlib.figure import Figure

from captum_blocks.errors import WrongType
from captum_blocks.render import palette
from captum_blocks.render._blocks import Block, below, beside, gap, paragraph
from captum_blocks.render._print_bars import SMALL, print_rows, print_tiles
from captum_blocks.render._print_cells import print_cells
from captum_blocks.render._print_histogram import print_histogram
from captum_blocks.render._print_maps import photograph, print_multiples, print_overlay
from captum_blocks.render._print_matrix import print_matrix
from captum_blocks.render._print_sankey import print_sankey
from captum_blocks.render.paper import QUIET, SIGNS, Paper, breadth, line_height
from captum_blocks.render.printing import on_paper, printed, printed_all
from captum_blocks.render.wording import choices, subject
from captum_blocks.scene import (
    Bars,
    Below,
    Cells,
    Chapter,
    Histogram,
    Layout,
    Matrix,
    Multiples,
    Overlay,
    Panel,
    Sankey,
    Scene,
    Section,
    Versus,
)

# What a user's defaults may not change: TeX would take labels for its commands, a layout engine or
# a cut of the edges would move what was measured; an id of any letters makes no valid SVG, and
# pictures in files of their own would be lost. (Not every matplotlib has every setting.)
_OWN: Any = {
    "text.usetex": False,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "savefig.bbox": "standard",
    "svg.id": None,
    "svg.image_inline": True,
}
OWN: Any = {name: setting for name, setting in _OWN.items() if name in rcParams}
WIDTH, MARGIN = 7.0, 0.15
TITLE, HEADING, SECTION, BODY = 14, 11, 9.5, 8.5
OPENING_PHOTO = 1.9
# In inches: pictures of pixels cannot be much higher.
HIGHEST = 240.0


def figure(scene: Scene, width: float = WIDTH, highest: float | None = None) -> Figure:
    """The scene as a matplotlib figure with vector text.

    Args:
        scene: drawn in the default state of its selections, for each of its photographs: below
            one another, for as many as there is room for; the others are named.
        width: in inches; the height follows from what there is to draw.
        highest: in inches: only the first chapters, as many as there is room for, and at least one.

    Returns:
        A figure that belongs to no window: save it as .png, .svg or .pdf.

    >>> from captum_blocks.scene import Scene
    >>> float(figure(Scene("Why?", "Because.", None, ())).get_figwidth())
    7.0
    """
    with rc_context(OWN):
        return _figure(scene, width) if highest is None else _beginning(scene, width, highest)


def save(scene: Scene, path: str | PathLike[str], dpi: int = 200) -> None:
    """The figure as a file, of the kind that the path's ending names.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save(Scene("Why?", "Because.", None, ()), f"{folder}/page.svg")
    """
    with rc_context(OWN):
        _figure(scene, WIDTH).savefig(path, dpi=dpi)


def _figure(scene: Scene, width: float) -> Figure:
    inner = width - 2 * MARGIN
    first, *others = printed_all(scene)
    parts = [_opening(first, inner), *_chapters(first, inner)]
    parts += _of_others(others, inner, HIGHEST - sum(part.height for part in parts))
    whole = below([*parts, _closing(scene, inner)], 0.22)
    paper = Paper(width, whole.height + 2 * MARGIN)
    whole.draw(paper, MARGIN, MARGIN)
    return paper.figure


def _beginning(scene: Scene, width: float, highest: float) -> Figure:
    scene, inner = printed(scene), width - 2 * MARGIN
    parts = [_opening(scene, inner)]
    for place, chapter in enumerate(scene.chapters):
        part = _chapter(chapter, scene, inner)
        if place and sum(each.height for each in parts) + part.height > highest:
            break
        parts.append(part)
    whole = below(parts, 0.22)
    paper = Paper(width, whole.height + 2 * MARGIN)
    whole.draw(paper, MARGIN, MARGIN)
    return paper.figure


def _chapters(scene: Scene, width: float) -> list[Block]:
    return [_chapter(chapter, scene, width) for chapter in scene.chapters]


def _of_others(scenes: Sequence[Scene], width: float, room: float) -> list[Block]:
    """The further photographs, each above its chapters; those without room by their names."""
    parts: list[Block] = []
    for place, scene in enumerate(scenes):
        part = below([_named_photo(scene, width), *_chapters(scene, width)], 0.22)
        room -= part.height
        if room < 0:
            names = ", ".join(each.photo.name for each in scenes[place:] if each.photo)
            return [*parts, paragraph(f"Not drawn for want of room: {names}.", width, BODY)]
        parts.append(part)
    return parts


def _named_photo(scene: Scene, width: float) -> Block:
    assert scene.photo is not None
    name = paragraph(scene.photo.name, width - OPENING_PHOTO - 0.2, TITLE, weight="bold")
    return beside([photograph(scene, (), OPENING_PHOTO), name], (OPENING_PHOTO, width), 0.2)


def _opening(scene: Scene, width: float) -> Block:
    if scene.photo is None:
        return _headline(scene, width)
    photo = photograph(scene, (), OPENING_PHOTO)
    rest = width - OPENING_PHOTO - 0.2
    return beside([photo, _headline(scene, rest)], (OPENING_PHOTO, rest), 0.2)


def _headline(scene: Scene, width: float) -> Block:
    title = paragraph(scene.title, width, TITLE, weight="bold")
    return below([title, paragraph(scene.answer, width, BODY + 1)], 0.06)


def _chapter(chapter: Chapter, scene: Scene, width: float) -> Block:
    def rule(paper: Paper, x: float, y: float) -> None:
        paper.rule(x, y, width)

    heading = paragraph(chapter.heading, width, HEADING, weight="bold")
    reading = paragraph(on_paper(chapter.reading), width, BODY, color=QUIET)
    said = paragraph(chapter.said, width, BODY, most=80, color=QUIET)
    body = _arranged(chapter.body, scene, width)
    return below([Block(0.04, rule), heading, reading, said, body], 0.05)


def _section(section: Section, scene: Scene, width: float) -> Block:
    heading = paragraph(section.heading, width, SECTION, weight="bold")
    reading = paragraph(on_paper(section.reading), width, BODY, color=QUIET)
    return below([heading, reading, _arranged(section.body, scene, width)], 0.05)


def _closing(scene: Scene, width: float) -> Block:
    words = "; ".join(f"{term}: {text}" for term, text in scene.footer)
    return paragraph(words, width, SMALL, most=20, color=QUIET)


def _arranged(layout: Layout, scene: Scene, width: float) -> Block:
    if isinstance(layout, Panel):
        return below([gap(0.02), *_described(layout, scene, width)], 0.04)
    if isinstance(layout, Section):
        return _section(layout, scene, width)
    if isinstance(layout, Below):
        return below([_arranged(part, scene, width) for part in layout.parts], 0.14)
    space = 0.25
    each = (width - space * (len(layout.parts) - 1)) / len(layout.parts)
    parts = [_arranged(part, scene, each) for part in layout.parts]
    return beside(parts, [each] * len(parts), space)


def _described(panel: Panel, scene: Scene, width: float) -> list[Block]:
    return [
        _entitled(panel, width),
        paragraph(subject(panel, scene), width, SMALL, weight="bold"),
        paragraph(on_paper(panel.caption), width, SMALL, color=QUIET),
        paragraph(choices(panel, scene), width, SMALL),
        draw_panel(panel, scene, width),
        paragraph(panel.left_out, width, SMALL, color=QUIET),
        paragraph(_told(panel, scene), width, SMALL, color=QUIET),
    ]


def _entitled(panel: Panel, width: float) -> Block:
    """The title and, on its line where there is room, how far the panel is to be believed."""
    title = paragraph(panel.title, width, BODY, weight="bold")
    if panel.sign is None:
        return title
    said = paragraph(f"{SIGNS[panel.sign.level]} {panel.sign.name}", width, SMALL, color=QUIET)
    named = breadth(panel.title, BODY, weight="bold") + 0.12
    if named + breadth(panel.sign.name, SMALL) + 0.2 > width:
        return below([title, said])
    return beside([title, said], (named, width - named), 0.0)


def _told(panel: Panel, scene: Scene) -> str:
    """What holds in the frame that is drawn."""
    return panel.told[scene.default_frame(panel)] if panel.told else ""


@singledispatch
def draw_panel(panel: Panel, scene: Scene, width: float) -> Block:
    """A panel as a block; a new kind registers itself with ``@draw_panel.register``."""
    raise WrongType(
        f"no printed form for a panel of type {type(panel).__name__}; "
        "add one with captum_blocks.render.kinds.add_panel"
    )


@draw_panel.register
def _bars(panel: Bars, scene: Scene, width: float) -> Block:
    frame = panel.frames[scene.default_frame(panel)]
    draw = print_rows if panel.arrangement == "rows" else print_tiles
    return below([_signs(panel), draw(panel, frame, scene, width)], 0.03)


@draw_panel.register
def _versus(panel: Versus, scene: Scene, width: float) -> Block:
    return draw_panel(panel.bars, scene, width)


@draw_panel.register
def _overlay(panel: Overlay, scene: Scene, width: float) -> Block:
    return print_overlay(panel, panel.frames[scene.default_frame(panel)], scene, width)


@draw_panel.register
def _multiples(panel: Multiples, scene: Scene, width: float) -> Block:
    return print_multiples(panel, panel.frames[scene.default_frame(panel)], scene, width)


@draw_panel.register
def _matrix(panel: Matrix, scene: Scene, width: float) -> Block:
    return print_matrix(panel, panel.frames[scene.default_frame(panel)], scene, width)


@draw_panel.register
def _histogram(panel: Histogram, scene: Scene, width: float) -> Block:
    return print_histogram(panel, scene.default_frame(panel), width)


@draw_panel.register
def _cells(panel: Cells, scene: Scene, width: float) -> Block:
    return print_cells(panel, panel.frames[scene.default_frame(panel)], scene, width)


@draw_panel.register
def _sankey(panel: Sankey, scene: Scene, width: float) -> Block:
    return print_sankey(panel, panel.frames[scene.default_frame(panel)], scene, width)


def _signs(panel: Bars) -> Block:
    if not panel.is_signed:
        return gap(0)

    def draw(paper: Paper, x: float, y: float) -> None:
        for colour, word in ((palette.SUPPORTS, "supports"), (palette.OPPOSES, "opposes")):
            paper.box(x, y + 0.02, 0.08, 0.08, facecolor=colour)
            paper.text(x + 0.12, y, word, SMALL)
            x += 0.7

    return Block(line_height(SMALL), draw)
