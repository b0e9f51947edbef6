"""Ablations: what a score loses without each atom, as numbers of the grammar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from captum_blocks.attr import LayerAblation, scored_each
from captum_blocks.compose.evaluation.contents import evaluate_content, picked, tokens_stay
from captum_blocks.compose.evaluation.looking import Looking, layer_name
from captum_blocks.compose.evaluation.scoring import scoring
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.values import Value, spans
from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.grammar import ATOMS, Ablation, Given, Out
from captum_blocks.grammar.interventions import Intervention


@evaluate_content.register
def _ablation(content: Ablation, session: Session) -> Value:
    source, look = content.source, session.of(content.source)
    if session.of(content.target) is not look:
        raise InvalidArgument(f"{content!r} goes from one network to another")
    if source.atom == "token" and not look.tokens(layer_name(source)).shape[-2]:
        raise InvalidArgument(f"{source.layer!r} has no class or register tokens")
    assert isinstance(content.target.layer, Out)
    classes = look.classes(content.target.layer)
    data = losses(content, look, *without_each(content, look), classes)
    if source.atom == "neuron":
        data = _of_positions(data, look, layer_name(source))
    axes = ("image", "class", *ATOMS[source.atom].axes)
    data = data.reshape(*data.shape[:2], *data.shape[2 : len(axes)])
    coords = {**spans(**dict(zip(axes, data.shape, strict=True))), "class": classes}
    return picked(
        Value(
            data,
            axes,
            coords,
            scoring(look, content.score)[1],
            source,
            content.target,
            maps=data if source.atom in ("spatial", "neuron") else None,
            notes=tokens_stay(source, look),
            additive=False,
        )
    )


def losses(
    content: Intervention, look: Looking, own: Tensor, without: Tensor, classes: Sequence[int]
) -> Tensor:
    """(image, class, *atoms): each score minus the score without, averaged over fillings."""
    score = scoring(look, content.score)[0]
    before = scored_each(own, classes, score)
    after = scored_each(without, classes, score).mean(1).movedim(-1, 1)
    taken: Tensor = before.reshape(*before.shape, *(1,) * (after.ndim - 2)) - after
    return taken.float().cpu()


def without_each(content: Ablation, look: Looking) -> tuple[Tensor, Tensor]:
    """(image, class) and (image, filling, *atoms, class): logits as they are, and without each."""
    key = ("without", content.source, content.fill, content.others)
    atom = look.atom(content.source)
    return look.once(  # type: ignore[no-any-return]
        key, lambda: _asked(content, look, lambda engine, x, **how: engine.without(x, atom, **how))
    )


def together(
    content: Ablation,
    look: Looking,
    image: int,
    sets: Sequence[Sequence[int]],
    classes: Sequence[int],
) -> Tensor:
    """(class, set): what all atoms of a set take from one photograph's scores together."""
    atom, named = look.atom(content.source), tuple(map(tuple, sets))

    def ask(engine: LayerAblation, x: Tensor, **how: Any) -> tuple[Tensor, Tensor]:
        return engine.together(x, sets, atom, **how)

    own, without = look.once(
        ("together", content.source, content.fill, content.others, image, named),
        lambda: _asked(content, look, ask, [image]),
    )
    return losses(content, look, own, without, classes)[0]


def _asked(
    content: Ablation,
    look: Looking,
    ask: Callable[..., tuple[Tensor, Tensor]],
    images: Sequence[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """What the engine answers of photographs, all unless given, with the content's fillings."""
    engine = look.ablation(layer_name(content.source))
    fill = look.object(content.fill) if isinstance(content.fill, Given) else content.fill
    if isinstance(content.fill, Given) and not isinstance(fill, Tensor):
        raise WrongType(
            f"given {content.fill.name!r} fills a layer, so it is a tensor, not a "
            f"{type(fill).__name__}"
        )
    if content.fill != "resample":
        return ask(engine, look.x if images is None else look.x[list(images)], fill=fill)
    found = []
    for image in range(len(look.x)) if images is None else images:
        others = photographs_beside(content.others, look, image)
        found.append(ask(engine, look.x[image : image + 1], fill=fill, others=others))
    own, without = zip(*found, strict=True)
    return torch.cat(own), torch.cat(without)


def photographs_beside(others: Given | None, look: Looking, image: int) -> Tensor:
    """(photograph, ...): those given, or all that are explained together but one.

    Raises:
        InvalidArgument: there are none.
        WrongType: what was given are no photographs.
    """
    if others is None:
        beside = torch.cat([look.x[:image], look.x[image + 1 :]])
        if not len(beside):
            raise InvalidArgument(
                "fill='resample' puts in what other photographs have there, and one is explained "
                "alone: explain several together, or give others=Given('name')"
            )
        return beside
    held = look.object(others)
    if isinstance(held, Tensor):
        return look.net.read(held)
    if not isinstance(held, (list, tuple)) or not held:
        raise WrongType(f"given {others.name!r} are photographs: a list of them, or a tensor")
    return torch.cat([look.net.read(each) for each in held])


def _of_positions(data: Tensor, look: Looking, layer: str) -> Tensor:
    """Numbers shaped like the layer as (image, class, channel, y, x); tokens are left out."""
    maps: Tensor = look.layout(layer).to_maps(data.flatten(0, 1))
    return maps.unflatten(0, data.shape[:2]).contiguous()  # type: ignore[no-any-return]
