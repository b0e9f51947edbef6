"""The page of a real run: EfficientNet-Lite0 with its ImageNet weights on a real photograph."""

from __future__ import annotations

import numpy as np
import pytest

from tests.browser.conftest import shows

PANEL = '.panel[aria-label="What fires here"]'
WORDS = f"{PANEL} .mark"


def words(tab) -> list[str]:
    return tab.locator(WORDS).evaluate_all("marks => marks.map(m => m.dataset.key)")


def point(tab, y: float, x: float) -> None:
    box = tab.locator("[data-stage]").bounding_box()
    tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])


def test_pointing_at_two_places_shows_two_dictionaries(
    open_page, real_page, real_explanation
) -> None:
    tab = open_page(real_page)
    panel = next(p for p in real_explanation.scene.panels() if p.title == "What fires here")
    top, left, bottom, right = real_explanation.scene.photo.seen
    assert len(words(tab)) == 6
    shown = []
    for row, column in ((4, 5), (11, 10)):
        y = top + (row + 0.5) / 14 * (bottom - top)
        x = left + (column + 0.5) / 14 * (right - left)
        point(tab, y, x)
        expected = [mark.key for mark in panel.frames[row * 14 + column]]
        assert shows(tab, PANEL, expected)
        shown.append(words(tab))
        assert shown[-1] == expected
    assert shown[0] != shown[1]


def test_the_page_answers_its_question(open_page, real_page, real_explanation) -> None:
    tab = open_page(real_page)
    assert tab.locator("h1").inner_text() == real_explanation.scene.title
    assert tab.get_by_text("in no group: ").first.is_visible()
    assert tab.locator("h2").all_inner_texts() == [
        chapter.heading for chapter in real_explanation.scene.chapters
    ]


def test_an_interactive_panel_is_in_view_at_once(open_page, real_page) -> None:
    tab = open_page(real_page)
    tops = tab.locator("[data-panel]").evaluate_all(
        "panels => panels.map(p => p.getBoundingClientRect()).map(b => [b.top, b.bottom])"
    )
    assert any(top >= 0 and bottom <= 720 for top, bottom in tops)


def test_pointing_at_a_channel_tells_what_it_did_to_five_answers(
    open_page, real_page, real_explanation
) -> None:
    tab = open_page(real_page)
    panels = list(real_explanation.scene.panels())
    source = next(p for p in panels if p.title.startswith("Single channels at"))
    answers = next(p for p in panels if p.title.startswith("What the channel of"))
    keys = real_explanation.scene.selection(answers.follows[0]).keys
    told = tab.locator(f'.panel[aria-label="{answers.title}"] .mark')
    assert told.count() == 5
    for mark in (source.frames[0][3], source.frames[0][1]):
        tab.locator(f'.panel[aria-label="{source.title}"] .mark[data-key="{mark.key}"]').hover()
        expected = answers.frames[keys.index(mark.key)]
        labels = told.evaluate_all("marks => marks.map(m => m.label)")
        assert labels == [answer.label for answer in expected]
        shown = told.locator(".value").all_inner_texts()
        values = [float(text.replace("−", "-").split()[0]) for text in shown]
        assert np.allclose(values, [answer.values[0] for answer in expected], atol=0.006)


@pytest.mark.parametrize("width", [390, 1280])
def test_what_a_panel_says_beside_its_numbers_is_not_cut(open_page, real_page, width: int) -> None:
    tab = open_page(real_page, viewport={"width": width, "height": 720})
    said = tab.locator("details.left-out")
    folded = said.all_inner_texts()
    assert any(text.startswith("showing 6 of ") for text in folded)
    assert not any("taken away together" in text for text in folded)
    said.evaluate_all("all => all.forEach((each) => each.querySelector('summary').click())")
    assert any("taken away together" in text for text in said.all_inner_texts())
    cut = "all => all.filter(p => p.scrollHeight > p.clientHeight + 1).map(p => p.innerText)"
    assert said.evaluate_all(cut) == []


def test_what_is_folded_is_printed(open_page, real_page) -> None:
    tab = open_page(real_page)
    folded = tab.locator("details.left-out")
    assert folded.count() > 1
    for event, opened in (("beforeprint", True), ("afterprint", False)):
        tab.evaluate(f"dispatchEvent(new Event('{event}'))")
        states = folded.evaluate_all("all => all.map((each) => each.open)")
        assert set(states) == {opened}


def test_the_photograph_does_not_lie_over_the_end_of_the_page(open_page, real_page) -> None:
    tab = open_page(real_page, viewport={"width": 1280, "height": 720})
    tab.evaluate("scrollTo(0, document.body.scrollHeight)")
    above = tab.evaluate(
        """() => [...document.querySelectorAll(".closing dt")].map((term) => {
          const { left, top, width, height } = term.getBoundingClientRect();
          const [x, y] = [left + width / 2, top + height / 2];
          return y < 0 || y > innerHeight ? null : document.elementFromPoint(x, y);
        }).filter((node) => node !== null).map((node) => node.closest(".stage") !== null)"""
    )
    assert above
    assert not any(above)
