"""How one class is scored: by its logit, or by its log-odds against all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from captum_blocks.errors import UnknownName, did_you_mean

Score = Literal["logit", "log-odds"]
SCORES = ("logit", "log-odds")


def scored(scores: Tensor, target: int, score: str) -> Tensor:
    """One class's score, of logits (..., class).

    All logits of a softmax may rise together without any probability changing; the log-odds do
    not: log p / (1 - p) of the class, its logit minus the logsumexp of all others. Of a network
    with one output the logit is the log-odds.

    >>> scored(torch.tensor([[2.0, 1.0], [3.0, 2.0]]), 0, "log-odds").tolist()
    [1.0, 1.0]
    """
    logit = scores[..., target]
    if score == "logit" or scores.shape[-1] == 1:
        return logit
    others = torch.cat([scores[..., :target], scores[..., target + 1 :]], -1)
    return logit - others.logsumexp(-1)


def scored_each(scores: Tensor, targets: Sequence[int], score: str) -> Tensor:
    """Several classes' scores, of logits (..., class): (..., target).

    >>> scored_each(torch.tensor([2.0, 1.0, 0.0]), [2, 0], "logit").tolist()
    [0.0, 2.0]
    """
    if score == "logit" or scores.shape[-1] == 1:
        return scores[..., list(targets)]
    return torch.stack([scored(scores, target, score) for target in targets], -1)


def check_score(score: str) -> None:
    """Whether there is a score of that name.

    Raises:
        UnknownName: there is none.
    """
    if score not in SCORES:
        hint = did_you_mean(str(score), SCORES) or f"; there are {', '.join(SCORES)}"
        raise UnknownName(f"no score {score!r}{hint}")
