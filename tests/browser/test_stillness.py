"""Nothing on a page moves but what the reader moves, on a phone, a laptop and a wall."""

from __future__ import annotations

import re

import pytest

from captum_blocks.render import still
from captum_blocks.render.html import page
from tests.render.sample import sample_scene
from tests.render.sample_grids import grids_scene
from tests.render.sample_kinds import kinds_scene

SCENES = {"sample": sample_scene, "grids": grids_scene, "kinds": kinds_scene}
SIZES = {"phone": (390, 844), "laptop": (1280, 720), "4K": (3840, 2160)}
NOTE_SHIFTS = """
window.shifts = [];
const nameOf = ({ node }) => node?.className || node?.nodeName || "gone";
new PerformanceObserver((list) => {
  for (const { value, hadRecentInput, sources } of list.getEntries()) {
    if (!hadRecentInput) window.shifts.push([value, sources.map(nameOf)]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(params=[*SCENES, "real"])
def path(request, tmp_path):
    if request.param == "real":
        return request.getfixturevalue("real_page")
    made = tmp_path / "page.html"
    made.write_text(page(SCENES[request.param]()), "utf-8")
    return made


def sized(size: str) -> dict[str, object]:
    width, height = SIZES[size]
    return {"viewport": {"width": width, "height": height}}


def shifts(tab) -> list:
    # Shifts are told after the frame in which they happened.
    tab.wait_for_timeout(150)
    return tab.evaluate("window.shifts")


def point_at_places(tab) -> None:
    box = tab.locator("[data-stage]").bounding_box()
    for y, x in ((0.2, 0.2), (0.8, 0.85), (0.5, 0.1)):
        tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        tab.wait_for_timeout(40)


def point_at_and_click_marks(tab) -> None:
    for panel in tab.locator("[data-panel]").all():
        marks = panel.locator(".mark")
        for number in range(min(3, marks.count())):
            marks.nth(number).hover(position={"x": 5, "y": 5})
            tab.wait_for_timeout(40)
        if marks.count():
            marks.first.click(position={"x": 5, "y": 5})
            tab.keyboard.press("Escape")


@pytest.mark.parametrize("size", SIZES)
def test_nothing_jumps(open_page, path, size) -> None:
    tab = open_page(path, before=NOTE_SHIFTS, **sized(size))
    assert shifts(tab) == [], "while the page is made"
    point_at_places(tab)
    assert shifts(tab) == [], "while places are pointed at"
    point_at_and_click_marks(tab)
    assert shifts(tab) == [], "while marks are pointed at"
    assert tab.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]


def test_a_jump_would_be_noticed(open_page, tmp_path) -> None:
    made = tmp_path / "page.html"
    made.write_text(page(sample_scene()), "utf-8")
    tab = open_page(made, before=NOTE_SHIFTS, **sized("laptop"))
    tab.evaluate("document.querySelector('.chapters').style.paddingTop = '80px'")
    assert shifts(tab)


def test_the_words_are_there_where_no_script_runs(browser, tmp_path) -> None:
    made = tmp_path / "page.html"
    made.write_text(page(sample_scene()), "utf-8")
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(made.as_uri())
    assert tab.locator("h2").first.is_visible()
    context.close()


@pytest.mark.parametrize("scripts", ["off", "forbidden"])
def test_a_picture_stands_in_where_the_script_may_not_run(browser, tmp_path, scripts) -> None:
    made = tmp_path / "page.html"
    text = page(sample_scene())
    if scripts == "forbidden":
        text, count = re.subn(r"script-src &#39;[^&]+&#39;", "script-src &#39;none&#39;", text)
        assert count == 1
    made.write_text(text, "utf-8")
    context = browser.new_context(java_script_enabled=scripts != "off")
    tab = context.new_page()
    tab.goto(made.as_uri())
    picture = tab.locator(".still img")
    picture.wait_for(state="visible")
    assert picture.evaluate("img => img.naturalWidth") > 600
    assert "has not run" in tab.locator(".still figcaption").inner_text()
    assert len(picture.get_attribute("src")) < 1.4 * still.LARGEST
    context.close()


def test_where_the_script_runs_the_picture_is_gone(open_page, tmp_path) -> None:
    made = tmp_path / "page.html"
    made.write_text(page(sample_scene()), "utf-8")
    assert open_page(made).locator(".still").count() == 0


def test_a_page_fills_a_very_wide_window(open_page, tmp_path) -> None:
    made = tmp_path / "page.html"
    made.write_text(page(sample_scene()), "utf-8")
    laptop, wall = (open_page(made, **sized(size)) for size in ("laptop", "4K"))
    widths = [tab.locator(".chapters").bounding_box()["width"] for tab in (laptop, wall)]
    assert widths[1] > 1.5 * widths[0]
    box = wall.locator("[data-stage]").bounding_box()
    wall.mouse.move(box["x"] + 2.5 / 14 * box["width"], box["y"] + 12.5 / 14 * box["height"])
    assert wall.locator(".readout").inner_text().startswith("row 7, column 2 of 7 × 7")
