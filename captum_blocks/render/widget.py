"""The page as a notebook widget that tells Python what the reader points at."""

from __future__ import annotations

from typing import Any, Protocol
from uuid import uuid4

import traitlets

from captum_blocks.errors import MissingDependency
from captum_blocks.render.arriving import arrivals
from captum_blocks.render.html import article, script_json, script_text, stylesheet
from captum_blocks.render.payload import pack_signs, payload
from captum_blocks.scene import Scene, Selection

try:
    import anywidget
except ImportError as missing:
    raise MissingDependency(
        "the notebook widget needs anywidget: pip install 'captum-blocks[widget]'"
    ) from missing


class Hears(Protocol):
    """Who is told what the reader of a page does that fills up."""

    def points_at(self, *pictures: str) -> object:
        """The reader waits for these pictures."""

    def close(self) -> object:
        """The reader has closed the page."""


class BlocksWidget(anywidget.AnyWidget):
    """The page of a scene, alive in Jupyter, VS Code, Colab or marimo.

    A saved notebook shows it again where the state of widgets is saved: in JupyterLab with
    Settings > Save Widget State Automatically. Without, a cell that ended in the explanation itself
    shows its page.

    Args:
        scene: what is shown; blank icons can be handed over later, see ``fill``.
        hears: told what the reader waits for, where icons are drawn meanwhile.

    Attributes:
        selection: what is shown now: the state of each selection by its name, and under
            ``"mark"`` the key of the mark pointed at. Follows the reader; observe it with
            ``widget.observe(handler, "selection")``.
        pins: what the reader pinned, as in the address of the saved page. Setting it pins from
            Python; an empty dict lets go.

    >>> from captum_blocks.scene import Scene
    >>> BlocksWidget(Scene("Why?", "Because.", None, ())).selection
    {}
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _article = traitlets.Unicode().tag(sync=True)
    _style = traitlets.Unicode().tag(sync=True)
    _data = traitlets.Unicode().tag(sync=True)
    selection = traitlets.Dict().tag(sync=True)
    pins = traitlets.Dict().tag(sync=True)
    # By it the page that stands in for this widget knows that it is alive.
    token = traitlets.Unicode(read_only=True).tag(sync=True)

    @traitlets.default("token")
    def _new_token(self) -> str:
        return uuid4().hex

    def __init__(self, scene: Scene, hears: Hears | None = None, **traits: Any) -> None:
        self._known = self._begun = {n for n, sprite in scene.sprites.items() if sprite.drawn}
        self._scene, self._over = scene, False
        super().__init__(
            _esm=script_text("widget.js"),
            _article=article(scene),
            _style=stylesheet(),
            _data=script_json(payload(scene)),
            selection={s.name: _first(s) for s in scene.selections},
            **traits,
        )
        self.on_msg(lambda _widget, told, _buffers: self._hear(told, hears))

    def fill(self, scene: Scene) -> None:
        """Hand over the icons that were drawn meanwhile, each as one binary message."""
        self._scene = scene
        for told, picture in arrivals(scene, self._known):
            self._known = self._known | {told["name"]}
            self.send({"arrived": told}, [picture])

    def _hear(self, told: Any, hears: Hears | None) -> None:
        """What a page says; anything else is not heard."""
        if not isinstance(told, dict):
            return
        if told.get("here"):  # it has what was there in the beginning
            for arrived, picture in arrivals(self._scene, self._begun):
                self.send({"arrived": arrived}, [picture])
            if self._over:
                self.send(_end(self._scene))
        if hears is not None and told.get("closed"):
            hears.close()
        if hears is not None and isinstance(name := told.get("wanted"), str):
            hears.points_at(name)

    def finish(self, scene: Scene) -> None:
        """Nothing more comes: say so, and keep all of it in the widget's own state."""
        self.fill(scene)
        self._over = True
        with self.hold_sync():
            self._article, self._data = article(scene), script_json(payload(scene))
        self.send(_end(scene))


def _end(scene: Scene) -> dict[str, Any]:
    """That nothing more comes, and what icons are worth now that all are there."""
    return {"ended": scene.ended, "signs": pack_signs(scene)}


def _first(selection: Selection) -> Any:
    """The state that is shown at first: a key, or of switches those that are off."""
    return [] if selection.gesture == "toggle" else selection.keys[selection.default]
