"""Which atoms a filter keeps: by whose numbers, what ties, and what another filling would keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from captum_blocks.compose.evaluation.contents import value_of
from captum_blocks.compose.evaluation.looking import layer_name
from captum_blocks.compose.evaluation.select import in_a_row, ranking
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, UnusableLayer
from captum_blocks.grammar import (
    ATOMS,
    Ablation,
    Difference,
    Filter,
    Out,
    parts_of,
    rewritten,
)
from captum_blocks.grammar.atoms import plural
from captum_blocks.grammar.interventions import Intervention

# Changes below this are rounding.
ROUNDING = 1e-4
STABLE, CEILING = " •", ", at its ceiling"


def kept(content: Filter, value: Value, session: Session) -> Value:
    """The atoms of a value that a filter keeps by their numbers.

    Those whose names end in a dot would also be kept with their mean in the place of zero.
    """
    judge, said = _judge(content, value, session)
    full = _Full.of(content, value, session)
    axis, chosen = _ranked(content, value, judge, full.order)
    names = dict.fromkeys(full.places, CEILING)
    if not said:
        stable = _stable(content, value, chosen, session)
        names |= dict.fromkeys(stable or (), STABLE)
        said = () if stable is None else _said(content, stable, chosen)
    by_name = _named(value, axis, names).keep(axis, chosen)
    several = len(value.data)
    over = () if several == 1 else (f"ranked by the largest number over all {several} photographs",)
    ties = full.said(value.coords["image"])
    before = () if axis in value.counts else value.said  # of all atoms, not of those kept before
    return replace(by_name, said=(*before, *over, *said), said_in=ties)


def _judge(content: Filter, value: Value, session: Session) -> tuple[Value, tuple[str, ...]]:
    """The numbers that a filter ranks by, and what is to be said of them.

    Where nothing can be taken out of a layer, its own numbers rank, which is said.
    """
    if content.by is None:
        return value, ()
    try:
        return in_a_row(value_of(content.by, session)), ()
    except (UnusableLayer, UnsupportedMethod) as error:
        if not any(isinstance(part, Intervention) for part in parts_of(content.by)):
            raise
        return value, (f"ranked by these numbers themselves, not by removal: {error}",)


class _Full:
    """What of an activation is at its layer's ceiling: those tie, and their removal orders them.

    Attributes:
        there: (image, place), of what is ranked.
        order: (place,) by what ties of one photograph are broken; None where there are none.
        named: "channels" of one place, or "neurons" of all.
    """

    def __init__(
        self, there: Tensor | None = None, order: Tensor | None = None, named: str = "channels"
    ) -> None:
        self.there, self.order, self.named = there, order, named

    @property
    def places(self) -> tuple[int, ...]:
        """Those of one photograph: what is full in it need not be in another."""
        alone = self.there is not None and len(self.there) == 1
        return tuple(self.there[0].nonzero().flatten().tolist()) if alone else ()  # type: ignore[index]

    def said(self, images: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """By photograph, that they tie."""
        if self.there is None:
            return {}
        how = "as they come" if self.order is None else "by what their channels' removal changes"
        several = len(images) > 1
        ordered = "here, and are marked on no name" if several else f", ordered {how}"
        counts = dict(zip(images, self.there.sum(1).tolist(), strict=True))
        return {
            image: (f"{count} {self.named} tie at the layer's ceiling{' ' * several}{ordered}",)
            for image, count in counts.items()
            if count > 1
        }

    @classmethod
    def of(cls, content: Filter, value: Value, session: Session) -> _Full:
        """Of a filter's content, where it is the activation of neurons, of one place or of all."""
        plain = content.by is None and value.target is None and value.unit == "activation"
        value = in_a_row(value)
        if not plain or value.source.atom != "neuron" or len(value.source_axes) != 1:
            return cls()
        top = session.of(value.source).ceiling(layer_name(value.source))
        if top is None or "image" in value.labels:
            return cls()
        there = value.data == top
        ties = len(there) == 1 and int(there.sum()) > 1
        order = _removed(value, session) if ties else None
        return cls(there, order, plural(value.source_axes[0]))


