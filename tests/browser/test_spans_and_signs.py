"""Ranges on bars and marks of panels on a page: where they stand, and what is told of them."""

from __future__ import annotations

import pytest

from captum_blocks.render.html import page
from tests.render.sample_spans import (
    CHANNELS,
    HIGH,
    LOW,
    PLAIN,
    ROWS,
    SIGNS,
    TILES,
    WORDS,
    spans_scene,
)

# What is drawn on each track of a panel, in pixels of the window.
TRACKS = """
(panel) => [...panel.querySelectorAll(".mark.atom .track")].map((track) => {
  const box = (node) => node && node.getBoundingClientRect();
  const { left, width } = box(track);
  const line = track.querySelector(".whisker");
  const style = line && getComputedStyle(line);
  return {
    left, width,
    from: line && box(line).left, to: line && box(line).right,
    thick: line && parseFloat(style.borderTopWidth),
    ink: line && style.borderTopColor,
    seen: line && style.visibility === "visible",
    value: box(track.querySelector(".value")).left,
    told: line && line.textContent,
  };
})
"""
INKS = {"light": "rgb(27, 29, 33)", "dark": "rgb(232, 234, 237)"}
LETTERS = {"clear": "○", "doubtful": "◐", "refuted": "×"}


@pytest.fixture(scope="module")
def spans_page(tmp_path_factory):
    path = tmp_path_factory.mktemp("spans") / "page.html"
    path.write_text(page(spans_scene()), "utf-8")
    return path


def tracks(tab, title):
    return tab.locator(f'[aria-label="{title}"]').evaluate(TRACKS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("title", [ROWS, TILES])
def test_ranges_stand_on_the_scale(open_page, spans_page, title, scheme) -> None:
    drawn = tracks(open_page(spans_page, color_scheme=scheme), title)
    spans = [span for _, span in CHANNELS]
    if title == ROWS:  # the second answer has none
        spans = [each for span in spans for each in (span, None)]
    for track, span in zip(drawn, spans, strict=True):
        assert track["value"] > track["left"] + track["width"]
        if span is None:
            assert track["from"] is None
            continue
        inch = track["width"] / (HIGH - LOW)
        assert track["from"] == pytest.approx(track["left"] + inch * (span[0] - LOW), abs=1)
        assert track["to"] == pytest.approx(track["left"] + inch * (span[1] - LOW), abs=1)
        assert (track["thick"], track["ink"]) == (1, INKS[scheme])
        # Where all methods say the same there is no line.
        assert track["seen"] == (span[0] < span[1])
        assert track["told"].startswith("from ")


def test_a_range_is_no_tick(open_page, spans_page) -> None:
    tab = open_page(spans_page)
    first = tab.locator(f'[aria-label="{ROWS}"] .mark .track').first
    tick, line = (first.locator(part).bounding_box() for part in (".second", ".whisker"))
    assert tick["height"] > 4 * tick["width"]
    assert line["width"] > 4 * line["height"]


def test_ranges_follow_the_frame_and_nothing_moves(open_page, spans_page) -> None:
    tab = open_page(spans_page)
    size = tab.locator(f'[aria-label="{TILES}"]').bounding_box()
    told = [track["told"] for track in tracks(tab, TILES)]
    tab.locator(f'[aria-label="{TILES}"] select').select_option(index=1)
    assert [track["told"] for track in tracks(tab, TILES)] == told[::-1]
    assert tab.locator(f'[aria-label="{TILES}"]').bounding_box() == size


def test_a_sample_says_once_what_lines_are(open_page, spans_page) -> None:
    tab = open_page(spans_page)
    legends = tab.locator(".tick-legend", has_text="thin line")
    assert legends.count() == 2
    assert legends.first.inner_text() == WORDS
    assert legends.first.locator(".whisker").bounding_box()["width"] > 10
    assert not legends.nth(1).is_visible()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("title", [ROWS, TILES, PLAIN])
def test_a_panel_says_how_far_it_is_to_be_believed(open_page, spans_page, title, width) -> None:
    tab = open_page(spans_page, viewport={"width": width, "height": 800})
    told, sign = tab.locator(f'[aria-label="{title}"] .believed'), SIGNS[title]
    assert told.inner_text() == sign.name
    assert told.get_attribute("title") == sign.told
    letter = told.evaluate("node => getComputedStyle(node, '::before').content")
    assert letter == f'"{LETTERS[sign.level]}"'
    head = tab.locator(f'[aria-label="{title}"] h3').bounding_box()
    box = told.bounding_box()
    beside = box["x"] >= head["x"] + head["width"] and abs(box["y"] - head["y"]) < 6
    assert beside or box["y"] >= head["y"] + head["height"] - 1
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_copied_numbers_have_the_ends_of_ranges(open_page, spans_page) -> None:
    tab = open_page(spans_page)
    script = """() => {
      const root = document.querySelector(".blocks-frame");
      const { data } = JSON.parse
        ? { data: JSON.parse(document.getElementById("blocks-data").textContent) } : {};
      const panel = data.panels.find(({ title }) => title === "One answer in tiles");
      return tableOfMarks(panel, 0, { data }, {});
    }"""
    rows = tab.evaluate(script)
    assert rows[0] == ["name", "logit", "least by any method", "largest by any method"]
    for row, (value, span) in zip(rows[1:], CHANNELS, strict=True):
        assert row[1:] == [value, *(span or (None, None))]
