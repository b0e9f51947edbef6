"""Notes below a panel that hold in one state: they change with the photograph that is shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import captum_blocks as cb
from captum_blocks.compose import Quality
from captum_blocks.render.wording import in_brief
from tests.compose.test_removals import Wide


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Wide().eval()
    net = cb.Network(module, cb.Preprocess(16, (0.5,) * 3, (0.5,) * 3), ["cat", "dog", "pig"])
    noise = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    photos = {"first": noise[0], "second": noise[1]}
    rough = Quality(size=24, n_steps=2, budget=3, cell=16, cell_steps=1)
    shown = cb.channel_attribution("late", strongest=3)
    return cb.explain(shown, net, photos, quality=rough, progress=False)


def test_each_photograph_has_its_own_notes(open_page, explained, tmp_path) -> None:
    tab = open_page(explained.save(tmp_path / "page.html"))
    panel = next(explained.scene.panels())
    place = tab.locator(f'[aria-label="{panel.title}"] .of-frame')
    briefs = [in_brief(f"{panel.left_out}; {told}") for told in panel.told]
    assert briefs[0] != briefs[1]
    assert "ranked by the largest number over all 2 photographs" in briefs[0][0]
    assert place.locator("summary").inner_text() == briefs[0][0]
    place.locator("summary").click()
    assert place.locator("p").all_inner_texts() == list(briefs[0][1])
    tab.get_by_role("radio", name="second").click()
    assert place.locator("summary").inner_text() == briefs[1][0]
    assert place.locator("p").all_inner_texts() == list(briefs[1][1]), "it stays open"


def test_paper_tells_of_the_photograph_that_it_shows(explained, tmp_path) -> None:
    panel = next(explained.scene.panels())
    drawn = explained.save(tmp_path / "page.svg").read_text("utf-8")
    own, other = (set(told.replace(";", "").split()) for told in panel.told)
    assert own - other
    assert {word for word in own - other if word not in drawn} == set()
