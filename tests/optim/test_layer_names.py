"""Modules called "output" or "input": a module always means itself, a word has one meaning."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from captum_blocks.errors import InvalidArgument, LayerNotFound
from captum_blocks.optim import Channel, ClassLogit, FeatureVisualizer, TotalVariation, objective
from captum_blocks.optim.objectives import Seen
from tests.optim.conftest import Stem, seeded

RECIPE = {"size": 16, "n_steps": 2}


class Named(nn.Module):
    """In its middle one called output, at its front one called input."""

    def __init__(self) -> None:
        super().__init__()
        self.input, self.output = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.output(self.input(x)).mean((2, 3)))


@pytest.fixture
def named() -> nn.Module:
    return seeded(Named)


@pytest.mark.parametrize("layer", ["input", "output"])
@pytest.mark.parametrize("written", [False, True])
def test_a_module_is_that_module(named, layer, written):
    given = f".{layer}" if written else getattr(named, layer)
    visualizer = FeatureVisualizer(named, given)
    one = 2 * Channel(3) - 0.1 * TotalVariation() + ClassLogit(4)
    made = visualizer.visualize([Channel(3), one], **RECIPE)
    with torch.no_grad():
        maps = named.input(made.images)
        logits = named.head(named.output(maps).mean((2, 3)))
        maps = maps if layer == "input" else named.output(maps)
    means = maps[:, 3].mean((1, 2))
    torch.testing.assert_close(made.scores[0], means[0])
    rough = TotalVariation().score(Seen({}, made.images, "none"))
    torch.testing.assert_close(made.scores[1], 2 * means[1] - 0.1 * rough[1] + logits[1, 4])
    with pytest.raises(InvalidArgument, match=f"of layer '.{layer}'"):
        visualizer.visualize(Channel(6), **RECIPE)


@pytest.mark.parametrize("given", [lambda net: net, lambda net: "output"])
def test_the_network_itself_is_what_it_returns(stem, given):
    made = FeatureVisualizer(stem, given(stem)).visualize(Channel(2), **RECIPE)
    torch.testing.assert_close(made.scores[0], stem(made.images)[0, 2].detach())


def test_objectives_may_write_the_module(named):
    visualizer = FeatureVisualizer(named, named)
    blue = objective(lambda pixels: pixels[:, 2].mean((1, 2)), name="blue", layer="input")
    made = visualizer.visualize(Channel(1) + Channel(5, ".output") + blue, **RECIPE)
    with torch.no_grad():
        maps = named.output(named.input(made.images))
    expected = named.head(maps.mean((2, 3)))[0, 1] + maps[0, 5].mean() + made.images[0, 2].mean()
    torch.testing.assert_close(made.scores[0], expected.detach())


OUTPUT = (
    "layer 'output' is both what Named returns and a module of it; write '.output' for the module, "
    "or give the Named itself as the layer for what it returns"
)
INPUT = (
    "layer 'input' is both the pixels that Named is given and a module of it; "
    "write '.input' for the module"
)


@pytest.mark.parametrize(("layer", "message"), [("output", OUTPUT), ("input", INPUT)])
def test_a_word_with_two_meanings_is_refused(named, layer, message):
    with pytest.raises(InvalidArgument, match=f"^{re.escape(message)}$"):
        FeatureVisualizer(named, layer)
    with pytest.raises(InvalidArgument, match=f"^{re.escape(message)}$"):
        FeatureVisualizer(named, "head").visualize(2 * Channel(0, layer) + Channel(0), **RECIPE)


def test_other_networks_have_no_such_modules():
    stem = seeded(Stem)
    assert FeatureVisualizer(stem, ".second").layer == "second"
    with pytest.raises(LayerNotFound, match=r"^no layer 'input' in Stem"):
        FeatureVisualizer(stem, "input")
    with pytest.raises(LayerNotFound, match=r"^no layer 'output' in Stem"):
        FeatureVisualizer(stem, ".output")
