"""Marks that list atoms: "bars", "icons", "table" and "matrix"."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from captum_blocks import scene
from captum_blocks.compose.evaluation.facts import place_name
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.marks import captions, listed, ticks
from captum_blocks.compose.marks.base import Mark, mark
from captum_blocks.compose.marks.view import View, image_of
from captum_blocks.compose.pictures.requests import ANSWER, Subject
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import FeatureVis, Hidden


@mark("bars")
class Bars(Mark):
    """A bar a number, a row an atom."""

    icons: ClassVar[bool] = False

    def panel(self, view: View) -> scene.Panel:
        """Rows with bars on one scale; icons beside them where it shows icons."""
        values, beside = view.frames.values, ticks.beside(view)
        rows = self._in_rows(view)
        marked = [
            ticks.ticked(listed.marks(value, view, self.icons), value, other, view.facts)
            for value, other in zip(values, beside, strict=True)
        ]
        return scene.Bars(
            **view.words(),
            left_out=captions.left_out(view.frames, view.coverage, self.icons, view.facts),
            columns=listed.headings(values, view.facts),
            frames=tuple(marked),
            domain=ticks.domain(listed.domain(values), marked),
            ticked=ticks.told(view),
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
        found = []
        for frame, value in enumerate(view.frames.values):
            atoms = listed.atoms_of(value)
            _check_pictured(value)
            if not atoms:  # a filter has left none
                continue
            largest = value.data.abs().reshape(-1, len(atoms)).amax(0)
            for atom, size in zip(atoms, largest.tolist(), strict=True):
                subject = _subject(value, atom, view)
                if subject is not None and size > 0:
                    at_once = frame == view.frames.default
                    found.append(replace(subject, weight=size, at_once=at_once))
        return found


@mark("table")
class Table(Mark):
    """Numbers as numbers."""

    style: ClassVar[Literal["numbers", "colours"]] = "numbers"

    def panel(self, view: View) -> scene.Panel:
        """A row an atom, a column a target."""
        values = view.frames.values
        return scene.Matrix(
            **view.words(),
            left_out=captions.left_out(view.frames, view.coverage, False, view.facts),
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


def _check_pictured(value: Value) -> None:
    """Whether there is a picture of such atoms at all."""
    found = listed.marked(value)
    hidden = isinstance(found.layer, Hidden) and found.atom in ("channel", "neuron", "group")
    if not hidden and found.atom != "class" and not listed.is_a_place(value):
        raise InvalidArgument(
            f"{found!r} has no picture of its own: FeatureVis draws channels, neurons, groups and "
            "positions of hidden layers, and classes; InfoVis(content) shows numbers of all atoms"
        )


def _subject(value: Value, atom: int, view: View) -> Subject | None:
    """What a row's picture is of, with the element's own objective where it has one."""
    row, source, facts = listed.row_of(value, atom, view.facts), listed.marked(value), view.facts
    key, extra, image = listed.icon_key(row.icon, view), listed.own_objective(view), image_of(value)
    if listed.is_a_place(value) and image is not None:
        layer, (y, x) = place_name(source), (value.places["y"], value.places["x"])
        vector = facts.maps[layer][image][:, y, x]
        label = f"{layer} at {row.label}"
        return Subject(key, label, layer, "spatial", atom, direction=vector, extra=extra)
    if source.atom == "class":
        return Subject(key, row.label, ANSWER, "class", atom, extra=extra)
    return listed.of_atom(source, row.shown, key, view, image)
