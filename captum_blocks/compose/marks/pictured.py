"""Which pictures a list of atoms wants."""

from __future__ import annotations

from dataclasses import replace

from captum_blocks.compose.evaluation.facts import place_name
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.marks import listed
from captum_blocks.compose.marks.view import View, image_of
from captum_blocks.compose.pictures.requests import ANSWER, Subject
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Hidden


def pictured(view: View) -> list[Subject]:
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
