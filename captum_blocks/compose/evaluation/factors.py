"""Factors of the output: classes that the same places speak for, as one target.

The article colours positions by what they speak for: attribution of every position to every class,
its positive part factorized into a few groups of classes ("The Building Blocks of
Interpretability", section "What Does the Network See?").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Grouping, Substrate
from captum_blocks.reduce import ChannelReducer

if TYPE_CHECKING:
    from captum_blocks.compose.evaluation.looking import Looking
    from captum_blocks.compose.evaluation.values import Value

NAMED = 3


def to_factors(value: Value, target: Substrate, look: Looking) -> Value:
    """An attribution to every class as one to a few factors of classes.

    The number of an atom is the mean of its attributions to all classes, each by its weight in the
    factor: what it did to one class of the factor on average, and so no larger than the largest
    attribution to one class.

    Args:
        value: axes (image, class, *source).
        target: the factors, e.g. ``Out().groups(2)``.
        look: at the network whose classes they are.

    Raises:
        InvalidArgument: the factors are not counted by a number.
    """
    grouping = target.grouping
    assert grouping is not None
    directions = _fitted(value, grouping)
    weights = directions / directions.abs().sum(1, keepdim=True).clamp_min(1e-12)

    return value.map(
        lambda held: torch.einsum("fc,nc...->nf...", weights, held),
        axes=("image", "to_group", *value.source_axes),
        coords={**value.coords, "to_group": tuple(range(len(weights)))},
        unit=f"mean {value.unit}",
        target=target,
        labels={**value.labels, "to_group": _names(value, weights, look)},
        notes=(*value.notes, *_notes(len(weights), grouping)),
    )


def _notes(count: int, grouping: Grouping) -> tuple[str, ...]:
    how = (
        "classes in factors: NMF of the positive part of the attribution; a number is the mean "
        "over all classes, each by its weight in the factor"
    )
    if count == grouping.n:
        return (how,)
    return (how, f"{count} of {grouping.n} factors: the places tell no more classes apart")


def _fitted(value: Value, grouping: Grouping) -> Tensor:
    """Directions of the factors among the classes, (factor, class)."""
    if not isinstance(grouping.n, int):
        raise InvalidArgument(f"factors of the output are counted by a number, not {grouping.n!r}")
    rows = value.data.movedim(1, -1).reshape(-1, value.data.shape[1]).clamp_min(0)
    rows = rows[rows.sum(1) > 0]
    if not len(rows):
        # Nothing speaks for any class: all of them are one kind, and its numbers are negative.
        return torch.ones(1, rows.shape[1])
    count = min(grouping.n, int(torch.linalg.matrix_rank(rows)))
    reducer = ChannelReducer(count, grouping.algorithm or "nmf", random_state=grouping.seed)
    return torch.as_tensor(reducer.fit(rows.numpy()).components_).float()


def _names(value: Value, weights: Tensor, look: Looking) -> tuple[str, ...]:
    """The classes that each factor is mostly made of."""
    classes = value.coords["class"]
    tops = weights.topk(min(NAMED, len(classes)), dim=1).indices.tolist()
    return tuple(", ".join(look.net.label(classes[i]) for i in top) for top in tops)
