"""The factorizations behind ``ChannelReducer``, one class each, registered by name.

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
from torch import Tensor

from captum_blocks.reduce.encoding import encode

ALGORITHMS: dict[str, type[Algorithm]] = {}


@dataclass
class Factors:
    """A fitted factorization.

    Attributes:
        components: ``(group, channel)``.
        scores: ``(position, group)`` of the rows it was fitted on.
        offset: ``(channel,)`` added to every reconstruction; ``None``: nothing is.
        state: further tensors that encoding needs.
        n_iter: iterations run.
        per_group: names in ``state`` whose first axis is the group.
    """

    components: Tensor
    scores: Tensor
    offset: Tensor | None = None
    state: dict[str, Tensor] = field(default_factory=dict)
    n_iter: int = 1
    per_group: tuple[str, ...] = ()

    def to(self, like: Tensor) -> Factors:
        """The same numbers with the device and dtype of another tensor."""
        offset = None if self.offset is None else self.offset.to(like)
        state = {name: value.to(like) for name, value in self.state.items()}
        return replace(
            self,
            components=self.components.to(like),
            scores=self.scores.to(like),
            offset=offset,
            state=state,
        )


@dataclass(frozen=True)
class Settings:
    """The parameters of ``ChannelReducer`` that algorithms read, by scikit-learn's names."""

    n_components: int = 6
    init: str | None = "nndsvd"
    solver: str = "cd"
    tol: float = 1e-4
    max_iter: int = 200
    random_state: Any = 0
    alpha_W: float = 0.0
    alpha_H: float | str = "same"
    l1_ratio: float = 0.0


class Algorithm:
    """One way to factorize. Subclasses register themselves under their ``name``."""

    name: ClassVar[str]
    non_negative: ClassVar[bool] = False
    by_rank: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        if "name" in vars(cls):
            ALGORITHMS[cls.name] = cls

    def fit(self, table: Tensor, settings: Settings) -> Factors:
        """Factorize ``(position, channel)``."""
        raise NotImplementedError

    def encode(self, table: Tensor, factors: Factors, settings: Settings) -> Tensor:
        """Scores ``(position, group)`` of new rows."""
        raise NotImplementedError


class NonNegative(Algorithm):
    """Non-negative matrix factorization (Lee & Seung 1999): parts that only ever add up."""

    name = "nmf"
    non_negative = True

    def fit(self, table: Tensor, settings: Settings) -> Factors:
        """scikit-learn's coordinate descent: the published neuron groups are its iterate."""
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
        with quiet_about_convergence():
            scores = model.fit_transform(table.detach().cpu().numpy())
        components = torch.from_numpy(model.components_).to(table)
        return Factors(components, torch.from_numpy(scores).to(table), n_iter=model.n_iter_)

    def encode(self, table: Tensor, factors: Factors, settings: Settings) -> Tensor:
        """Exact non-negative least squares, differentiable with respect to the rows."""
        l1, l2 = score_penalties(settings, table.shape[1])
        return encode(table, factors.components, l1, l2)


def score_penalties(settings: Settings, n_channels: int) -> tuple[float, float]:
    """scikit-learn's penalty on the scores (``alpha_W``, per channel) as weights of L1 and L2/2."""
    weight = settings.alpha_W * n_channels
    return weight * settings.l1_ratio, weight * (1.0 - settings.l1_ratio)


@contextmanager
def quiet_about_convergence() -> Iterator[None]:
    """The iterate at ``max_iter`` is what was asked for; scikit-learn would warn about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
