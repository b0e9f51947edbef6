"""Bars of answers from which groups can be taken away by switches."""

from __future__ import annotations

from captum_blocks import scene
from captum_blocks.compose.evaluation.values import PROBABILITY, Value
from captum_blocks.compose.marks import captions
from captum_blocks.compose.marks.base import Mark, mark
from captum_blocks.compose.marks.listed import row_of
from captum_blocks.compose.marks.view import View, only_image
from captum_blocks.numerals import number
from captum_blocks.scene import Switched


@mark("answers", word=False)
class Answers(Mark):
    """A bar an answer: its probability, or its value where it has none."""

    def panel(self, view: View) -> scene.Panel:
        """The answers of each state of other selections, each with a table of its own."""
        values = view.frames.values
        shared = PROBABILITY in view.base.also
        tables = tuple(table_of(value, view) for value in values)
        every = [float(score) for table in tables for score in table.scores.flatten()]
        words = view.words()
        words["unit"] = PROBABILITY if shared else view.base.unit
        return scene.Bars(
            **words,
            **captions.under(view.frames, view.coverage, False, view.facts),
            frames=tuple(_marks(value, view) for value in values),
            domain=(0.0, 1.0) if shared else (min([0.0, *every]), max([0.0, *every])),
            switched=tables,
        )


def _marks(value: Value, view: View) -> tuple[scene.Mark, ...]:
    held = value.also.get(PROBABILITY, value.data)
    pairs = zip(only_image(held).tolist(), only_image(value.data).tolist(), strict=True)
    made = []
    for index, (shown, score) in zip(value.coords["class"], pairs, strict=True):
        row = row_of(value, index, view.facts)
        detail = f"{row.label}: {value.unit} {number(score)}"
        detail += f", probability {shown:.1%}" if PROBABILITY in value.also else ""
        made.append(scene.Mark(row.key, row.label, (shown,), detail=detail))
    return tuple(made)


def table_of(value: Value, view: View) -> Switched:
    """The answers of a value to every set of groups that is left."""
    switches, facts = value.switches, view.facts
    assert switches is not None
    return Switched(
        view.links.switched,
        tuple(facts.key(switches.of, group) for group in switches.groups),
        tuple(facts.label(switches.of, group) for group in switches.groups),
        only_image(switches.scores).numpy(),
        only_image(switches.rest).numpy(),
        switches.head,
    )
