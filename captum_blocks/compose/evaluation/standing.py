"""Where numbers stand among those of a data set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from captum_blocks.compose.evaluation.contents import evaluate_content, value_of
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.tables import LOW, UP
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.examples.standing import Standing, standing
from captum_blocks.grammar import Activation, Dataset, Filter, Percentile

UNIT = "percentile"


@evaluate_content.register
def _percentile(content: Percentile, session: Session) -> Value:
    value = value_of(_over(content.content, content.among), session)
    found = _standing(value)
    return replace(
        value,
        data=_percent(found.point, value),
        unit=UNIT,
        maps=None,
        remainder={},
        remainder_maps={},
        additive=False,
        also={LOW: _percent(found.low, value), UP: _percent(found.high, value)},
    )


def _over(content: Any, among: Dataset) -> Any:
    """An activation, or a filter of one, that is to stand among a data set."""
    if isinstance(content, Activation):
        return replace(content, over=among)
    assert isinstance(content, Filter)
    return replace(content, content=_over(content.content, among))


def _standing(value: Value) -> Standing:
    """Of numbers whose last axis is that of the columns."""
    among = value.among
    assert among is not None
    there = among.axis in value.axes
    held = value.data.movedim(value.axis(among.axis), -1) if there else value.data[..., None]
    return standing(held.numpy(), among.numbers.numpy(), among.origins.numpy())


def _percent(shares: Any, value: Value) -> Tensor:
    """Shares, whose last axis is that of the columns, in percent along the axes of a value."""
    held, among = torch.from_numpy(shares).mul(100).float(), value.among
    assert among is not None
    if among.axis not in value.axes:
        return held.squeeze(-1)
    return held.movedim(-1, value.axis(among.axis)).contiguous()
