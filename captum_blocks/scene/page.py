"""A whole page: panels arranged in chapters, the pools they name, the states they follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from captum_blocks.errors import InvalidArgument
from captum_blocks.scene.galleries import Gallery
from captum_blocks.scene.panels import Bars, Cells, Framed, Panel, marks_of, named_in
from captum_blocks.scene.pools import Field, Pairs, Photo, Sprite
from captum_blocks.scene.selections import Selection
from captum_blocks.scene.signs import Sign
from captum_blocks.scene.versus import Versus

# Bytes of a page from which on browsers are slow with it.
LARGEST_PAGE = 32_000_000


@dataclass(frozen=True)
class Beside:
    """Parts from left to right."""

    parts: tuple[Layout, ...]


@dataclass(frozen=True)
class Below:
    """Parts from top to bottom."""

    parts: tuple[Layout, ...]


@dataclass(frozen=True)
class Section:
    """Panels of a chapter under a question of their own.

    Attributes:
        heading, reading: the question, and one sentence on how to read the panels.
        body: the panels and their arrangement.
    """

    heading: str
    reading: str
    body: Layout


Layout = Panel | Beside | Below | Section


@dataclass(frozen=True)
class Chapter:
    """A question, how to read the answer, the panels, and how it was computed.

    Attributes:
        heading, reading: the question, and one sentence on how to read the panels.
        body: the panels and their arrangement.
        method: (term, text) of the fold-out: formula, method, layer, source.
        said: what has to be known before any number of it is read; always shown whole.
    """

    heading: str
    reading: str
    body: Layout
    method: Pairs = ()
    said: str = ""


@dataclass(frozen=True, eq=False)
class Scene:
    """A whole page or figure.

    Attributes:
        title: the question the page answers, with names in it.
        answer: one sentence made from the numbers.
        photo: the photograph, or None for a scene without one.
        chapters: in reading order.
        sprites, fields: the pools that marks and overlays name.
        selections: every state the reader can change.
        footer: (term, text): network, weights, layers, methods, seeds, versions, approximations.
        others: further photographs, where the page is about several.
        pictured: name of the selection that says which of them is shown: its states are
            ``(photo, *others)``. Grids of selections and of ``Cells`` are given on ``photo``; on
            another one they lie on the same part of what the network saw of it.
        galleries: photographs beside atoms, by the names that marks call them.
        photographs: (y, x, 3) uint8, small: the wholes that their crops are of.
        signs: how far icons are to be believed, by the names of their sprites.
        ended: why sprites that are not drawn stay so; empty while they are drawn.
    """

    title: str
    answer: str
    photo: Photo | None
    chapters: tuple[Chapter, ...]
    sprites: Mapping[str, Sprite] = field(default_factory=dict)
    fields: Mapping[str, Field] = field(default_factory=dict)
    selections: tuple[Selection, ...] = ()
    footer: Pairs = ()
    others: tuple[Photo, ...] = ()
    pictured: str | None = None
    galleries: Mapping[str, Gallery] = field(default_factory=dict)
    photographs: Mapping[str, np.ndarray] = field(default_factory=dict)
    signs: Mapping[str, Sign] = field(default_factory=dict)
    ended: str = ""

    def __post_init__(self) -> None:
        if self.pictured is not None:
            states = len(self.selection(self.pictured).keys)
            if self.photo is None or states != 1 + len(self.others):
                raise InvalidArgument(
                    f"selection {self.pictured!r} has {states} states for "
                    f"{len(self.photos)} photographs"
                )
        for panel in self.panels():
            self._check(panel)
        for gallery in self.galleries.values():
            for crop in gallery.crops:
                if crop.photograph not in self.photographs:
                    raise InvalidArgument(
                        f"a crop of {gallery.label!r} is of {crop.photograph!r}, which is not there"
                    )

    @property
    def undrawn(self) -> tuple[str, ...]:
        """The sprites that are not drawn yet, in the order in which they are planned."""
        return tuple(name for name, sprite in self.sprites.items() if not sprite.drawn)

    def ended_with(self, words: str) -> Scene:
        """The same, and why nothing more is drawn."""
        left = f"{len(self.undrawn)} of {len(self.sprites)} pictures: {words}"
        return replace(self, ended=words, footer=(*self.footer, ("not drawn", left)))

    def with_sprites(self, finished: Mapping[str, Sprite]) -> Scene:
        """The same with pictures that are finished in the place of blank ones."""
        return replace(self, sprites={**self.sprites, **finished})

    def with_signs(self, judged: Mapping[str, Sign]) -> Scene:
        """The same with marks of icons that were judged meanwhile."""
        return replace(self, signs={**self.signs, **judged})

    @property
    def photos(self) -> tuple[Photo, ...]:
        """All photographs, the first one first."""
        return () if self.photo is None else (self.photo, *self.others)

    def panels(self) -> Iterator[Panel]:
        """Every panel in reading order."""
        for chapter in self.chapters:
            yield from panels_of(chapter.body)

    def selection(self, name: str) -> Selection:
        """The selection of that name."""
        for selection in self.selections:
            if selection.name == name:
                return selection
        raise InvalidArgument(f"no selection {name!r} in this scene")

    def placed(self, names: Iterable[str | None]) -> Selection | None:
        """The first of these selections that is one of places."""
        selections = (self.selection(name) for name in names if name is not None)
        return next((each for each in selections if each.grid is not None), None)

    def default_frame(self, panel: Panel) -> int:
        """Index of the frame that is shown before the reader acts."""
        return first_frame(panel, {name: self.selection(name) for name in panel.follows})

    def _check(self, panel: Panel) -> None:
        marked = () if panel.highlights is None else (panel.highlights,)
        for name in (*panel.follows, *panel.sets, *marked):
            self.selection(name)
        states = int(np.prod([len(self.selection(name).keys) for name in panel.follows], dtype=int))
        if len(panel.told) not in (0, states):
            raise InvalidArgument(
                f"panel {panel.title!r} follows {states} states and tells of {len(panel.told)}"
            )
        if not isinstance(panel, (Framed, Versus)):
            return
        if len(panel.frames) != states:
            raise InvalidArgument(
                f"panel {panel.title!r} follows {states} states and has {len(panel.frames)} frames"
            )
        self._check_switches(panel)
        if isinstance(panel, Cells) and len(panel.tints) not in (0, states):
            raise InvalidArgument(
                f"panel {panel.title!r} has {states} frames and tints for {len(panel.tints)}"
            )
        for name in named_in(panel):
            if name not in self.fields and name not in self.sprites:
                raise InvalidArgument(f"panel {panel.title!r} names {name!r}, which is in no pool")
        for mark in marks_of(panel):
            if mark.gallery is not None and mark.gallery not in self.galleries:
                raise InvalidArgument(
                    f"panel {panel.title!r} names the gallery {mark.gallery!r}, which is not there"
                )

    def _check_switches(self, panel: Framed | Versus) -> None:
        """Whether every frame's answers have a table, of atoms that have switches."""
        contests = panel.contests if isinstance(panel, Versus) else ()
        for table in (each.table for each in contests if each.table is not None):
            if not set(table.keys) <= set(self.selection(table.selection).keys):
                raise InvalidArgument(f"panel {panel.title!r} has switches for atoms without one")
        tables = panel.switched if isinstance(panel, Bars) else ()
        if len(tables) not in (0, len(getattr(panel, "frames", ()))):
            raise InvalidArgument(
                f"panel {panel.title!r} has {len(panel.frames)} frames and {len(tables)} tables"
            )
        for frame, table in zip(panel.frames, tables, strict=False):
            known = self.selection(table.selection).keys
            if len(frame) != table.scores.shape[1] or not set(table.keys) <= set(known):  # type: ignore[arg-type]
                raise InvalidArgument(
                    f"panel {panel.title!r} has a table of other answers, or of switches that "
                    f"selection {table.selection!r} does not have"
                )


def first_frame(panel: Panel, selections: Mapping[str, Selection]) -> int:
    """Index of the frame in which all selections that a panel follows are in their default."""
    index = 0
    for name in panel.follows:
        selection = selections[name]
        index = index * len(selection.keys) + selection.default
    return index


def panels_of(layout: Layout) -> Iterator[Panel]:
    """The panels of an arrangement in reading order."""
    if isinstance(layout, Panel):
        yield layout
    elif isinstance(layout, Section):
        yield from panels_of(layout.body)
    else:
        for part in layout.parts:
            yield from panels_of(part)
