"""Layers that end with a ReLU6: with a soft ceiling for units, its own for everything else."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from captum_blocks.optim import (
    L1,
    L2,
    Channel,
    ChannelInterpolation,
    ClassLogit,
    DeepDream,
    Direction,
    Directions,
    FeatureVisualizer,
    Group,
    Inversion,
    Neuron,
    NeuronDirection,
    TensorDirection,
    objective,
)
from tests.optim.conftest import seeded

VECTOR = (0.5, -1.0, 0.25, 2.0, 0.1)
TARGET = torch.rand(5, 4, 4, generator=torch.Generator().manual_seed(0))


class Ceiling(nn.Module):
    """Every unit far above the ceiling of its ReLU6; counts its passes."""

    def __init__(self, bias: float = 50.0) -> None:
        super().__init__()
        self.conv, self.act, self.passes = nn.Conv2d(3, 5, 3, 4, 1), nn.ReLU6(), 0
        nn.init.constant_(self.conv.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return self.act(self.conv(x))


LIFTING = [
    Channel(1),
    Neuron(1),
    Direction(VECTOR),
    NeuronDirection(VECTOR),
    Group(VECTOR),
    ClassLogit(1, "act"),
    DeepDream(),
    Directions([VECTOR]),
]
LEVEL = [
    objective(lambda maps: maps.mean((1, 2, 3)), name="mean"),
    Inversion(TARGET),
    TensorDirection(TARGET),
    L1("act"),
    L2("act"),
]


def first_scores(one, layer="act"):
    """What an objective was given at its first step, and for the same picture as it is."""
    recipe = {"size": 16, "n_steps": 1, "transforms": "none", "learning_rate": 0.0}
    visualizer = FeatureVisualizer(seeded(Ceiling), layer)
    made = visualizer.visualize(one, optimizer="sgd", **recipe)
    return made.history[0], made.scores


@pytest.mark.parametrize("one", LIFTING, ids=lambda one: one.label)
def test_units_at_their_ceiling_are_seen_above_it(one):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a gradient arrives
        on_the_way, clean = first_scores(one)
    assert (on_the_way.abs() > 2 * clean.abs()).all()


def test_units_between_two_channels_are_seen_above_their_ceiling():
    on_the_way, clean = first_scores(ChannelInterpolation(0, 1, n=3))
    assert (on_the_way > 15).all()
    torch.testing.assert_close(clean, torch.full((3,), 6.0))


@pytest.mark.filterwarnings("ignore:no gradient ever reached")
@pytest.mark.parametrize("one", LEVEL, ids=lambda one: one.label)
def test_whatever_measures_activations_sees_them_as_they_are(one):
    on_the_way, clean = first_scores(one)
    torch.testing.assert_close(on_the_way, clean)


def test_each_term_sees_its_own_kind_of_maps_in_one_pass():
    seen = []
    peek = objective(lambda maps: seen.append(maps.max()) or maps.mean((1, 2, 3)), name="peek")
    visualizer = FeatureVisualizer(seeded(Ceiling), "act")
    made = visualizer.visualize(Channel(1) + 0.5 * peek, size=16, n_steps=4, transforms="none")
    assert len(seen) == 5
    assert max(seen) == 6
    assert (made.history[:, 0] > 15).all()
    (trunk,) = visualizer._trunks.values()
    before = trunk._network.passes
    visualizer.visualize(Channel(1) + 0.5 * peek, size=16, n_steps=4, transforms="none")
    shapes_memory_and_scores = 3
    assert trunk._network.passes - before == 4 + shapes_memory_and_scores


def test_what_the_ceiling_blocks_is_woken():
    net = seeded(lambda: Ceiling(6.6))
    made = FeatureVisualizer(net, "act").visualize(
        Inversion(5 + 0 * TARGET), size=16, n_steps=60, transforms="none"
    )
    assert made.scores[0] > made.history[0, 0] + 1e-3
