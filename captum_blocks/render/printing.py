"""What paper shows of a scene: one photograph at a time, and nothing that asks to be pointed at."""

from __future__ import annotations

import re
from dataclasses import replace

from captum_blocks.scene import (
    Below,
    Beside,
    Cells,
    Chapter,
    Layout,
    Panel,
    Scene,
    Section,
    Selection,
    panels_of,
)

Extent = tuple[float, float, float, float]
# How a sentence begins that tells a reader of a page what to do.
_ASKING = re.compile(r"(?:Point at|Click|Switch|Slide|Hover|Tap|Drag)\b")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def on_paper(words: str) -> str:
    """Words without the sentences that ask for what cannot be done on paper.

    >>> on_paper("Each row is a group. Point at one to see where it fires.")
    'Each row is a group.'
    """
    sentences = _SENTENCE_END.split(words)
    return " ".join(sentence for sentence in sentences if not _ASKING.match(sentence))


def printed_all(scene: Scene) -> list[Scene]:
    """The scene once for each photograph, that of the default state first.

    Chapters that are the same for all photographs are in the first one.
    """
    if scene.pictured is None or scene.photo is None:
        return [scene]
    first = scene.selection(scene.pictured).default
    others = [place for place in range(len(scene.photos)) if place != first]
    of_each = tuple(each for each in scene.chapters if _is_of(each, scene.pictured))
    rest = replace(scene, chapters=of_each)
    return [printed(scene), *(printed(rest, place) for place in others if of_each)]


def _is_of(chapter: Chapter, pictured: str) -> bool:
    """Whether a chapter changes with the photograph."""
    return any(pictured in panel.follows for panel in panels_of(chapter.body))


def printed(scene: Scene, place: int | None = None) -> Scene:
    """The scene with one photograph, that of the default state unless its place is given.

    The grids of a scene are given on its first photograph. On another one they lie on the same
    part of what the network saw of it.

    >>> from captum_blocks.scene import Scene
    >>> printed(Scene("Why?", "Because.", None, ())).photos
    ()
    """
    if scene.pictured is None or scene.photo is None:
        return scene
    chosen = scene.selection(scene.pictured)
    opened = chosen.default if place is None else place
    photo = scene.photos[opened]
    ends = (scene.photo.seen, photo.seen)

    def shown(selection: Selection) -> Selection:
        default = opened if selection is chosen else selection.default
        return replace(selection, extent=moved(selection.extent, *ends), default=default)

    return replace(
        scene,
        photo=photo,
        others=(),
        pictured=None,
        chapters=tuple(replace(each, body=_moved(each.body, *ends)) for each in scene.chapters),
        selections=tuple(map(shown, scene.selections)),
    )


def moved(extent: Extent, before: Extent, after: Extent) -> Extent:
    """The part of the extent ``after`` that ``extent`` is of ``before``.

    >>> moved((0.0, 0.25, 1.0, 0.75), (0.0, 0.25, 1.0, 0.75), (0.0, 0.0, 1.0, 1.0))
    (0.0, 0.0, 1.0, 1.0)
    """
    if before == after:
        return extent
    edges = (_edge(extent[i], before[i % 2 :: 2], after[i % 2 :: 2]) for i in range(4))
    top, left, bottom, right = edges
    return top, left, bottom, right


def _edge(edge: float, before: tuple[float, ...], after: tuple[float, ...]) -> float:
    share = (edge - before[0]) / (before[1] - before[0])
    return after[0] + share * (after[1] - after[0])


def _moved(layout: Layout, before: Extent, after: Extent) -> Layout:
    if isinstance(layout, Cells):
        return replace(layout, extent=moved(layout.extent, before, after))
    if isinstance(layout, Panel):
        return layout
    if isinstance(layout, Section):
        return replace(layout, body=_moved(layout.body, before, after))
    parts = tuple(_moved(part, before, after) for part in layout.parts)
    return Below(parts) if isinstance(layout, Below) else Beside(parts)
