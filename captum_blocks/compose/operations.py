"""What the operations of the grammar do to values; each registers itself by type."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from captum_blocks.attr import regroup
from captum_blocks.compose.context import Context
from captum_blocks.compose.evaluation import evaluate_content, value_of
from captum_blocks.compose.picking import (
    at,
    in_a_row,
    keep,
    of_image,
    ranking,
    to,
    towards,
    within,
)
from captum_blocks.compose.values import Value
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import (
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


@evaluate_content.register
def _filter(content: Filter, context: Context) -> Value:
    value = value_of(content.content, context)
    if content.image is not None:
        value = of_image(value, context.image(content.image))
    if content.to is not None:
        value = to(value, _target_place(content.to, value, context))
    if content.at is not None:
        value = at(value, content.at)  # type: ignore[arg-type]
    if content.within is not None:
        value = within(value, content.within)
    if content.ranks:
        value = in_a_row(value)
        judge = value if content.by is None else in_a_row(value_of(content.by, context))
        axis, places = _ranked(content, value, judge)
        if axis in value.source_axes:
            return keep(value, axis, places)
        counts = {**value.counts, axis: value.data.shape[value.axis(axis)]}
        value = replace(towards(value, axis, places), counts=counts)
    return value


def _target_place(wanted: Any, value: Value, context: Context) -> int | tuple[int, ...]:
    """A place on the target axes; a class may be named."""
    if not isinstance(wanted, str):
        return wanted  # type: ignore[no-any-return]
    classes = value.coords.get("class", ())
    index = context.net.class_index(wanted, context.logits.shape[1])
    if index not in classes:
        held = ", ".join(repr(context.net.label(i)) for i in classes[:5]) or "no classes"
        raise InvalidArgument(f"to={wanted!r}: this goes to {held}")
    return classes.index(index)


def _ranked(content: Filter, value: Value, judge: Value) -> tuple[str, list[int]]:
    """The axis and the places that a filter keeps, by the numbers of ``judge``."""
    axis, high = ranking(judge)
    if value.source_axes != judge.source_axes or value.coords[axis] != judge.coords[axis]:
        raise InvalidArgument(
            f"by= needs numbers of the same atoms: {value!r} and {judge!r} differ"
        )
    low = ranking(judge, "min")[1]
    chosen: list[int] = []
    for count, strength in (
        (content.strongest, torch.maximum(high.abs(), low.abs())),
        (content.top, high),
        (content.bottom, -low),
    ):
        if count is not None:
            assert isinstance(count, int)
            order = torch.argsort(strength, descending=True, stable=True)
            chosen += [pick for pick in order[:count].tolist() if pick not in chosen]
    if content.above is not None:
        over = set((high > content.above).nonzero().flatten().tolist())
        counted = content.strongest or content.top or content.bottom
        chosen = [pick for pick in chosen if pick in over] if counted else sorted(over)
    return axis, chosen


@evaluate_content.register
def _project(content: Project, context: Context) -> Value:
    base, groups = content.content, content.groups
    if not isinstance(base, (Activation, Attribution)):
        raise InvalidArgument("only activations and attributions are projected; filter afterwards")
    if base.source.layer != groups.layer or base.source.atom not in ("neuron", "channel"):
        raise InvalidArgument(
            f"{base.source!r} cannot be projected onto {groups!r}: neurons or channels of the same "
            "layer can"
        )
    if isinstance(base, Activation):
        return value_of(Activation(groups), context)
    how = base.method
    if isinstance(how, Given) and isinstance(context.object(how), Tensor):
        neurons = Attribution(groups.layer.neurons, base.target, how)  # type: ignore[union-attr]
        return _regrouped(value_of(neurons, context), groups, context)
    return value_of(Attribution(groups, base.target, how), context)


def _regrouped(value: Value, groups: Substrate, context: Context) -> Value:
    """An attribution known only as numbers, shared out by each group's part of the activation."""
    activation = context.maps(groups.layer.layer)  # type: ignore[union-attr]
    directions, scores = context.directions(groups), context.scores(groups)
    maps, residual = regroup(activation, value.data, None, scores, directions)
    return replace(
        value,
        data=maps.sum((-2, -1)),
        axes=("image", "class", "group"),
        coords={
            "image": value.coords["image"],
            "class": value.coords["class"],
            "group": tuple(range(maps.shape[2])),
        },
        source=groups,
        maps=maps,
        remainder={**value.remainder, "residual": residual.sum((-2, -1))},
        remainder_maps={"residual": residual},
    )


