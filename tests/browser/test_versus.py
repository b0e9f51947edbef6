"""The first screen: one answer rather than another, groups that can be switched off and named."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
import torch

import captum_blocks as cb
from captum_blocks.zoo import demo_photo
from tests.reference.removals import answered, kept

LAYER, COUNT = "bn2", 6
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def first_screen(demo, tmp_path_factory):
    path = tmp_path_factory.mktemp("versus") / "page.html"
    page = cb.neuron_groups(LAYER, COUNT) & cb.predictions(3)
    cb.explain(page, demo, demo_photo(), quality="draft", progress=False).save(path)
    return path


@pytest.fixture(scope="module")
def groups(demo):
    """Each group's part of the layer's activation."""
    x = demo.read(demo_photo())
    held = kept(demo.module, demo.module.get_submodule(LAYER), x).detach()
    reducer = cb.ChannelReducer(COUNT).fit(held)
    z, directions = reducer.transform(held), torch.as_tensor(reducer.components_)
    return x, [z[:, k, None] * directions[k, :, None, None] for k in range(COUNT)]


def without(demo, groups, off):
    """The network's own probabilities with some groups taken out of the layer."""
    x, parts = groups
    gone = sum((parts[group] for group in off), torch.zeros_like(parts[0]))
    layer = demo.module.get_submodule(LAYER)
    return answered(demo.module, layer, x, lambda output: output - gone)[0].softmax(0)


def rows(tab):
    return tab.locator(".versus .mark")


def switch(tab, group):
    return rows(tab).nth(group).get_by_role("switch")


def shares(tab):
    return [float(each.rstrip("%")) for each in tab.locator(".share").all_inner_texts()]


def rivals(tab):
    return [tab.locator(".rival").nth(side).input_value() for side in (0, 1)]


def choose(tab, side, text):
    tab.locator(".rival").nth(side).fill(text)
    tab.locator(".rival").nth(side).press("Tab")


def test_every_state_is_the_networks_own_answer(demo, first_screen, groups, open_page):
    tab = open_page(first_screen)
    first, second = (demo.class_index(name, 1000) for name in rivals(tab))
    sets = (
        [()]
        + [(g,) for g in range(COUNT)]
        + list(combinations(range(COUNT), 2))[:6]
        + [(0, 1, 2, 3, 4, 5)]
    )
    off = set()
    for wanted in sets:
        for group in off.symmetric_difference(wanted):
            switch(tab, group).click()
        off = set(wanted)
        expected = without(demo, groups, off)
        assert shares(tab) == pytest.approx(
            [100 * expected[i].item() for i in (first, second)], abs=0.06
        )
        words = tab.locator(".verdict").inner_text()
        best = int(expected.argmax())
        if off:
            assert words.startswith("Without group")
            assert ("is first" in words) == (best != first)
        if best not in (first, second):
            assert f"“{demo.label(best)}” is first with" in words


def test_any_class_can_be_the_rival(demo, first_screen, groups, open_page):
    tab = open_page(first_screen)
    choose(tab, 1, "LYNX")
    assert rivals(tab)[1] == "lynx"
    own = without(demo, groups, ())
    lynx = demo.class_index("lynx", 1000)
    assert shares(tab)[1] == pytest.approx(100 * own[lynx].item(), abs=0.06)
    x = demo.read(demo_photo())
    value = cb.evaluate(
        cb.Attribution(
            cb.Hidden(LAYER).groups(COUNT), cb.Out("tiger cat", "lynx"), method="ShapleyValues"
        ),
        demo,
        x,
    )
    difference = value.data[0, 0] - value.data[0, 1]
    shown = [text.replace("−", "-") for text in rows(tab).locator(".value").all_inner_texts()]
    assert [float(text) for text in shown[:COUNT]] == pytest.approx(difference.tolist(), abs=0.006)
    tab.wait_for_timeout(250)
    again = open_page(first_screen, fragment=tab.evaluate("location.hash.slice(1)"))
    assert rivals(again) == ["tiger cat", "lynx"]


