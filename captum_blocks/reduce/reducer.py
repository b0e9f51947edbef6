"""``ChannelReducer``: a scikit-learn estimator that eats activation tensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import validate_data
from torch import Tensor

from captum_blocks.errors import InvalidArgument, UnknownName, did_you_mean
from captum_blocks.layouts import Kind, Layout
from captum_blocks.reduce import checks
from captum_blocks.reduce.algorithms import ALGORITHMS, Algorithm, Factors, Settings
from captum_blocks.reduce.ordering import arrange, group_shares, magnitudes, mean_x
from captum_blocks.reduce.rows import Form, Rows, same_kind, to_rows

ORDERS = ("auto", "position", "share", "none")


class ChannelReducer(TransformerMixin, BaseEstimator):
    """Factorizes a layer's channels into a few groups: ``activations ~ scores @ components_``.

    A scikit-learn estimator for tables and a reducer for a layer's output: a torch tensor (or
    array) with 3 or 4 axes keeps its kind, layout, device and dtype, and gets groups where it had
    channels.

    Args:
        n_components: how many groups.
        algorithm: ``"nmf"`` (activations >= 0).
        layout: where channels stand: ``"NCHW"``, ``"tokens"``, ``"NHWC"``, a ``Layout``, or
            ``None`` to tell from the shape. Two axes are always ``(position, channel)``.
        init: starting point of ``nmf``, by scikit-learn's names: ``"nndsvd"`` (with it, published
            groups are reproduced), ``"nndsvda"``, ``"nndsvdar"``, ``"random"``.
        solver: ``"cd"`` (scikit-learn's coordinate descent) or ``"auto"``.
        tol: when an iterative algorithm stops, as in scikit-learn.
        max_iter: after how many iterations it stops at the latest.
        order: of the groups: ``"position"`` (as published: ascending mean x, weighted by the
            squared scores), ``"share"`` (the most explaining first), ``"none"``, or ``"auto"``:
            by position for one image, by share for many and for tables.
        alpha_W: regularization of the scores, as in scikit-learn's NMF.
        alpha_H: regularization of the components; ``"same"``: like the scores.
        l1_ratio: share of the regularization that is L1 and makes zeros.
        random_state: seed; the same seed gives the same groups.

    Attributes:
        components_: ``(group, channel)``, unscaled, of the kind it was fitted on (tensor or array).
        magnitude_: ``(group,)``, ``||W_i|| * ||H_i||``.
        group_share_: ``(group,)``, the share of the activations' squared norm each group explains.
        explained_share_: their sum, a float; ``1 - explained_share_`` is the residual's share.
        reconstruction_err_: Frobenius norm of the residual.
        offset_: ``(channel,)`` that reconstructions add, or ``None``.
        layout_: the layout found, ``None`` for tables.
        n_iter_: iterations run.

    >>> acts = torch.rand(1, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    >>> reducer = ChannelReducer(n_components=3)
    >>> reducer.fit_transform(acts).shape, reducer.components_.shape
    (torch.Size([1, 3, 5, 5]), torch.Size([3, 8]))
    """

    def __init__(
        self,
        n_components: int = 6,
        algorithm: str = "nmf",
        *,
        layout: Layout | Kind | None = "NCHW",
        init: str | None = "nndsvd",
        solver: str = "auto",
        tol: float = 1e-4,
        max_iter: int = 200,
        order: str = "auto",
        alpha_W: float = 0.0,
        alpha_H: float | str = "same",
        l1_ratio: float = 0.0,
        random_state: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.algorithm = algorithm
        self.layout = layout
        self.init = init
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.order = order
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> ChannelReducer:
        """Find the groups of activations.

        Args:
            X: a layer's output in the reducer's layout, or a table ``(position, channel)``.
            y: ignored, for scikit-learn's conventions.

        Raises:
            InvalidArgument: negative values where the algorithm takes none, NaN, all zero, more
                groups than positions, channels or independent directions.
        """
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """``fit``, then the scores found while fitting: groups where the channels were."""
        rows, factors = self._fit(X)
        return rows.form.give_back(factors.scores)

    def transform(self, X: Any) -> Any:
        """Activations -> the scores of the fitted groups, in the same layout.

        Differentiable with respect to a tensor that requires a gradient, for ``nmf``.
        """
        self._check_fitted()
        rows = self._rows(X, reset=False)
        checks.check_width(rows.table, self.n_features_in_)
        self._check_values(rows.table)
        factors = self._factors.to(rows.table)
        return rows.form.give_back(self._algorithm.encode(rows.table, factors, self._settings))

    def inverse_transform(self, X: Any) -> Any:
        """Scores -> the activations they stand for: ``offset_ + scores @ components_``."""
        self._check_fitted()
        rows = self._rows(X, reset=False, of_groups=True)
        if rows.table.shape[1] != self._n_features_out:
            raise InvalidArgument(
                f"scores of {rows.table.shape[1]} groups were given to a reducer of "
                f"{self._n_features_out}"
            )
        factors = self._factors.to(rows.table)
        made = rows.table @ factors.components
        return rows.form.give_back(made if factors.offset is None else made + factors.offset)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, Any]:
        """``["group0", "group1", ...]``."""
        self._check_fitted()
        return np.array([f"group{i}" for i in range(self._n_features_out)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        known = ALGORITHMS.get(self.algorithm) if isinstance(self.algorithm, str) else None
        tags.input_tags.positive_only = known is not None and known.non_negative
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return len(self._factors.components)

    def _fit(self, X: Any) -> tuple[Rows, Factors]:
        algorithm, settings = self._chosen()
        rows = self._rows(X, reset=True)
        self._algorithm, self._settings = algorithm, settings
        checks.check_size(rows.table, self.n_components)
        self._check_values(rows.table)
        checks.check_not_silent(rows.table)
        if algorithm.by_rank:
            checks.check_rank(rows.table, self.n_components)
        with torch.no_grad():
            factors = algorithm.fit(rows.table.detach(), settings)
            factors = self._remember(rows, factors)
        return rows, factors

    def _chosen(self) -> tuple[Algorithm, Settings]:
        if self.algorithm not in ALGORITHMS:
            raise UnknownName(
                f"algorithm={self.algorithm!r} is none of {', '.join(ALGORITHMS)}"
                f"{did_you_mean(str(self.algorithm), ALGORITHMS)}"
            )
        if self.order not in ORDERS:
            raise UnknownName(f"order={self.order!r} is none of {', '.join(ORDERS)}")
        known = {name: getattr(self, name) for name in Settings.__dataclass_fields__}
        return ALGORITHMS[self.algorithm](), Settings(**known)

    def _rows(self, X: Any, reset: bool, of_groups: bool = False) -> Rows:
        if not isinstance(X, Tensor) and len(getattr(X, "shape", ())) < 3:
            if of_groups:
                X = np.asarray(X)
            else:
                X = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
            return to_rows(X, None)
        layout = self.layout
        if layout is None and not reset:
            layout = same_kind(self.layout_, X.shape)
        rows = to_rows(X, layout)
        if reset:
            self.n_features_in_ = rows.table.shape[1]
        return rows

    def _check_values(self, table: Tensor) -> None:
        checks.check_finite(table)
        if self._algorithm.non_negative:
            checks.check_non_negative(table, self.algorithm)

    def _remember(self, rows: Rows, factors: Factors) -> Factors:
        shares, power = group_shares(rows.table, factors)
        order = self._ordered(rows.form, factors.scores, shares)
        factors, form = arrange(factors, order), rows.form
        self._factors = replace(factors, scores=factors.scores[:0])
        self.components_ = form.like(factors.components)
        self.offset_ = None if factors.offset is None else form.like(factors.offset)
        self.magnitude_ = form.like(magnitudes(factors))
        self.group_share_ = form.like(shares[order])
        self.explained_share_ = float(shares.sum())
        self.reconstruction_err_ = float(max(0.0, power * (1.0 - self.explained_share_)) ** 0.5)
        self.layout_ = form.layout
        self.n_iter_ = factors.n_iter
        return factors

    def _ordered(self, form: Form, scores: Tensor, shares: Tensor) -> Tensor:
        order = self.order
        if order == "auto":
            order = "position" if form.is_one_image else "share"
        if order == "none":
            return torch.arange(len(shares), device=shares.device)
        key = mean_x(scores, form) if order == "position" else -shares
        return torch.argsort(key, stable=True)

    def _check_fitted(self) -> None:
        if not hasattr(self, "components_"):
            raise checks.NotFitted(
                "this ChannelReducer is not fitted yet; call fit(activations) first"
            )
