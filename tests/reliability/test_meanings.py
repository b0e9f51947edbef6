"""How many things photographs show, against scikit-learn and loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.reliability import described, meanings
from captum_blocks.reliability.clusters import clusters, silhouettes
from tests.reference import meanings as reference


def clouds(sizes: list[int], apart: float, seed: int = 0, long: float = 1.0) -> Tensor:
    """Normal clouds of some sizes in 12 dimensions, the first of which is longer."""
    generator = torch.Generator().manual_seed(seed)
    middles = torch.eye(12)[1 : len(sizes) + 1] * apart
    spread = torch.ones(12)
    spread[0] = long
    made = [
        middle + spread * torch.randn(size, 12, generator=generator)
        for size, middle in zip(sizes, middles, strict=True)
    ]
    return torch.cat(made)


@pytest.mark.parametrize("sizes", [[24, 12], [12, 16, 20], [10, 11, 12, 13], [8, 8, 8, 8, 8]])
def test_clouds_are_counted_and_told_apart(sizes: list[int]) -> None:
    points = clouds(sizes, 14.0)
    found = meanings(points, range(len(points)))
    assert found.number == reference.number(points.numpy()) == len(sizes)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    assert adjusted_rand_score(truth, found.labels.numpy()) == 1
    assert found.labels.bincount().tolist() == sorted(sizes, reverse=True)
    assert found.certainty > 0.9
    assert found.resampled.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("long", [1.0, 6.0, 30.0])
def test_one_cloud_is_one_however_long(long: float) -> None:
    """Half of a long cloud is far from the other half: the silhouette alone would say two."""
    drawn = [clouds([40], 0.0, seed, long) for seed in range(10)]
    numbers = [meanings(points, range(40), resamples=0).number for points in drawn]
    assert numbers.count(1) >= 9
    assert reference.number(drawn[0].numpy()) == 1


@pytest.mark.parametrize(("long", "apart"), [(1.0, 9.0), (25.0, 4.0)])
def test_clusters_and_silhouettes_are_those_of_scikit_learn(long: float, apart: float) -> None:
    points = clouds([17, 13, 9], apart, 3, long).double()
    generator, there = torch.Generator().manual_seed(0), torch.ones(1, 39)
    for k in (2, 3, 4, 5):
        found = clusters(points[None], there, k, generator)
        labels = found.labels[0].numpy()
        assert found.sizes[0].tolist() == np.bincount(labels).tolist()
        value = silhouettes(points[None], there, found).item()
        assert value == pytest.approx(silhouette_score(points.numpy(), labels), abs=1e-5)
        best = KMeans(k, n_init=20, random_state=0).fit(points.numpy()).inertia_
        assert found.within.item() < best * (1.0001 if k == 3 and apart > 8 else 1.06)


def test_what_silhouettes_have_to_exceed_is_that_of_other_normal_clouds() -> None:
    points = clouds([39], 0.0, 3, 25.0)
    found = meanings(points, range(39), resamples=0)
    expected = reference.least(PCA(6).fit_transform(points.numpy()))
    assert found.least == pytest.approx(expected, abs=0.05)
    assert found.least > 0.55
    assert math.isnan(found.certainty)


def test_a_few_that_are_unlike_all_others_are_no_meaning() -> None:
    points = clouds([30, 2], 40.0)
    assert meanings(points, range(32), resamples=0).number == 1
    assert meanings(clouds([30, 3], 40.0), range(33), resamples=0).number == 2


def test_resamples_are_of_photographs_and_not_of_pictures() -> None:
    """Of two photographs that five pictures each are cut from, one resample in four lacks one."""
    points = torch.cat([clouds([18], 0.0), clouds([10], 0.0, 1) + 40])
    alone = meanings(points, range(28), resamples=300)
    cut = meanings(points, [*range(18), *[18] * 5, *[19] * 5], resamples=300)
    assert alone.resampled[1].item() == 1.0
    drawn = round(20 * 2 / 3)
    neither = math.comb(18, drawn) / math.comb(20, drawn)
    assert cut.resampled[0].item() == pytest.approx(neither, abs=0.05)
    assert cut.photographs == 20


def test_points_that_are_not_there_count_nowhere() -> None:
    points, generator = clouds([9, 7], 10.0), torch.Generator().manual_seed(0)
    more = torch.cat([points, torch.full((3, 12), 100.0)])
    there = torch.cat([torch.ones(16), torch.zeros(3)])[None]
    found = clusters(more[None], there, 2, generator)
    alone = clusters(points[None], torch.ones(1, 16), 2, generator)
    assert sorted(found.sizes[0].tolist()) == [7.0, 9.0]
    assert found.within.item() == pytest.approx(alone.within.item(), rel=1e-5)
    value = silhouettes(more[None], there, found).item()
    assert value == pytest.approx(
        silhouettes(points[None], torch.ones(1, 16), alone).item(), abs=1e-5
    )


def test_photographs_are_described_by_angles_that_count_by_depth() -> None:
    generator = torch.Generator().manual_seed(0)
    layers = [torch.rand(5, width, generator=generator) for width in (3, 8, 4)]
    expected = reference.described([each.numpy() for each in layers])
    assert np.allclose(described(layers).numpy(), expected, atol=1e-6)
    louder = [each * 7 for each in layers]
    assert torch.allclose(described(louder), described(layers), atol=1e-6)


def test_equal_photographs_are_one_thing_and_equal_seeds_say_the_same() -> None:
    assert meanings(torch.ones(12, 4), range(12)).number == 1
    points = clouds([15, 12], 3.0)
    once, again = (meanings(points, range(27), seed=4) for _ in range(2))
    assert torch.equal(once.resampled, again.resampled)
    assert torch.equal(once.labels, again.labels)


def test_of_few_photographs_nothing_is_said() -> None:
    found = meanings(torch.rand(30, 4), [0, 1, 2, 3, 4, 5] * 5)
    assert found.number is None
    assert found.missing.startswith("6 different photographs excite the unit")
    assert math.isnan(found.certainty)


@pytest.mark.parametrize(
    ("vectors", "sources"),
    [(torch.rand(9), 9), (torch.rand(9, 2), 8), (torch.full((9, 2), torch.nan), 9)],
)
def test_wrong_numbers_are_refused(vectors: Tensor, sources: int) -> None:
    with pytest.raises(InvalidArgument, match="finite numbers \\(photograph, feature\\)"):
        meanings(vectors, range(sources))


def test_layers_of_different_photographs_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="photographs are described by 2 layers"):
        described([torch.rand(3, 2), torch.rand(4, 2)])
    with pytest.raises(InvalidArgument, match="by 0 layers"):
        described([])
