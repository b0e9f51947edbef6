"""What the network answers without some groups: a row of the table of subsets."""

from __future__ import annotations

from dataclasses import replace

from captum_blocks.compose.evaluation.contents import evaluate_content, value_of
from captum_blocks.compose.evaluation.looking import Looking
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.subsets import table_of
from captum_blocks.compose.evaluation.switched import Switches
from captum_blocks.compose.evaluation.values import PROBABILITY, Value
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, UnusableLayer
from captum_blocks.grammar import Without


@evaluate_content.register
def _without(content: Without, session: Session) -> Value:
    value, look = value_of(content.content, session), session.of(content.of)
    if session.of(value.source) is not look:
        raise InvalidArgument(f"{content!r}: answers of one network, groups of another")
    try:
        switches = _switches(content, value, look)
    except (UnusableLayer, UnsupportedMethod) as error:
        if content.off:
            raise
        return replace(value, said=(f"no group can be switched off: {error}",))
    assert isinstance(content.off, tuple)
    row = switches.row(content.off)
    probabilities = switches.probabilities(row)
    some = len(switches.groups) < len(look.directions(content.of))
    said = f"the {len(switches.groups)} strongest groups can be switched off"
    return replace(
        value,
        data=switches.scores[:, row],
        also={} if probabilities is None else {PROBABILITY: probabilities},
        switches=switches,
        said=(said,) if some else (),
    )


def _switches(content: Without, value: Value, look: Looking) -> Switches:
    table = table_of(content.of, look)
    # The rest of the layer, the last player, stays.
    scores = table.scores.mean(1)[:, len(table.present) // 2 :].float().cpu()
    shown = list(value.coords["class"])
    others = [index for index in range(scores.shape[-1]) if index not in set(shown)]
    head = look.net.head_of(look.logits.shape[1])
    rest = scores[..., others].logsumexp(-1)  # of none, minus infinity
    return Switches(content.of, table.groups, scores[..., shown], rest, head)
