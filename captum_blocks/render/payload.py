"""A scene as plain data that a script can read: every repeated thing is stored once."""

from __future__ import annotations

from base64 import b64encode
from functools import singledispatch
from typing import Any

import numpy as np

from captum_blocks.errors import WrongType
from captum_blocks.render import flows, palette
from captum_blocks.render.galleries import pack_galleries
from captum_blocks.render.pictures import pack_field, photo_uri, sheets
from captum_blocks.render.wording import in_brief
from captum_blocks.scene import (
    Bars,
    Cells,
    Contest,
    Histogram,
    Mark,
    Matrix,
    Multiples,
    Overlay,
    Panel,
    Photo,
    Sankey,
    Scene,
    Selection,
    Sprite,
    Switched,
    Versus,
)

VERSION = 1
DIGITS = 5


class _Pool:
    """Distinct things in the order of their first appearance."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._places: dict[Any, int] = {}

    def place(self, key: Any, item: Any) -> int:
        if key not in self._places:
            self._places[key] = len(self.items)
            self.items.append(item)
        return self._places[key]


class _Marks:
    """Atoms (what a mark is) and marks (an atom with values), each pooled."""

    def __init__(self) -> None:
        self.atoms, self.marks = _Pool(), _Pool()

    def place(self, mark: Mark) -> int:
        identity = (mark.key, mark.label, mark.sprite, mark.field, mark.hue, mark.role)
        lent = () if mark.lent is None else (mark.lent.sprite, mark.lent.words)
        besides = [list(lent) or None, mark.gallery]
        while besides and besides[-1] is None:
            besides.pop()
        atom = self.atoms.place((*identity, lent, mark.gallery), [*identity, *besides])
        values = [_rounded(value) for value in mark.values]
        item: list[Any] = [atom, values, mark.detail]
        if mark.ticks or mark.spans:
            item.append([_rounded(tick) for tick in mark.ticks])
        if mark.spans:
            item.append([span and list(map(_rounded, span)) for span in mark.spans])
        return self.marks.place((atom, mark.values, mark.detail, mark.ticks, mark.spans), item)


def payload(scene: Scene) -> dict[str, Any]:
    """Everything the page's script needs, as JSON scalars, lists and dicts.

    Raises:
        WrongType: a panel of a kind that has no form on a page.
    """
    marks = _Marks()
    panels = [pack_panel(panel, marks) for panel in scene.panels()]
    made, places = sheets(scene.sprites)
    return {
        "version": VERSION,
        "photos": [_pack_photo(photo, scene) for photo in scene.photos],
        "pictured": scene.pictured,
        "panels": panels,
        "atoms": marks.atoms.items,
        "marks": marks.marks.items,
        "sheets": made,
        "sprites": {
            name: [*places.get(name, (None, None)), *pack_words(sprite)]
            for name, sprite in scene.sprites.items()
        },
        **pack_galleries(scene),
        "signs": pack_signs(scene),
        "fields": {name: pack_field(field) for name, field in scene.fields.items()},
        "selections": [_pack_selection(selection) for selection in scene.selections],
        "palette": {
            "groups": [list(palette.rgb(colour)) for colour in palette.GROUPS],
            "supports": list(palette.rgb(palette.SUPPORTS)),
            "opposes": list(palette.rgb(palette.OPPOSES)),
            "presence": list(palette.rgb(palette.PRESENCE)),
            "neutral": list(palette.rgb(palette.NEUTRAL)),
        },
    }


def pack_words(sprite: Sprite) -> list[Any]:
    """What is told of an icon: its label, and how it was made."""
    return [sprite.label, [list(pair) for pair in sprite.details]]


def pack_signs(scene: Scene) -> dict[str, list[str]]:
    """How far icons are to be believed: level, its name and the words behind it, by icon."""
    return {name: [sign.level, sign.name, sign.words] for name, sign in scene.signs.items()}


def packed_alone(panel: Panel) -> dict[str, Any]:
    """A panel as data, with the atoms and marks it names."""
    marks = _Marks()
    packed = pack_panel(panel, marks)
    return {**packed, "atoms": marks.atoms.items, "marks": marks.marks.items}


@singledispatch
def pack_panel(panel: Panel, marks: Any) -> dict[str, Any]:
    """A panel as data; a new kind registers itself with ``@pack_panel.register``."""
    raise WrongType(
        f"no page form for a panel of type {type(panel).__name__}; "
        "add one with captum_blocks.render.kinds.add_panel"
    )


@pack_panel.register
def _bars(panel: Bars, marks: Any) -> dict[str, Any]:
    ticked = {"ticked": panel.ticked} if panel.is_ticked else {}
    spanned = {"spanned": panel.spanned} if panel.spanned else {}
    packed = {
        "columns": list(panel.columns),
        "domain": [float(edge) for edge in panel.domain],
        "signed": panel.is_signed,
        "arrangement": panel.arrangement,
        "maps": panel.maps,
        "frames": [[marks.place(mark) for mark in frame] for frame in panel.frames],
    }
    switched = (
        {"switched": [_pack_table(each) for each in panel.switched]} if panel.switched else {}
    )
    return common("bars", panel) | packed | ticked | spanned | switched


@pack_panel.register
def _versus(panel: Versus, marks: Any) -> dict[str, Any]:
    return common("versus", panel) | {
        "classes": list(panel.classes),
        # All of them need not be counted.
        "choices": None if len(panel.choices) == len(panel.classes) else list(panel.choices),
        "pair": list(panel.pair),
        "head": panel.head,
        "where": panel.where,
        "frames": [[marks.place(mark) for mark in frame] for frame in panel.frames],
        "contests": [_pack_contest(each) for each in panel.contests],
    }


def _pack_contest(contest: Contest) -> dict[str, Any]:
    table = None if contest.table is None else _pack_table(contest.table)
    return {
        "effects": _pack_numbers(contest.effects),
        "scores": _pack_numbers(contest.scores[None]),
        "removed": _pack_numbers(contest.removed),
        "edited": _pack_numbers(contest.edited),
        "regions": list(contest.regions),
        "table": table,
        # All classes in their own order need not be counted.
        "tabled": None if len(contest.tabled) == len(contest.scores) else list(contest.tabled),
    }


def _pack_numbers(numbers: np.ndarray) -> dict[str, Any]:
    """Rows of 32-bit numbers."""
    packed = b64encode(numbers.astype("<f4").tobytes()).decode("ascii")
    return {"rows": len(numbers), "numbers": packed}


def _pack_table(table: Switched) -> dict[str, Any]:
    """Scores as bytes: 32-bit numbers, row after row, each with its rest behind it."""
    rows = np.column_stack([table.scores, table.rest]).astype("<f4")
    return {
        "selection": table.selection,
        "keys": list(table.keys),
        "names": list(table.names),
        "head": table.head,
        "scores": b64encode(rows.tobytes()).decode("ascii"),
    }


@pack_panel.register
def _overlay(panel: Overlay, marks: Any) -> dict[str, Any]:
    frames = [list(frame) for frame in panel.frames]
    return common("overlay", panel) | {
        "stage": panel.on_stage,
        "bare": panel.bare,
        "frames": frames,
    }


@pack_panel.register
def _multiples(panel: Multiples, marks: Any) -> dict[str, Any]:
    drawn = [[mark for mark in frame if mark.field is not None] for frame in panel.frames]
    frames = [[marks.place(mark) for mark in frame] for frame in drawn]
    return common("multiples", panel) | {"frames": frames}


@pack_panel.register
def _matrix(panel: Matrix, marks: Any) -> dict[str, Any]:
    return common("matrix", panel) | {
        "columns": list(panel.columns),
        "domain": [float(edge) for edge in panel.domain],
        "signed": panel.is_signed,
        "style": panel.style,
        "frames": [[marks.place(mark) for mark in frame] for frame in panel.frames],
    }


@pack_panel.register
def _histogram(panel: Histogram, marks: Any) -> dict[str, Any]:
    marked = [list(map(_rounded, values)) for values in panel.marked]
    return (
        common("histogram", panel)
        | ({"marked": marked} if marked else {})
        | {
            "edges": [float(edge) for edge in panel.edges],
            "columns": list(panel.columns),
            "frames": [[list(counts) for counts in frame] for frame in panel.frames],
            "counted": panel.counted,
        }
    )


@pack_panel.register
def _cells(panel: Cells, marks: Any) -> dict[str, Any]:
    return common("cells", panel) | {
        "grid": list(panel.grid),
        "extent": [float(edge) for edge in panel.extent],
        "frames": [[marks.place(cell.mark) for cell in frame] for frame in panel.frames],
        "tints": [list(names) for names in panel.tints],
        "sizes": [[_rounded(cell.size) for cell in frame] for frame in panel.frames],
    }


@pack_panel.register
def _sankey(panel: Sankey, marks: Any) -> dict[str, Any]:
    thickness = [
        {key: _rounded(size) for key, size in held.items()} for held in flows.thickness(panel)
    ]
    return common("sankey", panel) | {
        "titles": list(panel.titles),
        "thickness": thickness,
        "whole": flows.whole(panel),
        "step": flows.scale_step(panel),
        "least": panel.least,
        "frames": [
            {
                "sides": [
                    [marks.place(mark) for mark in side] for side in (frame.left, frame.right)
                ],
                "bands": [_pack_band(band) for band in flows.bands(frame.flows)],
            }
            for frame in panel.frames
        ],
    }


def _pack_band(band: flows.Band) -> list[Any]:
    flow = band.flow
    sizes = [_rounded(size) for size in (flow.value, band.start, band.end)]
    return [flow.source, flow.target, *sizes, flow.detail]


def common(kind: str, panel: Panel) -> dict[str, Any]:
    """What the data of every panel has."""
    notes = ("; ".join(filter(None, (panel.left_out, each))) for each in panel.told)
    told = {"told": list(map(in_brief, notes))} if panel.told else {}
    return told | {
        "kind": kind,
        "title": panel.title,
        "unit": panel.unit,
        "follows": list(panel.follows),
        "sets": list(panel.sets),
        "highlights": panel.highlights,
    }


def _pack_photo(photo: Photo, scene: Scene) -> dict[str, Any]:
    # The first photograph stands in the page's own text.
    src = None if photo is scene.photo else photo_uri(photo.pixels)
    whole = None if photo.whole is None else photo_uri(photo.whole)
    return {
        "name": photo.name,
        "seen": [float(edge) for edge in photo.seen],
        "src": src,
        "whole": whole,
    }


def _pack_selection(selection: Selection) -> dict[str, Any]:
    # Places are pointed at; a list or a slider of places is one of names.
    spatial = selection.grid is not None and selection.gesture in ("hover", "click")
    return {
        "name": selection.name,
        "gesture": selection.gesture,
        "atom": selection.atom,
        # The cells of a grid are its rows in order: their keys need not be written out.
        "keys": None if spatial else list(selection.keys),
        "default": selection.default,
        "labels": list(selection.labels),
        "title": selection.title,
        "grid": list(selection.grid) if spatial and selection.grid else None,
        "extent": [float(edge) for edge in selection.extent],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{float(value):.{DIGITS}g}")
