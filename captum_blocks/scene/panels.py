"""The kinds of panels, and the marks in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from captum_blocks.errors import InvalidArgument
from captum_blocks.scene.signs import Sign
from captum_blocks.scene.switched import Switched

Role = Literal["atom", "remainder", "total"]


@dataclass(frozen=True)
class Lent:
    """The picture of another atom, in the place of one that was not drawn.

    Attributes:
        sprite: name in ``Scene.sprites``.
        words: whose it is, and why it.
    """

    sprite: str
    words: str


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
        detail: one line told on pointing, values and ticks included.
        ticks: a second number a column, drawn by ``Bars`` as a tick across the bar's track, on the
            same scale; finite, None where there is none, () for none at all.
        lent: what stands in the place of a picture of its own on a page; paper leaves it blank.
        gallery: name in ``Scene.galleries``: photographs beside it.
        spans: what a column's value is by other methods, from the least to the largest, drawn by
            ``Bars`` as a thin line along the bar; None where there are none, () for none at all.

    Raises:
        InvalidArgument: another number of ticks or spans than of values, or one that is not finite.
    """

    key: str
    label: str
    values: tuple[float | None, ...]
    sprite: str | None = None
    field: str | None = None
    hue: int | None = None
    role: Role = "atom"
    detail: str = ""
    ticks: tuple[float | None, ...] = ()
    lent: Lent | None = None
    gallery: str | None = None
    spans: tuple[tuple[float, float] | None, ...] = ()

    def __post_init__(self) -> None:
        self._check_spans()
        if len(self.ticks) not in (0, len(self.values)):
            raise InvalidArgument(
                f"mark {self.key!r} has {len(self.values)} values and {len(self.ticks)} ticks; "
                "give one a value, None where there is none, or () for none at all"
            )
        for tick in self.ticks:
            if tick is not None and not isfinite(tick):
                raise InvalidArgument(
                    f"mark {self.key!r} has a tick of {tick}; give None where there is none"
                )

    def _check_spans(self) -> None:
        if len(self.spans) not in (0, len(self.values)):
            raise InvalidArgument(
                f"mark {self.key!r} has {len(self.values)} values and {len(self.spans)} spans; "
                "give one a value, None where there is none, or () for none at all"
            )
        for low, high in filter(None, self.spans):
            if not (isfinite(low) and isfinite(high) and low <= high):
                raise InvalidArgument(
                    f"mark {self.key!r} has a span from {low} to {high}: the least comes first, "
                    "and None stands where there is none"
                )


@dataclass(frozen=True)
class Panel:
    """What every panel has.

    Attributes:
        title: short name.
        caption: how to read it, one sentence.
        unit: of its values.
        follows: names of the selections whose states pick the frame. ``frames`` are in row-major
            order over the states of these selections: one frame where nothing is followed.
        sets: the selections that pointing at a mark (or a cell) of this panel changes.
        highlights: the selection whose state is marked in this panel.
        left_out: what is not shown: "showing 5 of 672 channels, 61 % of the attribution".
        told: for each frame, what holds in that one alone; () where nothing does.
        sign: how far its numbers are to be believed; None where nothing is said of that.
    """

    title: str
    caption: str = ""
    unit: str = ""
    follows: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    highlights: str | None = None
    left_out: str = ""
    told: tuple[str, ...] = ()
    sign: Sign | None = None


@dataclass(frozen=True)
class Bars(Panel):
    """Marks with bars that share a zero line and one scale.

    Attributes:
        columns: name of each column of values, at least one.
        frames: a tuple of marks a frame.
        domain: (low, high) of the common scale, ticks and spans included.
        signed: values are for or against something, even where all of them are positive.
        arrangement: "rows" (a line a mark: icon, map, name, one bar a column) or "tiles" (icons
            side by side, name and bar below each).
        maps: draw each mark's field on a small photograph beside its icon.
        ticked: what the marks' ticks are, in words: "tick: gradient x activation, logit".
        spanned: what the marks' spans are, in words: "thin line: by five methods".
        switched: for each frame, the values for every set of atoms that is left; () where no
            switches change them.
    """

    columns: tuple[str, ...] = ("",)
    frames: tuple[tuple[Mark, ...], ...] = ()
    domain: tuple[float, float] = (0.0, 1.0)
    signed: bool = False
    arrangement: Literal["rows", "tiles"] = "rows"
    maps: bool = False
    ticked: str = ""
    spanned: str = ""
    switched: tuple[Switched, ...] = ()

    @property
    def is_signed(self) -> bool:
        """Whether values are drawn as for and against."""
        return self.signed or self.domain[0] < 0

    @property
    def is_ticked(self) -> bool:
        """Whether its bars have a second number, in one frame at least."""
        return bool(self.ticked) or any(mark.ticks for frame in self.frames for mark in frame)


@dataclass(frozen=True)
class Overlay(Panel):
    """Fields on the photograph.

    Attributes:
        frames: names of the fields of each frame, drawn over one another.
        stage: drawn on the page's one large photograph (a view of it), not in the chapter.
        bare: drawn on an empty sheet (a heat map), not on the photograph.
    """

    frames: tuple[tuple[str, ...], ...] = ()
    stage: bool = False
    bare: bool = False

    @property
    def on_stage(self) -> bool:
        """Whether it is a view of the one large photograph."""
        return self.stage and not self.bare


