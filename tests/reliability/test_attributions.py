"""Attributions beside other answers: against loops and SciPy, and in what is said of them."""

from __future__ import annotations

from math import isnan

import pytest
import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.reliability import (
    ATTRIBUTION_THRESHOLDS,
    AttributionThresholds,
    attribution_verdict,
    between,
    check_attribution,
    in_common,
)
from tests.reference import attributions as reference


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_numbers_are_those_of_loops() -> None:
    own, first, second, removal = (numbers(seed, 2, 3, 20) for seed in range(4))
    learned, not_learned = numbers(4, 2, 3, 20), numbers(5, 2, 3, 20)
    others = {"first": first, "removal": removal, "second": second}
    found = check_attribution(own, others, removal, (learned, not_learned))
    assert found.methods == ("itself", "first", "removal", "second")
    for image in range(2):
        for target in range(3):
            here = image, target
            held = {"itself": own[here].tolist()}
            held |= {name: each[here].tolist() for name, each in others.items()}
            expected = reference.ranges(held)
            assert list(zip(found.low[here], found.high[here], strict=True)) == expected
            assert float(found.spread[here]) == pytest.approx(reference.spread(held))
            rho = reference.in_common(held["itself"], held["removal"])
            assert float(found.agreement[here]) == pytest.approx(rho)
            alike = [reference.in_common(held["itself"], held[name]) for name in others]
            assert found.alike[:, image, target].tolist() == pytest.approx(alike)
            lost = reference.in_common(learned[here].tolist(), not_learned[here].tolist())
            assert float(found.shuffled[here]) == pytest.approx(lost)


def test_what_has_no_order_has_none_in_common() -> None:
    flat, steep = torch.zeros(5), torch.arange(5.0)
    assert in_common(flat, steep).item() == in_common(steep, flat).item() == 0
    assert isnan(in_common(flat, flat).item())
    ties, other = [1.0, 1.0, 2.0, 5.0, 5.0], [0.0, 3.0, 3.0, 3.0, 9.0]
    rho = reference.in_common(ties, other)
    assert in_common(torch.tensor(ties), torch.tensor(other)).item() == pytest.approx(rho)


def test_few_atoms_say_nothing_of_shuffled_weights() -> None:
    own = torch.arange(8.0)
    assert check_attribution(own, {}, shuffled=(own, own)).shuffled.item() == pytest.approx(1.0)
    assert isnan(check_attribution(own[:7], {}, shuffled=(own[:7], own[:7])).shuffled.item())


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_attribution(torch.zeros(2, 5), {"other": torch.zeros(2, 4)})
    assert str(caught.value) == (
        "an attribution of shape (2, 5) is compared with numbers of shape (2, 4): both are "
        "(..., atom), of the same atoms"
    )


# Twelve atoms in order, the same with a few exchanged, and in no like order.
ORDER = torch.arange(12.0)
PARTLY = torch.tensor([5.0, 0, 1, 2, 11, 6, 3, 7, 4, 8, 9, 10])
NOT = torch.tensor([6.0, 0, 10, 3, 8, 1, 11, 2, 9, 4, 5, 7])


def test_the_orders_here_are_what_they_are_called() -> None:
    assert 0.3 < reference.in_common(ORDER.tolist(), PARTLY.tolist()) < 0.7
    assert abs(reference.in_common(ORDER.tolist(), NOT.tolist())) < 0.3


def pair(first: Tensor, second: Tensor) -> Tensor:
    return torch.stack([first, second])


@pytest.mark.parametrize(
    ("removal", "other", "not_learned", "expected"),
    [
        (pair(ORDER, ORDER), pair(ORDER, ORDER), NOT, ("clear", "agrees with removal")),
        (pair(ORDER, PARTLY), pair(ORDER, ORDER), NOT, ("doubtful", "agrees with removal in part")),
        (pair(ORDER, NOT), pair(ORDER, ORDER), NOT, ("doubtful", "removal says otherwise in part")),
        (pair(NOT, -ORDER), pair(ORDER, ORDER), NOT, ("refuted", "removal says otherwise")),
        (pair(ORDER, ORDER), pair(ORDER, PARTLY), NOT, ("doubtful", "methods disagree here")),
        (
            pair(ORDER, ORDER),
            pair(ORDER, ORDER),
            ORDER,
            ("doubtful", "hardly depends on what was learned"),
        ),
        (torch.zeros(2, 12), pair(ORDER, ORDER), NOT, ("unknown", "not compared with removal")),
    ],
)
def test_the_verdict_is_that_of_the_numbers(
    removal: Tensor, other: Tensor, not_learned: Tensor, expected: tuple[str, str]
) -> None:
    own = pair(ORDER, ORDER)
    shuffled = own, pair(not_learned, not_learned)
    found = check_attribution(own, {"other": other}, removal, shuffled)
    assert attribution_verdict(found)[:2] == expected


def test_evidence_tells_who_is_least_alike_and_how_far_apart() -> None:
    found = check_attribution(ORDER, {"near": ORDER + 0.5, "far": PARTLY}, ORDER, (ORDER, NOT))
    rho = reference.in_common(ORDER.tolist(), PARTLY.tolist())
    held = {"a": ORDER.tolist(), "b": (ORDER + 0.5).tolist(), "c": PARTLY.tolist()}
    lost = f"{reference.in_common(ORDER.tolist(), NOT.tolist()):.2f}".replace("-", "−")
    assert attribution_verdict(found)[2] == (
        f"rank correlation with removal 1.00; of 3 methods far is least like it, {rho:.2f}; their "
        f"ranges add up to {reference.spread(held):.0%} of the bars; with all weights shuffled "
        f"{lost}"
    )


def test_removal_is_no_method_that_is_least_alike() -> None:
    found = check_attribution(ORDER, {"near": ORDER + 0.5, "removal": PARTLY}, PARTLY)
    assert "removal is least" not in attribution_verdict(found)[2]
    assert "3 methods agree, the least alike to 1.00" in attribution_verdict(found)[2]


def test_nothing_to_compare_is_unknown_and_says_why() -> None:
    no_change = check_attribution(torch.zeros(5), {}, torch.zeros(5))
    assert attribution_verdict(no_change) == (
        "unknown",
        "not compared with removal",
        "no removal changes the score more than another",
    )
    missing = check_attribution(ORDER, {"other": ORDER}, missing="it takes too long")
    assert attribution_verdict(missing) == (
        "unknown",
        "not compared with removal",
        "it takes too long; 2 methods say the same",
    )


def test_thresholds_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        AttributionThresholds(agrees=0.2, refuted=0.5, unlearned=0.9)
    assert str(caught.value) == (
        "thresholds agrees=0.2, refuted=0.5, unlearned=0.9: all are from 0 to 1, and what is "
        "refuted is less than what agrees"
    )
    # Half and a tenth of the variance of ranks.
    assert ATTRIBUTION_THRESHOLDS.agrees**2 == pytest.approx(0.5, abs=0.02)
    assert ATTRIBUTION_THRESHOLDS.refuted**2 == pytest.approx(0.1, abs=0.02)


def test_ranges_are_told_once_where_their_ends_are_one() -> None:
    assert between(torch.tensor([0.501, 0.499])) == "0.50"
    assert between(torch.tensor([-0.001])) == "0.00"
