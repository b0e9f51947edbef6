"""Feature accentuation: what in a photograph an objective responds to, made stronger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from captum_blocks.optim.objectives import Objective, Seen, Shape


@dataclass(frozen=True)
class Accentuation(Objective):
    """An objective, held back by the distance to the photograph's own activations.

    ``score - strength * balance * |f(x) - f(photo)|`` with the same transforms for both; the
    balance makes both gradients equally long and is set once, at the second step (Hamblin et al.,
    Feature Accentuation, 2024). For ``visualize(..., photo=x)``; not to be combined further.

    Attributes:
        objective: what to accentuate.
        strength: how much the photograph holds it back.
        layer: where the distance is taken.

    >>> from captum_blocks.optim import Channel
    >>> Accentuation(Channel(3)).label
    'accentuated channel 3'
    """

    objective: Objective
    strength: float = 1.0
    layer: str | None = None

    @property
    def label(self) -> str:
        """``accentuated`` and what."""
        return f"accentuated {self.objective.label}"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse what the objective refuses."""
        self.objective.check(shapes, default)

    def terms(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """The objective's score and the distance, (n,) each."""
        difference = seen.at(self.layer) - seen.reference[self.layer or seen.layer]
        # The small number keeps the gradient of the root finite at the photograph itself.
        distance = (difference.square().sum((1, 2, 3)) + 1e-12).sqrt()
        return self.objective.score(seen), distance

    def score(self, seen: Seen) -> Tensor:
        """The score, (n,)."""
        pull, hold = self.terms(seen)
        return pull - self.strength * seen.balance * hold
