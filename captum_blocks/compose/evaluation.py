"""Content -> value, by type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import singledispatch
from typing import Any

from torch import Tensor, nn

from captum_blocks.attr.atoms import to_atoms
from captum_blocks.compose.context import Context, check_given, layer_name
from captum_blocks.compose.factors import to_factors
from captum_blocks.compose.picking import keep
from captum_blocks.compose.validation import validate
from captum_blocks.compose.values import SOURCE_AXES, Value, spans
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, WrongType
from captum_blocks.grammar import (
    Activation,
    Attribution,
    Content,
    Given,
    Hidden,
    Input,
    Method,
    Out,
    Selection,
    Substrate,
    as_substrate,
    parts_of,
)
from captum_blocks.grammar.content import DEFAULT_METHOD
from captum_blocks.network import Network

# From so many classes on, all atoms to all classes at once beat Captum class by class.
MANY = 16


def evaluate(
    content: Content,
    net: Network | nn.Module,
    x: Tensor,
    given: Mapping[str, Any] | None = None,
) -> Value:
    """The numbers of one content, without icons and without a page.

    Args:
        content: an activation, an attribution, or something made of them.
        net: the network; a plain module is one without labels.
        x: (image, ...), as ``net.read`` gives it.
        given: the objects that ``Given`` words name.

    Raises:
        BlocksError: anything that cannot be evaluated, before long work starts.

    >>> import torch
    >>> from captum_blocks.network import Preprocess
    >>> body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    >>> head = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 2))
    >>> net = Network(torch.nn.Sequential(body, head), Preprocess(size=8))
    >>> evaluate(Activation(Hidden("0.1").channels), net, torch.ones(1, 3, 8, 8)).data.shape
    torch.Size([1, 4])
    """
    net, given = net if isinstance(net, Network) else Network(net), dict(given or {})
    check_given([content], given)
    validate([content], net)
    _refuse_selections(content)
    return value_of(content, Context(net, net.read(x), given, [content]))


def _refuse_selections(content: Content) -> None:
    for part in parts_of(content):
        if isinstance(part, Selection):
            raise InvalidArgument(
                f"{content!r} follows {part!r}, whose state the reader of a page changes: put a "
                "constant in its place, or show the content with cb.explain"
            )


def value_of(content: Content, context: Context) -> Value:
    """The value of a content, evaluated once in a context."""
    return context.once(("value", content), lambda: _noted(content, context))  # type: ignore[no-any-return]


def _noted(content: Content, context: Context) -> Value:
    """The value with what is to be said of the network's passes, where it does not say so."""
    value = evaluate_content(content, context)
    more = tuple(note for note in context.notes(content) if note not in value.notes)
    return replace(value, notes=(*value.notes, *more)) if more else value


@singledispatch
def evaluate_content(content: Any, context: Context) -> Value:
    """The value of a content; register a function by type to add a kind of content.

    >>> Activation in evaluate_content.registry
    True
    """
    raise WrongType(
        f"nothing evaluates a {type(content).__name__}; "
        "add a function with @evaluate_content.register"
    )


@evaluate_content.register
def _activation(content: Activation, context: Context) -> Value:
    source = content.source
    if isinstance(source.layer, Out) and source.atom == "group":
        raise InvalidArgument(
            f"{source!r}: factors of the output are a target, as in Attribution(layer.spatial, "
            "Out().groups(2))"
        )
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
    """(image, [class,] token, channel), or an error where there is no token."""
    if tokens is None or not tokens.shape[-2]:
        raise InvalidArgument(f"{source.layer!r} has no class or register tokens")
    return tokens


def _logits(source: Substrate, out: Out, context: Context) -> Value:
    chosen = context.classes(out)
    data = context.logits[:, list(chosen)]
    coords = {**spans(image=len(data)), "class": chosen}
    return Value(data, ("image", "class"), coords, context.unit, source)


