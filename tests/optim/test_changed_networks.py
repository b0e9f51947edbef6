"""A visualizer that is used again looks at the network as it is now."""

from __future__ import annotations

import copy
from types import MethodType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.compose import Progress, Quality
from captum_blocks.compose.pictures.icons import OptimizedIcon
from captum_blocks.compose.pictures.plan import Plan
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import channel_subject
from captum_blocks.optim import Channel, FeatureVisualizer
from captum_blocks.optim._behaviour import settings_of
from captum_blocks.optim._state import BLOCK, state_of
from captum_blocks.optim.recipe import Recipe
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


class Louder:
    """A hook that is an object with a setting of its own."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return output * self.factor


class Adjustable(Stem):
    """Its forward pass depends on an attribute, on a function of its own and on a table outside."""

    def __init__(self) -> None:
        super().__init__()
        self.slope, self.shape, self.table = 1.0, torch.tanh, TABLE

    def forward(self, x: Tensor) -> Tensor:
        x = self.shape(self.slope * self.conv(x)) * self.table["gain"]
        return self.head(self.second(self.act(self.norm(x))).flatten(1))


TABLE = {"gain": 1.0}


def other_attribute(net: Adjustable) -> None:
    net.slope = 3.0


def other_function(net: Adjustable) -> None:
    net.shape = torch.sigmoid


def other_forward(net: Adjustable) -> None:
    def forward(self: Adjustable, x: Tensor) -> Tensor:
        return self.head(self.second(self.act(self.norm(self.conv(x) - 0.5))).flatten(1))

    net.forward = MethodType(forward, net)


def other_hook(net: Adjustable) -> None:
    net.conv.register_forward_hook(Louder(2.0))


def other_table(net: Adjustable) -> None:
    """Nothing of the network itself has changed, only what it looks up."""
    net.table["gain"] = 2.0


@pytest.mark.filterwarnings("ignore:no gradient ever reached")
@pytest.mark.parametrize(
    "change", [other_attribute, other_function, other_forward, other_hook, other_table]
)
def test_another_behaviour_of_equal_weights_is_noticed(change, monkeypatch):
    monkeypatch.setitem(TABLE, "gain", 1.0)
    net = seeded(Adjustable)
    kept = FeatureVisualizer(net, "second")
    before, key = kept.visualize(Channel(1), **RECIPE), kept.key(Channel(1), **RECIPE)
    change(net)
    after, fresh = kept.visualize(Channel(1), **RECIPE), FeatureVisualizer(net, "second")
    assert kept.key(Channel(1), **RECIPE) == fresh.key(Channel(1), **RECIPE) != key
    assert torch.equal(after.images, fresh.visualize(Channel(1), **RECIPE).images)
    assert not torch.equal(after.scores, before.scores)


LOOKED_UP = 1.0


class LooksUp(Stem):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * LOOKED_UP)


def test_a_number_outside_the_network_is_noticed_by_what_the_layer_answers(monkeypatch):
    """A global is read by no look at the code: the key knows it from the outputs."""
    net = seeded(LooksUp)
    kept = FeatureVisualizer(net, "second")
    kept.visualize(Channel(1), **RECIPE)
    keys = kept.keys([Channel(0), Channel(1)], **RECIPE)
    monkeypatch.setattr(__name__ + ".LOOKED_UP", -1.0)
    after = kept.visualize(Channel(1), **RECIPE)
    fresh = FeatureVisualizer(net, "second")
    assert torch.equal(after.images, fresh.visualize(Channel(1), **RECIPE).images)
    assert set(keys).isdisjoint(kept.keys([Channel(0), Channel(1)], **RECIPE))


def test_a_setting_of_a_hook_is_noticed():
    net, hook = seeded(Stem), Louder(2.0)
    net.conv.register_forward_hook(hook)
    kept = FeatureVisualizer(net, "second")
    key = kept.key(Channel(1), **RECIPE)
    hook.factor = 0.5
    fresh = FeatureVisualizer(net, "second")
    assert kept.key(Channel(1), **RECIPE) == fresh.key(Channel(1), **RECIPE) != key


class Noisy(Stem):
    """Draws at each pass, writes to a buffer, and norms its weights as it goes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        self.conv.weight.data = self.conv.weight.data.clamp(-0.1, 0.1)
        return super().forward(x + torch.rand_like(x))


