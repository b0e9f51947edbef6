from __future__ import annotations

from typing import Any

import pytest
import torch
from captum.attr import LayerAttribution, NoiseTunnel
from torch import Tensor, nn

from captum_blocks import attr
from captum_blocks.attr.head import Head, probe
from captum_blocks.errors import (
    InvalidArgument,
    UnknownName,
    UnsupportedMethod,
    UnusableLayer,
    WrongType,
)
from tests.attr.conftest import Directions
from tests.reference import attr_loops


@pytest.mark.parametrize("path", ["linear", "integrated", "stochastic"])
def test_equals_the_loop_over_the_path(path: str, convnet: nn.Module, x: Tensor) -> None:
    method = attr.LayerPathGradients(convnet, convnet.pool)
    found = method.attribute(x, target=1, path=path, n_steps=6, seed=3)
    a, head = probe(convnet, convnet.pool, "pool", x).activation, Head(convnet, convnet.pool)

    def one(acts: Tensor) -> Tensor:
        return head(acts, x)[:, 1].sum()

    if path == "linear":
        expected = attr_loops.gradient(one, a)
    else:
        draws = torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(3))
        factors = (draws[0] + draws[1]) / 1.5 if path == "stochastic" else None
        expected = attr_loops.path_gradient(one, a, 6, factors)
    torch.testing.assert_close(found, expected * a)
    weights = attr.LayerPathGradients(convnet, convnet.pool, multiply_by_inputs=False)
    alone = weights.attribute(x, target=1, path=path, n_steps=6, seed=3)
    torch.testing.assert_close(alone, expected)


def test_linear_path_is_gradient_times_activation(convnet: nn.Module, x: Tensor) -> None:
    path = attr.LayerMethod(convnet, "pool", "LayerPathGradients", path="linear")
    plain = attr.LayerMethod(convnet, "pool")
    torch.testing.assert_close(path.attribute(x, [2]).maps, plain.attribute(x, [2]).maps)


def test_integrated_path_adds_up(convnet: nn.Module, x: Tensor) -> None:
    method = attr.LayerPathGradients(convnet, convnet.pool)
    total = method.attribute(x, target=1, n_steps=400).sum((1, 2, 3))
    a, head = probe(convnet, convnet.pool, "pool", x).activation, Head(convnet, convnet.pool)
    change = (head(a, x) - head(torch.zeros_like(a), x))[:, 1].detach()
    torch.testing.assert_close(total, change, rtol=0, atol=1e-2)


