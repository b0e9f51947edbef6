"""Content -> value, by type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from captum_blocks.attr.atoms import to_atoms
from captum_blocks.compose.context import Context, check_given
from captum_blocks.compose.validation import validate
from captum_blocks.compose.values import SOURCE_AXES, Value, spans
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, WrongType
from captum_blocks.grammar import (
    Activation,
    Attribution,
    Content,
    Filter,
    Given,
    Hidden,
    Input,
    Method,
    Out,
    Selection,
    Substrate,
)
from captum_blocks.network import Network


def evaluate(
    content: Content, net: Network, x: Tensor, given: Mapping[str, Any] | None = None
) -> Value:
    """The numbers of one content, without icons and without a page.

    Args:
        content: an activation, an attribution, or something made of them.
        net: the network.
        x: (image, ...), as ``net.read`` gives it.
        given: the objects that ``Given`` words name.

    Raises:
        BlocksError: anything that cannot be evaluated, before long work starts.

    >>> from captum_blocks.network import Preprocess
    >>> body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    >>> head = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 2))
    >>> net = Network(torch.nn.Sequential(body, head), Preprocess(size=8))
    >>> evaluate(Activation(Hidden("0.1").channels), net, torch.ones(1, 3, 8, 8)).data.shape
    torch.Size([1, 4])
    """
    given = dict(given or {})
    check_given([content], given)
    validate([content], net)
    return evaluate_content(content, Context(net, net.read(x), given, [content]))


@singledispatch
def evaluate_content(content: Any, context: Context) -> Value:
    """The value of a content; register a function by type to add a kind of content."""
    raise WrongType(
        f"nothing evaluates a {type(content).__name__}; "
        "add a function with @evaluate_content.register"
    )


@evaluate_content.register
def _activation(content: Activation, context: Context) -> Value:
    source = content.source
    if isinstance(source.layer, Out):
        return _logits(source, source.layer, context)
    if isinstance(source.layer, Input):
        maps = context.x.float().cpu()
    elif source.atom == "group":
        sizes = context.directions(source).norm(dim=1)
        maps = context.scores(source) * sizes[:, None, None]
    else:
        maps = context.maps(source.layer.layer)
    tokens = _tokens(source, context)
    return _picked(_pooled_activation(source, maps, tokens))


def _pooled_activation(source: Substrate, maps: Tensor, tokens: Tensor | None) -> Value:
    """Channels and groups: mean over y, x; spatial, whole and tokens: L2 norm."""
    pooled = {
        "neuron": lambda: maps,
        "spatial": lambda: maps.norm(dim=1),
        "channel": lambda: maps.mean((2, 3)),
        "group": lambda: maps.mean((2, 3)),
        "whole": lambda: maps.flatten(1).norm(dim=1),
        "token": lambda: _some(tokens, source).norm(dim=2),
    }[source.atom]()
    kept = {"spatial": pooled, "channel": maps, "group": maps, "neuron": maps}.get(source.atom)
    axes = ("image", *SOURCE_AXES[source.atom])
    coords = spans(**dict(zip(axes, pooled.shape, strict=True)))
    return Value(pooled, axes, coords, "activation", source, maps=kept)


def _tokens(source: Substrate, context: Context) -> Tensor | None:
    wanted = source.atom == "token" and isinstance(source.layer, Hidden)
    return context.tokens(source.layer.layer) if wanted else None  # type: ignore[union-attr]


def _some(tokens: Tensor | None, source: Substrate) -> Tensor:
    if tokens is None or not tokens.shape[1]:
        raise InvalidArgument(f"{source.layer!r} has no class or register tokens")
    return tokens


def _logits(source: Substrate, out: Out, context: Context) -> Value:
    chosen = context.classes(out)
    data = context.logits[:, list(chosen)]
    coords = {**spans(image=len(data)), "class": chosen}
    return Value(data, ("image", "class"), coords, "logit", source)


@evaluate_content.register
def _attribution(content: Attribution, context: Context) -> Value:
    source, out = content.source, content.target.layer
    assert isinstance(out, Out)
    maps, residual, tokens, notes = _attribution_maps(content, out, context)
    atom = "tokens" if source.atom == "token" else source.atom
    found = to_atoms(atom, maps, tokens, residual)
    axes = ("image", "class", *found.axes)
    coords = spans(**dict(zip(axes, found.data.shape, strict=True)))
    has_positions = source.atom in ("neuron", "channel", "group", "spatial")
    return _picked(
        Value(
            found.data,
            axes,
            {**coords, "class": context.classes(out)},
            "logit",
            source,
            content.target,
            maps=(found.data if source.atom == "spatial" else maps) if has_positions else None,
            remainder=found.remainder,
            remainder_maps={} if residual is None else {"residual": residual},
            notes=notes,
        )
    )


def _attribution_maps(
    content: Attribution, out: Out, context: Context
) -> tuple[Tensor, Tensor | None, Tensor | None, tuple[str, ...]]:
    """(image, class, atom, y, x), the groups' residual, tokens, notes."""
    source, how = content.source, content.method
    if not isinstance(source.layer, Hidden):
        raise InvalidArgument("attribution to the input: use a hidden layer, or Captum directly")
    layer = source.layer.layer
    if isinstance(how, Given) and isinstance(context.object(how), Tensor):
        if source.atom == "group":
            raise InvalidArgument(
                "a tensor of attributions cannot be shared out among groups without its method; "
                "give the configured Captum instance instead"
            )
        maps = _given_maps(context.object(how), layer, out, context)
        return maps, None, None, (f"attribution given as a tensor named {how.name!r}",)
    if source.atom == "group":
        groups = context.attributed_groups(source, out, how)
        tokens = groups.tokens.cpu() if groups.tokens.shape[-1] else None
        return groups.maps.cpu(), groups.residual.cpu(), tokens, groups.notes
    _check_sums(context, layer, how, source)
    result = context.attributed(layer, out, how)
    tokens = result.tokens.cpu() if result.tokens.shape[2] else None
    return result.maps.cpu(), None, tokens, result.notes


