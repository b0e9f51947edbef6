from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from captum_blocks.render import inks
from captum_blocks.render.html import page
from captum_blocks.render.wording import number
from captum_blocks.scene import (
    Bars,
    Below,
    Beside,
    Chapter,
    Field,
    Mark,
    Overlay,
    Scene,
    Selection,
)
from tests.browser.conftest import shows
from tests.render.sample import GRID, sample_scene

DICTIONARY = '.panel[aria-label="Strongest channels here"]'
GROUPS = '.panel[aria-label="Six groups of neurons"]'
STAGE = "[data-stage]"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "sample.html"
    path.write_text(page(sample_scene()), "utf-8")
    return path


def save(scene, folder):
    path = folder / "page.html"
    path.write_text(page(scene), "utf-8")
    return path


def tiles(tab):
    return tab.locator(f"{DICTIONARY} .mark").evaluate_all("marks => marks.map(m => m.dataset.key)")


def hover_at(tab, y, x):
    box = tab.locator(STAGE).bounding_box()
    tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])


def frame_at(y, x):
    dictionary = next(p for p in sample_scene().panels() if p.title == "Strongest channels here")
    marks = dictionary.frames[int(y * GRID) * GRID + int(x * GRID)]
    return [mark.key for mark in marks]


def legend(tab):
    return tab.locator(".stage .legend").inner_text()


def readout(tab):
    return tab.locator(".readout").inner_text()


def pixels(tab, selector):
    shot = tab.locator(selector).first.screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def difference(shown, sprite):
    icon = Image.fromarray(sample_scene().sprites[sprite].pixels).resize(shown.shape[1::-1])
    return np.abs(shown - np.asarray(icon)).mean()


def wait_until(tab, expression):
    # The page's own policy forbids the string evaluation that wait_for_function relies on.
    for _ in range(60):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(50)
    pytest.fail(f"never true: {expression}")


def wait_for_fragment(tab, wanted):
    wait_until(tab, f"location.hash.slice(1) === {wanted!r}")


def test_default_cell_and_view_are_shown(open_page, sample):
    tab = open_page(sample)
    assert tiles(tab) == frame_at(5.5 / GRID, 6.5 / GRID)
    assert "group 6" in legend(tab)
    assert readout(tab) == "Point at a place to read its number here."
    assert tab.locator(f"{STAGE} .cell").count() == 0


def test_two_places_of_the_photo_show_two_dictionaries(open_page, sample):
    tab = open_page(sample)
    hover_at(tab, 0.2, 0.2)
    assert shows(tab, DICTIONARY, frame_at(0.2, 0.2))
    hover_at(tab, 0.8, 0.9)
    assert shows(tab, DICTIONARY, frame_at(0.8, 0.9))
    assert tiles(tab) == frame_at(0.8, 0.9)
    assert frame_at(0.2, 0.2) != frame_at(0.8, 0.9)
    assert readout(tab).startswith("row 6, column 7 of 7 × 7 · group ")


def test_leaving_the_photo_brings_the_default_back(open_page, sample):
    tab = open_page(sample)
    before = tiles(tab)
    hover_at(tab, 0.9, 0.9)
    assert shows(tab, DICTIONARY, frame_at(0.9, 0.9))
    tab.mouse.move(700, 20)
    assert shows(tab, DICTIONARY, before)
    assert tiles(tab) == before


def test_a_group_row_isolates_its_field_on_the_stage(open_page, sample):
    tab = open_page(sample)
    everything = pixels(tab, STAGE)
    tab.locator(f"{GROUPS} .mark").nth(3).hover()
    assert legend(tab).split("\n")[0] == "group 4 at bn2"
    assert "activation" in legend(tab)
    assert readout(tab) == "group 4: +2.20 and +1.10 logit"
    tab.wait_for_timeout(200)
    assert np.abs(pixels(tab, STAGE) - everything).mean() > 3
    tab.mouse.move(700, 20)
    assert "group 1" in legend(tab)


def test_a_mark_lights_its_likes_and_dims_its_siblings(open_page, sample):
    tab = open_page(sample)
    rows = tab.locator(f"{GROUPS} .mark")
    rows.nth(1).hover()
    tab.wait_for_timeout(200)
    assert (
        rows.nth(1).evaluate("row => getComputedStyle(row.querySelector('.icon')).opacity") == "1"
    )
    assert (
        float(rows.nth(0).evaluate("row => getComputedStyle(row.querySelector('.icon')).opacity"))
        < 0.5
    )


