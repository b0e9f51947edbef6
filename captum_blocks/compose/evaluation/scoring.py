"""How a network's classes are scored where removals and exchanges change them."""

from __future__ import annotations

from captum_blocks.compose.evaluation.looking import Looking


def scoring(look: Looking, score: str) -> tuple[str, str]:
    """How the engine scores a network's classes, and the unit of that.

    The logit of a label that stands for itself is its log-odds; plain values and probabilities are
    taken as the network returns them.
    """
    if look.net.head_of(look.logits.shape[1]) == "classes":
        return score, score
    return "logit", score if look.unit == "logit" else look.unit
