"""How well attributions hold: beside single removals, where a page has those or they are quick."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod

from torch import Tensor

from captum_blocks.attr.faithful import compared, rank_correlation, top_overlap
from captum_blocks.attr.tail import at_most
from captum_blocks.compose.evaluation.contents import value_of
from captum_blocks.compose.evaluation.facts import Fit, Holding
from captum_blocks.compose.evaluation.frames import Frames, attributions
from captum_blocks.compose.evaluation.scoring import (
    FAILURES,
    FEWEST,
    MOST_SECONDS,
    compared_classes,
    scoring,
)
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.errors import UnsupportedMethod
from captum_blocks.grammar import Ablation, Attribution, Out, Substrate, parts_of
from captum_blocks.grammar.interventions import SCORES

# Removals made for this alone: so many places at most.
MOST_PLACES = 784
# Of few atoms the strongest are most of them.
FEW = 8


def holding(session: Session, shown: Sequence[Frames]) -> dict[Attribution, Holding]:
    """How well the attributions shown hold; without those of which nothing is to be said.

    What stands in an atom's place is what stands there in removals that are shown, or else zero.
    """
    removals: dict[Substrate, Ablation] = {}
    for part in (part for each in shown for word in each.numbers for part in parts_of(word)):
        if isinstance(part, Ablation):
            removals.setdefault(replace(part.source, only=None), part)
    found = {}
    for content in dict.fromkeys(attributions(shown)):
        held = _holding(content, removals.get(content.source), session)
        if held is not None:
            found[content] = held
    return found


def _holding(content: Attribution, shown: Ablation | None, session: Session) -> Holding | None:
    """What is said of one attribution; None where nothing is."""
    if content.source.atom == "neuron":
        return Holding(content, missing="neurons")
    value, look = value_of(content, session), session.of(content.source)
    atoms = prod(value.data.shape[2:])
    if atoms < FEWEST or (content.source.atom == "spatial" and atoms > MOST_PLACES):
        return None
    classes = compared_classes(value, look)
    removal = _removal(content, classes, shown)
    held = Holding(content, removal, value.by, atoms, classes=classes)
    # What cannot be taken away is not tried again for other classes.
    key = ("no removals", removal.source, removal.fill, removal.others)
    if missing := session.once(key, partial(_tried, removal, session)):
        return replace(held, missing=missing)
    places = [value.coords["class"].index(index) for index in classes]
    numbers, k = value.data[:, places].flatten(2), compared(atoms) if atoms > FEW else 0
    # Logits of classes that exclude each other are one thing, their log-odds another.
    scores = SCORES if look.net.head_of(look.logits.shape[1]) == "classes" else SCORES[:1]
    removals = [replace(removal, score=score) for score in scores]
    return replace(held, k=k, fits=tuple(_fit(numbers, each, k, session) for each in removals))


def _removal(content: Attribution, classes: Sequence[int], shown: Ablation | None) -> Ablation:
    """Single removals of an attribution's atoms, filled as those that are shown."""
    target = Out(*classes, network=content.target.layer.network)
    if shown is None:
        return Ablation(content.source, target)
    return Ablation(content.source, target, shown.fill, others=shown.others)


def _tried(removal: Ablation, session: Session) -> str:
    """Why atoms cannot be taken away one by one on a page; empty where they can."""
    try:
        with at_most(MOST_SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what there is to warn of, the page's passes have said
            value_of(removal, session)
    except UnsupportedMethod:
        return "long"
    except FAILURES:  # it runs several times, or the network refuses what is put in
        return "fixed"
    return ""


def _fit(numbers: Tensor, removal: Ablation, k: int, session: Session) -> Fit:
    taken = value_of(removal, session).data.flatten(2)
    shared = top_overlap(numbers, taken, k) * k if k else taken.new_zeros(taken.shape[:2])
    unit = scoring(session.of(removal.source), removal.score)[1]
    return Fit(unit, rank_correlation(numbers, taken), shared.round().int())
