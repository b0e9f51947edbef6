"""The widget's module in a browser, with a model that keeps what an anywidget host keeps."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from playwright.sync_api import expect

from captum_blocks.render.arriving import arrivals
from captum_blocks.render.widget import BlocksWidget
from captum_blocks.scene import Sprite
from tests.render.sample import sample_scene

HOST = """async ([module, state]) => {
  const heard = new Map();
  const model = {
    state, saved: 0, sent: [],
    get(name) { return this.state[name]; },
    set(name, value) {
      this.state[name] = value;
      (heard.get(name) || []).forEach((tell) => tell());
    },
    save_changes() { this.saved += 1; },
    send(message) { this.sent.push(message); },
    off(event, tell) {
      heard.set(event, (heard.get(event) || []).filter((each) => each !== tell));
    },
    hear(message, ...buffers) {
      (heard.get('msg:custom') || []).forEach((tell) => tell(message, buffers));
    },
    on(event, tell) {
      const name = event.replace('change:', '');
      heard.set(name, [...(heard.get(name) || []), tell]);
    },
  };
  const address = URL.createObjectURL(new Blob([module], { type: 'text/javascript' }));
  const widget = (await import(address)).default;
  const el = document.createElement('div');
  document.body.append(el);
  Object.assign(window, { model, el });
  window.close_ = await widget.render({ model, el });
}"""


@pytest.fixture
def tab(browser):
    tab = browser.new_page(viewport={"width": 1100, "height": 800})
    complaints = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    widget = BlocksWidget(sample_scene())
    state = {
        name: getattr(widget, name) for name in ("_article", "_style", "_data", "pins", "token")
    }
    tab.evaluate(HOST, [widget._esm, state])
    yield tab
    tab.close()
    assert complaints == []


def kept(tab, name):
    tab.wait_for_timeout(250)
    return json.loads(tab.evaluate(f"JSON.stringify(window.model.state.{name})"))


def hover_at(tab, y, x):
    box = tab.locator("[data-stage]").bounding_box()
    tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])


def test_pointing_comes_back_as_a_selection(tab):
    hover_at(tab, 0.5 / 14, 0.5 / 14)
    assert kept(tab, "selection") == {"here": "0,0"}
    hover_at(tab, 13.5 / 14, 2.5 / 14)
    assert kept(tab, "selection") == {"here": "13,2"}
    assert kept(tab, "pins") == {}


def test_a_pinned_mark_comes_back(tab):
    row = tab.locator('[aria-label="Six groups of neurons"] .mark').nth(2)
    row.locator(".name").click()
    assert kept(tab, "pins") == {"mark": "bn2/group/2"}
    assert kept(tab, "selection") == {"here": "5,6", "mark": "bn2/group/2"}


def test_python_can_pin(tab):
    tab.evaluate("window.model.set('pins', {mark: 'bn2/group/3', at: '0.9,0.1'})")
    assert tab.locator(".stage .legend").inner_text().split("\n")[0] == "group 4 at bn2"
    assert kept(tab, "selection") == {"here": "12,1", "mark": "bn2/group/3"}


def test_the_notebook_and_the_page_do_not_style_each_other(tab):
    tab.add_style_tag(content=".mark { display: none } h1 { color: rgb(1, 2, 3) }")
    assert tab.locator(".mark").first.is_visible()
    outside = tab.evaluate(
        "() => { const h = document.createElement('p'); h.className = 'title'; h.textContent = 'x';"
        "document.body.append(h); return getComputedStyle(h).fontWeight; }"
    )
    assert outside == "400"


def test_a_closed_view_stops_listening(tab):
    row = tab.locator('[aria-label="Six groups of neurons"] .mark').nth(2)
    row.locator(".name").click()
    assert kept(tab, "pins") == {"mark": "bn2/group/2"}
    tab.evaluate("window.close_()")
    tab.keyboard.press("Escape")
    assert kept(tab, "pins") == {"mark": "bn2/group/2"}


@pytest.fixture
def scene():
    """The sample with two of its icons still to be drawn."""
    whole = sample_scene()
    names = list(whole.sprites)[:2]
    blank = {name: Sprite.blank(64, whole.sprites[name].label) for name in names}
    return whole, whole.with_sprites(blank)


def filled(tab, widget, told, picture):
    """What arrives in the browser of a message with one picture."""
    held = b64encode(picture).decode()
    tab.evaluate(
        "async ([told, held]) => window.model.hear({arrived: told}, "
        "new DataView(Uint8Array.from(atob(held), (letter) => letter.charCodeAt(0)).buffer))",
        [told, held],
    )


@pytest.fixture
def filling(browser, scene):
    """A tab with a widget of which two icons are missing."""
    tab = browser.new_page(viewport={"width": 1100, "height": 800})
    complaints = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    widget = BlocksWidget(scene[1])
    names = ("_article", "_style", "_data", "pins", "token")
    tab.evaluate(HOST, [widget._esm, {name: getattr(widget, name) for name in names}])
    yield tab, widget
    tab.close()
    assert complaints == []


def test_icons_come_one_by_one(filling, scene):
    tab, widget = filling
    whole, missing = scene
    assert tab.locator(".undrawn").is_visible()
    blank = tab.locator(".icon.blank").count()
    assert blank
    known = set(whole.sprites) - set(missing.undrawn)
    for left, (told, picture) in zip((1, 0), arrivals(whole, known), strict=True):
        filled(tab, widget, told, picture)
        expect(tab.locator(".icon.blank")).to_have_count(blank * left // 2)
    expect(tab.locator(".undrawn")).to_be_hidden()


def test_what_is_pointed_at_is_asked_for_once_and_closing_ends_the_work(filling, scene):
    tab, _ = filling
    row = tab.locator(".mark:has(.icon.blank)").first
    name = row.locator(".icon").get_attribute("data-sprite")
    row.locator(".name").hover()
    tab.locator("h1").hover()
    row.locator(".name").hover()
    assert tab.evaluate("window.model.sent") == [{"here": True}, {"wanted": name}]
    tab.evaluate("window.close_()")
    assert tab.evaluate("window.model.sent.at(-1)") == {"closed": True}


def test_what_ended_the_work_is_told(filling):
    tab, _ = filling
    tab.evaluate("window.model.hear({ended: 'drawing was stopped'})")
    assert tab.locator(".undrawn").inner_text().endswith("drawn: drawing was stopped")


def test_a_view_that_comes_late_is_told_what_came_before(filling, scene):
    tab, widget = filling
    whole, _ = scene
    sent = []
    widget.send = lambda told, buffers=(): sent.append((told, *buffers))
    widget.fill(whole)
    widget.finish(whole)
    assert len(sent) == 3
    sent.clear()
    widget._handle_custom_msg({"here": True}, [])
    *arrived, ended = sent
    assert ended == ({"ended": "", "signs": {}},)
    for told, picture in arrived:
        filled(tab, widget, told["arrived"], picture)
        filled(tab, widget, told["arrived"], picture)  # by another view's asking
    expect(tab.locator(".icon.blank")).to_have_count(0)
    tab.evaluate("window.model.hear({ended: ''})")
    assert tab.locator(".undrawn").evaluate("(node) => node.textContent").endswith("are drawn")
    assert tab.locator(".announcer").inner_text() == "All pictures are drawn"
