"""Every subset of a layer's groups: what the network answers, and what follows from that."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from captum_blocks.attr.odds import Score, check_score, scored
from captum_blocks.attr.shapley import coalitions, shapley_values
from captum_blocks.errors import InvalidArgument


@dataclass(frozen=True, eq=False)
class SubsetTable:
    """What the network answers to every subset of a layer's groups and the rest of the layer.

    The last player is the rest: what is in none of these groups, class and register tokens
    included. Where a player is absent, the filling stands in its place.

    Attributes:
        scores: (image, filling, subset, class), logits; several fillings where photographs were
            resampled.
        groups: which groups of the reducer the other players are.

    >>> table = SubsetTable(torch.tensor([0.0, 1.0, 2.0, 5.0])[None, None, :, None], (0,))
    >>> table.shapley(0).tolist(), table.removals(0).tolist()
    ([[2.0, 3.0]], [[3.0, 4.0]])
    """

    scores: Tensor
    groups: tuple[int, ...]

    @property
    def present(self) -> Tensor:
        """Which players each subset has, (subset, group + 1) of booleans, the rest last."""
        return coalitions(len(self.groups) + 1)

    def worth(self, target: int, score: Score = "logit") -> Tensor:
        """The score of each subset, (image, subset), averaged over fillings.

        Args:
            target: a class index.
            score: "logit" or "log-odds".

        Raises:
            InvalidArgument: there is no such class.
        """
        check_score(score)
        if not 0 <= target < self.scores.shape[-1]:
            raise InvalidArgument(
                f"class {target} does not exist: classes are 0 to {self.scores.shape[-1] - 1}"
            )
        return scored(self.scores, target, score).mean(1)

    def removals(self, target: int, score: Score = "logit") -> Tensor:
        """What each player's removal alone takes from the score, (image, group + 1)."""
        worth = self.worth(target, score)
        everybody = len(self.present) - 1
        alone = [everybody - 2**player for player in range(len(self.groups) + 1)]
        return worth[:, everybody, None] - worth[:, alone]

    def shapley(self, target: int, score: Score = "logit", residual: bool = True) -> Tensor:
        """Exact Shapley values of one of two games.

        Args:
            target: a class index.
            score: "logit" or "log-odds".
            residual: whether the rest of the layer is a player, too. Then the values sum to the
                score minus that of the layer filled whole. Otherwise it always stays, and they sum
                to the score minus that of the rest alone.

        Returns:
            (image, group + 1), the rest last, or (image, group).
        """
        worth = self.worth(target, score)
        if not residual:
            worth = worth[:, len(self.present) // 2 :]
        return shapley_values(worth.T).T

    def shapley_of_all(self, residual: bool = True) -> Tensor:
        """Exact Shapley values of every class's logit, (image, class, group + 1 or group).

        Args:
            residual: see ``shapley``.

        >>> table = SubsetTable(torch.tensor([0.0, 1.0, 2.0, 5.0])[None, None, :, None], (0,))
        >>> table.shapley_of_all().tolist()
        [[[2.0, 3.0]]]
        """
        worth = self.scores.mean(1)
        if not residual:
            worth = worth[:, len(self.present) // 2 :]
        return shapley_values(worth.transpose(0, 1)).permute(1, 2, 0)

    def interactions(self, target: int, score: Score = "logit") -> Tensor:
        """How much more two players do together than each alone, (image, group + 1, group + 1).

        v(all) - v(all but i) - v(all but j) + v(all but i and j): negative where either can stand
        in for the other, positive where both are needed. Zero on the diagonal.
        """
        worth, players = self.worth(target, score), len(self.groups) + 1
        everybody = len(self.present) - 1
        bits = 2 ** torch.arange(players)
        without = worth[:, everybody - bits]
        both = worth[:, (everybody - bits[:, None] - bits[None]).clamp(min=0)]
        found = worth[:, everybody, None, None] - without[:, :, None] - without[:, None] + both
        return found * (1 - torch.eye(players, dtype=found.dtype, device=found.device))
