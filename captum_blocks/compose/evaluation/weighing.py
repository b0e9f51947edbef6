"""How far attributions are to be believed: beside other methods, removal, and nothing learned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from torch import Tensor, nn

from captum_blocks.attr import SeveralMethods, regroup, several_methods, to_atoms
from captum_blocks.attr.faithful import randomised
from captum_blocks.attr.reducers import group_scores
from captum_blocks.attr.several import LINEAR, METHODS
from captum_blocks.attr.tail import at_most
from captum_blocks.compose.evaluation.contents import value_of
from captum_blocks.compose.evaluation.facts import Holding, Weighed
from captum_blocks.compose.evaluation.frames import Frames, attributions
from captum_blocks.compose.evaluation.looking import Looking, layer_name
from captum_blocks.compose.evaluation.scoring import (
    FAILURES,
    FEWEST,
    MOST_SECONDS,
    compared_classes,
)
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.grammar import Attribution, Method, Substrate
from captum_blocks.grammar.content import DEFAULT_METHOD
from captum_blocks.layouts import Layout
from captum_blocks.reliability import (
    FEWEST_SHUFFLED,
    REMOVAL,
    AttributionLevel,
    attribution_verdict,
    check_attribution,
)

# Atoms that the other methods are summed up to.
SUMMED = ("channel", "spatial", "group")
UNCOMPARED: tuple[AttributionLevel, str] = ("unknown", "not compared with removal")
# Why nothing was taken away.
MISSING = {
    "neurons": "neurons are not taken away one by one",
    "long": "to take each atom away alone would take too long for a page",
    "fixed": "nothing can be put in the place of its atoms",
    "few": "so few atoms have no order to speak of",
    "many": "so many places are not taken away one by one",
}


def weighed(
    session: Session, shown: Sequence[Frames], held: Mapping[Attribution, Holding]
) -> dict[Attribution, Weighed]:
    """The attributions shown, each beside other answers to the same question.

    Args:
        session: what is known.
        shown: all numbers of a page.
        held: how well they hold when atoms are taken away.
    """
    contents = list(dict.fromkeys(attributions(shown)))
    looks = {content: session.of(content.source) for content in contents}
    weighing = {
        look: _Weighing(look, session, [each for each in contents if looks[each] is look])
        for look in looks.values()
    }
    return {each: weighing[looks[each]].of(each, held.get(each)) for each in contents}


class _Weighing:
    """The attributions of one network, whose passes they share."""

    def __init__(self, look: Looking, session: Session, contents: Iterable[Attribution]) -> None:
        self.look, self.session = look, session
        # What is kept goes with this: gradients of several classes are large.
        self._sums: dict[tuple[Substrate, str, bool], Tensor] = {}
        self._asked: dict[tuple[str, bool], SeveralMethods | str] = {}
        self._classes: dict[str, dict[int, None]] = defaultdict(dict)
        for content in contents:
            if content.source.atom in SUMMED:
                classes = compared_classes(value_of(content, session), look)
                self._classes[layer_name(content.source)] |= dict.fromkeys(classes)

    def of(self, content: Attribution, held: Holding | None) -> Weighed:
        """One of them; of neurons nothing is compared."""
        if content.source.atom == "neuron":
            return Weighed(content, *UNCOMPARED, MISSING["neurons"])
        value = value_of(content, self.session)
        missing = _missing(value, held)
        classes = compared_classes(value, self.look)
        removal = None if missing or held is None else self._removed(held)
        others, refused = self._others(content, value, classes)
        if removal is not None and held is not None and _starts_at_zero(held):
            others[REMOVAL] = removal
        own = _of_classes(value.data, value.coords["class"], classes)
        shuffled, not_shuffled = self._shuffled(content.source, classes)
        check = check_attribution(
            own.flatten(2),
            {name: numbers.flatten(2) for name, numbers in others.items()},
            None if removal is None else removal.flatten(2),
            shuffled,
            missing,
        )
        level, phrase, why = attribution_verdict(check, also=_by_odds(held))
        why = "; ".join(filter(None, (why, refused, not_shuffled)))
        methods = {"itself": own, **others}
        coords = {axis: value.coords[axis] for axis in value.axes} | {"class": classes}
        return Weighed(content, level, phrase, why, value.by, value.unit, coords, methods, check)

    def _removed(self, held: Holding) -> Tensor:
        """What each atom's removal takes from the score that methods share out."""
        assert held.removal is not None
        classes = self.look.net.head_of(self.look.logits.shape[1]) == "classes"
        removal = replace(held.removal, score="logit") if classes else held.removal
        return value_of(removal, self.session).data

    def _others(
        self, content: Attribution, value: Value, classes: Sequence[int]
    ) -> tuple[dict[str, Tensor], str]:
        """By method, (image, class, *atom); and why there are none, in words."""
        source = content.source
        if source.atom not in SUMMED:
            return {}, ""
        several = self._several(layer_name(source))
        if isinstance(several, str):
            return {}, f"not compared with other methods: {several}"
        names = METHODS[1:] if _is_linear(content, value) else METHODS
        whole = {name: self._summed(source, name) for name in names}
        there = tuple(self._classes[layer_name(source)])
        return {name: _of_classes(held, there, classes) for name, held in whole.items()}, ""

    def _shuffled(
        self, source: Substrate, classes: Sequence[int]
    ) -> tuple[tuple[Tensor, Tensor] | None, str]:
        """Gradient × activation in the network and in a shuffled one, (image, class, *atom) each.

        And why there is none, in words.
        """
        layer = layer_name(source)
        several = self._several(layer) if source.atom in SUMMED else ""
        if isinstance(several, str) or self._atoms(source) < FEWEST_SHUFFLED:
            return None, ""
        found = self._several(layer, shuffled=True)
        if isinstance(found, str):
            return None, f"not compared with a network of shuffled weights: {found}"
        there = tuple(self._classes[layer])
        both = (self._summed(source, LINEAR, nothing_learned) for nothing_learned in (False, True))
        own, other = (_of_classes(each, there, classes).flatten(2) for each in both)
        return (own, other), ""

    def _atoms(self, source: Substrate) -> int:
        maps = self.look.maps(layer_name(source))
        if source.atom == "group":
            return len(self.look.directions(source))
        return maps.shape[1] if source.atom == "channel" else maps.shape[2:].numel()

    def _several(self, layer: str, shuffled: bool = False) -> SeveralMethods | str:
        """Methods on a layer, shuffled gradient × activation alone; or why there are none."""
        key = (layer, shuffled)
        if key not in self._asked:
            try:
                self._asked[key] = self._ask(layer, shuffled)
            except FAILURES as error:
                self._asked[key] = str(error)
        return self._asked[key]

    def _ask(self, layer: str, shuffled: bool) -> SeveralMethods:
        look, classes = self.look, list(self._classes[layer])
        with at_most(MOST_SECONDS):
            return several_methods(
                self._copy if shuffled else look.net.module,
                layer,
                look.x,
                classes,
                layout=look.layout(layer),
                methods=(LINEAR,) if shuffled else METHODS,
            )

    def _summed(self, source: Substrate, method: str, shuffled: bool = False) -> Tensor:
        """(image, class, *atom) of one method, of all classes that are compared at the layer."""
        key = (source, method, shuffled)
        if key not in self._sums:
            several = self._several(layer_name(source), shuffled)
            assert not isinstance(several, str)
            attribution = several.attribution(method)
            if source.atom == "group":
                scores = self._scores(source, several, shuffled)
                weights, directions = several.weights[method], self.look.directions(source)
                attribution, _ = regroup(several.maps, attribution, weights, scores, directions)
            self._sums[key] = to_atoms(source.atom, attribution).data.float().cpu()
        return self._sums[key]

    def _scores(self, source: Substrate, several: SeveralMethods, shuffled: bool) -> Tensor:
        """(image, group, y, x), of the network's activation or of the shuffled one's."""
        if not shuffled:
            return self.look.scores(source)
        return group_scores(self.look.reducer(source), several.maps, Layout("NCHW"))

    @cached_property
    def _copy(self) -> nn.Module:
        return randomised(self.look.net.module, self.look.x, "all")


def _missing(value: Value, held: Holding | None) -> str:
    """Why nothing was taken away; empty where something was."""
    if held is None:
        return MISSING["few" if value.data[0, 0].numel() < FEWEST else "many"]
    return MISSING[held.missing] if held.missing else ""


def _by_odds(held: Holding | None) -> tuple[str, Tensor] | None:
    """Where removals are told by log-odds, too: rank correlations with those."""
    if held is None or len(held.fits) < 2:
        return None
    return held.fits[0].score, held.fits[0].correlation


def _starts_at_zero(held: Holding) -> bool:
    """Whether removals ask what other methods do: what there is beside a layer of zeros."""
    return held.removal is not None and held.removal.fill == "zero"


def _is_linear(content: Attribution, value: Value) -> bool:
    """Whether the numbers are gradient × activation themselves."""
    return content.method == Method(DEFAULT_METHOD) or value.by == DEFAULT_METHOD


def _of_classes(numbers: Tensor, there: Sequence[int], wanted: Sequence[int]) -> Tensor:
    """Of (image, class, *atom) some classes."""
    return numbers[:, [list(there).index(each) for each in wanted]]
