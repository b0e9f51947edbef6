"""Grids finer than a page holds: the reader points at some of their places, and is told so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import captum_blocks as cb
from captum_blocks.compose import Quality
from captum_blocks.compose.evaluation.frames import MOST_PLACES, thinned

FINE = cb.Hidden("0")


@pytest.fixture(scope="module")
def net() -> cb.Network:
    torch.manual_seed(0)
    body = (nn.Conv2d(3, 2, 3, 1, 1), nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(), nn.Linear(12, 3))
    return cb.Network(nn.Sequential(*body).eval(), cb.Preprocess((64, 96)))


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)


@pytest.mark.parametrize("grid", [(28, 28), (29, 28), (64, 96), (1, 9000), (9000, 1), (1, 1)])
def test_places_lie_evenly(grid: tuple[int, int]) -> None:
    picked = thinned(*grid)
    assert 0 < len(picked[0]) * len(picked[1]) <= max(MOST_PLACES, 1)
    for size, some in zip(grid, picked, strict=True):
        assert some[0] <= size - 1 - some[-1] + some.step
        assert len(some) >= size // some.step
    if grid[0] * grid[1] <= MOST_PLACES:
        assert picked == (range(grid[0]), range(grid[1]))


def test_a_fine_grid_is_pointed_at_in_steps(net: cb.Network, picture: np.ndarray) -> None:
    place = cb.hover("spatial")
    page = cb.Interface(
        (
            cb.InfoVis(cb.Activation(FINE.spatial), "overlay", sets=(place,)),
            cb.InfoVis(cb.Activation(FINE.neurons).filter(at=place), "bars"),
        )
    )
    quality = Quality(size=16, n_steps=1, budget=0)
    ex = cb.explain(page, net, picture, quality=quality, progress=False)
    _, bars = ex.scene.panels()
    (selection,) = ex.scene.selections
    assert selection.grid == (11, 16)
    assert len(selection.keys) == len(bars.frames) == 11 * 16
    acts = cb.evaluate(cb.Activation(FINE.neurons), net, net.read(picture)).data[0]
    for y, x in ((0, 0), (5, 14), (10, 15)):
        shown = {mark.label: mark.values[0] for mark in bars.frames[y * 16 + x]}
        expected = acts[:, 6 * y + 3, 6 * x + 3].tolist()
        assert list(shown.values()) == pytest.approx(expected, abs=1e-5)
    assert "showing 176 of 6,144 places to point at" in bars.left_out
