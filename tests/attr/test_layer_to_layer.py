from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import Any

import captum.attr as captum_attr
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_blocks import attr, hooks
from captum_blocks.attr import layer_to_layer, segment, targets
from captum_blocks.attr._visit import quiet
from captum_blocks.attr.sources import parts_of
from captum_blocks.attr.targets import scores_of
from captum_blocks.errors import (
    InvalidArgument,
    LayerNotFound,
    UnknownName,
    UnsupportedMethod,
    UnusableLayer,
    WrongType,
)
from captum_blocks.layouts import Layout, detect
from tests.attr.conftest import Directions
from tests.reference import attr_loops

Taken = Callable[[nn.Module], list[Any]]

UPPER = torch.rand(2, 6, generator=torch.Generator().manual_seed(1))
LOWER = torch.rand(3, 5, generator=torch.Generator().manual_seed(2))


def score(atom: str, maps: Tensor, index: tuple[int, ...]) -> Tensor:
    """The score of one atom of one image's maps (channel, y, x), by its definition."""
    if atom == "spatial":
        return maps[:, index[0], index[1]].norm()
    if atom == "channel":
        return maps[index[0]].sum()
    if atom == "neuron":
        return maps[index]
    if atom == "whole":
        return maps.norm()
    direction = UPPER[index[0]] / UPPER[index[0]].norm()
    return (maps * direction[:, None, None]).sum()


def received(atom: str, gradient: Tensor, a: Tensor) -> Tensor:
    """What the atoms of one image's activation (channel, y, x) receive."""
    if atom == "group":
        z = Directions(LOWER).transform(a[None])[0]
        parts = torch.einsum("kyx,kc->kcyx", z, LOWER)
        return (parts * gradient).sum((1, 2, 3))
    values = gradient * a
    return {
        "spatial": values.sum(0),
        "channel": values.sum((1, 2)),
        "neuron": values,
        "whole": values.sum(),
    }[atom]


ATOMS = ["spatial", "channel", "neuron", "whole", "group"]


@pytest.mark.parametrize(("target_atom", "source_atom"), list(product(ATOMS, ATOMS)))
def test_equals_the_loop_over_targets_from_both_sides(
    target_atom: str, source_atom: str, convnet: nn.Module, x: Tensor
) -> None:
    reducers = {"group": (Directions(UPPER), Directions(LOWER))}
    target = reducers.get(target_atom, (target_atom,))[0]
    source = reducers.get(source_atom, (source_atom, source_atom))[1]
    l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
    found, rest = l2l.attribute(x, target, source, return_remainder=True)
    shape = {"spatial": (2, 2), "channel": (6,), "neuron": (6, 2, 2), "whole": (), "group": (2,)}
    a = hooks.run_until(convnet, {"pool": convnet.pool}, x)["pool"].detach()
    for image in range(2):
        for index in product(*(range(size) for size in shape[target_atom])):

            def one(acts: Tensor, index: tuple[int, ...] = index) -> Tensor:
                return score(target_atom, convnet.conv2(acts[None])[0], index)

            gradient = attr_loops.gradient(one, a[image])
            expected = received(source_atom, gradient, a[image])
            torch.testing.assert_close(found[(image, *index)], expected, rtol=1e-4, atol=1e-6)
            if source_atom == "group":
                left = (gradient * a[image]).sum() - expected.sum()
                torch.testing.assert_close(rest["residual"][(image, *index)], left)
    sources = {"spatial": (3, 3), "channel": (5,), "neuron": (5, 3, 3), "whole": (), "group": (3,)}
    assert found.shape == (2, *shape[target_atom], *sources[source_atom])


@pytest.mark.parametrize("source_atom", ["spatial", "channel", "neuron", "whole", "group"])
def test_forwards_and_backwards_agree(source_atom: str, convnet: nn.Module, x: Tensor) -> None:
    source: Any = Directions(LOWER) if source_atom == "group" else source_atom
    l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
    with quiet(convnet):
        look = l2l._look(x, "neuron", None)
        parts = parts_of(source, look.leaf.detach(), look.layout)
        back = l2l._backwards(look, parts, 5)
        forth = l2l._forwards(look, parts, 7)
    torch.testing.assert_close(back.data.reshape(forth.data.shape), forth.data)
    assert back.remainder.keys() == forth.remainder.keys()
    for name, value in back.remainder.items():
        torch.testing.assert_close(value, forth.remainder[name])


