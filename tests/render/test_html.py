from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from captum_blocks.errors import WrongType
from captum_blocks.render.html import page, script_json
from captum_blocks.scene import Bars, Chapter, Mark, Panel, Scene, Sprite
from tests.render.sample import icon, sample_scene

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\"quotes\" 'and' & <b>tags</b>",
    "🐈‍⬛ emoji",
    "שלום עולם",
    "\u2028line\u2029separators\x00",
    "x" * 10_000,
)


class Reader(HTMLParser):
    """What a browser would make of the page: its elements, and what lies in each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "script":
            self._inside = True
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "script"

    def handle_data(self, data):
        if self._inside:
            self.scripts[-1] += data


def data_of(text: str) -> dict:
    return json.loads(Reader(text).scripts[0])


def scene_named(name: str) -> Scene:
    mark = Mark(name, name, (1.0,), sprite="icon", detail=name)
    panel = Bars(name, name, name, columns=(name,), frames=((mark,),), left_out=name)
    sprite = Sprite(icon(0, 16), name, ((name, name),))
    chapter = Chapter(name, name, panel, ((name, name),))
    return Scene(name, name, None, (chapter,), {"icon": sprite}, footer=((name, name),))


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_labels_stay_text(name):
    harmless, hostile = Reader(page(scene_named("x"))), Reader(page(scene_named(name)))
    assert hostile.tags == harmless.tags
    assert [key for key, _ in hostile.attributes] == [key for key, _ in harmless.attributes]
    data = json.loads(hostile.scripts[0])
    assert data["atoms"][0][:2] == [name, name]
    assert data["sprites"]["icon"][2] == name


def test_data_holds_no_character_that_could_end_it():
    assert not re.search("[<\u2028\u2029]", script_json(list(HOSTILE)))


def test_same_scene_same_page():
    assert page(sample_scene()) == page(sample_scene())


def test_nothing_is_fetched():
    values = [value or "" for key, value in Reader(page(sample_scene())).attributes]
    assert not [value for value in values if re.match(r"(https?:)?//|file:", value)]
    assert any(value.startswith("default-src 'none'; img-src data: blob:;") for value in values)


def test_eighty_icons_and_a_large_photo_stay_under_four_megabytes():
    random = np.random.default_rng(0)
    sprites = {str(k): Sprite(icon(k), str(k)) for k in range(80)}
    photo = replace(sample_scene().photo, pixels=random.integers(0, 255, (900, 1600, 3), np.uint8))
    crowded = replace(sample_scene(), photo=photo, sprites=sprites | dict(sample_scene().sprites))
    assert len(page(crowded).encode()) < 4e6


def test_repeated_marks_are_stored_once():
    mark = Mark("a", "a", (1.0,))
    other = Mark("a", "a", (2.0,))
    panel = Bars("p", frames=((mark, other, mark, mark),))
    data = data_of(page(Scene("t", "a", None, (Chapter("h", "r", panel),))))
    assert data["panels"][0]["frames"] == [[0, 1, 0, 0]]
    assert len(data["marks"]) == 2
    assert len(data["atoms"]) == 1


def test_every_panel_is_focusable_and_named():
    text = page(sample_scene())
    sections = re.findall(
        r'<section class="panel" data-panel="(\d+)" tabindex="0" aria-label="(.+?)"', text
    )
    assert [int(number) for number, _ in sections] == list(range(6))
    assert [name for _, name in sections] == [panel.title for panel in sample_scene().panels()]


def test_the_same_panel_twice_is_two_panels():
    from captum_blocks.scene import Beside

    panel = Bars("p", frames=((),))
    text = page(Scene("t", "a", None, (Chapter("h", "r", Beside((panel, panel))),)))
    assert re.findall(r'data-panel="(\d)"', text) == ["0", "1"]


def test_an_unknown_kind_of_panel_is_refused():
    scene = Scene("t", "a", None, (Chapter("h", "r", Panel("odd")),))
    with pytest.raises(WrongType, match="no page form for a panel of type Panel; add one with"):
        page(scene)


def test_torch_is_never_imported():
    code = (
        "import sys, types; package = types.ModuleType('captum_blocks');"
        "package.__path__ = ['captum_blocks']; sys.modules['captum_blocks'] = package;"
        "import captum_blocks.render.html, captum_blocks.render.mpl;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
