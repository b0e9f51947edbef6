"""How good a factorization is: for the numbers, for the eye, and for the network behind it.

Functions that ask the network take ``head``, a callable from activations, in the layer's own
layout, to ``(image, class)`` scores. Group ``k``'s part of the activations is ``z_k D_k``; what the
groups leave over, the residual, is kept unless asked otherwise, because a head that is fed
reconstructions alone answers for an input it never sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from captum_blocks._gradients import without_gradients
from captum_blocks.errors import InvalidArgument
from captum_blocks.reduce.checks import check_count, check_finite, check_not_silent
from captum_blocks.reduce.reducer import ChannelReducer
from captum_blocks.reduce.rows import squared_norm, wide

Head: TypeAlias = Callable[[Tensor], Tensor]
MASKS_AT_ONCE = 64


@dataclass(frozen=True)
class Faithfulness:
    """Does the head say the same of the reconstruction as of the activations?

    Attributes:
        top1_agreement: share of images with the same highest class.
        logit_r2: share of the scores' variance (about each class's mean) that is kept; 1 is
            perfect, and it can be negative.
    """

    top1_agreement: float
    logit_r2: float


@dataclass(frozen=True)
class Curve:
    """A score while groups are removed or added one after the other.

    Attributes:
        order: ``(group,)``, the most important first.
        scores: ``(image, group + 1)``: the target's score after 0, 1, ... groups.
    """

    order: tuple[int, ...]
    scores: Tensor

    @property
    def area(self) -> float:
        """Mean over images of the area under the curve, the axis running from 0 to 1."""
        return float(torch.trapezoid(self.scores.double(), dim=1).mean()) / len(self.order)


def relative_error(activations: Tensor, reconstruction: Tensor) -> float:
    """``||A - P|| / ||A||`` in the Frobenius norm.

    Raises:
        InvalidArgument: two shapes, or activations that are zero everywhere.

    >>> relative_error(torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 0.0]]))
    0.8
    """
    activations, reconstruction = _alike(activations, reconstruction)
    power = squared_norm(activations)
    if power == 0:
        raise InvalidArgument("the activations are zero everywhere: no relative error is defined")
    return math.sqrt(squared_norm(activations - reconstruction) / power)


def svd_floor(table: Tensor, n_components: int) -> float:
    """The least relative error any ``n_components`` directions can reach, signed ones included.

    Reconstructions with an offset (``pca``, ``ica``) can come below it: one more direction.

    ``sqrt(sum_{i>k} s_i^2) / ||X||`` with the singular values of ``(position, channel)``
    (Eckart & Young, Psychometrika 1936).

    >>> svd_floor(torch.diag(torch.tensor([4.0, 3.0])), 1)
    0.6
    """
    squares = singular_squares(table)
    if not 1 <= n_components <= len(squares):
        raise InvalidArgument(
            f"n_components={n_components} of {len(squares)} directions: give 1 to {len(squares)}"
        )
    return float((squares[n_components:].sum() / squares.sum()).sqrt())


def singular_squares(table: Tensor) -> Tensor:
    """Squared singular values of ``(position, channel)``, the largest first.

    Raises:
        InvalidArgument: no table, NaN, or zero everywhere.
    """
    table = torch.as_tensor(table)
    if table.ndim != 2:
        raise InvalidArgument(f"table has shape {tuple(table.shape)}, expected (position, channel)")
    check_finite(table, "the table's rows")
    check_not_silent(table)
    tall = table if table.shape[0] >= table.shape[1] else table.T
    exact = tall.to(wide(table.device))
    squares: Tensor = torch.linalg.eigvalsh(exact.T @ exact).clamp_min(0.0).flip(0)
    return squares


def sparsity(scores: Tensor, tolerance: float = 0.0) -> float:
    """``1 - ||Z||_0 / (positions * groups)``: the share of scores that are zero.

    >>> sparsity(torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
    0.75
    """
    return float((torch.as_tensor(scores).abs() <= tolerance).double().mean())


def match_groups(first: Any, second: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Pair the groups of two fits so that the sum of their cosines is largest.

    Hungarian matching (Kuhn 1955; scipy's ``linear_sum_assignment``).

    Args:
        first: components ``(group, channel)``.
        second: components of as many groups.

    Returns:
        For each group of ``first``, its partner in ``second``, and their cosine.

    Raises:
        InvalidArgument: two shapes, NaN or infinity.

    >>> partners, cosines = match_groups(torch.eye(2), torch.eye(2).flip(0))
    >>> partners.tolist(), cosines.tolist()
    ([1, 0], [1.0, 1.0])
    """
    a, b = (_unit_rows(components) for components in (first, second))
    if a.shape != b.shape:
        raise InvalidArgument(f"components of shape {a.shape} and {b.shape} cannot be matched")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InvalidArgument("components with NaN or inf cannot be matched")
    cosines = a @ b.T
    rows, partners = linear_sum_assignment(-cosines)
    return partners, cosines[rows, partners]


def stability(components: Sequence[Any]) -> float:
    """Mean matched cosine over all pairs of fits, e.g. of several seeds; 1: always the same groups.

    >>> stability([torch.eye(2), torch.eye(2).flip(0)])
    1.0
    """
    if len(components) < 2:
        raise InvalidArgument("stability compares fits: give the components of at least two")
    pairs = combinations(components, 2)
    return float(np.mean([match_groups(a, b)[1].mean() for a, b in pairs]))


def head_faithfulness(head: Head, activations: Tensor, reconstruction: Tensor) -> Faithfulness:
    """Compare the head's scores of activations and of their reconstruction.

    Args:
        head: activations -> ``(image, class)``.
        activations: a layer's output.
        reconstruction: the same shape, e.g. ``reducer.inverse_transform(scores)``.

    Raises:
        InvalidArgument: two shapes.

    >>> head_faithfulness(lambda acts: acts, torch.eye(3), torch.eye(3))
    Faithfulness(top1_agreement=1.0, logit_r2=1.0)
    """
    activations, reconstruction = _alike(activations, reconstruction)
    with without_gradients():
        true, made = head(activations).double(), head(reconstruction).double()
    spread = (true - true.mean(0)).square().sum()
    if len(true) == 1:
        # One image has no mean to vary about: classes vary about their common mean instead.
        spread = (true - true.mean()).square().sum()
    missed = (true - made).square().sum()
    r2 = 1.0 - float(missed / spread) if spread > 0 else float(missed == 0)
    return Faithfulness(float((true.argmax(1) == made.argmax(1)).double().mean()), r2)


def deletion_curve(
    head: Head,
    reducer: ChannelReducer,
    activations: Tensor,
    target: int,
    importance: Sequence[float] | Tensor | None = None,
    keep_residual: bool = True,
) -> Curve:
    """The target's score while groups are removed, the most important first: it should fall fast.

    Concept deletion (Ghorbani et al., NeurIPS 2019; Fel et al., "CRAFT", CVPR 2023, section 4).

    Args:
        head: activations -> ``(image, class)``.
        reducer: fitted.
        activations: a layer's output, in the reducer's layout.
        target: the class.
        importance: ``(group,)``; ``None``: total Sobol indices, averaged over images.
        keep_residual: add what the groups leave over.

    Raises:
        InvalidArgument: a target that is no class of the head, or another number of importances.
        NotFitted: fit the reducer first.
    """
    game = _Game(head, reducer, activations, target, keep_residual)
    order = _by_importance(game, importance)
    masks = torch.ones(len(order) + 1, len(order))
    for step, group in enumerate(order):
        masks[step + 1 :, group] = 0.0
    return Curve(tuple(order), game.play(masks))


def insertion_curve(
    head: Head,
    reducer: ChannelReducer,
    activations: Tensor,
    target: int,
    importance: Sequence[float] | Tensor | None = None,
    keep_residual: bool = True,
) -> Curve:
    """The target's score while groups are added, the most important first: it should rise fast.

    Concept insertion, the counterpart of ``deletion_curve`` (same sources), with the same arguments
    and errors.
    """
    game = _Game(head, reducer, activations, target, keep_residual)
    order = _by_importance(game, importance)
    masks = torch.zeros(len(order) + 1, len(order))
    for step, group in enumerate(order):
        masks[step + 1 :, group] = 1.0
    return Curve(tuple(order), game.play(masks))


def sobol_total_indices(
    head: Head,
    reducer: ChannelReducer,
    activations: Tensor,
    target: int,
    n_designs: int = 32,
    seed: int = 0,
    keep_residual: bool = True,
) -> Tensor:
    """Total Sobol index of every group: its share of the score's variance, interactions included.

    Groups are scaled by masks in [0, 1] and Jansen's estimator (Computer Physics Communications
    1999) is taken over ``n_designs`` pairs of quasi-random masks, as in CRAFT (Fel et al., CVPR
    2023, section 3.3): ``S_i = sum (f(A) - f(A with column i of B))^2 / (2 n Var f)``.

    Args:
        head: activations -> ``(image, class)``.
        reducer: fitted.
        activations: a layer's output, in the reducer's layout.
        target: the class.
        n_designs: pairs of masks; the head runs ``n_designs * (groups + 2)`` times per image.
        seed: of the scrambled Sobol sequence.
        keep_residual: add what the groups leave over.

    Returns:
        ``(image, group)``.

    Raises:
        InvalidArgument: a target that is no class of the head, or no design.
        NotFitted: fit the reducer first.

    >>> acts = torch.rand(1, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    >>> reducer = ChannelReducer(3).fit(acts)
    >>> sobol_total_indices(lambda a: a.mean((2, 3)), reducer, acts, target=0).shape
    torch.Size([1, 3])
    """
    check_count("n_designs", n_designs)
    game = _Game(head, reducer, activations, target, keep_residual)
    return _jansen(game.play, game.n_groups, n_designs, seed)


class _Game:
    """The head as a function of how much of each group is there."""

    def __init__(
        self,
        head: Head,
        reducer: ChannelReducer,
        activations: Tensor,
        target: int,
        keep_residual: bool,
    ) -> None:
        self.head, self.reducer, self.target = head, reducer, target
        activations = torch.as_tensor(activations)
        with without_gradients():
            self.scores = reducer.transform(activations)
            whole = reducer.inverse_transform(self.scores)
            self.base = reducer.inverse_transform(torch.zeros_like(self.scores))
            self.rest = activations - whole if keep_residual else torch.zeros_like(activations)
        self.axis = 1 if reducer.layout_ is None else reducer.layout_.channel_axis
        self.n_groups = self.scores.shape[self.axis]
        with without_gradients():
            classes = head(activations[:1]).shape[1]
        if not -classes <= target < classes:
            raise InvalidArgument(f"target={target} is none of the head's {classes} classes")

    def play(self, masks: Tensor) -> Tensor:
        """``(mask, group)`` -> the target's score, ``(image, mask)``."""
        with without_gradients():
            images = [self._one(i, masks.to(self.scores)) for i in range(len(self.scores))]
        return torch.stack(images)

    def _one(self, image: int, masks: Tensor) -> Tensor:
        shape = [1] * self.scores.ndim
        shape[self.axis] = self.n_groups
        found = []
        for part in masks.split(MASKS_AT_ONCE):
            scaled = self.scores[image : image + 1] * part.reshape(len(part), *shape[1:])
            made = self.reducer.inverse_transform(scaled)
            found.append(self.head(made + self.rest[image : image + 1])[:, self.target])
        return torch.cat(found)


def _by_importance(game: _Game, importance: Sequence[float] | Tensor | None) -> list[int]:
    if importance is None:
        importance = _jansen(game.play, game.n_groups, 32, 0).mean(0)
    values = torch.as_tensor(importance, dtype=torch.float64)
    if values.shape != (game.n_groups,):
        raise InvalidArgument(
            f"importance has shape {tuple(values.shape)}, there are {game.n_groups} groups"
        )
    order: list[int] = torch.argsort(values, descending=True, stable=True).tolist()
    return order


def _jansen(play: Head, n_groups: int, n_designs: int, seed: int) -> Tensor:
    engine = torch.quasirandom.SobolEngine(2 * n_groups, scramble=True, seed=seed)
    first, second = engine.draw(n_designs).chunk(2, dim=1)
    swapped = []
    for group in range(n_groups):
        mixed = first.clone()
        mixed[:, group] = second[:, group]
        swapped.append(mixed)
    outcome = play(torch.cat([first, second, *swapped])).double()
    blocks = outcome.reshape(len(outcome), n_groups + 2, n_designs)
    base = blocks[:, :1]
    variance = blocks[:, :2].flatten(1).var(1, unbiased=False)
    moved = (base - blocks[:, 2:]).square().mean(2) / 2.0
    tiny = torch.finfo(torch.float64).tiny
    return moved / variance.clamp_min(tiny)[:, None]


def _alike(first: Any, second: Any) -> tuple[Tensor, Tensor]:
    a, b = torch.as_tensor(first), torch.as_tensor(second)
    if a.shape != b.shape:
        raise InvalidArgument(
            f"activations of shape {tuple(a.shape)} and a reconstruction of shape {tuple(b.shape)} "
            "cannot be compared"
        )
    return a, b


def _unit_rows(components: Any) -> np.ndarray[Any, Any]:
    values = components.detach().cpu().double().numpy() if isinstance(components, Tensor) else None
    rows = np.asarray(components if values is None else values, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)
