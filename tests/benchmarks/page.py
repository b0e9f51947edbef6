"""How long a page takes from the hover to the paint, and how long its longest task computes.

The second is counted in seconds of the processor, which other programs take less from. Run as
``python -m tests.benchmarks.page [--page FILE] [--out page.json]``; needs a Chromium. The page is
one of 1,000 classes, 2,048 channels and 4 layers, or a saved one: the report of the command line,
say. The photograph is measured, and every panel that is drawn in its chapter.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from playwright.sync_api import Locator, Page, sync_playwright

from captum_blocks.render.html import page
from captum_blocks.scene import Bars, Below, Chapter, Field, Mark, Overlay, Scene, Selection
from tests.render.sample import sample_scene

CLASSES, CHANNELS, LAYERS, GRID, HOVERS = 1000, 2048, 4, 14, 40
ASKED = {"hover_ms": "<= 32", "megabytes": "<= 6"}
TASKS, MAIN_THREAD = ("RunTask", "ThreadControllerImpl::RunTask"), "CrRendererMain"
# Between two moves of the pointer, as when a hand moves it slowly.
REST = 60

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
    view = Overlay("view", frames=(("0/0",),), stage=True, sets=("here",), highlights="here")
    chapter = Chapter("all", "", Below((view, classes, *rows)))
    return Scene("Crowded", "", sample_scene().photo, (chapter,), {}, fields, (here,))


def crowded_page() -> tuple[Path, dict[str, float]]:
    """The crowded scene as a file, and the seconds it took to write."""
    start = time.perf_counter()
    path = Path(tempfile.mkdtemp()) / "crowded.html"
    path.write_text(page(crowded_scene()), "utf-8")
    return path, {"writing_s": time.perf_counter() - start}


@contextmanager
def computing(tab: Page) -> Iterator[list[float]]:
    """Milliseconds that each task of the page's main thread computed, longest first."""
    session, events, tasks = tab.context.browser.new_browser_cdp_session(), [], list[float]()
    session.on("Tracing.dataCollected", lambda told: events.extend(told["value"]))
    traced = {"includedCategories": ["toplevel", "__metadata"]}
    session.send("Tracing.start", {"transferMode": "ReportEvents", "traceConfig": traced})
    yield tasks
    ended = list[object]()
    session.on("Tracing.tracingComplete", lambda told: ended.append(told))
    session.send("Tracing.end")
    while not ended:
        tab.wait_for_timeout(20)
    threads = {
        (one["pid"], one["tid"]): one["args"]["name"]
        for one in events
        if one["name"] == "thread_name"
    }
    tasks += sorted(
        (
            one.get("tdur", 0) / 1000
            for one in events
            if one["name"] in TASKS and threads.get((one["pid"], one["tid"])) == MAIN_THREAD
        ),
        reverse=True,
    )
    session.detach()


def measure(tab: Page, box: dict[str, float], hovers: int) -> list[float]:
    """Milliseconds from each move of the pointer within a box to the paint that follows."""
    random = np.random.default_rng(1)
    tab.evaluate("window.delays = []")
    for y, x in random.uniform(0.05, 0.95, (hovers, 2)):
        tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        tab.wait_for_timeout(REST)
    delays: list[float] = tab.evaluate("window.delays")
    return delays


def visible_box(panel: Locator) -> dict[str, float]:
    """The part of a panel that is in the window, once it is at its middle."""
    panel.evaluate("panel => panel.scrollIntoView({block: 'center'})")
    panel.page.wait_for_timeout(500)
    box = panel.bounding_box()
    size = panel.page.viewport_size
    if box is None or size is None:
        raise RuntimeError("a panel that is not drawn cannot be pointed at")
    top, bottom = max(0, box["y"]), min(size["height"], box["y"] + box["height"])
    return {**box, "y": top, "height": bottom - top}


def measured(tab: Page, hovers: int) -> list[dict[str, Any]]:
    """The photograph, then every panel that is not shown on it."""
    places = {}
    if tab.locator("[data-stage]").count():
        places["the photograph"] = tab.locator("[data-stage]")
    for panel in tab.locator("[data-panel]:not(.stage-view)").all():
        places[panel.get_attribute("aria-label") or ""] = panel
    return [measured_over(tab, name, where, hovers) for name, where in places.items()]


def measured_over(tab: Page, name: str, where: Locator, hovers: int) -> dict[str, Any]:
    box = visible_box(where)
    with computing(tab) as tasks:
        delays = measure(tab, box, hovers)
    return {**row(name, delays), "longest_task_ms": tasks[0]}


def row(name: str, delays: list[float]) -> dict[str, Any]:
    return {
        "over": name,
        "median_ms": median(delays),
        "p95_ms": float(np.percentile(delays, 95)),
        "slowest_ms": max(delays),
        "hovers": len(delays),
    }


def show(figures: dict[str, Any]) -> None:
    print(f"{figures['megabytes']:.1f} MB (asked: {ASKED['megabytes']} for the full report)")
    print(f"ready after {figures['load_s']:.1f} s")
    print(f"ms from hover to paint, and the longest task, asked {ASKED['hover_ms']}")
    print(f"{'':44} {'median':>7} {'95 %':>7} {'slowest':>8} {'computing':>10}")
    for each in figures["hover"]:
        times = f"{each['median_ms']:7.0f} {each['p95_ms']:7.0f} {each['slowest_ms']:8.0f}"
        print(f"{each['over'][:44]:44} {times} {each['longest_task_ms']:10.0f}")


def load(tab: Page, path: Path) -> float:
    start = time.perf_counter()
    tab.goto(path.resolve().as_uri())
    tab.wait_for_selector(".blocks.ready")
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--page", type=Path, help="a saved page; a crowded one unless given")
    parser.add_argument("--hovers", type=int, default=HOVERS)
    parser.add_argument("--out", type=Path, default=Path("page.json"))
    arguments = parser.parse_args()
    path, figures = (arguments.page, {}) if arguments.page else crowded_page()
    figures = {"page": path.name, "asked": ASKED, **figures, "megabytes": path.stat().st_size / 1e6}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1280, "height": 720})
        figures["load_s"] = load(tab, path)
        tab.evaluate(WATCH)
        figures["hover"] = measured(tab, arguments.hovers)
        browser.close()
    show(figures)
    arguments.out.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
