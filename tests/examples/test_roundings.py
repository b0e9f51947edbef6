"""What fewer bits leave open, and moments in pieces, against formulas written as loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captum_blocks.examples.extremes import Extremes
from captum_blocks.examples.folding import reservoir
from captum_blocks.examples.likeness import alike, signatures
from captum_blocks.examples.moments import Moments
from captum_blocks.examples.roundings import half_above, half_below, in_eight_bits, steps
from tests.reference import examples as slow

floats = st.floats(-1e5, 1e5, width=32)


@given(st.lists(floats, min_size=1, max_size=20))
@settings(max_examples=15)
def test_halves_are_the_nearest_on_their_side(numbers: list[float]) -> None:
    array = np.array(numbers, np.float32)
    wanted = [slow.halves_around(float(each)) for each in array]
    assert half_below(array).tolist() == [low for low, _ in wanted]
    assert half_above(array).tolist() == [high for _, high in wanted]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 300.0])
@pytest.mark.parametrize("kind", ["normal", "relu", "flat"])
def test_eight_bits_are_never_further_off_than_they_say(scale: float, kind: str) -> None:
    maps = scale * torch.randn(3, 12, 25, generator=torch.Generator().manual_seed(1))
    maps = {"normal": maps, "relu": maps.relu(), "flat": maps[..., :1].expand(-1, -1, 25)}[kind]
    low, high = half_below(maps.amin(2).numpy()), half_above(maps.amax(2).numpy())
    made = in_eight_bits(maps.contiguous(), low, high)
    base, step = steps(low, high)
    told = base[..., None] + step[..., None] * made.levels.astype(np.float32)
    apart = told - maps.numpy()
    assert (np.abs(apart) <= step[..., None] * 0.501 + 1e-12).all()
    lengths = np.sqrt((apart.astype(np.float64) ** 2).sum(1))
    assert (made.left >= lengths * (1 - 1e-6)).all()
    assert (made.left <= lengths * 1.01 + 1e-7).all()
    if kind == "relu":  # what is silent is told exactly
        assert not apart[maps.numpy() == 0].any()


def test_what_halves_cannot_hold_is_left_open() -> None:
    maps = torch.tensor([[[1e5, 0.0]], [[2.0, 0.0]]])
    low, high = half_below(maps.amin(2).numpy()), half_above(maps.amax(2).numpy())
    assert high.tolist() == [[np.inf], [2.0]]
    left = in_eight_bits(maps, low, high).left
    assert np.isinf(left[0]).all()
    assert np.isfinite(left[1]).all()


@given(st.lists(st.lists(floats, min_size=1, max_size=6), min_size=1, max_size=6))
def test_moments_of_pieces_are_those_of_the_whole(pieces: list[list[float]]) -> None:
    numbers = [each for piece in pieces for each in piece]
    parts = [Moments.of(np.array(piece, np.float64)[:, None]) for piece in pieces]
    joined = Moments.joined(parts)
    assert joined.count == len(numbers)
    if np.var(numbers) > 1e-6 * max(1.0, np.square(numbers).mean()):
        found = (joined.mean, joined.variance, joined.skewness, joined.kurtosis)
        wanted = slow.moments(numbers)
        assert [float(each[0]) for each in found] == pytest.approx(wanted, rel=1e-6, abs=1e-6)


def test_moments_of_images_that_hold_as_many_numbers() -> None:
    numbers = np.random.default_rng(0).gamma(2, size=(5, 7, 3))
    sums = np.stack([Moments.of(each).sums for each in numbers])
    found = Moments.each(7, sums)
    wanted = Moments.of(numbers.reshape(-1, 3))
    assert found.count == wanted.count == 35
    np.testing.assert_allclose(found.sums, wanted.sums, rtol=1e-10)


@pytest.mark.parametrize("pieces", [1, 7, 400])
def test_extremes_are_those_of_sorting_with_the_smaller_row_first(pieces: int) -> None:
    table = np.random.default_rng(1).integers(0, 40, (600, 5)).astype(np.float32)
    kept, start = Extremes(9, 5), 0
    for piece in np.array_split(table, pieces):
        kept.see(piece, start)
        start += len(piece)
    for (values, rows), sign in ((kept.top(), 1), (kept.bottom(), -1)):
        for channel in range(5):
            order = sorted(range(600), key=lambda row: (-sign * table[row, channel], row))[:9]
            assert rows[:, channel].tolist() == order
            assert values[:, channel].tolist() == table[order, channel].tolist()


def test_a_reservoir_is_uniform_and_does_not_depend_on_what_else_is_there() -> None:
    images = np.arange(1000)
    counts = sum(np.isin(images, reservoir(images, 100, seed)) for seed in range(200))
    assert abs(counts.mean() - 20) < 1e-9
    assert counts.std() == pytest.approx(np.sqrt(200 * 0.1 * 0.9), rel=0.15)
    inside = reservoir(images, 100, 3)
    assert set(inside) - set(reservoir(images[:900], 100, 3)) == {r for r in inside if r >= 900}


def test_copies_are_alike_and_others_are_not() -> None:
    from tests.examples.conftest import photographs

    pictures = photographs(40, side=64)
    copies = [each.resize((50, 50)).resize((64, 64)) for each in pictures]
    x = torch.stack(
        [torch.from_numpy(np.array(p)).permute(2, 0, 1).float() / 64 - 2 for p in pictures + copies]
    )
    hashes, colours = signatures(x)
    found = np.array([alike(hashes, colours, one, np.arange(80)) for one in range(40)])
    assert found[:, :40].sum() == 40
    assert found[:, 40:].sum() == found[:, 40:].trace() == 40
    plain = torch.full((2, 3, 8, 8), 0.5) * torch.tensor([1.0, -1.0])[:, None, None, None]
    assert not alike(*signatures(plain), 0, np.array([1])).any()
