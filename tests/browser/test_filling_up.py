"""A page in the browser while its icons are drawn: the test draws, one icon at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

import captum_blocks as cb
from captum_blocks import serving
from captum_blocks.compose import Quality
from captum_blocks.compose.pictures import icons
from captum_blocks.store import Store
from tests.browser.test_motion import DURATIONS, NOTE_MOTIONS

FEW = Quality(size=48, n_steps=2, budget=8, cell=16, cell_steps=1)
LATE = cb.Hidden("late")
Visit = Callable[..., Page]


@pytest.fixture
def stream(
    small: cb.Network, small_x: torch.Tensor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> cb.Stream:
    monkeypatch.setattr(icons, "BATCH", 1)
    monkeypatch.setattr(serving, "PATIENCE", 0.5)
    ui = cb.overview("early", "late", groups=3)
    how = {"quality": FEW, "progress": False, "store": store}
    made = cb.explain(ui, small, small_x, stream=True, **how)  # type: ignore[call-overload]
    made.step()  # what the store has: nothing
    return made  # type: ignore[no-any-return]


@pytest.fixture
def server(stream: cb.Stream) -> Iterator[serving.PageServer]:
    made = serving.PageServer(stream)
    yield made
    stream.close()
    made.close()


@pytest.fixture
def visit(browser: Browser, server: serving.PageServer) -> Iterator[Visit]:
    """Opens the page, after a script; the test fails on complaints and on requests to others."""
    complaints: list[str] = []
    contexts = []

    def opened(before: str = "", **options: object) -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 720}, **options)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(before)
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"page error: {error}"))
        page.on("request", lambda request: complaints.extend(_foreign(request.url, server)))
        page.goto(server.address)
        page.wait_for_selector(".blocks.ready")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _foreign(url: str, server: serving.PageServer) -> list[str]:
    own = (server.address, "blob:", "data:")
    return [] if url.startswith(own) or url.endswith("/favicon.ico") else [f"request: {url}"]


def blank(page: Page) -> int:
    return page.locator(".icon.blank").count()


def boxes(page: Page) -> list[object]:
    return page.evaluate(  # type: ignore[no-any-return]
        "() => [document.documentElement.scrollHeight, ...[...document.querySelectorAll("
        "'[data-panel], .mark, .icon, h1, h2, .stage, .contents, footer')]"
        ".map((node) => JSON.stringify(node.getBoundingClientRect()))]"
    )


def drawn(stream: cb.Stream) -> int:
    return len(stream.now.scene.sprites) - len(stream.now.scene.undrawn)


def test_numbers_first_then_icons_and_nothing_moves(stream: cb.Stream, visit: Visit) -> None:
    page, every = visit(), len(stream.now.scene.sprites)
    note, groups = page.locator(".undrawn"), page.locator(".chapters")
    expect(note).to_have_text(f"0 of {every} pictures are drawn")
    assert blank(page) > 3
    numbers = groups.inner_text()
    assert any(letter.isdigit() for letter in numbers)
    before = boxes(page)
    while stream.step():
        expect(note).to_have_text(f"{drawn(stream)} of {every} pictures are drawn")
        assert boxes(page) == before
    expect(note).to_be_hidden()
    assert boxes(page) == before
    assert blank(page) == 0
    assert groups.inner_text() == numbers
    shown = page.evaluate(
        "() => [...document.querySelectorAll('.icon')].map((node) => "
        "getComputedStyle(node).backgroundImage)"
    )
    assert shown
    assert all(each.startswith('url("blob:') for each in shown)


def test_nothing_fades_in_for_who_asked_for_stillness(stream: cb.Stream, visit: Visit) -> None:
    page = visit(before=NOTE_MOTIONS, reduced_motion="reduce")
    before = boxes(page)
    page.evaluate("window.motions = []")
    while stream.step():
        expect(page.locator(".undrawn")).to_have_text(
            f"{drawn(stream)} of {len(stream.now.scene.sprites)} pictures are drawn"
        )
        assert boxes(page) == before
    expect(page.locator(".undrawn")).to_be_hidden()
    assert blank(page) == 0
    page.locator(".mark:has(.icon) .name").first.hover()
    page.wait_for_timeout(150)
    assert page.evaluate("window.motions") == []
    assert max(page.evaluate(DURATIONS)) == 0


def test_motion_would_be_noticed(stream: cb.Stream, visit: Visit) -> None:
    page = visit(before=NOTE_MOTIONS)
    page.locator(".mark:has(.icon) .name").first.hover()
    page.wait_for_function("window.motions.length > 0")
    assert max(page.evaluate(DURATIONS)) > 0


def on_paper(page: Page) -> Page:
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    return page


def outlines(page: Page, selector: str) -> set[str]:
    return set(
        page.locator(selector).evaluate_all(
            "(nodes) => nodes.map((node) => getComputedStyle(node).outlineStyle)"
        )
    )


def test_paper_shows_what_is_drawn_and_says_what_is_missing(
    stream: cb.Stream, visit: Visit
) -> None:
    page, every = visit(), len(stream.now.scene.sprites)
    note = page.locator(".undrawn")
    stream.step()
    stream.step()
    expect(note).to_have_text(f"2 of {every} pictures are drawn")
    missing = blank(page)
    on_paper(page)
    expect(note).to_be_visible()
    assert page.locator(".contents a:visible").count() == 0
    assert note.evaluate("(node) => getComputedStyle(node.parentElement).position") == "static"
    assert blank(page) == missing
    assert outlines(page, ".icon.blank") == {"dashed"}
    there = page.locator(".icon:not(.blank)")
    assert there.count() > 0
    assert "dashed" not in outlines(page, ".icon:not(.blank)")
    assert page.pdf().startswith(b"%PDF")
    # What comes meanwhile takes its place on paper too.
    stream.step()
    expect(note).to_have_text(f"3 of {every} pictures are drawn")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    stream.result()
    expect(note).to_be_hidden()
    on_paper(page)
    assert page.locator(".contents").is_hidden(), "nothing is missing"
    assert blank(page) == 0


def test_paper_says_why_nothing_more_comes(stream: cb.Stream, visit: Visit) -> None:
    page, every = visit(), len(stream.now.scene.sprites)
    stream.step()
    stream.close()
    said = f"1 of {every} pictures are drawn: drawing was stopped"
    expect(page.locator(".undrawn")).to_have_text(said)
    expect(on_paper(page).locator(".undrawn")).to_be_visible()


def test_what_is_pointed_at_is_drawn_next(stream: cb.Stream, visit: Visit) -> None:
    page = visit()
    last = page.locator(".mark:has(.icon.blank)").last
    name = last.locator(".icon").get_attribute("data-sprite")
    with page.expect_response("**/reader"):
        last.locator(".name").hover()
    stream.step()
    expect(page.locator(f'[data-sprite="{name}"]').first).not_to_have_class("icon blank")
    assert name not in stream.now.scene.undrawn


def test_what_a_place_that_is_pointed_at_shows_is_drawn_next(
    stream: cb.Stream, visit: Visit
) -> None:
    page = visit()
    picture = page.locator("[data-stage]").bounding_box()
    assert picture is not None
    with page.expect_response("**/reader") as told:
        for share in (0.1, 0.4, 0.6, 0.9):
            page.mouse.move(
                picture["x"] + share * picture["width"], picture["y"] + share * picture["height"]
            )
    name = told.value.request.post_data_json["wanted"]
    assert name in stream.now.scene.undrawn


def test_why_nothing_more_comes_can_be_read_on_a_phone_and_is_said_aloud(
    stream: cb.Stream, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit()
    page.set_viewport_size({"width": 390, "height": 800})

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory. " * 12)

    monkeypatch.setattr(cb.FeatureVisualizer, "visualize", broken)
    with pytest.raises(RuntimeError):
        stream.result()
    expect(page.locator(".undrawn")).to_contain_text("out of memory")
    box = page.locator(".undrawn").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 390
    assert "out of memory" in page.locator(".announcer").inner_text()


def test_a_second_tab_and_one_that_is_opened_late(stream: cb.Stream, visit: Visit) -> None:
    first = visit()
    stream.step()
    stream.step()
    second = visit(color_scheme="dark")
    text = f"2 of {len(stream.now.scene.sprites)} pictures are drawn"
    for page in (first, second):
        expect(page.locator(".undrawn")).to_have_text(text)
    first.context.close()
    stream.result()
    expect(second.locator(".undrawn")).to_be_hidden()
    assert blank(second) == 0


def test_it_stays_alive_without_its_server(
    stream: cb.Stream, server: serving.PageServer, visit: Visit
) -> None:
    page = visit()
    stream.result()
    expect(page.locator(".undrawn")).to_be_hidden()
    assert server.close()
    icon = page.locator(".mark .icon").first
    icon.click()
    expect(page.locator("dialog .icon.large")).to_be_visible()
    assert "blank" not in (page.locator("dialog .icon.large").get_attribute("class") or "")
    page.keyboard.press("Escape")
    page.locator(".mark").nth(1).hover()


def test_an_icon_that_is_enlarged_before_it_is_drawn_comes_there_too(
    stream: cb.Stream, visit: Visit
) -> None:
    page = visit()
    page.locator(".mark .icon.blank").first.click()
    large = page.locator("dialog .icon.large")
    expect(large).to_have_class("icon large blank")
    assert page.locator("dialog dt").count() == 0
    stream.result()
    expect(large).to_have_class("icon large")
    expect(page.locator("dialog dt").first).to_have_text("objective")


def test_a_panel_is_copied_with_icons_missing(stream: cb.Stream, visit: Visit) -> None:
    page = visit()
    button = page.locator("[data-panel] .copy").first
    with page.expect_download():
        button.evaluate("(button) => button.click()")


def test_work_that_fails_says_so_on_the_page(
    stream: cb.Stream, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit()
    stream.step()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of <b>memory</b>")

    monkeypatch.setattr(cb.FeatureVisualizer, "visualize", broken)
    with pytest.raises(RuntimeError):
        stream.result()
    every = len(stream.now.scene.sprites)
    expect(page.locator(".undrawn")).to_have_text(
        f"1 of {every} pictures are drawn: drawing ended with RuntimeError: out of <b>memory</b>"
    )


def test_a_wrong_token_shows_nothing(browser: Browser, server: serving.PageServer) -> None:
    page = browser.new_page()
    wrong = server.address[:-5] + "xxxx/"
    answer = page.goto(wrong)
    assert answer is not None
    assert answer.status == 403
    assert page.locator(".blocks").count() == 0
    page.close()