class TestConvergenceDelta:
    @pytest.mark.parametrize("path", ["linear", "integrated", "stochastic"])
    def test_equals_its_definition(self, path: str, convnet: nn.Module, x: Tensor) -> None:
        method = attr.LayerPathGradients(convnet, convnet.pool)
        assert method.has_convergence_delta()
        call: dict[str, Any] = {"target": [1, 3], "path": path, "n_steps": 4}
        found, delta = method.attribute(x, **call, return_convergence_delta=True)
        torch.testing.assert_close(found, method.attribute(x, **call))
        a, head = probe(convnet, convnet.pool, "pool", x).activation, Head(convnet, convnet.pool)
        for image, target in enumerate((1, 3)):
            one, picture = a[image : image + 1], x[image : image + 1]
            change = head(one, picture)[0, target] - head(0 * one, picture)[0, target]
            torch.testing.assert_close(delta[image], (found[image].sum() - change).detach())
        again = method.compute_convergence_delta(found, None, x, target=[1, 3])
        torch.testing.assert_close(again, delta)

    def test_from_another_start(self, convnet: nn.Module, x: Tensor) -> None:
        method = attr.LayerPathGradients(convnet, convnet.pool)
        a, head = probe(convnet, convnet.pool, "pool", x).activation, Head(convnet, convnet.pool)
        start = torch.rand_like(a[:1])
        found = method.compute_convergence_delta((a,), start, x, target=2)
        change = head(a, x)[:, 2] - head(start.expand_as(a), x)[:, 2]
        torch.testing.assert_close(found, (a.sum((1, 2, 3)) - change).detach())

    def test_small_with_many_steps_and_not_on_a_straight_gradient(
        self, convnet: nn.Module, x: Tensor
    ) -> None:
        method = attr.LayerPathGradients(convnet, convnet.pool)
        call: dict[str, Any] = {"target": 1, "return_convergence_delta": True}
        _, fine = method.attribute(x, **call, n_steps=400)
        _, coarse = method.attribute(x, **call, path="linear")
        assert fine.abs().max() < 1e-2 < coarse.abs().max()

    def test_reaches_the_results_of_the_adapters(
        self, convnet: nn.Module, x: Tensor, three_groups: Directions
    ) -> None:
        path: dict[str, Any] = {"path": "linear"}
        plain = attr.LayerMethod(convnet, "conv2", "LayerPathGradients", **path)
        method = attr.LayerPathGradients(convnet, convnet.conv2)
        _, delta = method.attribute(x, target=1, **path, return_convergence_delta=True)
        found = plain.attribute(x, [1])
        assert found.delta is not None
        torch.testing.assert_close(found.delta[:, 0], delta)
        grouped = attr.LayerGroupAttribution(method, three_groups)
        _, through = grouped.attribute(x, target=1, **path, return_convergence_delta=True)
        torch.testing.assert_close(through, delta)
        tunnel = NoiseTunnel(method)
        _, noisy = tunnel.attribute(
            x, nt_samples=3, stdevs=0.0, target=1, **path, return_convergence_delta=True
        )
        torch.testing.assert_close(noisy, delta.repeat_interleave(3))

    def test_weights_have_none(self, convnet: nn.Module, x: Tensor) -> None:
        method = attr.LayerPathGradients(convnet, convnet.pool, multiply_by_inputs=False)
        assert not method.has_convergence_delta()
        with pytest.raises(UnsupportedMethod, match="these are weights, which add up to nothing"):
            method.attribute(x, target=1, return_convergence_delta=True)
        with pytest.raises(UnsupportedMethod, match="leave return_convergence_delta out"):
            method.compute_convergence_delta(x, None, x, target=1)

    def test_shapes_of_another_place(self, convnet: nn.Module, x: Tensor) -> None:
        method = attr.LayerPathGradients(convnet, convnet.pool)
        found = method.attribute(x, target=1, n_steps=2)
        with pytest.raises(InvalidArgument, match=r"start_point of shape \(2, 3, 8, 8\) does not "):
            method.compute_convergence_delta(found, x, x, target=1)
        with pytest.raises(InvalidArgument, match=r"attributions of shape \(2, 5\) does not fit"):
            method.compute_convergence_delta(found.sum((2, 3)), None, x, target=1)


def test_is_a_captum_layer_attribution(convnet: nn.Module, x: Tensor) -> None:
    method = attr.LayerPathGradients(convnet, convnet.pool)
    assert isinstance(method, LayerAttribution)
    smooth = NoiseTunnel(method).attribute(x, nt_samples=2, stdevs=0.1, target=1, n_steps=2)
    assert smooth.shape == (2, 5, 3, 3)
    each = torch.cat(
        [method.attribute(x[i : i + 1], target=t, n_steps=3) for i, t in ((0, 1), (1, 3))]
    )
    torch.testing.assert_close(method.attribute(x, target=[1, 3], n_steps=3), each)


def test_same_seed_same_numbers_and_nothing_from_the_global_generator(
    convnet: nn.Module, x: Tensor
) -> None:
    method = attr.LayerPathGradients(convnet, convnet.pool)
    call: dict[str, Any] = {"target": 0, "path": "stochastic", "n_steps": 3}
    before = torch.get_rng_state()
    first = method.attribute(x, **call)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(method.attribute(x, **call), first)
    torch.testing.assert_close(method.attribute(x[1:], **call), first[1:])
    assert not torch.equal(method.attribute(x, seed=1, **call), first)


def test_inference_and_training_mode_around(convnet: nn.Module, x: Tensor) -> None:
    method = attr.LayerPathGradients(convnet, convnet.conv2)
    expected = method.attribute(x, target=1, n_steps=3)
    convnet.train()
    with torch.inference_mode(), pytest.warns(UserWarning, match="training mode"):
        found = method.attribute(x + 0, target=1, n_steps=3)
    torch.testing.assert_close(found, expected)
    assert convnet.training


