from __future__ import annotations

import pytest
import torch
from captum.attr import LayerConductance, LayerGradientXActivation, LayerIntegratedGradients
from torch import Tensor, nn

from captum_blocks import attr
from captum_blocks.errors import InvalidArgument, UnknownName, UnsupportedMethod


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    parts = (nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 5))
    return nn.Sequential(*parts).eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", [LayerGradientXActivation, LayerConductance])
def test_equals_a_plain_captum_call(net: nn.Module, x: Tensor, kind: type) -> None:
    result = attr.LayerMethod(net, "0", kind).attribute(x, [3, 1])
    safe = nn.Sequential(net[0], nn.ReLU(), net[2], net[3])
    for position, target in enumerate([3, 1]):
        expected = kind(safe, safe[0]).attribute(x, target=target)
        torch.testing.assert_close(result.maps[:, position], expected)
    assert result.maps.requires_grad is False
    assert result.contributes


def test_in_place_operation_behind_the_layer_is_repaired(net: nn.Module, x: Tensor) -> None:
    result = attr.LayerMethod(net, "0", "LayerIntegratedGradients", n_steps=8).attribute(x, [0])
    safe = nn.Sequential(net[0], nn.ReLU(), net[2], net[3])
    expected = LayerIntegratedGradients(safe, safe[0]).attribute(x, target=0, n_steps=8)
    torch.testing.assert_close(result.maps[:, 0], expected)


def test_unknown_method_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'LayerConductance'"):
        attr.resolve_method("LayerConductanse")


def test_unknown_option_names_the_valid_ones(net: nn.Module) -> None:
    with pytest.raises(
        InvalidArgument, match=r"no option 'nsteps'; did you mean 'n_steps'.*method"
    ):
        attr.LayerMethod(net, "0", "LayerIntegratedGradients", nsteps=3)


def test_too_many_forward_passes_are_refused_with_the_count(net: nn.Module, x: Tensor) -> None:
    wide = nn.Sequential(nn.Upsample(scale_factor=8), nn.Flatten(), nn.LazyLinear(2))
    wide(x)
    method = attr.LayerMethod(wide, "0", "LayerFeatureAblation")
    with pytest.raises(UnsupportedMethod, match="would need 6,913 forward passes"):
        method.attribute(x, [0])
