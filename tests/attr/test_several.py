"""Several methods in one pass: against the paths one by one, plain loops, and plain layers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from captum_blocks.attr import path_dependence, several_methods
from captum_blocks.attr.several import INTEGRATED, LINEAR, METHODS, NOISE, SMOOTHED, STOCHASTIC
from captum_blocks.attr.tail import at_most
from captum_blocks.errors import UnsupportedMethod, UnusableLayer
from tests.conftest import SmallNet
from tests.reference.attributions import mean_gradient

TARGETS = [2, 0]


def pictures(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(7))


def test_paths_are_those_taken_one_by_one(small_module: nn.Module) -> None:
    x = pictures()
    found = several_methods(small_module, "early", x, TARGETS, n_steps=4, seed=3)
    expected = path_dependence(small_module, "early", x, TARGETS, "neuron", n_steps=4, seed=3)
    for path, method in zip(("linear", "integrated", "stochastic"), METHODS, strict=False):
        torch.testing.assert_close(found.attribution(method), expected.values[path])


def test_smoothed_gradients_are_the_mean_around_the_activation(small_module: SmallNet) -> None:
    x = pictures(1)
    found = several_methods(small_module, "early", x, TARGETS, n_steps=5, seed=2)
    activation = small_module.early(x).detach()
    noise = torch.randn(5, *activation.shape[1:], generator=torch.Generator().manual_seed(2))
    spread = NOISE * (activation.max() - activation.min())
    points = [activation + spread * each for each in noise]

    def head(held: Tensor) -> Tensor:
        return small_module.head(small_module.late(held).mean((2, 3)))

    for place, target in enumerate(TARGETS):
        expected = mean_gradient(head, points, target)
        torch.testing.assert_close(found.weights[SMOOTHED][:, place], expected)


def test_behind_a_linear_head_all_methods_say_the_same(small_module: nn.Module) -> None:
    found = several_methods(small_module, "late", pictures(), TARGETS)
    for method in (INTEGRATED, STOCHASTIC, SMOOTHED):
        torch.testing.assert_close(found.attribution(method), found.attribution(LINEAR))


def test_a_batch_is_its_pictures_one_by_one(small_module: nn.Module) -> None:
    x = pictures(3)
    whole = several_methods(small_module, "early", x, TARGETS)
    for image in range(3):
        one = several_methods(small_module, "early", x[image : image + 1], TARGETS)
        for method in METHODS:
            torch.testing.assert_close(whole.weights[method][image], one.weights[method][0])


class Around(nn.Module):
    """A layer with a branch of the picture beside it, joined behind."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.beside = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(3, 5, 3, 2, 1)
        self.head = nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.body(x), self.beside(x)], 1)
        return self.head(both.relu().mean((2, 3)))


def test_what_goes_around_the_layer_is_repeated_for_each_point() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Around().eval()
    x = pictures()
    found = several_methods(module, "body", x, TARGETS, n_steps=4)
    expected = path_dependence(module, "body", x, TARGETS, "neuron", n_steps=4)
    torch.testing.assert_close(found.attribution(STOCHASTIC), expected.values["stochastic"])


def test_what_takes_longer_than_allowed_is_refused(small_module: nn.Module) -> None:
    with at_most(0.0), pytest.raises(UnsupportedMethod) as caught:
        several_methods(small_module, "early", pictures(), TARGETS)
    assert str(caught.value) == "they would take about 0 seconds, 0 at most here"


def test_a_layer_without_effect_is_told() -> None:
    class Unused(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            self.early(x)
            return x.mean((2, 3)) * self.head.bias

    with pytest.raises(UnusableLayer, match="do not depend on this layer"):
        several_methods(Unused().eval(), "early", pictures(), [1])


def test_the_network_stays_as_it_was(small_module: nn.Module) -> None:
    before = {name: held.clone() for name, held in small_module.state_dict().items()}
    state = torch.random.get_rng_state()
    several_methods(small_module, "early", pictures(), TARGETS)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(held, before[name]) for name, held in small_module.state_dict().items())
    assert not any(part._forward_hooks for part in small_module.modules())
    assert all(parameter.grad is None for parameter in small_module.parameters())
