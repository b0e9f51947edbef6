"""Every kind of selection, as a reader handles it: list, slider, click, hover, photographs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from captum_blocks.render.html import page
from captum_blocks.scene import Bars, Below, Chapter, Mark, Selection
from tests.render.sample_kinds import (
    CHANNELS,
    CLASSES,
    GRID,
    PICTURES,
    SEEN,
    came_from,
    channels,
    groups,
    kinds_scene,
)

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
STAGE = "[data-stage]"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return save(kinds_scene(), tmp_path_factory.mktemp("page"))


def save(scene, folder):
    path = folder / "page.html"
    path.write_text(page(scene), "utf-8")
    return path


def panel(tab, title):
    return tab.locator(f'.panel[aria-label="{title}"]')


def marks(tab, title):
    return panel(tab, title).locator(".mark")


def labels(tab, title):
    return marks(tab, title).locator(".label").all_inner_texts()


def names(made):
    return [mark.label for mark in made]


def fragment(tab):
    tab.wait_for_timeout(250)
    return tab.evaluate("decodeURIComponent(location.hash)")


def said(tab):
    return tab.locator(".announcer").inner_text()


def away(tab):
    tab.mouse.move(900, 20)


def shown_photo(tab):
    """Height over width of the large photograph."""
    return tab.locator(f"{STAGE} img").evaluate("img => img.naturalHeight / img.naturalWidth")


def shape(photo):
    return pytest.approx(photo.pixels.shape[0] / photo.pixels.shape[1], abs=0.01)


# A slider


def test_a_slider_changes_how_many_groups_there_are(open_page, sample):
    tab = open_page(sample)
    slider = tab.get_by_label("number of groups")
    assert labels(tab, "Groups") == names(groups(PICTURES[0], 3))
    slider.focus()
    tab.keyboard.press("ArrowRight")
    assert labels(tab, "Groups") == names(groups(PICTURES[0], 4))
    assert tab.locator(".control output").first.inner_text() == "4"
    assert slider.get_attribute("aria-valuetext") == "4"
    assert said(tab) == "number of groups: 4"
    assert fragment(tab) == "#is.k=4"
    tab.keyboard.press("Home")
    assert labels(tab, "Groups") == names(groups(PICTURES[0], 2))
    tab.keyboard.press("Escape")
    assert labels(tab, "Groups") == names(groups(PICTURES[0], 3))
    assert fragment(tab) == ""


def test_a_control_stands_above_the_first_panel_that_follows_it(open_page, sample):
    tab = open_page(sample)
    assert panel(tab, "Groups").locator('input[type="range"]').count() == 1
    assert tab.locator('input[type="range"]').count() == 1
    control = panel(tab, "Effect on a class").locator(".control").bounding_box()
    assert control["y"] < marks(tab, "Effect on a class").first.bounding_box()["y"]
    # The photographs have thumbnails instead.
    assert tab.locator("select").count() == 1


# A list


def test_a_class_is_chosen_from_a_list(open_page, sample):
    tab = open_page(sample)
    before = marks(tab, "Effect on a class").locator(".value").all_inner_texts()
    assert tab.locator("select option").all_inner_texts() == list(CLASSES)
    tab.get_by_label("class", exact=True).select_option("espresso")
    assert before == ["+0.70", "+0.20"]
    after = marks(tab, "Effect on a class").locator(".value").all_inner_texts()
    assert after == ["−0.40", "+0.60"]
    assert said(tab) == "class: espresso"
    assert fragment(tab) == "#is.class=espresso"


# A click


def test_a_click_drills_down_and_a_second_click_resets(open_page, sample):
    tab = open_page(sample)
    assert labels(tab, "Came from") == names(came_from(0))
    third = marks(tab, "Channels").nth(2)
    third.hover()
    # Hovering only lights.
    assert labels(tab, "Came from") == names(came_from(0))
    assert "lit" in third.get_attribute("class")
    third.locator(".name").click()
    away(tab)
    assert labels(tab, "Came from") == names(came_from(2))
    assert third.get_attribute("aria-current") == "true"
    assert said(tab) == "channel: bn2 : 2"
    assert "is.down=bn2/channel/2" in fragment(tab)
    third.locator(".name").click()
    away(tab)
    assert labels(tab, "Came from") == names(came_from(0))
    assert fragment(tab) == ""


def test_a_click_above_changes_what_is_drilled_into_below(open_page, tmp_path):
    """Three layers: what the middle one had chosen is gone when its channels change."""

    def bars(title, frames, **links):
        made = [[Mark(name, name, (1.0,)) for name in frame.split()] for frame in frames]
        return Bars(title, frames=tuple(map(tuple, made)), **links)

    top = bars("top", ["a b"], sets=("upper",))
    middle = bars("middle", ["p q", "r s"], follows=("upper",), sets=("lower",))
    low = bars("low", ["of-p", "of-q", "of-r", "of-s"], follows=("lower",))
    selections = (
        Selection("upper", "click", "channel", ("a", "b")),
        Selection("lower", "click", "channel", ("p", "q", "r", "s")),
    )
    body = Below((top, middle, low))
    scene = replace(
        kinds_scene(),
        chapters=(Chapter("Layers", "", body),),
        selections=(*kinds_scene().selections, *selections),
    )
    tab = open_page(save(scene, tmp_path))
    assert labels(tab, "low") == ["of-p"]
    marks(tab, "middle").nth(1).click()
    assert labels(tab, "low") == ["of-q"]
    marks(tab, "top").nth(1).click()
    assert labels(tab, "middle") == ["r", "s"]
    assert labels(tab, "low") == ["of-r"]
    marks(tab, "top").nth(1).click()
    assert labels(tab, "low") == ["of-q"]


def test_two_panels_set_one_selection(open_page, sample):
    tab = open_page(sample)
    marks(tab, "Where they fire").nth(3).click()
    away(tab)
    assert labels(tab, "Came from") == names(came_from(3))
    marks(tab, "Channels").nth(3).locator(".name").click()
    away(tab)
    assert labels(tab, "Came from") == names(came_from(0))


def test_enter_drills_down_and_escape_resets(open_page, sample):
    tab = open_page(sample)
    panel(tab, "Channels").focus()
    for key in ("ArrowDown", "ArrowRight", "Enter"):
        tab.keyboard.press(key)
    assert labels(tab, "Came from") == names(came_from(1))
    assert tab.evaluate("document.activeElement.dataset.key") == "bn2/channel/1"
    tab.keyboard.press("Escape")
    assert labels(tab, "Came from") == names(came_from(0))
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')") == "Channels"


def test_the_first_tap_lights_and_the_second_drills_down(open_page, sample):
    tab = open_page(sample, **PHONE)
    name = marks(tab, "Channels").nth(4).locator(".name")
    name.tap()
    assert labels(tab, "Came from") == names(came_from(0))
    name.tap()
    assert labels(tab, "Came from") == names(came_from(4))


def test_a_place_is_chosen_by_a_click_only(open_page, sample):
    tab = open_page(sample)
    box = tab.locator(STAGE).bounding_box()
    chosen = f"{STAGE} .cell:not(.hint)"
    before = tab.locator(chosen).bounding_box()
    spot = (box["x"] + 0.25 * box["width"], box["y"] + 0.1 * box["height"])
    tab.mouse.move(*spot)
    assert tab.locator(chosen).bounding_box() == before
    assert tab.locator(f"{STAGE} .hint").count() == 1
    assert tab.locator(".readout").inner_text().startswith("row 1, column 1 ")
    tab.mouse.click(*spot)
    away(tab)
    assert tab.locator(chosen).bounding_box() != before
    assert tab.locator(f"{STAGE} .hint").count() == 0
    assert tab.locator(".readout").inner_text().startswith("row 1, column 1 ")
    tab.mouse.click(*spot)
    away(tab)
    assert tab.locator(chosen).bounding_box() == before


# Hover: a panel that sets and follows one selection


def test_pointing_previews_what_a_click_keeps(open_page, tmp_path):
    """One panel sets two selections: one follows the pointer, the other waits for the click."""
    keys = ("a", "b", "c")
    near, kept = (Selection(name, name, "channel", keys) for name in ("hover", "click"))
    source = Bars("Source", sets=("click", "hover"), frames=(tuple(map(row, keys)),))
    previews, stays = (
        Bars(name, follows=(name,), frames=tuple((row(f"{name} {key}"),) for key in keys))
        for name in ("hover", "click")
    )
    scene = replace(
        kinds_scene(),
        chapters=(Chapter("h", "r", Below((source, previews, stays))),),
        selections=(near, kept),
        pictured=None,
        others=(),
    )
    tab = open_page(save(scene, tmp_path))

    def now():
        shown = labels(tab, "hover") + labels(tab, "click")
        # Each panel names the atom that it is about, in every state.
        subjects = (panel(tab, name).locator(".subject").inner_text() for name in gestures)
        told = zip(gestures, subjects, strict=True)
        assert [" ".join(each) for each in told] == shown
        return shown

    gestures = ("hover", "click")
    assert panel(tab, "Source").locator(".subject").count() == 0
    assert now() == ["hover a", "click a"]
    marks(tab, "Source").nth(1).hover()
    assert now() == ["hover b", "click a"]
    away(tab)
    assert now() == ["hover a", "click a"]
    marks(tab, "Source").nth(1).click()
    away(tab)
    assert now() == ["hover b", "click b"]
    assert said(tab) == "channel: b"
    assert fragment(tab) == "#mark=b&is.click=b&is.hover=b"
    marks(tab, "Source").nth(2).hover()
    assert now() == ["hover c", "click b"]
    marks(tab, "Source").nth(1).click()
    away(tab)
    assert now() == ["hover a", "click a"]
    assert fragment(tab) == ""


def test_what_is_previewed_below_is_one_of_the_marks_shown(open_page, tmp_path):
    """A click above changes the marks: what pointing at them shows starts with the first."""
    upper = Selection("upper", "click", "channel", ("a", "b"))
    lower = Selection("lower", "hover", "channel", ("p", "q", "r"), 1)
    top = Bars("top", sets=("upper",), frames=((row("a"), row("b")),))
    frames = ((row("p"), row("q")), (row("r"),))
    middle = Bars("middle", sets=("lower",), follows=("upper",), frames=frames)
    told = Bars("told", follows=("lower",), frames=tuple((row(f"of {k}"),) for k in "pqr"))
    chapters = (Chapter("h", "r", Below((top, middle, told))),)
    made = replace(kinds_scene(), chapters=chapters, selections=(upper, lower), pictured=None)
    tab = open_page(save(replace(made, others=()), tmp_path))
    assert labels(tab, "told") == ["of q"]
    marks(tab, "top").nth(1).click()
    away(tab)
    assert labels(tab, "told") == ["of r"]


def test_two_panels_may_set_what_the_other_follows(open_page, tmp_path):
    one, two = (Selection(name, "hover", "channel", (f"{name}0", f"{name}1")) for name in "ab")
    panels = [
        Bars(
            own.name,
            sets=(own.name,),
            follows=(other.name,),
            frames=tuple(tuple(row(key, f"{key} {state}") for key in own.keys) for state in "xy"),
        )
        for own, other in ((one, two), (two, one))
    ]
    chapters = (Chapter("h", "r", Below(tuple(panels))),)
    scene = replace(kinds_scene(), chapters=chapters, selections=(one, two), pictured=None)
    tab = open_page(save(replace(scene, others=()), tmp_path))
    assert labels(tab, "a") == ["a0 x", "a1 x"]
    marks(tab, "b").nth(1).hover()
    assert labels(tab, "a") == ["a0 y", "a1 y"]


def test_a_list_is_not_held_to_the_marks_that_are_shown(open_page, tmp_path):
    many = Selection("many", "slider", "number", ("1", "2"))
    answer = Selection("answer", "choose", "class", ("cat", "dog"), 0, labels=("cat", "dog"))
    source = Bars(
        "Source",
        sets=("answer",),
        follows=("many",),
        frames=((row("dog"),), (row("dog"), row("cat"))),
    )
    told = Bars("told", follows=("answer",), frames=((row("of cat"),), (row("of dog"),)))
    chapters = (Chapter("h", "r", Below((source, told))),)
    scene = replace(kinds_scene(), chapters=chapters, selections=(many, answer), pictured=None)
    tab = open_page(save(replace(scene, others=()), tmp_path))
    assert labels(tab, "told") == ["of cat"]
    marks(tab, "Source").nth(0).hover()
    assert labels(tab, "told") == ["of dog"]
    assert tab.locator("select").input_value() == "1"
    away(tab)
    assert labels(tab, "told") == ["of cat"]
    for name in ("dog", "cat"):
        tab.locator("select").select_option(name)
        assert labels(tab, "told") == [f"of {name}"]


def changing(keys, frames):
    near = Selection("near", "hover", "channel", keys)
    shown = Bars("Both", follows=("near",), sets=("near",), frames=frames)
    chapter = Chapter("h", "r", Below((shown,)))
    return replace(kinds_scene(), chapters=(chapter,), selections=(near,), pictured=None, others=())


def row(key, label="", value=0.5):
    return Mark(key, label or key, (value,))


def test_pointing_does_not_flicker_where_the_marks_move_below_the_pointer(open_page, tmp_path):
    """In the state b its mark stands below a tall one, so that another lies below the pointer."""
    tall = row("a", "a long name " * 12)
    scene = changing(
        ("a", "b", "c"),
        ((row("a"), row("b"), row("c")), (tall, row("b"), row("c")), (row("c"), row("b"), tall)),
    )
    tab = open_page(save(scene, tmp_path))
    seen = "document.querySelector('.lists').textContent"
    tab.locator(".mark").nth(1).hover()
    shown = []
    for _ in range(6):
        tab.wait_for_timeout(60)
        shown.append(tab.evaluate(seen))
    assert len(set(shown)) == 1
    assert "long name" in shown[0]
    away(tab)
    assert "long name" not in tab.evaluate(seen)


def test_focus_goes_with_its_mark(open_page, tmp_path):
    scene = changing(
        ("a", "b", "c"),
        (
            (row("a"), row("b"), row("c")),
            (row("b"), row("a"), row("c")),
            (row("a"), row("b")),
        ),
    )
    tab = open_page(save(scene, tmp_path))
    focused = "document.activeElement.dataset.key ?? document.activeElement.dataset.panel"
    tab.locator(".panel").focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    assert labels(tab, "Both") == ["b", "a", "c"]
    assert tab.evaluate(focused) == "b"
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate(focused) == "a"
    tab.locator(".mark").nth(2).focus()
    # Its own state has no such mark: the panel has the focus.
    assert labels(tab, "Both") == ["a", "b"]
    assert tab.evaluate(focused) == "0"
    tab.keyboard.press("Escape")
    assert labels(tab, "Both") == ["a", "b", "c"]


def test_a_hover_previews_and_a_click_pins(open_page, tmp_path):
    scene = changing(("a", "b"), ((row("a"), row("b")), (row("a", value=1.0), row("b", value=1.0))))
    tab = open_page(save(scene, tmp_path))
    values = tab.locator(".mark .value")
    tab.locator(".mark").nth(1).hover()
    assert values.all_inner_texts() == ["1.00", "1.00"]
    away(tab)
    assert values.all_inner_texts() == ["0.50", "0.50"]
    tab.locator(".mark").nth(1).click()
    away(tab)
    assert values.all_inner_texts() == ["1.00", "1.00"]
    tab.keyboard.press("Escape")
    assert values.all_inner_texts() == ["0.50", "0.50"]


# Photographs


def test_a_thumbnail_shows_its_photograph_everywhere(open_page, sample):
    tab = open_page(sample)
    first, second = kinds_scene().photos
    assert shown_photo(tab) == shape(first)
    below = tab.locator(".views").bounding_box()["y"]
    group = tab.get_by_role("radiogroup", name="Photograph")
    group.get_by_role("radio", name=PICTURES[1]).click()
    assert shown_photo(tab) == shape(second)
    assert tab.locator(f"{STAGE} img").get_attribute("alt") == PICTURES[1]
    assert PICTURES[1] in tab.locator(STAGE).get_attribute("aria-label")
    # A taller photograph moves nothing below it.
    assert tab.locator(".views").bounding_box()["y"] == pytest.approx(below, abs=1)
    for title in ("Groups", "Where they fire"):
        canvas = marks(tab, title).first.locator("canvas")
        sides = canvas.evaluate("canvas => canvas.height / canvas.width")
        assert sides == pytest.approx(second.pixels.shape[0] / second.pixels.shape[1], abs=0.02)
    values = marks(tab, "Channels").locator(".value").all_inner_texts()
    assert values[:2] == [f"+{mark.values[0]:.2f}" for mark in channels(PICTURES[1])[:2]]
    assert said(tab) == f"Photograph: {PICTURES[1]}"
    assert fragment(tab) == f"#is.photo={PICTURES[1]}"
    tab.keyboard.press("Escape")
    assert shown_photo(tab) == shape(first)


def test_arrows_choose_photographs(open_page, sample):
    tab = open_page(sample)
    first, second = kinds_scene().photos
    radio = tab.get_by_role("radio")
    radio.first.focus()
    tab.keyboard.press("ArrowRight")
    assert shown_photo(tab) == shape(second)
    checked = radio.evaluate_all("all => all.map(r => [r.ariaChecked, r.tabIndex])")
    assert checked == [["false", -1], ["true", 0]]
    tab.keyboard.press("ArrowRight")
    assert shown_photo(tab) == shape(first)
    tab.keyboard.press("End")
    assert shown_photo(tab) == shape(second)


def test_a_chosen_cell_stays_the_same_on_another_photograph(open_page, sample):
    tab = open_page(sample, "is.photo=" + PICTURES[0])
    tab.locator(STAGE).focus()
    for _ in range(2):
        tab.keyboard.press("ArrowRight")
    told = tab.locator(".readout").inner_text().split(" · ")[0]
    assert told == f"row 4, column 6 of {GRID} × {GRID}"
    tab.get_by_role("radio").nth(1).click()
    assert tab.locator(".readout").inner_text().split(" · ")[0] == told
    box = tab.locator(STAGE).bounding_box()
    top, left, bottom, right = SEEN[1]
    cell = tab.locator(f"{STAGE} .cell").bounding_box()
    down = (cell["y"] + cell["height"] / 2 - box["y"]) / box["height"]
    along = (cell["x"] + cell["width"] / 2 - box["x"]) / box["width"]
    assert down == pytest.approx(top + (bottom - top) * 3.5 / GRID, abs=0.01)
    assert along == pytest.approx(left + (right - left) * 5.5 / GRID, abs=0.01)
    frame = tab.locator(f"{STAGE} .seen").bounding_box()
    assert frame["y"] - box["y"] == pytest.approx(top * box["height"], abs=1)


def test_a_link_restores_every_kind_of_state(open_page, sample):
    link = f"is.photo={PICTURES[1]}&is.k=4&is.class=espresso&is.down=bn2%2Fchannel%2F5&at=0.25,0.1"
    tab = open_page(sample, link)
    assert shown_photo(tab) == shape(kinds_scene().photos[1])
    assert labels(tab, "Groups") == names(groups(PICTURES[1], 4))
    assert labels(tab, "Came from") == names(came_from(5))
    assert tab.get_by_label("class", exact=True).input_value() == "2"
    assert tab.locator(".readout").inner_text().startswith("row 1, column 1 ")
    tab.keyboard.press("Escape")
    assert labels(tab, "Groups") == names(groups(PICTURES[0], 3))
    assert labels(tab, "Came from") == names(came_from(0))
    assert fragment(tab) == ""


def test_a_link_to_nothing_shows_the_defaults(open_page, sample):
    tab = open_page(sample, "is.photo=none&is.k=99&is.down=%3Cscript%3E&at=7,8&is.near=x")
    assert labels(tab, "Groups") == names(groups(PICTURES[0], 3))
    assert labels(tab, "Came from") == names(came_from(0))


def test_hostile_names_of_photographs_and_states_do_nothing(open_page, tmp_path):
    name = "</script><img src=x onerror=alert(1)>\"'&שלום🐈" + "x" * 10_000
    scene = kinds_scene()
    photo = replace(scene.photo, name=name)
    chosen = tuple(
        replace(s, title=name, labels=tuple(name + str(i) for i in range(len(s.keys))))
        for s in scene.selections
    )
    hostile = replace(scene, photo=photo, selections=chosen)
    tab = open_page(save(hostile, tmp_path))
    tab.get_by_role("radio").nth(1).click()
    tab.locator("select").select_option(index=1)
    assert tab.locator('img[src="x"]').count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
    assert tab.locator(".control").first.bounding_box()["height"] < 260


def test_paper_shows_the_default_state_in_words(open_page, sample):
    tab = open_page(sample, "is.k=4", viewport={"width": 690, "height": 1000})
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.emulate_media(media="print")
    shown = tab.locator(".control").first.inner_text()
    assert shown.split() == ["number", "of", "groups", "3"]
    assert tab.locator("select").is_hidden()
    assert tab.locator(".photographs").is_hidden()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 690


def test_the_widest_list_of_channels_stays_on_a_phone(open_page, sample):
    tab = open_page(sample, viewport={"width": 360, "height": 700})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert marks(tab, "Where they fire").count() == CHANNELS
    assert np.isfinite(shown_photo(tab))


def test_a_copied_panel_shows_what_its_control_is_set_to(open_page, sample):
    tab = open_page(sample, "is.k=4&is.class=espresso")
    drawn = """title => {
      const section = document.querySelector(`.panel[aria-label="${title}"]`);
      return asDrawing({ root: document.querySelector(".blocks"), iconPicture: () => "" },
        section, { width: 500, height: 500 });
    }"""
    slider = tab.evaluate(drawn, "Groups").split('type="range"')[1].split(">")[0]
    assert 'value="2"' in slider
    chosen = tab.evaluate(drawn, "Effect on a class").split('selected=""')[1]
    assert chosen.split("<")[0].endswith("espresso")
