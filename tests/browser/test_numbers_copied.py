"""The numbers of a panel, copied: what a spreadsheet gets of each kind, and what it must not."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from captum_blocks.render.html import page
from captum_blocks.scene import (
    Bars,
    Below,
    Chapter,
    Mark,
    Matrix,
    Scene,
    Selection,
    Switched,
    panels_of,
)
from tests.render.sample import CLASSES, GROUP_SHARES, sample_scene
from tests.render.sample_grids import SHARES, grids_scene
from tests.render.sample_kinds import (
    OWN,
    PICTURES,
    channels,
    counts,
    kinds_scene,
    marked_scene,
    table,
)
from tests.render.sample_ticks import ROWS, TILES, ticks_scene

ALLOWED = ["clipboard-read", "clipboard-write"]
READ = """async (type) => {
  const [item] = await navigator.clipboard.read();
  return await (await item.getType(type)).text();
}"""
HOSTILE = (
    "=HYPERLINK(1)",
    "+1",
    "-2+3",
    "@sum",
    " \t=1",
    "\u200b=1",
    'a "quoted" one',
    "two\nlines\tand a tab",
    "<b>bold</b>",
    "'",
    "",
)


@pytest.fixture
def opened(open_page, tmp_path):
    def open_scene(scene, **options):
        path = tmp_path / "page.html"
        path.write_text(page(scene), "utf-8")
        return open_page(path, **{"permissions": ALLOWED} | options)

    return open_scene


def panel(tab, title):
    return tab.locator(f'.panel[aria-label="{title}"]')


def copied(tab, title, form="text/plain"):
    section = panel(tab, title)
    section.hover(position={"x": 2, "y": 2})
    button = section.get_by_role("button", name="Copy numbers")
    button.click()
    section.get_by_role("button", name="Copied").wait_for()
    return tab.evaluate(READ, form)


def rows(tab, title):
    return list(csv.reader(copied(tab, title).split("\n"), delimiter="\t"))


def numbers(cells):
    return [None if cell == "" else float(cell) for cell in cells]


def panel_in(scene, title):
    every = (each for chapter in scene.chapters for each in panels_of(chapter.body))
    return next(each for each in every if each.title == title)


def test_bars_come_with_their_remainder_and_their_total(opened):
    head, *lines = rows(opened(sample_scene()), "Six groups of neurons")
    assert head == ["name", *(f"{name} (logit)" for name in CLASSES), "role"]
    assert [line[0] for line in lines] == [
        *(f"group {k + 1}" for k in range(6)),
        "not explained by groups",
        "total",
    ]
    assert [line[-1] for line in lines] == ["atom"] * 6 + ["remainder", "total"]
    assert [tuple(map(float, line[1:3])) for line in lines[:6]] == list(GROUP_SHARES)
    assert lines[4][1] == "-0.3"  # no typographic minus
    assert np.sum([numbers(line[1:3]) for line in lines[:7]], 0) == pytest.approx(
        numbers(lines[7][1:3])
    )


def test_the_numbers_are_those_of_the_state_shown(opened):
    tab = opened(sample_scene())
    title = "Strongest channels here"
    frames = panel_in(sample_scene(), title).frames
    first = rows(tab, title)
    assert first[0] == ["name", "activation"]
    tab.locator("[data-stage]").focus()
    for _ in range(4):
        tab.keyboard.press("ArrowDown")
    second = rows(tab, title)
    for lines, frame in ((first, frames[5 * 14 + 6]), (second, frames[9 * 14 + 6])):
        assert [line[0] for line in lines[1:]] == [mark.label for mark in frame]
        expected = [mark.values[0] for mark in frame]
        assert [float(line[1]) for line in lines[1:]] == pytest.approx(expected, rel=1e-4)


def test_ticks_are_columns_of_their_own(opened):
    tab = opened(ticks_scene())
    head, first, *_, total = rows(tab, ROWS)
    tick = "tick: gradient × activation, logit"
    assert head[1:5] == [
        "tiger cat (logit)",
        f"tiger cat, {tick}",
        "Egyptian cat (logit)",
        f"Egyptian cat, {tick}",
    ]
    assert numbers(first[1:5]) == pytest.approx([1.8, 0.5, 0.4, 0.52])
    assert numbers(total[1:5]) == [2.6, None, 2.3, None]
    assert rows(tab, TILES)[0] == ["name", "logit", tick]


def test_tables_and_counts(opened):
    tab = opened(kinds_scene())
    head, *lines = rows(tab, "Groups and classes")
    assert head[-2:] == ["espresso (logit)", "role"]
    expected = [list(mark.values) for mark in table(PICTURES[0])]
    assert [numbers(line[1:4]) for line in lines] == expected
    head, *lines = rows(tab, "How much neurons fire")
    assert head == ["from (activation)", "to (activation)", "bn1 (neurons)", "bn2 (neurons)"]
    assert [numbers(line)[2:] for line in lines] == [
        list(pair) for pair in zip(*counts(PICTURES[0]), strict=True)
    ]
    assert lines[1][:2] == ["0.25", "0.5"]


def test_what_is_marked_stands_below_the_counts(opened):
    _, *lines, last = rows(opened(marked_scene()), "How much neurons fire")
    assert [numbers(line)[2:] for line in lines] == [
        list(pair) for pair in zip(*counts(PICTURES[0]), strict=True)
    ]
    assert last[:2] == ["this photograph", ""]
    assert numbers(last[2:]) == list(OWN[0])


def test_maps_are_places_from_one_on(opened):
    tab = opened(kinds_scene())
    head, *lines = rows(tab, "Effect at bn2")
    assert head == ["row", "column", "effect (activation)"]
    field = kinds_scene().fields[f"{PICTURES[0]}/effect"]
    assert [lines[0][:2], lines[8][:2], lines[-1][:2]] == [["1", "1"], ["2", "2"], ["7", "7"]]
    found = np.array([float(line[2]) for line in lines]).reshape(7, 7)
    assert np.abs(found - field.values).max() < 1e-4
    head, told, *lines = rows(tab, "Where they fire")
    assert head[2:4] == ["bn2 : 0 (activation)", "bn2 : 1 (activation)"]
    assert told[:2] == ["all", "all"]
    assert numbers(told[2:]) == [mark.values[0] for mark in channels(PICTURES[0])]
    assert len(lines) == 49
    # A view of the large photograph, from its line in the chapter.
    assert rows(tab, "Strength at bn2")[0] == ["row", "column", "strength (activation)"]


def test_maps_of_several_grids_follow_each_other(opened):
    scene = sample_scene()
    view = panel_in(scene, "Groups at bn2")
    both = replace(view, frames=((*view.frames[0][:1], "strength"),))
    head, *lines = rows(
        opened(replace(scene, chapters=(Chapter("h", "r", both),))), "Groups at bn2"
    )
    assert head == ["map", "row", "column", "value", "unit"]
    assert [line[0] for line in lines].count("group 1 at bn2") == 49
    assert lines[-1][:3] == ["how strongly the layer fires", "14", "14"]


def test_cells_and_flows(opened):
    tab = opened(grids_scene())
    mosaic, flows = (each for chapter in grids_scene().chapters for each in panels_of(chapter.body))
    head, *lines = rows(tab, mosaic.title)
    assert head[:3] == ["name", "row", "column"]
    assert [line[0] for line in lines] == [cell.mark.label for cell in mosaic.frames[0]]
    assert [tuple(map(int, line[1:3])) for line in lines] == [
        (y + 1, x + 1) for y in range(mosaic.grid[0]) for x in range(mosaic.grid[1])
    ]
    head, *lines = rows(tab, flows.title)
    assert head == ["from (bn2)", "to (answers)", "logit"]
    names = [mark.label for mark in flows.frames[0].left]
    expected = [
        [name, target, pytest.approx(share)]
        for name, shares in zip(names, SHARES, strict=True)
        for target, share in zip(("tiger cat", "Egyptian cat"), shares, strict=True)
    ]
    assert [[*line[:2], float(line[2])] for line in lines] == expected


def test_switches_change_what_is_copied(opened):
    keys = ("a", "b")
    scores = np.array([[0, 0], [1, 0], [0, 2], [1, 2]], np.float32)
    switched = Switched("off", keys, ("group 1", "=2"), scores, np.zeros(4, np.float32), "classes")
    answers = Bars(
        "Answers",
        unit="probability",
        frames=(tuple(Mark(f"class/{n}", n, (0.1,)) for n in ("cat", "dog")),),
        switched=(switched,),
    )
    selection = Selection("off", "toggle", "group", keys)
    scene = Scene("t", "a", None, (Chapter("h", "r", answers),), selections=(selection,))
    tab = opened(scene)
    head, *lines = rows(tab, "Answers")
    whole = np.exp([1, 2, 0]) / np.exp([1, 2, 0]).sum()
    assert head == ["name", "probability"]
    assert [float(line[1]) for line in lines] == pytest.approx(whole[:2], rel=1e-6)
    panel(tab, "Answers").get_by_role("switch", name="=2").click()
    head, *lines = rows(tab, "Answers")
    left = np.exp([1, 0, 0]) / np.exp([1, 0, 0]).sum()
    assert head == ["name", "probability, without =2"]
    assert [float(line[1]) for line in lines] == pytest.approx(left[:2], rel=1e-6)


def hostile_scene():
    marks = tuple(Mark(str(k), name, (-1e-7 * k, None)) for k, name in enumerate(HOSTILE))
    made = Matrix("Names", unit="=unit", columns=HOSTILE[:2], frames=(marks,))
    return Scene("t", "a", None, (Chapter("h", "r", made),))


def test_names_stay_in_their_cells_and_start_no_formula(opened):
    tab = opened(hostile_scene())
    head, *lines = rows(tab, "Names")
    assert head == ["name", "'=HYPERLINK(1) (=unit)", "'+1 (=unit)"]
    assert {len(line) for line in lines} == {3}
    assert [line[0] for line in lines] == [
        "'=HYPERLINK(1)",
        "'+1",
        "'-2+3",
        "'@sum",
        "'=1",
        "'\u200b=1",
        'a "quoted" one',
        "two lines and a tab",
        "<b>bold</b>",
        "'",
        "",
    ]
    assert numbers(line[1] for line in lines) == pytest.approx([-1e-7 * k for k in range(11)])
    assert lines[3][1] == "-3e-7"
    assert {line[2] for line in lines} == {""}
    html = copied(tab, "Names", "text/html")
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert "<b>" not in html
    assert html.count("<tr>") == 12


def test_without_a_clipboard_of_its_own_the_browser_copies(opened):
    tab = opened(hostile_scene())
    expected = copied(tab, "Names")
    tab.evaluate("navigator.clipboard.writeText('')")
    tab.evaluate("window.kept = navigator.clipboard")
    tab.evaluate(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined, writable: true})"
    )
    button = panel(tab, "Names").get_by_role("button", name="Copy numbers")
    button.focus()
    tab.keyboard.press("Enter")
    panel(tab, "Names").get_by_role("button", name="Copied").wait_for()
    assert tab.evaluate("document.activeElement.className") == "copy of-numbers"
    assert tab.locator("textarea").count() == 0
    assert tab.locator(".announcer").inner_text() == "Copied"
    assert tab.evaluate("window.kept.readText()") == expected


def test_without_any_clipboard_the_numbers_are_saved(opened):
    tab = opened(hostile_scene())
    expected = copied(tab, "Names")
    tab.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    tab.evaluate("document.execCommand = () => false")
    button = panel(tab, "Names").get_by_role("button", name="Copy numbers")
    with tab.expect_download() as download:
        button.click()
    assert download.value.suggested_filename == "Names.tsv"
    assert download.value.path().read_text("utf-8") == expected


def test_a_panel_without_numbers_offers_none(opened):
    icons = Bars("Icons", frames=((Mark("a", "one", ()), Mark("b", "two", (None,))),))
    tab = opened(Scene("t", "a", None, (Chapter("h", "r", Below((icons,))),)))
    assert tab.get_by_role("button", name="Copy numbers").count() == 0
    assert tab.get_by_role("button", name="Copy as PNG").count() == 1


def test_both_buttons_stand_beside_each_other_and_not_on_paper(opened):
    tab = opened(sample_scene())
    section = panel(tab, "Six groups of neurons")
    section.hover()
    picture, table = (
        section.get_by_role("button", name=name).bounding_box()
        for name in ("Copy as PNG", "Copy numbers")
    )
    assert picture["y"] == table["y"]
    assert 0 < table["x"] - picture["x"] - picture["width"] < 12
    tab.emulate_media(media="print")
    assert tab.locator(".copy:visible").count() == 0
