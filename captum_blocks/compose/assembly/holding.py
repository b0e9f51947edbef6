"""How well an attribution holds when its atoms are taken away one by one, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from captum_blocks.grammar import ATOMS
from captum_blocks.numerals import count

# Why atoms are not taken away one by one.
MISSING = {
    "neurons": "not taken away one by one",
    "long": "not compared with removals, which would take too long for a page",
    "fixed": "not compared with removals: nothing can be put in their place",
}


@dataclass(frozen=True)
class Agreement:
    """An attribution beside what removals take from one score.

    Attributes:
        score: which.
        correlations: of each class and photograph; NaN where there is none.
        shared: of each, how many of the strongest atoms are the same.
    """

    score: str
    correlations: tuple[float, ...]
    shared: tuple[int, ...]


@dataclass(frozen=True)
class Compared:
    """An attribution beside single removals.

    Attributes:
        atom: the kind of atom.
        layer: whose.
        method: its name.
        atoms: how many there are.
        filled: what stands in the place of one.
        answers: how many classes are compared.
        photographs: and how many photographs.
        k: how many of the strongest are compared; 0 for none.
        agreements: one a score.
        exact: whether they are exact Shapley values.
        missing: why there are no removals: a key of ``MISSING``; empty where there are.
    """

    atom: str
    layer: str
    method: str = ""
    atoms: int = 0
    filled: str = ""
    answers: int = 1
    photographs: int = 1
    k: int = 0
    agreements: tuple[Agreement, ...] = ()
    exact: bool = False
    missing: str = ""


def sentence(found: Compared) -> str:
    """What is said of an attribution.

    >>> fits = Agreement("log-odds", (0.412,), (7,)), Agreement("logit", (0.9,), (15,))
    >>> print(sentence(Compared("channel", "b", "Saliency", 672, "zero there", 1, 1, 20, fits)))
    over 672 channels of b the rank correlation of Saliency with what the removal of each alone \
(zero there) takes from the log-odds is 0.41, and 7 of the 20 strongest are the same (from the \
logit, which the method shares out, 0.90 and 15)
    >>> sentence(Compared("neuron", "b", missing="neurons"))
    'neurons of b: not taken away one by one'
    """
    if found.missing:
        return f"{ATOMS[found.atom].plural} of {found.layer}: {MISSING[found.missing]}"
    first, *others = found.agreements
    start = (
        f"over {_atoms(found)} of {found.layer} the rank correlation of {found.method} with what "
        f"the removal of each alone ({found.filled}) takes from the {first.score} is "
        f"{_correlation(first)}{_over(found)}"
    )
    strongest = f", and {_shared(first)} of the {found.k} strongest are the same"
    more = [
        f" (from the {each.score}, which the method shares out, {_in_short(each, found.k)})"
        for each in others
    ]
    exact = "; a Shapley value also counts what a group does with others gone already"
    return "".join([start, strongest if found.k else "", *more, exact if found.exact else ""])


def _atoms(found: Compared) -> str:
    if found.atom == "group":
        return count(found.atoms, "group")
    return f"{found.atoms:,} {ATOMS[found.atom].plural}"


def _in_short(agreement: Agreement, k: int) -> str:
    correlation = _correlation(agreement)
    return f"{correlation} and {_shared(agreement)}" if k else correlation


def _shared(agreement: Agreement) -> str:
    return _range([str(each) for each in sorted(agreement.shared)])


def _correlation(agreement: Agreement) -> str:
    told = sorted(each for each in agreement.correlations if not isnan(each))
    return _range([_two_digits(each) for each in told]) or "none (all are equal)"


def _two_digits(value: float) -> str:
    """A correlation.

    >>> _two_digits(-0.256), _two_digits(-0.0001)
    ('−0.26', '0.00')
    """
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _range(told: Sequence[str]) -> str:
    """The least and the largest of what is told in order.

    >>> _range(["0.1", "0.2", "0.4"]), _range(["3", "3"]), _range([])
    ('0.1 to 0.4', '3', '')
    """
    ends = dict.fromkeys((*told[:1], *told[-1:]))
    return " to ".join(ends)


def _over(found: Compared) -> str:
    """For how many answers and photographs."""
    each = ((found.answers, "answer"), (found.photographs, "photograph"))
    told = [count(amount, noun) for amount, noun in each if amount > 1]
    return f" for {' of '.join(told)}" if told else ""
