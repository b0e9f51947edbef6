"""Forecasts of whether an answer flips: how they are made of numbers on a page, and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, isnan, nan

import numpy as np
from torch import Tensor

BINS, DRAWS = 5, 1000
# Scales that are tried, in units of a logit.
_SCALES = np.geomspace(0.02, 50, 400)
Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]


def expected_margin(scores: Tensor, effects: Tensor, gone: Sequence[int]) -> tuple[float, int]:
    """By how much the first class still leads when effects are taken off as if they added up.

    Args:
        scores: (class,), the first being the answer.
        effects: (class, group), what each group adds to each class.
        gone: the groups that are taken away.

    Returns:
        The margin, below zero where another class is expected first, and the best other class.

    >>> import torch
    >>> effects = torch.tensor([[2.0, 1.0], [0.0, -1.0]])
    >>> expected_margin(torch.tensor([3.0, 2.0]), effects, [0]), expected_margin(
    ...     torch.tensor([3.0, 2.0]), effects, []
    ... )
    ((-1.0, 1), (1.0, 1))
    """
    left = scores - effects[:, list(gone)].sum(1)
    rival = 1 + int(left[1:].argmax())
    return float(left[0] - left[rival]), rival


def flip(margin: float, scale: float) -> float:
    """How probable a flip is at an expected margin: one half at none.

    >>> flip(0.0, 2.0), round(flip(-2.0, 1.0), 3)
    (0.5, 0.881)
    """
    return 1 / (1 + exp(min(max(margin / scale, -500.0), 500.0)))


def fitted_scale(margins: Sequence[float], flipped: Sequence[bool]) -> float:
    """The scale under which what happened was most likely.

    >>> fitted_scale([1.0, -1.0, 1.0, -1.0], [False, True, False, True]) < 0.1
    True
    """
    signed = np.where(np.asarray(flipped), 1.0, -1.0) * np.asarray(margins)
    unlikely = [np.logaddexp(0, signed / scale).sum() for scale in _SCALES]
    return float(_SCALES[int(np.argmin(unlikely))])


@dataclass(frozen=True)
class Logistic:
    """The probability of a flip as a logistic of some numbers."""

    weights: tuple[float, ...]
    intercept: float

    def __call__(self, numbers: Sequence[float]) -> float:
        pairs = zip(self.weights, numbers, strict=True)
        return flip(-self.intercept - sum(w * n for w, n in pairs), 1.0)


def fitted_logistic(numbers: Sequence[Sequence[float]], flipped: Sequence[bool]) -> Logistic:
    """The most likely one, all but unregularized.

    >>> fit = fitted_logistic([[0.1], [0.2], [0.8], [0.9]], [False, False, True, True])
    >>> fit([0.1]) < 0.1, fit([0.9]) > 0.9
    (True, True)
    """
    from sklearn.linear_model import LogisticRegression

    if len(set(flipped)) < 2:
        return Logistic((0.0,) * len(numbers[0]), 10.0 if flipped[0] else -10.0)
    found = LogisticRegression(C=1e4, max_iter=1000).fit(np.asarray(numbers), np.asarray(flipped))
    return Logistic(tuple(map(float, found.coef_[0])), float(found.intercept_[0]))


@dataclass(frozen=True)
class Judged:
    """How good some forecasts are.

    Attributes:
        hits: the share that is right, a flip being expected above one half.
        precision, recall: of expected flips, and of those that happened; NaN of none.
        brier: the mean squared difference of probability and what happened.
        hits_range, brier_range: 95 % intervals over photographs.
        bins: for each fifth of probabilities: how many, their mean, how often the answer flipped.
    """

    hits: float
    precision: float
    recall: float
    brier: float
    hits_range: tuple[float, float]
    brier_range: tuple[float, float]
    bins: tuple[tuple[int, float, float], ...]


def judge(said: Sequence[float], flipped: Sequence[bool], sources: Sequence[str]) -> Judged:
    """Figures of forecasts.

    Args:
        said: probabilities of a flip.
        flipped: what happened.
        sources: the photograph that each is of.

    >>> judge([0.9, 0.2], [True, True], ["cat", "dog"]).recall
    0.5
    """
    p, happened = np.asarray(said, float), np.asarray(flipped, bool)
    expected = p > 0.5
    right, squared = (expected == happened).astype(float), (p - happened) ** 2
    both = float((expected & happened).sum())
    return Judged(
        float(right.mean()),
        both / float(expected.sum()) if expected.any() else nan,
        both / float(happened.sum()) if happened.any() else nan,
        float(squared.mean()),
        interval(right, sources),
        interval(squared, sources),
        calibration(p, happened),
    )


def calibration(said: Numbers, flipped: Numbers) -> tuple[tuple[int, float, float], ...]:
    """For each of five bins of equal width: how many, what was said, how often it happened.

    >>> calibration(np.array([0.1, 0.1, 1.0]), np.array([0.0, 1.0, 1.0]))[0]
    (2, 0.1, 0.5)
    """
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    found = []
    for each in range(BINS):
        there = place == each
        means = (float(v[there].mean()) if there.any() else nan for v in (said, flipped))
        found.append((int(there.sum()), *means))
    return tuple(found)  # type: ignore[arg-type]


def interval(values: Numbers, sources: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a mean when photographs are drawn anew, each with all that is of it.

    >>> interval(np.array([1.0, 0.0, 0.0, 1.0]), ["cat", "cat", "dog", "dog"])
    (0.5, 0.5)
    """
    names, place = np.unique(np.asarray(sources), return_inverse=True)
    sums, counts = np.bincount(place, values), np.bincount(place)
    drawn = np.random.default_rng(seed).integers(len(names), size=(DRAWS, len(names)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def percent(share: float) -> str:
    """
    >>> percent(0.5), percent(nan)
    ('50', '-')
    """
    return "-" if isnan(share) else f"{share:.0%}"[:-1]


def line(name: str, found: Judged) -> str:
    """A row of a table."""
    hits, brier = found.hits_range, found.brier_range
    return (
        f"  {name:24} {percent(found.hits):>4} [{percent(hits[0]):>3}, {percent(hits[1]):>3}]"
        f"{percent(found.precision):>8} {percent(found.recall):>6}"
        f"   {found.brier:.3f} [{brier[0]:.3f}, {brier[1]:.3f}]  "
        + "  ".join(f"{percent(s):>3} > {percent(w):>3} ({n})" for n, s, w in found.bins)
    )


HEAD = (
    f"  {'':24} {'hits %':>15}{'prec. %':>8} {'rec. %':>6}   {'Brier score':22}"
    "calibration: said % > happened % (how many)"
)
