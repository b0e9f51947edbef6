"""How forecasts are made and judged, on numbers that can be checked by hand."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import captum_blocks as cb
from captum_blocks.attr import RegionEdit, regions_of_maps
from tests.benchmarks import forecasts, photographs, plain, removal_lists
from tests.benchmarks.forecasts import Logistic


@pytest.fixture
def net():
    torch.manual_seed(0)
    body = (nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(8 * 16 * 16, 5)).eval()


@pytest.fixture
def x():
    return torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_the_expected_margin_is_to_the_best_rival_that_is_left():
    scores = torch.tensor([5.0, 4.0, 3.0])
    effects = torch.tensor([[2.0, 1.0], [3.0, -1.0], [0.0, 1.0]])
    assert forecasts.expected_margin(scores, effects, []) == (1.0, 1)
    assert forecasts.expected_margin(scores, effects, [0]) == (0.0, 2)
    assert forecasts.expected_margin(scores, effects, [0, 1]) == (0.0, 1)
    assert forecasts.expected_margin(scores, effects, [1]) == (-1.0, 1)


def test_margins_without_end_are_certain():
    assert forecasts.flip(-1e9, 1.0) == 1.0
    assert forecasts.flip(1e9, 1.0) < 1e-200


def test_the_fitted_scale_is_the_one_that_flips_were_drawn_with():
    margins = np.random.default_rng(0).normal(size=20_000) * 2
    drawn = np.random.default_rng(1).random(len(margins))
    flips = [d < forecasts.flip(m, 0.7) for m, d in zip(margins, drawn, strict=True)]
    assert forecasts.fitted_scale(list(margins), flips) == pytest.approx(0.7, rel=0.05)


def test_the_fitted_logistic_is_the_one_that_flips_were_drawn_with():
    numbers = np.random.default_rng(0).normal(size=(20_000, 2))
    true = Logistic((1.5, -0.5), 0.3)
    drawn = np.random.default_rng(1).random(len(numbers))
    flips = [d < true(n) for n, d in zip(numbers, drawn, strict=True)]
    found = forecasts.fitted_logistic(numbers.tolist(), flips)
    assert (*found.weights, found.intercept) == pytest.approx((1.5, -0.5, 0.3), abs=0.06)


def test_a_logistic_of_what_never_happened_says_so():
    assert forecasts.fitted_logistic([[1.0], [2.0]], [False, False])([5.0]) < 1e-4


def test_forecasts_are_judged_as_by_hand():
    found = forecasts.judge([0.9, 0.6, 0.2, 0.4], [True, False, False, True], list("abcd"))
    assert (found.hits, found.precision, found.recall) == (0.5, 0.5, 0.5)
    assert found.brier == pytest.approx((0.01 + 0.36 + 0.04 + 0.36) / 4)
    never = forecasts.judge([0.1, 0.1], [False, False], ["a", "b"])
    assert math.isnan(never.precision)
    assert math.isnan(never.recall)
    assert never.hits == 1.0
    assert "-" in forecasts.line("nobody", never)


def test_calibration_has_every_forecast_in_one_bin():
    said = np.array([0.0, 0.19, 0.2, 0.5, 0.99, 1.0])
    found = forecasts.calibration(said, np.array([0.0, 1.0, 0.0, 1.0, 1.0, 1.0]))
    assert [n for n, *_ in found] == [2, 1, 1, 0, 2]
    assert found[0][1:] == pytest.approx((0.095, 0.5))
    assert math.isnan(found[3][1])


def test_the_interval_draws_photographs_and_not_forecasts():
    rng = np.random.default_rng(0)
    levels = rng.random(60)
    sources = [str(i) for i in range(60) for _ in range(20)]
    alike = forecasts.interval(np.repeat(levels, 20), sources)
    apart = forecasts.interval(levels, [str(i) for i in range(60)])
    assert alike == pytest.approx(apart)
    error = 1.96 * levels.std() / math.sqrt(60)
    assert alike[1] - alike[0] == pytest.approx(2 * error, rel=0.15)
    single = forecasts.interval(np.repeat(levels, 20), [str(i) for i in range(1200)])
    assert single[1] - single[0] < (alike[1] - alike[0]) / 3


def test_plain_hooks_agree_with_the_table_of_subsets(net, x):
    layer = net[3]
    with torch.no_grad():
        groups = cb.ChannelReducer(3).fit(net[:4](x))
    table = cb.LayerAblation(net, "3").subsets(x, groups)
    sets = list(combinations(range(3), 2))
    found = plain.after_removals(net, layer, x, groups, sets)
    for row, gone in zip(found, sets, strict=True):
        there = [i not in gone for i in range(3)] + [True]
        (place,) = (table.present == torch.tensor(there)).all(1).nonzero()[0].tolist()
        torch.testing.assert_close(row, table.scores[0, 0, place], rtol=1e-4, atol=1e-5)


def test_plain_passes_agree_with_region_edits(net, x):
    with torch.no_grad():
        held = net[:4](x)
    groups = cb.ChannelReducer(3).fit(held)
    masks = regions_of_maps(torch.as_tensor(groups.transform(held)), (16, 16))
    _, edited = RegionEdit(net).edited(x, masks)
    found = plain.after_edits(net, net[3], x, groups, [[0], [1], [2], [0, 1]])
    torch.testing.assert_close(found[:3], edited[0], rtol=1e-4, atol=1e-4)
    _, both = RegionEdit(net).edited(x, masks[:, :2].amax(1, keepdim=True))
    torch.testing.assert_close(found[3:], both[0], rtol=1e-4, atol=1e-4)


def test_what_is_cut_out_stands_in_the_middle_of_grey():
    red = Image.new("RGBA", (100, 50), (255, 0, 0, 255))
    assert photographs.on_grey(red).size == (100, 50)
    red.putpixel((0, 0), (0, 0, 0, 0))
    found = photographs.on_grey(red)
    assert found.size == (120, 120)
    assert found.getpixel((60, 60)) == (255, 0, 0)
    assert found.getpixel((1, 1)) == found.getpixel((10, 35)) == (128, 128, 128)


def test_photographs_are_drawn_by_the_seed_and_drawings_left_out(tmp_path):
    for name in ("a/owl", "a/owl_mirror", "a/fox", "b/cow", "b/cartoon/cat", "c/tiny"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20) if "tiny" in name else (200, 200)).save(path)
    names = [name for _, name, _ in photographs.others(tmp_path, seed=3)]
    assert sorted(names) == ["a/fox", "a/owl", "a/owl_mirror", "b/cow"]
    assert {source for source, *_ in photographs.others(tmp_path)} == {"a/fox", "a/owl", "b/cow"}
    assert names == [name for _, name, _ in photographs.others(tmp_path, seed=3)]


def test_channels_set_to_zero_by_hooks_are_those_of_the_engine(net, x):
    found = removal_lists.by_hooks(net, net[3], x, [[i] for i in range(8)])
    _, without = cb.LayerAblation(net, "3").without(x)
    torch.testing.assert_close(found, without[0, 0], rtol=1e-4, atol=1e-5)


def test_random_sets_hold_no_listed_channel_and_none_twice():
    size = torch.rand(60, generator=torch.Generator().manual_seed(0))
    sets = removal_lists.as_active(size, [3, 5, 8], seed=1)
    assert len(sets) == removal_lists.RANDOM
    assert all(len(set(one)) == 3 and not {3, 5, 8} & set(one) for one in sets)
    order = size.argsort().tolist()
    apart = [abs(order.index(one[0]) - order.index(3)) for one in sets]
    assert max(apart) <= 2 * removal_lists.ALIKE
