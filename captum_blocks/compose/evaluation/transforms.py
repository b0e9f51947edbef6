"""What the operations of the grammar do to values; each registers itself by type."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from captum_blocks.attr import regroup
from captum_blocks.compose.evaluation.contents import evaluate_content, value_of
from captum_blocks.compose.evaluation.jointly import said_jointly
from captum_blocks.compose.evaluation.ranks import kept
from captum_blocks.compose.evaluation.select import at, in_a_row, to, within
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, UnusableLayer
from captum_blocks.grammar import (
    Ablation,
    Activation,
    Aggregate,
    Attribution,
    Difference,
    Filter,
    Given,
    Normalise,
    Project,
    Substrate,
)
from captum_blocks.network import Network


@evaluate_content.register
def _filter(content: Filter, session: Session) -> Value:
    value = value_of(content.content, session)
    if content.image is not None:
        value = value.select("image", [_image_place(content.image, value, session)])
    if content.to is not None:
        value = to(value, _target_place(content.to, value, session))
    if content.at is not None:
        value = at(value, content.at)  # type: ignore[arg-type]
    if content.within is not None:
        value = within(value, content.within)
    if content.ranks:
        value = kept(content, in_a_row(value), session)
        removed = content.content if content.by is None else content.by
        # Of two answers compared, once: their own rows list the same channels.
        repeated = isinstance(removed, Difference) and not isinstance(content.content, Difference)
        if isinstance(removed, (Ablation, Difference)) and not repeated:
            with suppress(UnusableLayer, UnsupportedMethod):  # said already, by the ranking
                joint = said_jointly(removed, value, session)
                value = replace(value, said_in=_merged(value.said_in, joint))
    return value


def _merged(
    first: Mapping[int, tuple[str, ...]], second: Mapping[int, tuple[str, ...]]
) -> dict[int, tuple[str, ...]]:
    """By photograph, the sentences of both."""
    return {
        image: (*first.get(image, ()), *second.get(image, ()))
        for image in dict.fromkeys((*first, *second))
    }


def _image_place(wanted: Any, value: Value, session: Session) -> int:
    """A place on the image axis of a photograph, which may be named."""
    image, there = session.image(wanted), value.coords["image"]
    if image not in there:
        held = value.labels.get("image") or [repr(session.names[i]) for i in there]
        raise InvalidArgument(f"image={wanted!r}: these numbers are of {', '.join(held)}")
    return there.index(image)


def _target_place(wanted: Any, value: Value, session: Session) -> int | tuple[int, ...]:
    """A place on the target axes; a class may be named."""
    if not isinstance(wanted, str):
        return wanted  # type: ignore[no-any-return]
    classes = value.coords.get("class", ())
    net, outputs = _answering(value, session)
    index = net.class_index(wanted, outputs)
    if index not in classes:
        held = ", ".join(repr(net.label(i)) for i in classes[:5]) or "no classes"
        raise InvalidArgument(f"to={wanted!r}: this goes to {held}")
    return classes.index(index)


@evaluate_content.register
def _project(content: Project, session: Session) -> Value:
    base, groups = content.content, content.groups
    if not isinstance(base, (Activation, Attribution)):
        raise InvalidArgument("only activations and attributions are projected; filter afterwards")
    if base.source.layer != groups.layer or base.source.atom not in ("neuron", "channel"):
        raise InvalidArgument(
            f"{base.source!r} cannot be projected onto {groups!r}: neurons or channels of the same "
            "layer can"
        )
    if isinstance(base, Activation):
        return value_of(Activation(groups), session)
    how = base.method
    if isinstance(how, Given) and isinstance(session.object(how), Tensor):
        neurons = Attribution(groups.layer.neurons, base.target, how)  # type: ignore[union-attr]
        return _regrouped(value_of(neurons, session), groups, session)
    return value_of(Attribution(groups, base.target, how), session)


def _regrouped(value: Value, groups: Substrate, session: Session) -> Value:
    """An attribution known only as numbers, shared out by each group's part of the activation."""
    look = session.of(groups)
    activation = look.maps(groups.layer.layer)  # type: ignore[union-attr]
    directions, scores = look.directions(groups), look.scores(groups)
    maps, residual = regroup(activation, value.data, None, scores, directions)
    return replace(
        value,
        data=maps.sum((-2, -1)),
        axes=("image", "class", "group"),
        coords={**value.coords, "group": tuple(range(maps.shape[2]))},
        source=groups,
        maps=maps,
        remainder={**value.remainder, "residual": residual.sum((-2, -1))},
        remainder_maps={"residual": residual},
    )