def _check_sums(context: Context, layer: str, how: Method | Given, source: Substrate) -> None:
    method = context.method(layer, how)
    if source.atom != "neuron" and not method.contributes:
        raise UnsupportedMethod(
            f"{method.name} yields weights, not contributions: summed up to {source.atom} atoms "
            "they mean nothing; show neurons, or use a method that contributes, "
            "e.g. LayerGradientXActivation"
        )


def _given_maps(tensor: Tensor, layer: str, out: Out, context: Context) -> Tensor:
    """A tensor computed elsewhere, checked against the layer it claims to belong to."""
    expected = tuple(context.maps(layer).shape)
    given = tensor.detach().float().cpu()
    if tuple(given.shape) != expected:
        raise InvalidArgument(
            f"the attribution given has shape {tuple(given.shape)}; layer {layer!r} is {expected}"
        )
    if len(context.classes(out)) != 1:
        raise InvalidArgument("an attribution given as a tensor goes to one class, e.g. Out(207)")
    return given[:, None]


def _picked(value: Value) -> Value:
    """Only the atoms the substrate picks by number."""
    only = value.source.only
    return value if only is None else keep(value, value.source_axes[0], list(only))


@evaluate_content.register
def _filter(content: Filter, context: Context) -> Value:
    value = evaluate_content(content.content, context)
    if isinstance(content.at, Selection) or isinstance(content.to, Selection):
        raise InvalidArgument(
            "this filter follows a selection: bind it to a state, e.g. filter(at=(3, 4))"
        )
    if content.to is not None:
        value = _to(value, content.to)
    if content.at is not None:
        value = at(value, content.at)
    if content.above is not None:
        axis, strength = ranking(value)
        value = keep(value, axis, (strength > content.above).nonzero().flatten().tolist())
    if content.top or content.bottom or content.strongest:
        value = _ranked(value, content)
    return value


