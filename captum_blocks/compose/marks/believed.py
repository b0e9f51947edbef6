"""The mark of a panel: how far the attributions that it shows are to be believed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from captum_blocks.compose.evaluation.frames import attributions
from captum_blocks.grammar import Attribution, Hidden, Out, parts_of
from captum_blocks.scene import Sign

if TYPE_CHECKING:
    from captum_blocks.compose.marks.view import View

# Of several attributions the first of these is the panel's.
GRAVEST = ("refuted", "doubtful", "unknown", "clear")
NAME = "not compared with removal"
BETWEEN = "what layers do to each other is not compared with removals"
FACTORS = "factors of the answers are not compared with removals"
PICTURE = "parts of the picture are not compared with removals"


def sign(view: View) -> Sign | None:
    """How far a panel's numbers are to be believed; None where they are no attributions."""
    found = list(_signs(view))
    return min(found, key=lambda each: GRAVEST.index(each.level)) if found else None


def _signs(view: View) -> Iterator[Sign]:
    for content in attributions([view.frames]):
        if held := view.facts.weighed.get(content):
            yield Sign(held.level, held.phrase, f"{held.named}: {held.why}")
    for shown in view.frames.numbers:
        for part in parts_of(shown):
            if isinstance(part, Attribution) and (why := _unasked(part)):
                yield Sign("unknown", NAME, why)


def _unasked(part: Attribution) -> str:
    """Why an attribution is not compared with anything; empty where it is."""
    if not isinstance(part.target.layer, Out):
        return BETWEEN
    if part.target.grouping is not None:
        return FACTORS
    if not isinstance(part.source.layer, Hidden):
        return PICTURE
    # A whole layer is one number, beside which its panel tells what the layer's removal does.
    return ""
