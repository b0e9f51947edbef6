"""Groups that the reader switches off: what the page answers is what the network answers."""

from __future__ import annotations

from itertools import product

import pytest
import torch

import captum_blocks as cb
from captum_blocks.zoo import demo_photo
from tests.reference.removals import answered, kept

OFF = cb.toggle("group")
LAYER, COUNT = "blocks.5.0.bn1", 3


@pytest.fixture(scope="module")
def switched(demo, tmp_path_factory):
    groups = cb.Hidden(LAYER).groups(COUNT)
    answers = cb.Activation(cb.Out(top=5)).without(OFF, of=groups)
    effect = cb.Attribution(groups, cb.Out(top=2), method="ShapleyValues")
    page = cb.InfoVis(answers, title="Answers") & cb.InfoVis(
        effect, sets=(cb.hover("group"), OFF), title="Groups"
    )
    path = tmp_path_factory.mktemp("switched") / "page.html"
    cb.explain(page, demo, demo_photo(), progress=False).save(path)
    return path


def panel(tab, title):
    return tab.locator(f'.panel[aria-label="{title}"]')


def switch(tab, number):
    return panel(tab, "Groups").get_by_role("switch", name=f"group {number}")


def shown(tab):
    marks = panel(tab, "Answers").locator(".mark")
    names = marks.locator(".label").all_inner_texts()
    shares = [float(text.rstrip("%")) for text in marks.locator(".value").all_inner_texts()]
    return dict(zip(names, shares, strict=True))


def test_every_state_is_the_networks_own_answer(demo, switched, open_page):
    x = demo.read(demo_photo())
    layer = demo.module.get_submodule(LAYER)
    held = kept(demo.module, layer, x).detach()
    reducer = cb.ChannelReducer(COUNT).fit(held)
    z, directions = reducer.transform(held), torch.as_tensor(reducer.components_)
    parts = [z[:, k, None] * directions[k, :, None, None] for k in range(COUNT)]
    tab, off = open_page(switched), [False] * COUNT
    for state in product((False, True), repeat=COUNT):
        for group, wanted in enumerate(state):
            if off[group] != wanted:
                switch(tab, group + 1).click()
                off[group] = wanted
        gone = sum((part for part, missing in zip(parts, off, strict=True) if missing), 0 * held)
        logits = answered(demo.module, layer, x, lambda output, gone=gone: output - gone)[0]
        expected = logits.softmax(0)
        for label, share in shown(tab).items():
            index = demo.class_index(label, 1000)
            assert share == pytest.approx(100 * expected[index].item(), abs=0.06), (state, label)


def test_a_switch_is_a_switch(switched, open_page):
    tab = open_page(switched)
    first = switch(tab, 1)
    assert first.get_attribute("aria-checked") == "true"
    before = shown(tab)
    first.focus()
    tab.keyboard.press("Space")
    assert first.get_attribute("aria-checked") == "false"
    assert shown(tab) != before
    line = panel(tab, "Answers").locator(".switch-line")
    assert line.inner_text().startswith("Without group 1 (zero in its place, the rest of the layer")
    tab.keyboard.press("Enter")
    assert first.get_attribute("aria-checked") == "true"
    assert shown(tab) == before
    assert line.inner_text().startswith("With everything there: “")
    box = first.bounding_box()
    assert min(box["width"], box["height"]) >= 24


def test_the_address_remembers_and_escape_switches_all_on(switched, open_page):
    tab = open_page(switched)
    switch(tab, 2).click()
    off = shown(tab)
    tab.wait_for_timeout(250)
    again = open_page(switched, fragment=tab.evaluate("location.hash.slice(1)"))
    assert switch(again, 2).get_attribute("aria-checked") == "false"
    assert shown(again) == off
    again.keyboard.press("Escape")
    assert switch(again, 2).get_attribute("aria-checked") == "true"
    broken = open_page(switched, fragment="off.toggle-group-blocks.5.0.bn1=99,x,,-1")
    assert shown(broken) == shown(again)


def test_switches_stand_with_the_answers_where_no_panel_lists_the_groups(demo, open_page, tmp_path):
    groups = cb.Hidden("bn2").groups(2)
    alone = cb.InfoVis(cb.Activation(cb.Out(top=3)).without(OFF, of=groups), title="Answers")
    path = tmp_path / "page.html"
    cb.explain(alone, demo, demo_photo(), progress=False).save(path)
    tab = open_page(path)
    before = shown(tab)
    panel(tab, "Answers").get_by_role("switch", name="group 2").click()
    assert shown(tab) != before
