"""Whatever is shown without words of its own is called in words, never by the code that made it."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import product

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument
from captum_blocks.render.html import article
from captum_blocks.render.payload import payload
from tests.conftest import FEW_STEPS

EARLY, LATE = cb.Hidden("early"), cb.Hidden("late")
BETWEEN = cb.Attribution(EARLY.spatial, LATE.spatial)
CONTENTS = (
    cb.Activation(LATE.spatial),
    cb.Attribution(LATE.spatial, cb.Out(0, 1)),
    cb.Attribution(LATE.spatial, cb.Out(0, 1)).aggregate("class", "sum"),
    BETWEEN.filter(to=cb.hover("spatial")),
    BETWEEN.filter(at=(0, 1)),
    cb.Attribution(EARLY.channels, LATE.spatial).filter(at=0),
    cb.Attribution(EARLY.groups(2), LATE.groups(2)),
    cb.Attribution(cb.Input().channels, cb.Out().groups(2)),
)
MARKS = ("overlay", "heatmap", "multiples", "bars", "table", "sankey")
CODE = re.compile(r"(Hidden|Input|Out|Activation|Attribution|Selection)\(|\.spatial|\.channels")


def test_no_code_reaches_the_page(small, noise_picture, store) -> None:
    drawn = 0
    for content, mark in product(CONTENTS, MARKS):
        # A mark does not draw every content; what it draws is what counts.
        with suppress(InvalidArgument):
            options = {"quality": FEW_STEPS, "progress": False, "store": store}
            scene = cb.explain(cb.InfoVis(content, mark), small, noise_picture, **options).scene
            assert CODE.search(article(scene)) is None, (content, mark)
            assert [text for text in _told(scene) if CODE.search(text)] == [], (content, mark)
            drawn += 1
    assert drawn > 20


def _told(scene) -> list[str]:
    """The texts of a page, without the names by which its parts know each other."""
    data = payload(scene)
    names = {*data["fields"], *data["sprites"], *(key for key, *_ in data["atoms"])}
    names |= {key for each in data["selections"] for key in each["keys"] or ()}
    return [text for text in _texts(data) if text not in names and not text.startswith("data:")]


def _texts(part: object) -> list[str]:
    """Every text that stands in data."""
    if isinstance(part, str):
        return [part]
    held = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return [text for each in held for text in _texts(each)]
