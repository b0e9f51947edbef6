"""How long a page of 1,000 classes and 2,048 channels takes from the hover to the paint.

Run as ``python -m tests.benchmarks.page``; needs a Chromium.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from playwright.sync_api import Page, sync_playwright

from captum_blocks.render.html import page
from captum_blocks.scene import Bars, Below, Chapter, Field, Mark, Overlay, Scene, Selection
from tests.render.sample import sample_scene

CLASSES, CHANNELS, LAYERS, GRID, HOVERS = 1000, 2048, 4, 14, 40

WATCH = """() => {
  window.delays = [];
  const seen = (event) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => window.delays.push(performance.now() - event.timeStamp);
    channel.port2.postMessage(0);
  });
  addEventListener('pointermove', seen, true);
}"""


def channel_rows(layer: int, random: np.random.Generator) -> tuple[Mark, ...]:
    values = random.normal(size=CHANNELS)
    return tuple(
        Mark(
            f"layer{layer}/{k}", f"layer{layer} : {k}", (float(v), float(-v)), field=f"{layer}/{k}"
        )
        for k, v in enumerate(values)
    )


def crowded_scene() -> Scene:
    """Four layers of 2,048 channel rows, 1,000 classes that follow the place, a dictionary."""
    random = np.random.default_rng(0)
    cells = tuple(f"{y},{x}" for y in range(GRID) for x in range(GRID))
    here = Selection("here", "hover", "spatial", cells, 90, (GRID, GRID))
    fields = {
        f"{layer}/{k}": Field(random.random((7, 7)), (0.0, 1.0), "activation", f"{layer} : {k}")
        for layer in range(LAYERS)
        for k in range(CHANNELS)
    }
    classes = Bars(
        "classes",
        follows=("here",),
        frames=tuple(
            tuple(Mark(f"class/{k}", f"class {k}", (float(v),)) for k, v in enumerate(row))
            for row in random.random((len(cells), CLASSES)).round(2)
        ),
    )
    rows = [
        Bars(
            f"layer {layer}",
            frames=(channel_rows(layer, random),),
            columns=("a", "b"),
            domain=(-4.0, 4.0),
        )
        for layer in range(LAYERS)
    ]
    view = Overlay("view", frames=(("0/0",),), stage=True, sets="here", highlights="here")
    chapter = Chapter("all", "", Below((view, classes, *rows)))
    return Scene("Crowded", "", sample_scene().photo, (chapter,), {}, fields, (here,))


def measure(tab: Page, box: dict[str, float]) -> list[float]:
    random = np.random.default_rng(1)
    tab.evaluate("window.delays = []")
    for y, x in random.uniform(0.05, 0.95, (HOVERS, 2)):
        tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        tab.wait_for_timeout(60)
    delays: list[float] = tab.evaluate("window.delays")
    return delays


def report(name: str, delays: list[float]) -> None:
    print(f"{name}: median {median(delays):.0f} ms, slowest {max(delays):.0f} ms")


def main() -> None:
    start = time.perf_counter()
    text = page(crowded_scene())
    print(f"page(): {time.perf_counter() - start:.1f} s, {len(text) / 1e6:.1f} MB")
    path = Path(tempfile.mkdtemp()) / "crowded.html"
    path.write_text(text, "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1280, "height": 720})
        start = time.perf_counter()
        tab.goto(path.as_uri())
        tab.wait_for_selector(".blocks.ready")
        print(f"load: {time.perf_counter() - start:.1f} s")
        tab.evaluate(WATCH)
        report("photo", measure(tab, tab.locator("[data-stage]").bounding_box()))
        tab.evaluate("scrollBy(0, document.querySelector('[data-panel=\"3\"]').offsetTop + 9000)")
        tab.wait_for_timeout(500)
        window = {"x": 460, "y": 60, "width": 700, "height": 600}
        report("marks", measure(tab, window))
        browser.close()


if __name__ == "__main__":
    main()
