from __future__ import annotations

import json

import nbformat
import pytest
from nbclient import NotebookClient

from captum_blocks.render.widget import BlocksWidget
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
