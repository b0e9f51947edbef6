"""What axe-core, the usual checker of accessible pages, has to say; and what it cannot see."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from captum_blocks.render.html import page
from tests.render.sample import sample_scene
from tests.render.sample_grids import grids_scene
from tests.render.sample_kinds import kinds_scene
from tests.render.sample_ticks import ticks_scene

SERIOUS = ("serious", "critical")
SCENES = {"sample": sample_scene, "grids": grids_scene, "kinds": kinds_scene, "ticks": ticks_scene}


def serious(tab) -> list[str]:
    found = Axe().run(tab).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {[node['html'][:160] for node in each['nodes']][:3]}"
        for each in found
        if each["impact"] in SERIOUS
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", SCENES)
def test_axe_finds_nothing_serious(open_page, tmp_path, name, scheme) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(SCENES[name]()), "utf-8")
    assert serious(open_page(path, color_scheme=scheme)) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_a_real_page(open_page, real_page, scheme) -> None:
    assert serious(open_page(real_page, color_scheme=scheme)) == []


def test_axe_would_find_something(open_page, tmp_path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(sample_scene()), "utf-8")
    tab = open_page(path)
    tab.evaluate("document.querySelector('[data-stage] img').removeAttribute('alt')")
    tab.evaluate("document.querySelector('.reading').style.color = '#ccc'")
    assert {found.split(":")[0] for found in serious(tab)} >= {"image-alt", "color-contrast"}


def test_axe_finds_nothing_serious_while_a_mark_is_pointed_at(open_page, tmp_path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(kinds_scene()), "utf-8")
    tab = open_page(path)
    tab.locator('[aria-label="Channels"] .mark').nth(2).hover()
    tab.wait_for_timeout(200)
    assert serious(tab) == []
