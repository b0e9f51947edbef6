"""Which classes are compared where removals and exchanges change them, and how they are scored."""

from __future__ import annotations

from captum_blocks.compose.evaluation.looking import Looking
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.errors import BlocksError
from captum_blocks.grammar import Out

# Ranks of fewer atoms say nothing.
FEWEST = 4
# Of more classes, the most probable ones are compared.
MOST_CLASSES = 5
# What is made for a comparison alone takes no longer, and may fail in these ways.
MOST_SECONDS = 10.0
FAILURES = (BlocksError, RuntimeError, ValueError, IndexError, TypeError)


def scoring(look: Looking, score: str) -> tuple[str, str]:
    """How the engine scores a network's classes, and the unit of that.

    The logit of a label that stands for itself is its log-odds; plain values and probabilities are
    taken as the network returns them.
    """
    if look.net.head_of(look.logits.shape[1]) == "classes":
        return score, score
    return "logit", score if look.unit == "logit" else look.unit


def compared_classes(value: Value, look: Looking) -> tuple[int, ...]:
    """The classes that are compared: all, or the most probable ones."""
    classes = value.coords["class"]
    if len(classes) <= MOST_CLASSES:
        return classes
    return (
        tuple(index for index in look.classes(Out(top=MOST_CLASSES)) if index in classes)
        or (classes[:MOST_CLASSES])
    )
