"""What rows of one answer rather than another need besides the effects: answers without a group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from captum_blocks.compose.evaluation.frames import Frames
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, UnusableLayer
from captum_blocks.grammar import (
    Ablation,
    Activation,
    Attribution,
    Content,
    Edit,
    FeatureVis,
    Out,
)


@dataclass(frozen=True, eq=False)
class Rivals:
    """Answers without groups, in the states of the element's content.

    Attributes:
        pair: the two classes that are shown first.
        scores: of all classes, as they are.
        answers: the same without the groups that are switched off, with the table of all sets.
        removed: what every class's logit loses without each group alone.
        edited: what it loses with each group's region of the photograph blurred; None where groups
            have none.
        unlike: the same of the answers that it opens with; it says where the two disagree.
        missing: why there is nothing of that.
    """

    pair: tuple[int, int]
    scores: Frames
    answers: Frames | None = None
    removed: Frames | None = None
    edited: Frames | None = None
    unlike: Frames | None = None
    missing: str = ""

    @property
    def all(self) -> tuple[Frames, ...]:
        """Everything that was evaluated for it."""
        held = (self.scores, self.answers, self.removed, self.edited, self.unlike)
        return tuple(each for each in held if each is not None)


def rivals(element: FeatureVis, evaluate: Callable[[Content], Frames]) -> Rivals:
    """What an element of rows "versus" shows besides its content.

    Args:
        element: its content is an attribution of classes to groups.
        evaluate: a content in every state.

    Raises:
        InvalidArgument: it is another content, or its rivals are none of its answers.
    """
    content = element.content
    if not isinstance(content, Attribution) or content.source.grouping is None:
        raise InvalidArgument(
            f"{element!r}: arrangement='versus' shows what groups did to classes, as in "
            "FeatureVis(Attribution(layer.groups(6), Out()), arrangement='versus')"
        )
    if not isinstance(content.target.layer, Out) or content.target.grouping is not None:
        raise InvalidArgument(f"{element!r}: the target of arrangement='versus' is Out(...)")
    groups, every = content.source, Out()
    scores = evaluate(Activation(every))
    choices = evaluate(content).values[0].coords["class"]
    named = evaluate(Activation(element.rivals or Out(top=2))).values[0].coords["class"]
    if element.rivals is not None and not set(named) <= set(choices):
        raise InvalidArgument(
            f"rivals={element.rivals!r}: rows of arrangement='versus' open with two of the answers "
            f"that their content is to, {content.target!r}; name two of those, or take Out() there"
        )
    pair = _pair(named, choices, scores)
    try:
        answers = evaluate(Activation(every).without(element.switches, of=groups))
        removed = evaluate(Ablation(groups, every, score="logit"))
    except (UnusableLayer, UnsupportedMethod) as error:
        return Rivals(pair, scores, missing=str(error))
    try:
        edited = evaluate(Edit(groups, every, score="logit"))
        unlike = evaluate(Edit(groups, element.rivals or Out(top=2)))
    except (UnusableLayer, UnsupportedMethod, InvalidArgument):
        return Rivals(pair, scores, answers, removed)
    return Rivals(pair, scores, answers, removed, edited, unlike)


def _pair(named: Sequence[int], choices: Sequence[int], scores: Frames) -> tuple[int, int]:
    """Two of the answers: those that are named, then the most probable ones."""
    ranked = scores.values[0].data[0].argsort(descending=True).tolist()
    first, *others = [index for index in dict.fromkeys((*named, *ranked)) if index in choices]
    # Of one answer there is no other: then rows are plain.
    return first, others[0] if others else first
