"""What a network's output numbers are, and what may be said of them."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from torch import Tensor

from captum_blocks.errors import InvalidArgument

# Half precision rounds a sum of a thousand probabilities by this much.
_ROUNDING = 1e-3
# Smaller probabilities would be printed as 0.0%, which they are not.
SMALLEST_TOLD = 5e-4
Head = Literal["classes", "labels", "values", "probabilities"]


class Prediction(NamedTuple):
    """One output a network considers: (index, label, probability).

    Attributes:
        index: of the output.
        label: its name.
        probability: of a class among others (softmax), or of a label by itself (sigmoid); where
            outputs are plain values, the value.

    >>> Prediction(207, "golden retriever", 0.5).label
    'golden retriever'
    """

    index: int  # type: ignore[assignment]
    label: str
    probability: float


def checked_head(head: str | None) -> Head | None:
    """A head by name; None is decided by how many outputs there are.

    Raises:
        InvalidArgument: there is no such head.

    >>> checked_head("labels")
    'labels'
    """
    if head is not None and head not in get_args(Head):
        raise InvalidArgument(f"head={head!r} is none of {', '.join(get_args(Head))}")
    return head  # type: ignore[return-value]


def head_for(head: Head | None, outputs: int) -> Head:
    """The head as declared; a single output is a plain value: of one class, softmax says 100 %.

    >>> head_for(None, 1), head_for(None, 10)
    ('values', 'classes')
    """
    return head or ("classes" if outputs > 1 else "values")


def scores(head: Head, logits: Tensor) -> Tensor:
    """(..., output) as returned -> what may be said of each: a probability, or the value itself.

    >>> import torch
    >>> scores("labels", torch.zeros(2)).tolist()
    [0.5, 0.5]
    """
    if head == "classes":
        return logits.float().softmax(-1)
    return logits.float().sigmoid() if head == "labels" else logits.float()


def told(head: Head, score: float) -> str:
    """A score as printed: a probability in percent, a value as a number.

    >>> told("classes", 0.123), told("classes", 0.0001), told("values", 3.14159)
    ('12.3%', 'under 0.1%', '3.14')
    """
    if head == "values":
        return f"{score:.3g}"
    return "under 0.1%" if 0 < score < SMALLEST_TOLD else f"{score:.1%}"


NAMED = {"classes": "class", "labels": "label", "values": "output", "probabilities": "class"}
UNITS = {
    "classes": "logit",
    "labels": "logit",
    "values": "output",
    "probabilities": "probability",
}
MEANING = {
    "classes": "classes exclude each other: probabilities by softmax",
    "labels": "each label stands for itself: probabilities by sigmoid",
    "values": "plain numbers, not probabilities",
    "probabilities": "probabilities, as the network returns them",
}


def sum_to_one(scores: Tensor) -> bool:
    """Whether each row of a table of scores is what softmax gives.

    >>> import torch
    >>> sum_to_one(torch.randn(2, 5).softmax(1)), sum_to_one(torch.zeros(2, 5))
    (True, False)
    """
    told = scores.detach().float()
    sums = bool(((told.sum(1) - 1).abs() < _ROUNDING).all())
    return told.shape[1] > 1 and between_zero_and_one(told) and sums


def between_zero_and_one(scores: Tensor) -> bool:
    """Whether all scores could be probabilities."""
    return bool(((scores >= -_ROUNDING) & (scores <= 1 + _ROUNDING)).all())
