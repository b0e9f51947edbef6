"""A kind of panel of one's own: its data for the page, its script and style, its printed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.render import html, mpl, payload
from captum_blocks.render._blocks import Block, paragraph
from captum_blocks.scene import Panel, Scene

__all__ = ["Block", "add_panel", "paragraph"]

Pack = Callable[[Any, Any], dict[str, Any]]
Draw = Callable[[Any, Scene, float], Block]


def add_panel(
    kind: str, panel: type[Panel], pack: Pack, draw: Draw, assets: tuple[str, str] = ("", "")
) -> None:
    """Make a kind of panel known to the page, the widget and the printed figure.

    The script is part of the page's own: it adds a function to ``PANEL_KINDS`` by the name of the
    kind, which is called with the element to fill, the panel's data and the page, and answers with
    an object whose ``show(number)`` shows one of the data's ``frames``.
    Where it also adds a function to ``PANEL_TABLES``, of the panel's data, the number of a frame,
    the page and that object, which answers with rows of names and numbers, the names of the
    columns first, the panel has a button that copies them.

    Args:
        kind: its name in the page's data.
        panel: a frozen dataclass, a subclass of ``Panel`` with ``frames``.
        pack: a panel and the page's table of marks -> its own data, of JSON's types, with
            ``frames``; title, unit and selections are added.
        draw: a panel, the scene and a width in inches -> a ``Block``, its default state on paper.
        assets: the text of its script and of its style.

    Raises:
        WrongType: ``panel`` is no subclass of ``Panel``.
        InvalidArgument: there is a kind of that name for another class.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Words(Panel):
    ...     frames: tuple[str, ...] = ()
    >>> add_panel(
    ...     "words",
    ...     Words,
    ...     pack=lambda panel, marks: {"frames": list(panel.frames)},
    ...     draw=lambda panel, scene, width: paragraph(panel.frames[0], width, 8),
    ...     assets=("PANEL_KINDS.words = (body) => ({ show() { body.textContent = 'w'; } });", ""),
    ... )
    >>> payload.packed_alone(Words("Title", frames=("one",)))["kind"]
    'words'
    """
    if not (isinstance(panel, type) and issubclass(panel, Panel)) or panel is Panel:
        raise WrongType(
            f"a kind of panel is a subclass of captum_blocks.scene.Panel, not {panel!r}"
        )
    if _KINDS.setdefault(kind, panel.__qualname__) != panel.__qualname__:
        raise InvalidArgument(f"there is a kind of panel called {kind!r} already: {_KINDS[kind]}")

    def packed(made: Any, marks: Any) -> dict[str, Any]:
        return payload.common(kind, made) | pack(made, marks)

    payload.pack_panel.register(panel, packed)
    mpl.draw_panel.register(panel, draw)
    script, style = assets
    html.add_assets(kind, script, style)


_KINDS: dict[str, str] = {
    kind: kind.title()
    for kind in ("bars", "overlay", "multiples", "matrix", "histogram", "cells", "sankey")
}
