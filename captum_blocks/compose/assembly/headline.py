"""The question a page answers, and the sentence that answers it: from numbers, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from captum_blocks.numerals import count, number, quoted, spelled


@dataclass(frozen=True)
class Effects:
    """What groups of a layer did to the score of a class.

    Attributes:
        layer: dotted name.
        label: of the class.
        groups: one number a group.
        residual: what is in no group.
        tokens: what sits in tokens without a position; None where there are none.
        total: everything.
    """

    layer: str
    label: str
    groups: tuple[float, ...]
    residual: float
    tokens: float | None
    total: float


def title(network: str, photographs: Sequence[str], top: str, asked: Sequence[str]) -> str:
    """The question the page answers, with names in it.

    Args:
        network: its name.
        photographs: their names.
        top: the most probable class of the first.
        asked: the classes asked about; none: the most probable one.

    >>> title("net", ["cat.jpg"], "tabby", [])
    'Why “tabby”? What net saw in cat.jpg'
    """
    if len(photographs) > 1:
        return f"What {network} saw in {count(len(photographs), 'photograph')}"
    (picture,) = photographs
    seen = f"What {network} saw in {picture}" if picture else network
    if asked and top not in asked:
        return f"What speaks for {quoted(asked[0])}? {seen}"
    return f"Why {quoted(top)}? {seen}"


def sure(label: str, score: float, is_value: bool) -> str:
    """How sure a network is of its most probable class.

    >>> sure("tabby", 0.52, is_value=False), sure("age", 31.4, is_value=True)
    ('52% sure of “tabby”', 'at 31.4 for “age”')
    """
    if is_value:
        return f"at {score:.3g} for {quoted(label)}"
    return f"{score:.0%} sure of {quoted(label)}"


def added_up(effects: Effects) -> str:
    """Groups and what is in none of them, up to the whole.

    >>> added_up(Effects("bn2", "tabby", (3.0, 0.1), -0.5, None, 2.6))
    'Two groups of channels at bn2 add +3.10 to the score of “tabby” (the strongest one +3.00); \
−0.50 is in no group: +2.60 in all.'
    """
    strongest = [each for each in effects.groups if each > 0.1 * abs(effects.total)]
    most = ""
    if 0 < len(strongest) < len(effects.groups):
        most = f" (the strongest {spelled(len(strongest))} {number(sum(strongest))})"
    held = ""
    if effects.tokens is not None:
        held = f", {number(effects.tokens)} sits in tokens without a position"
    groups = count(len(effects.groups), "group").capitalize()
    return (
        f"{groups} of channels at {effects.layer} "
        f"{'adds' if len(effects.groups) == 1 else 'add'} {number(sum(effects.groups))} to the "
        f"score of {quoted(effects.label)}{most}; {number(effects.residual)} is in no group{held}: "
        f"{number(effects.total)} in all."
    )
