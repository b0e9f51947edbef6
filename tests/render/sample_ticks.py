"""Bars with a second number: in rows and in tiles, of both signs and of one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from captum_blocks.scene import Bars, Below, Chapter, Mark, Scene, Selection
from tests.render.sample import GROUP_SHARES, sample_scene

WORDS = "tick: gradient × activation, logit"
ROWS, TILES, PLAIN = "Removing each group", "Removing each channel", "How strong each is"
# What a channel's removal takes, and the attribution method's number.
CHANNELS = ((1.62, 2.1), (1.1, 0.4), (0.7, None), (-0.55, -0.9), (0.2, -0.35), (None, 0.5))
STRENGTHS = ((4.1, 3.0), (2.2, 5.2), (0.4, 0.0))


def _rows() -> Bars:
    marks = [
        Mark(
            key=f"bn2/group/{k}",
            label=f"group {k + 1}",
            values=values,
            sprite=f"bn2/group/{k}",
            hue=k,
            detail=f"group {k + 1}: {values[0]:+.2f}; gradient × activation {values[0] / 2:+.2f}",
            ticks=(values[0] / 2 - 0.4, values[1] * 1.3 if k != 1 else None),
        )
        for k, values in enumerate(GROUP_SHARES)
    ]
    marks.append(Mark("rest", "not explained", (0.6, -0.2), role="remainder", ticks=(0.3, 0.1)))
    marks.append(Mark("total", "total", (2.6, 2.3), role="total"))
    return Bars(
        ROWS,
        "What the answer loses without each group, and what the method said of it.",
        unit="logit",
        columns=("tiger cat", "Egyptian cat"),
        frames=(tuple(marks),),
        domain=(-1.0, 2.6),
        ticked=WORDS,
    )


def _tile(k: int, value: float | None, tick: float | None) -> Mark:
    name = f"blocks.4.2.bn1/channel/{k}"
    label = f"blocks.4.2.bn1 : {k}"
    return Mark(name, label, (value,), sprite=name, ticks=(tick,), detail=label)


def _tiles() -> Bars:
    frames = tuple(
        tuple(_tile(k, v, t) for k, (v, t) in enumerate(CHANNELS[shift:] + CHANNELS[:shift]))
        for shift in range(2)
    )
    return Bars(
        TILES,
        unit="logit",
        follows=("shift",),
        frames=frames,
        domain=(-0.9, 2.1),
        arrangement="tiles",
        ticked=WORDS,
    )


def _plain() -> Bars:
    marks = (Mark(f"p/{k}", f"unit {k}", (v,), ticks=(t,)) for k, (v, t) in enumerate(STRENGTHS))
    words = "tick: on the other photograph"
    return Bars(PLAIN, unit="activation", frames=(tuple(marks),), domain=(0, 5.2), ticked=words)


@cache
def ticks_scene() -> Scene:
    """One chapter of three panels."""
    shift = Selection("shift", "choose", "list", ("one", "two"))
    body = Below((_rows(), _tiles(), _plain()))
    chapter = Chapter("What would the answer lose?", "Bars are removals, ticks attributions.", body)
    return replace(sample_scene(), chapters=(chapter,), selections=(shift,))