def test_a_class_that_does_not_exist_and_the_same_class_twice(first_screen, open_page):
    tab = open_page(first_screen)
    before = rivals(tab)
    choose(tab, 1, "tigger cat")
    refused = tab.locator(".refused")
    assert refused.inner_text().startswith("There is no class “tigger cat”; near are “tiger cat”")
    assert rivals(tab) == before
    choose(tab, 1, before[0])
    assert refused.inner_text() == f"“{before[0]}” is the other answer already."
    assert rivals(tab) == before
    choose(tab, 1, "x" * 10_000)
    assert "…" in refused.inner_text()
    assert len(refused.inner_text()) < 200
    choose(tab, 1, "lynx")
    assert refused.inner_text() == ""
    choose(tab, 1, "281")
    assert rivals(tab) == [before[0], "tabby"]
    choose(tab, 1, "1000")
    assert refused.inner_text().startswith("There is no class “1000”")


def test_removal_and_edit_are_told_of_the_group_pointed_at(demo, first_screen, groups, open_page):
    tab = open_page(first_screen)
    rows(tab).nth(3).hover()
    words = tab.locator(".verdict").inner_text()
    expected = without(demo, groups, (3,))
    first = demo.class_index(rivals(tab)[0], 1000)
    assert words.startswith("Without group 4’s activity at bn2: “tiger cat” ")
    told = float(re.search(r"“tiger cat” ([\d.]+)%", words).group(1))
    assert told == pytest.approx(100 * expected[first].item(), abs=0.06)
    assert re.search(
        r"With the part of the picture where it fires blurred \(\d+% of the picture\): “", words
    )


def test_the_first_sentence_says_why_it_is_of_this_group(demo, first_screen, open_page):
    tab = open_page(first_screen)
    values = rows(tab).locator(".value").all_inner_texts()[:COUNT]
    numbers = [float(text.replace("−", "-")) for text in values]
    strongest = numbers.index(max(numbers)) + 1
    assert (
        tab.locator(".verdict")
        .inner_text()
        .startswith(
            "The group that speaks most for “tiger cat” and against “Egyptian cat” is "
            f"group {strongest}. Without its activity at bn2: “tiger cat” "
        )
    )


def test_what_was_switched_off_is_off_again_after_printing(first_screen, open_page):
    tab = open_page(first_screen)
    before = shares(tab)
    switch(tab, 0).click()
    without_it = shares(tab)
    assert without_it != before
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shares(tab) == before
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shares(tab) == without_it


def test_a_view_without_places_has_its_own_cells_and_none_is_chosen(first_screen, open_page):
    tab = open_page(first_screen)
    assert tab.locator("[data-stage] .cell").count() == 0


def test_names_are_written_over_and_kept(first_screen, open_page):
    tab = open_page(first_screen)
    row = rows(tab).nth(1)
    row.hover()
    row.get_by_role("button", name="Rename group 2").click()
    tab.locator(".renamed").fill("  <b>brow</b>  ")
    tab.keyboard.press("Enter")
    assert row.locator(".label").inner_text() == "<b>brow</b>"
    row.get_by_role("switch").click()
    assert tab.locator(".verdict").inner_text().startswith("Without <b>brow</b> (zero in its place")
    tab.wait_for_timeout(250)
    again = open_page(first_screen, fragment=tab.evaluate("location.hash.slice(1)"))
    assert rows(again).nth(1).locator(".label").inner_text() == "<b>brow</b>"
    rows(again).nth(1).get_by_role("button", name="Rename").click()
    again.locator(".renamed").fill("y" * 10_000)
    again.keyboard.press("Enter")
    assert rows(again).nth(1).locator(".label").inner_text() == "y" * 60
    rows(again).nth(1).get_by_role("button", name="Rename").click()
    again.locator(".renamed").fill("")
    again.keyboard.press("Enter")
    assert rows(again).nth(1).locator(".label").inner_text() == "group 2"
    broken = open_page(first_screen, fragment="pair.1=5,5&name.nobody=x&off.x=1&pair.9=a")
    assert rivals(broken) == ["tiger cat", "Egyptian cat"]


