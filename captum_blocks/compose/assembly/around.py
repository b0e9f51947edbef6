"""What is said before any number of a layer that part of the answer goes around."""

from __future__ import annotations

from dataclasses import dataclass

from captum_blocks.numerals import count, number, quoted

# How the score of a class is called, and what it does.
SCORES = {
    "log-odds": ("log-odds of", "change"),
    "output": ("value of", "changes"),
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
logit changes by 0.20 on average, up or down. Put into those 8, this photograph's output changes \
their log-odds of “cat” by +0.10 on average (0 to +0.20), 0 of 8 become “cat”, and a logit changes \
by 0.30 on average.
    """
    one = exchange.photographs == 1
    score, change = SCORES[exchange.unit]
    class_ = quoted(exchange.label) if one else "each one's top class"
    own, same = ("this", class_) if one else ("each", "that class")
    of = "" if one else f" for each of {count(exchange.photographs, 'photograph')}"
    article = "an" if exchange.every == "output" else "a"
    each = f"{article} {exchange.every} changes by {{}} on average"
    taken = _moves(exchange.taken, _staying(exchange), f"{each}, up or down")
    put = _moves(exchange.put, _becoming(exchange), each)
    return (
        f"Part of the answer goes around {exchange.layer}. With its output taken from "
        f"{_others(exchange)}{of}, the {score} {class_} {change} by {taken}. Put into those "
        f"{exchange.others}, {own} photograph's output changes their {score} {same} by {put}."
    )


def _others(exchange: Exchange) -> str:
    if exchange.made_up:
        return f"{exchange.others} made-up test pictures (give others= for photographs)"
    return f"{exchange.others} other photographs"


def _staying(exchange: Exchange) -> str:
    what = quoted(exchange.label) if exchange.photographs == 1 else "what it was"
    return f"the answer stays {what} in {exchange.taken.top} of {exchange.taken.of}"


def _becoming(exchange: Exchange) -> str:
    """Only pictures that were something else before can become the class."""
    put, every = exchange.put, exchange.photographs * exchange.others
    among = f"{put.of}" if put.of == every else f"the {put.of} that were something else before"
    what = quoted(exchange.label) if exchange.photographs == 1 else "that class"
    return f"{put.top} of {among} become {what}"


def _moves(moves: Moves, counted: str, every: str) -> str:
    """What happened to the score, in how many to the answer, and what to all outputs."""
    parts = [f"{number(moves.mean)} on average ({number(moves.low)} to {number(moves.high)})"]
    if moves.top is not None and moves.of:
        parts.append(counted)
    if moves.every is not None:
        parts.append(every.format(number(moves.every).removeprefix("+")))
    comma = "," if len(parts) > 2 else ""
    return f"{', '.join(parts[:-1])}{comma} and {parts[-1]}" if parts[1:] else parts[0]
