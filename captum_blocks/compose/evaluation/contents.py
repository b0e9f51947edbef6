"""Content -> value, by type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import singledispatch
from typing import Any

from torch import Tensor, nn

from captum_blocks.attr.atoms import to_atoms
from captum_blocks.compose.evaluation.among import Among, among_of
from captum_blocks.compose.evaluation.factors import to_factors
from captum_blocks.compose.evaluation.looking import Looking, layer_name
from captum_blocks.compose.evaluation.pooling import pooled
from captum_blocks.compose.evaluation.question import asked, check_given
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.subsets import GAME, GAME_NAME, played
from captum_blocks.compose.evaluation.towards import target_scores
from captum_blocks.compose.evaluation.validation import validate
from captum_blocks.compose.evaluation.values import ALONE, Value, sides, spans
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, UnusableLayer, WrongType
from captum_blocks.grammar import (
    ATOMS,
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
    net: Network | nn.Module | Mapping[str, Network | nn.Module],
    x: Any,
    given: Mapping[str, Any] | None = None,
) -> Value:
    """The numbers of one content, without icons and without a page.

    Args:
        content: an activation, an attribution, or something made of them.
        net: the network; a plain module is one without labels. Several by name, for a content
            whose layers name theirs: ``Hidden("layer3", network="tuned")``.
        x: (image, ...), as ``net.read`` gives it; or a picture, which each network reads as it
            takes it.
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
    question = asked(net, x, dict(given or {}))
    check_given([content], question.given)
    validate([content], question)
    _refuse_selections(content)
    return value_of(content, Session(question, [content]))


def _refuse_selections(content: Content) -> None:
    for part in parts_of(content):
        if isinstance(part, Selection):
            raise InvalidArgument(
                f"{content!r} follows {part!r}, whose state the reader of a page changes: put a "
                "constant in its place, or show the content with cb.explain"
            )


def value_of(content: Content, session: Session) -> Value:
    """The value of a content, evaluated once in a session."""
    return session.once(("value", content), lambda: _evaluated(content, session))  # type: ignore[no-any-return]


def _evaluated(content: Content, session: Session) -> Value:
    value = evaluate_content(content, session)
    more = tuple(note for note in session.notes(content) if note not in value.notes)
    return replace(value, notes=(*value.notes, *more)) if more else value


@singledispatch
def evaluate_content(content: Any, session: Session) -> Value:
    """The value of a content; register a function by type to add a kind of content.

    >>> Activation in evaluate_content.registry
    True
    """
    raise WrongType(
        f"nothing evaluates a {type(content).__name__}; "
        "add a function with @evaluate_content.register"
    )


@evaluate_content.register
def _activation(content: Activation, session: Session) -> Value:
    source, look = content.source, session.of(content.source)
    if isinstance(source.layer, Out) and source.grouping is not None:
        raise InvalidArgument(
            f"{source!r}: factors of the output are a target, as in Attribution(layer.spatial, "
            "Out().groups(2))"
        )
    if isinstance(source.layer, Out):
        return _scores(source, source.layer, look)
    if isinstance(source.layer, Input):
        maps = look.x.float().cpu()
    elif source.grouping is not None:
        sizes = look.directions(source).norm(dim=1)
        maps = look.scores(source) * sizes[:, None, None]
    else:
        maps = look.maps(source.layer.layer)
    data, kept = pooled(source.atom, maps, _tokens(source, look))
    axes = ("image", *ATOMS[source.atom].axes)
    coords = spans(**dict(zip(axes, data.shape, strict=True)))
    among = _among(content, session)
    return picked(Value(data, axes, coords, "activation", source, maps=kept, among=among))


def _among(content: Activation, session: Session) -> Among | None:
    """What an activation stands among, where it names a data set."""
    if content.over is None or not isinstance(content.source.layer, Hidden):
        return None
    index = session.question.given[content.over.name]
    layer = session.of(content.source).net.name_of(content.source.layer.layer)
    return among_of(content.source, index, layer)


def _tokens(source: Substrate, look: Looking) -> Tensor | None:
    if source.atom != "token":
        return None
    held = look.tokens(source.layer.layer) if isinstance(source.layer, Hidden) else None
    return _some(held, source)


def tokens_stay(source: Substrate, look: Looking) -> tuple[str, ...]:
    """Where a layer has class or register tokens: that taking an atom away leaves them."""
    layer = layer_name(source)
    if source.atom in ("whole", "token") or not look.tokens(layer).shape[-2]:
        return ()
    stays = "are part of what is in no group" if source.atom == "group" else "stay as they are"
    return (
        f"class and register tokens of {layer} {stays}: only positions lose what is taken away",
    )


