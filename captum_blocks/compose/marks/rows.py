"""Marks that list atoms: "bars", "icons", "table" and "matrix"."""

from __future__ import annotations

from typing import ClassVar, Literal

from captum_blocks import scene
from captum_blocks.compose.marks import captions, listed, spans, ticks
from captum_blocks.compose.marks.base import Mark, mark
from captum_blocks.compose.marks.pictured import pictured
from captum_blocks.compose.marks.view import View
from captum_blocks.compose.pictures.requests import Subject
from captum_blocks.grammar import FeatureVis


@mark("bars")
class Bars(Mark):
    """A bar a number, a row an atom."""

    icons: ClassVar[bool] = False

    def panel(self, view: View) -> scene.Panel:
        """Rows with bars on one scale; icons beside them where it shows icons."""
        values, beside = view.frames.values, ticks.beside(view)
        rows, weighed = self._in_rows(view), spans.known(view)
        marked = [
            spans.spanned(ticks.ticked(each, value, other, view.facts), value, weighed)
            for each, value, other in zip(
                (listed.marks(value, view, self.icons) for value in values),
                values,
                beside,
                strict=True,
            )
        ]
        domain = spans.domain(ticks.domain(listed.domain(values), marked), marked)
        return scene.Bars(
            **view.words(),
            **captions.under(view.frames, view.coverage, self.icons, view.facts),
            columns=listed.headings(values, view.facts),
            frames=tuple(marked),
            domain=domain,
            ticked=ticks.told(view),
            spanned=spans.told(marked, weighed, domain),
            signed=view.base.target is not None,
            arrangement="rows" if rows else "tiles",
            maps=self.icons and rows and view.base.maps is not None,
        )

    def _in_rows(self, view: View) -> bool:
        """Icons stand side by side where they change with a selection, unless told."""
        element = view.element
        if isinstance(element, FeatureVis) and element.arrangement is not None:
            return element.arrangement == "rows"
        return not view.links.follows or not self.icons or listed.is_whole(view.base)


@mark("icons", word=False)
class Icons(Bars):
    """A picture an atom, with its bar."""

    icons: ClassVar[bool] = True

    def pictures(self, view: View) -> list[Subject]:
        """Each atom that has a number, by its largest."""
        return pictured(view)


@mark("table")
class Table(Mark):
    """Numbers as numbers."""

    style: ClassVar[Literal["numbers", "colours"]] = "numbers"

    def panel(self, view: View) -> scene.Panel:
        """A row an atom, a column a target."""
        values = view.frames.values
        return scene.Matrix(
            **view.words(),
            **captions.under(view.frames, view.coverage, False, view.facts),
            columns=listed.headings(values, view.facts),
            frames=tuple(listed.marks(value, view, icons=False) for value in values),
            domain=listed.domain(values),
            signed=view.base.target is not None,
            style=self.style,
        )


@mark("matrix")
class Matrix(Table):
    """Numbers as colours."""

    style: ClassVar[Literal["numbers", "colours"]] = "colours"
