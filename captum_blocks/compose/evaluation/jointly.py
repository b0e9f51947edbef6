"""What the atoms that a list shows do together, beside random ones that are as active."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
    one_each = "image" not in value.labels  # a mean over photographs is of none of them
    if value.source.atom != "channel" or not one_each or not 0 < len(chosen) <= ALIKE:
        return {}
    if isinstance(removed, Ablation):
        if len(chosen) < 2:
            return {}
        return {image: _on_each(removed, value, session, image) for image in value.coords["image"]}
    pair = _Pair.of(removed, session)
    if pair is None:
        return {}
    return {image: pair.said(value, session, image) for image in value.coords["image"]}


def _on_each(content: Ablation, value: Value, session: Session, image: int) -> tuple[str, ...]:
    """A sentence a class on all that is listed."""
    look, chosen = session.of(content.source), value.coords["channel"]
    assert isinstance(content.target.layer, Out)
    classes = value.coords.get("class") or look.classes(content.target.layer)
    sets = [list(chosen), *random_alike(_activity(content, look, image), chosen)]
    unit = scoring(look, content.score)[1]
    taken = together(content, look, image, sets, classes)
    named = [f"“{look.net.label(index)}”" for index in classes]
    told = (
        _sentences(row, f"these {len(chosen)}", len(chosen), f"{unit} of {name}", name)
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
        apart: by photograph, (channel,), the loss of the first minus that of the second.
        chosen: whether a reader has chosen the two, among others.
    """

    content: Ablation
    classes: tuple[int, int]
    apart: Mapping[int, Tensor]
    chosen: bool

    @classmethod
    def of(cls, word: Difference, session: Session) -> _Pair | None:
        """Of one and the same removal, of two classes; None of any other difference."""
        sides = [word.content, word.other]
        plain = [each.content if isinstance(each, Filter) else each for each in sides]
        if not all(isinstance(each, Ablation) for each in plain):
            return None
        first, second = plain
        if replace(first, target=second.target) != second:  # type: ignore[type-var, attr-defined]
            return None
        values = [value_of(each, session) for each in sides]
        images, classes = (
            [each.coords.get(axis) for each in values] for axis in ("image", "class")
        )
        if any(each.axes != ("image", "class", "channel") for each in values):
            return None
        one_each = all(held is not None and len(held) == 1 for held in classes)
        if images[0] != images[1] or not one_each or classes[0] == classes[1]:
            return None
        rows = (values[0].data - values[1].data)[:, 0]
        apart = dict(zip(images[0], rows, strict=True))  # type: ignore[arg-type]
        chosen = any(isinstance(each, Filter) and each.to is not None for each in sides)
        return cls(first, (classes[0][0], classes[1][0]), apart, chosen)  # type: ignore[arg-type, index]

    def said(self, value: Value, session: Session, image: int) -> tuple[str, ...]:
        """A sentence on those that speak for the first, and one on those for the second."""
        look, sizes = session.of(self.content.source), self.apart[image]
        sides = [
            sorted(c for c in value.coords["channel"] if sign * float(sizes[c]) > 0)
            for sign in (1, -1)
        ]
        names = [f"“{look.net.label(index)}”" for index in self.classes]
        score = f"{scoring(look, self.content.score)[1]} of {names[0]} minus those of {names[1]}"
        told = (
            _sentences(taken, f"the {len(side)} for {name}", len(side), score, name)
            for side, name, taken in zip(sides, names, self._taken(sides, look, image), strict=True)
            if side
        )
        said = [sentence for each in told for sentence in each]
        tried = "random sets of channels are tried for the two likeliest answers alone"
        return tuple(said if self._tries(look, image) or not said else [*said, tried])

    def _taken(self, sides: list[list[int]], look: Looking, image: int) -> tuple[Tensor, Tensor]:
        """(set,): of the channels of each side, then of random sets where those are tried.

        The two classes the other way round ask the network the same.
        """
        turned = self.classes[0] > self.classes[1]
        sides = sides[::-1] if turned else sides
        alike = [self._random(side, [*sides[0], *sides[1]], look, image) for side in sides]
        sets = [sides[0], *alike[0], sides[1], *alike[1]]
        losses = together(self.content, look, image, sets, self.classes)
        first, second = (losses[0] - losses[1]).split([1 + len(each) for each in alike])
        return (second, first) if turned else (first, second)

    def _random(
        self, side: list[int], listed: list[int], look: Looking, image: int
    ) -> list[list[int]]:
        """Sets like one side, where they are tried."""
        if not side or not self._tries(look, image):
            return []
        return random_alike(_activity(self.content, look, image), side, never=listed)

    def _tries(self, look: Looking, image: int) -> bool:
        """Whether the two were given, or are the photograph's likeliest."""
        return not self.chosen or set(self.classes) == set(
            look.logits[image].argsort(descending=True)[:2].tolist()
        )


def random_alike(size: Tensor, chosen: Sequence[int], never: Sequence[int] = ()) -> list[list[int]]:
    """Sets of other channels, each drawn from those nearest in size to one of the chosen.

    Args:
        size: (channel,).
        chosen: channels that are in none of the sets.
        never: others that are in none.

    Returns:
        None at all of a layer that has too few others.
    """
    generator, taken = torch.Generator().manual_seed(SEED), {*chosen, *never}
    others = [channel for channel in size.argsort().tolist() if channel not in taken]
    if len(others) < ALIKE:
        return []
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
    nothing = len(taken) == 1 or float(taken.abs().max()) < NOTHING
    return nothing or _as_much(taken) < FEW
