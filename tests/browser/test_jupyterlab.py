"""A real JupyterLab: the widget is alive in it, and the saved notebook holds the page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import nbformat
import pytest
from playwright.sync_api import expect

ROOT = Path(__file__).parents[2]
PATIENCE = 60
CELLS = (
    "from captum_blocks.render.widget import BlocksWidget\n"
    "from tests.render.sample_kinds import kinds_scene\n"
    "widget = BlocksWidget(kinds_scene())\n"
    "heard = []\n"
    "hear = lambda change: heard.append((change['new'].get('mark'), widget.pins))\n"
    "widget.observe(hear, 'selection')\n"
    "widget",
    "print('heard', *heard[0])",
    "print('selected', widget.selection['down'], widget.selection.get('mark'))",
)
EXPLANATION = (
    "from captum_blocks.explanation import Explanation\n"
    "from tests.render.sample import sample_scene\n"
    "Explanation(sample_scene(), {}, ())",
)
STREAM = (
    "import captum_blocks as cb, torch\n"
    "from captum_blocks.compose.pictures import icons\n"
    "from tests.conftest import FEW_STEPS, SmallNet\n"
    "icons.BATCH = 1\n"
    "few = cb.Quality(size=48, n_steps=200, budget=6)\n"
    "ui = cb.FeatureVis(cb.Hidden('late').channels[:6])\n"
    "how = {'quality': few, 'progress': False, 'stream': True}\n"
    "stream = cb.explain(ui, SmallNet().eval(), torch.zeros(1, 3, 16, 16), **how)\n"
    "stream",
    "print('left', len(stream.now.scene.undrawn) > 0, stream.ended)",
    "stream.result(); print('left', len(stream.now.scene.undrawn), stream.ended)",
)
# Lab leaves the state of widgets out of a notebook unless the reader has asked for it.
SETTINGS = Path("settings/@jupyter-widgets/jupyterlab-manager/plugin.jupyterlab-settings")


def write_notebook(path: Path, cells: tuple[str, ...]) -> None:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel}), path)


def save_state(home: Path, wanted: bool) -> None:
    (home / SETTINGS).parent.mkdir(parents=True, exist_ok=True)
    (home / SETTINGS).write_text(json.dumps({"saveState": wanted}))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "work").mkdir()
    write_notebook(folder / "work" / "page.ipynb", CELLS)
    write_notebook(folder / "work" / "explanation.ipynb", EXPLANATION)
    write_notebook(folder / "work" / "stream.ipynb", STREAM)
    return folder


@pytest.fixture(scope="module")
def lab(home: Path) -> Iterator[str]:
    """The address of a server of its own, which asks for no token and knows no other settings."""
    folders = {
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        "IPYTHONDIR": home / "ipython",
        "CAPTUM_BLOCKS_CACHE_DIR": home / "icons",
        "PYTHONPATH": ROOT,
    }
    options = (
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--port=0",
        "--IdentityProvider.token=",
        "--ServerApp.disable_check_xsrf=True",
        f"--ServerApp.root_dir={home / 'work'}",
        "--LabApp.news_url=None",
    )
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=os.environ | {name: str(folder) for name, folder in folders.items()},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _address(server, home / "log")
        finally:
            server.terminate()
            try:
                server.wait(PATIENCE)
            except subprocess.TimeoutExpired:  # a kernel that will not end holds it
                server.kill()
                server.wait()


def _address(server: subprocess.Popen, log: Path) -> str:
    for _ in range(10 * PATIENCE):
        assert server.poll() is None, log.read_text()
        found = re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())
        if found and _answers(found[0]):
            return found[0]
        time.sleep(0.1)
    raise TimeoutError(log.read_text())


def _answers(address: str) -> bool:
    try:
        return bool(urlopen(address + "api").read())
    except URLError:
        return False


def end_kernels(address: str) -> None:
    for session in json.loads(urlopen(address + "api/sessions").read()):
        urlopen(Request(f"{address}api/sessions/{session['id']}", method="DELETE"))


def run(tab, cell: int) -> None:
    """Run a cell; a kernel that is not there yet lets the wish fall silently."""
    prompt = tab.locator(".jp-CodeCell").nth(cell).locator(".jp-InputPrompt")
    for _ in range(PATIENCE):
        prompt.click()
        tab.keyboard.press("Shift+Enter")
        tab.wait_for_timeout(500)
        if prompt.inner_text() != "[ ]:":
            return


def opened(browser, address: str):
    tab = browser.new_context(viewport={"width": 1400, "height": 1100}).new_page()
    tab.set_default_timeout(1000 * PATIENCE)
    # A busy server may tell of its kernels only after the notebook has asked for one.
    asks = tab.get_by_role("dialog").filter(has_text="Select Kernel")
    tab.add_locator_handler(asks, lambda dialog: dialog.get_by_text("Select", exact=True).click())
    tab.goto(address)
    return tab


def saved(tab, path: Path) -> dict:
    """The notebook on disk, once the outputs of its first cell are there."""
    tab.keyboard.press("Control+s")
    for _ in range(10 * PATIENCE):
        tab.wait_for_timeout(100)
        # It may be read while it is being written.
        with suppress(json.JSONDecodeError):
            notebook = json.loads(path.read_text())
            if notebook["cells"][0]["outputs"]:
                return notebook
    raise TimeoutError(path)


def said(tab, cell: int):
    return tab.locator(".jp-CodeCell").nth(cell).locator(".jp-OutputArea-output")


def test_the_selection_comes_back_to_python_and_the_page_is_saved(browser, home, lab) -> None:
    save_state(home, True)
    tab = opened(browser, lab + "lab/tree/page.ipynb")
    tab.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()
    run(tab, 0)
    tab.locator(".blocks.ready").wait_for()

    # The first that Python hears is of the pointer alone; nothing has been clicked yet.
    mark = tab.locator('[aria-label="Channels"] .mark').nth(2)
    mark.locator(".name").hover()
    tab.wait_for_timeout(400)
    run(tab, 1)
    expect(said(tab, 1)).to_have_text("heard bn2/channel/2 {}", timeout=1000 * PATIENCE)

    mark.locator(".name").click()
    tab.wait_for_timeout(400)
    run(tab, 2)
    selected = "selected bn2/channel/2 bn2/channel/2"
    expect(said(tab, 2)).to_have_text(selected, timeout=1000 * PATIENCE)

    assert "widgets" in saved(tab, home / "work" / "page.ipynb")["metadata"]
    tab.context.close()
    end_kernels(lab)

    again = opened(browser, lab + "lab/tree/page.ipynb?reset")
    again.locator(".blocks.ready").wait_for()
    assert again.locator(".blocks h1").inner_text() == "What do a cat and a cup share?"
    labels = again.locator('[aria-label="Came from"] .label').all_inner_texts()
    assert labels[0] == "bn1 : 8"
    again.context.close()


def test_a_notebook_saved_without_the_state_of_widgets_shows_the_page(browser, home, lab) -> None:
    save_state(home, False)
    tab = opened(browser, lab + "lab/tree/explanation.ipynb?reset")
    tab.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()
    run(tab, 0)
    tab.locator(".blocks.ready").wait_for()
    standby = "[data-blocks-standby]"
    expect(tab.locator(standby)).to_have_count(1)
    expect(tab.locator(standby)).to_be_hidden()

    assert "widgets" not in saved(tab, home / "work" / "explanation.ipynb")["metadata"]
    tab.context.close()
    end_kernels(lab)

    again = opened(browser, lab + "lab/tree/explanation.ipynb?reset")
    page = again.frame_locator(f"{standby} iframe")
    page.locator(".blocks.ready").wait_for()
    expect(page.locator("h1")).to_contain_text("Why tiger cat?")
    again.context.close()


def test_a_widget_fills_up_while_other_cells_run(browser, home, lab) -> None:
    save_state(home, False)
    tab = opened(browser, lab + "lab/tree/stream.ipynb?reset")
    tab.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()
    run(tab, 0)
    tab.locator(".blocks.ready").wait_for()
    run(tab, 1)
    expect(said(tab, 1)).to_have_text("left True False", timeout=1000 * PATIENCE)
    run(tab, 2)
    expect(said(tab, 2)).to_have_text("left 0 True", timeout=1000 * PATIENCE)
    expect(tab.locator(".blocks .undrawn").first).to_be_hidden()
    expect(tab.locator(".blocks .icon.blank")).to_have_count(0)
    tab.wait_for_timeout(1500)  # the page that outlives the widget is made anew
    outputs = saved(tab, home / "work" / "stream.ipynb")["cells"][0]["outputs"]
    page = "".join(outputs[-1]["data"]["text/html"])
    tab.context.close()
    end_kernels(lab)
    kept = b64decode(re.search('base64,([^"]+)', page)[1]).decode()
    assert "pictures are drawn" not in kept.replace("pictures are drawn`", "")
