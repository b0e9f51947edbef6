"""Draws the demo's icons with whatever build is imported: one of the two that ``icons`` compares.

Run by ``tests.benchmarks.icons`` in the folder of a build. It reads a line of JSON at a time,
``{"units": FILE}`` (write down what the demo shows) or ``{"draw": FILE, "to": FILE}``, and answers
with seconds of the processor and of the clock.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import torch

import captum_blocks as cb
from captum_blocks.compose import Progress, compose, quality_named
from captum_blocks.compose.evaluation.photographs import read_pictures
from captum_blocks.compose.evaluation.question import asked
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import Request, Subject
from captum_blocks.compose.pictures.sources import SOURCES
from captum_blocks.zoo import demo_photo

USUAL, QUALITY = "optimized", "standard"


class Planned(Exception):
    """Carries the plan out of a page that is not to be drawn."""


class Listing(PictureRenderer):
    """Draws nothing, and says what it was to draw."""

    def draw(self, plan: Any) -> Any:
        raise Planned(plan)


def subjects(net: cb.Network) -> list[dict[str, Any]]:
    """What the demo's icons are of, as plain data."""
    x, pictures = read_pictures(net, demo_photo())
    listing = Listing(net, quality_named(QUALITY), None, Progress(enabled=False))
    try:
        compose(cb.overview(*net.recommended()), asked(net, x), pictures, listing)
    except Planned as planned:
        (plan,) = planned.args
    names = ("key", "label", "layer", "kind", "index", "direction")
    found = [request.subjects[0] for request in plan.of(USUAL)]
    return [{name: getattr(subject, name) for name in names} for subject in found]


def drawn(net: cb.Network, wanted: list[dict[str, Any]]) -> np.ndarray:
    """Pictures (image, y, x, 3) of some subjects, from an empty store."""
    requests = [Request(USUAL, (Subject(**each),)) for each in wanted]
    renderer = PictureRenderer(net, quality_named(QUALITY), None, Progress(enabled=False))
    icons = SOURCES[USUAL].draw(requests, renderer)
    return np.stack([icons[request.keys[0]].pixels for request in requests])


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]))
    net = cb.load_network("demo")
    for line in sys.stdin:
        asked_for = json.loads(line)
        processor, clock = time.process_time(), time.perf_counter()
        if "units" in asked_for:
            torch.save(subjects(net), asked_for["units"])
        else:
            wanted = torch.load(asked_for["draw"], weights_only=True)
            np.save(asked_for["to"], drawn(net, wanted))
        took = (time.process_time() - processor, time.perf_counter() - clock)
        print(json.dumps([cb.__file__, *took]), flush=True)


if __name__ == "__main__":
    main()