def test_groups_that_are_silent_at_a_place_step_back(open_page, sample):
    tab = open_page(sample)
    hover_at(tab, 0.75, 0.7)
    tab.wait_for_timeout(200)
    shown = tab.locator(f"{GROUPS} .map").evaluate_all(
        "maps => maps.map(map => Number(getComputedStyle(map).opacity))"
    )
    fields = [sample_scene().fields[f"bn2/group/{k}"].values for k in range(6)]
    there = [field[int(0.75 * 7), int(0.7 * 7)] for field in fields]
    assert np.argsort(shown).tolist() == np.argsort(there).tolist()
    assert max(shown) > 0.9 > 0.4 > min(shown)


def test_a_click_pins_a_cell_and_escape_lets_go(open_page, sample):
    tab = open_page(sample)
    before = tiles(tab)
    hover_at(tab, 0.8, 0.9)
    tab.mouse.down()
    tab.mouse.up()
    tab.mouse.move(700, 20)
    assert tiles(tab) == frame_at(0.8, 0.9)
    wait_until(tab, "location.hash.startsWith('#at=0.')")
    tab.keyboard.press("Escape")
    assert tiles(tab) == before
    wait_for_fragment(tab, "")


def test_a_click_pins_a_row_and_a_second_click_lets_go(open_page, sample):
    tab = open_page(sample)
    row = tab.locator(f"{GROUPS} .mark").nth(2)
    row.locator(".name").click()
    tab.mouse.move(700, 20)
    assert legend(tab).split("\n")[0] == "group 3 at bn2"
    wait_for_fragment(tab, "mark=bn2%2Fgroup%2F2")
    row.locator(".name").click()
    tab.mouse.move(700, 20)
    assert "group 6" in legend(tab)


def test_arrow_keys_move_the_cell(open_page, sample):
    tab = open_page(sample)
    tab.locator(STAGE).focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowDown")
    assert readout(tab).startswith("row 4, column 5 of 7 × 7")
    assert tiles(tab) == frame_at(3.5 / 7, 4.5 / 7)
    for _ in range(20):
        tab.keyboard.press("ArrowLeft")
    assert readout(tab).startswith("row 4, column 1 of 7 × 7")


def test_the_keyboard_walks_the_marks_of_a_panel(open_page, sample):
    tab = open_page(sample)
    tab.locator(GROUPS).focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    assert legend(tab).split("\n")[0] == "group 2 at bn2"
    tab.keyboard.press("Enter")
    wait_for_fragment(tab, "mark=bn2%2Fgroup%2F1")
    tab.keyboard.press("Space")
    assert tab.locator("dialog[open] h3").inner_text() == "group 2"
    tab.keyboard.press("Escape")
    assert tab.locator("dialog[open]").count() == 0
    wait_for_fragment(tab, "mark=bn2%2Fgroup%2F1")


def test_tab_reaches_stage_and_every_panel(open_page, sample):
    tab = open_page(sample)
    reached = set()
    for _ in range(28):
        tab.keyboard.press("Tab")
        reached.add(
            tab.evaluate(
                "document.activeElement.dataset.panel ?? document.activeElement.dataset.stage"
            )
        )
    assert reached >= {"", "0", "1", "2", "3", "4", "5"}


def test_what_is_pinned_is_restored_from_the_address(open_page, sample):
    tab = open_page(sample, "at=0.8214%2C0.9643&mark=bn2%2Fgroup%2F4&view=photo")
    assert tiles(tab) == frame_at(0.8214, 0.9643)
    assert legend(tab).split("\n")[0] == "group 5 at bn2"
    # The map of the pinned group lies on the photograph, and no view does.
    assert tab.locator('[data-view][aria-pressed="true"]').count() == 0
    assert tab.locator(".own-view").inner_text() == "group 5 at bn2"
    tab.keyboard.press("Escape")
    assert tab.locator(".own-view").is_hidden()
    assert tab.locator('[data-view="photo"]').get_attribute("aria-pressed") == "true"


