"""The widget's module in a browser, with a model that keeps what an anywidget host keeps."""

from __future__ import annotations

import json

import pytest

from captum_blocks.render.widget import BlocksWidget
from tests.render.sample import sample_scene

HOST = """async ([module, state]) => {
  const heard = new Map();
  const model = {
    state, saved: 0,
    get(name) { return this.state[name]; },
    set(name, value) {
      this.state[name] = value;
      (heard.get(name) || []).forEach((tell) => tell());
    },
    save_changes() { this.saved += 1; },
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