def _ranked(value: Value, content: Filter) -> Value:
    axis, high = ranking(value)
    low = ranking(value, "min")[1]
    chosen: list[int] = []
    for count, strength in (
        (content.strongest, torch.maximum(high.abs(), low.abs())),
        (content.top, high),
        (content.bottom, -low),
    ):
        if count:
            order = torch.argsort(strength, descending=True, stable=True)
            picks = order[:count].tolist()
            chosen += [pick for pick in picks if pick not in chosen]
    return keep(value, axis, chosen)


def ranking(value: Value, by: str = "max") -> tuple[str, Tensor]:
    """The source axis, and each atom's largest (or smallest) number over images and targets."""
    if len(value.source_axes) != 1:
        raise InvalidArgument(
            f"{value.source!r} cannot be ranked along one axis; name a place first: filter(at=...)"
        )
    flat = value.data.flatten(0, -2)
    return value.source_axes[0], flat.amax(0) if by == "max" else flat.amin(0)


def at(value: Value, place: int | tuple[int, ...]) -> Value:
    """One place of the source: its axes go, what lies elsewhere becomes a remainder."""
    axes: list[str] = [axis for axis in ("y", "x") if axis in value.source_axes]
    if not axes:
        axes = list(value.source_axes[:1])
    places = (place,) if isinstance(place, int) else place
    if len(places) != len(axes):
        raise InvalidArgument(f"at={place!r}: {value.source!r} is picked by ({', '.join(axes)})")
    total, data = value.total, value.data
    for axis, index in zip(axes, places, strict=True):
        size = data.shape[value.axis(axis)]
        if not 0 <= index < size:
            raise InvalidArgument(f"at={place!r}: {axis} runs from 0 to {size - 1}")
    for axis, index in sorted(zip(axes, places, strict=True), key=lambda p: -value.axis(p[0])):
        data = data.select(value.axis(axis), index)
    rest = tuple(axis for axis in value.axes if axis not in axes)
    coords = {axis: value.coords[axis] for axis in rest}
    picked = replace(value, data=data, axes=rest, coords=coords)
    elsewhere = total - picked.total
    return replace(picked, remainder={**value.remainder, "elsewhere": elsewhere})


def keep(value: Value, axis: str, indices: list[int]) -> Value:
    """Some places of an axis, in that order; the others become the remainder "not shown"."""
    size = value.data.shape[value.axis(axis)]
    if indices and not 0 <= min(indices) <= max(indices) < size:
        raise InvalidArgument(f"{value.source!r} has {size} {axis}s, no {max(indices)}")
    place, index = value.axis(axis), torch.tensor(indices, dtype=torch.long)
    data = value.data.index_select(place, index)
    coords = {**value.coords, axis: tuple(value.coords[axis][i] for i in indices)}
    maps = value.maps
    if maps is not None and axis in value.source_axes and value.source.atom != "spatial":
        maps = maps.index_select(place, index)
    picked = replace(value, data=data, coords=coords, maps=maps)
    picked = replace(picked, counts={**value.counts, axis: value.counts.get(axis, size)})
    left = value.total - picked.total
    shown_before = value.remainder.get("not shown", left.new_zeros(()))
    return replace(picked, remainder={**value.remainder, "not shown": shown_before + left})


def _to(value: Value, target: int | tuple[int, ...]) -> Value:
    """Some of the target classes, by their place in the axis."""
    indices = [target] if isinstance(target, int) else list(target)
    place, size = value.axis("class"), len(value.coords["class"])
    if not all(0 <= i < size for i in indices):
        raise InvalidArgument(f"to={target!r}: there are {size} classes, counted from 0")
    index = torch.tensor(indices)

    def pick(tensor: Tensor) -> Tensor:
        return tensor.index_select(place, index)

    return replace(
        value,
        data=pick(value.data),
        coords={**value.coords, "class": tuple(value.coords["class"][i] for i in indices)},
        maps=None if value.maps is None else pick(value.maps),
        remainder={name: pick(held) for name, held in value.remainder.items()},
        remainder_maps={name: pick(held) for name, held in value.remainder_maps.items()},
    )
