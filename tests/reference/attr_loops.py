"""Attribution, written as the loops the formulas are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import torch
from torch import Tensor


def regrouped(
    a: Tensor, r: Tensor, w: Tensor | None, z: Tensor, d: Tensor
) -> tuple[Tensor, Tensor]:
    """Group and residual at every position, one neuron at a time (non-negative activations)."""
    images, classes, channels, height, width = r.shape
    groups = torch.zeros(images, classes, len(d), height, width, dtype=r.dtype)
    for i in range(images):
        for t in range(classes):
            for y in range(height):
                for x in range(width):
                    for k in range(len(d)):
                        for c in range(channels):
                            part = z[i, k, y, x] * d[k, c]
                            if w is not None:
                                groups[i, t, k, y, x] += w[i, t, c, y, x] * part
                                continue
                            whole = sum(z[i, j, y, x] * d[j, c] for j in range(len(d)))
                            larger = max(a[i, c, y, x], whole)
                            if larger > 0:
                                groups[i, t, k, y, x] += r[i, t, c, y, x] * part / larger
    return groups, r.sum(2) - groups.sum(2)


def shapley(worth: Callable[[frozenset[int]], float], n_players: int) -> list[float]:
    """The mean of what each player adds on joining, over all orders."""
    totals = [0.0] * n_players
    orders = list(permutations(range(n_players)))
    for order in orders:
        present: frozenset[int] = frozenset()
        for player in order:
            joined = present | {player}
            totals[player] += worth(joined) - worth(present)
            present = joined
    return [total / len(orders) for total in totals]


def gradient(function: Callable[[Tensor], Tensor], a: Tensor) -> Tensor:
    """d function / d a, of a function with one number as its answer."""
    leaf = a.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(function(leaf), leaf)
    return found


def path_gradient(
    function: Callable[[Tensor], Tensor], a: Tensor, n_steps: int, factors: Tensor | None
) -> Tensor:
    """The mean gradient at a * n / N, n = 0 ... N-1; ``factors`` (n, channel) of (1, C, ...)."""
    total = torch.zeros_like(a)
    for n in range(n_steps):
        point = a * n / n_steps
        if factors is not None:
            for channel in range(a.shape[1]):
                point[:, channel] *= factors[n, channel]
        total += gradient(function, point)
    return total / n_steps


def blurred(grid: list[list[float]]) -> list[list[float]]:
    """A quarter centre, half the mean of four neighbours, a quarter the mean of the diagonals."""
    height, width = len(grid), len(grid[0])

    def at(y: int, x: int) -> float:
        return grid[min(max(y, 0), height - 1)][min(max(x, 0), width - 1)]

    found = []
    for y in range(height):
        row = []
        for x in range(width):
            near = (at(y - 1, x) + at(y + 1, x) + at(y, x - 1) + at(y, x + 1)) / 4
            corners = at(y - 1, x - 1) + at(y - 1, x + 1) + at(y + 1, x - 1) + at(y + 1, x + 1)
            row.append(0.25 * at(y, x) + 0.5 * near + 0.25 * corners / 4)
        found.append(row)
    return found
