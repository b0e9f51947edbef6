"""Which pictures are made is decided once, from what all elements would show."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from captum_blocks.compose import Subject
from captum_blocks.compose.pictures.plan import Plan, Wanted, plan_pictures
from captum_blocks.compose.pictures.requests import (
    channel_subject,
    class_subject,
    group_subject,
    place_subject,
)
from captum_blocks.errors import UnknownName


def channel(index: int, weight: float = 1.0, at_once: bool = False) -> Subject:
    return replace(channel_subject("late", index), weight=weight, at_once=at_once)


def drawn(plan: Plan) -> list[int]:
    """Indices of the subjects that are drawn one by one, in order."""
    return [request.subjects[0].index for request in plan.requests if len(request.keys) == 1]


def grid(firing: torch.Tensor, image: int = 0, weight: float = 1.0) -> tuple[Subject, ...]:
    """The places of a map (channel, y, x)."""
    places = [(y, x) for y in range(firing.shape[1]) for x in range(firing.shape[2])]
    return tuple(
        replace(
            place_subject(f"late/spatial {image}/{y},{x}", "late", (y, x), firing),
            shares=torch.ones(2),
            image=image,
            weight=weight,
        )
        for y, x in places
    )


def test_the_most_seen_are_drawn_as_far_as_the_budget_goes() -> None:
    planned = plan_pictures([Wanted((channel(0, 1), channel(1, 5), channel(2, 3)))], budget=2)
    assert drawn(planned) == [1, 2]
    assert planned.keys == {"late/channel/1", "late/channel/2"}
    assert planned.coverage == (pytest.approx(8 / 9),)
    assert planned.wanted == {"optimized": 3}
    assert planned.count("optimized") == 2


def test_what_is_seen_at_once_comes_first() -> None:
    subjects = (channel(0, 5), channel(1, 1, at_once=True), channel(2, 3, at_once=True))
    assert drawn(plan_pictures([Wanted(subjects)], budget=3)) == [2, 1, 0]


def test_equals_come_by_name() -> None:
    subjects = (channel(2), channel(0), channel(1))
    assert drawn(plan_pictures([Wanted(subjects)], budget=9)) == [0, 1, 2]


def test_a_subject_of_many_states_is_seen_as_much_as_all_of_them() -> None:
    states = (channel(0, 2), channel(1, 3), channel(0, 2), channel(0, 0, at_once=True))
    planned = plan_pictures([Wanted(states)], budget=1)
    assert drawn(planned) == [0]
    assert planned.coverage == (pytest.approx(4 / 7),)
    assert not planned.requests[0].subjects[0].at_once  # where it is opened, nothing is of it


def test_every_element_counts_the_same_whatever_its_unit() -> None:
    loud = Wanted((channel(0, 600), channel(1, 400)))
    quiet = Wanted((channel(2, 0.09), channel(3, 0.01)))
    planned = plan_pictures([loud, quiet], budget=1)
    assert drawn(planned) == [2, 0]
    assert planned.coverage == (pytest.approx(0.6), pytest.approx(0.9))


def test_an_element_that_wants_nothing_new_adds_nothing_to_the_budget() -> None:
    first, again = Wanted((channel(0), channel(1))), Wanted((channel(1),))
    assert len(plan_pictures([first, again], budget=1).requests) == 1
    assert len(plan_pictures([first, Wanted((channel(2),))], budget=1).requests) == 2
    assert plan_pictures([Wanted(), Wanted()], budget=1).coverage == (1.0, 1.0)


def test_what_is_not_seen_is_not_drawn() -> None:
    planned = plan_pictures([Wanted((channel(0, 0), channel(1, 1)))], budget=9)
    assert drawn(planned) == [1]
    assert planned.coverage == (1.0,)


def test_a_group_that_no_channel_is_in_has_no_picture() -> None:
    empty = group_subject("late/groups/0", "late", 0, torch.zeros(3))
    full = group_subject("late/groups/1", "late", 1, torch.eye(3)[0])
    planned = plan_pictures([Wanted((empty, full))], budget=9)
    assert planned.keys == {"late/groups/1"}
    assert planned.coverage == (1.0,)


def test_a_grid_is_drawn_whole_whatever_the_budget() -> None:
    firing = torch.ones(3, 2, 2)
    firing[:, 1, 0] = 0  # nothing fires there
    planned = plan_pictures(
        [Wanted((channel(0), channel(1))), Wanted(grid(firing), "shared")], budget=1
    )
    single, whole = planned.requests
    assert single.keys == ("late/channel/0",)
    assert whole.keys == ("late/spatial 0/0,0", "late/spatial 0/0,1", "late/spatial 0/1,1")
    assert (whole.source, whole.layer, whole.label) == ("shared", "late", "late-mosaic")
    assert planned.wanted == {"optimized": 2, "shared": 3}
    assert planned.coverage == (0.5, 1.0)
    unseen = plan_pictures([Wanted(grid(firing, weight=0), "shared")], budget=0)
    assert unseen.count("shared") == 3


def test_each_photograph_has_a_grid_of_its_own_and_states_share_it() -> None:
    firing = torch.ones(3, 2, 2)
    states = grid(firing, 0) + grid(firing, 1) + grid(firing, 0)
    planned = plan_pictures([Wanted(states, "shared"), Wanted(grid(firing, 1), "shared")], 1)
    assert [len(request.keys) for request in planned.requests] == [4, 4]
    assert planned.wanted == {"shared": 8}


def test_what_shares_nothing_is_drawn_as_usual() -> None:
    cat = class_subject("out/class/0", 0, "cat")
    planned = plan_pictures([Wanted((cat, *grid(torch.ones(3, 2, 2))), "shared")], budget=9)
    assert planned.wanted == {"optimized": 1, "shared": 4}
    assert planned.of("optimized")[0].subjects[0].label == "cat"


def test_a_plan_is_what_it_was() -> None:
    planned = plan_pictures([Wanted((channel(0),))], budget=1)
    with pytest.raises(FrozenInstanceError):
        planned.requests = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        planned.wanted["optimized"] = 7  # type: ignore[index]


def test_a_source_that_nobody_registered() -> None:
    with pytest.raises(
        UnknownName, match="no picture source 'optimised'; did you mean 'optimized'"
    ):
        plan_pictures([Wanted((channel(0),), "optimised")], budget=1)
