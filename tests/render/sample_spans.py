"""Bars with ranges over methods and a mark of how far each panel is to be believed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from captum_blocks.scene import Bars, Below, Chapter, Mark, Scene, Selection, Sign
from tests.render.sample import sample_scene

WORDS = "thin line: range over three methods: its own, integrated gradients, removal"
ROWS, TILES, PLAIN = "Two answers in rows", "One answer in tiles", "Nothing compared"
CHANNELS = ((1.6, (0.4, 2.1)), (-0.7, (-0.9, 0.3)), (0.5, (0.5, 0.5)), (0.2, None))
LOW, HIGH = -1.0, 2.5
SIGNS = {
    ROWS: Sign("clear", "agrees with removal", "channels of bn2: rank correlation 0.91"),
    TILES: Sign("doubtful", "methods disagree here", "channels of bn2: the least alike 0.12"),
    PLAIN: Sign("refuted", "removal says otherwise", "channels of bn2: rank correlation −0.40"),
}


def _rows() -> Bars:
    marks = [
        Mark(
            f"bn2/channel/{k}",
            f"channel {k}",
            (value, -value / 2),
            detail=f"channel {k}: told",
            ticks=(0.1, None),
            spans=(span, None),
        )
        for k, (value, span) in enumerate(CHANNELS)
    ]
    marks.append(Mark("rest", "not shown", (0.6, -0.2), role="remainder"))
    return Bars(
        ROWS,
        unit="logit",
        columns=("tiger cat", "Egyptian cat"),
        frames=(tuple(marks),),
        domain=(LOW, HIGH),
        ticked="tick: removal, log-odds",
        spanned=WORDS,
        sign=SIGNS[ROWS],
    )


def _tiles() -> Bars:
    def tile(k: int) -> Mark:
        value, span = CHANNELS[k]
        name = f"blocks.4.2.bn1/channel/{k}"
        return Mark(name, f"channel {k}", (value,), sprite=name, spans=(span,))

    orders = ((0, 1, 2, 3), (3, 2, 1, 0))
    return Bars(
        TILES,
        unit="logit",
        follows=("shift",),
        frames=tuple(tuple(map(tile, order)) for order in orders),
        domain=(LOW, HIGH),
        arrangement="tiles",
        spanned=WORDS,
        sign=SIGNS[TILES],
    )


def _plain() -> Bars:
    marks = (Mark(f"p/{k}", f"unit {k}", (value,)) for k, (value, _) in enumerate(CHANNELS))
    return Bars(PLAIN, frames=(tuple(marks),), domain=(LOW, HIGH), sign=SIGNS[PLAIN])


@cache
def spans_scene() -> Scene:
    """One chapter of three panels."""
    shift = Selection("shift", "choose", "list", ("one", "two"))
    body = Below((_rows(), _tiles(), _plain()))
    chapter = Chapter("How far do methods agree?", "Lines are ranges.", body)
    return replace(sample_scene(), chapters=(chapter,), selections=(shift,))
