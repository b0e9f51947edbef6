"""What stands in the place of a picture that is not drawn: the nearest one that is."""

from __future__ import annotations

from collections.abc import Collection

import torch

from captum_blocks.compose.evaluation.facts import Facts
from captum_blocks.grammar import Hidden, Substrate
from captum_blocks.scene import Lent


def lenders(source: Substrate, facts: Facts, pictured: Collection[str]) -> dict[int, Lent]:
    """For each channel of a layer without a picture, that of the drawn one that fires most alike.

    Alike is the cosine of where both fire in the photographs; of nothing alike nothing is lent.

    Args:
        source: channels or neurons of a hidden layer; others lend nothing.
        facts: where channels fire.
        pictured: keys of the atoms that are drawn.
    """
    fires = facts.fires(source)
    if fires is None or source.grouping is not None:
        return {}
    assert isinstance(source.layer, Hidden)
    rows = torch.nn.functional.normalize(fires.transpose(0, 1).flatten(1).double(), dim=1)
    keys = [facts.key(source, index) for index in range(len(rows))]
    drawn = [index for index, key in enumerate(keys) if key in pictured]
    if not drawn:
        return {}
    alike, places = (rows @ rows[drawn].T).max(1)
    pairs = enumerate(zip(alike.tolist(), places.tolist(), strict=True))
    named = ((index, size, drawn[place]) for index, (size, place) in pairs)
    return {
        index: Lent(keys[lender], _words(facts.label(source, lender), size))
        for index, size, lender in named
        if size > 0 and keys[index] not in pictured
    }


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