def _removed(value: Value, session: Session) -> Tensor | None:
    """(place,): how much the most probable class's log-odds change without each one's channel."""
    layer = value.source.layer
    try:
        removal = value_of(Ablation(layer.channels, Out(top=1)), session)  # type: ignore[union-attr]
    except (UnusableLayer, UnsupportedMethod):
        return None
    (axis,), (image,), look = value.source_axes, value.coords["image"], session.of(value.source)
    best = int(look.logits[image].argmax())
    size = removal.data[image, removal.coords["class"].index(best)].abs()
    cells = 1 if axis == "channel" else look.maps(layer_name(value.source))[0, 0].numel()
    return size[[place // cells for place in value.coords[axis]]]


def _ranked(
    content: Filter, value: Value, judge: Value, ties: Tensor | None = None
) -> tuple[str, list[int]]:
    """The axis and the places that a filter keeps, by the numbers of ``judge``, then of ties."""
    axis, high = ranking(judge)
    if value.source_axes != judge.source_axes or value.coords[axis] != judge.coords[axis]:
        raise InvalidArgument(
            f"by= needs numbers of the same atoms: {value!r} and {judge!r} differ"
        )
    low = ranking(judge, "min")[1]
    chosen: list[int] = []
    for count, strength in (
        (content.strongest, torch.maximum(high.abs(), low.abs())),
        (content.top, high),
        (content.bottom, -low),
    ):
        if count is not None:
            assert isinstance(count, int)
            order = _order(strength, ties)
            chosen += [pick for pick in order[:count].tolist() if pick not in chosen]
    if content.above is not None:
        over = set((high > content.above).nonzero().flatten().tolist())
        counted = content.strongest or content.top or content.bottom
        chosen = [pick for pick in chosen if pick in over] if counted else sorted(over)
    return axis, chosen


def _order(strength: Tensor, ties: Tensor | None) -> Tensor:
    """The largest first; of equals that of the larger second number."""
    if ties is None:
        return torch.argsort(strength, descending=True, stable=True)
    first = torch.argsort(ties, descending=True, stable=True)
    return first[torch.argsort(strength[first], descending=True, stable=True)]


def _stable(content: Filter, value: Value, chosen: list[int], session: Session) -> list[int] | None:
    """Of the chosen, those that the mean in the place of zero would choose, too.

    None where nothing is ranked by removal with zero, where some were chosen before, where all are
    kept, or where the mean in their place changes nothing.
    """
    judged = content.content if content.by is None else content.by
    words = list(parts_of(judged))
    zeros = any(isinstance(part, Ablation) and part.fill == "zero" for part in words)
    again = any(isinstance(part, Filter) and part.ranks for part in words)
    axis, _ = ranking(value)
    if not zeros or again or not 0 < len(chosen) < len(value.coords[axis]):
        return None
    other = in_a_row(value_of(_filled_by_mean(judged), session))
    if float(other.data.abs().max()) < ROUNDING:
        return None  # what follows averages over the positions anyway
    also = set(_ranked(content, value, other)[1])
    return [place for place in chosen if place in also]


def _filled_by_mean(word: Any) -> Any:
    """The same content with the mean in the place of zero."""

    def fill(part: Any) -> Any:
        return replace(part, fill="mean") if isinstance(part, Ablation) else part

    return rewritten(word, fill)


def _said(content: Filter, stable: list[int], chosen: list[int]) -> tuple[str, ...]:
    """Once for atoms that are shown more than once: where the content is like its judge."""
    judged = content.content if content.by is None else content.by
    if isinstance(judged, Difference) and not isinstance(content.content, Difference):
        return ()
    count = len(chosen)
    those = (
        f"{len(stable)} of these {count} (•) are also" if stable else f"none of these {count} is"
    )
    return (
        f"{those} among the {count} chosen with the mean over the positions in the place of zero",
    )


def _named(value: Value, axis: str, endings: dict[int, str]) -> Value:
    """The value with words behind the names of some places of an axis."""
    if not endings:
        return value
    label = ATOMS[axis].label if axis in ATOMS else str
    there = value.coords[axis]
    names = value.labels.get(axis) or tuple(label(index) for index in there)
    ended = tuple(name + endings.get(place, "") for place, name in enumerate(names))
    return replace(value, labels={**value.labels, axis: ended})
