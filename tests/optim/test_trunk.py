"""The trunk computes what the network computes, on any kind of network, and touches nothing."""

from __future__ import annotations

import copy
import re
import warnings
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from captum_blocks.errors import UnusableLayer
from captum_blocks.layouts import Layout
from captum_blocks.optim.trunk import Trunk
from tests.optim.conftest import Stem, seeded

X = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(5))
EXAMPLE = X[:1]


class Reused(nn.Module):
    """One block twice, and one batch-norm behind two different convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, 1, 1), nn.BatchNorm2d(3)
        self.other = nn.Conv2d(3, 3, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x)).relu_()
        return self.norm(self.other(self.norm(self.conv(x))))


class Twisted(nn.Module):
    """Registered in the order of a foldable pair, used in another."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, 1, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.norm(x)) + self.norm(x)


class Tuples(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.both = Pair()

    def forward(self, x: Tensor) -> Tensor:
        return self.both(self.first(x))[0].mean((2, 3))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.exp(), x


class Transformer(nn.Module):
    """Patches and a class token, as in a vision transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.place = nn.Parameter(torch.randn(1, 17, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.place
        return self.block(x)[:, 0]


class ChannelsBehind(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, 2, 1), nn.LayerNorm(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x).permute(0, 2, 3, 1)).mean((1, 2))


def plain(net: nn.Module, layer: str, x: Tensor) -> Tensor:
    """What the layer returns on its last call, by an ordinary hook."""
    seen: list[Tensor] = []
    handle = net.get_submodule(layer).register_forward_hook(lambda m, i, o: seen.append(o))
    with torch.no_grad():
        net(x)
    handle.remove()
    return seen[-1] if isinstance(seen[-1], Tensor) else seen[-1][0]


CASES = [
    (Stem, "conv"),
    (Stem, "norm"),
    (Stem, "act"),
    (Stem, "second"),
    (Reused, "norm"),
    (Reused, "conv"),
    (Reused, "other"),
    (Twisted, "conv"),
    (Tuples, "both"),
    (Tuples, "first"),
]


@pytest.mark.parametrize(("make", "layer"), CASES)
def test_maps_are_those_of_the_network(make, layer):
    net = seeded(make)
    # What is recorded must not be overwritten by in-place layers behind it.
    expected = plain(_without_in_place(net), layer, X)
    found = Trunk(net, [layer], EXAMPLE)(X)[layer]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def _without_in_place(net: nn.Module) -> nn.Module:
    net = copy.deepcopy(net)
    for module in net.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return net


def test_tokens_become_maps_without_the_class_token():
    net = seeded(Transformer)
    found = Trunk(net, ["block"], EXAMPLE)(X)["block"]
    expected = plain(net, "block", X)[:, 1:].transpose(1, 2).reshape(2, 8, 4, 4)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_channels_behind_become_maps():
    net = seeded(ChannelsBehind)
    expected = plain(net, "norm", X).permute(0, 3, 1, 2)
    found = Trunk(net, ["norm"], EXAMPLE, layouts={"norm": Layout("NHWC")})(X)["norm"]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_the_output_is_a_layer():
    net = seeded(Stem)
    with torch.no_grad():
        expected = net(X)[:, :, None, None]
    torch.testing.assert_close(Trunk(net, ["output"], EXAMPLE)(X)["output"], expected)


def test_several_layers_at_once():
    net = seeded(Stem)
    found = Trunk(net, ["act", "second"], EXAMPLE)(X)
    for layer in ("act", "second"):
        torch.testing.assert_close(found[layer], plain(net, layer, X), atol=1e-5, rtol=1e-4)


def test_preprocessing_comes_first():
    net = seeded(Stem)
    found = Trunk(net, ["second"], EXAMPLE, lambda x: (x - 0.5) / 0.2)(X)["second"]
    expected = plain(net, "second", (X - 0.5) / 0.2)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("make", "layer"), CASES)
def test_gradients_are_exact(make, layer):
    net = seeded(make)
    trunk = Trunk(net, [layer], EXAMPLE)
    x = X.clone().requires_grad_()
    (found,) = torch.autograd.grad(trunk(x)[layer].square().sum(), x)
    y = X.clone().requires_grad_()
    seen: list[Tensor] = []
    still = _without_in_place(net)
    module = still.get_submodule(layer)
    handle = module.register_forward_hook(lambda m, i, o: seen.append(o))
    still(y)
    handle.remove()
    output = seen[-1] if isinstance(seen[-1], Tensor) else seen[-1][0]
    (expected,) = torch.autograd.grad(output.square().sum(), y)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_batch_norms_are_folded_where_that_changes_nothing():
    trunk = Trunk(seeded(Stem), ["act"], EXAMPLE)
    kinds = {type(module) for module in trunk._network.modules()}
    assert nn.BatchNorm2d not in kinds


def test_batch_norms_are_left_alone_where_it_would():
    trunk = Trunk(seeded(Twisted), ["conv"], EXAMPLE)
    kinds = {type(module) for module in trunk._network.modules()}
    assert nn.BatchNorm2d in kinds


def test_nothing_behind_the_layer_runs():
    net = seeded(Stem)
    larger = torch.rand(1, 3, 24, 24)  # the head takes 16 pixels and no others
    assert Trunk(net, ["second"], larger)(larger)["second"].shape == (1, 5, 6, 6)


def test_the_module_is_left_as_it_was():
    net = seeded(Stem).train()
    net.conv.weight.requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    Trunk(net, ["act"], EXAMPLE)(X)
    assert net.training
    assert [p.requires_grad for p in net.parameters()][:2] == [False, True]
    assert not net._forward_hooks
    assert not net.act._forward_hooks
    assert net.conv.weight.is_contiguous()
    assert net.act.inplace
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_ceiling_is_lifted_only_on_the_way():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU6(inplace=True))
    nn.init.constant_(net[0].weight, 5.0)
    trunk = Trunk(net, ["1"], EXAMPLE)
    assert trunk(X)["1"].max() == 6
    assert trunk(X, lifted=True)["1"].max() > 6


def test_a_ceiling_that_is_not_last_stays():
    net = nn.Sequential(OrderedDict(body=Early()))
    trunk = Trunk(net, ["body"], EXAMPLE)
    torch.testing.assert_close(trunk(X, lifted=True)["body"], trunk(X)["body"])
    torch.testing.assert_close(trunk(X)["body"], net(X))


class Early(nn.Module):
    """A ReLU6 registered last, used first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.act = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.act(20 * x))


