"""What is said before any number of a layer that part of the answer goes around."""

from __future__ import annotations

from dataclasses import dataclass

from captum_blocks.compose.assembly.numerals import count, number, quoted

# How the score of a class is called, and what it does.
SCORES = {
    "log-odds": ("log-odds of", "change"),
    "output": ("output", "changes"),
    "probability": ("probability of", "changes"),
}


@dataclass(frozen=True)
class Moves:
    """What an exchange did to answers.

    Attributes:
        mean: change of the score, over all that were tried.
        low: the least of them.
        high: the largest of them.
        every: mean absolute change over all outputs; None where there is one only.
        top: how many answers are the class; None where outputs do not compete.
        of: how many could be.
    """

    mean: float
    low: float
    high: float
    every: float | None
    top: int | None
    of: int


@dataclass(frozen=True)
class Exchange:
    """A layer exchanged between photographs and other pictures.

    Attributes:
        layer: dotted name.
        label: of the photograph's top class; empty of several photographs.
        photographs: how many there are.
        others: how many other pictures for each.
        made_up: whether those are no photographs.
        unit: of the scores, a key of ``SCORES``.
        every: what all outputs are.
        taken: the layer taken from the others.
        put: the layer put into the others.
    """

    layer: str
    label: str
    photographs: int
    others: int
    made_up: bool
    unit: str
    every: str
    taken: Moves
    put: Moves


def sentences(exchange: Exchange) -> str:
    """What happens to the answers, in three sentences.

    >>> taken, put = Moves(-0.3, -1.2, 0.4, 0.2, 7, 8), Moves(0.1, 0, 0.2, 0.3, 0, 8)
    >>> print(sentences(Exchange("a", "cat", 1, 8, False, "log-odds", "logit", taken, put)))
    Part of the answer goes around a. With its output taken from 8 other photographs, the log-odds \
of “cat” change by −0.30 on average (−1.20 to +0.40), the answer stays “cat” in 7 of 8, and a \
logit changes by 0.20 on average, up or down. With this photograph's output put into those 8, \
their log-odds of “cat” change by +0.10 on average (0 to +0.20), 0 of 8 become “cat”, and a logit \
changes by 0.30 on average, up or down.
    """
    several, others = exchange.photographs > 1, _others(exchange)
    class_ = "each one's top class" if several else quoted(exchange.label)
    score, change = SCORES[exchange.unit]
    of = f" for each of {count(exchange.photographs, 'photograph')}" if several else ""
    stays = "the answer stays what it was" if several else f"the answer stays {class_}"
    become = "become the photograph's top class" if several else f"become {class_}"
    own = "each photograph's" if several else "this photograph's"
    taken = _moves(exchange.taken, exchange.every, f"{stays} in {{}} of {{}}")
    put = _moves(exchange.put, exchange.every, _becoming(exchange, become))
    theirs = f"their {score} {'that class' if several else class_}"
    return (
        f"Part of the answer goes around {exchange.layer}. With its output taken from "
        f"{others}{of}, the {score} {class_} {change} by {taken}. With {own} output put into those "
        f"{exchange.others}, {theirs} {change} by {put}."
    )


def _others(exchange: Exchange) -> str:
    if exchange.made_up:
        return f"{exchange.others} made-up test pictures (give others= for photographs)"
    return f"{exchange.others} other photographs"


def _becoming(exchange: Exchange, become: str) -> str:
    """Only pictures that were something else before can become the class."""
    all_ = exchange.photographs * exchange.others
    if exchange.put.of == all_:
        return f"{{}} of {{}} {become}"
    return f"{{}} of the {{}} that were something else before {become}"


def _moves(moves: Moves, every: str, counted: str) -> str:
    parts = [f"{number(moves.mean)} on average ({number(moves.low)} to {number(moves.high)})"]
    if moves.top is not None and moves.of:
        parts.append(counted.format(moves.top, moves.of))
    if moves.every is not None:
        article = "an" if every == "output" else "a"
        size = number(moves.every).removeprefix("+")
        parts.append(f"{article} {every} changes by {size} on average, up or down")
    if len(parts) < 2:
        return parts[0]
    joint = "," if len(parts) > 2 else ""
    return f"{', '.join(parts[:-1])}{joint} and {parts[-1]}"
