"""How many groups? The numbers to choose by, one fit after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from captum_blocks.errors import InvalidArgument
from captum_blocks.reduce import checks
from captum_blocks.reduce.quality import (
    Head,
    head_faithfulness,
    relative_error,
    singular_squares,
    sparsity,
    stability,
)
from captum_blocks.reduce.reducer import ChannelReducer
from captum_blocks.reduce.rows import to_rows

STABLE = 0.8


@dataclass(frozen=True)
class Choice:
    """What each number of groups costs and gives; all tuples run along ``n_components``.

    Attributes:
        n_components: the numbers tried.
        relative_error: ``||A - P|| / ||A||``.
        svd_floor: the least error that many directions can reach.
        sparsity: share of scores that are zero.
        stability: mean matched cosine of the components over seeds.
        top1_agreement: share of images on which the head keeps its class; ``None`` without a head.
        logit_r2: how much of the head's scores the reconstruction keeps; ``None`` without a head.

    >>> tried = {"relative_error": (0.5, 0.2, 0.18), "svd_floor": (0.5, 0.1, 0.1)}
    >>> Choice((2, 4, 6), **tried, sparsity=(0.0, 0.3, 0.3), stability=(1.0, 1.0, 1.0)).recommended
    4
    """

    n_components: tuple[int, ...]
    relative_error: tuple[float, ...]
    svd_floor: tuple[float, ...]
    sparsity: tuple[float, ...]
    stability: tuple[float, ...]
    top1_agreement: tuple[float, ...] | None = None
    logit_r2: tuple[float, ...] | None = None

    @property
    def recommended(self) -> int:
        """The knee of the error among numbers that are stable (0.8 or more; else among all).

        The knee is where the error has fallen furthest below the straight line between the first
        and the last number (Satopaa et al., "Finding a kneedle in a haystack", 2011). It is advice:
        look at the plot.
        """
        counts, error = np.array(self.n_components, float), np.array(self.relative_error)
        if len(counts) < 3:
            return self.n_components[int(error.argmin())]
        x = (counts - counts[0]) / (counts[-1] - counts[0])
        drop = (error[0] - error) / max(error[0] - error[-1], 1e-12)
        gain = drop - x
        stable = np.array(self.stability) >= STABLE
        if stable.any():
            gain[~stable] = -np.inf
        return self.n_components[int(gain.argmax())]

    def plot(self, ax: Any) -> Any:
        """Draw all measures against the number of groups on matplotlib axes, and return them.

        In a notebook: ``choice.plot(plt.gca())``.
        """
        lines = {
            "relative error": (self.relative_error, "#d55e00", "-"),
            "least possible error (SVD)": (self.svd_floor, "#d55e00", ":"),
            "stability over seeds": (self.stability, "#0072b2", "-"),
            "zero scores": (self.sparsity, "#999999", "-"),
            "same top class": (self.top1_agreement, "#009e73", "-"),
            "logit R²": (self.logit_r2, "#009e73", ":"),
        }
        for label, (values, colour, style) in lines.items():
            if values is not None:
                ax.plot(self.n_components, values, style, color=colour, label=label, marker=".")
        ax.axvline(self.recommended, color="#cccccc", zorder=0)
        ax.annotate(
            f"suggested: {self.recommended}",
            (self.recommended, 1.02),
            ha="center",
            va="bottom",
            xycoords=("data", "axes fraction"),
            annotation_clip=False,
        )
        ax.set(xlabel="number of groups", ylabel="share", ylim=(min(0, *ax.get_ylim()), 1.03))
        ax.set_xticks(self.n_components)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return ax


def choose_n_components(
    activations: Tensor,
    candidates: Iterable[int] = range(2, 13),
    *,
    head: Head | None = None,
    n_seeds: int = 3,
    progress: bool = True,
    **parameters: Any,
) -> Choice:
    """Fit every candidate and measure what it explains, how stable it is and what the head says.

    Args:
        activations: a layer's output, or a table ``(position, channel)``.
        candidates: numbers of groups to try, or one.
        head: activations -> ``(image, class)``; ``None`` leaves faithfulness out.
        n_seeds: fits with random starts whose components are compared; at least 2.
        progress: show a bar, where there is somebody to see it.
        **parameters: of ``ChannelReducer``, but for ``n_components``.

    Raises:
        InvalidArgument: no candidate, or one larger than the activations allow; NaN, negative
            values where the algorithm takes none, all zero. Before any fit.

    >>> import torch
    >>> acts = torch.rand(1, 6, 6, 6, generator=torch.Generator().manual_seed(0))
    >>> choose_n_components(acts, (2, 3, 4), n_seeds=2).n_components
    (2, 3, 4)
    """
    given = [candidates] if isinstance(candidates, int) else list(candidates)
    for count in given:
        checks.check_count("n_components", count)
    counts = tuple(sorted(set(given)))
    if not counts:
        raise InvalidArgument("there are no candidates: give numbers of groups, e.g. range(2, 13)")
    if n_seeds < 2:
        raise InvalidArgument(f"n_seeds={n_seeds}: stability compares at least 2 seeds")
    activations = torch.as_tensor(activations)
    table = to_rows(activations, parameters.get("layout", "NCHW")).table
    _refuse_early(ChannelReducer(counts[-1], **parameters), table)
    squares = singular_squares(table)
    floors = [float((squares[count:].sum() / squares.sum()).sqrt()) for count in counts]
    measured = [
        _measure(activations, count, head, n_seeds, parameters)
        for count in tqdm(counts, desc="groups", unit="fit", disable=None if progress else True)
    ]
    columns = [tuple(column) for column in zip(*measured, strict=True)]
    errors, zeros, stabilities = columns[:3]
    agreement, r2 = columns[3:] if head is not None else (None, None)
    return Choice(counts, errors, tuple(floors), zeros, stabilities, agreement, r2)


def _refuse_early(largest: ChannelReducer, table: Tensor) -> None:
    """What the fit of the largest number would refuse, said before the first fit."""
    algorithm, settings = largest._choose()
    checks.check_size(table, settings.n_components)
    checks.check_finite(table)
    if algorithm.non_negative:
        checks.check_non_negative(table, str(largest.algorithm))
    checks.check_not_silent(table)
    algorithm.check(table, settings.n_components)


def _measure(
    activations: Tensor, count: int, head: Head | None, n_seeds: int, parameters: dict[str, Any]
) -> list[float]:
    reducer = ChannelReducer(count, **parameters)
    scores = reducer.fit_transform(activations)
    made = reducer.inverse_transform(scores)
    fits = [
        ChannelReducer(count, **{**parameters, "init": "random", "random_state": seed})
        .fit(activations)
        .components_
        for seed in range(n_seeds)
    ]
    found = [relative_error(activations, made), sparsity(scores), stability(fits)]
    if head is not None:
        says = head_faithfulness(head, activations, made)
        found += [says.top1_agreement, says.logit_r2]
    return found
