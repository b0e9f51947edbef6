"""What a page shows of a layer's groups, and what is asked of a reader who has only that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from torch import Tensor

import captum_blocks as cb
from tests.benchmarks.forecasts import expected_margin

GROUPS, CLASSES = 6, 5
SHAPLEY, SINGLE, GRADIENT, EDITS = (
    "Shapley values",
    "single removals",
    "gradient × activation",
    "single edits",
)
ACTIVITY, LEAD, BOTH, CHANCE = "activity or size", "lead alone", "lead and activity", "chance"
JOINT = "joint removals of two or three groups"
ONE, TWO = "one region blurred", "two regions blurred"
ASKED = {JOINT: (2, 3), ONE: (1,), TWO: (2,)}


@dataclass(frozen=True, eq=False)
class Page:
    """What is shown of a photograph, and what is needed to change it.

    Attributes:
        x: what the network takes.
        classes: the five most probable ones; ``scores`` are their logits.
        effects: by name, (class, group): what a group adds.
        activity: (group,), shares of what the groups hold together.
        sizes: (group,), their regions' shares of the picture; None where no region is asked of.
        groups: the fitted reducer.
    """

    source: str
    name: str
    network: str
    layer: str
    x: Tensor
    classes: tuple[int, ...]
    scores: Tensor
    effects: Mapping[str, Tensor]
    activity: Tensor
    sizes: Tensor | None
    groups: cb.ChannelReducer


@dataclass(frozen=True, eq=False)
class Question:
    """Whether a change flips the answer: what is expected, and what happened."""

    page: Page
    kind: str
    gone: tuple[int, ...]

    @property
    def key(self) -> tuple[str, str]:
        return self.page.layer, self.kind

    def margins(self) -> dict[str, tuple[float, int]]:
        """By rule: the margin that is expected, and the rival."""
        rules = (SHAPLEY, SINGLE, GRADIENT, *((EDITS,) if self.kind == TWO else ()))
        page = self.page
        return {r: expected_margin(page.scores, page.effects[r], self.gone) for r in rules}

    def numbers(self) -> dict[str, tuple[float, ...]]:
        """By name: what is put into a logistic."""
        there = self.page.activity if self.kind == JOINT else self.page.sizes
        assert there is not None
        share = float(there[list(self.gone)].sum())
        lead = float(self.page.scores[0] - self.page.scores[1])
        return {ACTIVITY: (share,), LEAD: (lead,), BOTH: (lead, share)}


def page_of(net: cb.Network, source: str, name: str, x: Tensor, layer: str, regions: bool) -> Page:
    """The numbers of a page, by the evaluator of pages."""
    groups = cb.ChannelReducer(GROUPS).fit(next(iter(net.activations(layer, [x]))))
    atoms, out = cb.Hidden(layer).groups(cb.Given("groups")), cb.Out(top=CLASSES)
    given = {"groups": groups}
    exact = cb.evaluate(cb.Attribution(atoms, out, method="ShapleyValues"), net, x, given=given)
    linear = cb.Attribution(atoms, out, method="LayerGradientXActivation")
    effects = {
        SHAPLEY: exact.data[0],
        SINGLE: exact.also["taken away alone"][0],
        GRADIENT: cb.evaluate(linear, net, x, given=given).data[0],
    }
    activity = cb.evaluate(cb.Activation(atoms), net, x, given=given).data[0]
    sizes = None
    if regions:
        edits = cb.evaluate(cb.Edit(atoms, out, score="logit"), net, x, given=given)
        effects[EDITS] = edits.data[0]
        sizes = edits.also["share of the picture"][0, 0]
    classes = exact.coords["class"]
    scores = net.logits(x)[0, list(classes)]
    shares = activity / activity.sum()
    return Page(source, name, net.name, layer, x, classes, scores, effects, shares, sizes, groups)


def questions(page: Page) -> Iterator[Question]:
    """All that is asked of a page."""
    for kind, counts in ASKED.items():
        if kind == JOINT or page.sizes is not None:
            for count in counts:
                for gone in combinations(range(GROUPS), count):
                    yield Question(page, kind, gone)