@pytest.mark.parametrize("hooked", ["conv", "norm", "act"])
def test_hooks_that_change_what_is_computed_stay(hooked):
    """One that is silent on an ordinary picture: no trial run would miss it."""
    net = seeded(Stem)
    bright = 50 * X
    without = plain(_without_in_place(net), "act", bright)
    module = net.get_submodule(hooked)
    module.register_forward_hook(lambda module, inputs, output: output.clamp(max=2.0))
    expected = plain(_without_in_place(net), "act", bright)
    assert not torch.allclose(expected, without)
    trunk = Trunk(net, ["act"], EXAMPLE)
    for lifted in (False, True):
        found = trunk(bright, lifted)["act"].clamp(max=6)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_old_weight_norm_can_be_copied():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        net = nn.Sequential(nn.utils.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU())
    net(X)  # leaves a weight that is not a leaf
    torch.testing.assert_close(Trunk(net, ["1"], EXAMPLE)(X)["1"], net(X))


def test_the_fingerprint_knows_what_runs_and_nothing_else():
    net = seeded(Stem)
    first = Trunk(net, ["act"], EXAMPLE).fingerprint
    with torch.no_grad():
        net.head.weight.add_(1)
        net.second.weight.add_(1)
    assert Trunk(net, ["act"], EXAMPLE).fingerprint == first
    with torch.no_grad():
        net.norm.running_var.mul_(1.01)
    assert Trunk(net, ["act"], EXAMPLE).fingerprint != first