def test_the_first_screen_holds_the_answer_and_every_row(first_screen, open_page):
    tab = open_page(first_screen)
    last = rows(tab).last.bounding_box()
    contents = tab.locator(".contents").bounding_box()
    assert last["y"] + last["height"] <= contents["y"]
    picture = tab.locator("[data-stage] img").bounding_box()
    assert picture["width"] == pytest.approx(500, abs=12)
    assert picture["y"] + picture["height"] < contents["y"]
    for node in (tab.locator(".rival").first, tab.locator(".verdict")):
        assert node.bounding_box()["y"] < 300
    assert tab.locator(".whole").is_visible()


def test_numbers_can_be_copied(demo, first_screen, groups, open_page):
    tab = open_page(first_screen, permissions=["clipboard-read", "clipboard-write"])
    section = tab.locator(".panel.versus")
    section.hover()
    section.get_by_role("button", name="Copy numbers").click()
    tab.wait_for_timeout(100)
    text = tab.evaluate("navigator.clipboard.readText()")
    head, *lines = [line.split("\t") for line in text.splitlines()]
    assert head[:4] == ["name", "tiger cat (logit)", "Egyptian cat (logit)", "difference (logit)"]
    assert head[4] == "tiger cat (probability), without it"
    assert len(lines) == COUNT + 1
    expected = without(demo, groups, (2,))[demo.class_index("tiger cat", 1000)]
    assert float(lines[2][4]) == pytest.approx(expected.item(), abs=1e-4)


def test_contents_go_to_a_chapter_and_say_where_one_is(first_screen, open_page):
    tab = open_page(first_screen, viewport={"width": 1280, "height": 500})
    links = tab.locator(".contents a")
    assert links.all_inner_texts() == [
        "Which parts of the picture made it say so?",
        "What did it answer?",
    ]
    links.nth(1).click()
    tab.wait_for_timeout(200)
    assert tab.evaluate("document.activeElement.textContent") == "What did it answer?"
    assert "chapter" not in tab.evaluate("location.hash")


def test_nothing_is_cut_on_a_phone(first_screen, open_page):
    tab = open_page(first_screen, **PHONE)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    box = switch(tab, 0).bounding_box()
    assert min(box["width"], box["height"]) >= 24


def test_the_answer_is_in_view_twice_enlarged(first_screen, open_page):
    tab = open_page(first_screen, viewport={"width": 640, "height": 360})
    line = tab.locator(".contest").bounding_box()
    assert line["y"] + line["height"] <= 330


def test_copying_is_in_reach_of_a_finger(first_screen, open_page):
    tab = open_page(first_screen, **PHONE)
    button = tab.locator(".panel.versus").get_by_role("button", name="Copy numbers")
    assert button.evaluate("node => getComputedStyle(node).opacity") == "1"
    assert button.bounding_box()["height"] >= 24


def test_names_and_rivals_given_in_python(small, noise_picture, store):
    groups = cb.Hidden("late").groups(2)
    page = cb.neuron_groups("late", 2, classes=cb.Out("pig", "dog"))
    scene = cb.explain(
        page, small, noise_picture, names={groups: ["ears", "snout"]}, store=store
    ).scene
    panel = next(panel for panel in scene.panels() if hasattr(panel, "contests"))
    assert [mark.label for mark in panel.frames[0]][:2] == ["ears", "snout"]
    assert [panel.classes[place] for place in panel.pair] == ["pig", "dog"]
    for names, message in (
        ({groups: ["one"]}, "1 names for 2 groups"),
        ({groups: ["one", "one"]}, "two groups .* have one name"),
        ({groups: ["one", "x" * 61]}, "at most 60 characters"),
        ({groups: ["one", " "]}, "a group's name is a text"),
        ({cb.Hidden("early").groups(2): ["a", "b"]}, "which is not shown"),
        ({cb.Hidden("late").channels: ["a"]}, "of groups"),
        (["a", "b"], "names= takes a list of names by groups"),
    ):
        with pytest.raises((cb.BlocksError), match=message):
            cb.explain(page, small, noise_picture, names=names, store=store)
