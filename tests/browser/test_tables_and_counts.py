"""Tables, cells of numbers, histograms, small multiples and heat maps, as a reader handles them."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest

from captum_blocks.render import palette
from captum_blocks.render.html import page
from captum_blocks.scene import Below, Chapter, Field, Histogram, Mark, Matrix, Multiples, Overlay
from tests.render.sample_kinds import (
    BINS,
    CHANNELS,
    CLASSES,
    GRID,
    PICTURES,
    counts,
    kinds_scene,
    links,
    marked_scene,
    table,
)

NUMBERS, COLOURS = "Groups and classes", "Channels and channels"
COUNTS, SMALL, HEAT = "How much neurons fire", "Where they fire", "Effect at bn2"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return save(kinds_scene(), tmp_path_factory.mktemp("page"))


def save(scene, folder):
    path = folder / "page.html"
    path.write_text(page(scene), "utf-8")
    return path


def panel(tab, title):
    return tab.locator(f'.panel[aria-label="{title}"]')


def readout(tab):
    return tab.locator(".readout").inner_text()


def test_a_table_is_a_table(open_page, sample):
    tab = open_page(sample)
    shown = panel(tab, NUMBERS).get_by_role("table", name=NUMBERS)
    assert shown.get_by_role("columnheader").all_inner_texts() == list(CLASSES)
    rows = table(PICTURES[0])
    assert shown.get_by_role("rowheader").all_inner_texts() == [mark.label for mark in rows]
    numbers = shown.locator("tbody tr").evaluate_all(
        "rows => rows.map(r => [...r.querySelectorAll('td')].map(c => c.textContent))"
    )
    assert numbers[0] == ["+0.70", "+0.38", "−0.29"]
    assert numbers[3] == ["+0.05", "−0.02", "–"]
    assert shown.locator("tr").last.get_attribute("class") == "mark total"
    assert shown.locator("tr .icon").count() == 3
    right = shown.locator("tbody td:last-child .number").evaluate_all(
        "cells => cells.map(c => Math.round(c.getBoundingClientRect().right))"
    )
    assert len(set(right)) == 1


def test_pointing_at_a_row_lights_its_mark_and_its_map(open_page, sample):
    tab = open_page(sample)
    panel(tab, NUMBERS).locator("tr.mark").nth(1).hover()
    assert tab.locator(".stage .legend").inner_text().split("\n")[0] == "group 2"
    lit = panel(tab, "Groups").locator(".mark.lit").get_attribute("data-key")
    assert lit == "bn2/group/1"


def test_the_area_of_a_cell_is_its_magnitude_and_its_colour_its_sign(open_page, sample):
    tab = open_page(sample)
    patches = (
        panel(tab, COLOURS)
        .locator("tbody td .patch")
        .evaluate_all(
            "all => all.map(p => [p.offsetWidth / p.parentNode.offsetWidth,"
            " getComputedStyle(p).backgroundColor, getComputedStyle(p, '::after').content])"
        )
    )
    values = [value for mark in links() for value in mark.values]
    assert len(patches) == len(values)
    blue, orange = (f"rgb{palette.rgb(c)}" for c in (palette.SUPPORTS, palette.OPPOSES))
    for (side, colour, sign), value in zip(patches, values, strict=True):
        assert side == pytest.approx(sqrt(min(1, abs(value))), abs=0.05)
        assert colour == (orange if value < 0 else blue)
        # Never by colour alone.
        assert (sign == "none") == (value >= 0)
    assert panel(tab, COLOURS).locator(".scale").inner_text().split("\n")[-1] == "= 1.00 logit"


def test_a_cell_tells_its_number(open_page, sample):
    tab = open_page(sample)
    here = panel(tab, COLOURS).locator(".here")
    assert here.inner_text() == ""
    cell = panel(tab, COLOURS).locator("tbody tr").nth(1).locator("td").nth(3)
    cell.hover()
    value = links()[1].values[3]
    told = f"bn1 : 1, bn2 : 3: {'+' if value > 0 else '−'}{abs(value):.2f} logit"
    assert here.inner_text() == readout(tab) == told
    lit = panel(tab, COLOURS).locator("thead .lit").all_inner_texts()
    assert lit == ["bn2 : 3"]
    tab.mouse.move(900, 20)
    assert here.inner_text() == ""


def test_arrows_walk_through_cells_in_both_directions(open_page, sample):
    tab = open_page(sample)
    panel(tab, COLOURS).focus()
    here = panel(tab, COLOURS).locator(".here")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowDown"):
        tab.keyboard.press(key)
    assert here.inner_text().startswith("bn1 : 1, bn2 : 1: ")
    for _ in range(12):
        tab.keyboard.press("ArrowRight")
    assert here.inner_text().startswith("bn1 : 1, bn2 : 8: ")


def test_bars_of_counts_share_one_scale_and_tell_their_number(open_page, sample):
    tab = open_page(sample)
    shown = panel(tab, COUNTS)
    heights = shown.locator(".bin .fill").evaluate_all(
        "all => all.map(f => f.offsetHeight / f.parentNode.offsetHeight)"
    )
    made = [n for row in counts(PICTURES[0]) for n in row]
    assert heights == pytest.approx([n / max(made) for n in made], abs=0.02)
    shown.locator(".bins").nth(1).locator(".bin").nth(3).hover()
    told = f"bn2, 0.75 to 1.00 activation: {counts(PICTURES[0])[1][3]} neurons"
    assert shown.locator(".here").inner_text() == readout(tab) == told
    assert "the full height is 90 neurons" in shown.inner_text()
    tab.mouse.move(900, 20)
    assert shown.locator(".here").inner_text() == ""


def test_the_keyboard_reaches_every_bin(open_page, sample):
    tab = open_page(sample)
    panel(tab, COUNTS).focus()
    for _ in range(BINS + 1):
        tab.keyboard.press("ArrowDown")
    first = counts(PICTURES[0])[1][0]
    here = panel(tab, COUNTS).locator(".here")
    assert here.inner_text() == f"bn2, 0.00 to 0.25 activation: {first} neurons"
    tab.keyboard.press("Escape")
    assert here.inner_text() == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_number_of_the_photograph_is_marked(open_page, tmp_path, scheme):
    tab = open_page(save(marked_scene(), tmp_path), color_scheme=scheme)
    shown = panel(tab, COUNTS)
    marks = shown.get_by_role("listitem").filter(has_text="this photograph")
    assert marks.all_inner_texts() == ["this photograph: 0.30", "this photograph: 2.90"]
    bins = shown.locator(".bins").first.bounding_box()
    near, far = (mark.bounding_box() for mark in marks.all())
    # The line is the side that the number is not on.
    assert near["x"] == pytest.approx(bins["x"] + bins["width"] * 0.3 / 3, abs=1)
    assert far["x"] + far["width"] == pytest.approx(bins["x"] + bins["width"] * 2.9 / 3, abs=1)
    assert [box["height"] for box in (near, far)] == pytest.approx([bins["height"] + 20] * 2, abs=2)
    assert far["x"] >= bins["x"]
    line = marks.first.evaluate("mark => getComputedStyle(mark).borderLeftColor")
    assert line == {"light": "rgb(31, 111, 235)", "dark": "rgb(110, 168, 255)"}[scheme]
    # It lies over no bar's tallest end, and takes no pointer from the bars.
    assert near["y"] < bins["y"]
    shown.locator(".bin").first.hover()
    assert shown.locator(".here").inner_text().startswith("bn1, 0.00 to 0.25 activation")
    assert shown.locator(".bin").count() == 2 * BINS
    assert "among the channel means of 90 photographs" in shown.inner_text()


def test_the_marked_number_follows_the_photograph(open_page, tmp_path):
    tab = open_page(save(marked_scene(), tmp_path), f"is.photo={PICTURES[1]}")
    first, second = panel(tab, COUNTS).locator(".marked").all()
    assert first.inner_text() == "this photograph: 3.00"
    assert not second.is_visible()


def test_counts_follow_the_photograph(open_page, sample):
    tab = open_page(sample, f"is.photo={PICTURES[1]}")
    tab.locator(".bins").first.locator(".bin").first.hover()
    told = panel(tab, COUNTS).locator(".here").inner_text()
    assert told.endswith(f": {counts(PICTURES[1])[0][0]} neurons")


def test_small_photographs_stand_side_by_side(open_page, sample):
    tab = open_page(sample)
    shown = panel(tab, SMALL)
    # One has no map and is not drawn.
    assert shown.locator(".mark").count() == CHANNELS
    tops = shown.locator(".mark").evaluate_all("all => all.map(m => m.offsetTop)")
    assert len(set(tops)) == 2
    assert tops == sorted(tops)
    assert shown.locator(".sum").first.inner_text() == "+1.20 logit"
    shown.locator(".mark").nth(2).hover()
    assert tab.locator(".stage .legend").inner_text().split("\n")[0] == "bn2 : 2"
    assert panel(tab, "Channels").locator(".mark.lit").count() == 1
    assert shown.locator(".legend").inner_text().split() == ["0.00", "1.00", "activation"]


def pixels_of(tab, selector):
    return np.array(
        tab.locator(selector).first.evaluate(
            """canvas => [...canvas.getContext("2d")
               .getImageData(0, 0, canvas.width, canvas.height).data]"""
        )
    ).reshape(GRID, GRID, 4)


def test_a_heat_map_lies_on_an_empty_sheet(open_page, sample):
    tab = open_page(sample)
    sheet = panel(tab, HEAT).locator(".picture")
    assert sheet.locator("img").count() == 0
    box = sheet.bounding_box()
    assert box["width"] == pytest.approx(box["height"], abs=1)
    shown = pixels_of(tab, f'.panel[aria-label="{HEAT}"] canvas')
    values = kinds_scene().fields[f"{PICTURES[0]}/effect"].values
    assert shown[..., 3] == pytest.approx(255 * abs(values).clip(0, 1), abs=2)
    strong = np.abs(values) > 0.3
    for sign, colour in ((1, palette.SUPPORTS), (-1, palette.OPPOSES)):
        own = shown[strong & (np.sign(values) == sign)][:, :3]
        assert own == pytest.approx(np.broadcast_to(palette.rgb(colour), own.shape), abs=4)


def test_pointing_at_a_sheet_is_pointing_at_the_photograph(open_page, sample):
    tab = open_page(sample)
    sheet = panel(tab, HEAT).locator(".picture")
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    tab.mouse.move(
        box["x"] + box["width"] * 1.5 / GRID,
        box["y"] + box["height"] * 2.5 / GRID,
    )
    assert readout(tab).startswith(f"row 3, column 2 of {GRID} × {GRID}")


def test_hostile_words_do_nothing(open_page, tmp_path):
    name = "</script><img src=x onerror=alert(1)>\"'&שלום🐈" + "x" * 10_000
    mark = Mark(name, name, (1.0, -1.0), field="f", detail=name)
    panels = (
        Matrix(name, name, name, columns=(name, name), frames=((mark,),), domain=(-1.0, 1.0)),
        Matrix(
            name,
            name,
            name,
            columns=(name, name),
            frames=((mark,),),
            domain=(-1.0, 1.0),
            style="colours",
        ),
        Multiples(name, name, name, frames=((mark,),)),
        Histogram(name, name, name, columns=(name,), frames=(((3,),),), counted=name),
        Overlay(name, name, name, frames=(("f",),), bare=True),
    )
    field = Field(np.eye(3), (0.0, 1.0), name, name)
    scene = replace(
        kinds_scene(), chapters=(Chapter(name, name, Below(panels)),), fields={"f": field}
    )
    tab = open_page(save(scene, tmp_path))
    tab.locator("td.mark").first.hover()
    tab.locator(".bin").first.hover()
    assert tab.locator('img[src="x"]').count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
    heights = tab.locator(".panel").evaluate_all("all => all.map(p => p.offsetHeight)")
    assert max(heights) < 1100


def test_without_a_photograph_numbers_are_still_told(open_page, tmp_path):
    """Small maps lie on sheets; the panel's own line is the live one."""
    scene = kinds_scene()
    field = Field(np.eye(2, 3), (-1.0, 1.0), "activation", "f")
    small = Multiples("small", frames=((Mark("a", "a", (0.5,), field="f"),),))
    colours = Matrix(
        "cells",
        unit="logit",
        columns=("one",),
        frames=((Mark("a", "a", (0.5,)),),),
        style="colours",
    )
    chapter = Chapter("h", "r", Below((small, colours)))
    bare = replace(
        scene,
        photo=None,
        others=(),
        pictured=None,
        selections=(),
        chapters=(chapter,),
        fields={"f": field},
    )
    tab = open_page(save(bare, tmp_path))
    shape = tab.locator("canvas.sheet").evaluate("canvas => canvas.width / canvas.height")
    assert shape == pytest.approx(1.5)
    tab.locator("td.mark").hover()
    here = tab.locator(".here")
    assert here.inner_text() == "a, one: 0.50 logit"
    assert here.get_attribute("aria-live") == "polite"
