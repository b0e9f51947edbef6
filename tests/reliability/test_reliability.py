"""Measures of icons, against loops over pairs."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.reliability import (
    Along,
    PathSimilarity,
    Standing,
    Thresholds,
    path_similarity,
    ranked,
    standing,
    verdict,
)
from tests.reference import reliability as reference

SOURCES = [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
OTHERS = [3, *range(20, 34), 33]


def layers_of(seed: int, like: float = 1.0, n: int = 3) -> list[reference.Layer]:
    """Photographs with something in common, which an icon shares as much as is told."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    found = []
    for _ in range(n):
        common = noise(1, 24)
        icon, own = like * common + noise(2, 24), common + noise(len(SOURCES), 24)
        found.append((icon.relu(), own.relu(), noise(len(OTHERS), 24).relu()))
    return found


def along(layers: list[reference.Layer]) -> list[Along]:
    return [Along.of(f"layer {number}", *held) for number, held in enumerate(layers)]


def test_correlations_are_those_of_ranks_with_ties_shared() -> None:
    numbers = torch.tensor([[0.0, 0.0, 3.0, 1.0, 3.0], [5.0, 2.0, 2.0, 2.0, 9.0]])
    expected = spearmanr(*numbers.double().numpy()).statistic
    one, other = ranked(numbers)
    assert (one @ other).item() == pytest.approx(expected, abs=1e-12)
    assert ranked(torch.ones(1, 4)).isnan().all()


def test_ranks_are_whitened_by_how_photographs_of_one_unit_differ() -> None:
    icon, own, drawn = layers_of(4, 1.0, 1)[0]
    units = [number // 3 for number in range(len(OTHERS))]
    drawn = drawn + 2 * torch.randn(6, 24)[units]
    found = path_similarity(along([(icon, own, drawn)]), SOURCES, OTHERS, units)
    held = reference.tables((icon, own, drawn), units)
    expected = (held[0].mean(), held[1].mean())
    assert (found.icon.item(), found.apart.item()) == pytest.approx(expected, abs=1e-9)
    alone = path_similarity(along([(icon, own, drawn)]), SOURCES, OTHERS)
    assert abs(alone.icon.item() - found.icon.item()) > 0.01


@pytest.mark.parametrize("like", [0.0, 0.5, 2.0])
def test_path_similarity_is_that_of_loops(like: float) -> None:
    layers = layers_of(7, like)
    found = path_similarity(along(layers), SOURCES, OTHERS, resamples=200)
    for number, layer in enumerate(layers):
        expected = reference.similarities(layer, SOURCES, OTHERS)
        curves = (found.icon, found.apart, found.same, found.random)
        assert [each[number].item() for each in curves] == pytest.approx(expected, abs=1e-9)
    assert found.telling.all()
    weight = reference.weights(layers, SOURCES, OTHERS, found.telling.tolist())
    assert found.weight.tolist() == pytest.approx(weight, abs=1e-9)
    expected = reference.agreement(layers, SOURCES, OTHERS, weight)
    assert found.agreement == pytest.approx(expected, abs=1e-9)
    assert found.low <= found.agreement <= found.high
    assert found.photographs == 9


def test_interval_is_that_of_drawing_sources_again_with_all_their_pictures() -> None:
    layers = layers_of(3, 0.6)
    found = path_similarity(along(layers), SOURCES, OTHERS, resamples=4000)
    weight = reference.weights(layers, SOURCES, OTHERS, found.telling.tolist())
    low, high = reference.resampled(layers, (SOURCES, OTHERS), weight, 600, 0)
    assert found.low == pytest.approx(low, abs=0.04)
    assert found.high == pytest.approx(high, abs=0.04)


def test_layers_that_do_not_tell_are_left_out() -> None:
    telling, other = layers_of(1, 1.0, 1), layers_of(2, 1.0, 1)
    icon, _, drawn = other[0]
    alike = (icon, drawn[: len(SOURCES)].flip(0), drawn)
    found = path_similarity(along([*telling, alike]), SOURCES, OTHERS)
    assert found.telling.tolist() == [True, False]
    alone = path_similarity(along(telling), SOURCES, OTHERS)
    one, two = ((each.agreement, each.low, each.high) for each in (found, alone))
    assert one == pytest.approx(two, abs=1e-12)


def test_nothing_is_said_where_no_layer_tells() -> None:
    icon, _, drawn = layers_of(2, 1.0, 1)[0]
    found = path_similarity(along([(icon, drawn[:10], drawn)]), range(50, 60), OTHERS)
    assert all(math.isnan(each) for each in (found.agreement, found.low, found.high))
    assert "at no layer" in found.missing
    assert verdict(found, Standing(1.0, 1.0))[0] == "unknown"


def test_fewer_than_eight_sources_are_too_few() -> None:
    found = path_similarity(along(layers_of(1)), [0, 0, 1, 2, 3, 4, 5, 6, 6, 6], OTHERS)
    assert found.missing == (
        "7 different photographs excite the unit, and with fewer than 8 nothing is said of its icon"
    )
    assert math.isnan(found.agreement)
    assert found.photographs == 7


def test_equal_seeds_give_equal_intervals() -> None:
    one, two, other = (
        path_similarity(along(layers_of(5)), SOURCES, OTHERS, resamples=50, seed=seed)
        for seed in (0, 0, 1)
    )
    assert (one.low, one.high) == (two.low, two.high) != (other.low, other.high)


def test_photographs_without_sources_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="sources are given of 9 and 16"):
        path_similarity(along(layers_of(5)), SOURCES[1:], OTHERS)


