"""On trained weights and a photograph, with the package's own reducer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from captum.attr import LayerGradientXActivation
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks import attr, hooks
from captum_blocks.attr.head import Head, probe


@pytest.fixture(scope="module")
def photo(demo: cb.Network, photo_file: Path) -> Tensor:
    return demo.read(photo_file)


@pytest.mark.parametrize("name", ["LayerIntegratedGradients", "LayerConductance"])
def test_complete_methods_add_up(name: str, demo: cb.Network, photo: Tensor) -> None:
    best = demo.predict(photo, top=1)[0][0]
    result = attr.LayerMethod(demo.module, "bn2", name, n_steps=8).attribute(photo, [best])
    assert result.delta is not None
    with torch.no_grad():
        change = demo.module(photo) - demo.module(torch.zeros_like(photo))
    gap = result.maps.sum((2, 3, 4)) - change[:, [best]]
    torch.testing.assert_close(gap.abs(), result.delta.abs(), rtol=0, atol=1e-3)
    assert float(gap.abs()) < 0.25 * float(change[0, best])


@pytest.mark.parametrize("name", ["ShapleyValues", "IntegratedGradients"])
def test_groups_through_the_head_add_up_deep_in_the_network(
    name: str, demo: cb.Network, photo: Tensor
) -> None:
    layer = demo.module.get_submodule("blocks.5.0.bn1")
    seen = probe(demo.module, layer, "blocks.5.0.bn1", photo)
    best = int(seen.scores.argmax())
    reducer = cb.ChannelReducer(n_components=3).fit(seen.activation)
    options = {"n_steps": 16} if name == "IntegratedGradients" else {}
    method = attr.GroupAttribution(demo.module, layer, reducer, name, **options)
    found = method.attribute(photo, [best])
    with torch.no_grad():
        start = Head(demo.module, layer)(torch.zeros_like(seen.activation), photo)
    gap = found.total - (seen.scores - start)[:, [best]]
    if found.delta is None:
        torch.testing.assert_close(gap, torch.zeros_like(gap), rtol=0, atol=1e-3)
    else:
        torch.testing.assert_close(gap.abs(), found.delta.abs(), rtol=0, atol=1e-3)


def test_groups_and_residual_by_every_road(demo: cb.Network, photo: Tensor) -> None:
    best = demo.predict(photo, top=1)[0][0]
    layer = demo.module.get_submodule("bn2")
    acts = hooks.run_until(demo.module, {"bn2": layer}, photo)["bn2"].detach()
    reducer = cb.ChannelReducer(n_components=4).fit(acts)
    linear = attr.LayerMethod(demo.module, "bn2").attribute_groups(photo, [best], reducer)
    plain = attr.LayerMethod(demo.module, "bn2").attribute(photo, [best])
    torch.testing.assert_close(linear.total, plain.maps.sum((2, 3, 4)))
    exact = attr.GroupAttribution(demo.module, "bn2", reducer).attribute(photo, [best])
    # Behind bn2 the network is linear: all the roads lead to the same groups.
    torch.testing.assert_close(
        exact.maps.sum((3, 4)), linear.maps.sum((3, 4)), rtol=1e-3, atol=1e-3
    )
    l2l = attr.LayerToLayerAttribution(demo.module, "bn2")
    found, rest = l2l.attribute(photo, "class", reducer, targets=[best], return_remainder=True)
    torch.testing.assert_close(found, linear.maps.sum((3, 4)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(rest["residual"], linear.residual.sum((2, 3)), rtol=1e-3, atol=1e-4)


def test_layer_to_layer_equals_captum(demo: cb.Network, photo: Tensor) -> None:
    source, upper = (demo.module.get_submodule(n) for n in ("blocks.5.0.bn1", "blocks.5.0.bn3"))
    l2l = attr.LayerToLayerAttribution(demo.module, source, upper)
    found = l2l.attribute(photo, "spatial", "spatial", targets=[(3, 3), (6, 0)])
    for position, (y, x) in enumerate([(3, 3), (6, 0)]):

        def norm(images: Tensor, y: int = y, x: int = x) -> Tensor:
            seen = hooks.run_until(demo.module, {"upper": upper}, images)["upper"]
            return seen[:, :, y, x].norm(dim=1, keepdim=True)

        expected = LayerGradientXActivation(norm, source).attribute(photo, target=0).sum(1)
        scale = float(expected.detach().abs().max())
        torch.testing.assert_close(
            found[:, position], expected.detach(), rtol=1e-4, atol=1e-4 * scale
        )


@pytest.mark.parametrize("layer", ["block1", "mix"])
def test_the_packages_reducer_on_tokens_and_channels_last(
    layer: str, vit: nn.Module, channels_last: nn.Module, x9: Tensor
) -> None:
    net, layout = (vit, "tokens") if layer == "block1" else (channels_last, "NHWC")
    acts = hooks.run_until(net, {"l": net.get_submodule(layer)}, x9)["l"].detach()
    reducer = cb.ChannelReducer(n_components=2, algorithm="pca", layout=layout).fit(acts)
    groups = attr.LayerMethod(net, layer, layout=layout).attribute_groups(x9, [0, 1], reducer)
    plain = attr.LayerMethod(net, layer, layout=layout).attribute(x9, [0, 1])
    whole = plain.maps.sum((2, 3, 4)) + plain.tokens.sum((2, 3))
    torch.testing.assert_close(groups.total, whole, rtol=1e-4, atol=1e-5)
