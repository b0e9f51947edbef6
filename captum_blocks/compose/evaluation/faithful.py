"""How far an attribution says what really changes when its atoms are taken away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks.attr import LayerAblation
from captum_blocks.attr.faithful import (
    area,
    compared,
    randomised,
    rank_correlation,
    top_overlap,
)
from captum_blocks.attr.odds import Score, check_score
from captum_blocks.attr.removal import Fill, check_fill
from captum_blocks.compose.evaluation.contents import value_of
from captum_blocks.compose.evaluation.judgement import Faithfulness, Randomised
from captum_blocks.compose.evaluation.looking import Looking, layer_name
from captum_blocks.compose.evaluation.question import asked, check_given
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.validation import validate
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.grammar import Attribution, Content, Hidden, Out, parts_of
from captum_blocks.network import Network, answers


def faithfulness(
    content: Attribution,
    net: Network | nn.Module | Mapping[str, Network | nn.Module],
    x: Any,
    given: Mapping[str, Any] | None = None,
    *,
    fill: Fill = "zero",
    score: Score = "log-odds",
    others: Any = None,
    seed: int = 0,
) -> Faithfulness:
    """Judge an attribution by what really changes when its atoms are taken away.

    Rank correlation and overlap with single removals, areas under the curves of deletion and
    insertion (Petsiuk et al., "RISE", BMVC 2018), and the rank correlation in a network whose
    weights are shuffled (Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018). All
    atoms are removed three times: in the network, and in two shuffled ones.

    Args:
        content: an attribution of classes to all channels, positions, groups, tokens or, of a small
            layer, neurons of a hidden layer.
        net: the network, or several by name; see ``evaluate``.
        x: (image, ...), as ``net.read`` gives it; or a picture.
        given: the objects that ``Given`` words name.
        fill: what stands in the place of an atom: "zero"; "mean", of the atom over the positions of
            this image; "resample", that atom of other photographs; or a tensor, see
            ``LayerAblation``.
        score: "log-odds" of the class against all others, or "logit": the output as it is.
        others: for "resample": (photograph, ...) as the network takes them, or a list of pictures.
        seed: of the shuffling.

    Raises:
        BlocksError: a content that cannot be judged, before long work; what would take more than
            five minutes, told from its first step.

    >>> from captum_blocks.grammar import Hidden
    >>> net = nn.Sequential(nn.Conv2d(1, 6, 2), nn.Flatten(), nn.Linear(24, 4)).eval()
    >>> places = Attribution(Hidden("0").spatial, Out(0, 2))
    >>> faithfulness(places, net, torch.rand(2, 1, 3, 3)).insertion.shape
    torch.Size([2, 2])
    """
    _check_content(content)
    check_score(score)
    question = asked(net, x, dict(given or {}))
    check_given([content], question.given)
    validate([content], question)
    session = Session(question, [content])
    look = session.of(content.source)
    photographs = _read(others, look.net)
    check_fill(fill, photographs)
    _check_score(score, look)
    copies = {each: randomised(look.net.module, look.x, each, seed) for each in ("head", "all")}
    removing = _Removing(content, look, fill, _by_odds(score, look), photographs)
    found = removing.judged(value_of(content, session), copies)
    return replace(found, photographs=session.names)


def _check_content(content: Any) -> None:
    """Whether a content can be judged by removals.

    Raises:
        WrongType: it is no content.
        InvalidArgument: it is another one than an attribution of classes to a hidden layer.
    """
    if not isinstance(content, Content):
        raise WrongType(f"an Attribution is judged, not a {type(content).__name__}")
    if not isinstance(content, Attribution):
        inside = [part for part in parts_of(content) if isinstance(part, Attribution)]
        whole = f"; judge the whole attribution: {inside[0]!r}" if inside else ""
        raise InvalidArgument(f"{type(content).__name__} contents are not judged{whole}")
    source, target = content.source, content.target
    if not isinstance(source.layer, Hidden):
        raise InvalidArgument(f"{source!r}: atoms are taken out of hidden layers; take one")
    if not isinstance(target.layer, Out) or target.grouping is not None:
        raise InvalidArgument(
            f"{target!r}: removals are scored by classes of the output; let the attribution go to "
            "some, e.g. Out(207)"
        )
    if source.only is not None:
        whole_layer = replace(content, source=replace(source, only=None))
        raise InvalidArgument(
            f"{source!r} are some of the layer's atoms; judge the whole attribution: "
            f"{whole_layer!r}"
        )
    if source.atom == "whole":
        raise InvalidArgument("the whole layer is one atom, and there is nothing to rank")


def _check_score(score: Score, look: Looking) -> None:
    """Whether the network's answers have log-odds.

    Raises:
        InvalidArgument: they are plain values, or probabilities already.
    """
    head = look.net.head_of(look.logits.shape[1])
    if score == "log-odds" and head in ("values", "probabilities"):
        raise InvalidArgument(
            f"log-odds are of logits, and this network gives {answers.MEANING[head]}; give "
            'score="logit", which takes each output as it is'
        )


def _by_odds(score: Score, look: Looking) -> Score:
    """How the engine scores: the log-odds of a label that stands for itself are its logit."""
    return "logit" if look.net.head_of(look.logits.shape[1]) == "labels" else score


def _read(others: Any, net: Network) -> Tensor | None:
    """Other photographs as the network takes them."""
    if others is None or isinstance(others, Tensor):
        return None if others is None else net.read(others)
    pictures = others if isinstance(others, (list, tuple)) else [others]
    return torch.cat([net.read(each) for each in pictures])


@dataclass(frozen=True, eq=False)
class _Removing:
    """Taking a content's atoms out of a network.

    Attributes:
        content: whose atoms.
        look: at the network that it is of.
        fill: what stands in an atom's place.
        score: of the engine.
        others: photographs of the filling.
    """

    content: Attribution
    look: Looking
    fill: Fill
    score: Score
    others: Tensor | None

    def judged(self, value: Value, copies: Mapping[str, nn.Module]) -> Faithfulness:
        """The attribution beside the removals, in the network and in shuffled ones."""
        attribution = value.data.flatten(2)
        atoms, classes = attribution.shape[2], value.coords["class"]
        if atoms < 2:
            raise InvalidArgument(f"{value.source!r} is one atom, and there is nothing to rank")
        removed, places = self._removed(self.look.net.module, classes)
        deletion, insertion = self._areas(places[attribution.argsort(descending=True)], classes)
        shuffled = {name: self._removed(copy, classes)[0] for name, copy in copies.items()}
        return Faithfulness(
            self.content,
            rank_correlation(attribution, removed),
            top_overlap(attribution, removed, compared(atoms)),
            deletion,
            insertion,
            Randomised(**{name: rank_correlation(attribution, r) for name, r in shuffled.items()}),
            classes,
            (),
            "tensor" if isinstance(self.fill, Tensor) else self.fill,
            self._scored_by(),
            compared(atoms),
            atoms,
            value.notes,
        )

    def _ablation(self, module: nn.Module) -> LayerAblation:
        layer = layer_name(self.content.source)
        return LayerAblation(module, layer, self.look.layout(layer))

    def _how(self) -> dict[str, Any]:
        """What is taken away, and what stands in its place."""
        source = self.content.source
        atom = self.look.reducer(source) if source.atom == "group" else source.atom
        atom = "tokens" if atom == "token" else atom
        return {"atom": atom, "fill": self.fill, "others": self.others}

    def _removed(self, module: nn.Module, classes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """What removals take, (image, class, atom), and where the engine counts each atom."""
        ablation = self._ablation(module)
        found = ablation.removals(self.look.x, classes, score=self.score, **self._how())
        places = torch.arange(found.shape[2:].numel())
        if self.content.source.atom == "neuron":
            layout = self.look.layout(ablation.layer_name)
            places = layout.to_maps(places.reshape(1, *found.shape[2:])).flatten()
        return found.flatten(2).float().cpu()[..., places], places

    def _areas(self, order: Tensor, classes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """The areas under the curves of deletion and insertion, each (image, class)."""
        found = self._ablation(self.look.net.module).cumulative(self.look.x, order, **self._how())
        head = self.look.net.head_of(self.look.logits.shape[1])
        deletion, insertion = (
            area(found.share, _of_each(answers.scores(head, logits.cpu()).mean(2), classes))
            for logits in (found.deleted, found.inserted)
        )
        return deletion, insertion

    def _scored_by(self) -> str:
        labels = self.look.net.head_of(self.look.logits.shape[1]) == "labels"
        return "log-odds" if labels or self.score == "log-odds" else self.look.unit


def _of_each(answered: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Of (image, order, point, class) the class that each order is of, (image, order, point)."""
    return torch.stack([answered[:, place, :, each] for place, each in enumerate(classes)], 1)
