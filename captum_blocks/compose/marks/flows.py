"""The mark "sankey": what the atoms of one layer gave to those of the next, or to the answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from captum_blocks import scene
from captum_blocks.compose.evaluation.facts import place_name
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.marks import captions
from captum_blocks.compose.marks.base import Mark, mark
from captum_blocks.compose.marks.listed import of_atom
from captum_blocks.compose.marks.view import View, image_of, only_image
from captum_blocks.compose.pictures.requests import Subject
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Hidden, Substrate
from captum_blocks.numerals import number
from captum_blocks.scene import Flow, Flows

Side = tuple[Substrate, tuple[int, ...]]
# Bands below this share of all flows are too many and too thin to tell anything.
LEAST = 0.02


@mark("sankey")
class Sankey(Mark):
    """Flows between two columns of atoms; what no atom explains is a source of its own."""

    def pictures(self, view: View) -> list[Subject]:
        """The atoms of both sides, by what flows through them."""
        found = []
        for frame, value in enumerate(view.frames.values):
            at_once = frame == view.frames.default
            for (substrate, atoms), sizes in _through(value):
                for index, size in zip(atoms, sizes.tolist(), strict=True):
                    key = view.facts.key(substrate, index)
                    subject = of_atom(substrate, index, key, view, image_of(value))
                    if subject is not None and size > 0:
                        found.append(replace(subject, weight=size, at_once=at_once))
        return found

    def panel(self, view: View) -> scene.Panel:
        """The flows of each state."""
        value = view.base
        return scene.Sankey(
            **view.words(),
            **captions.under(view.frames, view.coverage, icons=True),
            titles=(place_name(value.source), _end_name(value)),
            least=LEAST,
            frames=tuple(_frame(each, view) for each in view.frames.values),
        )


def _sides(value: Value) -> tuple[Side, Side]:
    """The atoms that give, and those that receive."""
    plain = len(value.source_axes) == len(value.target_axes) == 1
    if value.target is None or not plain or value.source_axes == ("neuron",):
        raise InvalidArgument(
            f"a sankey shows flows from the groups or channels of a layer to those of another or "
            f"to classes, e.g. Attribution(a.groups(6), b.groups(4)), not {value!r}"
        )
    giving = (value.source, value.coords[value.source_axes[0]])
    return giving, (value.target, value.coords[value.target_axes[0]])


def _through(value: Value) -> Iterator[tuple[Side, Tensor]]:
    """Each side with how much flows through its atoms."""
    giving, receiving = _sides(value)
    flows = only_image(value.data).abs()
    yield giving, flows.sum(0)
    yield receiving, flows.sum(1)


def _frame(value: Value, view: View) -> Flows:
    giving, receiving = _sides(value)
    sizes = only_image(value.data)
    left = _column(giving, [(size,) for size in sizes.sum(0).tolist()], value, view)
    right = _column(receiving, _received(value), value, view)
    flows = tuple(
        _flow(source, target, float(sizes[target, source]), Flows(left, right), value.unit)
        for target in range(len(right))
        for source in range(len(left))
    )
    frame = Flows(left, right, flows)
    for name, held in value.remainder.items():
        frame = _with_remainder(frame, name, only_image(held).tolist(), value, view)
    return frame


def _received(value: Value) -> list[tuple[float, ...]]:
    """What each atom of a later layer got, and its score; of a class what it got."""
    held = [only_image(value.total)]
    if value.ends and value.target is not None and isinstance(value.target.layer, Hidden):
        held.append(only_image(value.ends["score"]))
    return list(zip(*(each.tolist() for each in held), strict=True))


def _end_name(value: Value) -> str:
    assert value.target is not None
    name = place_name(value.target)
    if name != "out":
        return name
    return "answer" if len(value.coords.get("class", ())) == 1 else "answers"


def _column(
    side: Side, sums: list[tuple[float, ...]], value: Value, view: View
) -> tuple[scene.Mark, ...]:
    """Marks with what flows through each and, where it is known, the score that is part of."""
    (substrate, atoms), facts = side, view.facts
    return tuple(
        scene.Mark(
            key=facts.key(substrate, atom),
            label=_name(substrate, atom, view),
            values=numbers,
            sprite=view.sprite(facts.key(substrate, atom)),
            field=view.where(substrate, atom, image_of(value)),
            hue=atom if substrate.atom == "group" else None,
            detail=f"{_name(substrate, atom, view)}: {_told(numbers, value)}",
        )
        for atom, numbers in zip(atoms, sums, strict=True)
    )


def _name(substrate: Substrate, atom: int, view: View) -> str:
    """An atom with its layer, as both columns have groups or channels of the same numbers."""
    label = view.facts.label(substrate, atom)
    hidden = isinstance(substrate.layer, Hidden)
    return f"{view.facts.short(substrate)} {label}" if hidden else label


def _told(numbers: tuple[float, ...], value: Value) -> str:
    if len(numbers) == 1:
        return f"{number(numbers[0])} {value.unit} in all"
    given, whole = numbers
    return (
        f"{number(given)} of its {number(whole)} {value.unit} is from {place_name(value.source)}; "
        f"{number(whole - given)} is constants (biases) of the layers between"
    )


def _flow(source: int, target: int, size: float, frame: Flows, unit: str) -> Flow:
    given, received = frame.left[source].label, frame.right[target].label
    return Flow(source, target, size, f"{given} to {received}: {number(size)} {unit}")


def _with_remainder(frame: Flows, name: str, held: list[float], value: Value, view: View) -> Flows:
    """What no atom of the source explains is a source of its own."""
    label = captions.remainder_label(value, name)
    key = f"{view.facts.key(value.source, 0).rsplit('/', 1)[0]}/{name}"
    extra = scene.Mark(key, label, (sum(held),), role="remainder", detail=label)
    longer = replace(frame, left=(*frame.left, extra))
    flows = tuple(
        _flow(len(frame.left), target, size, longer, value.unit) for target, size in enumerate(held)
    )
    return replace(longer, flows=(*frame.flows, *flows))
