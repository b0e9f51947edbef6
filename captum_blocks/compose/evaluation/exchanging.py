"""Exchanging whole layers between photographs, where part of the answer goes around them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import torch
from torch import Tensor

from captum_blocks.attr import scored
from captum_blocks.compose.evaluation.facts import Changes, Exchanged
from captum_blocks.compose.evaluation.looking import Looking
from captum_blocks.compose.evaluation.others import beside
from captum_blocks.compose.evaluation.scoring import scoring
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.errors import BlocksError
from captum_blocks.grammar import Hidden

# Relative to the largest output: what differs by less may come from another order of the same sums.
ROUNDING = 1e-5
FAILURES = (BlocksError, RuntimeError, ValueError, IndexError, TypeError)


def exchanged(session: Session, places: Iterable[Hidden]) -> dict[Hidden, Exchanged]:
    """What happens to answers with each layer exchanged; without those that cannot be.

    Args:
        session: whose photographs are explained, and which others the reader gave.
        places: layers that part of the answer goes around.
    """
    found = {}
    for place in places:
        with suppress(*FAILURES):  # it runs several times, or the network refuses the pictures
            others = session.question.others.get(session.question.named(place))
            found[place] = _exchanged(session.of(place), place.layer, others)
    return found


def _exchanged(look: Looking, layer: str, given: Tensor | None) -> Exchanged:
    engine = look.ablation(layer)
    tops = [look.net.ranked(row, 1)[0].index for row in look.logits]
    taken, put, before, invented = [], [], [], False
    for places, others in beside(look.x, given):
        found = engine.swapped(look.x[places], others.pictures)
        invented |= others.made_up
        for row, top in enumerate(tops[places]):
            taken.append(_changes(look, found.taken[row], found.own[row], top))
            put.append(_changes(look, found.put[row], found.others, top))
            before.append(_is_answer(look, found.others, top))
    return Exchanged(
        tuple(map(look.net.label, tops)),
        scoring(look, "log-odds")[1],
        look.unit,
        invented,
        _together(taken),
        _together(put),
        _stacked(before),
    )


def _changes(look: Looking, after: Tensor, before: Tensor, top: int) -> Changes:
    """Of (picture, class) logits after and before an exchange: (picture,) each."""
    score = scoring(look, "log-odds")[0]
    least = ROUNDING * float(torch.maximum(before.abs().max(), after.abs().max()))
    change = scored(after, top, score) - scored(before, top, score)
    every = (after - before).abs().mean(-1) if after.shape[-1] > 1 else None
    return Changes(
        _rounded(change, least),
        None if every is None else _rounded(every, least),
        _is_answer(look, after, top),
    )


def _rounded(change: Tensor, least: float) -> Tensor:
    return torch.where(change.abs() > least, change, 0.0).float().cpu()


def _is_answer(look: Looking, logits: Tensor, top: int) -> Tensor | None:
    """(picture,): whether a class is the top one; None where outputs do not compete."""
    outputs = logits.shape[-1]
    if outputs == 1 or look.net.head_of(outputs) == "values":
        return None
    return (logits.argmax(-1) == top).cpu()


def _together(changes: list[Changes]) -> Changes:
    return Changes(
        torch.stack([each.score for each in changes]),
        _stacked([each.every for each in changes]),
        _stacked([each.top for each in changes]),
    )


def _stacked(rows: list[Tensor | None]) -> Tensor | None:
    held = [row for row in rows if row is not None]
    return torch.stack(held) if held else None
