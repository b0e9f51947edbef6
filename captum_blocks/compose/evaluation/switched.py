"""What a network answers to every set of groups that is left, small enough for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Substrate
from captum_blocks.network.answers import Head


@dataclass(frozen=True, eq=False)
class Switches:
    """Answers with groups of a layer switched off in every combination; the rest of it stays.

    Attributes:
        of: the groups' layer, and how they are made.
        groups: those that have switches.
        scores: (image, subset, class), of the classes shown; bit i of a subset's number says that
            group i is there.
        rest: (image, subset), the logarithm of the sum of exponentials of all other classes.
        head: what the scores are.

    >>> from captum_blocks.grammar import Hidden
    >>> scores, rest = torch.zeros(1, 2, 1), torch.tensor([[0.0, -torch.inf]])
    >>> switches = Switches(Hidden("layer4").groups(1), (0,), scores, rest, "classes")
    >>> switches.row([]), [switches.probabilities(row).item() for row in (0, 1)]
    (1, [0.5, 1.0])
    """

    of: Substrate
    groups: tuple[int, ...]
    scores: Tensor
    rest: Tensor
    head: Head

    def row(self, off: Sequence[int]) -> int:
        """The subset in which some groups are missing.

        Raises:
            InvalidArgument: there is no such group, or it has no switch.
        """
        if wrong := [group for group in off if group not in self.groups]:
            raise InvalidArgument(
                f"off={list(off)}: group {wrong[0]} of {self.of!r} cannot be switched off; "
                f"groups {', '.join(map(str, self.groups))} can"
            )
        return sum(2**bit for bit, group in enumerate(self.groups) if group not in set(off))

    def probabilities(self, row: int) -> Tensor | None:
        """(image, class): of a subset; None where outputs are plain values."""
        scores = self.scores[:, row]
        if self.head == "classes":
            every = torch.cat([scores, self.rest[:, row, None]], 1).logsumexp(1, keepdim=True)
            return (scores - every).exp()
        if self.head == "labels":
            return scores.sigmoid()
        return scores if self.head == "probabilities" else None

    def select(self, axis: str, indices: Sequence[int]) -> Switches:
        """Some images, or some of the classes; the others join the rest."""
        places = torch.tensor(indices, dtype=torch.long)
        if axis == "image":
            return replace(self, scores=self.scores[places], rest=self.rest[places])
        left = [place for place in range(self.scores.shape[2]) if place not in set(indices)]
        others = torch.cat([self.scores[..., left], self.rest[..., None]], -1)
        return replace(self, scores=self.scores[..., places], rest=others.logsumexp(-1))
