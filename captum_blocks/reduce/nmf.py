"""Non-negative matrix factorization in torch: accelerated, extrapolated HALS.

Minimizes ``1/2 ||X - W H||^2 + penalties`` over ``W, H >= 0`` by turns. Each turn pays for one
product with ``X`` and then sweeps several times over the ``k`` rows of a small problem (Gillis &
Glineur, "Accelerated multiplicative updates and hierarchical ALS algorithms for NMF", Neural
Computation 2012), and both factors are extrapolated with restarts (Ang & Gillis, "Accelerating
nonnegative matrix factorization algorithms using extrapolation", Neural Computation 2019,
algorithm 3). The error comes from products of size ``k``; ``X - W H`` is never built.

Of a tall table a random share of the positions settles the components first, at a share of the
costs; a few turns on all of them do the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from captum_blocks.errors import UnknownName
from captum_blocks.reduce.checks import check_factorizable, check_name
from captum_blocks.reduce.rows import squared_norm, wide

Init = Literal["nndsvd", "nndsvda", "nndsvdar", "random"]
INITS = ("nndsvd", "nndsvda", "nndsvdar", "random")
# With extrapolation three sweeps per product came down soonest; more fall into worse minima. So do
# long strides at the start: the first turns are plain, as in coordinate descent.
SWEEPS, PLAIN_TURNS = 3, 10
GRADIENT_STEPS = 8
SETTLING = 2
# So many positions show the components of a taller table nearly as well as all of them do.
SHARE, SHARE_OF_GROUP = 4096, 128
# Turns over which progress is judged: over three, descents ended before a last fall of .1 %.
PATIENCE = 5
FIRST_STEP, LARGEST_STEP, GROWTH, CEILING_GROWTH, SHRINK = 0.5, 1.0, 1.05, 1.01, 1.5


Inner: TypeAlias = Callable[[Tensor, Tensor, Tensor, "Penalty", int], Tensor]


class Penalty(NamedTuple):
    """Weights of ``sum(F)`` and of half the squared norm of a factor.

    >>> Penalty(l1=0.5)
    Penalty(l1=0.5, l2=0.0)
    """

    l1: float = 0.0
    l2: float = 0.0


NO_PENALTY = Penalty()


@dataclass(frozen=True)
class Factorized:
    """What ``factorize`` found.

    Attributes:
        scores: ``W``, ``(position, group)``.
        components: ``H``, ``(group, channel)``.
        errors: ``||X - W H|| / ||X||`` after each iteration over the whole table.

    >>> found = factorize(torch.ones(6, 4), 1)
    >>> found.scores.shape, found.components.shape, found.errors[-1] < 1e-3
    (torch.Size([6, 1]), torch.Size([1, 4]), True)
    """

    scores: Tensor
    components: Tensor
    errors: tuple[float, ...]


def factorize(
    table: Tensor,
    n_components: int,
    *,
    init: str = "nndsvd",
    start: Tensor | None = None,
    tol: float = 1e-4,
    max_iter: int = 200,
    seed: int = 0,
    on_scores: Penalty = NO_PENALTY,
    on_components: Penalty = NO_PENALTY,
    inner: Literal["columns", "gradient"] | None = None,
) -> Factorized:
    """Non-negative factors of a table ``(position, channel)`` on whatever device it lives.

    Args:
        table: activations >= 0.
        n_components: how many groups.
        init: scikit-learn's names: ``"nndsvd"``, ``"nndsvda"``, ``"nndsvdar"``, ``"random"``.
        start: components ``(group, channel)`` to continue from (warm start) instead of ``init``.
        tol: stop when the projected gradient falls below this share of its first value, or when
            five iterations lower the error by less than this share of itself.
        max_iter: stop after this many iterations over the table at the latest, and before them over
            a share of a tall one.
        seed: of the randomized SVD, of random starts and of the share of the positions that a tall
            table begins with. The global generator is not touched.
        on_scores: penalty on the scores.
        on_components: penalty on the components.
        inner: ``"columns"`` sweeps over groups one by one; ``"gradient"`` takes accelerated
            projected gradient steps on all at once, fewer and larger operations, for GPUs.
            ``None``: by device.

    Raises:
        InvalidArgument: negative values, NaN, no table, more groups than positions or channels, or
            a ``start`` of another shape.
        UnknownName: of ``init`` or ``inner``.
        WrongType: no tensor of float32 or float64.

    >>> found = factorize(torch.ones(4, 3), 1)
    >>> bool(found.errors[-1] < 1e-3)
    True
    """
    check_factorizable(table, n_components, start)
    check_name("init", init, INITS)
    if inner is not None:
        check_name("inner", inner, ("columns", "gradient"))
    unit = _unit(table)
    scaled = table if unit == 1.0 else table / unit
    if inner is None:
        inner = "columns" if table.device.type == "cpu" else "gradient"
    if start is None:
        scores, components = initial_factors(scaled, n_components, init, seed)
    else:
        components = start.to(table) / unit**0.5
        scores = table.new_zeros(n_components, len(table))
    run = _Run(scaled, on_scores, on_components, _columns if inner == "columns" else _gradient)
    plain = PLAIN_TURNS if start is None else 0
    share = None if start is not None else _share(table, n_components, seed)
    if share is not None:
        some = run.of(share)
        found = some.solve(scores[:, share].contiguous(), components, tol, max_iter, plain)
        scores, components, plain = torch.zeros_like(scores), found.components, 0
    found = run.solve(scores, components, tol, max_iter, plain)
    scale = unit**0.5
    return Factorized(found.scores * scale, found.components * scale, found.errors)


def initial_factors(
    table: Tensor, n_components: int, init: str = "nndsvd", seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Starting scores, transposed ``(group, position)``, and components ``(group, channel)``.

    Source: Boutsidis & Gallopoulos, "SVD based initialization: a head start for nonnegative matrix
    factorization", Pattern Recognition 2008.
    """
    if init not in INITS:
        raise UnknownName(f"init={init!r} is none of {', '.join(INITS)}")
    generator = torch.Generator().manual_seed(seed)
    mean = float(table.mean())
    if init == "random":
        level = (mean / n_components) ** 0.5
        shapes = ((n_components, len(table)), (n_components, table.shape[1]))
        drawn = [level * torch.randn(shape, generator=generator).abs() for shape in shapes]
        return drawn[0].to(table), drawn[1].to(table)
    left, values, right = randomized_svd(table, n_components, generator)
    pairs = [_non_negative_pair(left[:, i], values[i], right[i]) for i in range(n_components)]
    scores, components = torch.stack([p[0] for p in pairs]), torch.stack([p[1] for p in pairs])
    if init == "nndsvd":
        return scores, components
    return _filled(scores, init, mean, generator), _filled(components, init, mean, generator)


