"""A visualizer that is used again looks at the network as it is now."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from captum_blocks.optim import Channel, FeatureVisualizer
from captum_blocks.optim._state import BLOCK, state_of
from tests.optim.conftest import Stem, seeded

RECIPE = {"size": 16, "n_steps": 2}


def test_trained_weights_are_noticed(visualizer, stem):
    before = visualizer.visualize(Channel(1), size=16, n_steps=2)
    key = visualizer.key(Channel(1))
    with torch.no_grad():
        stem.second.bias.add_(1)
    after = visualizer.visualize(Channel(1), size=16, n_steps=2)
    torch.testing.assert_close(after.scores, before.scores + 1, atol=1e-4, rtol=0)
    assert visualizer.key(Channel(1)) != key


def zeroed(net: nn.Module) -> None:
    net.second.weight.data.zero_()


def swapped(net: nn.Module) -> None:
    """The same numbers in another order: no sum over a tensor changes."""
    net.second.weight.data.copy_(net.second.weight.data.flip(0))


def exchanged(net: nn.Module) -> None:
    net.act = nn.Sigmoid()


def adjusted(net: nn.Module) -> None:
    net.second.padding = (0, 0)


@pytest.mark.filterwarnings("ignore:no gradient ever reached")
@pytest.mark.parametrize("change", [zeroed, swapped, exchanged, adjusted])
def test_whatever_is_changed_without_a_word_is_noticed(visualizer, stem, change):
    before, key = visualizer.visualize(Channel(1), **RECIPE), visualizer.key(Channel(1))
    change(stem)
    after = visualizer.visualize(Channel(1), **RECIPE)
    fresh = FeatureVisualizer(stem, "second")
    assert not torch.equal(after.images, before.images)
    assert torch.equal(after.images, fresh.visualize(Channel(1), **RECIPE).images)
    assert visualizer.key(Channel(1)) != key
    assert visualizer.key(Channel(1)) == fresh.key(Channel(1))


def test_another_preprocessing_is_noticed(visualizer, stem):
    visualizer.visualize(Channel(1), **RECIPE)
    visualizer.preprocess = lambda pixels: 2 * pixels
    fresh = FeatureVisualizer(stem, "second", visualizer.preprocess)
    images = [one.visualize(Channel(1), **RECIPE).images for one in (visualizer, fresh)]
    assert torch.equal(*images)


def test_an_unchanged_network_is_copied_once(visualizer):
    visualizer.visualize(Channel(1), **RECIPE)
    (trunk,) = visualizer._trunks.values()
    visualizer.visualize(Channel(2), **RECIPE)
    visualizer.key(Channel(3))
    assert list(visualizer._trunks.values()) == [trunk]


def test_networks_made_under_inference_mode():
    with torch.inference_mode():
        frozen = seeded(Stem)
    made = [
        FeatureVisualizer(net, "second").visualize(Channel(1), **RECIPE).images
        for net in (frozen, seeded(Stem))
    ]
    assert torch.equal(*made)


def test_a_key_asked_for_under_inference_mode_spoils_nothing(visualizer, stem):
    with torch.inference_mode():
        key = visualizer.key(Channel(1))
    made = visualizer.visualize(Channel(1), **RECIPE)
    fresh = FeatureVisualizer(stem, "second")
    assert torch.equal(made.images, fresh.visualize(Channel(1), **RECIPE).images)
    assert fresh.key(Channel(1)) == key


class Weights(nn.Module):
    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values, requires_grad=False)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64, torch.complex64])
@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 2 * BLOCK + 4])
def test_one_number_among_many_is_noticed(dtype, place):
    net = Weights(torch.ones(2 * BLOCK + 5).to(dtype))
    before = state_of(net)
    assert state_of(net) == before
    net.values.data[place] = 2
    assert state_of(net) != before


def test_numbers_that_are_none_are_still_the_same():
    net = Weights(torch.full((3,), torch.nan))
    assert state_of(net) == state_of(net)
