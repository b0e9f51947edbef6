from __future__ import annotations

import json

import nbformat
import pytest
from nbclient import NotebookClient

from captum_blocks.render.widget import BlocksWidget
from captum_blocks.scene import Sprite
from tests.render.sample import GRID, sample_scene


@pytest.fixture(scope="module")
def widget():
    return BlocksWidget(sample_scene())


def test_it_starts_in_the_default_state(widget):
    assert widget.selection == {"here": "5,6"}
    assert widget.pins == {}
    assert sample_scene().selection("here").default == 5 * GRID + 6


def test_it_carries_the_words_and_the_data_of_the_page(widget):
    assert "Which single channels mattered?" in widget._article
    data = json.loads(widget._data)
    assert [panel["title"] for panel in data["panels"]] == [
        p.title for p in sample_scene().panels()
    ]


def test_a_kernel_makes_one_and_keeps_its_state():
    cells = [
        "from tests.render.sample import sample_scene\n"
        "from captum_blocks.render.widget import BlocksWidget\n"
        "seen = []\n"
        "widget = BlocksWidget(sample_scene())\n"
        "widget.observe(lambda change: seen.append(change['new']), 'selection')\n"
        "widget",
        "widget.set_state({'selection': {'here': '2,3'}, 'pins': {'at': '0.2,0.3'}})\n"
        "print(widget.selection['here'], widget.pins['at'], seen)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.execute()
    shown = notebook.cells[0].outputs[-1].data
    assert "application/vnd.jupyter.widget-view+json" in shown
    assert notebook.cells[1].outputs[0].text.split("\n")[0] == "2,3 0.2,0.3 [{'here': '2,3'}]"
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    held = next(s["state"] for s in states.values() if "_article" in s["state"])
    assert held["selection"] == {"here": "2,3"}
    assert "Which single channels mattered?" in held["_article"]


def test_icons_are_handed_over_one_by_one_and_kept_at_the_end():
    whole = sample_scene()
    names = list(whole.sprites)
    blank = whole.with_sprites({name: Sprite.blank(64, name) for name in names})
    widget, sent = BlocksWidget(blank), []
    widget.send = lambda told, buffers=(): sent.append((told, len(buffers)))
    first = blank.with_sprites({names[0]: whole.sprites[names[0]]})
    widget.fill(first)
    widget.fill(first)
    assert [(told["arrived"]["name"], count) for told, count in sent] == [(names[0], 1)]
    assert json.loads(widget._data)["sprites"][names[0]][0] is None
    widget.finish(whole)
    assert sorted(told["arrived"]["name"] for told, _ in sent[:-1]) == sorted(names)
    assert sent[-1] == ({"ended": "", "signs": {}}, 0)
    assert json.loads(widget._data) == json.loads(BlocksWidget(whole)._data)
    assert widget._article == BlocksWidget(whole)._article


@pytest.mark.parametrize("told", [None, [], {"wanted": 3}, {"wanted": None}, {"other": True}, "x"])
def test_what_a_page_would_not_say_is_not_heard(told):
    heard = Heard()
    widget = BlocksWidget(sample_scene(), hears=heard)
    widget._handle_custom_msg(told, [])
    assert heard.told == []
    widget._handle_custom_msg({"wanted": "a"}, [])
    widget._handle_custom_msg({"closed": True}, [])
    assert heard.told == ["a", "closed"]


class Heard:
    def __init__(self):
        self.told = []

    def points_at(self, *pictures):
        self.told += pictures

    def close(self):
        self.told.append("closed")
