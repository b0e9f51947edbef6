"""Groups on the networks that Captum tests its own classes with.

``captum.testing`` came with Captum 0.9.
"""

from __future__ import annotations

import torch
from captum.attr import (
    LayerConductance,
    LayerDeepLift,
    LayerGradientXActivation,
    LayerIntegratedGradients,
)
from captum.testing.helpers.basic_models import BasicModel_ConvNet, BasicModel_MultiLayer

from captum_blocks import attr
from tests.attr.conftest import Directions


def test_targets_in_every_form() -> None:
    net = BasicModel_MultiLayer().eval()
    x = torch.randn(4, 3)
    reducer = Directions(torch.rand(2, 4))
    lga = attr.LayerGroupAttribution(LayerGradientXActivation(net, net.linear1), reducer)
    expected = lga.attribute(x, target=1)
    assert torch.equal(lga.attribute(x, target=torch.tensor(1)), expected)
    mixed = lga.attribute(x, target=[0, 1, 1, 0])
    single = [lga.attribute(x[i : i + 1], target=t) for i, t in enumerate([0, 1, 1, 0])]
    torch.testing.assert_close(mixed, torch.cat(single))


def test_additional_arguments() -> None:
    net = BasicModel_MultiLayer().eval()
    wrapped = LayerConductance(net, net.linear1)
    lga = attr.LayerGroupAttribution(wrapped, Directions(torch.rand(2, 4)))
    call = {"target": (1, 0, 0), "additional_forward_args": (torch.randn(4, 3), True)}
    x = torch.randn(4, 3)
    groups, rest = lga.attribute(x, return_residual=True, **call)
    expected = wrapped.attribute(x, **call).sum(1, keepdim=True).detach()
    torch.testing.assert_close(groups.sum(1, keepdim=True) + rest, expected)


def test_batched_equals_one_by_one() -> None:
    net = BasicModel_ConvNet().eval()
    x = 20 * torch.rand(3, 1, 10, 10)
    reducer = Directions(torch.rand(2, 4))
    for kind in (LayerIntegratedGradients, LayerConductance, LayerDeepLift):
        lga = attr.LayerGroupAttribution(kind(net, net.conv2), reducer)
        single = [lga.attribute(x[i : i + 1], target=0) for i in range(3)]
        torch.testing.assert_close(
            lga.attribute(x, target=0), torch.cat(single), rtol=1e-4, atol=1e-6
        )
