"""A picture that is not square decides which axes of a layer are positions."""

from __future__ import annotations

import pytest
import torch
from captum.attr import LayerGradientXActivation
from torch import Tensor, nn

from captum_blocks import attr
from tests.attr.conftest import Directions


@pytest.fixture
def net() -> nn.Module:
    """Six channels on maps of 6 x 10: the first two axes look like a square."""
    front, pool = nn.Conv2d(3, 6, 3, 2, 1), nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(front, nn.ReLU(), pool, nn.Flatten(), nn.Tanh(), nn.Linear(6, 4)).eval()


@pytest.fixture
def wide() -> Tensor:
    return torch.rand(2, 3, 12, 20)


def by_hand(net: nn.Module, x: Tensor, target: int) -> Tensor:
    acts = net[1](net[0](x)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(net[2:](acts)[:, target].sum(), acts)
    return gradient * acts.detach()


def test_from_layer_to_layer(net: nn.Module, wide: Tensor) -> None:
    found = attr.LayerToLayerAttribution(net, "1").attribute(wide, source_atom="channel")
    expected = torch.stack([by_hand(net, wide, k).sum((2, 3)) for k in range(4)], 1)
    torch.testing.assert_close(found, expected)
    targets = attr.LayerToLayerAttribution(net, "0", "1").attribute(wide, targets=[(5, 9)])
    assert targets.shape == (2, 1, 6, 10)


def test_of_groups(net: nn.Module, wide: Tensor) -> None:
    reducer = Directions(torch.rand(3, 6))
    wrapped = attr.LayerGroupAttribution(LayerGradientXActivation(net, net[1]), reducer)
    groups, rest = wrapped.attribute(wide, target=2, return_residual=True)
    assert groups.shape == (2, 3, 6, 10)
    expected = by_hand(net, wide, 2).sum(1, keepdim=True)
    torch.testing.assert_close(groups.sum(1, keepdim=True) + rest, expected)


def test_by_a_method_of_captum(net: nn.Module, wide: Tensor) -> None:
    found = attr.LayerMethod(net, "1", "LayerGradientXActivation").attribute(wide, [2])
    torch.testing.assert_close(found.maps[:, 0], by_hand(net, wide, 2))


def test_along_a_stochastic_path(net: nn.Module, wide: Tensor) -> None:
    """One draw per channel, wherever the channels are found to be."""
    found, told = (
        attr.LayerPathGradients(net, net[1], layout=layout).attribute(
            wide, target=2, path="stochastic", n_steps=3
        )
        for layout in (None, "NCHW")
    )
    torch.testing.assert_close(found, told)