def randomized_svd(
    table: Tensor, n_components: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Leading singular triplets ``U (n, k), S (k,), V^T (k, C)`` (Halko et al. 2011, alg. 4.4)."""
    width = min(n_components + 10, *table.shape)
    mixed = table @ torch.randn(table.shape[1], width, generator=generator).to(table)
    for _ in range(2):
        # Orthogonal on the short side alone: as exact for what is kept, and half the time.
        mixed = table @ torch.linalg.qr(table.T @ mixed)[0]
    basis = torch.linalg.qr(mixed)[0]
    left, values, right = torch.linalg.svd(basis.T @ table, full_matrices=False)
    left = basis @ left
    return left[:, :n_components], values[:n_components], right[:n_components]


def factor_signed(table: Tensor, start: Tensor, tol: float, max_iter: int) -> Factorized:
    """Semi-NMF: scores >= 0 and components of any sign, for a table of any sign.

    Alternates least squares for the components (Ding, Li & Jordan 2010, eq. 10) with several
    sweeps of exact column updates for the scores, until the error falls by less than a hundredth
    of ``tol`` of itself.

    Args:
        table: ``(position, channel)``.
        start: scores ``(position, group)`` to begin with.
        tol: how little progress is too little.
        max_iter: iterations at most.
    """
    w = start.T.contiguous()
    power, errors = squared_norm(table), [float("inf")]
    h = table.new_zeros(len(w), table.shape[1])
    for _ in range(max_iter):
        gram, cross = w @ w.T, w @ table
        inverse = torch.linalg.pinv(gram.to(wide(w.device)), hermitian=True)
        h = (inverse @ cross.to(inverse)).to(table)
        left = max(power - _dot(h, cross), 0.0) / max(power, 1e-300)
        errors.append(left**0.5)
        w = _columns(w, h @ h.T, (table @ h.T).T.contiguous(), NO_PENALTY)
        if errors[-2] - errors[-1] <= 0.01 * tol * errors[-1]:
            break
    return Factorized(w.T, h, tuple(errors[1:]))


class _Run:
    """One factorization; ``W`` is kept transposed, so that a group's scores are contiguous."""

    def __init__(self, table: Tensor, on_scores: Penalty, on_components: Penalty, inner: Inner):
        self.table, self.inner = table, inner
        self.on_scores, self.on_components = on_scores, on_components
        self.power = squared_norm(table)

    def of(self, positions: Tensor) -> _Run:
        """The same factorization of some of the positions."""
        part = len(positions) / len(self.table)
        on_components = Penalty(*(part * weight for weight in self.on_components))
        return _Run(self.table[positions], self.on_scores, on_components, self.inner)

    def solve(
        self, scores: Tensor, components: Tensor, tol: float, max_iter: int, plain: int
    ) -> Factorized:
        w = w_ahead = self._fit_scores(scores, components, 1 if plain else SETTLING * SWEEPS)
        h = h_ahead = components
        step, accepted, ceiling = FIRST_STEP, FIRST_STEP, LARGEST_STEP
        errors: list[float] = []
        lowest, first_slope = float("inf"), 0.0
        for turn in range(max_iter):
            sweeps = 1 if turn < plain else SWEEPS
            gram, cross = w_ahead @ w_ahead.T, w_ahead @ self.table
            slope = _slope(h_ahead, gram, cross, self.on_components)
            h_new = self.inner(h_ahead, gram, cross, self.on_components, sweeps)
            loss = self._loss(h_new, gram, cross, w_ahead)
            if loss > lowest:
                # The extrapolation overshot: go back to the last good pair and be more careful.
                h_ahead, lowest = h, float("inf")
                ceiling, step = accepted, step / SHRINK
                w_ahead = self._fit_scores(w, h, sweeps)
                continue
            errors.append(self._error(h_new, gram, cross))
            lowest, accepted = loss, step
            first_slope = first_slope or slope
            step, ceiling = min(ceiling, GROWTH * step), min(LARGEST_STEP, CEILING_GROWTH * ceiling)
            reach = 0.0 if turn < plain else step
            h_ahead, h = _ahead(h_new, h, reach), h_new
            w_new = self._fit_scores(w_ahead, h_ahead, sweeps)
            w_ahead, w = _ahead(w_new, w, reach), w_new
            if slope <= tol * first_slope or (turn >= plain and _idle(errors, tol)):
                break
        return Factorized(self._fit_scores(w, h, SETTLING * SWEEPS).T, h, tuple(errors))

    def _fit_scores(self, w: Tensor, h: Tensor, sweeps: int) -> Tensor:
        gram, cross = h @ h.T, (self.table @ h.T).T.contiguous()
        return self.inner(w, gram, cross, self.on_scores, sweeps)

    def _error(self, h: Tensor, gram: Tensor, cross: Tensor) -> float:
        left = self.power - 2 * _dot(h, cross) + _dot(gram, h @ h.T)
        return math.sqrt(max(left, 0.0) / max(self.power, 1e-300))

    def _loss(self, h: Tensor, gram: Tensor, cross: Tensor, w: Tensor) -> float:
        fit = 0.5 * _dot(gram, h @ h.T) - _dot(h, cross)
        return fit + _penalised(w, self.on_scores) + _penalised(h, self.on_components)


def update_components(x: Tensor, gram: Tensor, cross: Tensor, penalty: Penalty) -> Tensor:
    """Better components for fixed ``W'W`` and ``W'X``, wherever these sums came from."""
    return _columns(x, gram, cross, penalty)


def _columns(
    x: Tensor, gram: Tensor, cross: Tensor, penalty: Penalty, sweeps: int = SWEEPS
) -> Tensor:
    """Several sweeps of exact updates, one group's row of ``x`` after the other."""
    gram, cross = _penalties_in(gram, cross, penalty)
    x = x.clone()
    diagonal = gram.diagonal().tolist()
    floor = max(diagonal) * torch.finfo(gram.dtype).eps
    change = torch.empty_like(x[0])
    for _ in range(sweeps):
        for i, weight in enumerate(diagonal):
            if weight <= floor:
                # A group that the other factor does not use for now costs nothing but its L1, and
                # may come back; at zero it would be lost for good.
                if penalty.l1:
                    x[i] = 0.0
                continue
            torch.addmv(cross[i], x.T, gram[i], alpha=-1.0, out=change)
            change.div_(weight).add_(x[i]).clamp_(min=0.0)
            x[i].copy_(change)
    return x


def _gradient(
    x: Tensor, gram: Tensor, cross: Tensor, penalty: Penalty, sweeps: int = SWEEPS
) -> Tensor:
    """Nesterov's accelerated projected gradient on all groups at once (Guan et al. 2012)."""
    gram, cross = _penalties_in(gram, cross, penalty)
    bound = torch.linalg.matrix_norm(gram, 2).clamp_min(torch.finfo(gram.dtype).tiny)
    ahead, momentum = x, 1.0
    for _ in range(GRADIENT_STEPS * sweeps):
        moved = (ahead - (gram @ ahead - cross) / bound).clamp_min(0.0)
        following = (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5) / 2.0
        ahead = moved + ((momentum - 1.0) / following) * (moved - x)
        x, momentum = moved, following
    return x


def _share(table: Tensor, n_components: int, seed: int) -> Tensor | None:
    """Which positions a tall table begins with; ``None``: it is not so tall that it would pay."""
    size = max(SHARE, SHARE_OF_GROUP * n_components)
    if len(table) < 2 * size:
        return None
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(table), generator=generator)[:size]
    return drawn.sort().values.to(table.device)