def test_a_pinned_group_has_the_active_view_button(open_page, sample):
    tab = open_page(sample)
    pressed = tab.locator('.views [aria-pressed="true"]:visible')
    before = pressed.inner_text()
    tab.locator(f"{GROUPS} .mark").nth(1).locator(".label").click()
    tab.mouse.move(5, 5)
    assert pressed.all_inner_texts() == ["group 2 at bn2"]
    pressed.click()
    assert pressed.all_inner_texts() == [before]
    assert legend(tab).split("\n")[0] != "group 2 at bn2"
    tab.locator(f"{GROUPS} .mark").nth(2).locator(".label").click()
    tab.locator('.views [data-view="photo"]').click()
    assert pressed.all_inner_texts() == ["photo only"]


@pytest.mark.parametrize("height", [720, 400])
def test_forty_groups_are_told_to_the_end(open_page, tmp_path, height):
    """The legend of many groups is reached to its last; the end of the page goes over it."""
    scene = sample_scene()
    field = scene.fields["bn2/group/0"]
    many = {f"many/{k}": replace(field, label=f"many group {k + 1}", hue=k) for k in range(40)}
    view = Overlay("Many", frames=(tuple(many),), stage=True)
    first = Chapter("Many", "", Below((view, *scene.panels())))
    shown = replace(scene, fields={**scene.fields, **many}, chapters=(first,))
    tab = open_page(save(shown, tmp_path), viewport={"width": 1280, "height": height})
    swatches = tab.locator(".stage .legend .swatch")
    colours = swatches.evaluate_all("all => all.map(each => each.style.background)")
    assert len(set(colours)) == len(colours) == 40
    last = tab.locator(".stage .legend .entry").last
    last.evaluate("entry => entry.parentElement.scrollTo(0, entry.parentElement.scrollHeight)")
    box = last.bounding_box()
    assert box["y"] + box["height"] <= height
    at = [box["x"] + 20, box["y"] + box["height"] / 2]
    # Nothing covers it.
    assert tab.evaluate("at => !!document.elementFromPoint(...at).closest('.legend')", at)
    tab.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    dt = tab.locator(".closing dt").last.bounding_box()
    middle = [dt["x"] + dt["width"] / 2, dt["y"] + dt["height"] / 2]
    assert tab.evaluate("at => !!document.elementFromPoint(...at).closest('.closing')", middle)


def test_no_view_button_is_cut_on_a_phone(open_page, tmp_path):
    scene = sample_scene()
    names = ("Groups", "Where it responds", "Effect of places at blocks.5.0.bn1", "The same, again")
    views = tuple(Overlay(name, frames=(("strength",),), stage=True) for name in names)
    shown = replace(scene, chapters=(Chapter("Views", "", Below(views)),))
    tab = open_page(save(shown, tmp_path), viewport={"width": 390, "height": 844})
    edges = tab.locator(".views button:visible").evaluate_all(
        "all => all.map(b => [b.getBoundingClientRect().right, b.scrollWidth - b.clientWidth])"
    )
    assert len(edges) == len(names) + 1
    assert all(right <= 390 - 16 and cut <= 0 for right, cut in edges)


def test_the_foot_of_the_page_leaves_the_stage_alone(open_page, sample):
    tab = open_page(sample)
    tab.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    stage, foot = (tab.locator(name).bounding_box() for name in (".stage", ".closing"))
    assert stage["y"] + stage["height"] <= foot["y"]


@pytest.mark.parametrize("fragment", ["at=7,7", "at=x", "mark=nobody", "view=99", "is.here=3", "%"])
def test_a_fragment_that_means_nothing_does_nothing(open_page, sample, fragment):
    tab = open_page(sample, fragment)
    assert tiles(tab) == frame_at(5.5 / GRID, 6.5 / GRID)
    assert "group 6" in legend(tab)


def test_views_are_chosen_by_button(open_page, sample):
    tab = open_page(sample)
    tab.get_by_role("button", name="photo only").click()
    assert tab.locator(f"{STAGE} canvas").count() == 0
    tab.get_by_role("button", name="Strength at blocks.4.2.bn1").click()
    assert "how strongly the layer fires" in legend(tab)
    wait_for_fragment(tab, "view=3")


def test_scrolling_to_a_chapter_calls_its_view(open_page, sample):
    tab = open_page(sample)
    assert "group 6" in legend(tab)
    tab.get_by_role("heading", name="What did it see there?").evaluate(
        "heading => scrollTo(0, heading.getBoundingClientRect().top - 100)"
    )
    wait_until(
        tab,
        "document.querySelector('.legend').textContent.includes('how strongly the layer fires')",
    )


