"""The elements of an interface, each evaluated once, and the facts that whoever draws may know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from captum_blocks._memory import give_back
from captum_blocks.attr import relaxation_note
from captum_blocks.compose.evaluation.amounts import check_amount
from captum_blocks.compose.evaluation.exchanging import exchanged
from captum_blocks.compose.evaluation.facts import Answered, Best, Extent, Facts, Groups
from captum_blocks.compose.evaluation.frames import Frames, Listed
from captum_blocks.compose.evaluation.holding import holding
from captum_blocks.compose.evaluation.looking import Looking
from captum_blocks.compose.evaluation.numbers import Numbers
from captum_blocks.compose.evaluation.question import Question
from captum_blocks.compose.evaluation.rivals import Rivals, rivals
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.states import frames
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.evaluation.weighing import weighed
from captum_blocks.errors import UnsupportedMethod, UnusableLayer
from captum_blocks.grammar import (
    Content,
    Element,
    FeatureVis,
    Filter,
    Hidden,
    Selection,
    Substrate,
    parts_of,
)
from captum_blocks.grammar.interventions import Intervention
from captum_blocks.network import Network, Part, Prediction

# How many groups pictures drawn together have in common.
SHARED_GROUPS = 6
Stage = Callable[[str], AbstractContextManager[Any]]
MOST_PROBABLE = 5


@dataclass(frozen=True)
class Limits:
    """What the page that elements are evaluated for has room for.

    Attributes:
        extent: what part of the photographs the network saw.
        largest: bytes that it may have.
    """

    extent: Extent
    largest: int


@dataclass(frozen=True, eq=False)
class Evaluated:
    """An element with its numbers in every state.

    Attributes:
        element: the element.
        frames: of its content.
        colours: of its ``colour_by``.
        beside: of its ``beside``.
        missing: why there are none of that, where nothing can be taken out of the layer.
        rivals: what rows of one answer rather than another need besides.
    """

    element: Element
    frames: Frames
    colours: Frames | None = None
    beside: Frames | None = None
    missing: str = ""
    rivals: Rivals | None = None

    @property
    def all(self) -> tuple[Frames, ...]:
        """Everything that was evaluated for it."""
        others = (self.colours, self.beside)
        more = () if self.rivals is None else self.rivals.all
        return (self.frames, *(each for each in others if each is not None), *more)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An interface in numbers.

    Attributes:
        elements: in reading order.
        facts: what is known of the network, the photographs and the layers.
        predictions: the most probable classes of the first photograph.
    """

    elements: tuple[Evaluated, ...]
    facts: Facts
    predictions: tuple[Prediction, ...] = ()

    @property
    def numbers(self) -> Numbers:
        """The values behind it, by content."""
        every = [each for element in self.elements for each in element.all]
        return Numbers(entry for each in every for entry in each.numbers.items())


def evaluate_elements(
    elements: Sequence[Element], question: Question, limits: Limits, stage: Stage
) -> Evaluation:
    """Evaluate elements in every state of the selections they follow.

    Args:
        elements: in reading order.
        question: what is asked about.
        limits: of the page they are for.
        stage: names what is being done: a context manager by name.

    Raises:
        BlocksError: whatever cannot be evaluated.
    """
    with stage("one look through the network"):
        session = Session(question, elements)
    for element in elements:
        check_amount(element, session, limits.largest)
    with stage("attribution and groups"):
        found = _Elements(elements, session)
        evaluated = tuple(map(found.evaluated, elements))
    facts = facts_of(session, evaluated, limits.extent)
    if facts.around:
        with stage("layers exchanged between pictures"):
            facts = replace(facts, exchanged=exchanged(session, facts.around))
    with stage("attributions beside removals"):
        shown = [held for each in evaluated for held in each.all]
        facts = replace(facts, holding=holding(session, shown))
    with stage("attributions beside other methods"):
        facts = replace(facts, weighed=weighed(session, shown, facts.holding))
    predictions = tuple(session.main.net.ranked(session.main.logits[0], MOST_PROBABLE))
    return Evaluation(evaluated, facts, predictions)