def test_asking_leaves_the_network_and_the_generator_as_they_were():
    net = seeded(Noisy)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    random = torch.get_rng_state()
    made = FeatureVisualizer(net, "second")
    trunk = made._trunk([Channel(1)], Recipe(**RECIPE))
    torch.set_rng_state(random)
    assert trunk.is_of(net)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


class Masked(Stem):
    """Multiplies a layer by a plain tensor, which is neither a weight nor a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.mask = torch.ones(1, self.second.out_channels, 1, 1)
        self.tables = {"low": [torch.zeros(2)], "high": (np.zeros(2),)}

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.act(self.norm(self.conv(x)))) * self.mask


def half_a_mask(net: Masked) -> None:
    net.mask[0, 0] = -1


def number_in_a_list(net: Masked) -> None:
    net.tables["low"][0][1] = 3.0


def number_of_an_array(net: Masked) -> None:
    net.tables["high"][0][0] = 3.0


@pytest.mark.parametrize("change", [half_a_mask, number_in_a_list, number_of_an_array])
def test_a_plain_tensor_written_to_in_place_is_noticed(change):
    net = seeded(Masked)
    kept = FeatureVisualizer(net, "output")
    kept.visualize(Channel(0), **RECIPE)
    key = kept.key(Channel(0), **RECIPE)
    assert kept.key(Channel(0), **RECIPE) == key
    change(net)
    after, fresh = kept.visualize(Channel(0), **RECIPE), FeatureVisualizer(net, "output")
    assert kept.key(Channel(0), **RECIPE) == fresh.key(Channel(0), **RECIPE) != key
    assert torch.equal(after.images, fresh.visualize(Channel(0), **RECIPE).images)


def test_a_tensor_that_a_hook_took_along_is_noticed(stem):
    gain = torch.ones(1)
    stem.act.register_forward_hook(lambda module, inputs, output: output * gain)
    before = state_of(stem)
    assert state_of(stem) == before
    gain[0] = 2
    assert state_of(stem) != before


@pytest.mark.parametrize(
    "odd",
    [
        torch.zeros(2, 2).to_sparse(),
        torch.empty(10**9, device="meta"),
        torch.tensor(2 + 1j).conj(),
        torch.zeros(0),
        torch.ones(3).bool(),
        torch.ones(2, dtype=torch.bfloat16),
        torch.zeros(1).expand(2**40),
        np.array([None, object()], dtype=object),
        np.zeros(0),
        np.array("words"),
    ],
    ids=lambda odd: f"{type(odd).__name__} {odd.dtype} {tuple(odd.shape)}",
)
def test_tensors_and_arrays_of_every_kind_are_told(odd, stem):
    stem.odd = odd
    assert settings_of(stem) == settings_of(stem)


def test_keys_hold_no_place_in_memory(stem):
    stem.act.register_forward_hook(Louder(1.0))
    stem.act.register_forward_hook(lambda module, inputs, output: None)
    first = FeatureVisualizer(stem, "second").key(Channel(1), **RECIPE)
    other = FeatureVisualizer(copy.deepcopy(stem), "second").key(Channel(1), **RECIPE)
    assert first == other


def test_icons_of_a_network_with_a_hook_are_its_own(small_module, store):
    """The store has icons of equal weights, drawn before the hook was there."""
    net = cb.Network(copy.deepcopy(small_module), cb.Preprocess(16, (0.5,) * 3, (0.5,) * 3))
    planned = Plan(tuple(OptimizedIcon().plan([channel_subject("late", 0)])))
    renderer = PictureRenderer(net, Quality(16, n_steps=2, budget=1), store, Progress(False))

    def drawn() -> bool:
        (icon,) = renderer.draw(planned).values()
        return not icon.cached

    assert [drawn(), drawn()] == [True, False]
    hook = net.module.early.register_forward_hook(Louder(-1.0))
    assert [drawn(), drawn()] == [True, False]
    hook.remove()
    assert not drawn()