@evaluate_content.register
def _aggregate(content: Aggregate, context: Context) -> Value:
    value = value_of(content.content, context)
    place, how = value.axis(content.axis), content.how
    reduce = {"mean": torch.mean, "sum": torch.sum, "max": torch.amax}[how]
    leading = content.axis in value.axes[: 1 + len(value.target_axes)]

    def along(tensor: Tensor) -> Tensor:
        return reduce(tensor, place, keepdim=content.axis == "image")  # type: ignore[operator,no-any-return]

    kept = tuple(a for a in value.axes if a != content.axis or a == "image")
    coords = {a: (0,) if a == content.axis else value.coords[a] for a in kept}
    rest = {name: along(held) for name, held in value.remainder.items()} if leading else {}
    if not leading and how == "sum":
        rest = dict(value.remainder)
    maps = along(value.maps) if value.maps is not None and leading else None
    note = f"{how} over {content.axis}"
    labels = dict(value.labels)
    if content.axis == "image" and value.data.shape[0] > 1:
        labels["image"] = (f"{how} over {value.data.shape[0]} photographs",)
    return replace(
        value,
        data=along(value.data),
        axes=kept,
        coords=coords,
        maps=maps,
        remainder={} if how == "max" else rest,
        remainder_maps={},
        labels=labels,
        notes=(*value.notes, note),
    )


@evaluate_content.register
def _normalise(content: Normalise, context: Context) -> Value:
    value = value_of(content.content, context)
    leading = 1 + len(value.target_axes)
    flat = value.data.abs().flatten(leading) if value.source_axes else value.data.abs()[..., None]
    size = flat.amax(-1) if content.by == "max" else flat.sum(-1)
    size = torch.where(size > 0, size, torch.ones_like(size))

    def divided(tensor: Tensor) -> Tensor:
        return tensor / size.reshape(*size.shape, *(1,) * (tensor.ndim - size.ndim))

    of = "the largest" if content.by == "max" else "the sum"
    return replace(
        value,
        data=divided(value.data),
        unit=f"share of {of}",
        maps=None if value.maps is None else divided(value.maps),
        remainder={name: divided(held) for name, held in value.remainder.items()},
        remainder_maps={name: divided(held) for name, held in value.remainder_maps.items()},
        notes=(*value.notes, f"divided by {of} of the magnitudes ({value.unit})"),
    )


@evaluate_content.register
def _difference(content: Difference, context: Context) -> Value:
    first = value_of(content.content, context)
    second = value_of(content.other, context)
    _check_comparable(first, second)
    names = (*first.remainder, *(n for n in second.remainder if n not in first.remainder))
    zero = first.data.new_zeros(())
    return replace(
        first,
        data=first.data - second.data,
        maps=_minus(first.maps, second.maps),
        remainder={
            name: first.remainder.get(name, zero) - second.remainder.get(name, zero)
            for name in names
        },
        remainder_maps={
            name: first.remainder_maps[name] - second.remainder_maps[name]
            for name in first.remainder_maps
            if name in second.remainder_maps
        },
        labels={**first.labels, **_named_difference(first, second, context)},
        notes=tuple(dict.fromkeys((*first.notes, *second.notes))),
    )


def _minus(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else first - second


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


def _named_difference(first: Value, second: Value, context: Context) -> dict[str, tuple[str, ...]]:
    """One class or photograph minus another is named after both."""
    named: dict[str, tuple[str, ...]] = {}
    for axis, name in (("class", context.net.label), ("image", lambda i: context.names[i])):
        if axis in first.axes and first.coords[axis] != second.coords[axis]:
            named[axis] = (" − ".join(name(each.coords[axis][0]) for each in (first, second)),)
    return named