def _idle(errors: list[float], tol: float) -> bool:
    return len(errors) > PATIENCE and errors[-1 - PATIENCE] - errors[-1] < tol * errors[-1]


def _ahead(new: Tensor, old: Tensor, step: float) -> Tensor:
    return torch.add(new, new - old, alpha=step).clamp_min_(0.0)


def _penalties_in(gram: Tensor, cross: Tensor, penalty: Penalty) -> tuple[Tensor, Tensor]:
    if penalty.l2:
        gram = gram + penalty.l2 * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return gram, cross - penalty.l1 if penalty.l1 else cross


def _slope(x: Tensor, gram: Tensor, cross: Tensor, penalty: Penalty) -> float:
    """The size of the projected gradient at ``x``, zero at a stationary point."""
    gram, cross = _penalties_in(gram, cross, penalty)
    slope = gram @ x - cross
    return float(torch.where(x > 0, slope, slope.clamp_max(0.0)).abs().sum())


def _penalised(x: Tensor, penalty: Penalty) -> float:
    if penalty == NO_PENALTY:
        return 0.0
    return penalty.l1 * float(x.sum()) + 0.5 * penalty.l2 * float(x.square().sum())


def _dot(a: Tensor, b: Tensor) -> float:
    kind = wide(a.device)
    return float((a.to(kind) * b.to(kind)).sum())


def _unit(table: Tensor) -> float:
    """What to divide by so that squares neither overflow nor vanish in single precision."""
    largest = float(table.max())
    return 1.0 if 1e-6 < largest < 1e6 else largest or 1.0


def _non_negative_pair(left: Tensor, value: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """The stronger of the positive and the negative half of one singular pair."""
    halves = [(left.clamp_min(0), right.clamp_min(0)), (-left.clamp_max(0), -right.clamp_max(0))]
    masses = [float(a.norm() * b.norm()) for a, b in halves]
    best = int(masses[1] > masses[0])
    a, b = halves[best]
    if masses[best] == 0.0:
        return torch.zeros_like(a), torch.zeros_like(b)
    size = (float(value) * masses[best]) ** 0.5
    return a * (size / a.norm()), b * (size / b.norm())


def _filled(x: Tensor, init: str, mean: float, generator: torch.Generator) -> Tensor:
    """NNDSVD's zeros filled with the mean (``nndsvda``) or with small noise (``nndsvdar``)."""
    if init == "nndsvda":
        return torch.where(x == 0, mean, x)
    noise = torch.randn(x.shape, generator=generator).abs().to(x) * (mean / 100.0)
    return torch.where(x == 0, noise, x)
