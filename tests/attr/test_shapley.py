from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from captum_blocks.attr.shapley import check_groups, coalitions, shapley_values
from captum_blocks.errors import UnsupportedMethod
from tests.reference import attr_loops


@given(st.integers(1, 5), st.integers(0, 99))
def test_equals_the_mean_over_all_orders(n_players: int, seed: int) -> None:
    worth = torch.randn(2**n_players, 2, generator=torch.Generator().manual_seed(seed)).double()
    table = [frozenset(torch.where(row)[0].tolist()) for row in coalitions(n_players)]
    found = shapley_values(worth)
    for column in range(2):
        lookup = dict(zip(table, worth[:, column].tolist(), strict=True))
        expected = attr_loops.shapley(lookup.__getitem__, n_players)
        assert found[:, column].tolist() == pytest.approx(expected)


def test_more_than_eight_groups_are_refused_with_the_count() -> None:
    with pytest.raises(UnsupportedMethod, match=r"9 groups and a residual need 1,024 passes"):
        check_groups(9)
