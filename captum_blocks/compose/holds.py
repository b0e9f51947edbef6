"""How well the attributions of a chapter hold: facts, as the words of a chapter."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from captum_blocks.compose.assembly import holding, method
from captum_blocks.compose.evaluation.facts import Facts, Fit, Holding, place_name
from captum_blocks.compose.evaluation.frames import Frames, attributions
from captum_blocks.compose.evaluation.subsets import GAME_NAME


def sentences(shown: Sequence[Frames], facts: Facts) -> list[str]:
    """How well the attributions of a chapter hold, one sentence for each layer's atoms."""
    found: dict[tuple[Hashable, ...], list[Holding]] = {}
    for content in attributions(shown):
        if held := facts.holding.get(content):
            key = (content.source, held.by or content.method, held.missing)
            found.setdefault(key, []).append(held)
    return [holding.sentence(_compared(each, facts)) for each in found.values()]


def _compared(holds: Sequence[Holding], facts: Facts) -> holding.Compared:
    """What is said of attributions by one method, to one class or another."""
    one = max(holds, key=lambda each: len(each.classes))
    source, classes = one.content.source, dict.fromkeys(c for each in holds for c in each.classes)
    named = method.method_name(one.content.method, facts.given)
    exact = one.by == GAME_NAME
    return holding.Compared(
        atom=source.atom,
        layer=place_name(source),
        method="exact Shapley values" if exact else one.by or named,
        atoms=one.atoms,
        filled="" if one.removal is None else method.filled(one.removal),
        answers=len(classes),
        photographs=len(facts.photographs),
        k=one.k,
        agreements=tuple(map(_agreement, zip(*(each.fits for each in holds), strict=True))),
        exact=exact,
        missing=one.missing,
    )


def _agreement(fits: Sequence[Fit]) -> holding.Agreement:
    every = [each for fit in fits for each in fit.correlation.flatten().tolist()]
    shared = [each for fit in fits for each in fit.shared.flatten().tolist()]
    return holding.Agreement(fits[0].score, tuple(every), tuple(shared))
