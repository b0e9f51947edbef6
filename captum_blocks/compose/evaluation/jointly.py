"""What the atoms that a list shows do together, beside random ones that are as active."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_blocks.compose.evaluation.ablations import together
from captum_blocks.compose.evaluation.contents import value_of
from captum_blocks.compose.evaluation.facts import NONE_STAND_OUT
from captum_blocks.compose.evaluation.looking import Looking, layer_name
from captum_blocks.compose.evaluation.scoring import scoring
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.grammar import Ablation, Difference, Filter, Out
from captum_blocks.grammar.atoms import plural
from captum_blocks.numerals import number

RANDOM = 100
# A listed channel is compared with one of so many whose activation is nearest in size.
ALIKE = 20
SEED = 0
# Changes below this are rounding: behind a mean, the mean as filling changes nothing.
NOTHING = 1e-4
FEW = 5


def said_jointly(
    removed: Ablation | Difference, value: Value, session: Session
) -> dict[int, tuple[str, ...]]:
    """By photograph: sentences on what the channels of a list take from scores together.

    Beside them stand random sets of as many channels that are as active: where many of those change
    the score as much, no channel of the list stands out.

    Args:
        removed: the removals that the list was chosen by: of classes, or of one rather than
            another.
        value: the numbers of what it shows.
    """
    chosen = value.coords.get("channel", ())
    if value.source.atom != "channel" or not 1 < len(chosen) <= ALIKE:
        return {}
    look = session.of(value.source)
    if look.maps(layer_name(value.source)).shape[1] < len(chosen) + ALIKE:
        return {}
    if isinstance(removed, Ablation):
        return {image: _on_each(removed, value, look, image) for image in value.coords["image"]}
    pair = _Pair.of(removed, session)
    if pair is None:
        return {}
    return {image: pair.said(value, look, image) for image in value.coords["image"]}


def _on_each(content: Ablation, value: Value, look: Looking, image: int) -> tuple[str, ...]:
    """A sentence a class on all that is listed."""
    chosen, classes = value.coords["channel"], value.coords["class"]
    sets = [list(chosen), *random_alike(_activity(content, look, image), chosen)]
    unit = scoring(look, content.score)[1]
    taken = together(content, look, sets, classes)[image]
    named = [f"“{look.net.label(index)}”" for index in classes]
    those = f"these {len(chosen)}"
    told = (
        _sentences(row, those, len(chosen), f"{unit} of {name}", name)
        for name, row in zip(named, taken, strict=True)
    )
    return tuple(sentence for each in told for sentence in each)


def _activity(content: Ablation, look: Looking, image: int) -> Tensor:
    """(channel,): how active each is in a photograph."""
    return look.maps(layer_name(content.source))[image].abs().mean((1, 2))


@dataclass(frozen=True, eq=False)
class _Pair:
    """What removals take from one class rather than from another.

    Attributes:
        content: the removals.
        classes: the two.
        apart: (image, 1, channel), the loss of the first minus that of the second.
        chosen: whether a reader has chosen the two, among others.
    """

    content: Ablation
    classes: tuple[int, int]
    apart: Tensor
    chosen: bool

    @classmethod
    def of(cls, word: Difference, session: Session) -> _Pair | None:
        """Of the difference of removals of two classes; None of any other."""
        sides = [word.content, word.other]
        plain = [each.content if isinstance(each, Filter) else each for each in sides]
        values = [value_of(each, session) for each in sides]
        if not all(isinstance(each, Ablation) for each in plain):
            return None
        if any(each.axes != ("image", "class", "channel") for each in values):
            return None
        first, second = (each.coords["class"] for each in values)
        if len(first) != 1 or len(second) != 1:
            return None
        chosen = any(isinstance(each, Filter) for each in sides)
        apart = values[0].data - values[1].data
        return cls(plain[0], (first[0], second[0]), apart, chosen)  # type: ignore[arg-type]

    def said(self, value: Value, look: Looking, image: int) -> tuple[str, ...]:
        """A sentence on those that speak for the first, and one on those for the second."""
        listed, sizes = value.coords["channel"], self.apart[image, 0]
        sides = [
            sorted(channel for channel in listed if sign * float(sizes[channel]) > 0)
            for sign in (1, -1)
        ]
        names = [f"“{look.net.label(index)}”" for index in self.classes]
        score = f"{scoring(look, self.content.score)[1]} of {names[0]} minus those of {names[1]}"
        told = (
            _sentences(taken, f"the {len(side)} for {name}", len(side), score, name)
            for side, name, taken in zip(sides, names, self._taken(sides, look, image), strict=True)
            if len(side) > 1
        )
        return tuple(sentence for each in told for sentence in each)

    def _taken(self, sides: list[list[int]], look: Looking, image: int) -> tuple[Tensor, Tensor]:
        """(set,): of the channels of each side, then of random sets where those are tried.

        The two classes the other way round ask the network the same.
        """
        turned = self.classes[0] > self.classes[1]
        sides = sides[::-1] if turned else sides
        alike = [self._random(side, [*sides[0], *sides[1]], look, image) for side in sides]
        sets = [sides[0], *alike[0], sides[1], *alike[1]]
        losses = together(self.content, look, sets, self.classes)[image]
        first, second = (losses[0] - losses[1]).split([1 + len(each) for each in alike])
        return (second, first) if turned else (first, second)

    def _random(
        self, side: list[int], listed: list[int], look: Looking, image: int
    ) -> list[list[int]]:
        """Sets like one side; none where the reader has chosen others than the likeliest two."""
        if self.chosen and set(self.classes) != set(look.classes(Out(top=2))):
            return []
        return random_alike(_activity(self.content, look, image), side, never=listed)


def random_alike(size: Tensor, chosen: Sequence[int], never: Sequence[int] = ()) -> list[list[int]]:
    """Sets of other channels, each drawn from those nearest in size to one of the chosen.

    Args:
        size: (channel,).
        chosen: channels that are in none of the sets.
        never: others that are in none.
    """
    generator, taken = torch.Generator().manual_seed(SEED), {*chosen, *never}
    others = [channel for channel in size.argsort().tolist() if channel not in taken]
    sizes = size[others]
    nearest = [(sizes - size[one]).abs().argsort(stable=True)[:ALIKE].tolist() for one in chosen]
    found = []
    for _ in range(RANDOM):
        drawn: list[int] = []
        for near in nearest:
            free = [others[place] for place in near if others[place] not in drawn]
            drawn.append(free[int(torch.randint(len(free), (), generator=generator))])
        found.append(drawn)
    return found


def _sentences(taken: Tensor, those: str, count: int, score: str, name: str) -> list[str]:
    """What is found of a list, for a class, and whether it stands out."""
    said = [_sentence(taken, those, count, score)]
    return said if _stand_out(taken) else [*said, f"{NONE_STAND_OUT} for {name}"]


def _sentence(taken: Tensor, those: str, count: int, score: str) -> str:
    """On one score, of what those of the list take (first) and what random sets do."""
    own, tried, name = float(taken[0]), len(taken) - 1, plural("channel")
    if tried and float(taken.abs().max()) < NOTHING:
        return (
            f"neither {those}, taken away together, nor any of {tried} random sets of "
            f"{count} {name} as active change the {score}: with what fills their place this list "
            "says nothing"
        )
    told = f"taken away together, {those} change the {score} by {number(-own)}"
    if not tried:
        return told
    more = _as_much(taken)
    return f"{told}; of {tried} random sets of {count} {name} as active, {more} change it as much"


def _as_much(taken: Tensor) -> int:
    """How many random sets change the score at least as much as the list."""
    return int((taken[1:].abs() >= taken[0].abs()).sum())


def _stand_out(taken: Tensor) -> bool:
    """Whether the list does more than nearly all random sets do, or nothing can be told."""
    return float(taken.abs().max()) < NOTHING or _as_much(taken) < FEW
