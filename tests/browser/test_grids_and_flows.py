"""Mosaics of cells and flows between marks, as a reader handles them."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from matplotlib.patches import PathPatch
from PIL import Image

from captum_blocks.render import inks, palette
from captum_blocks.render.html import page
from captum_blocks.render.mpl import figure
from captum_blocks.scene import (
    Below,
    Beside,
    Cell,
    Cells,
    Chapter,
    Field,
    Flow,
    Flows,
    Mark,
    Multiples,
    Sankey,
    Selection,
)
from tests.render.sample import blob
from tests.render.sample_grids import (
    COLUMNS,
    EMPTY,
    ROWS,
    SHARES,
    flows,
    grids_scene,
    mosaic,
    size_of,
)

MOSAIC = ".mosaic"
STAGE = "[data-stage]"
LEFT, RIGHT = ".flows .left .mark", ".flows .right .mark"
FULL = 220
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return save(grids_scene(), tmp_path_factory.mktemp("page"))


def save(scene, folder):
    path = folder / "page.html"
    path.write_text(page(scene), "utf-8")
    return path


def spot_in(tab, selector, y, x):
    tab.locator(selector).scroll_into_view_if_needed()
    box = tab.locator(selector).bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def tinted_scene():
    """The mosaic below two factors, which stand beside it as marks with maps."""
    scene = grids_scene()
    names = tuple(f"bn2/group/{k}" for k in range(2))
    beside = Multiples("Factors", frames=(tuple(factor(k) for k in range(2)),))
    body = Beside((replace(mosaic(), tints=(names,)), beside))
    return replace(scene, chapters=(Chapter("What did it speak for?", "Point.", body),))


def factor(k):
    return Mark(f"bn2/group/{k}", f"factor {k}", (0.5,), field=f"bn2/group/{k}", hue=k)


def hover_cell(tab, row, column):
    tab.mouse.move(*spot_in(tab, MOSAIC, (row + 0.5) / ROWS, (column + 0.5) / COLUMNS))


def readout(tab):
    return tab.locator(".readout").inner_text()


def outlined(tab, selector=MOSAIC):
    """The outlined cell in fractions of its picture, or for the stage of the photograph."""
    box = tab.locator(selector).bounding_box()
    cell = tab.locator(f"{selector} .cell").bounding_box()
    down = (cell["y"] + cell["height"] / 2 - box["y"]) / box["height"]
    along = (cell["x"] + cell["width"] / 2 - box["x"]) / box["width"]
    return pytest.approx((down, along), abs=0.01)


def middle(row, column):
    return (row + 0.5) / ROWS, (column + 0.5) / COLUMNS


def on_photo(row, column):
    return (row + 0.5) / ROWS, 0.1 + 0.8 * (column + 0.5) / COLUMNS


def fragment(tab):
    tab.wait_for_timeout(250)
    return tab.evaluate("location.hash")


def drawn_cells(tab):
    """The pixels of the mosaic, cell by cell: (row, column, y, x, rgba)."""
    address = tab.locator(".mosaic canvas").evaluate("canvas => canvas.toDataURL()")
    pixels = np.asarray(Image.open(BytesIO(b64decode(address.split(",")[1]))))
    height, width, _ = pixels.shape
    cells = pixels.reshape(ROWS, height // ROWS, COLUMNS, width // COLUMNS, 4)
    return cells.swapaxes(1, 2)


def ends(tab):
    """Upper and lower edge of every drawn band, at its source and at its target."""
    paths = tab.locator(".band path:first-child").evaluate_all(
        "paths => paths.map(p => [p.parentNode.dataset.band, p.getAttribute('d')])"
    )
    numbers = {int(band): list(map(float, re.findall(r"-?[\d.]+", path))) for band, path in paths}
    # M0,a C..,.. ..,.. 100,b V c C..,.. ..,.. 0,d Z; a hairline has no second edge.
    return {band: (n[1], n[-1], n[7], n[8]) for band, n in numbers.items() if len(n) > 8}


def values_of_bands():
    values = [(s, t, v) for s, shares in enumerate(SHARES) for t, v in enumerate(shares)]
    return sorted(values, key=lambda each: -abs(each[2]))


def test_the_default_cell_is_outlined_and_enlarged(open_page, sample):
    tab = open_page(sample)
    assert outlined(tab) == middle(2, 1)
    assert outlined(tab, STAGE) == on_photo(2, 1)
    assert tab.locator(".lens .caption").inner_text() == "row 3, column 2: activation 1.0"
    assert readout(tab) == "row 3, column 2 of 4 × 5"
    mosaic_box, photo = (tab.locator(s).bounding_box() for s in (MOSAIC, STAGE))
    shape = mosaic_box["width"] / mosaic_box["height"]
    assert shape == pytest.approx(0.8 * photo["width"] / photo["height"], rel=0.01)


def test_pointing_at_a_cell_moves_the_stage_and_tells(open_page, sample):
    tab = open_page(sample)
    hover_cell(tab, 1, 3)
    assert outlined(tab) == middle(1, 3)
    assert outlined(tab, STAGE) == on_photo(1, 3)
    assert readout(tab) == "row 2, column 4: activation 1.0"
    assert tab.locator(".lens .icon").get_attribute("data-sprite") == "bn2/spatial/1,3"
    # Near an edge of a cell that lies elsewhere on the photograph than in the mosaic.
    tab.mouse.move(*spot_in(tab, MOSAIC, 0.6, 0.22))
    assert outlined(tab) == middle(2, 1)
    tab.mouse.move(*spot_in(tab, MOSAIC, 0.6, 0.78))
    assert outlined(tab) == middle(2, 3)
    tab.mouse.move(700, 20)
    assert outlined(tab) == middle(2, 1)
    assert readout(tab) == "row 3, column 2 of 4 × 5"


def test_pointing_at_the_photo_moves_the_mosaic(open_page, sample):
    tab = open_page(sample)
    tab.mouse.move(*spot_in(tab, STAGE, *on_photo(3, 4)))
    assert outlined(tab) == middle(3, 4)
    assert tab.locator(".lens .caption").inner_text() == "row 4, column 5: activation 1.0"


def test_a_click_pins_a_cell_and_a_second_lets_go(open_page, sample):
    tab = open_page(sample)
    hover_cell(tab, 3, 2)
    for pinned in (True, False):
        tab.mouse.down()
        tab.mouse.up()
        tab.mouse.move(700, 20)
        assert outlined(tab) == (middle(3, 2) if pinned else middle(2, 1))
        assert ("at=" in fragment(tab)) == pinned
        hover_cell(tab, 3, 2)


def test_keys_move_pin_and_enlarge_a_cell(open_page, sample):
    tab = open_page(sample)
    tab.locator(MOSAIC).focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowUp")
    assert outlined(tab) == middle(1, 2)
    assert readout(tab) == "row 2, column 3: activation 1.0"
    assert "at=" in fragment(tab)
    tab.keyboard.press("Space")
    assert tab.locator("dialog[open] h3").inner_text() == "row 2, column 3"
    tab.keyboard.press("Escape")
    tab.keyboard.press("Enter")
    assert outlined(tab) == middle(2, 1)
    tab.keyboard.press("Enter")
    assert "at=" in fragment(tab)
    tab.keyboard.press("Escape")
    assert fragment(tab) == ""


def test_a_finger_previews_first_and_pins_second(open_page, sample):
    tab = open_page(sample, **PHONE)
    tab.locator(MOSAIC).scroll_into_view_if_needed()
    spot = spot_in(tab, MOSAIC, *middle(3, 3))
    tab.touchscreen.tap(*spot)
    assert outlined(tab) == middle(3, 3)
    assert readout(tab) == "row 4, column 4: activation 1.0"
    assert fragment(tab) == ""
    tab.touchscreen.tap(*spot)
    assert "at=" in fragment(tab)


def test_pictures_take_their_share_of_their_own_cell(open_page, sample):
    cells = drawn_cells(open_page(sample))
    icons = {name: sprite.pixels for name, sprite in grids_scene().sprites.items()}
    for row, column in np.ndindex(ROWS, COLUMNS):
        picture = cells[row, column]
        opaque = picture[..., 3] > 200
        if (row, column) == EMPTY:
            assert picture[..., 3].max() < 60
            continue
        assert opaque.mean() == pytest.approx(size_of(row, column), abs=0.03)
        down, along = np.flatnonzero(opaque.any(1)), np.flatnonzero(opaque.any(0))
        shown = picture[down[2] : down[-2], along[2] : along[-2], :3]
        nearest = min(icons, key=lambda name: distance(shown, icons[name]))
        assert nearest == f"bn2/spatial/{row},{column}"


def distance(shown, icon):
    small = (16, 16)
    one, two = (np.asarray(Image.fromarray(p).resize(small)).astype(int) for p in (shown, icon))
    return np.abs(one - two).mean()


def test_a_cell_without_a_picture_has_nothing_to_enlarge(open_page, sample):
    tab = open_page(sample)
    hover_cell(tab, *EMPTY)
    assert tab.locator(".lens .icon").count() == 0
    assert tab.locator(".lens button").is_disabled()
    tab.locator(MOSAIC).focus()
    tab.keyboard.press("Space")
    assert tab.locator("dialog[open]").count() == 0
    hover_cell(tab, 0, 1)
    tab.locator(".lens .icon").click()
    assert "seed" in tab.locator("dialog[open]").inner_text()


def test_bands_are_as_wide_as_their_flows_and_fill_the_stems(open_page, sample):
    tab = open_page(sample)
    drawn, values = ends(tab), values_of_bands()
    unit = FULL / sum(abs(value) for *_, value in values)
    assert len(drawn) == len(values) - 1
    for band, (top, bottom, far_top, far_bottom) in drawn.items():
        width = unit * abs(values[band][2])
        assert (bottom - top, far_bottom - far_top) == pytest.approx((width, width), abs=0.01)
    assert tab.locator(".band .hair").count() == 1
    ruler = tab.locator(".ruler").bounding_box()["height"]
    assert ruler == pytest.approx(0.5 * unit, abs=0.1)
    assert tab.locator(".scale").inner_text().split("\n")[-1] == "= 0.50 logit"
    top = tab.locator(".flows svg").bounding_box()["y"]
    for side, selector in enumerate((LEFT, RIGHT)):
        stems = tab.locator(f"{selector} .fill").evaluate_all(
            "fills => fills.map(f => f.getBoundingClientRect()).map(b => [b.top, b.bottom])"
        )
        for mark, (upper, lower) in enumerate(stems):
            own = [drawn[i][2 * side :][:2] for i in drawn if values[i][side] == mark]
            assert min(edge for edge, _ in own) == pytest.approx(upper - top, abs=1.1)
            assert max(edge for _, edge in own) == pytest.approx(lower - top, abs=1.1)


def test_sign_is_colour_and_what_is_unexplained_is_hatched(open_page, sample):
    tab = open_page(sample)
    fills = tab.locator(".band").evaluate_all("bands => bands.map(b => getComputedStyle(b).fill)")
    signs = [value < 0 for *_, value in values_of_bands()]
    colours = [f"rgb{palette.rgb(c)}" for c in (palette.SUPPORTS, palette.OPPOSES)]
    assert fills == [colours[negative] for negative in signs]
    hatched = tab.locator(".flows .fill").evaluate_all(
        "fills => fills.map(f => getComputedStyle(f).backgroundImage.includes('repeating'))"
    )
    assert hatched == [False, False, False, True, False, False]


def test_pointing_at_a_mark_isolates_its_bands_and_shows_its_place(open_page, sample):
    tab = open_page(sample)
    sums = tab.locator(".flows .sum")
    before = sums.all_inner_texts()
    assert before == ["+1.40", "+2.30", "−0.60", "+0.10", "+2.50", "+0.70"]
    tab.locator(LEFT).nth(1).hover()
    values = values_of_bands()
    lit = tab.locator(".band.lit").evaluate_all("bands => bands.map(b => Number(b.dataset.band))")
    assert [values[band][0] for band in lit] == [1, 1]
    assert sums.all_inner_texts() == ["–", "+2.30", "–", "–", "+1.40", "+0.90"]
    assert readout(tab) == "group 2: +2.30 in all"
    assert tab.locator(".stage .legend").inner_text().split("\n")[0] == "group 2"
    tab.wait_for_timeout(200)
    opacity = tab.locator(".band").evaluate_all(
        "bands => bands.map(b => Number(getComputedStyle(b).opacity))"
    )
    assert all((shown > 0.5) == (band in lit) for band, shown in enumerate(opacity))
    tab.mouse.move(700, 20)
    assert sums.all_inner_texts() == before


def test_the_keyboard_reaches_marks_and_pins_them(open_page, sample):
    tab = open_page(sample)
    tab.locator('[aria-label="Groups to answers"]').focus()
    for _ in range(3):
        tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    assert fragment(tab) == "#mark=bn2%2Fgroup%2F2"
    assert "pinned" in tab.locator(LEFT).nth(2).get_attribute("class")
    for _ in range(2):
        tab.keyboard.press("ArrowRight")
    assert readout(tab) == "tiger cat"
    tab.keyboard.press("Escape")
    assert fragment(tab) == ""


def test_a_mark_lights_its_likes_in_other_panels(open_page, tmp_path):
    twice = Chapter("h", "r", Beside((flows(), flows())))
    tab = open_page(save(replace(grids_scene(), chapters=(twice,)), tmp_path))
    tab.locator(LEFT).first.hover()
    assert tab.locator('.mark.lit[data-key="bn2/group/0"]').count() == 2
    assert tab.locator(".band.lit").count() == 4


def test_pointing_at_a_band_tells_it(open_page, sample):
    tab = open_page(sample)
    left = tab.locator(".flows svg")
    left.scroll_into_view_if_needed()
    box = left.bounding_box()
    upper, lower, *_ = ends(tab)[0]
    tab.mouse.move(box["x"] + 3, box["y"] + (upper + lower) / 2)
    assert readout(tab) == "0 to 0: +1.80 logit"
    assert tab.locator(".band.pointed").get_attribute("data-band") == "0"
    tab.mouse.move(700, 20)
    assert readout(tab).startswith("row 3, column 2")
    assert tab.locator(".band.pointed").count() == 0


def test_a_finger_on_a_band_tells_it(open_page, sample):
    tab = open_page(sample, **PHONE)
    svg = tab.locator(".flows svg")
    svg.evaluate("svg => svg.scrollIntoView({ block: 'end' })")
    box = svg.bounding_box()
    upper, lower, *_ = ends(tab)[0]
    tab.touchscreen.tap(box["x"] + 20, box["y"] + (upper + lower) / 2)
    assert readout(tab) == "0 to 0: +1.80 logit"
    tab.touchscreen.tap(box["x"] - 60, box["y"] - 40)
    assert readout(tab).startswith("row 3, column 2")


def test_panels_are_saved_as_the_pictures_they_are(open_page, sample):
    tab = open_page(sample)
    tab.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    for number in (0, 1):
        panel = tab.locator(f'[data-panel="{number}"]')
        panel.hover()
        with tab.expect_download() as download:
            panel.get_by_role("button", name="Copy as PNG").click()
        saved = np.asarray(Image.open(download.value.path()).convert("RGB")).astype(int)
        assert (saved.max(-1) - saved.min(-1) > 60).mean() > 0.05


def test_nothing_is_wider_than_a_phone(open_page, sample):
    tab = open_page(sample, viewport={"width": 360, "height": 700})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    names = tab.locator(f"{LEFT} .name").evaluate_all(
        "names => names.map(n => n.getBoundingClientRect().left)"
    )
    assert min(names) >= 0


def test_a_scene_without_a_photo_still_has_cells_and_flows(open_page, tmp_path):
    cells = replace(mosaic(), sets=(), highlights=None)
    chapter = Chapter("h", "r", Below((cells, flows())))
    scene = replace(grids_scene(), photo=None, selections=(), chapters=(chapter,))
    tab = open_page(save(scene, tmp_path))
    assert outlined(tab) == middle(ROWS - 1, COLUMNS - 1)
    box = tab.locator(MOSAIC).bounding_box()
    assert box["width"] / box["height"] == pytest.approx(COLUMNS / ROWS, rel=0.02)
    assert tab.locator(".band title").first.text_content() == "0 to 0: +1.80 logit"


def test_paper_shows_everything(open_page, tmp_path):
    chapter = Chapter("h", "r", Below((mosaic(), Beside((flows(), flows())))))
    path = save(replace(grids_scene(), chapters=(chapter,)), tmp_path)
    # As wide as the text of an A4 sheet.
    paper = {"viewport": {"width": 690, "height": 1000}}
    tab = open_page(path, "at=0.9,0.9&mark=bn2%2Fgroup%2F2", **paper)
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.emulate_media(media="print")
    assert outlined(tab) == middle(2, 1)
    assert tab.locator(".band.lit").count() == 0
    assert tab.locator(MOSAIC).bounding_box()["width"] > 200
    names = tab.locator(f"{LEFT} .label").evaluate_all(
        "labels => labels.map(l => [l.offsetHeight, l.scrollHeight - l.clientHeight])"
    )
    assert all(height < 55 and cut <= 1 for height, cut in names)


def test_hostile_words_do_nothing(open_page, tmp_path):
    name = "</script><img src=x onerror=alert(1)>\"'&שלום" + "x" * 10_000
    mark = Mark(name, name, (1.0,), hue=0, detail=name)
    cells = Cells(name, name, name, frames=((Cell(mark),),))
    flow = Sankey(
        name,
        name,
        name,
        titles=(name, name),
        frames=(Flows((mark, mark), (mark,), (Flow(0, 0, 1.0, name), Flow(1, 0, -1.0, name))),),
    )
    chapter = Chapter(name, name, Below((cells, flow)))
    tab = open_page(save(replace(grids_scene(), chapters=(chapter,)), tmp_path))
    tab.locator(LEFT).first.hover()
    assert tab.locator("img").count() == 1
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
    assert tab.locator(".flows").bounding_box()["height"] < 500
    made = figure(replace(grids_scene(), chapters=(chapter,)))
    assert made.get_figheight() < 20


def test_flows_follow_what_is_chosen_and_nothing_jumps(open_page, tmp_path):
    chosen = Selection("n", "choose", "number", ("first", "second"))
    first = flows().frames[0]
    other = tuple(replace(flow, value=-flow.value / 2) for flow in first.flows)
    panel = replace(flows(), follows=("n",), frames=(first, replace(first, flows=other)))
    scene = replace(grids_scene(), selections=(chosen,), chapters=(Chapter("h", "r", panel),))
    tab = open_page(save(scene, tmp_path))
    tops = "marks => marks.map(mark => mark.getBoundingClientRect().top)"
    before = tab.locator(LEFT).evaluate_all(tops)
    wide = ends(tab)
    tab.locator("select").select_option(label="second")
    assert tab.locator(LEFT).evaluate_all(tops) == before
    upper, lower, *_ = ends(tab)[0]
    assert lower - upper == pytest.approx((wide[0][1] - wide[0][0]) / 2, abs=0.01)
    assert tab.locator(".flows .sum").first.inner_text() == "−0.70"


def test_thin_bands_wait_until_an_end_is_pointed_at(open_page, tmp_path):
    (frame,) = flows().frames
    right = (replace(frame.right[0], values=(2.5, 4.0)), frame.right[1])
    panel = replace(flows(), least=0.02, frames=(replace(frame, right=right),))
    scene = replace(grids_scene(), chapters=(Chapter("h", "r", panel),))
    tab = open_page(save(scene, tmp_path))
    values = [flow.value for flow in frame.flows]
    few = sum(abs(value) > 0.02 * sum(map(abs, values)) for value in values)
    assert 0 < len(values) - few == 2
    assert tab.locator(".band:visible").count() == few
    note = "2 bands below 2 % of all not drawn: point at an end to see its own"
    assert tab.locator(".flows + .left-out").inner_text() == note
    # Sums hold them all, and say what they are part of.
    sums = ["+1.40", "+2.30", "−0.60", "+0.10", "+2.50 of +4.00", "+0.70"]
    assert tab.locator(".flows .sum").all_inner_texts() == sums
    tab.locator(LEFT).nth(2).hover()
    assert tab.locator(".band.lit:visible").count() == 2
    made = figure(scene)
    ribbons = [patch for patch in made.axes[0].patches if isinstance(patch, PathPatch)]
    assert len(ribbons) == few
    told = [text.get_text() for text in made.axes[0].texts]
    assert "2 bands below 2% of all not drawn" in told
    assert "+2.50 of +4.00" in told


def test_columns_change_with_the_number_of_groups(open_page, tmp_path):
    """Fewer marks in one state than in another take less room; focus keeps its place."""
    number = Selection("k", "slider", "number", ("3", "2"))
    many = flows().frames[0]
    few = Flows(
        many.left[1:], many.right, tuple(f for f in many.flows if f.source < len(many.left) - 1)
    )
    panel = replace(flows(), follows=("k",), frames=(many, few))
    scene = replace(grids_scene(), selections=(number,), chapters=(Chapter("h", "r", panel),))
    tab = open_page(save(scene, tmp_path))
    height = tab.locator(".flows").bounding_box()["height"]
    tab.locator(LEFT).nth(1).focus()
    tab.locator('input[type="range"]').evaluate(
        "i => { i.value = 1; i.dispatchEvent(new Event('input')); }"
    )
    assert tab.locator(f"{LEFT} .label").all_inner_texts() == [mark.label for mark in few.left]
    assert tab.locator(".band").count() == len(few.flows)
    assert tab.locator(".flows").bounding_box()["height"] < height
    assert tab.evaluate("document.activeElement.dataset.key") == many.left[1].key
    made = figure(replace(scene, selections=(replace(number, default=1),)))
    assert "group 1" not in [text.get_text() for text in made.axes[0].texts]


# Colours over a mosaic


def tint_of(tab):
    """Red, green, blue, opacity of each cell of the colours over the mosaic."""
    address = tab.locator(f"{MOSAIC} .tint").evaluate("layer => layer.toDataURL()")
    pixels = Image.open(BytesIO(b64decode(address.split(",")[1]))).convert("RGBA")
    return np.asarray(pixels, float)


def test_colours_over_a_mosaic_are_those_of_the_fields(open_page, tmp_path):
    scene = tinted_scene()
    tab = open_page(save(scene, tmp_path))
    fields = [scene.fields[f"bn2/group/{k}"] for k in range(2)]
    expected = inks.mix(fields) * 255
    assert np.abs(tint_of(tab)[..., 3] - expected[..., 3]).max() <= 2
    strong = expected[..., 3] > 40  # a faint colour is stored with few levels
    assert np.abs(tint_of(tab)[..., :3] - expected[..., :3])[strong].max() <= 6
    mosaic_box, tint_box = (
        tab.locator(selector).bounding_box() for selector in (MOSAIC, f"{MOSAIC} .tint")
    )
    assert tint_box == mosaic_box


def test_the_legend_tells_the_place_pointed_at(open_page, tmp_path):
    scene = tinted_scene()
    tab = open_page(save(scene, tmp_path))
    told = tab.locator(".legend .entry .told-value")
    for row, column in ((0, 0), (1, 3)):
        hover_cell(tab, row, column)
        values = [scene.fields[f"bn2/group/{k}"].values[row, column] for k in range(2)]
        assert told.all_inner_texts() == [f"+{value:.2f} activation" for value in values]


def test_a_factor_pointed_at_stands_alone(open_page, tmp_path):
    scene = tinted_scene()
    tab = open_page(save(scene, tmp_path))
    both = tint_of(tab)
    tab.locator(".multiples .mark").nth(1).hover()
    alone = inks.mix([scene.fields["bn2/group/1"]]) * 255
    assert np.abs(tint_of(tab)[..., 3] - alone[..., 3]).max() <= 2
    assert (tint_of(tab) != both).any()
    tab.mouse.move(900, 20)
    assert (tint_of(tab) == both).all()


def test_the_legend_of_colours_for_and_against_shows_both(open_page, tmp_path):
    scene = tinted_scene()
    signed = Field(blob(ROWS, COLUMNS, 0.2, 0.4) - 0.5, (-0.5, 0.5), "logit", "dog")
    body = replace(mosaic(), tints=(("effect",),))
    chapters = (Chapter("h", "r", body),)
    fields = {**scene.fields, "effect": signed}
    tab = open_page(save(replace(scene, chapters=chapters, fields=fields), tmp_path))
    ramp = tab.locator(".around + .legend .ramp")
    colours = ramp.evaluate("node => getComputedStyle(node).backgroundImage")
    for ink in (palette.OPPOSES, palette.SUPPORTS):
        assert ", ".join(map(str, palette.rgb(ink))) in colours


def test_groups_below_zero_have_no_colour_and_the_legend_says_so(open_page, tmp_path):
    scene = tinted_scene()
    fields = {
        name: replace(field, values=field.values - 0.5, domain=(-0.5, 0.5))
        for name, field in scene.fields.items()
    }
    tab = open_page(save(replace(scene, fields=fields), tmp_path))
    expected = inks.mix([fields[f"bn2/group/{k}"] for k in range(2)]) * 255
    below = np.all([fields[f"bn2/group/{k}"].values <= 0 for k in range(2)], axis=0)
    assert below.any()
    assert (expected[below][..., 3] == 0).all()
    assert np.abs(tint_of(tab)[..., 3] - expected[..., 3]).max() <= 2
    assert "below zero: no colour" in tab.locator(".around + .legend").inner_text()
    printed = figure(replace(scene, fields=fields)).axes[0].texts
    assert any("below zero: no colour" in text.get_text() for text in printed)


def test_a_copy_of_a_mosaic_holds_its_colours(open_page, tmp_path):
    copies = []
    tab = open_page(save(tinted_scene(), tmp_path))
    for without in (False, True):
        if without:
            tab.locator(f"{MOSAIC} .tint").evaluate("layer => layer.remove()")
        # Without a clipboard the picture comes as a file.
        tab.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        with tab.expect_download() as download:
            tab.locator(".copy").first.evaluate("button => button.click()")
        copies.append(np.asarray(Image.open(download.value.path()).convert("RGB"), float))
    changed = np.abs(copies[0] - copies[1]).max(-1) > 20
    assert changed.mean() > 0.1
