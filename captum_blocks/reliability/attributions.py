"""How far an attribution is to be believed: beside other methods, removal, and nothing learned.

Three questions that can be answered without knowing the truth. Does taking its atoms away, one by
one, do what it says (perturbation, as in Samek et al., "Evaluating the visualization of what a deep
neural network has learned", 2017)? Do other methods that share out the same score say the same
("The Building Blocks of Interpretability", Distill 2018, asks interfaces to show how much an
attribution depends on the path)? Does it depend on what the network has learned (Adebayo et al.,
"Sanity Checks for Saliency Maps", NeurIPS 2018)? Agreement with removal is no proof: atoms that
stand in for each other can all be removed alone without effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.ranking import ranks

AttributionLevel = Literal["clear", "doubtful", "refuted", "unknown"]
# What removal is called where it is one of the methods.
REMOVAL = "removal"
AGREES = "agrees with removal"
# Ranges that add up to less than this share of the bars are not told: they would round to none.
THE_SAME = 0.005
# Of fewer atoms the ranks of two networks are alike by chance too often to say anything.
FEWEST_SHUFFLED = 8


@dataclass(frozen=True)
class AttributionThresholds:
    """Rank correlations from which on an attribution is believed, doubted or refuted.

    Attributes:
        agrees: at least so much with removal, and with every other method.
        refuted: less than this with removal.
        unlearned: at least so much with itself where nothing is learned.

    Raises:
        InvalidArgument: they are not from 0 to 1, or what is refuted agrees.

    >>> AttributionThresholds(agrees=0.5, refuted=0.2, unlearned=0.9).agrees
    0.5
    """

    agrees: float
    refuted: float
    unlearned: float

    def __post_init__(self) -> None:
        if not (0 <= self.refuted <= self.agrees <= 1 and 0 <= self.unlearned <= 1):
            raise InvalidArgument(
                f"thresholds agrees={self.agrees}, refuted={self.refuted}, "
                f"unlearned={self.unlearned}: all are from 0 to 1, and what is refuted is less "
                "than what agrees"
            )


# Conventions, not fitted to anything: the square of a rank correlation is the share of the variance
# of one order that the other has, and these are half of it (.7) and a tenth (.3). For scale, on
# EfficientNet-Lite0 with four photographs gradient × activation has .86 to .96 with removal at
# blocks.5.0.bn1 and 1 at bn2, stochastic paths −.1 to .6 and 1 with it, and the network with its
# weights shuffled up to .3.
ATTRIBUTION_THRESHOLDS = AttributionThresholds(agrees=0.7, refuted=0.3, unlearned=0.7)


@dataclass(frozen=True, eq=False)
class AttributionCheck:
    """An attribution beside other answers to the same question.

    Attributes:
        methods: names of all methods compared, its own first.
        low, high: (..., atom), the least and the largest of their numbers.
        spread: (...), how far they lie apart: the sum over atoms of the ranges, as a share of the
            sum of the largest magnitudes; from 0, all say the same, to 2, not even signs agree.
        agreement: (...), rank correlation with removal; NaN where nothing was removed, or no
            removal changes the score more than another.
        alike: (method, ...), rank correlation with each other method.
        shuffled: (...), rank correlation of one attribution in the network and in one whose weights
            are shuffled; NaN where that was not asked, of fewer than eight atoms, or where nothing
            reaches the score there.
        missing: why nothing was removed, in words; empty where something was.

    >>> own = torch.tensor([1.0, 2.0, 3.0])
    >>> found = check_attribution(own, {"other": torch.tensor([1.0, 4.0, 3.0])}, removal=own)
    >>> found.high.tolist(), found.spread.item(), found.agreement.item()
    ([1.0, 4.0, 3.0], 0.25, 1.0)
    """

    methods: tuple[str, ...]
    low: Tensor
    high: Tensor
    spread: Tensor
    agreement: Tensor
    alike: Tensor
    shuffled: Tensor
    missing: str = ""


def check_attribution(
    own: Tensor,
    others: Mapping[str, Tensor],
    removal: Tensor | None = None,
    shuffled: tuple[Tensor, Tensor] | None = None,
    missing: str = "",
) -> AttributionCheck:
    """Hold an attribution against other methods, removal and a network of shuffled weights.

    Args:
        own: (..., atom), under the name "itself".
        others: by name, other methods' answers to the same question, each (..., atom); where
            removal asks it, too, that is one of them, as "removal".
        removal: (..., atom), what taking each atom away alone takes from the score.
        shuffled: an attribution in the network, and the same in one whose weights are shuffled,
            each (..., atom).
        missing: why there is no removal, in words.

    Raises:
        InvalidArgument: shapes that differ.

    >>> flat, steep = torch.zeros(3), torch.tensor([1.0, 5.0, 9.0])
    >>> check_attribution(flat, {}, removal=steep).agreement.item()  # it has no order
    0.0
    """
    held = {"itself": own, **others}
    _check_shapes(
        own, [*others.values(), *(() if removal is None else (removal,)), *(shuffled or ())]
    )
    numbers = torch.stack(list(held.values()))
    low, high = numbers.amin(0), numbers.amax(0)
    size = numbers.abs().amax(0).sum(-1)
    spread = torch.where(size > 0, (high - low).sum(-1) / size, torch.zeros_like(size))
    none = torch.full(own.shape[:-1], torch.nan, dtype=own.dtype)
    alike = [in_common(own, each) for each in others.values()]
    if own.shape[-1] < FEWEST_SHUFFLED:
        shuffled = None
    return AttributionCheck(
        tuple(held),
        low,
        high,
        spread,
        none if removal is None else _with_removal(own, removal),
        torch.stack(alike) if alike else none.new_zeros(0, *none.shape),
        none if shuffled is None else in_common(*shuffled),
        missing,
    )


def in_common(one: Tensor, other: Tensor) -> Tensor:
    """Rank correlation along the last axis; 0 where one of them alone is the same everywhere.

    What puts everything at the same place has no order in common with what does not. Where both do,
    there is nothing to compare: NaN.

    Args:
        one, other: (..., atom).

    >>> in_common(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([9.0, 4.0, 1.0])).item()
    -1.0
    """
    first, second = (held - held.mean(-1, keepdim=True) for held in (ranks(one), ranks(other)))
    sizes = first.norm(dim=-1), second.norm(dim=-1)
    product = (first * second).sum(-1) / (sizes[0] * sizes[1])
    alone = (sizes[0] == 0) != (sizes[1] == 0)
    found: Tensor = torch.where(alone, torch.zeros_like(product), product.clamp(-1, 1))
    return found.to(one.dtype)


def _with_removal(own: Tensor, removal: Tensor) -> Tensor:
    """Rank correlation; NaN where no removal takes more than another: atoms may stand in for each
    other, which refutes nothing."""
    told = (removal != removal[..., :1]).any(-1)
    return in_common(own, removal).where(told, torch.nan)


def _check_shapes(own: Tensor, others: Sequence[Tensor]) -> None:
    for each in others:
        if each.shape != own.shape:
            raise InvalidArgument(
                f"an attribution of shape {tuple(own.shape)} is compared with numbers of shape "
                f"{tuple(each.shape)}: both are (..., atom), of the same atoms"
            )


def attribution_verdict(
    check: AttributionCheck,
    thresholds: AttributionThresholds = ATTRIBUTION_THRESHOLDS,
    also: tuple[str, Tensor] | None = None,
) -> tuple[AttributionLevel, str, str]:
    """A level, one phrase in plain English, and the numbers that it is said by.

    Of several answers or photographs, what holds for all of them is said without restriction;
    "removal says otherwise" is a refutation where it does for all.

    Args:
        check: of one attribution, to one answer or several.
        thresholds: where levels end.
        also: where removals of the logit were compared, another score that no method shares out,
            and the rank correlations with its removals, (...). A logit can rise by as much as all
            others do: what agrees by logit alone says nothing of the answer.

    >>> own = torch.tensor([1.0, 2.0, 3.0, 4.0])
    >>> attribution_verdict(check_attribution(own, {}, removal=2 * own))
    ('clear', 'agrees with removal', 'rank correlation with removal 1.00')
    >>> attribution_verdict(check_attribution(own, {}, removal=-own))[:2]
    ('refuted', 'removal says otherwise')
    >>> attribution_verdict(check_attribution(own, {}, missing="it takes too long"))
    ('unknown', 'not compared with removal', 'it takes too long')
    """
    with_removal = _told(check.agreement)
    why = _evidence(check, thresholds)
    if not len(with_removal):
        missing = check.missing or "no removal changes the score more than another"
        return "unknown", "not compared with removal", "; ".join((missing, *why))
    level, phrase = _level(check, with_removal, thresholds)
    first = f"rank correlation with removal {between(with_removal)}"
    if also is not None and len(found := _told(also[1])):
        first += f" by logit, {between(found)} by {also[0]}"
        if phrase == AGREES and bool((found < thresholds.agrees).any()):
            level, phrase = "doubtful", f"{AGREES}, by logit"
    return level, phrase, "; ".join((first, *why))


def _level(
    check: AttributionCheck, with_removal: Tensor, thresholds: AttributionThresholds
) -> tuple[AttributionLevel, str]:
    otherwise = with_removal < thresholds.refuted
    if bool(otherwise.all()):
        return "refuted", "removal says otherwise"
    if bool(otherwise.any()):
        return "doubtful", "removal says otherwise in part"
    if bool((with_removal < thresholds.agrees).any()):
        return "doubtful", "agrees with removal in part"
    if bool((_told(check.shuffled) >= thresholds.unlearned).any()):
        return "doubtful", "hardly depends on what was learned"
    if bool((_told(check.alike) < thresholds.agrees).any()):
        return "doubtful", "methods disagree here"
    return "clear", AGREES


def _evidence(check: AttributionCheck, thresholds: AttributionThresholds) -> tuple[str, ...]:
    """What is said besides agreement with removal."""
    said = []
    named = [place for place, name in enumerate(check.methods[1:]) if name != REMOVAL]
    others = check.alike[named]
    if len(_told(others)):
        amount = f"{len(check.methods)} methods"
        if bool((check.spread < THE_SAME).all()):
            return (f"{amount} say the same", *_unlearned(check))
        if bool((_told(others) >= thresholds.agrees).all()):
            said.append(f"{amount} agree, the least alike to {between(_told(others).min())}")
        else:
            least = named[int(others.reshape(len(named), -1).nan_to_num(2.0).amin(1).argmin())]
            found = between(_told(check.alike[least]))
            said.append(f"of {amount} {check.methods[1 + least]} is least like it, {found}")
        said.append(f"their ranges add up to {between(check.spread, 0)} of the bars")
    return (*said, *_unlearned(check))


def _unlearned(check: AttributionCheck) -> tuple[str, ...]:
    told = _told(check.shuffled)
    return (f"with all weights shuffled {between(told)}",) if len(told) else ()


def _told(numbers: Tensor) -> Tensor:
    """Those that are numbers, in a row."""
    return numbers[~numbers.isnan()]


def between(numbers: Tensor, digits: int = 2) -> str:
    """The least and the largest, in so many digits; with none of them as shares.

    >>> between(torch.tensor([0.5, -0.25])), between(torch.tensor([0.5, 1.0]), 0)
    ('−0.25 to 0.50', '50% to 100%')
    """
    ends = (float(numbers.min()), float(numbers.max()))
    if digits:
        told = [f"{round(each, digits) + 0.0:.{digits}f}".replace("-", "−") for each in ends]
    else:
        told = [f"{each:.0%}" for each in ends]
    return " to ".join(dict.fromkeys(told))
