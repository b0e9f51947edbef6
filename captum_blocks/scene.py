"""What is drawn: panels, sprites, fields and selections, and nothing of how.

``compose`` makes a scene, every renderer draws it. It is frozen NumPy and plain Python. Two pools
hold what many marks share and name: ``sprites`` (icons) and ``fields`` (numbers on a grid over the
photograph, shown there when a mark is pointed at).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from captum_blocks.errors import InvalidArgument

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Photo:
    """The photograph the page is about.

    Attributes:
        pixels: (height, width, 3) uint8.
        name: what to call it, e.g. its file name.
        seen: (top, left, bottom, right) of what the network saw of it, as fractions.
    """

    pixels: np.ndarray
    name: str
    seen: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        _check_pixels(self.pixels, self.name)


@dataclass(frozen=True, eq=False)
class Sprite:
    """An icon: a small square picture that stands for a channel, a group or a direction.

    Attributes:
        pixels: (side, side, 3) uint8.
        label: its name, e.g. ``"bn2 : 1034"``.
        details: what is told when it is enlarged, e.g. (("objective", "channel 1034"),).
    """

    pixels: np.ndarray
    label: str
    details: Pairs = ()

    def __post_init__(self) -> None:
        _check_pixels(self.pixels, self.label)


@dataclass(frozen=True, eq=False)
class Field:
    """Numbers on a layer's grid, laid over the photograph.

    Attributes:
        values: (y, x) float.
        domain: (low, high) of the colour scale. Fields that are to be compared share it.
            ``low < 0`` makes a signed field, white at zero.
        unit: of the values.
        label: what the numbers are, e.g. "group 2 at bn2".
        hue: index of the group whose categorical colour draws it. None: the sign colours for a
            signed field, one neutral colour for magnitudes.
        extent: (top, left, bottom, right) of the grid as fractions of the photograph.
    """

    values: np.ndarray
    domain: tuple[float, float]
    unit: str
    label: str
    hue: int | None = None
    extent: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.values.ndim != 2:
            raise InvalidArgument(f"a field is (y, x), not of shape {self.values.shape}")
        if not np.isfinite(self.values).all():
            raise InvalidArgument(f"the field {self.label!r} holds values that are not finite")


Gesture = Literal["hover", "click", "choose", "slider"]


@dataclass(frozen=True)
class Selection:
    """A state that the reader changes and panels follow.

    Attributes:
        name: unique in the scene.
        gesture, atom: how it is changed, and what is selected: "spatial", "channel", "group", ...
        keys: the states: atom keys; for "spatial" the cells of ``grid`` in rows, ``"y,x"``.
        default: index of the state that is shown first, and in print.
        grid: (rows, columns) of a spatial selection. Spatial selections of all layers move
            together: a place on the photograph picks the cell it lies in, in each.
        extent: of that grid, as in ``Field``.
    """

    name: str
    gesture: Gesture
    atom: str
    keys: tuple[str, ...]
    default: int = 0
    grid: tuple[int, int] | None = None
    extent: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.default < len(self.keys):
            raise InvalidArgument(
                f"selection {self.name!r} has {len(self.keys)} states and no state {self.default}"
            )


Role = Literal["atom", "remainder", "total"]


@dataclass(frozen=True)
class Mark:
    """One atom's line in a panel.

    Attributes:
        key: identity of the atom, the same wherever it appears: "bn2/group/2".
        label: as printed.
        values: one number a column; NaN never, None where there is none.
        sprite: name in ``Scene.sprites``.
        field: name in ``Scene.fields``: shown on the photograph when the mark is pointed at.
        hue: index of its categorical colour.
        role: "remainder" for what the atoms leave out, "total" for the sum.
        detail: one line told on pointing, values included.
    """

    key: str
    label: str
    values: tuple[float | None, ...]
    sprite: str | None = None
    field: str | None = None
    hue: int | None = None
    role: Role = "atom"
    detail: str = ""


@dataclass(frozen=True)
class Panel:
    """What every panel has.

    Attributes:
        title: short name.
        caption: how to read it, one sentence.
        unit: of its values.
        follows: names of the selections whose states pick the frame. ``frames`` are in row-major
            order over the states of these selections: one frame where nothing is followed.
        sets: the selection that pointing at a mark (or a cell) of this panel changes.
        highlights: the selection whose state is marked in this panel.
        left_out: what is not shown: "showing 5 of 672 channels, 61 % of the attribution".
    """

    title: str
    caption: str = ""
    unit: str = ""
    follows: tuple[str, ...] = ()
    sets: str | None = None
    highlights: str | None = None
    left_out: str = ""


@dataclass(frozen=True)
class Bars(Panel):
    """Marks with bars that share a zero line and one scale.

    Attributes:
        columns: name of each column of values, at least one.
        frames: a tuple of marks a frame.
        domain: (low, high) of the common scale.
        signed: values are for or against something, even where all of them are positive.
        arrangement: "rows" (a line a mark: icon, map, name, one bar a column) or "tiles" (icons
            side by side, name and bar below each).
        maps: draw each mark's field on a small photograph beside its icon.
    """

    columns: tuple[str, ...] = ("",)
    frames: tuple[tuple[Mark, ...], ...] = ()
    domain: tuple[float, float] = (0.0, 1.0)
    signed: bool = False
    arrangement: Literal["rows", "tiles"] = "rows"
    maps: bool = False

    @property
    def is_signed(self) -> bool:
        """Whether values are drawn as for and against."""
        return self.signed or self.domain[0] < 0


@dataclass(frozen=True)
class Overlay(Panel):
    """Fields on the photograph.

    Attributes:
        frames: names of the fields of each frame, drawn over one another.
        stage: drawn on the page's one large photograph (a view of it), not in the chapter.
    """

    frames: tuple[tuple[str, ...], ...] = ()
    stage: bool = False


@dataclass(frozen=True)
class Cell:
    """One position of a layer, as a picture.

    Attributes:
        mark: its key ("bn2/spatial/3,4"), value, sprite and detail.
        size: share of the cell's area that the picture takes, in [0, 1].
    """

    mark: Mark
    size: float = 1.0


@dataclass(frozen=True)
class Cells(Panel):
    """A layer's positions as a mosaic of icons, in the shape of the photograph.

    Attributes:
        grid: (rows, columns).
        extent: of the grid, as in ``Field``.
        frames: the cells of each frame, row by row.
    """

    grid: tuple[int, int] = (1, 1)
    extent: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    frames: tuple[tuple[Cell, ...], ...] = ()


@dataclass(frozen=True)
class Flow:
    """What one mark gave to another.

    Attributes:
        source, target: index of the marks in the left and the right column.
        value: signed; width is its magnitude.
        detail: one line told on pointing.
    """

    source: int
    target: int
    value: float
    detail: str = ""


@dataclass(frozen=True)
class Sankey(Panel):
    """Two columns of marks and what flows between them: width is magnitude, colour is sign.

    Attributes:
        left, right: the marks, top to bottom; atoms, then remainders.
        titles: of the two columns.
        frames: the flows of each frame.
    """

    left: tuple[Mark, ...] = ()
    right: tuple[Mark, ...] = ()
    titles: tuple[str, str] = ("", "")
    frames: tuple[tuple[Flow, ...], ...] = ()


@dataclass(frozen=True)
class Beside:
    """Parts from left to right."""

    parts: tuple[Layout, ...]


@dataclass(frozen=True)
class Below:
    """Parts from top to bottom."""

    parts: tuple[Layout, ...]


Layout = Panel | Beside | Below
Framed = Bars | Overlay | Cells | Sankey


@dataclass(frozen=True)
class Chapter:
    """A question, how to read the answer, the panels, and how it was computed.

    Attributes:
        heading, reading: the question, and one sentence on how to read the panels.
        body: the panels and their arrangement.
        method: (term, text) of the fold-out: formula, method, layer, source.
    """

    heading: str
    reading: str
    body: Layout
    method: Pairs = ()


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
    """

    title: str
    answer: str
    photo: Photo | None
    chapters: tuple[Chapter, ...]
    sprites: Mapping[str, Sprite] = field(default_factory=dict)
    fields: Mapping[str, Field] = field(default_factory=dict)
    selections: tuple[Selection, ...] = ()
    footer: Pairs = ()

    def __post_init__(self) -> None:
        for panel in self.panels():
            self._check(panel)

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

    def default_frame(self, panel: Framed) -> int:
        """Index of the frame that is shown before the reader acts."""
        index = 0
        for name in panel.follows:
            selection = self.selection(name)
            index = index * len(selection.keys) + selection.default
        return index

    def _check(self, panel: Panel) -> None:
        for name in (*panel.follows, panel.sets, panel.highlights):
            if name is not None:
                self.selection(name)
        if not isinstance(panel, (Bars, Overlay, Cells, Sankey)):
            return
        states = int(np.prod([len(self.selection(name).keys) for name in panel.follows], dtype=int))
        if len(panel.frames) != states:
            raise InvalidArgument(
                f"panel {panel.title!r} follows {states} states and has {len(panel.frames)} frames"
            )
        for name in _named(panel):
            if name not in self.fields and name not in self.sprites:
                raise InvalidArgument(f"panel {panel.title!r} names {name!r}, which is in no pool")


def panels_of(layout: Layout) -> Iterator[Panel]:
    """The panels of an arrangement in reading order."""
    if isinstance(layout, Panel):
        yield layout
    else:
        for part in layout.parts:
            yield from panels_of(part)


def marks_of(panel: Panel) -> Iterator[Mark]:
    """Every mark of a panel, of all its frames."""
    if isinstance(panel, Bars):
        for marks in panel.frames:
            yield from marks
    elif isinstance(panel, Cells):
        for cells in panel.frames:
            yield from (cell.mark for cell in cells)
    elif isinstance(panel, Sankey):
        yield from (*panel.left, *panel.right)


def _named(panel: Panel) -> Iterator[str]:
    if isinstance(panel, Overlay):
        for names in panel.frames:
            yield from names
    for mark in marks_of(panel):
        yield from (name for name in (mark.sprite, mark.field) if name is not None)


def _check_pixels(pixels: np.ndarray, name: str) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InvalidArgument(
            f"the picture {name!r} is {pixels.dtype} {pixels.shape}, not uint8 (height, width, 3)"
        )