class TestDependence:
    def test_linear_head_does_not_depend_on_the_path(self) -> None:
        net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(12, 2)).eval()
        found = attr.path_dependence(net, "0", torch.randn(2, 1, 3, 3), [0, 1])
        assert found.spread.shape == (2, 2, 3)
        assert found.axes == ("channel",)
        assert found.spread.max() < 1e-4

    def test_range_over_the_largest_magnitude(self, convnet: nn.Module, x: Tensor) -> None:
        found = attr.path_dependence(convnet, "pool", x, [1], "spatial", n_steps=5)
        values = torch.stack(
            [found.values[path] for path in ("linear", "integrated", "stochastic")]
        )
        for index in torch.cartesian_prod(*(torch.arange(n) for n in found.spread.shape)).tolist():
            three = [float(value[tuple(index)]) for value in values]
            expected = (max(three) - min(three)) / max(map(abs, three))
            assert float(found.spread[tuple(index)]) == pytest.approx(expected, rel=1e-4)
        assert 0 < found.spread.max() <= 2

    def test_groups(self, convnet: nn.Module, x: Tensor, three_groups: Directions) -> None:
        found = attr.path_dependence(convnet, "conv2", x, [1], three_groups, n_steps=3)
        assert found.axes == ("group",)
        linear = attr.LayerMethod(convnet, "conv2").attribute_groups(x, [1], three_groups)
        torch.testing.assert_close(found.values["linear"], linear.maps.sum((3, 4)))

    @pytest.mark.filterwarnings("error")
    def test_network_in_evaluation_mode_is_not_warned_of(
        self, convnet: nn.Module, x: Tensor
    ) -> None:
        assert attr.path_dependence(convnet, "conv2", x, [1], n_steps=2).spread.shape == (2, 1, 6)

    def test_silent_layer(self, convnet: nn.Module, x: Tensor) -> None:
        torch.nn.init.zeros_(convnet.conv2.weight)
        torch.nn.init.zeros_(convnet.conv2.bias)
        assert attr.path_dependence(convnet, "conv2", x, [1], n_steps=2).spread.max() == 0

    def test_unknown_atom(self, convnet: nn.Module, x: Tensor) -> None:
        with pytest.raises(UnknownName, match="give the fitted reducer itself"):
            attr.path_dependence(convnet, "conv2", x, [1], "group")


class TestRefusals:
    @pytest.mark.parametrize(
        ("call", "kind", "message"),
        [
            (
                {"target": 1, "path": "strait"},
                UnknownName,
                "no path 'strait'.*known: linear, integ",
            ),
            ({"target": 1, "n_steps": 0}, InvalidArgument, "n_steps=0; a path has at least one po"),
            ({"target": 4}, InvalidArgument, "class 4 does not exist: this network has classes 0"),
            ({"target": "cat"}, WrongType, "target 'cat' is not an index"),
            (
                {"target": [1, 2, 3]},
                InvalidArgument,
                "3 targets for 2 images; give one, or one per",
            ),
            ({"target": 1, "n_steps": 2.5}, InvalidArgument, r"n_steps=2\.5; a path has at least"),
            ({}, InvalidArgument, "no target was given and the network has 4 classes"),
        ],
    )
    def test_arguments(
        self,
        call: dict[str, Any],
        kind: type[Exception],
        message: str,
        convnet: nn.Module,
        x: Tensor,
    ) -> None:
        with pytest.raises(kind, match=message):
            attr.LayerPathGradients(convnet, convnet.conv2).attribute(x, **call)

    def test_layer_that_runs_twice(self, branches: tuple[nn.Module, nn.Module], x: Tensor) -> None:
        with pytest.raises(UnusableLayer, match="layer 'ReLU' runs 2 times in one forward pass"):
            attr.LayerPathGradients(branches[0], branches[0].relu).attribute(x, target=0)
        with pytest.raises(UnusableLayer, match="layer 'relu' runs 2 times in one forward pass"):
            attr.path_dependence(branches[0], "relu", x, [0])

    def test_layer_that_is_never_called(self, convnet: nn.Module, x: Tensor) -> None:
        convnet.spare = nn.Linear(1, 1).eval()
        with pytest.raises(UnusableLayer, match="to its end without calling layer 'Linear'"):
            attr.LayerPathGradients(convnet, convnet.spare).attribute(x, target=0)

    def test_activations_that_are_not_numbers(self, convnet: nn.Module, x: Tensor) -> None:
        with pytest.raises(InvalidArgument, match="has activations that are NaN or infinite"):
            attr.LayerPathGradients(convnet, convnet.conv2).attribute(x * torch.nan, target=0)

    def test_score_without_a_gradient(self, convnet: nn.Module, x: Tensor) -> None:
        method = attr.LayerPathGradients(lambda x: convnet(x).round().detach(), convnet.conv2)
        with pytest.raises(UnusableLayer, match="does not depend on this layer through any grad"):
            method.attribute(x, target=0)