def _some(tokens: Tensor | None, source: Substrate) -> Tensor:
    """(image, [class,] token, channel), or an error where there is no token."""
    if tokens is None or not tokens.shape[-2]:
        raise InvalidArgument(f"{source.layer!r} has no class or register tokens")
    return tokens


def _scores(source: Substrate, out: Out, look: Looking) -> Value:
    chosen = look.classes(out)
    data = look.logits[:, list(chosen)]
    coords = {**spans(image=len(data)), "class": chosen}
    return Value(data, ("image", "class"), coords, look.unit, source)


@evaluate_content.register
def _attribution(content: Attribution, session: Session) -> Value:
    source, out = content.source, content.target.layer
    look = _one_network(content, session)
    if isinstance(content.method, Method) and content.method.otherwise is not None:
        return _by_either(content, content.method, session)
    if not isinstance(out, Out):
        return _between_layers(content, look)
    if content.target.grouping is not None:
        to_classes = value_of(replace(content, target=as_substrate(out)), session)
        return to_factors(to_classes, content.target, look)
    if content.by_subsets:
        return _by_subsets(content, look)
    if _is_many_at_once(content, look):
        return _to_many_classes(content, look)
    maps, residual, tokens, notes = _attribution_maps(content, out, look)
    tokens = _some(tokens, source) if source.atom == "token" else tokens
    found = to_atoms("tokens" if source.atom == "token" else source.atom, maps, tokens, residual)
    axes = ("image", "class", *found.axes)
    coords = spans(**dict(zip(axes, found.data.shape, strict=True)))
    mapped = found.data if source.atom == "spatial" else maps
    return picked(
        Value(
            found.data,
            axes,
            {**coords, "class": look.classes(out)},
            look.unit,
            source,
            content.target,
            maps=mapped if ATOMS[source.atom].places else None,
            remainder=found.remainder,
            remainder_maps={} if residual is None else {"residual": residual},
            notes=notes,
            ends=look.ends(source, look.classes(out)),
            sides=sides(found.data),
        )
    )


def _by_subsets(content: Attribution, look: Looking) -> Value:
    """Exact Shapley values of groups."""
    source, target = content.source, content.target
    assert isinstance(target.layer, Out)
    classes = look.classes(target.layer)
    found = played(source, classes, look)
    images, _, groups = found.groups.shape
    return picked(
        Value(
            found.groups,
            ("image", "class", "group"),
            {**spans(image=images, group=groups), "class": classes},
            look.unit,
            source,
            target,
            maps=found.group_maps,
            remainder={"residual": found.rest},
            notes=(GAME, *look.group_notes(source), *tokens_stay(source, look)),
            ends=look.ends(source, classes),
            sides=sides(found.groups),
            by=GAME_NAME,
            also={ALONE: found.alone, **found.also},
        )
    )


def _by_either(content: Attribution, method: Method, session: Session) -> Value:
    """By one method, or by another where the first cannot be used, which is said."""
    first, second = method.choices
    try:
        value = value_of(replace(content, method=first), session)
        return replace(value, by=value.by or first.name)
    except (UnusableLayer, UnsupportedMethod) as error:
        instead = value_of(replace(content, method=second), session)
        said = f"by {second.name}, not by {first.name}: {error}"
        return replace(instead, said=(said,), by=second.name)


def _one_network(content: Attribution, session: Session) -> Looking:
    """The look of the network that an attribution goes through.

    Raises:
        InvalidArgument: its ends are of two networks.
    """
    look = session.of(content.source)
    if session.of(content.target) is not look:
        raise InvalidArgument(
            f"{content!r} goes from one network to another; an attribution stays in one, and "
            "contents of several are compared with .difference(other)"
        )
    return look


def _is_many_at_once(content: Attribution, look: Looking) -> bool:
    """Whether there are so many classes that all atoms at once are faster than class by class."""
    plain = content.method == Method(DEFAULT_METHOD)
    countable = content.source.atom in ("spatial", "group", "whole")
    many = isinstance(content.target.layer, Out) and len(look.classes(content.target.layer)) > MANY
    return plain and countable and many


