"""What stands in the place of a picture that is not drawn: the nearest one that is."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from captum_blocks.compose.evaluation.facts import Facts
from captum_blocks.grammar import Hidden, Substrate
from captum_blocks.scene import Lent


def lenders(
    source: Substrate, facts: Facts, pictured: Collection[str], wanted: Collection[int]
) -> dict[int, Lent]:
    """For channels of a layer without a picture, that of the drawn one that fires most alike.

    Alike is the cosine of where both fire in the photographs; of nothing alike nothing is lent.

    Args:
        source: channels or neurons of a hidden layer; others lend nothing.
        facts: where channels fire.
        pictured: keys of the atoms that are drawn.
        wanted: the channels that have no picture of their own.
    """
    fires = facts.fires(source)
    if fires is None or source.grouping is not None:
        return {}
    assert isinstance(source.layer, Hidden)
    drawn = _drawn(source, facts, pictured, fires.shape[1])
    asked = [index for index in sorted(set(wanted)) if index not in drawn]
    if not drawn or not asked:
        return {}
    alike, places = (_rows(fires, asked) @ _rows(fires, list(drawn)).T).max(1)
    lending = [list(drawn)[place] for place in places.tolist()]
    return {
        index: Lent(facts.key(source, lender), _words(facts.label(source, lender), size))
        for index, size, lender in zip(asked, alike.tolist(), lending, strict=True)
        if size > 0
    }


def _drawn(
    source: Substrate, facts: Facts, pictured: Collection[str], count: int
) -> dict[int, None]:
    """The channels of a layer that are drawn, in order."""
    before = facts.key(source, 0).removesuffix("0")
    ends = (key.removeprefix(before) for key in pictured if key.startswith(before))
    numbers = sorted(int(end) for end in ends if end.isdecimal())
    return dict.fromkeys(number for number in numbers if number < count)


def _rows(fires: Tensor, channels: list[int]) -> Tensor:
    """(channel, place of a photograph), of length one."""
    rows = fires[:, channels].transpose(0, 1).flatten(1).double()
    return torch.nn.functional.normalize(rows, dim=1)


def _words(lender: str, alike: float) -> str:
    """Whose picture it is.

    >>> _words("channel 12", 0.934)
    'no picture of its own was drawn: this is that of channel 12, of those drawn the nearest \
(cosine of where they fire 0.93)'
    """
    return (
        f"no picture of its own was drawn: this is that of {lender}, of those drawn the nearest "
        f"(cosine of where they fire {alike:.2f})"
    )
