"""Feature accentuation: what in a photograph an objective responds to, made stronger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.optim.objectives import Combined, Copies, Objective, Seen, Shape, all_parts


@dataclass(frozen=True)
class Accentuation(Objective):
    """An objective, held back by the distance to the photograph's own activations.

    ``score - strength * balance * |f(x) - f(photo)|`` with the same transforms for both; the
    balance makes both gradients equally long and is set once, at the second step (Hamblin et al.,
    Feature Accentuation, 2024). For ``visualize(..., photo=x)``. Terms may be added to it or
    subtracted, it may be weighed by a positive number and copied; to join several objectives or
    turn one round, do so inside.

    Attributes:
        objective: what to accentuate.
        strength: how much the photograph holds it back.
        layer: where the distance is taken; ``"input"``: the pixels.

    >>> from captum_blocks.optim import Channel, TotalVariation
    >>> (Accentuation(Channel(3)) - 0.1 * TotalVariation()).label
    'accentuated channel 3 - 0.1 total variation'
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


def accentuation_in(objective: Objective) -> Accentuation | None:
    """The accentuation that an objective is, is a copy of, or adds terms to; None: there is none.

    Raises:
        InvalidArgument: there are several, or one where it does not hold a picture back.

    >>> from captum_blocks.optim import Channel
    >>> accentuation_in(2 * Accentuation(Channel(3)) + Channel(4)).label
    'accentuated channel 3'
    """
    found = [one for one in all_parts(objective) if isinstance(one, Accentuation)]
    if not found:
        return None
    if len(found) > 1:
        raise InvalidArgument(
            f"{objective.label!r} has {len(found)} accentuations, and a picture is held back once; "
            "join the objectives inside, e.g. Accentuation(Channel(3) + Channel(4))"
        )
    if not _is_held_back(objective):
        raise InvalidArgument(
            f"{objective.label!r} turns an accentuation round, which would push the picture away "
            "from its photograph; do it inside, e.g. Accentuation(-Channel(3))"
        )
    return found[0]


def _is_held_back(objective: object) -> bool:
    """Whether more of an objective's accentuation is always more of the objective."""
    if isinstance(objective, Accentuation):
        return True
    if isinstance(objective, Copies):
        return _is_held_back(objective.objective)
    if not isinstance(objective, Combined):
        return False
    left, right = objective.left, objective.right
    if objective.operator == "+":
        return _is_held_back(left) or _is_held_back(right)
    if objective.operator == "*" and _is_positive(left):
        return _is_held_back(right)
    return _is_held_back(left) and (objective.operator == "-" or _is_positive(right))


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and value > 0
