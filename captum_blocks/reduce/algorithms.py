"""What a factorization is, and the registry that ``ChannelReducer`` finds them in by name.

Each one turns a table ``(position, channel)`` into scores and components with
``table ~ offset + scores @ components``, and encodes new rows against fitted components.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.reduce.checks import check_rank
from captum_blocks.reduce.encoding import encode
from captum_blocks.reduce.nmf import Penalty, factorize
from captum_blocks.reduce.rows import wide

ALGORITHMS: dict[str, type[Algorithm]] = {}
# Parameters that only some algorithms read, and the values that ask for nothing.
OPTIONAL: dict[str, tuple[Any, ...]] = {
    "init": ("nndsvd", None),
    "solver": ("auto",),
    "alpha_W": (0.0,),
    "alpha_H": ("same", 0.0),
    "l1_ratio": (0.0,),
}
# The size up to which the published iterate is worth more than speed.
SMALL_TABLE = 1_000_000


@dataclass(frozen=True)
class Factors:
    """A fitted factorization.

    Attributes:
        components: ``(group, channel)``.
        scores: ``(position, group)`` of the rows it was fitted on.
        offset: ``(channel,)`` added to every reconstruction; ``None``: nothing is.
        state: further tensors that encoding needs.
        per_group: names in ``state`` whose first axis is the group.
        n_iter: iterations run.
        goal_share: ``{goal: share explained}`` of a fit to goals.
        model: a foreign fitted estimator that does the encoding, if there is one.
        fitted_in: the type of numbers that it was fitted on.
        order: which of its scores each group is; ``None``: as they come.

    >>> Factors(torch.ones(2, 3), torch.ones(5, 2)).offset is None
    True
    """

    components: Tensor
    scores: Tensor
    offset: Tensor | None = None
    state: dict[str, Tensor] = field(default_factory=dict)
    per_group: tuple[str, ...] = ()
    n_iter: int = 1
    goal_share: dict[str, float] = field(default_factory=dict)
    model: Any = None
    fitted_in: torch.dtype | None = None
    order: Tensor | None = None

    def to(self, like: Tensor) -> Factors:
        """The same numbers with the device and dtype of another tensor."""
        return replace(
            self,
            components=self.components.to(like),
            scores=self.scores.to(like),
            offset=None if self.offset is None else self.offset.to(like),
            state={name: value.to(like) for name, value in self.state.items()},
        )

    def arranged(self, order: Tensor) -> Factors:
        """The same factorization with its groups in another order."""
        state = {k: v[order] if k in self.per_group else v for k, v in self.state.items()}
        components, scores = self.components[order], self.scores[:, order]
        before = order if self.order is None else self.order[order]
        return replace(self, components=components, scores=scores, state=state, order=before)


@dataclass(frozen=True)
class Settings:
    """The parameters of ``ChannelReducer`` that algorithms read, by scikit-learn's names.

    >>> Settings(n_components=3).seed
    0
    """

    n_components: int = 6
    init: str | None = "nndsvd"
    solver: str = "auto"
    tol: float = 1e-4
    max_iter: int = 200
    random_state: Any = 0
    alpha_W: float = 0.0
    alpha_H: float | str = "same"
    l1_ratio: float = 0.0

    @property
    def seed(self) -> int:
        """``random_state`` as the seed of a torch generator."""
        if isinstance(self.random_state, int):
            return self.random_state
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def penalties(self, table: Tensor) -> tuple[Penalty, Penalty]:
        """scikit-learn's penalties on scores and components, as weights of L1 and L2 / 2."""
        alpha_h = self.alpha_W if isinstance(self.alpha_H, str) else self.alpha_H
        weights = (self.alpha_W * table.shape[1], alpha_h * table.shape[0])
        pairs = [Penalty(w * self.l1_ratio, w * (1.0 - self.l1_ratio)) for w in weights]
        return pairs[0], pairs[1]


