"""Fades are short, and there are none for readers who asked for none."""

from __future__ import annotations

import pytest

from captum_blocks.render.html import page
from captum_blocks.scene import Bars, Below, Chapter, Mark, Scene
from tests.render.sample import sample_scene
from tests.render.sample_grids import grids_scene
from tests.render.sample_kinds import kinds_scene

SCENES = {"sample": sample_scene, "grids": grids_scene, "kinds": kinds_scene}
LONGEST = 120
NOTE_MOTIONS = """
window.motions = [];
const note = (event) => {
  for (const motion of event.target.getAnimations()) {
    const { duration, delay, iterations } = motion.effect.getComputedTiming();
    window.motions.push([event.target.className, iterations * duration + delay]);
  }
};
for (const kind of ["transitionrun", "animationstart"]) addEventListener(kind, note, true);
"""
# Of everything that could move, not only of what did.
DURATIONS = """() => [...document.querySelectorAll(".blocks, .blocks *")].flatMap((node) => {
  const style = getComputedStyle(node);
  const parts = [style.transitionDuration, style.transitionDelay, style.animationDuration];
  return parts.flatMap((part) => part.split(",")).map((part) => 1000 * parseFloat(part));
})"""


@pytest.fixture(params=SCENES)
def path(request, tmp_path):
    made = tmp_path / "page.html"
    made.write_text(page(SCENES[request.param]()), "utf-8")
    return made


def motions(tab) -> list:
    """What moved while every panel's first mark was pointed at and clicked, and its duration."""
    # Opening the page is no fade: its words wait for the panels, and then are there.
    tab.evaluate("window.motions = []")
    tab.locator("[data-stage]").hover()
    for panel in tab.locator("[data-panel]").all():
        if panel.locator(".mark").count():
            panel.locator(".mark").first.hover(position={"x": 5, "y": 5})
            panel.locator(".mark").first.click(position={"x": 5, "y": 5})
            tab.keyboard.press("Escape")
    tab.wait_for_timeout(50)
    return tab.evaluate("window.motions")


def test_nothing_moves_for_who_asked_for_stillness(open_page, path) -> None:
    tab = open_page(path, before=NOTE_MOTIONS, reduced_motion="reduce")
    assert motions(tab) == []
    assert max(tab.evaluate(DURATIONS)) == 0


def test_fades_are_short_for_everybody_else(open_page, path) -> None:
    tab = open_page(path, before=NOTE_MOTIONS)
    moved = motions(tab)
    assert moved
    assert max(duration for _, duration in moved) <= LONGEST
    assert max(tab.evaluate(DURATIONS)) <= LONGEST


def test_what_a_place_does_not_change_is_not_drawn_anew(open_page, tmp_path) -> None:
    made = tmp_path / "page.html"
    made.write_text(page(grids_scene()), "utf-8")
    tab = open_page(made)
    tab.evaluate("""() => {
      window.changes = [];
      new MutationObserver((changes) => window.changes.push(...changes)).observe(
        document.querySelector(".flows"), { childList: true, characterData: true, subtree: true });
    }""")
    before = tab.locator(".readout").inner_text()
    box = tab.locator("[data-stage]").bounding_box()
    tab.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.9 * box["height"])
    assert tab.locator(".readout").inner_text() != before
    assert tab.evaluate("window.changes.length") == 0
    tab.locator(".flows .mark").first.hover()
    assert tab.evaluate("window.changes.length") > 0


def test_many_marks_do_not_fade(open_page, tmp_path) -> None:
    marks = tuple(Mark(f"c/{k}", f"channel {k}", (k / 200,)) for k in range(200))
    few = Bars("few", frames=(marks[:2],))
    made = tmp_path / "page.html"
    chapter = Chapter("h", "r", Below((few, Bars("many", frames=(marks,)))))
    made.write_text(page(Scene("t", "a", None, (chapter,))), "utf-8")
    tab = open_page(made)
    fades = tab.locator(".fill").evaluate_all(
        "fills => fills.map(fill => getComputedStyle(fill).transitionDuration)"
    )
    assert fades[:2] == ["0.12s", "0.12s"]
    assert set(fades[2:]) == {"0s"}