def test_standing_counts_equal_ones_half() -> None:
    photographs = [0.0, 1.0, 1.0, 2.0, 5.0]
    copies = [1.0, 5.0, 0.5]
    found = standing(torch.tensor(1.0), torch.tensor(copies), torch.tensor(photographs))
    assert found.clean == pytest.approx(reference.percentile(1.0, photographs))
    middle = sorted(reference.percentile(copy, photographs) for copy in copies)[1]
    assert found.jittered == pytest.approx(middle)
    with pytest.raises(InvalidArgument, match="0 photographs"):
        standing(torch.tensor(1.0), torch.ones(1), torch.ones(0))


def path(agreement: float, low: float, high: float) -> PathSimilarity:
    one = torch.ones(1, dtype=torch.float64)
    return PathSimilarity(agreement, low, high, ("a",), *(one,) * 5, one.bool(), 9)


LINES = Thresholds(refuted=0.2, doubtful=0.4, percentile=0.5)


@pytest.mark.parametrize(
    ("found", "stands", "level"),
    [
        (path(0.9, 0.7, 1.0), Standing(1.0, 0.9), "no sign of forgery"),
        (path(0.4, 0.1, 0.5), Standing(1.0, 0.5), "no sign of forgery"),
        (path(0.39, 0.1, 0.5), Standing(1.0, 1.0), "doubtful"),
        (path(0.9, 0.7, 1.0), Standing(1.0, 0.49), "doubtful"),
        (path(0.1, 0.0, 0.2), Standing(1.0, 1.0), "doubtful"),
        (path(0.1, 0.0, 0.19), Standing(1.0, 1.0), "refuted"),
        (path(0.1, 0.0, 0.19), None, "refuted"),
        (path(0.9, 0.7, 1.0), None, "unknown"),
    ],
)
def test_levels_end_where_thresholds_say(
    found: PathSimilarity, stands: Standing | None, level: str
) -> None:
    assert verdict(found, stands, thresholds=LINES)[0] == level


def test_a_second_network_can_raise_doubt_and_not_take_it_away() -> None:
    good, bad, sure = path(0.9, 0.7, 1.0), path(0.1, 0.0, 0.1), Standing(1.0, 1.0)
    assert verdict(good, sure, bad, LINES)[0] == "doubtful"
    assert verdict(bad, sure, good, LINES)[0] == "refuted"
    unknown = PathSimilarity.unknown("its layers tell nothing")
    assert verdict(good, sure, unknown, LINES)[0] == "no sign of forgery"
