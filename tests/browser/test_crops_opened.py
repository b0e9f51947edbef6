"""Crops of photographs beside icons, opened by mouse, finger and keyboard."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

import captum_blocks as cb
from captum_blocks.compose.pictures.quality import Quality
from tests.browser.test_accessibility import serious
from tests.examples.conftest import photographs

FEW = Quality(size=16, n_steps=1, budget=6)
BIRDS = cb.Dataset("birds")
LATE = cb.Hidden("late")


@pytest.fixture(scope="module")
def explained(small: cb.Network, tmp_path_factory: pytest.TempPathFactory) -> cb.Explanation:
    """Tiles with both, rows of groups with both, tiles of photographs alone."""
    folder = tmp_path_factory.mktemp("birds")
    for number, picture in enumerate(photographs(20, seed=7)):
        picture.save(folder / f"{number:02d}.png")
    index = cb.ExampleIndex.build(small, folder, ["late"], progress=False)
    channels = cb.Activation(LATE.channels).filter(top=3)
    effect = cb.Attribution(LATE.groups(2), cb.Out(1), method="LayerGradientXActivation")
    both = ("optimized", BIRDS)
    page = (
        cb.FeatureVis(channels, by=both, arrangement="tiles")
        & cb.FeatureVis(effect, by=both, arrangement="rows")
        & cb.FeatureVis(channels, by=BIRDS, n=4, arrangement="tiles", title="Photographs alone")
    )
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return cb.explain(page, small, picture, given={"birds": index}, quality=FEW, progress=False)


@pytest.fixture(scope="module")
def saved(explained: cb.Explanation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return explained.save(tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture
def tab(saved: Path, open_page) -> Page:
    return open_page(saved)


def test_three_crops_stand_beside_each_icon(tab: Page) -> None:
    sections = tab.locator("[data-panel]")
    for number, count in ((0, 3), (1, 3), (2, 4)):
        marks = sections.nth(number).locator(".mark.atom")
        assert marks.count() in (2, 3)
        for place in range(marks.count()):
            crops = marks.nth(place).locator(".crop")
            assert crops.count() == count
            assert marks.nth(place).locator(".icon").count() == (number < 2)
            for crop in crops.all():
                box = crop.bounding_box()
                assert box is not None
                assert box["width"] == box["height"] >= 20
                assert crop.get_attribute("title") == (
                    crop.get_attribute("aria-label") or ""
                ).removeprefix("Photograph, ")
    first = sections.nth(0).locator(".mark.atom").first
    icon, crop = first.locator(".icon").bounding_box(), first.locator(".crop").first.bounding_box()
    assert crop["y"] >= icon["y"] + icon["height"], "below a tile's icon"
    row = sections.nth(1).locator(".mark.atom").first
    icon, crop = row.locator(".icon").bounding_box(), row.locator(".crop").first.bounding_box()
    assert crop["x"] >= icon["x"] + icon["width"], "beside a row's icon"


def test_what_is_seen_is_the_crop(tab: Page, explained: cb.Explanation) -> None:
    """The pixels on the screen are those of the part."""
    scene = explained.scene
    tiles = next(iter(scene.panels()))
    for place, mark in enumerate(tiles.frames[0][:3]):
        crop = tab.locator("[data-panel]").nth(0).locator(".mark.atom").nth(place).locator(".crop")
        shown = Image.open(BytesIO(crop.first.screenshot())).convert("RGB")
        wanted = Image.fromarray(scene.galleries[mark.gallery].first[0].pixels).resize(shown.size)
        apart = np.abs(np.asarray(shown, float) - np.asarray(wanted, float))
        inner = apart[3:-3, 3:-3]  # its corners are round
        assert inner.mean() < 12, mark.label


def test_a_click_opens_the_whole_photograph_with_its_part(tab: Page) -> None:
    crop = tab.locator("[data-panel]").nth(1).locator(".crop").nth(1)
    words = crop.get_attribute("title")
    crop.click()
    dialog = tab.locator("dialog[open]")
    assert dialog.locator("figcaption").inner_text() == words
    assert not dialog.locator("dl").is_visible(), "it is of the icon, which is not shown"
    image, part = dialog.locator(".framed img"), dialog.locator(".part")
    image.evaluate("image => image.decode()")
    whole, framed = image.bounding_box(), part.bounding_box()
    box = crop.evaluate("node => node.crop[3]")
    top, left, bottom, right = box
    assert framed["y"] - whole["y"] == pytest.approx(top * whole["height"], abs=2)
    assert framed["x"] - whole["x"] == pytest.approx(left * whole["width"], abs=2)
    assert framed["height"] == pytest.approx((bottom - top) * whole["height"], abs=2)
    assert framed["width"] == pytest.approx((right - left) * whole["width"], abs=2)
    titles = dialog.locator("h4").all_inner_texts()
    assert titles == [
        "highest",
        "one from each of 4 equally large shares, from high to low",
        "random",
    ]
    assert "what goes together in this data set" in dialog.inner_text()
    other = dialog.locator(".bands .crop").last
    other.click()
    assert dialog.locator("figcaption").inner_text() == other.get_attribute("title")
    tab.keyboard.press("Escape")
    assert not tab.locator("dialog[open]").count()
    assert not tab.locator(".mark.pinned").count(), "nothing is pinned by it"


def test_the_keyboard_opens_them_too(tab: Page) -> None:
    mark = tab.locator("[data-panel]").nth(0).locator(".mark.atom").first
    mark.focus()
    tab.keyboard.press(" ")
    dialog = tab.locator("dialog[open]")
    assert dialog.locator(".icon.large").count() == 1
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    assert dialog.locator("figcaption").count() == 1
    tab.keyboard.press("Escape")
    alone = tab.locator("[data-panel]").nth(2).locator(".mark.atom").first
    alone.focus()
    tab.keyboard.press(" ")
    assert dialog.locator("figcaption").count() == 1, "where no icon is, the first photograph"


def test_a_finger_previews_first(saved: Path, open_page) -> None:
    tab = open_page(saved, viewport={"width": 390, "height": 844}, has_touch=True)
    crop = tab.locator(".crop").first
    crop.tap()
    assert not tab.locator("dialog[open]").count()
    crop.tap()
    dialog = tab.locator("dialog[open]")
    assert dialog.locator("figcaption").count() == 1
    assert dialog.bounding_box()["width"] <= 390
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_picture_of_a_panel_holds_them(saved: Path, open_page) -> None:
    tab = open_page(saved, permissions=["clipboard-read", "clipboard-write"])
    section = tab.locator("[data-panel]").nth(2)
    section.hover()
    section.get_by_text("Copy as PNG").click()
    section.get_by_text("Copied").wait_for()
    colours = tab.evaluate(
        """async () => {
          const [item] = await navigator.clipboard.read();
          const bitmap = await createImageBitmap(await item.getType("image/png"));
          const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
          const context = canvas.getContext("2d");
          context.drawImage(bitmap, 0, 0);
          const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
          const found = new Set();
          for (let i = 0; i < data.length; i += 4) {
            const [red, green, blue] = data.subarray(i, i + 3);
            if (Math.max(red, green, blue) - Math.min(red, green, blue) > 60) found.add(red >> 5);
          }
          return found.size;
        }"""
    )
    assert colours >= 5, "photographs have many colours, and the rest of the panel has none"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(saved: Path, open_page, scheme: str) -> None:
    tab = open_page(saved, color_scheme=scheme)
    assert serious(tab) == []
    tab.locator(".crop").first.click()
    assert serious(tab) == []
