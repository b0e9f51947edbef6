"""NMF of data that does not fit in memory: one batch at a time.

The components only need ``W'W`` and ``W'X`` (Mairal, Bach, Ponce & Sapiro, "Online learning for
matrix factorization and sparse coding", JMLR 2010, algorithm 1), which are as small as the groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.reduce.checks import BatchesUnsupported, FirstBatchTooSmall
from captum_blocks.reduce.encoding import encode
from captum_blocks.reduce.goals import weights_of
from captum_blocks.reduce.nmf import NO_PENALTY, Penalty, factorize, update_components
from captum_blocks.reduce.rows import squared_norm, wide

SETTLING = 8


@dataclass(frozen=True)
class Online:
    """What is remembered of the batches seen.

    Attributes:
        components: ``(group, channel)``.
        gram: sum of ``W'W``, ``(group, group)``, in the widest type.
        cross: sum of ``W'X``, ``(group, channel)``.
        power: sum of ``||X||^2``.
        n_rows: positions seen.
    """

    components: Tensor
    gram: Tensor
    cross: Tensor
    power: float = 0.0
    n_rows: int = 0

    def after(
        self,
        table: Tensor,
        on_scores: Penalty = NO_PENALTY,
        on_components: Penalty = NO_PENALTY,
        memory: tuple[Online, float] | None = None,
    ) -> Online:
        """Learn from one more batch.

        Args:
            table: the batch, ``(position, channel)``.
            on_scores: penalty on the scores.
            on_components: penalty on the components.
            memory: sums of an earlier epoch and what share of them still counts.
        """
        scores = encode(table, self.components, on_scores.l1, on_scores.l2)
        gram = self.gram + (scores.T @ scores).to(self.gram)
        cross = self.cross + (scores.T @ table).to(self.cross)
        past, share = memory or (self, 0.0)
        all_gram, all_cross = gram + share * past.gram, cross + share * past.cross
        found = self.components.to(gram)
        for _ in range(SETTLING):
            found = update_components(found, all_gram, all_cross, on_components)
        power, n_rows = self.power + squared_norm(table), self.n_rows + len(table)
        components = torch.where(_used(all_gram)[:, None], found.to(table), self.components)
        return Online(components, gram, cross, power, n_rows)

    def arranged(self, order: Tensor) -> Online:
        """The same with its groups in another order."""
        gram = self.gram[order][:, order]
        return replace(self, components=self.components[order], gram=gram, cross=self.cross[order])

    def forgotten(self) -> Online:
        """The same components with empty sums, for another epoch."""
        return replace(self, gram=self.gram * 0, cross=self.cross * 0, power=0.0, n_rows=0)

    def to(self, like: Tensor) -> Online:
        """The same on the device of a batch, with components of its type."""
        kind = wide(like.device)
        gram, cross = (part.to(like.device, kind) for part in (self.gram, self.cross))
        return replace(self, components=self.components.to(like), gram=gram, cross=cross)

    def check_groups(self, n_components: int) -> None:
        """Refuse to continue with another number of groups than the batches so far have made."""
        made = len(self.components)
        if n_components != made:
            raise InvalidArgument(
                f"n_components={n_components}, but the batches so far have made {made} groups: "
                f"set it back to {made} to continue, or begin anew with fit_loader or a clone"
            )

    @property
    def group_shares(self) -> Tensor:
        """``(group,)`` shares of the squared norm explained, from the sums alone."""
        h = self.components.to(self.gram)
        explained: Tensor = 2 * (h * self.cross).sum(1) - (self.gram * (h @ h.T)).sum(1)
        return explained.div(max(self.power, torch.finfo(self.gram.dtype).tiny))

    @property
    def magnitudes(self) -> Tensor:
        """``||W_i|| * ||H_i||`` over everything seen."""
        sizes: Tensor = self.gram.diagonal().sqrt() * self.components.to(self.gram).norm(dim=1)
        return sizes


def begin(table: Tensor, n_components: int, init: str, seed: int) -> Online:
    """Components from the first batch alone, with empty sums."""
    components = factorize(table, n_components, init=init, seed=seed, max_iter=30).components
    kind = wide(table.device)
    gram = table.new_zeros(n_components, n_components, dtype=kind)
    cross = table.new_zeros(n_components, table.shape[1], dtype=kind)
    return Online(components, gram, cross)


def learns_by_batches(reducer: Any) -> bool:
    """Whether a reducer can; raises ``BatchesUnsupported``, with the reason, where it cannot."""
    if reducer.algorithm == "nmf" and list(weights_of(reducer.of)) == ["activation"]:
        return True
    raise BatchesUnsupported(
        "partial_fit and fit_loader are for algorithm='nmf' of activations; "
        f"algorithm={reducer.algorithm!r} of={reducer.of!r} needs all data at once: use fit"
    )


def learn_all(learn: Callable[[Any], object], loader: Iterable[Any]) -> None:
    """Learn from every batch; the first ones are joined until the groups can begin.

    Raises:
        InvalidArgument: they cannot even in all batches together.
    """
    waiting: list[Any] = []
    refusal: FirstBatchTooSmall | None = None
    for batch in loader:
        waiting.append(batch)
        try:
            learn(_joined(waiting))
        except FirstBatchTooSmall as error:
            refusal = error
        else:
            waiting, refusal = [], None
    if refusal is not None:
        raise InvalidArgument(
            f"all {len(waiting)} batches of the loader together: {refusal.__cause__}"
        ) from refusal


def _joined(batches: list[Any]) -> Any:
    if len(batches) == 1:
        return batches[0]
    first, last = batches[0], batches[-1]
    if first.shape[1:] != last.shape[1:]:
        raise InvalidArgument(
            f"batches of shapes {tuple(first.shape)} and {tuple(last.shape)} cannot be joined; "
            "begin with a batch of more positions than groups"
        )
    return torch.cat(batches) if isinstance(first, Tensor) else np.concatenate(batches)


def _used(gram: Tensor) -> Tensor:
    return gram.diagonal() > 0
