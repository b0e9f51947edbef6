"""How flows stack up at both of their ends, in the unit of their values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, log10

from captum_blocks.scene import Flow, Sankey

# A scale is read off best where it is some tenth of the whole picture.
STEP_SHARE = 0.12


@dataclass(frozen=True)
class Band:
    """A flow with its upper edge at the source and at the target, from the upper end of each."""

    flow: Flow
    start: float
    end: float

    @property
    def width(self) -> float:
        """The magnitude of the flow."""
        return abs(self.flow.value)


def bands(frame: Iterable[Flow]) -> list[Band]:
    """The flows of a frame, stacked; the widest first, so that no thin one is covered.

    At its source a flow stands in the order of the targets, at its target in that of the sources.

    >>> [(band.start, band.end) for band in bands((Flow(0, 0, -1.0), Flow(0, 1, 2.0)))]
    [(1.0, 0.0), (0.0, 0.0)]
    """
    left: dict[int, float] = defaultdict(float)
    right: dict[int, float] = defaultdict(float)
    placed = []
    for flow in sorted(frame, key=lambda flow: (flow.source, flow.target)):
        band = Band(flow, left[flow.source], right[flow.target])
        left[flow.source] += band.width
        right[flow.target] += band.width
        placed.append(band)
    return sorted(placed, key=lambda band: -band.width)


Held = dict[str, float]


def thickness(panel: Sankey) -> tuple[Held, Held]:
    """What each mark of the left and of the right column holds at most in any frame, by its key."""
    sides: tuple[Held, Held] = ({}, {})
    for frame in panel.frames:
        ends = ((frame.left, "source"), (frame.right, "target"))
        for most, (marks, end) in zip(sides, ends, strict=True):
            for place, mark in enumerate(marks):
                own = (abs(flow.value) for flow in frame.flows if getattr(flow, end) == place)
                most[mark.key] = max(most.get(mark.key, 0.0), sum(own))
    return sides


def whole(panel: Sankey) -> float:
    """The magnitude of all flows together, in the frame where that is largest.

    >>> from captum_blocks.scene import Flows
    >>> whole(Sankey("flows", frames=(Flows((), (), (Flow(0, 0, -1.0), Flow(0, 1, 2.0))),)))
    3.0
    """
    sums = (sum(abs(flow.value) for flow in frame.flows) for frame in panel.frames)
    return max(sums, default=0.0)


def too_thin(frame: Iterable[Flow], least: float) -> float:
    """The magnitude below which a flow of a frame is not drawn.

    >>> too_thin((Flow(0, 0, -1.0), Flow(0, 1, 3.0)), 0.5)
    2.0
    """
    return least * sum(abs(flow.value) for flow in frame)


def undrawn(frame: Iterable[Flow], least: float) -> int:
    """How many flows of a frame are there and too thin to be drawn.

    >>> undrawn((Flow(0, 0, -1.0), Flow(0, 1, 3.0), Flow(1, 1, 0.0)), 0.5)
    1
    """
    held = list(frame)
    return sum(0 < abs(flow.value) < too_thin(held, least) for flow in held)


def scale_step(panel: Sankey) -> float:
    """A round number to print the scale by: 1, 2 or 5 times a power of ten; 0 where nothing flows.

    >>> from captum_blocks.scene import Flows
    >>> scale_step(Sankey("flows", frames=(Flows(flows=(Flow(0, 0, -10.0), Flow(0, 1, 20.0))),)))
    2.0
    """
    most = STEP_SHARE * whole(panel)
    if most <= 0:
        return 0.0
    power = floor(log10(most))
    lead = max(lead for lead in (1, 2, 5) if lead <= max(1.0, most / 10.0**power))
    return float(f"{lead}e{power}")
