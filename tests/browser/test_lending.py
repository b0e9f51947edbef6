"""Tiles whose picture was not drawn: the nearest drawn one, said to be that."""

from __future__ import annotations

import pytest
import torch
from playwright.sync_api import expect

import captum_blocks as cb
from captum_blocks.compose.pictures.quality import Quality
from captum_blocks.render import html

FEW = Quality(size=16, n_steps=1, budget=3)


@pytest.fixture
def words(small, noise_picture, store):
    """The dictionary of ten channels, of which few are drawn."""
    page = cb.semantic_dictionary("late")
    scene = cb.explain(page, small, noise_picture, quality=FEW, store=store, progress=False).scene
    return next(panel for panel in scene.panels() if panel.title == "What fires here"), scene


def test_no_tile_of_a_channel_that_fires_is_blank(words, small, noise_picture) -> None:
    panel, scene = words
    (maps,) = small.activations("late", [noise_picture])
    marks = [mark for frame in panel.frames for mark in frame]
    assert any(mark.sprite is None for mark in marks)
    for mark in marks:
        fires = bool(maps[0, int(mark.label.split()[1].rstrip(","))].any())
        assert (mark.lent is not None) == (mark.sprite is None and fires)
        if mark.lent is not None:
            assert mark.lent.sprite in scene.sprites


def test_it_is_the_picture_of_the_channel_that_fires_most_alike(
    words, small, noise_picture
) -> None:
    panel, scene = words
    (maps,) = small.activations("late", [noise_picture])
    rows = maps[0].flatten(1).double()
    drawn = [k for k in range(len(rows)) if f"late/channel/{k}" in scene.sprites]
    lent = {mark.label: mark.lent for frame in panel.frames for mark in frame if mark.lent}
    assert lent
    for label, each in lent.items():
        own = rows[int(label.split()[1].rstrip(","))]
        alike = [torch.cosine_similarity(own, rows[k], dim=0).item() for k in drawn]
        best = max(alike)
        assert each.sprite == f"late/channel/{drawn[alike.index(best)]}"
        assert each.words == (
            f"no picture of its own was drawn: this is that of channel {drawn[alike.index(best)]}, "
            f"of those drawn the nearest (cosine of where they fire {best:.2f})"
        )


def test_a_page_says_it(words, open_page, tmp_path) -> None:
    panel, scene = words
    path = tmp_path / "page.html"
    path.write_text(html.page(scene))
    tab = open_page(path)
    number = next(
        i for i, frame in enumerate(panel.frames) if any(mark.lent is not None for mark in frame)
    )
    rows, columns = scene.selection(panel.follows[0]).grid
    box = tab.locator("[data-stage]").bounding_box()
    top, left, bottom, right = scene.selection(panel.follows[0]).extent
    y = top + (number // columns + 0.5) / rows * (bottom - top)
    x = left + (number % columns + 0.5) / columns * (right - left)
    tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    tile = tab.locator(".panel[aria-label='What fires here'] .mark:has(.lent)").first
    assert tile.locator(".lent").inner_text() == "nearest drawn"
    tile.hover()
    expect(tab.locator(".readout")).to_contain_text("no picture of its own was drawn")
