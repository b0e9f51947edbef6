"""k-means of many clouds of points at once, and how well their clusters are apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BEGINNINGS, ROUNDS = 12, 15
# Points that are all the same are drawn from, too.
SMALLEST = 1e-12


@dataclass(frozen=True, eq=False)
class Clusters:
    """Clusters of some clouds.

    Attributes:
        labels: (cloud, point) of points that are not there, too, which count nowhere.
        sizes: (cloud, cluster).
        within: (cloud,) the sum of squared distances to the means.
    """

    labels: Tensor
    sizes: Tensor
    within: Tensor


def clusters(points: Tensor, counts: Tensor, k: int, generator: torch.Generator) -> Clusters:
    """k-means from several beginnings, drawn far apart (k-means++, Arthur & Vassilvitskii 2007).

    Args:
        points: (cloud, point, component).
        counts: (cloud, point) 1 for points that are there, 0 for others.
        k: how many clusters.
        generator: of the beginnings.

    >>> points = torch.tensor([[[0.0], [1.0], [8.0], [9.0], [500.0]]])
    >>> found = clusters(points, torch.tensor([[1.0] * 4 + [0.0]]), 2, torch.Generator())
    >>> found.within.item(), found.sizes.tolist()
    (1.0, [[2.0, 2.0]])
    """
    many, held = (each.repeat_interleave(BEGINNINGS, 0) for each in (points, counts))
    means = _beginning(many, held, k, generator)
    for _ in range(ROUNDS):
        inside = _inside(many, held, means)
        sizes = inside.sum(1)[..., None]
        means = ((inside.mT @ many) / sizes.clamp_min(1)).where(sizes > 0, means)
    within = (torch.cdist(many, means).square().amin(2) * held).sum(1)
    best = within.reshape(-1, BEGINNINGS).argmin(1) + torch.arange(len(points)) * BEGINNINGS
    sizes = _inside(many[best], held[best], means[best]).sum(1)
    return Clusters(torch.cdist(many[best], means[best]).argmin(2), sizes, within[best])


def silhouettes(points: Tensor, counts: Tensor, found: Clusters) -> Tensor:
    """The mean silhouette of each cloud (Rousseeuw 1987), 0 of points that are alone.

    Of a point a is the mean distance to the others of its cluster, and b that to those of the
    nearest other cluster: (b - a) / max(a, b).

    Args:
        points: (cloud, point, component).
        counts: (cloud, point) 1 for points that are there, 0 for others.
        found: their clusters.

    Returns:
        (cloud,).

    >>> points = torch.tensor([[[0.0], [1.0], [8.0], [9.0]]])
    >>> found = clusters(points, torch.ones(1, 4), 2, torch.Generator())
    >>> round(silhouettes(points, torch.ones(1, 4), found).item(), 3)  # 1 - (1/8.5 + 1/7.5) / 2
    0.875
    """
    own = torch.nn.functional.one_hot(found.labels, found.sizes.shape[1]).to(points)
    sums = torch.cdist(points, points) @ (own * counts[..., None])
    sizes = found.sizes[:, None]
    others = ((own * sizes).sum(2) - 1).clamp_min(1)
    a = (sums * own).sum(2) / others
    elsewhere = (sums / sizes.clamp_min(1)).masked_fill(own.bool() | (sizes == 0), torch.inf)
    b = elsewhere.amin(2)
    alone = (own * sizes).sum(2) < 2
    each = ((b - a) / torch.maximum(a, b).clamp_min(SMALLEST)).masked_fill(alone | b.isinf(), 0.0)
    found_mean: Tensor = (each * counts).sum(1) / counts.sum(1)
    return found_mean


def _beginning(points: Tensor, counts: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """(cloud, cluster, component) points, each drawn by how far it is from those before it."""
    rows = torch.arange(len(points))
    means = points[rows, torch.multinomial(counts, 1, generator=generator)[:, 0]][:, None]
    for _ in range(k - 1):
        far = (torch.cdist(points, means).square().amin(2) + SMALLEST) * counts
        drawn = torch.multinomial(far, 1, generator=generator)[:, 0]
        means = torch.cat([means, points[rows, drawn][:, None]], 1)
    return means


def _inside(points: Tensor, counts: Tensor, means: Tensor) -> Tensor:
    """(cloud, point, cluster) 1 for points that are there, in the nearest cluster."""
    nearest = torch.cdist(points, means).argmin(2)
    return torch.nn.functional.one_hot(nearest, means.shape[1]).to(points) * counts[..., None]
