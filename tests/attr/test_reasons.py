"""A missing gradient gets its true reason; a layer inside a block under no_grad has one."""

from __future__ import annotations

import pytest
import torch
from captum.attr import LayerGradientXActivation, LayerIntegratedGradients
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import captum_blocks as cb
from captum_blocks.attr import GroupAttribution, LayerMethod, LayerPathGradients

METHODS = [
    "LayerGradientXActivation",
    "LayerIntegratedGradients",
    "LayerConductance",
    "LayerPathGradients",
    "IntegratedGradients",
    "Saliency",
]


class Net(nn.Module):
    """A stem, a backbone that is run in some way, and a classifier."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.stem, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)
        self.back = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.Tanh())
        self.aside = nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.aside(x)
        h = self.stem(x)
        if self.how == "no_grad":
            with torch.no_grad():
                h = self.back(h)
        elif self.how == "inference":
            with torch.inference_mode():
                h = self.back(h)
        elif self.how == "checkpoint":
            h = checkpoint(self.back, h, use_reentrant=True)
        elif self.how == "detach":
            h = self.back(h.detach())
        elif self.how == "in place":
            h = self.back(h).mul_(1.5)
        else:
            h = self.back(h)
        return self.fc(h.mean((2, 3)))


@pytest.fixture
def x() -> Tensor:
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def reducer() -> cb.ChannelReducer:
    acts = torch.rand(2, 8, 4, 4, generator=torch.Generator().manual_seed(1))
    return cb.ChannelReducer(3).fit(acts)


def twin(net: Net) -> Net:
    """The same network, all of it with gradients."""
    plain = Net("plainly").eval()
    plain.load_state_dict(net.state_dict())
    return plain


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("how", ["no_grad", "checkpoint", "detach", "inference"])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_cut_off(how: str, method: str, x: Tensor) -> None:
    with pytest.raises(cb.BlocksError) as caught:
        LayerMethod(Net(how).eval(), "stem", method).attribute(x, [0])
    assert "no gradient leads from one to the other" in str(caught.value)
    assert "reentrant checkpoint" in str(caught.value)


OVERWRITTEN = r"writes over numbers that its own gradient needs, e.g. x.relu\(\).mul_\(2\)"


@pytest.mark.parametrize("method", [*METHODS, "LayerDeepLift"])
def test_what_writes_over_its_own_numbers(method: str, x: Tensor) -> None:
    with pytest.raises(cb.BlocksError, match=OVERWRITTEN) as caught:
        LayerMethod(Net("in place").eval(), "stem", method).attribute(x, [0])
    assert "LayerFeatureAblation" in str(caught.value)
    assert "works on every layer" not in str(caught.value)


def test_the_method_named_needs_no_gradient(x: Tensor) -> None:
    net = Net("in place").eval()
    found = LayerMethod(net, "stem", "LayerFeatureAblation").attribute(x[:1], [2]).maps[0, 0]
    with torch.no_grad():
        act = net.stem(x[:1])
        rest = lambda act: net.fc(1.5 * net.back(act).mean((2, 3)))[0, 2]  # noqa: E731
        without = act.clone()
        without[0, 5, 1, 2] = 0
        expected = rest(act) - rest(without)
    torch.testing.assert_close(found[5, 1, 2], expected)


def test_what_writes_over_its_own_numbers_elsewhere(x: Tensor) -> None:
    net = Net("in place").eval()
    reducer = cb.ChannelReducer(2, algorithm="pca").fit(net.stem(x).detach())
    for ask in (
        lambda: cb.LayerToLayerAttribution(net, "stem").attribute(x, "class", "channel"),
        lambda: cb.LayerToLayerAttribution(net, "stem", "fc").attribute(x, "channel", "channel"),
        lambda: cb.LayerToLayerAttribution(net, "stem", "fc").attribute(x, "channel", "whole"),
        lambda: LayerPathGradients(net, net.stem).attribute(x, target=1),
        lambda: cb.FeatureVisualizer(net, "fc").visualize(cb.optim.Channel(0), size=8, n_steps=1),
        lambda: cb.LayerGroupAttribution(
            LayerGradientXActivation(net, net.stem), reducer
        ).attribute(x, target=1),
    ):
        with pytest.raises(cb.BlocksError, match=OVERWRITTEN):
            ask()


@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_matter(method: str, x: Tensor) -> None:
    with pytest.raises(cb.BlocksError, match="not depend on this layer"):
        LayerMethod(Net("plainly").eval(), "aside", method).attribute(x, [0])


@pytest.mark.parametrize("layer", ["back.0", "back.1", "back.3"])
@pytest.mark.parametrize("method", METHODS)
def test_a_layer_inside_a_block_under_no_grad(layer: str, method: str, x: Tensor) -> None:
    net = Net("no_grad").eval()
    found = LayerMethod(net, layer, method).attribute(x, [0, 3]).maps
    expected = LayerMethod(twin(net), layer, method).attribute(x, [0, 3]).maps
    torch.testing.assert_close(found, expected)
    assert torch.is_grad_enabled()


def test_the_gradient_there_is_that_of_the_score(x: Tensor) -> None:
    net = Net("no_grad").eval()
    act = net.back[1](net.back[0](net.stem(x))).detach().requires_grad_()
    net.fc(net.back[2:](act).mean((2, 3)))[:, 2].sum().backward()
    found = LayerMethod(net, "back.1").attribute(x, [2]).maps[:, 0]
    torch.testing.assert_close(found, (act * act.grad).detach())


def test_groups_inside_and_before_it(x: Tensor, reducer: cb.ChannelReducer) -> None:
    net = Net("no_grad").eval()
    for name in ("IntegratedGradients", "ShapleyValues"):
        both = [GroupAttribution(each, "back.1", reducer, name) for each in (net, twin(net))]
        shares = [each.attribute(x, [1]).maps for each in both]
        torch.testing.assert_close(*shares)
    values = [
        cb.LayerGroupAttribution(LayerIntegratedGradients(each, each.back[1]), reducer).attribute(
            x, target=1
        )
        for each in (net, twin(net))
    ]
    torch.testing.assert_close(*values)
    cut = Net("checkpoint").eval()
    before = cb.LayerGroupAttribution(LayerGradientXActivation(cut, cut.back[1]), reducer)
    with pytest.raises(cb.BlocksError, match="no gradient leads from one to the other"):
        before.attribute(x, target=1)
    with pytest.raises(cb.BlocksError, match="no gradient leads from one to the other"):
        LayerPathGradients(net, net.stem).attribute(x, target=1)


@pytest.mark.parametrize("how", ["no_grad", "checkpoint", "detach"])
def test_layer_to_layer(how: str, x: Tensor) -> None:
    net = Net(how).eval()
    with pytest.raises(cb.BlocksError, match=r"layer 'back.1' moves with layer 'stem', but no"):
        cb.LayerToLayerAttribution(net, "stem", "back.1").attribute(x, "channel", "channel")
    with pytest.raises(cb.BlocksError, match="class scores move with layer 'stem', but no grad"):
        cb.LayerToLayerAttribution(net, "stem").attribute(x, "class", "channel")
    with pytest.raises(cb.BlocksError, match="exchange source_layer and target_layer"):
        cb.LayerToLayerAttribution(net, "back.1", "stem").attribute(x, "channel", "channel")


def test_pictures_of_what_a_checkpoint_cuts_off() -> None:
    net = Net("checkpoint").eval()
    with pytest.raises(cb.BlocksError, match="cuts the graph .*reentrant checkpoint"):
        cb.FeatureVisualizer(net, "fc").visualize(cb.optim.Channel(0), size=8, n_steps=1)
