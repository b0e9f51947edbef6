"""Where removing a group in a layer says the opposite of editing the picture where it fires."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from captum_blocks.attr import scored_each
from captum_blocks.grammar import ATOMS

# Changes below this size, in log-odds or logits, count as none; a quarter is a factor of 1.28.
LEAST = 0.25
MOST_SAID = 3
UNITS = ("log-odds", "logit")
MORAL = "removing what the layer says is not removing what is in the picture"


@dataclass(frozen=True, eq=False)
class Compared:
    """One photograph's logits: as they are, without each group, with each group's region edited.

    Attributes:
        own: (class,).
        removed, edited: (group, class).
        score: how a class is scored; see ``attr.scored``.
        exclusive: whether one class is the most probable: the network has no labels that stand for
            themselves, and no plain values.
    """

    own: Tensor
    removed: Tensor
    edited: Tensor
    score: str
    exclusive: bool = True

    def changes(self, group: int, classes: Sequence[int]) -> list[tuple[float, float]]:
        """What each class's score changes by without a group, and with its region edited."""
        own = scored_each(self.own, classes, self.score)
        removed, edited = (
            (scored_each(after[group], classes, self.score) - own).tolist()
            for after in (self.removed, self.edited)
        )
        return list(zip(removed, edited, strict=True))

    def tops(self, group: int) -> tuple[int, int, int]:
        """The class with the largest logit: as it is, without a group, with its region edited."""
        return (
            int(self.own.argmax()),
            int(self.removed[group].argmax()),
            int(self.edited[group].argmax()),
        )

    def lead(self, group: int, top: int, other: int) -> float:
        """How much further ahead of another class the first is in one case than in the other."""
        removed, edited = (
            after[group, top] - after[group, other] for after in (self.removed, self.edited)
        )
        return abs(float(removed - edited))


@dataclass(frozen=True)
class Words:
    """What sentences are made with.

    Attributes:
        unit: of the scores.
        layer: of the groups.
        edited: what was done to a region: "blurred" or "replaced".
        label: the name of a class.
    """

    unit: str
    layer: str
    edited: str
    label: Callable[[int], str]

    def named(self, index: int) -> str:
        """The name of a class in quotation marks."""
        return f"“{self.label(index)}”"


@dataclass(frozen=True)
class Found:
    """A disagreement on one group: how large it is, and the sentence."""

    size: float
    group: int
    said: str


def disagreements(
    compared: Compared, groups: Iterable[int], classes: Sequence[int], words: Words
) -> tuple[str, ...]:
    """At most three sentences, one a group, the largest disagreement first; none where there is
    none.

    Removal and edit disagree on a group where they change a class's score by at least a quarter
    each, in opposite directions; or where one of them makes another class the most probable and the
    other does not, with leads at least a quarter apart.

    Args:
        compared: logits of one photograph.
        groups: that are looked at.
        classes: whose scores are compared.
        words: the sentences' own.

    >>> import torch
    >>> logits = torch.tensor([3.0, 0.0]), torch.tensor([[2.0, 0.0]]), torch.tensor([[3.5, 0.0]])
    >>> words = Words("log-odds", "bn2", "blurred", ["tabby", "lynx"].__getitem__)
    >>> print(*disagreements(Compared(*logits, "log-odds"), [0], [0], words))
    without group 1's activity at bn2 the log-odds of “tabby” change by −1.00, with its region \
blurred by +0.50: removing what the layer says is not removing what is in the picture
    """
    if words.unit not in UNITS:
        return ()
    found: list[Found] = []
    for group in groups:
        here = [*_opposite(compared, group, classes, words), *_other_class(compared, group, words)]
        found += sorted(here, key=lambda each: -each.size)[:1]
    largest = sorted(found, key=lambda each: -each.size)[:MOST_SAID]
    said = [each.said for each in largest]
    return (*said[:-1], f"{said[-1]}: {MORAL}") if said else ()


def _opposite(
    compared: Compared, group: int, classes: Sequence[int], words: Words
) -> Iterator[Found]:
    """Classes whose score goes up in one case and down in the other."""
    change = "change" if words.unit == "log-odds" else "changes"
    changes = compared.changes(group, classes)
    for index, (removed, edited) in zip(classes, changes, strict=True):
        if removed * edited < 0 and min(abs(removed), abs(edited)) >= LEAST:
            yield Found(
                abs(removed - edited),
                group,
                f"without {_name(group)}'s activity at {words.layer} the {words.unit} of "
                f"{words.named(index)} {change} by {_signed(removed)}, with its region "
                f"{words.edited} by {_signed(edited)}",
            )


def _other_class(compared: Compared, group: int, words: Words) -> Iterator[Found]:
    """The most probable class gives way in one case and stays in the other."""
    top, removed, edited = compared.tops(group)
    if not compared.exclusive or (removed == top) == (edited == top):
        return
    new = edited if removed == top else removed
    if (apart := compared.lead(group, top, new)) < LEAST:
        return
    in_layer, in_picture = map(_signed, *compared.changes(group, [top]))
    activity, region = f"activity at {words.layer}", f"region {words.edited}"
    if removed == top:
        ways = f"with {_name(group)}'s {region}, and not without its {activity}"
        changes = f"{in_picture} and {in_layer}"
    else:
        ways = f"without {_name(group)}'s {activity}, and not with its {region}"
        changes = f"{in_layer} and {in_picture}"
    said = (
        f"{words.named(new)} becomes the most probable class {ways} ({words.unit} of "
        f"{words.named(top)} {changes})"
    )
    yield Found(apart, group, said)


def _signed(change: float) -> str:
    return f"{change:+.2f}".replace("-", "−")


def _name(group: int) -> str:
    return ATOMS["group"].label(group)
