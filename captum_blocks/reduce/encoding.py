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

from captum_blocks.errors import InvalidArgument
from captum_blocks.reduce.rows import wide

ROWS_AT_ONCE = 4096
FULL_EXCHANGES = 3
MOST_PIVOTS = 500
GUESSES = 40
# Rows whose systems are solved together: few enough to be of similar size.
ROWS_ALIKE = 64


def encode(rows: Tensor, components: Tensor, l1: float = 0.0, l2: float = 0.0) -> Tensor:
    """Scores ``(position, group) >= 0`` of rows ``(position, channel)``.

    Args:
        rows: activations, one position per row; any sign.
        components: ``(group, channel)``; any sign. Groups whose component is zero score zero.
        l1: weight of the sum of the scores.
        l2: weight of half their squared norm.

    Returns:
        The exact minimizer, differentiable with respect to ``rows``.

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
        parts = [_pivot(part, gram) for part in cross.detach().split(ROWS_AT_ONCE)]
        scores = torch.cat(parts) if parts else cross.clone()
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
    # Entries that pad a row's support to its neighbours' size lie outside the matrix proper.
    filler = gram.diagonal().mean().clamp_min(torch.finfo(gram.dtype).tiny)
    padded = torch.block_diag(gram, filler * torch.eye(k, dtype=gram.dtype, device=gram.device))
    sizes = support.sum(1)
    steps = torch.arange(k, device=gram.device)
    first = support.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    places = torch.where(steps < sizes[:, None], first, steps + k)
    known = torch.cat([right, torch.zeros_like(right)], 1)
    solved = torch.zeros_like(known)
    order = sizes.argsort(stable=True)
    at_once = max(ROWS_ALIKE, len(order) // 8)
    for start in range(0, len(order), at_once):
        part = order[start : start + at_once]
        at = places[part, : int(sizes[part[-1]])]
        found = _solve_positive(_minors(padded, at), known[part].gather(1, at))
        solved[part] = torch.zeros_like(known[part]).scatter_(1, at, found)
    return solved[:, :k]


def _minors(matrix: Tensor, at: Tensor) -> Tensor:
    """``(row, n, n)``: the matrix at each row's places ``(row, n)``."""
    entries: Tensor = matrix.flatten()
    return entries[(at * len(matrix))[:, :, None] + at[:, None, :]]


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
    usable = gram.diagonal() > gram.diagonal().max() * torch.finfo(gram.dtype).eps * 16
    scale = gram.diagonal().max().clamp_min(torch.finfo(gram.dtype).tiny)
    slack = 64 * torch.finfo(gram.dtype).eps * cross.abs().amax(1, keepdim=True)
    support = (_guess(cross, gram) > 0) & usable
    scores = torch.zeros_like(cross)
    open_rows = torch.arange(len(cross), device=cross.device)
    fewest = torch.full((len(cross),), cross.shape[1] + 1, device=cross.device)
    patience = torch.full_like(fewest, FULL_EXCHANGES)
    for _ in range(MOST_PIVOTS):
        inside, target = support[open_rows], cross[open_rows]
        trial = _solve_on(gram, inside, target)
        dual = trial @ gram - target
        edge = slack[open_rows]
        wrong = (inside & (trial < -edge / scale)) | (~inside & (dual < -edge) & usable)
        count = wrong.sum(1)
        scores[open_rows] = torch.where(trial > 0, trial, 0.0)
        still = count > 0
        if not still.any():
            break
        open_rows, wrong, count = open_rows[still], wrong[still], count[still]
        flips, better, tries = _exchange(wrong, count, fewest[open_rows], patience[open_rows])
        support[open_rows] ^= flips
        fewest[open_rows], patience[open_rows] = better, tries
    return scores


def _guess(cross: Tensor, gram: Tensor) -> Tensor:
    """Roughly where scores are positive: cheap steps, in single precision, save exact solves."""
    bound = torch.linalg.matrix_norm(gram, 2).clamp_min(torch.finfo(gram.dtype).tiny)
    unit = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    step, pull = (unit - gram / bound).float(), (cross / bound).float()
    scores: Tensor = pull.clamp_min(0.0)
    ahead = scores
    momentum = 1.0
    for _ in range(GUESSES):
        moved = torch.addmm(pull, ahead, step).clamp_min_(0.0)
        following = (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5) / 2.0
        ahead = torch.lerp(scores, moved, 1.0 + (momentum - 1.0) / following)
        scores, momentum = moved, following
    return scores


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