def test_the_fingerprint_knows_parameters_outside_any_layer():
    net = seeded(Transformer)
    first = Trunk(net, ["block"], EXAMPLE).fingerprint
    with torch.no_grad():
        net.place.add_(0.1)
    second = Trunk(net, ["block"], EXAMPLE).fingerprint
    with torch.no_grad():
        net.block.self_attn.out_proj.weight.add_(0.1)
    assert len({first, second, Trunk(net, ["block"], EXAMPLE).fingerprint}) == 3


def test_autocast_is_close():
    net = seeded(Stem)
    exact = Trunk(net, ["second"], EXAMPLE)(X)["second"]
    half = Trunk(net, ["second"], EXAMPLE, autocast=torch.bfloat16)(X)["second"].float()
    assert (half - exact).abs().max() < 0.05 * exact.abs().max()
    assert not torch.equal(half, exact)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_of_another_type_is_fed_its_own(dtype):
    net = seeded(Stem).to(dtype)
    found = Trunk(net, ["second"], EXAMPLE)(X)["second"]
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    exact = Trunk(net.float(), ["second"], EXAMPLE)(X)["second"]
    torch.testing.assert_close(found.float(), exact, atol=0.03, rtol=0.03)


def test_memory_per_image_is_what_autograd_keeps():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.ReLU())
    # ReLU keeps its result, 4 channels; the convolution keeps its input, 3 channels.
    found = Trunk(net, ["1"], EXAMPLE).bytes_per_image(EXAMPLE)
    assert found == (4 + 3) * 16 * 16 * 4


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


def test_a_layer_that_never_runs_is_refused():
    message = "the network ran to its end without calling layer 'unused'"
    with pytest.raises(UnusableLayer, match=f"^{message}$"):
        Trunk(Unused(), ["unused"], EXAMPLE)


def test_a_picture_the_network_cannot_take_is_refused():
    net = nn.Sequential(nn.Conv2d(3, 2, 7))
    message = re.escape("Sequential cannot take an image of 4x5 pixels, 3 channels (")
    ending = re.escape("); give the size and the channels it was trained with")
    with pytest.raises(UnusableLayer, match=f"^{message}.*{ending}$"):
        Trunk(net, ["0"], torch.zeros(1, 3, 4, 5))


class Bottleneck(nn.Module):
    """A 1x1 convolution to widen, in-place rectifiers, and one to narrow that adds its input."""

    def __init__(self) -> None:
        super().__init__()
        self.widen, self.act = nn.Conv2d(3, 8, 1), nn.ReLU(inplace=True)
        self.mix = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.narrow = nn.Conv2d(8, 3, 1, bias=False)
        self.strided = nn.Conv2d(3, 4, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        within = self.act(self.mix(self.act(self.widen(x))))
        return self.strided(x + self.narrow(within))


@pytest.mark.parametrize("inplace", [True, False])
def test_products_of_pixels_give_the_gradient_of_convolutions(inplace):
    net = seeded(Bottleneck)
    net.act.inplace = inplace
    net.requires_grad_(False)
    wanted, found = X.clone().requires_grad_(), X.clone().requires_grad_()
    net(wanted).square().sum().backward()
    maps = Trunk(net, ["strided"], EXAMPLE)(found)["strided"]
    maps.square().sum().backward()
    torch.testing.assert_close(maps, net(X), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found.grad, wanted.grad, atol=1e-6, rtol=1e-5)


def test_a_1x1_convolution_that_is_looked_at_or_hooked_stays_a_convolution():
    net = seeded(Bottleneck)
    net.widen.register_forward_hook(lambda module, inputs, output: None)
    inside = Trunk(net, ["narrow"], EXAMPLE)._network
    assert type(inside.widen) is nn.Conv2d
    assert type(inside.narrow) is nn.Conv2d
    other = Trunk(seeded(Bottleneck), ["strided"], EXAMPLE)._network
    assert type(other.narrow).__name__ == "_Pointwise"