class Algorithm:
    """One way to factorize. Subclasses register themselves under their ``name``.

    Attributes:
        name: what ``ChannelReducer(algorithm=...)`` calls it.
        non_negative: it refuses negative activations.
        reads: which of ``OPTIONAL`` parameters it reads; others may not be set.

    >>> ALGORITHMS["nmf"].name, ALGORITHMS["nmf"].non_negative
    ('nmf', True)
    """

    name: ClassVar[str]
    non_negative: bool = False
    reads: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        if "name" in vars(cls):
            ALGORITHMS[cls.name] = cls

    def check_settings(self, settings: Settings) -> None:
        """Refuse parameters that were set and that this algorithm would not read."""
        for name, nothing in OPTIONAL.items():
            given = getattr(settings, name)
            if name not in self.reads and given not in nothing:
                readers = [repr(k) for k, kind in ALGORITHMS.items() if name in kind.reads]
                raise InvalidArgument(
                    f"{name}={given!r} does nothing with algorithm={self.title}; leave it at "
                    f"{nothing[0]!r}, or take an algorithm that reads it: {', '.join(readers)}"
                )

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return repr(self.name)

    def check(self, table: Tensor, n_components: int) -> None:
        """Refuse a table in which so many groups cannot be found."""
        check_rank(table, n_components)

    def fit(self, table: Tensor, settings: Settings) -> Factors:
        """Factorize ``(position, channel)``."""
        raise NotImplementedError

    def encode(self, table: Tensor, factors: Factors, settings: Settings) -> Tensor:
        """Scores ``(position, group)`` of new rows."""
        raise NotImplementedError

    def regress(self, table: Tensor, scores: Tensor) -> Tensor:
        """The components ``(group, channel)`` that fit given scores best."""
        kind = wide(table.device)
        inverse: Tensor = torch.linalg.pinv(scores.to(kind))
        return (inverse @ table.to(kind)).to(table)


class NonNegative(Algorithm):
    """Non-negative matrix factorization (Lee & Seung, Nature 1999): parts that only add up."""

    name = "nmf"
    non_negative = True
    reads = frozenset(OPTIONAL)

    def fit(self, table: Tensor, settings: Settings) -> Factors:
        """By the solver asked for, or the one that fits the table's size and device."""
        solver = settings.solver
        if solver == "auto":
            small = table.device.type == "cpu" and table.numel() <= SMALL_TABLE
            solver = "cd" if small else "hals"
        return _by_sklearn(table, settings) if solver == "cd" else _by_hals(table, settings)

    def encode(self, table: Tensor, factors: Factors, settings: Settings) -> Tensor:
        """Exact non-negative least squares, differentiable with respect to the rows."""
        on_scores, _ = settings.penalties(table)
        return encode(table, factors.components, on_scores.l1, on_scores.l2)

    def regress(self, table: Tensor, scores: Tensor) -> Tensor:
        """The non-negative components that fit given scores best."""
        return encode(table.T, scores.T).T


def _by_sklearn(table: Tensor, settings: Settings) -> Factors:
    """Coordinate descent: the published neuron groups are exactly its iterate."""
    model = NMF(
        n_components=settings.n_components,
        init=settings.init,
        tol=settings.tol,
        max_iter=settings.max_iter,
        random_state=settings.random_state,
        alpha_W=settings.alpha_W,
        alpha_H=settings.alpha_H,
        l1_ratio=settings.l1_ratio,
    )
    with _quiet_about_convergence():
        scores = model.fit_transform(table.cpu().numpy())
    components = torch.from_numpy(model.components_).to(table)
    return Factors(components, torch.from_numpy(scores).to(table), n_iter=model.n_iter_)


def _by_hals(table: Tensor, settings: Settings) -> Factors:
    on_scores, on_components = settings.penalties(table)
    found = factorize(
        table,
        settings.n_components,
        init=settings.init or "nndsvda",
        tol=settings.tol,
        max_iter=settings.max_iter,
        seed=settings.seed,
        on_scores=on_scores,
        on_components=on_components,
    )
    return Factors(found.components, found.scores, n_iter=len(found.errors))


@contextmanager
def _quiet_about_convergence() -> Iterator[None]:
    # The iterate at max_iter is what was asked for; scikit-learn would warn about it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
