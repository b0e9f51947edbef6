"""One self-contained page: no request leaves it, and no label can break out of its data."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.resources import files
from itertools import count
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

from captum_blocks.errors import legible
from captum_blocks.render import palette, still
from captum_blocks.render.payload import payload
from captum_blocks.render.pictures import photo_uri
from captum_blocks.render.wording import in_brief
from captum_blocks.scene import Bars, Below, Beside, Layout, Matrix, Overlay, Panel, Scene, Section

TEMPLATES = ("page.html.j2", "article.html.j2")
SCRIPTS = (
    "draw.js",
    "pools.js",
    "photographs.js",
    "stage.js",
    "marks.js",
    "galleries.js",
    "switches.js",
    "bars.js",
    "versus.js",
    "cells.js",
    "sankey.js",
    "matrix.js",
    "multiples.js",
    "histogram.js",
    "panels.js",
    "controls.js",
    "enlarge.js",
    "copy.js",
    "table.js",
    "gestures.js",
    "nearby.js",
    "remembered.js",
    "blocks.js",
)
# What each file that starts a page needs besides.
STARTS = {
    "page.js": ("address.js",),
    "live.js": ("address.js", "arriving.js"),
    "widget.js": ("arriving.js",),
}
STYLES = (
    "blocks.css",
    "controls.css",
    "signs.css",
    "switches.css",
    "versus.css",
    "galleries.css",
    "cells.css",
    "sankey.css",
    "matrix.css",
    "multiples.css",
    "histogram.css",
    "table.css",
)


def page(scene: Scene, live: bool = False) -> str:
    """The scene as one HTML file that opens from disk.

    Equal scenes give equal pages. A Content-Security-Policy admits the page's own script and style
    by their hash and pictures from the page itself, and nothing else.

    Args:
        scene: what is shown.
        live: for a server of its own that icons come from while they are drawn: the page asks that
            server, and nobody else.

    >>> from captum_blocks.scene import Scene
    >>> "<h1" in page(Scene("Why?", "Because.", None, ()))
    True
    """
    script = script_text("live.js" if live else "page.js")
    style = stylesheet()
    return legible(
        _environment()
        .get_template("page.html.j2")
        .render(
            **article_context(scene, "" if live else _still_uri(scene)),
            data=script_json(payload(scene)),
            script=script,
            style=style,
            policy=_policy(script, style, live),
        )
    )


def article(scene: Scene) -> str:
    """The scene's words and empty panels, which the script fills: what page and widget share."""
    return _environment().get_template("article.html.j2").render(**article_context(scene))


def _still_uri(scene: Scene) -> str:
    """A picture of the page's beginning: what there is to see where its script may not run."""
    made = still.webp(scene) if scene.chapters else b""
    return f"data:image/webp;base64,{b64encode(made).decode('ascii')}" if made else ""


def article_context(scene: Scene, still_uri: str = "") -> dict[str, Any]:
    """What the templates need of a scene."""
    numbers = count()
    return {
        "scene": scene,
        "photo_uri": photo_uri(scene.photo.pixels) if scene.photo else None,
        "whole_uri": _whole_uri(scene),
        "chapters": [(chapter, _arranged(chapter.body, numbers)) for chapter in scene.chapters],
        "views": [
            (number, panel)
            for number, panel in enumerate(scene.panels())
            if isinstance(panel, Overlay) and panel.on_stage
        ],
        "signed": _first_signed(scene),
        "still_uri": still_uri,
    }


def _whole_uri(scene: Scene) -> str | None:
    """All of the photograph that a part is shown of."""
    whole = None if scene.photo is None else scene.photo.whole
    return None if whole is None else photo_uri(whole)


def script_json(data: object) -> str:
    """JSON that cannot close the ``<script>`` element that carries it.

    >>> script_json({"label": "</script>"})
    '{"label":"\\\\u003c/script>"}'
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


# Script and style of kinds of panels that were added from outside, by kind.
_ADDED: dict[str, tuple[str, str]] = {}


def add_assets(kind: str, script: str, style: str) -> None:
    """Add the script and the style of a kind of panel to every page from now on.

    >>> add_assets("nothing", "", "")
    """
    _ADDED[kind] = (script, style)


def stylesheet() -> str:
    """The style of page and widget, with the palette that all renderers share."""
    colours = f"--supports: {palette.SUPPORTS}; --opposes: {palette.OPPOSES};"
    colours += f" --neutral: {palette.NEUTRAL};"
    added = [style for _, style in _ADDED.values() if style]
    return "\n".join([f".blocks {{ {colours} }}", *map(_read, STYLES), *added])


def script_text(start: str) -> str:
    """The script of page and widget, followed by the file that starts it in its place."""
    added = [script for script, _ in _ADDED.values() if script]
    return "\n".join([*map(_read, SCRIPTS), *added, *map(_read, STARTS[start]), _read(start)])


@cache
def _read(name: str) -> str:
    return (files("captum_blocks.render") / "static" / name).read_text("utf-8")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=DictLoader({name: _read(name) for name in TEMPLATES}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["in_brief"] = in_brief
    return made


def _policy(script: str, style: str, live: bool) -> str:
    rules = (
        *(("connect-src 'self'",) if live else ()),
        "default-src 'none'",
        "img-src data: blob:",
        f"script-src {_source(script)}",
        f"style-src {_source(style)}",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


def _source(text: str) -> str:
    return "'sha256-" + b64encode(sha256(text.encode()).digest()).decode("ascii") + "'"


def _arranged(layout: Layout, numbers: Iterator[int]) -> dict[str, Any]:
    if isinstance(layout, Panel):
        return {"kind": "panel", "panel": layout, "number": next(numbers)}
    if isinstance(layout, Section):
        return {"kind": "section", "held": layout, "body": _arranged(layout.body, numbers)}
    kind = {Beside: "beside", Below: "below"}[type(layout)]
    return {"kind": kind, "parts": [_arranged(part, numbers) for part in layout.parts]}


def _first_signed(scene: Scene) -> int | None:
    for number, panel in enumerate(scene.panels()):
        if isinstance(panel, (Bars, Matrix)) and panel.is_signed:
            return number
    return None
