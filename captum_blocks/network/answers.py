"""What a network's output numbers are, and what may be said of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from torch import Tensor

from captum_blocks.errors import InvalidArgument

Head = Literal["classes", "labels", "values"]


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


def printable(name: object) -> str:
    """A name as text that can be written to a file: bytes that are none become a question mark.

    >>> printable("caf\\udce9.jpg")
    'caf?.jpg'
    """
    return str(name).encode("utf-8", "replace").decode("utf-8")


def check_labels(labels: Sequence[str] | None, outputs: int, name: str) -> None:
    """Refuse fewer labels than a network has outputs.

    >>> check_labels(None, 1000, "ResNet")
    """
    if labels is not None and len(labels) < outputs:
        raise InvalidArgument(
            f"{len(labels)} labels for the {outputs} outputs of {name}: give one for each, or "
            "labels=None"
        )


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
    """(..., output) logits -> what may be said of each: probabilities, or the values themselves.

    >>> import torch
    >>> scores("labels", torch.zeros(2)).tolist()
    [0.5, 0.5]
    """
    if head == "classes":
        return logits.float().softmax(-1)
    return logits.float().sigmoid() if head == "labels" else logits.float()


def told(head: Head, score: float) -> str:
    """A score as printed: a probability in percent, a value as a number.

    >>> told("classes", 0.123), told("values", 3.14159)
    ('12.3%', '3.14')
    """
    return f"{score:.3g}" if head == "values" else f"{score:.1%}"


NAMED = {"classes": "class", "labels": "label", "values": "output"}
MEANING = {
    "classes": "classes exclude each other: probabilities by softmax",
    "labels": "each label stands for itself: probabilities by sigmoid",
    "values": "plain numbers, not probabilities",
}
