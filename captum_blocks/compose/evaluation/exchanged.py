"""What happens to answers with a layer's output exchanged between pictures: data."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Changes:
    """How answers differ from what they were, one number a photograph and other picture.

    Attributes:
        score: (image, other), change of the score of the image's top class.
        every: (image, other), mean absolute change over all outputs of the network; None where
            there is one only.
        top: (image, other), whether the image's top class is the answer; None where outputs are
            values, or there is one only.

    >>> import torch
    >>> Changes(torch.tensor([[-0.5, 0.0]])).score.mean()
    tensor(-0.2500)
    """

    score: Tensor
    every: Tensor | None = None
    top: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Exchanged:
    """A layer that part of the answer goes around, exchanged whole between pictures.

    Attributes:
        labels: of each photograph, the name of its top class.
        unit: of the scores: "log-odds" (of a label that stands for itself, its logit), "output" or
            "probability".
        every: what all outputs are: "logit", "output" or "probability".
        made_up: whether the other pictures are no photographs.
        taken: each photograph's answer, with the layer's output taken from each other picture.
        put: each other picture's answer, with the photograph's output of the layer put into it.
        before: (image, other), whether the photograph's top class was the other's answer before;
            None where ``put.top`` is.

    >>> import torch
    >>> same = Changes(torch.zeros(1, 8))
    >>> Exchanged(("age",), "output", "output", True, same, same).others
    8
    """

    labels: tuple[str, ...]
    unit: str
    every: str
    made_up: bool
    taken: Changes
    put: Changes
    before: Tensor | None = None

    @property
    def others(self) -> int:
        """How many other pictures there are for each photograph."""
        return self.taken.score.shape[1]