def test_all_classes_at_once_equal_captum(convnet: nn.Module, x: Tensor) -> None:
    found = attr.LayerToLayerAttribution(convnet, "relu2").attribute(x, source_atom="spatial")
    assert found.shape == (2, 4, 2, 2)
    plain = captum_attr.LayerGradientXActivation(convnet, convnet.relu2)
    for target in range(4):
        expected = plain.attribute(x, target=target).sum(1).detach()
        torch.testing.assert_close(found[:, target], expected)
    some = attr.LayerToLayerAttribution(convnet, "relu2").attribute(x, targets=[3, 0])
    torch.testing.assert_close(some, found[:, [3, 0]])


def test_few_sources_and_many_targets_go_forwards(convnet: nn.Module, x: Tensor) -> None:
    l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
    expected = l2l.attribute(x, "neuron", "channel", chunk_size=1).sum(-1)
    torch.testing.assert_close(l2l.attribute(x, "neuron", "whole"), expected)


class TestTransformers:
    def test_tokens_are_a_remainder(self, vit: nn.Module, x9: Tensor) -> None:
        l2l = attr.LayerToLayerAttribution(vit, "block1", "block2")
        found, rest = l2l.attribute(x9, "spatial", "spatial", return_remainder=True)
        assert found.shape == (2, 3, 3, 3, 3)
        whole = l2l.attribute(x9, "spatial", "whole")
        torch.testing.assert_close(found.sum((3, 4)), whole)
        tokens, positions = l2l.attribute(x9, "spatial", "tokens", return_remainder=True)
        torch.testing.assert_close(tokens[..., 0], rest["tokens"])
        torch.testing.assert_close(positions["positions"], whole)

    def test_tokens_as_targets(self, vit: nn.Module, x9: Tensor) -> None:
        l2l = attr.LayerToLayerAttribution(vit, "block1", "block2")
        assert l2l.attribute(x9, "tokens", "spatial").shape == (2, 1, 3, 3)

    def test_classes_from_few_tokens_forwards(self, vit: nn.Module, x9: Tensor) -> None:
        l2l = attr.LayerToLayerAttribution(vit, "block1")
        forwards, rest = l2l.attribute(x9, "class", "whole", return_remainder=True)
        backwards = l2l.attribute(x9, "class", "spatial")
        torch.testing.assert_close(forwards, backwards.sum((2, 3)))
        assert rest["tokens"].shape == (2, 4)

    def test_token_layer_to_maps_before_it(self, vit: nn.Module, x9: Tensor) -> None:
        found = attr.LayerToLayerAttribution(vit, "patch", "block1").attribute(
            x9, "spatial", "channel"
        )
        assert found.shape == (2, 3, 3, 6)


class Attends(nn.Module):
    """Fused attention, which has no forward derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.head = nn.Linear(6, 18), nn.Linear(6, 9)

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.qkv(tokens).unflatten(-1, (3, 2, 3)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v)
        return self.head(attended.transpose(1, 2).flatten(2).mean(1))


class OneWay(torch.autograd.Function):
    """The identity, with a backward derivative only."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        return a.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class Passed(nn.Module):
    def forward(self, a: Tensor) -> Tensor:
        return OneWay.apply(a)


@pytest.mark.parametrize("behind", [nn.Identity(), Passed()])
def test_forwards_where_an_operation_has_no_forward_derivative(behind: nn.Module) -> None:
    net = nn.Sequential(nn.Identity(), behind, Attends()).eval()
    tokens = torch.randn(2, 4, 6)
    l2l = attr.LayerToLayerAttribution(net, "0")
    found = l2l.attribute(tokens, "class", "spatial")
    assert found.shape == (2, 9, 2, 2)
    few = l2l.attribute(tokens, "class", "spatial", targets=[5, 0])
    torch.testing.assert_close(few, found[:, [5, 0]])


