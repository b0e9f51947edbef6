"""Every complete method adds up to the change of the score it claims to explain."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_blocks import attr
from captum_blocks.attr.head import Head, probe

TARGETS = [1, 3]
# From the image of zeros, by the layer; the tolerance is that of the quadrature. Sampling has none:
# there, what is missing has to be what Captum's delta says, as everywhere.
FROM_IMAGE: list[tuple[str, dict[str, Any], float]] = [
    ("LayerIntegratedGradients", {"n_steps": 64}, 5e-3),
    ("LayerConductance", {"n_steps": 64}, 6e-2),
    ("LayerGradientShap", {"n_samples": 20, "stdevs": 1e-5}, torch.inf),
]
# From an activation of zeros, on the rest of the network.
FROM_ZERO: list[tuple[str, dict[str, Any], float]] = [
    ("IntegratedGradients", {"n_steps": 64}, 5e-3),
    ("GradientShap", {"n_samples": 20, "stdevs": 1e-5}, torch.inf),
    ("ShapleyValueSampling", {"n_samples": 1}, 1e-5),
]
PLACES = [
    ("convnet", "conv2"),
    ("residual_net", "stem"),
    ("residual_net", "pair"),
    ("vit", "patch"),
    ("vit", "block1"),
    ("vit", "block2"),
    ("channels_last", "mix"),
]


def gap(net: nn.Module, layer: str, x: Tensor, name: str, **options: Any) -> float:
    """By how much a method misses the change of the score; checks that its delta says the same."""
    torch.manual_seed(0)
    layout = "NHWC" if layer == "mix" else None
    method = attr.LayerMethod(net, layer, name, layout, **options)
    found = method.attribute(x, TARGETS)
    total = found.maps.sum((2, 3, 4)) + found.tokens.sum((2, 3))
    starts_behind = method.on_head or name == "LayerPathGradients"
    change = from_zero(net, layer, x) if starts_behind else from_image(net, x)
    if found.delta is not None:
        torch.testing.assert_close(total - change, found.delta, rtol=0, atol=1e-4)
    return float((total - change).abs().max())


def from_image(net: nn.Module, x: Tensor) -> Tensor:
    """F(x) - F(0), (image, class)."""
    with torch.no_grad():
        return (net(x) - net(torch.zeros_like(x)))[:, TARGETS]


def image_of(fixture: str, x9: Tensor) -> Tensor:
    """The images in the size that the network takes."""
    return x9[..., :8, :8] if fixture == "convnet" else x9


def from_zero(net: nn.Module, layer: str, x: Tensor) -> Tensor:
    """F(A) - F(0), (image, class)."""
    module = net.get_submodule(layer)
    head, activation = Head(net, module), probe(net, module, layer, x).activation
    with torch.no_grad():
        return (head(activation, x) - head(torch.zeros_like(activation), x))[:, TARGETS]


@pytest.mark.parametrize(("fixture", "layer"), PLACES)
@pytest.mark.parametrize(("name", "options", "tolerance"), FROM_IMAGE)
def test_layer_methods_that_start_from_an_image(
    name: str,
    options: dict[str, Any],
    tolerance: float,
    fixture: str,
    layer: str,
    x9: Tensor,
    request: pytest.FixtureRequest,
) -> None:
    net, x = request.getfixturevalue(fixture), image_of(fixture, x9)
    assert gap(net, layer, x, name, **options) <= tolerance


@pytest.mark.parametrize(("fixture", "layer"), [*PLACES, ("residual_net", "bn")])
@pytest.mark.parametrize(("name", "options", "tolerance"), FROM_ZERO)
def test_methods_that_start_from_an_activation_of_zeros(
    name: str,
    options: dict[str, Any],
    tolerance: float,
    fixture: str,
    layer: str,
    x9: Tensor,
    request: pytest.FixtureRequest,
) -> None:
    net, x = request.getfixturevalue(fixture), image_of(fixture, x9)
    assert gap(net, layer, x, name, **options) <= tolerance


@pytest.mark.parametrize(
    ("fixture", "layer"),
    [("convnet", "conv2"), ("residual_net", "bn"), ("vit", "block2"), ("channels_last", "mix")],
)
def test_integrated_path_of_the_article(
    fixture: str, layer: str, x9: Tensor, request: pytest.FixtureRequest
) -> None:
    # Not in front of a layer norm: the path starts at zero, where its gradient is 1 / sqrt(eps),
    # and the left rule gives that first point a whole step.
    net, x = request.getfixturevalue(fixture), image_of(fixture, x9)
    assert gap(net, layer, x, "LayerPathGradients", n_steps=100) <= 2e-2


@pytest.mark.parametrize("name", ["LayerDeepLift", "LayerDeepLiftShap"])
@pytest.mark.parametrize(("fixture", "layer"), [("convnet", "pool"), ("vit", "block2")])
def test_deep_lift_where_it_has_rules_for_all_that_follows(
    name: str, fixture: str, layer: str, x9: Tensor, request: pytest.FixtureRequest
) -> None:
    net, x = request.getfixturevalue(fixture), image_of(fixture, x9)
    assert gap(net, layer, x, name) <= 1e-5


def test_what_goes_round_the_layer_is_missing_and_told(residual_net: nn.Module, x: Tensor) -> None:
    assert gap(residual_net, "bn", x, "LayerIntegratedGradients", n_steps=64) > 0.05
    method = attr.LayerMethod(residual_net, "bn", "LayerIntegratedGradients", n_steps=64)
    notes = method.attribute(x, TARGETS).notes
    assert any("misses the change of the score by up to" in note for note in notes)