def test_what_the_network_saw_is_framed(open_page, sample, tmp_path):
    assert open_page(sample).locator(f"{STAGE} .seen").count() == 0
    photo = replace(sample_scene().photo, seen=(0.1, 0.2, 0.9, 0.7))
    tab = open_page(save(replace(sample_scene(), photo=photo), tmp_path))
    whole = tab.locator(f"{STAGE}").bounding_box()
    frame = tab.locator(f"{STAGE} .seen").bounding_box()
    assert frame["width"] == pytest.approx(0.5 * whole["width"], abs=1)
    assert frame["y"] - whole["y"] == pytest.approx(0.1 * whole["height"], abs=1)


def test_cells_can_be_smoothed(open_page, sample):
    tab = open_page(sample)
    rendering = "canvas => getComputedStyle(canvas).imageRendering"
    canvas = tab.locator(f"{STAGE} canvas").first
    assert canvas.evaluate(rendering) == "pixelated"
    tab.get_by_role("button", name="smooth").click()
    assert canvas.evaluate(rendering) == "auto"


def test_an_icon_is_enlarged_with_its_details(open_page, sample):
    tab = open_page(sample)
    tab.locator(f"{DICTIONARY} .icon").first.click()
    dialog = tab.locator("dialog[open]")
    assert "objective" in dialog.inner_text()
    assert dialog.locator(".icon").bounding_box()["width"] == 256
    dialog.get_by_role("button", name="Close").click()
    assert tab.locator("dialog[open]").count() == 0


def copy_of(tab, number):
    # Without a clipboard the picture comes as a file.
    tab.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    panel = tab.locator(f'[data-panel="{number}"]')
    panel.hover()
    with tab.expect_download() as download:
        panel.get_by_role("button", name="Copy as PNG").click()
    return Image.open(download.value.path()).convert("RGB")


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_panel_is_saved_as_the_picture_it_is(open_page, sample, number):
    tab = open_page(sample)
    saved = copy_of(tab, number)
    shown = ".stage" if number == 1 else f'[data-panel="{number}"]'
    box = tab.locator(shown).bounding_box()
    assert saved.width == pytest.approx(2 * (box["width"] + 28), abs=4)
    assert saved.height <= 2 * (box["height"] + 29)
    colours = np.asarray(saved).reshape(-1, 3).astype(int)
    assert (colours.max(1) - colours.min(1) > 60).mean() > 0.05


def test_a_very_wide_window_saves_the_same_picture(open_page, sample):
    wall = open_page(sample, viewport={"width": 3840, "height": 2160})
    sizes = [copy_of(tab, 2).size for tab in (open_page(sample), wall)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.03)


def test_a_phone_tells_the_whole_number(open_page, sample):
    tab = open_page(sample, viewport={"width": 390, "height": 844})
    hover_at(tab, 0.75, 0.7)
    assert readout(tab).endswith("activation")
    cut = "e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]"
    assert max(tab.locator(".readout").evaluate(cut)) <= 1


def test_icons_are_drawn_from_their_own_cell_of_the_sheet(open_page, sample):
    tab = open_page(sample)
    names = [f"bn2/group/{k}" for k in range(6)]
    for k, name in enumerate(names):
        shown = pixels(tab, f"{GROUPS} .mark >> nth={k} >> .icon")
        assert min(names, key=lambda other: difference(shown, other)) == name
        assert difference(shown, name) < 30


def test_bars_are_as_long_as_their_values(open_page, sample):
    tab = open_page(sample)
    lengths = tab.locator(f"{GROUPS} .fill").evaluate_all(
        "fills => fills.map(f => f.getBoundingClientRect().width)"
    )
    panel = next(p for p in sample_scene().panels() if p.title == "Six groups of neurons")
    values = [abs(value) for mark in panel.frames[0] for value in mark.values]
    scale = lengths[0] / values[0]
    drawn = np.array(lengths)[np.array(values) > 0.05]
    assert drawn == pytest.approx(scale * np.array([v for v in values if v > 0.05]), rel=0.02)