class TestByMethod:
    def test_gradient_by_captum_is_the_same(self, convnet: nn.Module, x: Tensor) -> None:
        l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
        for target, source in [("spatial", "channel"), ("channel", "spatial"), ("whole", "whole")]:
            fast = l2l.attribute(x, target, source)
            slow = l2l.attribute(x, target, source, method="LayerGradientXActivation")
            torch.testing.assert_close(slow, fast, rtol=1e-4, atol=1e-6)

    def test_groups_to_groups(self, convnet: nn.Module, x: Tensor) -> None:
        l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
        pair = (Directions(UPPER), Directions(LOWER))
        fast, left = l2l.attribute(x, *pair, return_remainder=True)
        slow, rest = l2l.attribute(
            x, *pair, method="LayerGradientXActivation", return_remainder=True
        )
        assert fast.shape == (2, 2, 3)
        torch.testing.assert_close(slow, fast, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(rest["residual"], left["residual"], rtol=1e-4, atol=1e-6)

    def test_integrated_gradients_add_up(self, convnet: nn.Module, x: Tensor) -> None:
        l2l = attr.LayerToLayerAttribution(convnet, "conv1", "conv2")
        found = l2l.attribute(
            x, "channel", "spatial", method="LayerIntegratedGradients", n_steps=64
        )
        seen = [
            hooks.run_until(convnet, {"c": convnet.conv2}, image)["c"]
            for image in (x, torch.zeros_like(x))
        ]
        change = (seen[0] - seen[1]).sum((2, 3)).detach()
        torch.testing.assert_close(found.sum((2, 3)), change, rtol=0, atol=5e-2)

    def test_options_without_a_method(self, convnet: nn.Module, x: Tensor) -> None:
        l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
        with pytest.raises(InvalidArgument, match="n_steps: options belong to a method"):
            l2l.attribute(x, n_steps=3)

    def test_too_many_passes(self, convnet: nn.Module, x: Tensor) -> None:
        l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
        with pytest.raises(UnsupportedMethod, match="would need 2,400 forward passes"):
            l2l.attribute(x, "neuron", method="LayerConductance", n_steps=100)


def test_operation_without_a_batching_rule(x: Tensor) -> None:
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: Tensor) -> Tensor:
            ctx.save_for_backward(a)
            return a**3

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            if type(grad) is not Tensor or torch._C._functorch.is_batchedtensor(grad):
                raise RuntimeError("no batching rule")
            return grad * 3 * ctx.saved_tensors[0] ** 2

    class Cubed(nn.Module):
        def forward(self, a: Tensor) -> Tensor:
            return Cube.apply(a)

    net = nn.Sequential(nn.Conv2d(3, 2, 5), Cubed(), nn.Conv2d(2, 3, 2)).eval()
    found = attr.LayerToLayerAttribution(net, "0", "2").attribute(x, "channel", "spatial")
    a = net[0](x).detach()
    gradient = attr_loops.gradient(lambda acts: net[2](acts**3)[:, 1].sum(), a)
    torch.testing.assert_close(found[:, 1], (gradient * a).sum(1), rtol=1e-4, atol=1e-5)


def test_score_values_have_the_seeds_as_gradient(vit: nn.Module, x9: Tensor) -> None:
    output = hooks.run_until(vit, {"b": vit.block2}, x9)["b"].detach()
    for atom in ("spatial", "channel", "neuron", "whole", "tokens", Directions(UPPER)):
        found = scores_of(atom, output, detect(output.shape), None)
        leaf = output.clone().requires_grad_()
        for row, index in enumerate(found.indices[:3]):
            (expected,) = torch.autograd.grad(found.values(leaf)[:, row].sum(), leaf)
            torch.testing.assert_close(found.seeds([index])[0], expected)


@pytest.mark.parametrize("target_atom", ["spatial", "channel", "neuron", "group"])
@pytest.mark.parametrize("source_atom", ["channel", "whole"])
def test_some_targets(target_atom: str, source_atom: str, convnet: nn.Module, x: Tensor) -> None:
    l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
    chosen: dict[str, list[Any]] = {
        "spatial": [(1, 0), (0, 1)],
        "channel": [4, 0],
        "neuron": [(5, 1, 0), (0, 0, 0)],
        "group": [1],
    }
    atom = Directions(UPPER) if target_atom == "group" else target_atom
    everything = l2l.attribute(x, atom, source_atom)
    some = l2l.attribute(x, atom, source_atom, targets=chosen[target_atom])
    assert some.shape[1] == len(chosen[target_atom])
    for position, index in enumerate(chosen[target_atom]):
        place = index if isinstance(index, tuple) else (index,)
        torch.testing.assert_close(some[:, position], everything[(slice(None), *place)])


def test_some_targets_cost_no_more_than_themselves(
    convnet: nn.Module, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, ...]] = []
    seeds = targets._Spatial.seeds

    def counted(self: Any, indices: Any) -> Tensor:
        asked.extend(indices)
        return seeds(self, indices)

    monkeypatch.setattr(targets._Spatial, "seeds", counted)
    l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
    l2l.attribute(x, "spatial", "spatial", targets=[(1, 0)])
    assert asked == [(1, 0)]