def _to_many_classes(content: Attribution, look: Looking) -> Value:
    """Gradient x activation of every atom to every class, all in one pass."""
    source, target = content.source, content.target
    assert isinstance(target.layer, Out)
    classes = look.classes(target.layer)
    data, rest = look.between(source, replace(target, only=classes), content.method)
    axes = ("image", "class", *ATOMS[source.atom].axes)
    coords = {**spans(**dict(zip(axes, data.shape, strict=True))), "class": classes}
    return picked(
        Value(
            _plain(data),
            axes,
            coords,
            look.unit,
            source,
            target,
            maps=_plain(data) if source.atom == "spatial" else None,
            remainder={name: _plain(held) for name, held in rest.items()},
            ends=look.ends(source, classes),
            sides=sides(_plain(data)),
        )
    )


def _between_layers(content: Attribution, look: Looking) -> Value:
    """From atoms of a layer to atoms of a later one."""
    source, target = content.source, content.target
    for substrate in (source, target):
        if substrate.atom == "token" and isinstance(substrate.layer, Hidden):
            _some(look.tokens(substrate.layer.layer), substrate)
    picks = source.only if source.atom == "channel" else None
    data, rest = look.between(source, target, content.method, picks)
    axes = ("image", *(f"to_{axis}" for axis in ATOMS[target.atom].axes))
    axes += ATOMS[source.atom].axes
    coords = spans(**dict(zip(axes, data.shape, strict=True)))
    if target.only is not None:
        coords[axes[1]] = target.only
    if picks is not None:
        coords["channel"], rest["not shown"] = picks, rest.pop("others")
    # Each target is taken out by itself: its numbers are to lie beside one another.
    held = _plain(data).contiguous()
    value = Value(
        held,
        axes,
        coords,
        "activation",
        source,
        target,
        maps=held if source.atom == "spatial" else None,
        remainder={name: _plain(part) for name, part in rest.items()},
        ends=target_scores(target, look),
    )
    if picks is None:
        return picked(value)
    return replace(value, counts={"channel": look.maps(layer_name(source)).shape[1]})


def _attribution_maps(
    content: Attribution, out: Out, look: Looking
) -> tuple[Tensor, Tensor | None, Tensor | None, tuple[str, ...]]:
    """(image, class, atom, y, x), the groups' residual, tokens, notes."""
    source, how = content.source, content.method
    layer = layer_name(source)
    if isinstance(how, Given) and isinstance(look.object(how), Tensor):
        if source.atom == "group":
            raise InvalidArgument(
                "a tensor of attributions cannot be shared out among groups without its method; "
                "give the configured Captum instance instead"
            )
        maps = _given_maps(look.object(how), layer, out, look)
        return maps, None, None, (f"attribution given as a tensor named {how.name!r}",)
    if source.atom == "group":
        groups = look.attributed_groups(source, out, how)
        tokens = _plain(groups.tokens) if groups.tokens.shape[-1] else None
        notes = (*groups.notes, *look.group_notes(source))
        return _plain(groups.maps), _plain(groups.residual), tokens, notes
    _check_sums(look, layer, how, source)
    result = look.attributed(layer, out, how)
    tokens = _plain(result.tokens) if result.tokens.shape[2] else None
    return _plain(result.maps), None, tokens, result.notes


def _plain(numbers: Tensor) -> Tensor:
    """Numbers as they are shown, whatever the network's device and type.

    In one piece: each state of a page picks some, and to pick from a view copies all of it.
    """
    return numbers.float().cpu().contiguous()


def _check_sums(look: Looking, layer: str, how: Method | Given, source: Substrate) -> None:
    method = look.method(layer, how)
    if source.atom != "neuron" and not method.contributes:
        raise UnsupportedMethod(
            f"{method.name} yields weights, not contributions: summed up to {source.atom} atoms "
            "they mean nothing; show neurons, or use a method that contributes, "
            "e.g. LayerGradientXActivation"
        )


def _given_maps(tensor: Tensor, layer: str, out: Out, look: Looking) -> Tensor:
    """A tensor computed elsewhere, checked against the layer it claims to belong to."""
    expected = tuple(look.maps(layer).shape)
    given = tensor.detach().float().cpu()
    if tuple(given.shape) != expected:
        raise InvalidArgument(
            f"the attribution given has shape {tuple(given.shape)}; layer {layer!r} is {expected}"
        )
    if len(look.classes(out)) != 1:
        raise InvalidArgument("an attribution given as a tensor goes to one class, e.g. Out(207)")
    return given[:, None]


def picked(value: Value) -> Value:
    """Only the source atoms the substrate picks by number."""
    only = value.source.only
    return value if only is None else value.keep(value.source_axes[0], only)
