"""What can be known to be wrong before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from captum_blocks.attr import resolve_method
from captum_blocks.compose.evaluation.among import check_among, check_kept
from captum_blocks.compose.evaluation.masks import filling_of, mask_of
from captum_blocks.compose.evaluation.question import Question
from captum_blocks.errors import InvalidArgument, UnknownName, did_you_mean
from captum_blocks.grammar import (
    Activation,
    Content,
    Edit,
    Grouping,
    Hidden,
    Input,
    Method,
    Out,
    Percentile,
    Substrate,
    parts_of,
    unfiltered,
)
from captum_blocks.network import Network
from captum_blocks.reduce import ALGORITHMS


def validate(words: Sequence[Any], question: Question) -> None:
    """Check every name in some words of the grammar against the networks that they name.

    Raises:
        LayerNotFound, UnknownName, InvalidArgument: with the nearest names.
    """
    for word in words:
        for part in parts_of(word):
            if isinstance(part, (Hidden, Input, Out)):
                _check_layer(part, question.networks[question.named(part)])
            elif isinstance(part, Method):
                for method in part.choices:
                    resolve_method(method.name)
            elif isinstance(part, Edit):
                _check_edit(part, question)
            elif isinstance(part, Grouping) and part.algorithm is not None:
                _check_algorithm(part.algorithm)
            elif isinstance(part, Substrate) and part.grouping is not None:
                _check_aligned(part, part.grouping.align_with, question)
            if isinstance(part, Content):
                check_kept(part)
    _check_among(words, question)


def _check_among(words: Sequence[Any], question: Question) -> None:
    """Every index that numbers stand among is of their network, and knows their layer."""
    known: set[tuple[str, str | None]] = set()
    for part in (part for word in words for part in parts_of(word)):
        data_set = getattr(part, "over" if isinstance(part, Activation) else "among", None)
        if not isinstance(part, (Activation, Percentile)) or data_set is None:
            continue
        network = question.named(unfiltered(getattr(part, "content", part)).source)
        index, net = question.given[data_set.name], question.networks[network]
        if (data_set.name, network) not in known:
            index.check(net)
            known.add((data_set.name, network))
        check_among(part, index, net)


def _check_layer(part: Hidden | Input | Out, net: Network) -> None:
    if isinstance(part, Hidden):
        net.name_of(part.layer)
    elif isinstance(part, Out) and net.labels is not None:
        for wanted in part.classes:
            net.class_index(wanted, len(net.labels))


def _check_edit(content: Edit, question: Question) -> None:
    """The mask and the filling that are given fit the photographs."""
    name = question.named(content.source)
    x, given = question.inputs[name], question.given
    if x.ndim != 4:
        raise InvalidArgument(
            f"{content!r} edits pictures (image, channel, y, x), and the network is given "
            f"{tuple(x.shape)}"
        )
    mask_of(content.mask, given, x)
    filling_of(content.fill, given, question.networks[name], x)


def _check_aligned(part: Substrate, upper: Any, question: Question) -> None:
    """Groups are aligned with those of a later layer that they give to."""
    if isinstance(upper, Substrate) and question.named(upper) != question.named(part):
        raise InvalidArgument(
            f"align_with takes groups of a later layer of the same network, and {upper!r} is of "
            f"another one than {part.layer!r}"
        )


def _check_algorithm(name: str) -> None:
    if name not in ALGORITHMS:
        hint = did_you_mean(name, ALGORITHMS) or f"; there are {', '.join(ALGORITHMS)}"
        raise UnknownName(f"no algorithm {name!r} for groups{hint}")