@pytest.mark.parametrize("target_atom", ["neuron", "channel", "whole"])
@pytest.mark.parametrize("source_atom", ["channel", "group"])
@pytest.mark.parametrize("picks", [[2, 0], [1]])
@pytest.mark.parametrize("method", [None, "LayerGradientXActivation"])
def test_some_sources(
    target_atom: str,
    source_atom: str,
    picks: list[int],
    method: str | None,
    convnet: nn.Module,
    x: Tensor,
) -> None:
    source: Any = Directions(LOWER) if source_atom == "group" else source_atom
    ways: dict[str, Any] = {"method": method, "return_remainder": True}
    l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
    every, rest = l2l.attribute(x, target_atom, source, **ways)
    some, remainder = l2l.attribute(x, target_atom, source, sources=picks, **ways)
    torch.testing.assert_close(some, every[..., picks])
    others = [atom for atom in range(every.shape[-1]) if atom not in picks]
    torch.testing.assert_close(remainder.pop("others"), every[..., others].sum(-1))
    assert remainder.keys() == rest.keys()
    for name, held in rest.items():
        torch.testing.assert_close(remainder[name], held)


def test_some_sources_of_tokens(vit: nn.Module, x9: Tensor) -> None:
    l2l = attr.LayerToLayerAttribution(vit, "block1", "block2")
    every, rest = l2l.attribute(x9, "spatial", "channel", return_remainder=True)
    some, remainder = l2l.attribute(x9, "spatial", "channel", sources=[3], return_remainder=True)
    torch.testing.assert_close(some, every[..., [3]])
    torch.testing.assert_close(remainder["tokens"], rest["tokens"])
    torch.testing.assert_close(remainder["others"], every.sum(-1) - every[..., 3])


def test_some_sources_cost_no_more_than_themselves(
    convnet: nn.Module, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    forwards = layer_to_layer.pushed_forward

    def counted(segment: Any, leaf: Any, output: Any, directions: Any, *how: Any) -> Any:
        held = list(directions)
        rows.append(len(held))
        return forwards(segment, leaf, output, iter(held), *how)

    monkeypatch.setattr(layer_to_layer, "pushed_forward", counted)
    l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
    l2l.attribute(x, "neuron", "channel", sources=[1, 4])
    assert rows == [3]  # these two, and all others together


@pytest.mark.parametrize(
    ("atom", "picks", "said"),
    [
        ("channel", [5], "sources= names channel 5; there are 0 to 4"),
        ("spatial", [0], "sources= picks channels or groups; atoms here are spatial"),
    ],
)
def test_sources_that_cannot_be(
    atom: str, picks: list[int], said: str, convnet: nn.Module, x: Tensor
) -> None:
    l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
    with pytest.raises(InvalidArgument, match=f"^{re.escape(said)}$"):
        l2l.attribute(x, "whole", atom, sources=picks)


def test_network_comes_back_as_it_was(convnet: nn.Module, x: Tensor, snapshot: Taken) -> None:
    convnet.train()
    convnet.drop.eval()
    before = snapshot(convnet)
    l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
    with pytest.warns(UserWarning, match="training mode"), torch.inference_mode():
        l2l.attribute(x + 0)
    with pytest.warns(UserWarning, match="training mode"), pytest.raises(InvalidArgument):
        l2l.attribute(x * float("inf"))
    assert snapshot(convnet) == before
    assert torch.is_grad_enabled()


def test_a_batch_equals_its_images_one_by_one(convnet: nn.Module, x: Tensor) -> None:
    l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
    for source in ("spatial", "whole"):
        single = torch.cat([l2l.attribute(x[i : i + 1], "neuron", source) for i in range(2)])
        torch.testing.assert_close(l2l.attribute(x, "neuron", source), single)


def test_network_with_one_number_per_image(x: Tensor) -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Conv2d(2, 1, 6), nn.Flatten(0)).eval()
    l2l = attr.LayerToLayerAttribution(net, "1")
    found = l2l.attribute(x)
    assert found.shape == (2, 1, 6, 6)
    torch.testing.assert_close(l2l.attribute(x, method="LayerGradientXActivation"), found)


