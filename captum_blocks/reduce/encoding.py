"""Non-negative least squares: how much of each group a position holds.

``encode`` solves ``min_z 1/2 ||x - z D||^2 + l1 sum(z) + 1/2 l2 ||z||^2`` with ``z >= 0`` for every
row ``x``, exactly, by block principal pivoting (Kim & Park, "Fast nonnegative matrix factorization:
an active-set-like method and comparisons", SIAM J. Sci. Comput. 2011, section 3), all rows at once.
The answer is piecewise linear in ``x``, and gradients pass through it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from captum_blocks.errors import InvalidArgument
from captum_blocks.reduce.rows import wide

ROWS_AT_ONCE = 4096
FULL_EXCHANGES = 3
MOST_PIVOTS = 500
GUESSES, RIDGE = 20, 1e-3
# Rows whose systems are solved together: few enough to be of similar size.
ROWS_ALIKE = 100


def encode(rows: Tensor, components: Tensor, l1: float = 0.0, l2: float = 0.0) -> Tensor:
    """Scores ``(position, group) >= 0`` of rows ``(position, channel)``.

    Args:
        rows: activations, one position per row; any sign.
        components: ``(group, channel)``; any sign. Groups whose component is zero score zero.
        l1: weight of the sum of the scores.
        l2: weight of half their squared norm.

    Returns:
        The minimizer, differentiable with respect to ``rows``: exact but for the rounding of the
        products (for float32 rows within 1e-5 of the largest score of ``scipy.optimize.nnls``).

    Raises:
        InvalidArgument: the rows are not as wide as the components.

    >>> encode(torch.tensor([[2.0, -1.0]]), torch.eye(2)).tolist()
    [[2.0, 0.0]]
    """
    if rows.ndim != 2 or components.ndim != 2 or rows.shape[1] != components.shape[1]:
        raise InvalidArgument(
            f"rows of shape {tuple(rows.shape)} and components of shape {tuple(components.shape)}: "
            "give (position, channel) and (group, channel) with the same channels"
        )
    gram, solve_dtype = _gram(components, l2)
    cross = (rows @ components.T).to(solve_dtype) - l1
    scores: Tensor = _NonNegative.apply(cross, gram)
    return scores.to(rows.dtype)


def _gram(components: Tensor, l2: float) -> tuple[Tensor, torch.dtype]:
    # Gram matrices square the condition number: k x k in double costs nothing (where it exists).
    dtype = wide(components.device)
    exact = components.detach().to(dtype)
    gram = exact @ exact.T
    ridge = torch.finfo(dtype).eps * len(gram) * gram.diagonal().mean()
    return gram + (l2 + ridge) * torch.eye(len(gram), dtype=dtype, device=gram.device), dtype


class _NonNegative(torch.autograd.Function):
    """min_z>=0 of z G z / 2 - b z, row by row, with the gradient through the active set."""

    @staticmethod
    def forward(ctx: Any, cross: Tensor, gram: Tensor) -> Tensor:
        scores = torch.cat([_pivot(part, gram) for part in cross.split(ROWS_AT_ONCE)])
        ctx.save_for_backward(scores, gram)
        return scores

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        scores, gram = ctx.saved_tensors
        pairs = zip(upstream[0].split(ROWS_AT_ONCE), scores.split(ROWS_AT_ONCE), strict=True)
        return torch.cat([_solve_on(gram, part > 0, g) for g, part in pairs]), None


def _solve_on(gram: Tensor, support: Tensor, right: Tensor) -> Tensor:
    """The linear system restricted to each row's support; zero elsewhere."""
    k = len(gram)
    sizes, order = support.sum(1).sort()
    # Place k, behind the last group, fills a row up to the size of its neighbours.
    steps = torch.arange(k, device=gram.device)
    places = torch.where(support.index_select(0, order), steps, k).sort(1)[0]
    matrix, known = pad(gram, (0, 1, 0, 1)), pad(right.index_select(0, order), (0, 1))
    filler = gram.diagonal().mean().clamp_min(torch.finfo(gram.dtype).tiny)
    solved = torch.zeros_like(known)
    at_once = max(ROWS_ALIKE, len(order) // 8)
    for start in range(0, len(order), at_once):
        part = slice(start, start + at_once)
        at = places[part, : int(sizes[part][-1])]
        systems = _minors(matrix, at)
        systems.diagonal(dim1=1, dim2=2).add_((at == k) * filler)
        found = _solve_positive(systems, known[part].gather(1, at))
        solved[part].scatter_(1, at, found)
    return torch.empty_like(right).index_copy_(0, order, solved[:, :k])


def _minors(matrix: Tensor, at: Tensor) -> Tensor:
    """``(row, n, n)``: the matrix at each row's places ``(row, n)``."""
    # One flat index: several times sooner than indexing by two tensors.
    entries = (at * len(matrix))[:, :, None] + at[:, None, :]
    found = matrix.flatten().index_select(0, entries.flatten())
    return found.view(entries.shape)


def _solve_positive(systems: Tensor, right: Tensor) -> Tensor:
    """Solutions ``(row, n)`` of positive definite systems, or of such as nearly are."""
    factor, failed = torch.linalg.cholesky_ex(systems)
    if bool(failed.any()):
        general: Tensor = torch.linalg.solve_ex(systems, right)[0]
        return general
    solved: Tensor = torch.cholesky_solve(right[:, :, None], factor)
    return solved[:, :, 0]


def _pivot(cross: Tensor, gram: Tensor) -> Tensor:
    """Block principal pivoting of all rows together; settled rows drop out."""
    eps, tiny = torch.finfo(gram.dtype).eps, torch.finfo(gram.dtype).tiny
    scale = gram.diagonal().max()
    usable = gram.diagonal() > scale * eps * 16
    slack = cross.abs().amax(1, keepdim=True) * (-64 * eps)
    lowest = torch.cat([slack, slack / scale.clamp_min(tiny)], 1)
    inside = (_guess(cross, gram) > 0) & usable
    places = torch.arange(len(cross), device=cross.device)
    fewest = torch.full_like(places, cross.shape[1] + 1)
    patience = torch.full_like(places, FULL_EXCHANGES)
    scores, target = torch.zeros_like(cross), cross
    for _ in range(MOST_PIVOTS):
        trial = _solve_on(gram, inside, target)
        scores.index_copy_(0, places, trial.clamp_min(0.0))
        dual = torch.addmm(target, trial, gram, beta=-1.0)
        # Inside, a score may not be negative; outside, a slope may not. Each is 0 where not asked.
        wrong = ((trial < lowest[:, 1:]) | ((dual < lowest[:, :1]) & ~inside)) & usable
        count = wrong.sum(1)
        still = count.nonzero()[:, 0]
        if not len(still):
            break
        places, target, lowest = places[still], target[still], lowest[still]
        flips, fewest, patience = _exchange(
            wrong[still], count[still], fewest[still], patience[still]
        )
        inside = inside[still] ^ flips
    return scores


def _guess(cross: Tensor, gram: Tensor) -> Tensor:
    """Roughly where scores are positive: cheap steps, in single precision, save exact solves.

    Nesterov's projected gradient on groups scaled to one length, from clamped least squares.
    """
    tiny = torch.finfo(gram.dtype).tiny
    length = gram.diagonal().sqrt()
    per = torch.where(length > 0, 1.0 / length.clamp_min(tiny**0.5), 0.0)
    alike, right = gram * per[:, None] * per, cross * per
    bound = _largest_eigenvalue(alike).clamp_min(tiny)
    unit = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    # The ridge keeps the start small where groups repeat each other.
    start = right @ torch.linalg.inv_ex(alike + RIDGE * unit)[0]
    step, pull = (unit - alike / bound).float(), (right / bound).float()
    scores: Tensor = start.clamp_min_(0.0).float()
    ahead, momentum = scores, 1.0
    for _ in range(GUESSES):
        moved = torch.addmm(pull, ahead, step).clamp_min_(0.0)
        following = (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5) / 2.0
        ahead = torch.lerp(scores, moved, 1.0 + (momentum - 1.0) / following)
        scores, momentum = moved, following
    return scores


def _largest_eigenvalue(gram: Tensor) -> Tensor:
    """An upper bound, a few per cent above it at most where entries are positive.

    Collatz & Wielandt: the largest ratio ``(|G| x)_i / x_i`` bounds it for every positive ``x``.
    """
    size = gram.abs()
    ahead = size.sum(1)
    bound = ahead.amax()
    for _ in range(3):
        now = ahead.clamp_min(torch.finfo(gram.dtype).tiny)
        ahead = size @ now
        bound = (ahead / now).amax()
    return bound


def _exchange(
    wrong: Tensor, count: Tensor, fewest: Tensor, patience: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Which variables change sides: all wrong ones while that helps, else only the last one."""
    improved = count < fewest
    patience = torch.where(improved, FULL_EXCHANGES, patience - 1)
    order = torch.arange(wrong.shape[1], device=wrong.device)
    last = torch.where(wrong, order, -1).amax(1, keepdim=True)
    flips = torch.where((patience >= 0)[:, None], wrong, order[None] == last)
    return flips, torch.minimum(count, fewest), patience
