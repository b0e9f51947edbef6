"""Exact Shapley values of a few players."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial

import torch
from torch import Tensor

from captum_blocks.errors import UnsupportedMethod

MOST_GROUPS = 8


def coalitions(n_players: int) -> Tensor:
    """Every subset of the players, (2^n, n) of booleans; the last one has them all.

    >>> coalitions(2).int().tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    subsets = torch.arange(2**n_players)
    return (subsets[:, None] >> torch.arange(n_players)) % 2 == 1


def shapley_values(worth: Tensor) -> Tensor:
    """What each player adds, averaged over all orders in which the players may join.

    phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! * (v(S + i) - v(S))
    (Shapley, "A value for n-person games", 1953).

    Args:
        worth: (2^n, ...): of each coalition, in the order of ``coalitions``.

    Returns:
        (n, ...); the sum over players is the worth of all minus that of none.

    >>> shapley_values(torch.tensor([0.0, 1.0, 2.0, 5.0])).tolist()
    [2.0, 3.0]
    """
    n_players = (worth.shape[0] - 1).bit_length()
    table = coalitions(n_players)
    size = table.sum(1)
    orders = [factorial(s) * factorial(n_players - s - 1) for s in range(n_players)]
    share = torch.tensor(orders, dtype=torch.float64) / factorial(n_players)
    joined = torch.where(table, share[(size - 1).clamp(min=0)][:, None], 0.0)
    absent = torch.where(table, 0.0, share[size.clamp(max=n_players - 1)][:, None])
    weights = (joined - absent).to(worth)
    return torch.einsum("sp,s...->p...", weights, worth)


def exact(worth: Callable[[Tensor], Tensor], n_players: int) -> Tensor:
    """Exact Shapley values of a game given as a function.

    Args:
        worth: coalitions (row, player) -> (row, ...).
        n_players: how many there are.

    Returns:
        (player, ...).
    """
    return shapley_values(worth(coalitions(n_players)))


def check_groups(n_groups: int) -> None:
    """Whether there are few enough groups to try every coalition.

    Raises:
        UnsupportedMethod: there are more than eight.
    """
    if n_groups > MOST_GROUPS:
        raise UnsupportedMethod(
            f"exact Shapley values of {n_groups} groups and a residual need "
            f"{2 ** (n_groups + 1):,} passes of the head; up to {MOST_GROUPS} groups are done. "
            "Use fewer groups, ShapleyValueSampling or KernelShap"
        )
