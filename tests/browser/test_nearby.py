"""Panels outside the window: what is pointed at is shown in them when they come into it."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

from captum_blocks.render.html import page
from captum_blocks.scene import Bars, Below, Chapter, Field, Mark, Overlay, Scene, Selection
from tests.render.sample import sample_scene

ROWS, COLUMNS, CLASSES, FAR = 3, 4, 3, "Far below"
CELLS = tuple(f"{y},{x}" for y in range(ROWS) for x in range(COLUMNS))
DEFAULT = 5
# A reader who never rests: what waits for a rest waits for ever.
RESTLESS = "window.setTimeout = () => 0;"
# Point at a part of the photograph; what a far panel says in that very moment, and two frames after
# it has come into the window.
POINT_AND_GO = """async ([y, x]) => {
  const stage = document.querySelector("[data-stage]");
  const far = document.querySelector('[aria-label="Far below"]');
  const box = stage.getBoundingClientRect();
  const [clientX, clientY] = [box.x + x * box.width, box.y + y * box.height];
  const moved = { bubbles: true, pointerType: "mouse", clientX, clientY };
  stage.dispatchEvent(new PointerEvent("pointermove", moved));
  const values = () => [...far.querySelectorAll(".value")].map((node) => node.textContent);
  const before = values();
  far.scrollIntoView();
  for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
  return [before, values()];
}"""

POINT_AT_MARK_AND_GO = """async () => {
  const far = document.querySelector('[aria-label="Far below"]');
  const [, mark] = document.querySelectorAll('[aria-label="Near"] .mark');
  const moved = { bubbles: true, pointerType: "mouse", screenX: 1, screenY: 1 };
  mark.dispatchEvent(new PointerEvent("pointerover", moved));
  const lit = () => [...far.querySelectorAll(".mark.lit")].map((node) => node.dataset.key);
  const before = lit();
  far.scrollIntoView();
  for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
  return [before, lit()];
}"""


def value(cell: int, k: int) -> float:
    return round(0.01 * (cell + 1) + 0.2 * k, 2)


def texts(cell: int) -> list[str]:
    return [f"{value(cell, k):.2f}" for k in range(CLASSES)]


def tall_scene() -> Scene:
    """A photograph, forty rows, and far below them a panel that follows the photograph."""
    random = np.random.default_rng(0)
    here = Selection("here", "hover", "spatial", CELLS, DEFAULT, (ROWS, COLUMNS))
    field = Field(random.random((ROWS, COLUMNS)), (0.0, 1.0), "activation", "strength")
    view = Overlay("view", frames=(("map",),), stage=True, sets=("here",), highlights="here")
    near = Bars(
        "Near",
        frames=(tuple(Mark(f"class/{k}", f"class {k}", (0.5,)) for k in range(CLASSES)),),
        domain=(0.0, 1.0),
    )
    between = Bars(
        "Between",
        frames=(tuple(Mark(f"row/{k}", f"row {k}", (0.5,)) for k in range(60)),),
        domain=(0.0, 1.0),
    )
    far = Bars(
        FAR,
        follows=("here",),
        frames=tuple(
            tuple(Mark(f"class/{k}", f"class {k}", (value(cell, k),)) for k in range(CLASSES))
            for cell in range(len(CELLS))
        ),
        domain=(0.0, 1.0),
    )
    chapter = Chapter("all", "", Below((view, near, between, far)))
    return Scene("Tall", "", sample_scene().photo, (chapter,), {}, {"map": field}, (here,))


@pytest.fixture(scope="module")
def tall(tmp_path_factory):
    path = tmp_path_factory.mktemp("tall") / "page.html"
    path.write_text(page(tall_scene()), "utf-8")
    return path


def panel(tab, title):
    return tab.locator(f'.panel[aria-label="{title}"]')


def values(tab) -> list[str]:
    return panel(tab, FAR).locator(".value").all_text_contents()


def pointed(cell: int) -> list[float]:
    """The middle of a cell, in shares of the photograph: down, along."""
    row, column = divmod(cell, COLUMNS)
    return [(row + 0.5) / ROWS, (column + 0.5) / COLUMNS]


def point(tab, cell: int) -> None:
    box, (down, along) = tab.locator("[data-stage]").bounding_box(), pointed(cell)
    tab.mouse.move(box["x"] + along * box["width"], box["y"] + down * box["height"])


def settled(tab):
    """Once the browser has told which panels are in the window."""
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    return tab


def settled_restless(tab):
    script = (
        "async () => { for (let i = 0; i < 4; i += 1) await new Promise(requestAnimationFrame) }"
    )
    tab.evaluate(script)
    return tab


@pytest.mark.parametrize("cell", [0, 11])
def test_a_panel_that_comes_into_the_window_shows_what_is_pointed_at(
    open_page, tall, cell: int
) -> None:
    tab = settled_restless(open_page(tall, before=RESTLESS))
    assert values(tab) == texts(DEFAULT)
    before, after = tab.evaluate(POINT_AND_GO, pointed(cell))
    assert before == texts(DEFAULT), "nobody sees it: it waits"
    assert after == texts(cell)


def test_marks_of_one_key_are_lit_in_a_panel_that_comes_into_the_window(open_page, tall) -> None:
    tab = settled_restless(open_page(tall, before=RESTLESS))
    assert tab.evaluate(POINT_AT_MARK_AND_GO) == [[], ["class/1"]]


def test_where_the_reader_rests_all_panels_follow(open_page, tall) -> None:
    """Whoever searches the page, or has it read aloud, finds what the photograph shows."""
    tab = settled(open_page(tall))
    point(tab, 3)
    expect(panel(tab, FAR).locator(".value")).to_have_text(texts(3))
    assert tab.evaluate("scrollY") == 0
    tab.mouse.move(900, 5)
    expect(panel(tab, FAR).locator(".value")).to_have_text(texts(DEFAULT))


def test_what_is_pinned_is_everywhere_at_once(open_page, tall) -> None:
    tab = settled_restless(open_page(tall, before=RESTLESS))
    point(tab, 7)
    assert values(tab) == texts(DEFAULT)
    tab.mouse.down()
    tab.mouse.up()
    assert values(tab) == texts(7)


def test_paper_shows_the_default_whatever_was_late(open_page, tall) -> None:
    tab = settled_restless(open_page(tall, before=RESTLESS))
    point(tab, 7)
    tab.mouse.down()
    tab.mouse.up()
    point(tab, 2)
    assert values(tab) == texts(7)
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert values(tab) == texts(DEFAULT)


def test_the_copy_of_a_far_panel_is_of_what_is_pointed_at(open_page, tall) -> None:
    tab = settled_restless(open_page(tall, before=RESTLESS))
    point(tab, 2)
    assert values(tab) == texts(DEFAULT)
    with tab.expect_download():
        panel(tab, FAR).locator(".copy").first.evaluate("(button) => button.click()")
    assert values(tab) == texts(2)
