"""The mean of the last steps, against its definition, and what it is good for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from captum_blocks.optim import Channel, FeatureVisualizer
from captum_blocks.optim.averaging import RECENCY, Average
from captum_blocks.optim.images import Image
from tests.optim.conftest import seeded


def test_the_mean_is_the_weighted_sum_of_all_steps():
    """Step t enters with (p + 1) / (t + p), and what was before is scaled down by the rest."""
    steps = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    position = torch.zeros(3)
    mean = Average(Image([position], lambda: position + 0))
    weights = torch.zeros(20)
    for t, place in enumerate(steps, 1):
        position.copy_(place)
        mean.see()
        share = (RECENCY + 1) / (t + RECENCY)
        weights *= 1 - share
        weights[t - 1] = share
        torch.testing.assert_close(mean.pixels(), (weights[:, None] * steps).sum(0))
        torch.testing.assert_close(position, place)
    assert float(weights.sum()) == pytest.approx(1)


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 5, 2, 2), nn.ReLU(), nn.Conv2d(4, 6, 3, 1, 1))


def test_the_first_step_is_its_own_mean():
    made = [
        FeatureVisualizer(seeded(small), "2").visualize(Channel(1), size=16, n_steps=1, average=a)
        for a in (True, False)
    ]
    torch.testing.assert_close(made[0].images, made[1].images)


def test_a_mean_trembles_less_from_step_to_step():
    def unrest(average: bool) -> float:
        marks = range(40, 60)
        made = FeatureVisualizer(seeded(small), "2").visualize(
            Channel(1), size=32, n_steps=60, snapshots=marks, average=average, learning_rate=0.3
        )
        pairs = zip(marks, list(marks)[1:], strict=False)
        moved = [(made.snapshots[b] - made.snapshots[a]).abs().mean() for a, b in pairs]
        return float(torch.stack(moved).mean())

    assert unrest(True) < 0.5 * unrest(False)


def test_whether_a_picture_is_a_mean_is_part_of_its_key():
    visualizer = FeatureVisualizer(seeded(small), "2")
    keys = {visualizer.key(Channel(1), size=16, n_steps=2, average=a) for a in (True, False)}
    assert len(keys) == 2