class Aside(nn.Module):
    """A layer that runs and leads nowhere."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.side = net, nn.Conv2d(3, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.side(x)
        return self.net(x)


class TestRefusals:
    def test_layers_in_the_wrong_order(self, convnet: nn.Module, x: Tensor) -> None:
        l2l = attr.LayerToLayerAttribution(convnet, "conv2", "conv1")
        with pytest.raises(InvalidArgument, match="exchange source_layer and target_layer"):
            l2l.attribute(x)

    def test_layer_that_runs_twice(self, residual_net: nn.Module, x: Tensor) -> None:
        l2l = attr.LayerToLayerAttribution(residual_net, "stem", "relu")
        with pytest.raises(UnusableLayer, match="'relu' runs 2 times in one forward pass"):
            l2l.attribute(x)

    def test_source_that_leads_nowhere(self, convnet: nn.Module, x: Tensor) -> None:
        aside = Aside(convnet).eval()
        with pytest.raises(UnusableLayer, match="the class scores do not depend on layer 'side'"):
            attr.LayerToLayerAttribution(aside, "side").attribute(x)

    def test_layers_side_by_side(self, branches: tuple[nn.Module, nn.Module], x: Tensor) -> None:
        l2l = attr.LayerToLayerAttribution(branches[1], "left", "right")
        with pytest.raises(InvalidArgument, match="runs before or beside it; exchange source_lay"):
            l2l.attribute(x)

    def test_layer_that_never_runs(self, convnet: nn.Module, x: Tensor) -> None:
        convnet.spare = nn.Linear(1, 1).eval()
        with pytest.raises(UnusableLayer, match="without calling layer 'spare'"):
            attr.LayerToLayerAttribution(convnet, "conv1", "spare").attribute(x)

    def test_same_layer(self, convnet: nn.Module) -> None:
        with pytest.raises(InvalidArgument, match="'conv1' is both source and target"):
            attr.LayerToLayerAttribution(convnet, "conv1", convnet.conv1)

    def test_unknown_layer(self, convnet: nn.Module) -> None:
        with pytest.raises(LayerNotFound, match="no layer 'conv9' in ConvNet; did you mean"):
            attr.LayerToLayerAttribution(convnet, "conv1", "conv9")

    @pytest.mark.parametrize(
        ("arguments", "kind", "message"),
        [
            (
                {"target_atom": "spacial"},
                UnknownName,
                "no target atom 'spacial'; did you mean 'spa",
            ),
            ({"source_atom": "chanel"}, UnknownName, "no source atom 'chanel'; did you mean 'chan"),
            ({"target_atom": "tokens"}, InvalidArgument, "has no class or register tokens"),
            ({"targets": [(2, 0)]}, InvalidArgument, r"target \(2, 0\) does not exist"),
            (
                {"target_atom": "channel", "targets": [6]},
                InvalidArgument,
                "target 6 does not exist",
            ),
            ({"source_atom": "tokens"}, InvalidArgument, "source layer has no class or register"),
            ({"targets": 3}, WrongType, "targets=3 is no list of targets"),
            ({"targets": []}, InvalidArgument, "no target was given"),
            ({"targets": [(1.0, 0)]}, WrongType, r"target 1\.0 is not an index"),
            ({"chunk_size": 0}, InvalidArgument, "chunk_size=0; at least one row"),
            ({"source_atom": Directions(UPPER)}, InvalidArgument, "this layer has 5 channels"),
            ({"source_atom": object()}, InvalidArgument, "object given is not fitted"),
        ],
    )
    def test_arguments(
        self,
        arguments: dict[str, Any],
        kind: type[Exception],
        message: str,
        convnet: nn.Module,
        x: Tensor,
    ) -> None:
        l2l = attr.LayerToLayerAttribution(convnet, "pool", "conv2")
        with pytest.raises(kind, match=message):
            l2l.attribute(x, **arguments)

    def test_positions_of_the_output(self, convnet: nn.Module, x: Tensor) -> None:
        l2l = attr.LayerToLayerAttribution(convnet, "pool")
        with pytest.raises(InvalidArgument, match="the output of the network is made of classes"):
            l2l.attribute(x, "spatial")


def test_segment_is_the_network_between(convnet: nn.Module, x: Tensor) -> None:
    between = segment.Segment(convnet, convnet.pool, convnet.conv2, x)
    acts = torch.rand(2, 5, 3, 3)
    torch.testing.assert_close(between(acts), convnet.conv2(acts))
    assert Layout("NCHW").to_maps(between(acts)).shape == (2, 6, 2, 2)
