"""``ChannelReducer``: a scikit-learn estimator that eats activation tensors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data
from torch import Tensor

from captum_blocks._gradients import without_gradients
from captum_blocks.errors import InvalidArgument
from captum_blocks.layouts import Kind, Layout
from captum_blocks.reduce import checks
from captum_blocks.reduce.algorithms import ALGORITHMS, Algorithm, Factors, Settings
from captum_blocks.reduce.decompositions import Foreign
from captum_blocks.reduce.goals import Of, Problem, posed
from captum_blocks.reduce.nmf import INITS
from captum_blocks.reduce.online import Online, begin, learn_all, learns_by_batches
from captum_blocks.reduce.ordering import ORDERS, Summary, arrangement, group_shares, magnitudes
from captum_blocks.reduce.rows import Form, Rows, is_table, same_kind, tables_only, to_rows

SOLVERS = ("auto", "cd", "hals")


class ChannelReducer(TransformerMixin, BaseEstimator):
    """Factorizes a layer's channels into a few groups: ``activations ~ scores @ components_``.

    A scikit-learn estimator for tables and a reducer for a layer's output: a torch tensor (or
    array) with 3 or 4 axes keeps its kind, layout, device and dtype, and gets groups where it had
    channels.

    Args:
        n_components: how many groups.
        algorithm: ``"nmf"`` (activations >= 0); for any sign ``"semi_nmf"`` (scores >= 0),
            ``"posneg"`` (NMF of positive and negative halves), ``"pca"``, ``"ica"``, ``"kmeans"``,
            ``"dictionary"``; or a scikit-learn decomposition, e.g. ``TruncatedSVD(4)``.
        layout: where channels stand: ``"NCHW"``, ``"tokens"``, ``"NHWC"``, a ``Layout``, or
            ``None`` to tell from the shape. Two axes are always ``(position, channel)``.
        init: starting point of ``nmf`` and ``posneg``, by scikit-learn's names: ``"nndsvd"`` (with
            it, published groups are reproduced), ``"nndsvda"``, ``"nndsvdar"``, ``"random"``.
        solver: of both: ``"cd"`` (scikit-learn's coordinate descent), ``"hals"`` (torch, on the
            device of the activations) or ``"auto"``: ``"cd"`` up to a million entries on the CPU.
        tol: when an iterative algorithm stops, as in scikit-learn; ``"hals"`` also when five
            iterations lower the error by less than this share; ``dictionary`` has its own.
        max_iter: after how many iterations it stops at the latest.
        order: of the groups: ``"position"`` (as published: ascending mean x, weighted by the
            squared scores), ``"share"`` (the most explaining first), ``"none"``, or ``"auto"``:
            by position for one image, by share for many and for tables.
        of: what the groups should preserve: ``"activation"``, ``"gradient"``, ``"attribution"``, or
            a balance, ``{"activation": 1, "attribution": 0.5}``; for ``nmf`` and ``semi_nmf``.
        alpha_W: regularization of the scores, as in scikit-learn's NMF, for ``nmf`` and ``posneg``;
            of ``dictionary`` its ``alpha``.
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
        goal_components_: ``{goal: (group, channel)}`` of a fit to goals, in each goal's own unit.
        goal_share_: ``{goal: float}``, the share of each goal's squared norm the fit explains.
        composition_: ``(group, upper group)`` of a fit with ``upper``: how each group divides among
            the upper groups; rows sum to 1. ``None`` otherwise.

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
        of: Of = "activation",
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
        self.of = of
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        gradients: Any = None,
        attributions: Any = None,
        upper: Any = None,
    ) -> ChannelReducer:
        """Find the groups of activations.

        Args:
            X: a layer's output in the reducer's layout, or a table ``(position, channel)``.
            y: ignored, for scikit-learn's conventions.
            gradients: of a score, shaped like ``X``, where ``of`` names them.
            attributions: of a score, shaped like ``X``, where ``of`` names them.
            upper: attributions of ``X`` to each group of an upper layer, ``(image, upper group,
                ...)`` with the rest shaped like one image of ``X``. The groups found are then
                compatible with the upper ones: each belongs to as few of them as it can.

        Raises:
            InvalidArgument: negative values where the algorithm takes none, NaN, all zero, more
                groups than positions, channels or independent directions; a parameter that the
                algorithm would not read.
        """
        self._fit(X, gradients, attributions, upper)
        return self

    def fit_transform(
        self,
        X: Any,
        y: Any = None,
        *,
        gradients: Any = None,
        attributions: Any = None,
        upper: Any = None,
    ) -> Any:
        """``fit``, then the scores found while fitting: groups where the channels were."""
        rows, factors = self._fit(X, gradients, attributions, upper)
        return rows.form.give_back(factors.scores)

    def transform(self, X: Any) -> Any:
        """Activations -> the scores of the fitted groups, in the same layout.

        Differentiable with respect to a tensor that requires a gradient, except for ``kmeans``,
        ``dictionary`` and foreign estimators.

        Raises:
            NotFitted: ``fit`` first.
            InvalidArgument: another number of channels, NaN, or negative values where the
                algorithm takes none.
        """
        checks.check_fitted(self)
        rows = self._rows(X, reset=False)
        checks.check_width(rows.table, self.n_features_in_)
        self._check_values(rows.table)
        factors = self._factors.to(rows.table)
        return rows.form.give_back(self._algorithm.encode(rows.table, factors, self._settings))

    def inverse_transform(self, X: Any) -> Any:
        """Scores, e.g. ``(image, group, y, x)``, -> ``offset_ + scores @ components_``.

        Raises:
            NotFitted: ``fit`` first.
            InvalidArgument: another number of groups.
        """
        checks.check_fitted(self)
        rows = self._rows(X, reset=False, of_groups=True)
        checks.check_groups(rows.table, self._n_features_out)
        factors = self._factors.to(rows.table)
        made = rows.table @ factors.components
        return rows.form.give_back(made if factors.offset is None else made + factors.offset)

    @available_if(learns_by_batches)
    def partial_fit(self, X: Any, y: Any = None) -> ChannelReducer:
        """Learn from one more batch of activations, for ``nmf`` of data larger than memory.

        The first batch, of at least as many positions and directions as groups, decides where they
        start; they keep their places from then on. ``magnitude_`` and the shares speak of all
        batches so far. A reducer that was pickled, or saved and loaded, continues where it was;
        after ``fit``, which keeps no sums, the next batch is a first one.

        Raises:
            InvalidArgument: what ``fit`` refuses, or another ``n_components`` than before.
        """
        return self._learn(X, None)

    def fit_loader(self, loader: Iterable[Any], n_epochs: int = 1) -> ChannelReducer:
        """``partial_fit`` over all batches of a loader, then order the groups by share.

        Batches too small to begin with are joined until there are as many directions as groups.

        Args:
            loader: batches of activations: a ``DataLoader``, ``list(net.activations(...))``, ...
            n_epochs: how often to go through it; an iterator can only be gone through once.

        Raises:
            InvalidArgument: the loader is empty, or an iterator with several epochs; a bad batch.
        """
        checks.check_loader(loader, n_epochs)
        self._online: Online | None = None
        earlier: Online | None = None
        for _ in range(n_epochs):
            learn_all(partial(self._learn, earlier=earlier), loader)
            if self._online is None or not self._online.n_rows:
                raise InvalidArgument("the loader is empty: there is no batch to learn from")
            earlier, self._online = self._online, self._online.forgotten()
        assert earlier is not None
        self._online = earlier
        self._publish_online(torch.argsort(-earlier.group_shares, stable=True))
        return self

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted reducer to one npz file of plain arrays, whole or not at all.

        Raises:
            InvalidArgument: it wraps a foreign estimator, a parameter is no plain value, or the
                folder does not exist (then it is a ``FileNotFoundError`` as well).
        """
        from captum_blocks.reduce.persistence import write

        checks.check_fitted(self)
        write(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ChannelReducer:
        """Read what ``save`` wrote. Nothing in the file is executed.

        Raises:
            InvalidArgument: the file is damaged, no reducer, or of a newer version.
        """
        from captum_blocks.reduce.persistence import read

        return read(cls, path)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, Any]:
        """``["group0", "group1", ...]``."""
        checks.check_fitted(self)
        return np.array([f"group{i}" for i in range(self._n_features_out)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if not isinstance(self.algorithm, str):
            tags.input_tags.positive_only = Foreign(self.algorithm).non_negative
        elif self.algorithm in ALGORITHMS:
            tags.input_tags.positive_only = ALGORITHMS[self.algorithm].non_negative
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return len(self._factors.components)

    def _prepare(self, X: Any, *others: Any) -> tuple[Rows, Problem | None]:
        """Everything a fit does before it works: what cannot be fitted is refused here."""
        self._algorithm, self._settings = self._choose()
        rows = self._rows(X, reset=True)
        problem = posed(self, rows, *others)
        self._check_table(rows.table, (problem or rows).table, self._settings)
        return rows, problem

    def _fit(self, X: Any, *others: Any) -> tuple[Rows, Factors]:
        rows, problem = self._prepare(X, *others)
        algorithm, settings = self._algorithm, self._settings
        with without_gradients():
            if problem is None:
                factors = algorithm.fit(rows.table.detach(), settings)
            else:
                factors = problem.solve(rows.table.detach(), algorithm, settings)
            shares, power = group_shares(rows.table, factors)
            order = arrangement(self.order, rows.form, factors.scores, shares)
            factors = factors.arranged(order)
            summary = Summary(magnitudes(factors), shares[order], power)
        self._publish(factors, rows.form, summary)
        self._online = None
        return rows, factors

    def _choose(self) -> tuple[Algorithm, Settings]:
        known = {name: getattr(self, name) for name in Settings.__dataclass_fields__}
        checks.check_name("order", self.order, ORDERS)
        checks.check_name("solver", self.solver, SOLVERS)
        if self.init is not None:
            checks.check_name("init", self.init, INITS)
        checks.check_numbers(self)
        if not isinstance(self.algorithm, str):
            own = getattr(self.algorithm, "n_components", None)
            known["n_components"] = own if isinstance(own, int) else 1
            algorithm: Algorithm = Foreign(self.algorithm)
        else:
            checks.check_name("algorithm", self.algorithm, ALGORITHMS)
            checks.check_count("n_components", self.n_components)
            algorithm = ALGORITHMS[self.algorithm]()
        settings = Settings(**known)
        algorithm.check_settings(settings)
        return algorithm, settings

    def _rows(self, X: Any, reset: bool, of_groups: bool = False) -> Rows:
        checks.check_readable(X)
        if is_table(X):
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

    def _check_table(self, table: Tensor, factorized: Tensor, settings: Settings) -> None:
        """The activations themselves, and whether so many groups can be found in what is solved."""
        checks.check_size(factorized, settings.n_components)
        self._check_values(table)
        checks.check_not_silent(factorized)
        self._algorithm.check(factorized, settings.n_components)

    def _check_values(self, table: Tensor) -> None:
        checks.check_finite(table)
        if self._algorithm.non_negative:
            checks.check_non_negative(table, str(self.algorithm))

    def _publish(self, factors: Factors, form: Form, summary: Summary) -> None:
        self._factors = replace(factors, scores=factors.scores[:0])
        self._form, self._summary = form, summary
        state = {name: form.like(value) for name, value in factors.state.items()}
        self.components_ = form.like(factors.components)
        self.offset_ = None if factors.offset is None else form.like(factors.offset)
        self.magnitude_ = form.like(summary.magnitude)
        self.group_share_ = form.like(summary.share)
        self.explained_share_ = float(summary.share.sum())
        unexplained = summary.power * (1.0 - self.explained_share_)
        self.reconstruction_err_ = float(max(0.0, unexplained) ** 0.5)
        self.goal_components_ = {k[5:]: v for k, v in state.items() if k.startswith("goal ")}
        self.goal_share_ = factors.goal_share
        self.composition_ = state.get("composition")
        self.layout_ = form.layout
        self.n_iter_ = factors.n_iter

    def _learn(self, X: Any, earlier: Online | None) -> ChannelReducer:
        online: Online | None = getattr(self, "_online", None)
        self._algorithm, self._settings = self._choose()
        learns_by_batches(self)
        if online is not None:
            online.check_groups(self.n_components)
        rows = self._rows(X, reset=online is None)
        table = rows.table.detach()
        checks.check_width(table, self.n_features_in_)
        self._check_values(table)
        if online is None:
            with checks.first_batch(table):
                self._check_table(table, table, self._settings)
            online = begin(table, self.n_components, self.init or "nndsvda", self._settings.seed)
        online = online.to(table)
        memory = None
        if earlier is not None:
            memory = (earlier, max(0.0, 1.0 - (online.n_rows + len(table)) / earlier.n_rows))
        self._online = online.after(table, *self._settings.penalties(table), memory)
        self._form = rows.form
        self._publish_online(torch.arange(self.n_components, device=table.device))
        return self

    def _publish_online(self, order: Tensor) -> None:
        assert self._online is not None
        self._online = online = self._online.arranged(order)
        factors = Factors(online.components, online.components.new_zeros(0, len(order)))
        summary = Summary(online.magnitudes, online.group_shares, online.power)
        self._publish(factors, self._form, summary)


for _name in ("transform", "fit_transform"):
    setattr(ChannelReducer, _name, tables_only(getattr(ChannelReducer, _name)))