@dataclass(frozen=True)
class Multiples(Panel):
    """Small photographs side by side, each under one mark's field.

    Attributes:
        frames: the marks of each frame; those without a field are not drawn.
    """

    frames: tuple[tuple[Mark, ...], ...] = ()


@dataclass(frozen=True)
class Matrix(Panel):
    """Marks in rows, columns of numbers: printed, or as coloured cells.

    Attributes:
        columns: name of each column of values, at least one.
        frames: the rows of each frame.
        domain: (low, high) of the colour scale.
        signed: values are for or against something.
        style: "numbers" (a table) or "colours" (cells whose colour is the sign and whose area is
            the magnitude; the number is told on pointing).
    """

    columns: tuple[str, ...] = ("",)
    frames: tuple[tuple[Mark, ...], ...] = ()
    domain: tuple[float, float] = (0.0, 1.0)
    signed: bool = False
    style: Literal["numbers", "colours"] = "numbers"

    @property
    def is_signed(self) -> bool:
        """Whether values are drawn as for and against."""
        return self.signed or self.domain[0] < 0


@dataclass(frozen=True)
class Histogram(Panel):
    """How many numbers lie in each bin.

    Attributes:
        edges: of the bins, one more than there are bins, in the panel's unit.
        columns: name of each set of numbers, at least one; each is drawn below the other, all on
            one scale.
        frames: for each frame, for each column, the count of each bin.
        counted: what is counted, in the plural: "neurons".
        marked: for each frame, for each column, a number that a line marks between the outer edges,
            that of the photograph which is looked at; None where there is none, () for none at all.

    Raises:
        InvalidArgument: other numbers of frames or columns than are counted, or one that is not
            between the outer edges.
    """

    edges: tuple[float, ...] = (0.0, 1.0)
    columns: tuple[str, ...] = ("",)
    frames: tuple[tuple[tuple[int, ...], ...], ...] = ()
    counted: str = ""
    marked: tuple[tuple[float | None, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.marked:
            return
        sizes = {len(each) for each in self.marked}
        if len(self.marked) != len(self.frames) or sizes != {len(self.columns)}:
            raise InvalidArgument(
                f"histogram {self.title!r} marks one number a frame and column, in "
                f"{len(self.frames)} frames of {len(self.columns)} columns; give None where there "
                "is none"
            )
        for value in (value for each in self.marked for value in each if value is not None):
            if not self.edges[0] <= value <= self.edges[-1]:
                raise InvalidArgument(
                    f"histogram {self.title!r} marks {value}, which is not between "
                    f"{self.edges[0]} and {self.edges[-1]}"
                )


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
        tints: names of the fields laid over the cells of each frame, stretched over the whole
            mosaic; () for none at all.
    """

    grid: tuple[int, int] = (1, 1)
    extent: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    frames: tuple[tuple[Cell, ...], ...] = ()
    tints: tuple[tuple[str, ...], ...] = ()


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
class Flows:
    """Two columns of marks and what flows from the left one to the right one.

    Attributes:
        left, right: the marks, top to bottom; atoms, then remainders.
        flows: between them.
    """

    left: tuple[Mark, ...] = ()
    right: tuple[Mark, ...] = ()
    flows: tuple[Flow, ...] = ()


@dataclass(frozen=True)
class Sankey(Panel):
    """Two columns of marks and what flows between them: width is magnitude, colour is sign.

    Attributes:
        titles: of the two columns.
        frames: the columns and flows of each frame, all drawn on one scale. A mark of the right
            column may have a second value: what it is in all, of which the flows are a part.
        least: the share of all flows of a frame from which on one is drawn; sums hold all of them.
    """

    titles: tuple[str, str] = ("", "")
    frames: tuple[Flows, ...] = ()
    least: float = 0.0


Framed = Bars | Overlay | Cells | Sankey | Multiples | Matrix | Histogram


def marks_of(panel: Panel) -> Iterator[Mark]:
    """Every mark of a panel, of all its frames."""
    for frame in getattr(panel, "frames", ()):
        yield from marks_in(frame)


def marks_in(frame: Flows | Iterable[object]) -> Iterator[Mark]:
    """Every mark of one frame; names of fields and counts are none."""
    for item in (*frame.left, *frame.right) if isinstance(frame, Flows) else frame:
        held = item.mark if isinstance(item, Cell) else item
        if isinstance(held, Mark):
            yield held


def named_in(panel: Panel) -> Iterator[str]:
    """Names of the sprites and fields a panel draws."""
    if isinstance(panel, (Overlay, Cells)):
        for names in panel.frames if isinstance(panel, Overlay) else panel.tints:
            yield from names
    for mark in marks_of(panel):
        lent = None if mark.lent is None else mark.lent.sprite
        yield from (name for name in (mark.sprite, mark.field, lent) if name is not None)