@evaluate_content.register
def _attribution(content: Attribution, context: Context) -> Value:
    source, out = content.source, content.target.layer
    if not isinstance(out, Out):
        return _between_layers(content, context)
    if content.target.atom == "group":
        to_classes = value_of(replace(content, target=as_substrate(out)), context)
        return to_factors(to_classes, content.target, context)
    if _is_many_at_once(content, context):
        return _to_many_classes(content, context)
    maps, residual, tokens, notes = _attribution_maps(content, out, context)
    atom = "tokens" if source.atom == "token" else source.atom
    if source.atom == "token":
        tokens = _some(tokens, source)
    found = to_atoms(atom, maps, tokens, residual)
    axes = ("image", "class", *found.axes)
    coords = spans(**dict(zip(axes, found.data.shape, strict=True)))
    has_positions = source.atom in ("neuron", "channel", "group", "spatial")
    return _picked(
        Value(
            found.data,
            axes,
            {**coords, "class": context.classes(out)},
            context.unit,
            source,
            content.target,
            maps=(found.data if source.atom == "spatial" else maps) if has_positions else None,
            remainder=found.remainder,
            remainder_maps={} if residual is None else {"residual": residual},
            notes=notes,
        )
    )


def _is_many_at_once(content: Attribution, context: Context) -> bool:
    """Whether there are so many classes that all atoms at once are faster than class by class."""
    plain = content.method == Method(DEFAULT_METHOD)
    countable = content.source.atom in ("spatial", "group", "whole")
    many = (
        isinstance(content.target.layer, Out) and len(context.classes(content.target.layer)) > MANY
    )
    return plain and countable and many


def _to_many_classes(content: Attribution, context: Context) -> Value:
    """Gradient x activation of every atom to every class, all in one pass."""
    source, target = content.source, content.target
    assert isinstance(target.layer, Out)
    classes = context.classes(target.layer)
    data, rest = context.between(source, replace(target, only=classes), content.method)
    axes = ("image", "class", *SOURCE_AXES[source.atom])
    coords = {**spans(**dict(zip(axes, data.shape, strict=True))), "class": classes}
    return _picked(
        Value(
            _plain(data),
            axes,
            coords,
            context.unit,
            source,
            target,
            maps=_plain(data) if source.atom == "spatial" else None,
            remainder={name: _plain(held) for name, held in rest.items()},
        )
    )


def _between_layers(content: Attribution, context: Context) -> Value:
    """From atoms of a layer to atoms of a later one."""
    source, target = content.source, content.target
    for substrate in (source, target):
        if substrate.atom == "token" and isinstance(substrate.layer, Hidden):
            _some(context.tokens(substrate.layer.layer), substrate)
    data, rest = context.between(source, target, content.method)
    axes = ("image", *(f"to_{axis}" for axis in SOURCE_AXES[target.atom]))
    axes += SOURCE_AXES[source.atom]
    coords = spans(**dict(zip(axes, data.shape, strict=True)))
    if target.only is not None:
        coords[axes[1]] = target.only
    value = Value(
        _plain(data),
        axes,
        coords,
        "activation",
        source,
        target,
        maps=_plain(data) if source.atom == "spatial" else None,
        remainder={name: _plain(held) for name, held in rest.items()},
    )
    return _picked(value)


def _attribution_maps(
    content: Attribution, out: Out, context: Context
) -> tuple[Tensor, Tensor | None, Tensor | None, tuple[str, ...]]:
    """(image, class, atom, y, x), the groups' residual, tokens, notes."""
    source, how = content.source, content.method
    layer = layer_name(source)
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
        tokens = _plain(groups.tokens) if groups.tokens.shape[-1] else None
        notes = (*groups.notes, *context.group_notes(source))
        return _plain(groups.maps), _plain(groups.residual), tokens, notes
    _check_sums(context, layer, how, source)
    result = context.attributed(layer, out, how)
    tokens = _plain(result.tokens) if result.tokens.shape[2] else None
    return _plain(result.maps), None, tokens, result.notes


def _plain(numbers: Tensor) -> Tensor:
    """Numbers as they are shown, whatever the network's device and type.

    In one piece: each state of a page picks some, and to pick from a view copies all of it.
    """
    return numbers.float().cpu().contiguous()


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
    """Only the source atoms the substrate picks by number."""
    only = value.source.only
    return value if only is None else keep(value, value.source_axes[0], list(only))