class _Elements:
    """Elements evaluated once each; those that set a selection first."""

    def __init__(self, elements: Sequence[Element], session: Session) -> None:
        self.elements, self.session = elements, session
        self._frames: dict[Content, Frames] = {}
        self._under_way: set[Content] = set()

    def evaluated(self, element: Element) -> Evaluated:
        """An element with its numbers."""
        painted = element.colour_by if isinstance(element, FeatureVis) else None
        colours = None if painted is None else self.frames(painted)
        beside, missing = self._beside(element)
        own = self.frames(element.content)
        paired = isinstance(element, FeatureVis) and element.is_versus
        versus = rivals(element, self.frames) if paired else None  # type: ignore[arg-type]
        return Evaluated(element, own, colours, beside, missing, versus)

    def _beside(self, element: Element) -> tuple[Frames | None, str]:
        """The numbers beside an element's, and why there are none where a layer has none."""
        if element.beside is None:
            return None, ""
        try:
            return self.frames(element.beside), ""
        except (UnusableLayer, UnsupportedMethod) as error:
            if not any(isinstance(part, Intervention) for part in parts_of(element.beside)):
                raise
            self._under_way.discard(element.beside)
            return None, str(error)

    def frames(self, content: Content) -> Frames:
        """A content in every state."""
        if content not in self._frames:
            self._under_way.add(content)
            self._frames[content] = frames(content, self.session, self._reach)
            self._under_way.discard(content)
            give_back()
        return self._frames[content]

    def _reach(self, selection: Selection, substrate: Substrate) -> Listed | None:
        """The atoms of a substrate that the elements which set a selection show."""
        shown: dict[int, None] = {}
        firsts: list[int] = []
        setters = [element for element in self.elements if selection in element.changes]
        for element in setters:
            if element.content in self._under_way:
                continue
            held = self.frames(element.content)
            opened = _atoms(held.values[held.default], substrate)
            if isinstance(element.content, Filter) and element.content.ranks:
                firsts += opened[:1]
            for value in held.values:
                shown |= dict.fromkeys(_atoms(value, substrate))
        return Listed(tuple(shown), *firsts[:1]) if shown else None


def _atoms(value: Value, substrate: Substrate) -> tuple[int, ...]:
    """Those of a substrate that a value lists."""
    same = _all_of(value.source) == _all_of(substrate)
    return value.coords.get(substrate.atom, ()) if same else ()


def _all_of(substrate: Substrate) -> Substrate:
    return replace(substrate, only=None)


def facts_of(session: Session, elements: Iterable[Evaluated], extent: Extent) -> Facts:
    """What is known once the elements are evaluated."""
    look = session.main
    net, logits = look.net, look.logits
    values = [value for each in elements for held in each.all for value in held.values]
    said = list(logits) if look.unit != "output" else []
    return Facts(
        network=net.name,
        weights=net.source,
        reading=net.reading,
        approximations=relaxation_note(net.module) or "",
        treated=net.preprocess.note if net.preprocess else "",
        unit=look.unit,
        classes=(classes := tuple(net.label(index) for index in range(logits.shape[1]))),
        scores=tuple(tuple(net.told(row, i) for i in range(len(row))) for row in said),
        best=tuple(_best(net, row) for row in logits),
        photographs=session.names,
        extent=extent,
        picture=(look.x.shape[-2], look.x.shape[-1]),
        maps={layer: look.maps(layer) for layer in look.layers},
        groups=_groups(session, values),
        shared=_shared(session, elements),
        given=session.question.given,
        names=session.question.names,
        around=_around(session, values),
        answered=Answered(session.names, classes, logits, look.unit, net.probabilities(logits)),
    )


def _around(session: Session, values: Iterable[Value]) -> tuple[Hidden, ...]:
    """Layers whose effect on classes is shown, and that do not carry the whole answer."""
    asked = {
        value.source.layer
        for value in values
        if value.target_axes == ("class",) and isinstance(value.source.layer, Hidden)
    }
    places = sorted(asked, key=lambda each: each.layer)
    of_look: dict[Looking, list[Hidden]] = {}
    for place in places:
        of_look.setdefault(session.of(place), []).append(place)
    around = set[Hidden]()
    for look, held in of_look.items():
        if look.x.ndim == 4:  # all at once: their passes are shared
            told = look.net.carried([Part(each.layer) for each in held], tuple(look.x.shape[1:]))
            around.update(each for each in held if told[Part(each.layer)] is False)
    return tuple(place for place in places if place in around)


def _best(net: Network, logits: Tensor) -> Best:
    index, label, number = net.ranked(logits, 1)[0]
    return Best(label, number, index)


def _groups(session: Session, values: Iterable[Value]) -> dict[Substrate, Groups]:
    """The groups that some values are of or go to."""
    ends = (end for value in values for end in (value.source, value.target) if end is not None)
    named = (_all_of(end) for end in ends if end.grouping and isinstance(end.layer, Hidden))
    found = {}
    for substrate in dict.fromkeys(named):
        look = session.of(substrate)
        directions = look.directions(substrate)
        lengths = directions.norm(dim=1)[:, None, None]
        fires = look.scores(substrate) * lengths
        found[substrate] = Groups(directions, fires, look.unexplained(substrate))
    return found


def _shared(session: Session, elements: Iterable[Evaluated]) -> Mapping[tuple[str, int], Tensor]:
    """For pictures that are drawn together: how much of common groups is at each place."""
    found: dict[tuple[str, int], Tensor] = {}
    for each in elements:
        if not isinstance(each.element, FeatureVis) or each.element.recipe != "shared":
            continue
        for value in each.frames.values:
            layer, several = value.source.layer, "image" in value.labels
            if not isinstance(layer, Hidden) or several:
                continue
            place = value.coords["image"][0]
            look = session.of(layer)
            rows = look.maps(layer.layer)[place].flatten(1).T
            rank = int(torch.linalg.matrix_rank(rows))
            if rank:
                groups = layer.groups(min(SHARED_GROUPS, rank))
                found[(layer.layer, place)] = look.scores(groups)[place].clamp_min(0)
    return found