@evaluate_content.register
def _aggregate(content: Aggregate, session: Session) -> Value:
    value = value_of(content.content, session)
    reduced = value.reduce(content.axis, content.how)
    return replace(reduced, notes=(*value.notes, f"{content.how} over {content.axis}"))


@evaluate_content.register
def _normalise(content: Normalise, session: Session) -> Value:
    value = value_of(content.content, session)
    sizes = value.data.abs()[..., None].flatten(1 + len(value.target_axes))
    # Of no atoms at all there is no largest.
    size = sizes.amax(-1) if content.by == "max" and sizes.shape[-1] else sizes.sum(-1)
    size = torch.where(size > 0, size, torch.ones_like(size))
    of = "the largest" if content.by == "max" else "the sum"
    return value.map(
        lambda held: held / size.reshape(*size.shape, *(1,) * (held.ndim - size.ndim)),
        unit=f"share of {of}",
        among=None,
        notes=(*value.notes, f"divided by {of} of the magnitudes ({value.unit})"),
    )


@evaluate_content.register
def _difference(content: Difference, session: Session) -> Value:
    first = value_of(content.content, session)
    second = value_of(content.other, session)
    _check_comparable(first, second)
    zero = first.data.new_zeros(())
    names = dict.fromkeys((*first.remainder, *second.remainder))
    return replace(
        first,
        data=first.data - second.data,
        # Where the two were cut to different regions, all rows and columns count.
        coords={
            axis: there
            for axis, there in first.coords.items()
            if axis in first.axes or second.coords.get(axis) == there
        },
        maps=_minus(first.maps, second.maps),
        remainder={
            name: first.remainder.get(name, zero) - second.remainder.get(name, zero)
            for name in names
        },
        remainder_maps={
            name: held - second.remainder_maps[name]
            for name, held in first.remainder_maps.items()
            if name in second.remainder_maps
        },
        labels={**first.labels, **_named_difference(first, second, session)},
        notes=tuple(dict.fromkeys((*first.notes, *second.notes))),
        additive=first.additive and second.additive,
        ends=_ends_apart(first, second),
        sides={},
        said=tuple(dict.fromkeys((*first.said, *second.said, *_nothing_apart(first, second)))),
        said_in={},
        also={},
        switches=None,
        among=None,
    )


def _minus(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else first - second


def _nothing_apart(first: Value, second: Value) -> tuple[str, ...]:
    """That a class was compared with itself."""
    same = first.coords.get("class") == second.coords.get("class")
    if same and torch.equal(first.data, second.data):
        return ("both are the same, so nothing tells them apart",)
    return ()


def _ends_apart(first: Value, second: Value) -> dict[str, Tensor]:
    """Scores minus scores, where both values know theirs and they are of two classes."""
    if not first.ends or not second.ends or first.coords.get("class") == second.coords.get("class"):
        return {}
    return {name: held - second.ends[name] for name, held in first.ends.items()}


def _check_comparable(first: Value, second: Value) -> None:
    if first.axes != second.axes or first.unit != second.unit:
        raise InvalidArgument(
            f"a difference needs equal axes and units: {first!r} and {second!r} differ"
        )
    for axis in first.axes:
        ours, theirs = first.coords[axis], second.coords[axis]
        if ours != theirs and not (axis in ("class", "image") and len(ours) == len(theirs) == 1):
            raise InvalidArgument(
                f"a difference needs the same atoms: {axis} is {list(ours)[:5]} in one and "
                f"{list(theirs)[:5]} in the other; take the difference first, then filter"
            )


def _named_difference(first: Value, second: Value, session: Session) -> dict[str, tuple[str, ...]]:
    """One class or photograph minus another is named after both."""
    named: dict[str, tuple[str, ...]] = {}
    if _differ("class", first, second):
        labels = (_answering(each, session)[0].label for each in (first, second))
        both = zip((first, second), labels, strict=True)
        named["class"] = (" − ".join(label(each.coords["class"][0]) for each, label in both),)
    if _differ("image", first, second):
        images = (each.coords["image"][0] for each in (first, second))
        named["image"] = (" − ".join(session.names[image] for image in images),)
    return named


def _differ(axis: str, first: Value, second: Value) -> bool:
    return axis in first.axes and first.coords[axis] != second.coords[axis]


def _answering(value: Value, session: Session) -> tuple[Network, int]:
    """The network whose classes a value is of or goes to, and how many it has."""
    look = session.of(value.source if value.target is None else value.target)
    return look.net, look.logits.shape[1]
