"""Factorizations for signed activations and for other questions than NMF's.

All of them reconstruct by ``offset + scores @ components``; what the scores may be differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, FastICA, MiniBatchDictionaryLearning, sparse_encode
from sklearn.utils import get_tags
from torch import Tensor

from captum_blocks.errors import BlocksError, InvalidArgument, WrongType
from captum_blocks.reduce.algorithms import Algorithm, Factors, NonNegative, Settings
from captum_blocks.reduce.checks import check_distinct, check_rank, check_varied
from captum_blocks.reduce.encoding import encode
from captum_blocks.reduce.nmf import factor_signed


class SemiNonNegative(Algorithm):
    """Semi-NMF (Ding, Li & Jordan, PAMI 2010): scores >= 0, components of any sign."""

    name = "semi_nmf"

    def fit(self, table: Tensor, settings: Settings) -> Factors:
        """Least squares for the components and exact column updates for the scores, by turns."""
        model = KMeans(settings.n_components, n_init=1, random_state=settings.random_state)
        nearest = model.fit_predict(_array(table))
        start = torch.from_numpy(np.eye(settings.n_components)[nearest] + 0.2).to(table)
        found = factor_signed(table, start, settings.tol, settings.max_iter)
        scores = encode(table, found.components)
        return Factors(found.components, scores, n_iter=len(found.errors))

    def encode(self, table: Tensor, factors: Factors, settings: Settings) -> Tensor:
        """Exact non-negative least squares, differentiable with respect to the rows."""
        return encode(table, factors.components)


class PositiveNegative(Algorithm):
    """NMF of stacked halves ``[max(x, 0), max(-x, 0)]``; components are their difference.

    Each group holds what fires and what is held down together (as Lucid's "posneg" reducer does).
    """

    name = "posneg"
    reads = NonNegative.reads

    def fit(self, table: Tensor, settings: Settings) -> Factors:
        """Factorize twice as many non-negative channels."""
        found = NonNegative().fit(halves(table), settings)
        state = {"halves": found.components}
        return Factors(
            difference(found.components), found.scores, None, state, ("halves",), found.n_iter
        )

    def encode(self, table: Tensor, factors: Factors, settings: Settings) -> Tensor:
        """Non-negative least squares against the stacked components."""
        stacked = halves(table)
        on_scores, _ = settings.penalties(stacked)
        return encode(stacked, factors.state["halves"], on_scores.l1, on_scores.l2)


class PrincipalComponents(Algorithm):
    """Principal components about the mean: the smallest error, signed scores."""

    name = "pca"

    def check(self, table: Tensor, n_components: int) -> None:
        """Positions must differ: what is explained is the difference from their mean."""
        check_rank(table, n_components)
        check_varied(table)

    def fit(self, table: Tensor, settings: Settings) -> Factors:
        """scikit-learn's PCA."""
        model = PCA(settings.n_components, random_state=settings.random_state)
        scores = _like(table, model.fit_transform(_array(table)))
        return Factors(_like(table, model.components_), scores, _like(table, model.mean_))

    def encode(self, table: Tensor, factors: Factors, settings: Settings) -> Tensor:
        """Projection of the centred rows."""
        assert factors.offset is not None
        return (table - factors.offset) @ factors.components.T


class IndependentComponents(Algorithm):
    """Independent components (Hyvarinen & Oja 2000); ``components_`` are the mixing directions."""

    name = "ica"

    def check(self, table: Tensor, n_components: int) -> None:
        """As many independent directions about the mean, which whitening divides by."""
        check_rank(check_varied(table), n_components)

    def fit(self, table: Tensor, settings: Settings) -> Factors:
        """scikit-learn's FastICA; sources have unit variance."""
        model = FastICA(
            settings.n_components,
            whiten="unit-variance",
            random_state=settings.random_state,
            tol=settings.tol,
            max_iter=settings.max_iter,
        )
        scores = _like(table, model.fit_transform(_array(table)))
        state = {"unmixing": _like(table, model.components_)}
        mixing, mean = _like(table, model.mixing_.T), _like(table, model.mean_)
        return Factors(mixing, scores, mean, state, ("unmixing",), model.n_iter_)

    def encode(self, table: Tensor, factors: Factors, settings: Settings) -> Tensor:
        """Unmixed centred rows."""
        assert factors.offset is not None
        return (table - factors.offset) @ factors.state["unmixing"].T


class Clusters(Algorithm):
    """k-means: every position belongs to one group wholly; components are the cluster means."""

    name = "kmeans"

    def check(self, table: Tensor, n_components: int) -> None:
        """As many positions must differ from each other."""
        check_distinct(table, n_components)

    def fit(self, table: Tensor, settings: Settings) -> Factors:
        """scikit-learn's KMeans with ten starts."""
        model = KMeans(
            settings.n_components,
            n_init=10,
            random_state=settings.random_state,
            tol=settings.tol,
            max_iter=settings.max_iter,
        ).fit(_array(table))
        centres = _like(table, model.cluster_centers_)
        factors = Factors(centres, table[:0, :1], n_iter=model.n_iter_)
        scores = self.encode(table, factors, settings)
        return Factors(centres, scores, n_iter=model.n_iter_)

    def encode(self, table: Tensor, factors: Factors, settings: Settings) -> Tensor:
        """One where the nearest mean is, zero elsewhere."""
        centres = factors.components
        distance = centres.square().sum(1) - 2 * table @ centres.T
        nearest = distance.argmin(1)
        return torch.nn.functional.one_hot(nearest, len(centres)).to(table)


class SparseDictionary(Algorithm):
    """Dictionary learning (Mairal et al. 2010): few components per position, unit length.

    The sparsity is ``alpha_W`` (scikit-learn's ``alpha``; 1 where it is 0).
    """

    name = "dictionary"
    reads = frozenset({"alpha_W"})

    def fit(self, table: Tensor, settings: Settings) -> Factors:
        """scikit-learn's mini-batch dictionary learning."""
        model = MiniBatchDictionaryLearning(
            settings.n_components,
            alpha=_sparsity(settings),
            max_iter=settings.max_iter,
            random_state=settings.random_state,
            transform_algorithm="lasso_lars",
        ).fit(_array(table))
        factors = Factors(_like(table, model.components_), table[:0, :1], n_iter=model.n_iter_)
        scores = self.encode(table, factors, settings)
        return Factors(factors.components, scores, n_iter=model.n_iter_)

    def encode(self, table: Tensor, factors: Factors, settings: Settings) -> Tensor:
        """Lasso of every row on the dictionary."""
        codes = sparse_encode(
            _array(table),
            _array(factors.components),
            algorithm="lasso_lars",
            alpha=_sparsity(settings),
        )
        return _like(table, codes)


class Foreign(Algorithm):
    """Any scikit-learn decomposition: cloned, fitted, and read as an affine map of its scores."""

    def __init__(self, estimator: Any) -> None:
        if isinstance(estimator, type) or not hasattr(estimator, "fit"):
            raise WrongType(
                f"algorithm={estimator!r} is neither the name of an algorithm nor a scikit-learn "
                "estimator, such as PCA(4)"
            )
        self.estimator = estimator
        self.non_negative = bool(get_tags(estimator).input_tags.positive_only)

    @property
    def title(self) -> str:
        """The estimator as it prints itself."""
        return f"{self.estimator!r}, whose own parameters decide"

    def check(self, table: Tensor, n_components: int) -> None:
        """The estimator checks its own parameters."""

    def fit(self, table: Tensor, settings: Settings) -> Factors:
        """Fit a clone: its own parameters decide, ``n_components`` included."""
        if not hasattr(self.estimator, "transform"):
            raise InvalidArgument(
                f"{type(self.estimator).__name__} has no transform: a reducer must score new "
                "activations; take a decomposition such as PCA, TruncatedSVD or NMF"
            )
        with self._explained("be fitted to these activations"):
            model = clone(self.estimator)
            scores = np.asarray(model.fit_transform(_array(table)))
            components, offset = _affine(model, scores)
        n_iter = int(np.max(getattr(model, "n_iter_", None) or 1))
        made = [_like(table, part) for part in (components, scores, offset)]
        return Factors(made[0], made[1], made[2], n_iter=n_iter, model=model, fitted_in=table.dtype)

    def encode(self, table: Tensor, factors: Factors, settings: Settings) -> Tensor:
        """The estimator's own ``transform``, asked in the type of numbers that it was fitted on.

        Some refuse any other.
        """
        fitted = table.to(factors.fitted_in or table.dtype)
        with self._explained("transform these activations"):
            scores = _like(table, factors.model.transform(_array(fitted)))
        return scores if factors.order is None else scores[:, factors.order.to(scores.device)]

    @contextmanager
    def _explained(self, task: str) -> Iterator[None]:
        """What the estimator raises comes out as an error of ours, with its own as the cause."""
        try:
            yield
        except (BlocksError, MemoryError):
            raise
        except Exception as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise InvalidArgument(
                f"{self.estimator!r} cannot {task}: {said}; its own parameters decide, or take an "
                "algorithm by name, e.g. algorithm='nmf'"
            ) from error


def halves(table: Tensor) -> Tensor:
    """``[max(x, 0), max(-x, 0)]`` side by side: twice the channels, none negative."""
    return torch.cat([table.clamp_min(0.0), (-table).clamp_min(0.0)], 1)


def difference(stacked: Tensor) -> Tensor:
    """Undo ``halves``: the positive half minus the negative one."""
    positive, negative = stacked.chunk(2, dim=1)
    return positive - negative


def _affine(model: Any, scores: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Components and offset of ``x ~ offset + z D``, asked of the model itself."""
    width = scores.shape[1]
    if hasattr(model, "inverse_transform"):
        offset = model.inverse_transform(np.zeros((1, width)))[0]
        return model.inverse_transform(np.eye(width)) - offset, offset
    if hasattr(model, "components_"):
        components = np.asarray(model.components_)
        return components, np.asarray(getattr(model, "mean_", np.zeros(components.shape[1])))
    raise InvalidArgument(
        f"{type(model).__name__} has neither inverse_transform nor components_ after fitting: its "
        "scores cannot be turned back into activations"
    )


def _sparsity(settings: Settings) -> float:
    return settings.alpha_W or 1.0


def _array(table: Tensor) -> np.ndarray[Any, Any]:
    return table.detach().cpu().numpy()


def _like(table: Tensor, values: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(table)
