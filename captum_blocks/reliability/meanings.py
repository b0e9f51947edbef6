"""How many things a unit stands for: clusters of the photographs that excite it.

A photograph is described by what the layers before the unit do where it stands. The number of
clusters is that of the largest mean silhouette (Rousseeuw 1987), if that is large enough to be
believed: above .5, below which Kaufman and Rousseeuw ("Finding Groups in Data", 1990) call
structure weak and perhaps artificial, and above 95 % of those of a single normal cloud that is as
long and as wide, since any long cloud can be cut in two (as in SigClust, Liu et al. 2008). Else
there is one.
Random directions of a layer look meaningful, too (Bolukbasi et al., "An Interpretability Illusion
for BERT", 2021): a number says something beside theirs alone. Of 200 planted units of small trained
networks, half of them with two detectors, "two" is said with precision .94 and recall .94
(``python -m tests.benchmarks.meanings``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.reliability.clusters import Clusters, clusters, silhouettes
from captum_blocks.reliability.paths import FEWEST, too_few

# Numbers of meanings that are tried, principal components that photographs are told apart by, and
# photographs that a meaning has at least: fewer are exceptions.
MOST, COMPONENTS, LEAST = 5, 6, 3
WEAK, COVERED = 0.5, 0.95
# Resamples are of fewer photographs, each once: one drawn twice would be a cluster of its own.
RESAMPLES, SHARE, CLOUDS = 100, 2 / 3, 40


@dataclass(frozen=True, eq=False)
class Meanings:
    """How many clusters some photographs are.

    Attributes:
        number: from 1 to 5; None where nothing can be said.
        labels: (photograph,) the cluster of each, from 0, which is the largest.
        silhouettes: (4,) the mean silhouette of 2 to 5 clusters, from -1 to 1; NaN where one of
            them has fewer than three photographs.
        least: what the largest of them has to exceed, for more than one cluster.
        resampled: (5,) the share of resamples of source photographs that gives each number.
        photographs: how many there are, from different sources.
        missing: why nothing can be said, in words; empty where it can.

    >>> Meanings.unknown("3 photographs").missing
    '3 photographs'
    """

    number: int | None
    labels: Tensor
    silhouettes: Tensor
    least: float
    resampled: Tensor
    photographs: int
    missing: str = ""

    @staticmethod
    def unknown(why: str, photographs: int = 0) -> Meanings:
        """Nothing can be said, and why."""
        none = torch.zeros(0, dtype=torch.float64)
        return Meanings(None, none.long(), none, float("nan"), none, photographs, why)

    @property
    def certainty(self) -> float:
        """The share of resamples that gives the same number; NaN without any."""
        if self.number is None or not len(self.resampled):
            return float("nan")
        return float(self.resampled[self.number - 1])


def described(layers: Sequence[Tensor]) -> Tensor:
    """Photographs as vectors, by what the layers before a unit do where it stands.

    The activations of each layer at length 1, so that angles count, times the root of how deep it
    is, from 0 at the picture to 1 at the last: what is early tells of colours that mean nothing.

    Args:
        layers: (photograph, feature) of each, in order.

    Returns:
        (photograph, feature of all), float64.

    Raises:
        InvalidArgument: no layer, or numbers of photographs that do not match.

    >>> described([torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]])]).square().tolist()[0][2:]
    [0.0, 1.0]
    """
    counts = {len(each) for each in layers}
    if len(counts) != 1:
        raise InvalidArgument(
            f"photographs are described by {len(layers)} layers, of {sorted(counts)} photographs: "
            "give at least one layer, and the same photographs in all"
        )
    parts = [
        torch.nn.functional.normalize(each.double(), dim=1) * (number / len(layers)) ** 0.5
        for number, each in enumerate(layers, 1)
    ]
    return torch.cat(parts, 1)


def meanings(
    vectors: Tensor, sources: Sequence[int], *, resamples: int = RESAMPLES, seed: int = 0
) -> Meanings:
    """The number of clusters of photographs, and how certain it is.

    By k-means on six principal components at most. Of each photograph a is the mean distance to
    the others of its cluster and b that to those of the nearest other one; its silhouette is
    (b - a) / max(a, b).

    Args:
        vectors: (photograph, feature), see ``described``.
        sources: (photograph,) a number that is the same for pictures cut from one photograph.
        resamples: how often two thirds of the sources are drawn.
        seed: of what is drawn.

    Returns:
        What is found; ``missing`` says that there are fewer than eight sources.

    Raises:
        InvalidArgument: vectors that are not finite, or numbers that do not match.

    >>> near, far = torch.rand(9, 3), torch.rand(6, 3) + 5
    >>> found = meanings(torch.cat([near, far]), range(15))
    >>> found.number, found.labels.bincount().tolist()
    (2, [9, 6])
    """
    held = torch.as_tensor(list(sources), dtype=torch.long)
    if vectors.ndim != 2 or len(vectors) != len(held) or not vectors.isfinite().all():
        raise InvalidArgument(
            f"vectors of shape {tuple(vectors.shape)} and sources of {len(held)}: photographs are "
            "given as finite numbers (photograph, feature), each with its source"
        )
    count = len(held.unique())
    if count < FEWEST:
        return Meanings.unknown(too_few(count), count)
    generator = torch.Generator().manual_seed(seed)
    points = _components(vectors.double())
    once = _Sorted.of(points[None], torch.ones(1, len(points)), generator)
    least = _least(points, len(points), generator)
    (number,) = once.numbers(least)
    resampled = torch.zeros(0, dtype=torch.float64)
    if resamples:
        drawn = _drawn(held, resamples, generator)
        again = _Sorted.of(points.expand(resamples, -1, -1), drawn, generator)
        less = _least(points, round(float(drawn.sum(1).mean())), generator)
        resampled = torch.bincount(torch.tensor(again.numbers(less)) - 1, minlength=MOST).double()
        resampled /= resamples
    labels = torch.zeros(len(points), dtype=torch.long)
    if number > 1:
        labels = _largest_first(once.found[number - 2].labels[0])
    return Meanings(number, labels, once.silhouettes[0], least, resampled, count)


@dataclass(frozen=True, eq=False)
class _Sorted:
    """Clusters of clouds of points, 2 to 5 each.

    Attributes:
        found: for each number.
        silhouettes: (cloud, number) NaN where a cluster is too small to be one.
    """

    found: tuple[Clusters, ...]
    silhouettes: Tensor

    @staticmethod
    def of(points: Tensor, counts: Tensor, generator: torch.Generator) -> _Sorted:
        """Of (cloud, point, component), and (cloud, point) 1 for those that are there."""
        counts = counts.to(points)
        found = tuple(clusters(points, counts, k, generator) for k in range(2, MOST + 1))
        values = [silhouettes(points, counts, each) for each in found]
        small = [(each.sizes < LEAST).any(1) for each in found]
        rows = [each.where(~few, torch.nan) for each, few in zip(values, small, strict=True)]
        return _Sorted(found, torch.stack(rows, 1))

    @property
    def largest(self) -> Tensor:
        """(cloud,) the largest silhouette, -1 where there is none."""
        return self.silhouettes.nan_to_num(-1.0).amax(1)

    def numbers(self, least: float) -> list[int]:
        """The number of clusters of each cloud: one unless the silhouette is larger."""
        best = self.silhouettes.nan_to_num(-1.0).argmax(1) + 2
        found: list[int] = best.where(self.largest > least, 1).tolist()
        return found


def _components(vectors: Tensor) -> Tensor:
    """(photograph, component)."""
    centred = vectors - vectors.mean(0)
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    found: Tensor = (left * values)[:, :COMPONENTS]
    return found


def _least(points: Tensor, count: int, generator: torch.Generator) -> float:
    """What a silhouette has to exceed: ``WEAK``, and what one cloud of that many points has."""
    shape = (CLOUDS, count, points.shape[1])
    drawn = torch.randn(shape, generator=generator, dtype=points.dtype) * points.std(0)
    of_one = _Sorted.of(drawn, torch.ones(shape[:2]), generator).largest
    return max(WEAK, float(of_one.quantile(COVERED)))


def _drawn(sources: Tensor, resamples: int, generator: torch.Generator) -> Tensor:
    """(resample, photograph) 1 for those whose source is drawn."""
    names, places = sources.unique(return_inverse=True)
    orders = torch.rand(resamples, len(names), generator=generator).argsort(1).argsort(1)
    return (orders < round(SHARE * len(names))).double()[:, places]


def _largest_first(labels: Tensor) -> Tensor:
    order = torch.bincount(labels).argsort(descending=True, stable=True)
    return order.argsort()[labels]
