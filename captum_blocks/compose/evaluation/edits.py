"""Edits of the photograph: what a score loses with each region blurred or replaced."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_blocks.attr import RegionEdit, SteadyRegionEdit, regions_of_maps, regions_of_places
from captum_blocks.compose.evaluation.ablations import losses, without_each
from captum_blocks.compose.evaluation.contents import evaluate_content, picked
from captum_blocks.compose.evaluation.disagreements import Compared, Words, disagreements
from captum_blocks.compose.evaluation.frames import MOST_PLACES
from captum_blocks.compose.evaluation.looking import Looking, layer_name
from captum_blocks.compose.evaluation.masks import filling_of, mask_of
from captum_blocks.compose.evaluation.scoring import scoring
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.values import REGION, Value, spans
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, UnusableLayer
from captum_blocks.grammar import ATOMS, Ablation, Edit, Out
from captum_blocks.numerals import percent


@evaluate_content.register
def _edit(content: Edit, session: Session) -> Value:
    source, look = content.source, session.of(content.source)
    if session.of(content.target) is not look:
        raise InvalidArgument(f"{content!r} goes from one network to another")
    assert isinstance(content.target.layer, Out)
    classes = look.classes(content.target.layer)
    own, after, shares = _edited(content, look)
    axes = ("image", "class", *ATOMS[source.atom].axes)
    data = losses(content, look, own, after[:, None], classes)
    data = data.reshape(*data.shape[:2], *_grid(content, look, data.shape[2]))
    coords = {**spans(**dict(zip(axes, data.shape, strict=True))), "class": classes}
    return picked(
        Value(
            data,
            axes,
            coords,
            scoring(look, content.score)[1],
            source,
            content.target,
            maps=data if source.atom == "spatial" else None,
            additive=False,
            said_in={
                image: _said(content, look, image, (own, after, shares))
                for image in range(len(data))
            },
            also=_sizes(content, shares, len(classes)),
        )
    )


def regions(content: Edit, look: Looking, image: int) -> Tensor:
    """(region, rows, columns) of one photograph, from 0 (stays) to 1 (edited).

    Raises:
        InvalidArgument: more places than the network is run for; a mask that does not fit.
        WrongType: the mask is none.
    """
    source, size = content.source, (look.x.shape[2], look.x.shape[3])
    if source.atom == "group":
        return regions_of_maps(look.scores(source)[image], size)
    if source.atom == "whole":
        return mask_of(content.mask, look.given, look.x)[0]
    grid = look.maps(layer_name(source)).shape[2:]
    if grid.numel() > MOST_PLACES:
        raise InvalidArgument(
            f"{source!r} has {grid.numel():,} places, and the whole network runs for each: "
            f"{MOST_PLACES} at most; take a later layer, or groups"
        )
    return look.once(("cells", grid, size), lambda: regions_of_places((grid[0], grid[1]), size))  # type: ignore[no-any-return]


def _edited(content: Edit, look: Looking) -> tuple[Tensor, Tensor, Tensor]:
    """(image, class), (image, region, class) and (image, region): logits as they are and with each
    region edited, and what share of the picture it is."""
    engine = look.once(("editing",), lambda: SteadyRegionEdit(look.net.module))
    fill = filling_of(content.fill, look.given, look.net, look.x)

    def asked() -> tuple[Tensor, Tensor, Tensor]:
        found = [_one(content, look, engine, fill, image) for image in range(len(look.x))]
        own, after, shares = zip(*found, strict=True)
        return torch.cat(own), torch.cat(after), torch.stack(shares)

    key = ("edited", content.source.layer, content.source.atom, content.source.grouping)
    return look.once((*key, content.fill, content.mask), asked)  # type: ignore[no-any-return]


def _one(
    content: Edit, look: Looking, engine: RegionEdit, fill: str | Tensor, image: int
) -> tuple[Tensor, Tensor, Tensor]:
    """What the engine answers of one photograph."""
    masks, one = regions(content, look, image), slice(image, image + 1)
    shares = masks.mean((1, 2))
    own = fill[one] if isinstance(fill, Tensor) else fill
    if not bool(masks.any()):  # nothing fires anywhere: nothing is edited
        logits = look.logits[one]
        return logits, logits[:, None].expand(-1, len(masks), -1), shares
    logits, after = engine.edited(look.x[one], masks[None], own)
    return logits.float().cpu(), after.float().cpu(), shares


def _grid(content: Edit, look: Looking, count: int) -> tuple[int, ...]:
    """How the regions are counted."""
    if content.source.atom == "whole":
        return ()
    if content.source.atom == "group":
        return (count,)
    return tuple(look.maps(layer_name(content.source)).shape[2:])


def _sizes(content: Edit, shares: Tensor, classes: int) -> dict[str, Tensor]:
    """(image, class, group): how much of the picture each group's region is."""
    of_groups = content.source.atom == "group"
    return {REGION: shares[:, None].expand(-1, classes, -1)} if of_groups else {}


def _said(
    content: Edit, look: Looking, image: int, edited: tuple[Tensor, Tensor, Tensor]
) -> tuple[str, ...]:
    """What is said with the numbers of one photograph."""
    own, after, shares = (held[image] for held in edited)
    if content.source.atom == "whole":
        part = "the region is" if content.mask is not None else "edited is all,"
        return (f"{part} {percent(float(shares[0]))} of the picture",)
    if content.source.atom == "spatial":
        return (f"each region is {percent(float(shares.mean()))} of the picture",)
    return _apart(content, look, image, own, after)


def _apart(content: Edit, look: Looking, image: int, own: Tensor, after: Tensor) -> tuple[str, ...]:
    """Where the removal of a group in the layer says the opposite, if it can be removed."""
    removal = Ablation(content.source, content.target, score=content.score)
    try:
        _, without = without_each(removal, look)
    except (UnusableLayer, UnsupportedMethod):
        return ()
    score, unit = scoring(look, content.score)
    exclusive = look.net.head_of(len(own)) == "classes"
    removed = without[image, 0].float().cpu()
    compared = Compared(own, removed, after, score, exclusive)
    assert isinstance(content.target.layer, Out)
    words = Words(
        unit,
        layer_name(content.source),
        "blurred" if content.fill == "blur" else "replaced",
        look.net.label,
    )
    groups = content.source.only or range(len(removed))
    return disagreements(compared, groups, look.classes(content.target.layer), words)
