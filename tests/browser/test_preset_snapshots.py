"""Every preset looks as it did when somebody last looked at it."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pytest
from PIL import Image

import captum_blocks as cb
from captum_blocks.store import Store
from tests.browser import snapshots
from tests.conftest import FEW_STEPS
from tests.test_presets import PRESETS

WITH_PHOTOGRAPHS = "overview_with_photographs"


@pytest.fixture(scope="module")
def explain(small, tmp_path_factory):
    """One store for all: the presets share most of their icons."""
    store = Store(tmp_path_factory.mktemp("icons"))
    return partial(cb.explain, quality=FEW_STEPS, progress=False, store=store)


@pytest.fixture
def photo() -> np.ndarray:
    """A picture that does not change with the versions of what makes noise."""
    y, x = np.mgrid[0:60, 0:90]
    waves = [np.sin(x / 7 + y / (9 + 5 * k) + k) for k in range(3)]
    return (127 + 120 * np.stack(waves, -1)).astype(np.uint8)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_looks_as_it_was_reviewed(name, explain, small, photo, open_page, tmp_path):
    page = explain(PRESETS[name], small, photo).save(tmp_path / "page.html")
    shown = snapshots.taken(open_page(page, reduced_motion="reduce"))
    if os.environ.get(snapshots.TAKE):
        snapshots.store(name, shown)
    reviewed = snapshots.stored(name)
    assert snapshots.alike(reviewed, shown), snapshots.changes(reviewed, shown)


@pytest.fixture(scope="module")
def waves(small, tmp_path_factory) -> cb.ExampleIndex:
    """Twenty photographs that do not change with the versions of what makes noise."""
    folder = tmp_path_factory.mktemp("waves")
    y, x = np.mgrid[0:60, 0:60]
    for number in range(20):
        slopes = (4 + number % 5, 9 - number % 4)
        made = [np.sin(x / slopes[0] + k * number) * np.cos(y / slopes[1] + k) for k in (1, 2, 3)]
        pixels = (127 + 120 * np.stack(made, -1)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    path = tmp_path_factory.mktemp("index") / "waves.blocks"
    return cb.ExampleIndex.build(small, folder, ["early", "late"], path, progress=False)


def test_photographs_beside_icons_look_as_they_were_reviewed(
    explain, small, photo, waves, open_page, tmp_path
):
    page = explain(PRESETS["overview"], small, photo, examples=waves).save(tmp_path / "page.html")
    shown = snapshots.taken(open_page(page, reduced_motion="reduce"))
    if os.environ.get(snapshots.TAKE):
        snapshots.store(WITH_PHOTOGRAPHS, shown)
    reviewed = snapshots.stored(WITH_PHOTOGRAPHS)
    assert snapshots.alike(reviewed, shown), snapshots.changes(reviewed, shown)
    assert not snapshots.alike(snapshots.stored("overview"), shown), "crops are seen"


def test_a_page_that_has_lost_a_panel_is_not_alike(explain, small, photo, open_page, tmp_path):
    page = explain(PRESETS["neuron_groups"], small, photo).save(tmp_path / "page.html")
    tab = open_page(page, reduced_motion="reduce")
    whole = snapshots.taken(tab)
    assert snapshots.alike(whole, whole)
    tab.evaluate("document.querySelectorAll('.panel-body').forEach(b => b.style.opacity = 0)")
    assert not snapshots.alike(whole, snapshots.taken(tab))
    tab.evaluate("document.querySelectorAll('.panel-body').forEach(b => b.style.opacity = 1)")
    tab.evaluate("document.querySelector('[data-stage]').style.visibility = 'hidden'")
    assert not snapshots.alike(whole, snapshots.taken(tab))


def test_pictures_of_pages_are_small():
    sizes = [path.stat().st_size for path in snapshots.FOLDER.glob("*.webp")]
    assert len(sizes) == len(PRESETS) + 1
    assert sum(sizes) < 1_000_000
