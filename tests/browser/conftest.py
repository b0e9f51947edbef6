"""A real browser for pages and widgets, and a watch on what it complains about or asks for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

# The shell is the same engine without a browser's own windows: it opens a page in half the time.
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


def _chromium() -> str | None:
    named = os.environ.get("CAPTUM_BLOCKS_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = _chromium()
    if path is None:
        message = f"no browser: none of {', '.join(NAMES)} is installed"
        if os.environ.get("CAPTUM_BLOCKS_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield made
        made.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a saved page, ready to be used: ``open_page(path, fragment="", **context_options)``.
    A script given as ``before`` runs before the page's own.

    The test fails at its end on any console message, page error, or request for anything but the
    file itself and the data it carries.
    """
    complaints: list[str] = []
    contexts = []

    def opened(path: Path, fragment: str = "", before: str = "", **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}} | options)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(before)
        own = Path(path).resolve().as_uri()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"page error: {error}"))
        page.on("request", lambda request: _note_request(request.url, own, complaints))
        page.goto(f"{own}#{fragment}" if fragment else own)
        page.wait_for_selector(".blocks.ready")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def shows(page: Page, panel: str, keys: list[str]) -> bool:
    """Whether a panel has come to show these marks: below the window it follows who rests."""
    script = """([panel, keys]) => {
      const marks = [...document.querySelectorAll(`${panel} .mark`)];
      return JSON.stringify(marks.map((mark) => mark.dataset.key)) === JSON.stringify(keys);
    }"""
    page.wait_for_function(script, arg=[panel, keys])
    return True


def _note_request(url: str, own: str, complaints: list[str]) -> None:
    if url.split("#")[0] != own and not url.startswith(("data:", "blob:")):
        complaints.append(f"request: {url[:200]}")
