"""How far icons are to be believed: a mark in their corner, the evidence behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect

import captum_blocks as cb
from captum_blocks import Explanation
from captum_blocks.compose.pictures.quality import Quality
from captum_blocks.compose.signing import NOT_YET
from captum_blocks.render import mpl
from captum_blocks.scene import Sign
from captum_blocks.store import Store
from tests.browser.test_filling_up import Visit, boxes, server, visit  # noqa: F401
from tests.examples.conftest import photographs

Open = Callable[..., Page]
FEW = Quality(size=16, n_steps=1, budget=6)
SIGNS = (
    Sign("clear", "no sign of forgery", "it agrees to 0.62"),
    Sign("doubtful", "doubtful", "it agrees to 0.21"),
    Sign("refuted", "refuted", "it agrees to 0.02"),
    Sign("unknown", "unknown", "3 photographs excite it"),
)


@pytest.fixture(scope="module")
def signed(small: cb.Network) -> Explanation:
    """Four channels, each with another mark."""
    channels = cb.Activation(cb.Hidden("late").channels).filter(top=4)
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    page = cb.explain(cb.FeatureVis(channels), small, picture, quality=FEW, progress=False)
    signs = dict(zip(page.scene.sprites, SIGNS, strict=True))
    return replace(page, scene=page.scene.with_signs(signs))


@pytest.fixture
def stream(small: cb.Network, small_x: torch.Tensor, store: Store) -> cb.Stream:
    """Three channels and an index of enough photographs to judge them by."""
    index = cb.ExampleIndex.build(small, photographs(60, seed=7), ["late"], progress=False)
    channels = cb.FeatureVis(cb.Activation(cb.Hidden("late").channels).filter(top=3))
    how = {"quality": FEW, "progress": False, "store": store, "examples": index}
    return cb.explain(channels, small, small_x, stream=True, **how)  # type: ignore[call-overload, no-any-return]


@pytest.fixture(scope="module")
def saved(signed: Explanation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return signed.save(tmp_path_factory.mktemp("page") / "page.html")


def test_each_icon_has_a_mark_told_by_its_shape(
    saved: Path, signed: Explanation, open_page: Open
) -> None:
    tab = open_page(saved)
    shapes = set()
    for name, sign in signed.scene.signs.items():
        icon = tab.locator(f'.icon[data-sprite="{name}"]')
        expect(icon).to_have_attribute("title", f"{sign.name}: {sign.words}")
        expect(icon).to_have_attribute("data-sign", sign.level)
        shown = icon.evaluate(
            "node => [getComputedStyle(node, '::after').content, node.offsetWidth]"
        )
        shapes.add(shown[0])
        assert shown[1] == 56, "the mark takes no room"
    assert shapes == {'"○"', '"◐"', '"×"', '"?"'}


def test_an_enlarged_icon_says_by_what(saved: Path, signed: Explanation, open_page: Open) -> None:
    tab = open_page(saved)
    for name, sign in signed.scene.signs.items():
        tab.locator(f'.icon[data-sprite="{name}"]').click()
        told = tab.locator("dialog .sign-told")
        expect(told).to_have_text(f"{sign.name}: {sign.words}.")
        proof = tab.locator("dialog .caption", has_text="no proof")
        assert proof.count() == (sign.level == "clear")
        tab.keyboard.press("Escape")


def test_paper_has_the_marks(signed: Explanation) -> None:
    figure = mpl.figure(signed.scene)
    letters = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert [each for each in letters if each in "○◐×?" and each] == ["○", "◐", "×", "?"]


def test_marks_come_when_all_is_drawn(stream: cb.Stream, visit: Visit) -> None:  # noqa: F811
    page = visit()
    signs = page.locator(".icon[data-sign]")
    assert signs.count() == 3
    for icon in signs.all():
        expect(icon).to_have_attribute("title", f"unknown: {NOT_YET}")
    before = boxes(page)
    found = stream.result()
    assert {each.level for each in found.trust} - {"unknown"}
    for name, sign in found.scene.signs.items():
        icon = page.locator(f'.icon[data-sprite="{name}"]')
        expect(icon).to_have_attribute("data-sign", sign.level)
        expect(icon).to_have_attribute("title", f"{sign.name}: {sign.words}")
    assert boxes(page) == before