def test_a_finger_previews_first_and_pins_second(open_page, sample):
    tab = open_page(sample, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    box = tab.locator(STAGE).bounding_box()
    spot = (box["x"] + 0.9 * box["width"], box["y"] + 0.8 * box["height"])
    tab.touchscreen.tap(*spot)
    assert tiles(tab) == frame_at(0.8, 0.9)
    tab.wait_for_timeout(300)
    assert tab.evaluate("location.hash") == ""
    tab.touchscreen.tap(*spot)
    wait_until(tab, "location.hash.startsWith('#at=0.')")


def test_a_finger_on_a_mark_previews_first_and_pins_second(open_page, sample):
    tab = open_page(sample, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    row = tab.locator(f"{GROUPS} .mark").nth(4)
    row.locator(".name").tap()
    assert readout(tab) == "group 5: -0.30 and +0.70 logit"
    assert "pinned" not in row.get_attribute("class")
    row.locator(".name").tap()
    assert "pinned" in row.get_attribute("class")


def test_nothing_is_wider_than_a_phone(open_page, sample):
    tab = open_page(sample, viewport={"width": 360, "height": 700})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_paper_shows_the_default_state(open_page, sample):
    tab = open_page(sample, "at=0.9,0.9&mark=bn2%2Fgroup%2F2")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tiles(tab) == frame_at(5.5 / GRID, 6.5 / GRID)
    assert "group 6" in legend(tab)


def test_paper_shows_the_views_that_the_photo_cannot(open_page, sample):
    tab = open_page(sample)
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.emulate_media(media="print")
    assert tab.locator('[data-panel="1"] .picture').count() == 0
    drawn = pixels(tab, '[data-panel="3"] .picture')
    assert (drawn.max(-1) - drawn.min(-1) > 60).mean() > 0.3
    assert not tab.get_by_role("button", name="photo only").is_visible()


def test_hostile_labels_do_nothing(open_page, tmp_path):
    name = "</script><img src=x onerror=alert(1)>\"'&שלום🐈" + "x" * 10_000
    marks = tuple(Mark(f"{name}{k}", name, (1.0,), field=name, detail=name) for k in range(3))
    panel = Bars(name, name, name, columns=(name,), frames=(marks,), maps=True)
    field = Field(np.ones((2, 2)), (0.0, 1.0), name, name)
    view = Overlay(name, name, name, frames=((name,),), stage=True)
    chapter = Chapter(name, name, Below((view, panel)), ((name, name),), name)
    photo = sample_scene().photo
    scene = Scene(name, name, photo, (chapter,), {}, {name: field}, footer=((name, name),))
    tab = open_page(save(scene, tmp_path))
    tab.locator(".rows .mark").first.hover()
    assert tab.locator("img").count() == 1
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize("width", [390, 1280])
def test_what_has_to_be_known_first_is_shown_whole(open_page, tmp_path, width):
    said = "With its output taken from 8 other photographs the log-odds change by +0.18. " * 12
    panel = Bars("bars", frames=((Mark("a", "A", (1.0,)),),))
    scene = replace(sample_scene(), chapters=(Chapter("h", "r", Below((panel,)), (), said),))
    tab = open_page(save(scene, tmp_path), viewport={"width": width, "height": 720})
    told = tab.locator(".said")
    assert told.evaluate("p => p.scrollHeight <= p.clientHeight + 1")
    box, bars = told.bounding_box(), tab.locator("[data-panel] .rows").first.bounding_box()
    assert box["y"] + box["height"] <= bars["y"]


def test_marks_choices_and_sliders_set_what_other_panels_follow(open_page, tmp_path):
    classes = Selection("class", "choose", "class", ("cat", "dog"))
    count = Selection("groups", "slider", "number", ("2", "3", "4"), default=1)
    picked = Selection("picked", "click", "channel", ("a", "b"))
    source = Bars(
        "source", sets=("picked",), frames=((Mark("a", "A", (1.0,)), Mark("b", "B", (0.5,))),)
    )
    frames = tuple(
        (Mark(f"{c}{n}{p}", f"{c} {n} {p}", (1.0,)),)
        for c in classes.keys
        for n in count.keys
        for p in picked.keys
    )
    follower = Bars("follower", follows=("class", "groups", "picked"), frames=frames)
    chapter = Chapter("h", "r", Below((source, follower)))
    scene = Scene("t", "a", None, (chapter,), selections=(classes, count, picked))
    tab = open_page(save(scene, tmp_path))
    shown = tab.locator('.panel[aria-label="follower"] .label')
    assert shown.inner_text() == "cat 3 a"
    tab.get_by_label("class").select_option(label="dog")
    tab.get_by_label("groups").fill("2")
    tab.locator('.panel[aria-label="source"] .mark').nth(1).hover()
    assert shown.inner_text() == "dog 4 a"
    tab.locator('.panel[aria-label="source"] .mark').nth(1).click()
    assert shown.inner_text() == "dog 4 b"
    wait_for_fragment(tab, "mark=b&is.class=dog&is.groups=4&is.picked=b")


def test_panels_side_by_side_leave_room_for_their_bars(open_page, tmp_path):
    marks = tuple(
        Mark(f"m{k}", f"mark {k}", (1.0, -1.0, 0.5), sprite=f"bn2/group/{k}") for k in range(3)
    )
    titles = ("net", "cat", "dog")
    one, two = (
        Bars(t, columns=titles, frames=(marks,), domain=(-1.0, 1.0)) for t in ("one", "two")
    )
    chapter = Chapter("h", "r", Beside((one, two)))
    tab = open_page(save(replace(sample_scene(), chapters=(chapter,)), tmp_path))
    boxes = tab.locator(".fill").evaluate_all(
        "fills => fills.map(fill => fill.getBoundingClientRect().toJSON())"
    )
    assert min(box["width"] for box in boxes) > 8
    left, right = (tab.locator(".panel").nth(k).bounding_box() for k in (0, 1))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] < right["x"]


def test_a_scene_without_a_photo_still_shows_its_fields(open_page, tmp_path):
    field = Field(np.eye(3), (0.0, 1.0), "activation", "diagonal")
    panel = Overlay("alone", frames=(("f",),))
    scene = Scene("t", "a", None, (Chapter("h", "r", panel),), {}, {"f": field})
    tab = open_page(save(scene, tmp_path))
    shown = pixels(tab, ".picture.blank")
    assert tab.locator(".legend").inner_text().split() == ["diagonal", "0.00", "1.00", "activation"]
    side = shown.shape[0]
    assert np.abs(shown[side // 6, side // 6] - shown[side // 6, side // 2]).max() > 40


def test_the_script_and_the_figure_speak_alike(open_page, sample):
    tab = open_page(sample)
    values = [0.0, -0.3, 1.806, 12.34, 123.4, 0.0052, 0.00031, 2e-6, -4.5e7, 0.099, 99.96]
    for signed in (True, False):
        spoken = tab.evaluate(
            "([values, signed]) => values.map((value) => formatNumber(value, signed))",
            [values, signed],
        )
        assert spoken == [number(value, signed) for value in values]


def test_the_script_and_the_figure_colour_alike(open_page, sample):
    tab = open_page(sample)
    names = [f"bn2/group/{k}" for k in range(6)]
    shown = tab.evaluate(
        """() => {
          const canvas = document.querySelector("[data-stage] canvas");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return [...data];
        }"""
    )
    cells = 255 * inks.mix([sample_scene().fields[name] for name in names])
    shown = np.array(shown, float).reshape(cells.shape)
    visible = cells[..., 3] > 40
    assert shown[..., 3] == pytest.approx(cells[..., 3], abs=1.01)
    assert shown[visible] == pytest.approx(cells[visible], abs=5)


def test_dark_and_light_schemes_differ(open_page, sample):
    ground = "getComputedStyle(document.querySelector('.blocks')).backgroundColor"
    assert open_page(sample).evaluate(ground) == "rgb(255, 255, 255)"
    dark = open_page(sample, color_scheme="dark").evaluate(ground)
    assert max(map(int, re.findall(r"\d+", dark))) < 40


def test_long_panels_are_filled_near_the_window_and_whole_on_paper(open_page, tmp_path):
    marks = tuple(Mark(f"c/{k}", f"channel {k}", (k / 2000,)) for k in range(2000))
    few = Bars("few", frames=(marks[1500:1502],))
    chapter = Chapter("h", "r", Below((few, Bars("many", frames=(marks,)))))
    tab = open_page(save(Scene("t", "a", None, (chapter,)), tmp_path))
    many = tab.locator('.panel[aria-label="many"] .mark')
    assert 20 < many.count() < 400
    tab.locator('.panel[aria-label="few"] .mark').first.hover()
    tab.mouse.wheel(0, 1500 * 25)
    wait_until(tab, "document.body.textContent.includes('channel 1499')")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert many.count() == 2000
    assert many.nth(1999).text_content() == "channel 19991.00"
