"""Rows of what groups did to one answer rather than another."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from captum_blocks import scene
from captum_blocks.compose.evaluation.facts import place_name
from captum_blocks.compose.evaluation.values import REGION, Value
from captum_blocks.compose.marks import captions, listed
from captum_blocks.compose.marks.answers import table_of
from captum_blocks.compose.marks.base import Mark, mark
from captum_blocks.compose.marks.pictured import pictured
from captum_blocks.compose.marks.view import View, image_of, only_image
from captum_blocks.compose.pictures.requests import Subject
from captum_blocks.numerals import percent
from captum_blocks.scene import Contest

if TYPE_CHECKING:
    from captum_blocks.compose.evaluation.frames import Frames

# Bytes of the tables of a page: as long as they hold all classes, all can be switched.
MOST_TABLED, LIKELIEST = 350 * 1024, 20


@mark("versus", word=False)
class Versus(Mark):
    """A picture and one bar a group, for one answer and against another."""

    def pictures(self, view: View) -> list[Subject]:
        """Each group."""
        return pictured(view)

    def panel(self, view: View) -> scene.Panel:
        """The rows of each state, with what answers are without the groups."""
        assert view.rivals is not None
        frames, whole = range(len(view.frames.values)), _whole(view)
        contests = tuple(_contest(view, frame, whole) for frame in frames)
        choices, pair = view.base.coords["class"], view.rivals.pair
        shown = replace(view.frames, values=tuple(_of(value, pair) for value in view.frames.values))
        besides = [_said(view, frame) for frame in frames]
        return scene.Versus(
            **view.words(),
            **captions.under(shown, view.coverage, True, view.facts, besides),
            classes=_names(view),
            choices=choices,
            pair=pair,
            head=_head(view),
            frames=tuple(
                _marks(value, contest, view, pair)
                for value, contest in zip(view.frames.values, contests, strict=True)
            ),
            contests=contests,
            where=place_name(view.base.source),
        )


def _head(view: View) -> str:
    unit = view.base.unit
    if unit == "probability":
        return "probabilities"
    if unit != "logit":
        return "values"
    answers = None if view.rivals is None else view.rivals.answers
    switches = None if answers is None else answers.values[0].switches
    return "classes" if switches is None else switches.head


def _names(view: View) -> tuple[str, ...]:
    """Names of the classes, each its own."""
    counts = Counter(view.facts.classes)
    pairs = enumerate(view.facts.classes)
    return tuple(name if counts[name] == 1 else f"{name} ({index})" for index, name in pairs)


def _scores(view: View, frame: int) -> np.ndarray:
    """(class,): what the network answered."""
    assert view.rivals is not None
    held = view.rivals.scores
    return _plain(only_image(held.values[view.frames.same_state(frame, held)].data))


def _said(view: View, frame: int) -> list[str]:
    """Of one state: what is said of its groups, why none can be removed, and what removal and edit
    disagree on."""
    rivals = view.rivals
    assert rivals is not None
    missing = [f"no group can be switched off: {rivals.missing}"] if rivals.missing else []
    said = [*view.frames.values[frame].sentences, *missing]
    for held in (rivals.answers, rivals.unlike):
        if held is not None:
            said += held.values[view.frames.same_state(frame, held)].sentences
    return said


def _marks(
    value: Value, contest: Contest, view: View, pair: tuple[int, int]
) -> tuple[scene.Mark, ...]:
    """A mark an atom, then what they leave out; each with its difference between two classes."""
    held = [each for each in listed.marks(_of(value, pair), view, True) if each.role != "total"]
    first, second = (contest.effects[:, value.coords["class"].index(index)] for index in pair)
    differences = first - second
    return tuple(
        replace(each, values=(float(difference),), label=_label(each, value, view))
        for each, difference in zip(held, differences, strict=True)
    )


def _label(made: scene.Mark, value: Value, view: View) -> str:
    """A mark's name; what is in no group says how much of the activation that is."""
    image = image_of(value)
    if not made.key.endswith("/residual") or image is None:
        return made.label
    share = view.facts.unexplained(value.source)[image]
    return f"in no group: {share:.0%} of the activation"


def _of(value: Value, pair: tuple[int, int]) -> Value:
    """The numbers of two classes."""
    return value.select("class", [value.coords["class"].index(index) for index in pair])


def _contest(view: View, frame: int, whole: set[int]) -> Contest:
    value, rivals = view.frames.values[frame], view.rivals
    assert rivals is not None
    scores = _scores(view, frame)
    rest = [only_image(held)[None] for held in value.remainder.values()]
    effects = np.concatenate([_plain(only_image(value.data).T), *map(_plain, rest)])
    removed, edited = (
        scores[None] - _losses(each, view, frame) for each in (rivals.removed, rivals.edited)
    )
    regions: tuple[str, ...] = ()
    if rivals.edited is not None:
        shares = rivals.edited.values[view.frames.same_state(frame, rivals.edited)].also[REGION]
        regions = tuple(f"{percent(share)} of the picture" for share in shares[0, 0].tolist())
    contest = Contest(effects, scores, removed, edited, regions)
    if rivals.answers is None:
        return contest
    answers = rivals.answers.values[view.frames.same_state(frame, rivals.answers)]
    if answers.switches is None:
        return contest
    tabled = tuple(range(len(scores))) if frame in whole else _likeliest(scores)
    return replace(contest, table=table_of(answers.select("class", tabled), view), tabled=tabled)


def _likeliest(scores: np.ndarray) -> tuple[int, ...]:
    return tuple(sorted(np.argsort(-scores, kind="stable")[:LIKELIEST].tolist()))


def _losses(held: Frames | None, view: View, frame: int) -> np.ndarray:
    """(atom, class), or none."""
    if held is None:
        return np.zeros((0, len(view.facts.classes)), np.float32)
    value = held.values[view.frames.same_state(frame, held)]
    return _plain(only_image(value.data).T)


def _whole(view: View) -> set[int]:
    """The frames whose tables hold all classes: the small ones, as long as there is room."""
    answers = None if view.rivals is None else view.rivals.answers
    if answers is None:
        return set()
    sizes = []
    for frame in range(len(view.frames.values)):
        switches = answers.values[view.frames.same_state(frame, answers)].switches
        sizes.append((0 if switches is None else 4 * switches.scores[0].numel(), frame))
    room, found = MOST_TABLED, set()
    for size, frame in sorted(sizes):
        room -= size
        found |= {frame} if room >= 0 else set()
    return found


def _plain(numbers: Tensor) -> np.ndarray:
    return numbers.numpy().astype(np.float32)
