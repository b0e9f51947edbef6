"""Many questions to one look through a network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.attr import (
    LayerAblation,
    LayerToLayerAttribution,
    SteadyLayerAblation,
    SteadyLayerToLayer,
    ablation,
)


class Counted(nn.Module):
    """Counts how often it is run whole."""

    def __init__(self) -> None:
        super().__init__()
        self.early, self.late = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3)
        self.head, self.runs = nn.Linear(6, 5), 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return self.head(torch.relu(self.late(torch.relu(self.early(x)))).mean((2, 3)))


@pytest.fixture
def network() -> Counted:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Counted().eval()


def test_every_question_is_answered_as_without_memory(network: Counted) -> None:
    x = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    steady, plain = SteadyLayerAblation(network, "late"), LayerAblation(network, "late")
    reducer = cb.ChannelReducer(2, "semi_nmf").fit(network.late(network.early(x)).detach())
    others = x.flip(0)
    for atom, fill in (("channel", "zero"), ("spatial", "mean"), ("whole", "resample")):
        own = others if fill == "resample" else None
        for engine_x in (x, x[1:], x[:1]):
            there = own if own is None else others[: len(engine_x)]
            found = [each.without(engine_x, atom, fill, there) for each in (steady, plain)]
            for first, second in zip(*found, strict=True):
                torch.testing.assert_close(first, second, rtol=0, atol=0)
    tables = [each.subsets(x, reducer).scores for each in (steady, plain)]
    torch.testing.assert_close(*tables, rtol=0, atol=0)


def test_a_picture_is_looked_at_once(network: Counted) -> None:
    x = torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    engine = SteadyLayerAblation(network, "late")
    engine.without(x)
    runs = network.runs
    engine.without(x.clone(), "spatial")
    engine.together(x, [[0, 1]])
    assert network.runs == runs
    engine.without(x + 1)
    assert network.runs > runs


def test_one_copy_of_the_network_serves_all_pictures(network: Counted, monkeypatch) -> None:
    copies = []
    made = ablation.fast_copy
    monkeypatch.setattr(ablation, "fast_copy", lambda *a: (copies.append(1), made(*a))[1])
    x = torch.randn(5, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    steady, plain = SteadyLayerAblation(network, "late"), LayerAblation(network, "late")
    own, without = steady.without(x)
    assert len(copies) == 1
    for found, expected in zip((own, without), plain.without(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_an_explanation_looks_at_a_layer_once(network: Counted, monkeypatch) -> None:
    looks = []
    look = LayerAblation._look
    monkeypatch.setattr(
        LayerAblation, "_look", lambda self, *a: (looks.append(self.layer_name), look(self, *a))[1]
    )
    groups = cb.Hidden("late").groups(2, algorithm="semi_nmf")
    shown = cb.InfoVis(cb.Attribution(groups, cb.Out(0, 1), method="ShapleyValues")) & cb.InfoVis(
        cb.Ablation(cb.Hidden("late").channels, cb.Out(0)).filter(strongest=2)
    )
    cb.explain(shown, network, torch.rand(1, 3, 9, 9), progress=False)
    assert looks == ["late"]


def test_attributions_between_layers_of_one_run(network: Counted) -> None:
    """Forwards and backwards, in any order, also of other pictures in between."""
    x = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    reducer = cb.ChannelReducer(2, "semi_nmf").fit(network.late(network.early(x)).detach())
    steady = SteadyLayerToLayer(network, "early", "late")
    for pictures in (x, x, x[:1], x):
        for atoms in (("channel", "whole"), (reducer, "channel"), ("spatial", "spatial")):
            plain = LayerToLayerAttribution(network, "early", "late")
            found = [
                each.attribute(pictures, *atoms, return_remainder=True) for each in (steady, plain)
            ]
            torch.testing.assert_close(*found, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_pictures_are_traced_once(network: Counted) -> None:
    x = torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    engine, plain = (
        kind(network, "early", "late") for kind in (SteadyLayerToLayer, LayerToLayerAttribution)
    )
    engine.attribute(x, "channel", "channel")
    runs = []
    for each in (engine, plain):
        before = network.runs
        each.attribute(x.clone(), "whole", "channel")
        runs.append(network.runs - before)
    assert runs[0] == runs[1] - 1
