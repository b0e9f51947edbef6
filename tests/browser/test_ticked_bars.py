"""The second number of a bar on a page: where it stands, what it looks like, what is told of it."""

from __future__ import annotations

import pytest

from captum_blocks.render.html import page
from captum_blocks.render.wording import number
from tests.render.sample_ticks import PLAIN, ROWS, TILES, WORDS, ticks_scene

# What is drawn on each track of a panel, in pixels of the window.
TRACKS = """
(panel) => [...panel.querySelectorAll(".mark .track")].map((track) => {
  const box = (node) => node.getBoundingClientRect();
  const { left, width, height } = box(track);
  const tick = track.querySelector(".second");
  return {
    left, width, height,
    tick: tick && (box(tick).left + box(tick).right) / 2,
    thick: tick && box(tick).width,
    tall: tick && box(tick).height,
    ink: tick && getComputedStyle(tick).borderLeftColor,
    value: box(track.querySelector(".value")).left,
    told: tick && tick.textContent,
  };
})
"""
INKS = {"light": "rgb(27, 29, 33)", "dark": "rgb(232, 234, 237)"}


@pytest.fixture(scope="module")
def ticks_page(tmp_path_factory):
    path = tmp_path_factory.mktemp("ticks") / "page.html"
    path.write_text(page(ticks_scene()), "utf-8")
    return path


def panel_named(title):
    return next(panel for panel in ticks_scene().panels() if panel.title == title)


def tracks(tab, title):
    return tab.locator(f'[aria-label="{title}"]').evaluate(TRACKS)


def ticks_of(panel, frame=0):
    marks = panel.frames[frame]
    return [tick for mark in marks for tick in mark.ticks or (None,) * len(panel.columns)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("title", [ROWS, TILES, PLAIN])
def test_ticks_stand_on_the_scale(open_page, ticks_page, title, scheme) -> None:
    panel = panel_named(title)
    low, high = panel.domain
    drawn = tracks(open_page(ticks_page, color_scheme=scheme), title)
    for track, tick in zip(drawn, ticks_of(panel), strict=True):
        if tick is None:
            assert track["tick"] is None
            continue
        wanted = track["left"] + track["width"] * (tick - low) / (high - low)
        assert track["tick"] == pytest.approx(wanted, abs=1)
        assert track["thick"] == pytest.approx(2, abs=0.01)
        assert track["tall"] > track["height"] + 4
        assert track["ink"] == INKS[scheme]
        assert track["value"] > track["left"] + track["width"] + 5
        assert track["told"] == f"tick {number(tick, panel.is_signed)}"


def test_ticks_follow_the_frame_and_nothing_moves(open_page, ticks_page) -> None:
    tab = open_page(ticks_page)
    panel = panel_named(TILES)
    size = tab.locator(f'[aria-label="{TILES}"]').bounding_box()
    for frame in (1, 0):
        tab.locator(f'[aria-label="{TILES}"] select').select_option(index=frame)
        told = [track["told"] for track in tracks(tab, TILES)]
        ticks = ticks_of(panel, frame)
        assert told == [None if t is None else f"tick {number(t, True)}" for t in ticks]
        assert tab.locator(f'[aria-label="{TILES}"]').bounding_box() == size


def test_ticks_are_read_aloud_behind_their_values(open_page, ticks_page) -> None:
    tab = open_page(ticks_page)
    heard = tab.locator(f'[aria-label="{TILES}"] .marks').aria_snapshot()
    assert "+1.62" in heard.split("tick +2.10")[0]
    assert "tick −0.90" in heard


def test_a_sample_says_what_ticks_are(open_page, ticks_page) -> None:
    tab = open_page(ticks_page)
    legend = tab.locator(f'[aria-label="{ROWS}"] .tick-legend')
    assert legend.inner_text() == WORDS
    bar, tick = (legend.locator(part).bounding_box() for part in (".fill", ".second"))
    assert bar["x"] < tick["x"] < bar["x"] + bar["width"]
    assert tick["height"] > bar["height"] + 4
    # Once in a chapter; a copy of a panel that stands below has it nevertheless.
    again = tab.locator(f'[aria-label="{TILES}"] .tick-legend')
    assert not again.is_visible()
    again.evaluate("node => node.closest('.blocks').classList.add('copied')")
    assert again.is_visible()


def test_ticks_outlast_forced_colours(open_page, ticks_page) -> None:
    tab = open_page(ticks_page, forced_colors="active", color_scheme="light")
    track = tracks(tab, ROWS)[0]
    assert (track["thick"], track["ink"]) == (2, "rgb(0, 0, 0)")
    fill = tab.locator(f'[aria-label="{ROWS}"] .mark .fill').first
    assert fill.evaluate("fill => getComputedStyle(fill).backgroundColor") != "rgb(255, 255, 255)"


@pytest.mark.parametrize("width", [390, 1280])
def test_numbers_beside_ticks_stay_in_their_panel(open_page, ticks_page, width) -> None:
    tab = open_page(ticks_page, viewport={"width": width, "height": 800})
    for title in (ROWS, PLAIN):
        box = tab.locator(f'[aria-label="{title}"]').bounding_box()
        ends = tab.locator(f'[aria-label="{title}"] .mark .value').evaluate_all(
            "values => values.map((value) => value.getBoundingClientRect().right)"
        )
        assert max(ends) <= box["x"] + box["width"]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
