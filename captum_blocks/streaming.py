"""An explanation while its pictures are drawn: all numbers at once, icons as they are finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from threading import Condition, Thread
from typing import TYPE_CHECKING

from captum_blocks.compose.pictures.reader import Reader
from captum_blocks.errors import MissingDependency
from captum_blocks.explanation import Explanation, forms
from captum_blocks.render import notebook

if TYPE_CHECKING:
    from captum_blocks.render.widget import BlocksWidget


class Stream:
    """An explanation whose pictures are being drawn, as ``explain(..., stream=True)`` gives it.

    Iterating draws: first comes the explanation with all numbers and no icon, then one after each
    few icons, last the whole. In a notebook, an expression of its own, it shows a widget that fills
    up while other cells run. Several threads may use it; one of them draws at a time.

    Args:
        stages: the explanation in all its stages; the first is asked for at once.
        reader: what drawing hears of the reader.

    Attributes:
        now: the explanation as far as it is drawn.
        error: what drawing ended with, where it failed.

    >>> import torch
    >>> from captum_blocks import FeatureVis, Hidden, Quality, explain
    >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2)
    >>> icons, few = FeatureVis(Hidden("0").channels[:2]), Quality(size=8, n_steps=1, budget=4)
    >>> how = {"quality": few, "progress": False, "stream": True}
    >>> x = torch.zeros(1, 3, 8, 8)
    >>> stream = explain(icons, torch.nn.Sequential(*layers).eval(), x, **how)
    >>> [len(stage.scene.undrawn) for stage in stream][-1], stream.result() is stream.now
    (0, True)
    """

    def __init__(self, stages: Iterator[Explanation], reader: Reader) -> None:
        self._stages, self._reader = stages, reader
        self.now = next(stages)
        self.error: BaseException | None = None
        self._ended = self._drawing = False
        self._widgets: set[object] = set()
        self._changed = Condition()

    def __iter__(self) -> Iterator[Explanation]:
        """The explanation as it is, then after every few pictures that are finished.

        What drawing raises passes through, Ctrl-C too; what was drawn before it is in ``now``.
        """
        seen = self.now
        yield seen
        while self.step():
            seen = self.now
            yield seen
        # Another thread may have drawn the last ones, or have ended.
        if self.now is not seen:
            yield self.now

    def step(self) -> bool:
        """Draw the next few pictures; False where there are none left, or drawing has ended."""
        with self._changed:
            self._changed.wait_for(lambda: not self._drawing)
            if self._ended:
                return False
            self._drawing = True
        made, error = None, None
        try:
            made = next(self._stages, None)
        except BaseException as raised:
            if not (self._reader.gone and isinstance(raised, KeyboardInterrupt)):
                error = raised
                raise
        finally:
            with self._changed:
                self._took(made, error)
                self._drawing = False
                self._changed.notify_all()
        return made is not None

    def _took(self, made: Explanation | None, error: BaseException | None) -> None:
        self._ended = made is None
        if made is not None:
            self.now = made
        elif error is not None or self.now.scene.undrawn:
            self.error = error
            self.now = replace(self.now, scene=self.now.scene.ended_with(_words(error)))

    def after(self, seen: Explanation, timeout: float | None = None) -> Explanation:
        """The next stage behind one that was seen, waited for while another thread draws it.

        Args:
            seen: a stage.
            timeout: seconds to wait at most.

        Returns:
            The same where nothing more comes, or not in time.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.now is not seen or self._ended, timeout)
            return self.now

    @property
    def ended(self) -> bool:
        """Whether nothing more is drawn: all is there, or the reader has left, or it failed."""
        return self._ended

    def points_at(self, *pictures: str) -> None:
        """Have some pictures drawn next, by their names in ``now.scene.sprites``."""
        self._reader.points_at(*(each for each in pictures if each in self.now.scene.sprites))

    def close(self) -> None:
        """End drawing with its current step; what is finished stays."""
        self._reader.leaves()
        with self._changed:
            if not self._drawing and not self._ended:
                self._took(None, None)
            self._changed.notify_all()

    def result(self) -> Explanation:
        """The whole explanation: draws what is left.

        Raises:
            Exception: what drawing raised, here or in the background.
        """
        for _ in self:
            pass
        if self.error is not None:
            raise self.error
        return self.now

    def in_background(self) -> Thread:
        """Draw in a thread of its own; what it raises is kept in ``error``."""
        thread = Thread(target=self._all, name="captum-blocks drawing", daemon=True)
        thread.start()
        return thread

    def _all(self) -> None:
        with suppress(Exception, KeyboardInterrupt):
            for _ in self:
                pass

    def widget(self) -> BlocksWidget:
        """A notebook widget that fills up: pictures are drawn in the background.

        What the reader points at is drawn first. Closing the last widget ends the work.

        Raises:
            MissingDependency: anywidget is not installed.
        """
        return self._shown(self._blank_widget(), lambda: None)

    def _blank_widget(self) -> BlocksWidget:
        from captum_blocks.render.widget import BlocksWidget

        return BlocksWidget(self.now.scene, hears=_Hearing(self))

    def _opened(self, widget: object) -> None:
        self._widgets.add(widget)

    def _left(self, widget: object) -> None:
        self._widgets.discard(widget)
        if not self._widgets:
            self.close()

    def _shown(self, widget: BlocksWidget, ended: Callable[[], object]) -> BlocksWidget:
        Thread(target=self._fill, args=(widget, ended), daemon=True).start()
        self.in_background()
        return widget

    def _fill(self, widget: BlocksWidget, ended: Callable[[], object]) -> None:
        """Hand the widget every picture as soon as it is there."""
        seen = None
        while seen is not self.now or not self._ended:
            seen = self.now
            widget.fill(seen.scene)
            self.after(seen)
        widget.finish(seen.scene)
        ended()

    def _ipython_display_(self) -> None:
        """The widget, and an output of its own that outlives it: the page as far as it is drawn."""
        from IPython.display import display

        try:
            widget = self._blank_widget()
        except MissingDependency:
            display(self.result())
            return

        def page() -> dict[str, str]:
            return {"text/html": notebook.standby(self.now.html(), widget.token)}

        display(forms(widget) | {"text/plain": repr(self)}, raw=True)
        beside = display(page(), raw=True, display_id=True)
        self._shown(widget, lambda: beside.update(page(), raw=True))

    def __repr__(self) -> str:
        left, held = len(self.now.scene.undrawn), len(self.now.scene.sprites)
        return f"Stream({self.now.scene.title!r}; {held - left} of {held} pictures are drawn)"


class _Hearing:
    """What one of a stream's widgets says: who closes it need not be the last reader."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        stream._opened(self)

    def points_at(self, *pictures: str) -> None:
        """Its reader waits for these."""
        self._stream.points_at(*pictures)

    def close(self) -> None:
        """Its reader has closed it."""
        self._stream._left(self)


def _words(error: BaseException | None) -> str:
    if error is None or isinstance(error, KeyboardInterrupt):
        return "drawing was stopped"
    return f"drawing ended with {type(error).__name__}: {error}"
