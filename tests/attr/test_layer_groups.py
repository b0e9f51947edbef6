from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from captum.attr import (
    IntegratedGradients,
    InternalInfluence,
    LayerAttribution,
    LayerConductance,
    LayerDeepLift,
    LayerDeepLiftShap,
    LayerFeatureAblation,
    LayerGradCam,
    LayerGradientShap,
    LayerGradientXActivation,
    LayerIntegratedGradients,
    NoiseTunnel,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from captum_blocks import attr
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, UnusableLayer, WrongType
from captum_blocks.layouts import Layout
from tests.attr.conftest import Directions
from tests.reference import attr_loops

Taken = Callable[[nn.Module], list[Any]]

METHODS: list[tuple[type, dict[str, Any]]] = [
    (LayerGradientXActivation, {}),
    (LayerIntegratedGradients, {"n_steps": 5}),
    (LayerDeepLift, {}),
    (LayerConductance, {"n_steps": 5}),
    (LayerFeatureAblation, {}),
    (LayerGradCam, {"attr_dim_summation": False}),
    (LayerGradientShap, {"baselines": torch.zeros(2, 3, 8, 8)}),
    (LayerDeepLiftShap, {"baselines": torch.zeros(2, 3, 8, 8)}),
    (attr.LayerPathGradients, {"n_steps": 5}),
]


@pytest.mark.parametrize(("kind", "options"), METHODS)
def test_groups_and_residual_are_the_wrapped_attribution_everywhere(
    kind: type, options: dict[str, Any], convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    convnet.relu1.inplace = convnet.relu2.inplace = False
    wrapped = kind(convnet, convnet.relu2)
    torch.manual_seed(3)
    expected = wrapped.attribute(x, target=1, **options).detach()
    torch.manual_seed(3)
    lga = attr.LayerGroupAttribution(wrapped, three_groups)
    assert isinstance(lga, LayerAttribution)
    groups, rest = lga.attribute(x, target=1, return_residual=True, **options)
    assert groups.shape == (2, 3, 2, 2)
    assert rest.shape == (2, 1, 2, 2)
    assert not groups.requires_grad
    total = groups.sum(1, keepdim=True) + rest
    torch.testing.assert_close(total, expected.sum(1, keepdim=True), rtol=1e-4, atol=1e-6)


def test_linear_methods_follow_the_formula_of_the_article(
    convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    lga = attr.LayerGroupAttribution(LayerGradientXActivation(convnet, convnet.relu2), three_groups)
    groups = lga.attribute(x, target=1)
    a = attr.LayerMethod(convnet, "relu2").attribute(x, [1]).activation
    head = attr.head.Head(convnet, convnet.relu2)
    gradient = attr_loops.gradient(lambda acts: head(acts, x)[:, 1].sum(), a)
    parts, _ = attr_loops.regrouped(
        a,
        (gradient * a)[:, None],
        gradient[:, None],
        three_groups.transform(a),
        three_groups.components_,
    )
    torch.testing.assert_close(groups, parts[:, 0])


def test_other_methods_share_what_each_channel_has(
    convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    wrapped = LayerConductance(convnet, convnet.relu2)
    groups = attr.LayerGroupAttribution(wrapped, three_groups).attribute(x, target=1, n_steps=5)
    result = attr.LayerMethod(convnet, "relu2", LayerConductance, n_steps=5).attribute(x, [1])
    a = result.activation
    parts, _ = attr_loops.regrouped(
        a, result.maps, None, three_groups.transform(a), three_groups.components_
    )
    torch.testing.assert_close(groups, parts[:, 0])


def test_order_of_what_is_returned(convnet: nn.Module, x: Tensor, three_groups: Directions) -> None:
    wrapped = LayerIntegratedGradients(convnet, convnet.conv2)
    lga = attr.LayerGroupAttribution(wrapped, three_groups)
    assert lga.has_convergence_delta()
    assert isinstance(lga.attribute(x, target=1), Tensor)
    groups, delta = lga.attribute(x, target=1, return_convergence_delta=True)
    assert (groups.shape, delta.shape) == ((2, 3, 2, 2), (2,))
    groups, rest, delta = lga.attribute(
        x, target=1, return_residual=True, return_convergence_delta=True
    )
    assert (rest.shape, delta.shape) == ((2, 1, 2, 2), (2,))
    change = (convnet(x) - convnet(torch.zeros_like(x)))[:, 1].detach()
    added = groups.sum((1, 2, 3)) + rest.sum((1, 2, 3))
    torch.testing.assert_close(added - change, delta, rtol=0, atol=1e-4)


def test_noise_tunnel_inside_smooths_before_grouping(
    convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    convnet.relu1.inplace = convnet.relu2.inplace = False
    noise = {"nt_samples": 4, "stdevs": 0.2}
    tunnel = NoiseTunnel(LayerGradientXActivation(convnet, convnet.relu2))
    torch.manual_seed(7)
    expected = tunnel.attribute(x, target=1, **noise)
    torch.manual_seed(7)
    groups, rest = attr.LayerGroupAttribution(tunnel, three_groups).attribute(
        x, target=1, return_residual=True, **noise
    )
    torch.testing.assert_close(groups.sum(1) + rest[:, 0], expected.sum(1))


def test_noise_tunnel_around_groups_each_noisy_activation(
    convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    lga = attr.LayerGroupAttribution(LayerGradientXActivation(convnet, convnet.relu2), three_groups)
    torch.manual_seed(7)
    smooth = NoiseTunnel(lga).attribute(x, nt_samples=3, stdevs=0.2, target=1)
    torch.manual_seed(7)
    noisy = x.repeat_interleave(3, 0) + torch.normal(0, torch.full((6, 3, 8, 8), 0.2))
    each = lga.attribute(noisy, target=1).reshape(2, 3, 3, 2, 2).mean(1)
    torch.testing.assert_close(smooth, each)
    groups, rest = NoiseTunnel(lga).attribute(
        x, nt_samples=2, stdevs=0.2, target=1, return_residual=True
    )
    assert (groups.shape, rest.shape) == ((2, 3, 2, 2), (2, 1, 2, 2))


def test_tokens_belong_to_the_residual(vit: nn.Module, x9: Tensor) -> None:
    wrapped = LayerGradientXActivation(vit, vit.block1)
    reducer = Directions(torch.rand(2, 6), channel_axis=-1)
    groups, rest = attr.LayerGroupAttribution(wrapped, reducer).attribute(
        x9, target=1, return_residual=True
    )
    assert (groups.shape, rest.shape) == ((2, 10, 2), (2, 10, 1))
    assert groups[:, 0].abs().max() == 0
    expected = wrapped.attribute(x9, target=1).sum(2, keepdim=True)
    torch.testing.assert_close(groups.sum(2, keepdim=True) + rest, expected)


def test_channels_last(channels_last: nn.Module, x9: Tensor) -> None:
    wrapped = LayerGradientXActivation(channels_last, channels_last.mix)
    reducer = Directions(torch.rand(2, 7), channel_axis=-1)
    groups, rest = attr.LayerGroupAttribution(wrapped, reducer, "NHWC").attribute(
        x9, target=1, return_residual=True
    )
    assert (groups.shape, rest.shape) == ((2, 4, 4, 2), (2, 4, 4, 1))


class TestCaptumsOwnChecks:
    """What Captum asks of its classes: no hook is left."""

    @pytest.mark.parametrize("target", [1, 99])
    def test_no_hook_is_left(
        self, target: int, convnet: nn.Module, x: Tensor, three_groups: Directions, snapshot: Taken
    ) -> None:
        before = snapshot(convnet)
        for kind in (LayerGradientXActivation, LayerIntegratedGradients, LayerDeepLift):
            lga = attr.LayerGroupAttribution(kind(convnet, convnet.conv2), three_groups)
            if target == 1:
                lga.attribute(x, target=target)
            else:
                with pytest.raises(InvalidArgument, match="class 99 does not exist"):
                    lga.attribute(x, target=target)
            assert snapshot(convnet) == before

    def test_no_hook_is_left_by_a_layer_that_raises(
        self, convnet: nn.Module, x: Tensor, three_groups: Directions, snapshot: Taken
    ) -> None:
        before = snapshot(convnet)
        lga = attr.LayerGroupAttribution(LayerConductance(convnet, convnet.conv2), three_groups)
        with pytest.raises(RuntimeError):
            lga.attribute(x[:, :2], target=0)
        assert snapshot(convnet) == before


class TestRefusals:
    def test_weights(self, convnet: nn.Module, three_groups: Directions) -> None:
        with pytest.raises(UnsupportedMethod, match="InternalInfluence as configured yields weigh"):
            attr.LayerGroupAttribution(InternalInfluence(convnet, convnet.conv2), three_groups)

    def test_collapsed_channels(
        self, convnet: nn.Module, x: Tensor, three_groups: Directions
    ) -> None:
        lga = attr.LayerGroupAttribution(LayerGradCam(convnet, convnet.conv2), three_groups)
        with pytest.raises(UnsupportedMethod, match="pass attr_dim_summation=False"):
            lga.attribute(x, target=0)

    @pytest.mark.parametrize("nt_type", ["smoothgrad_sq", "vargrad"])
    def test_residual_of_squares(
        self, nt_type: str, convnet: nn.Module, x: Tensor, three_groups: Directions
    ) -> None:
        tunnel = NoiseTunnel(LayerGradientXActivation(convnet, convnet.conv2))
        lga = attr.LayerGroupAttribution(tunnel, three_groups)
        with pytest.raises(
            UnsupportedMethod, match="squares the attributions, so nothing adds up; "
        ):
            lga.attribute(x, target=0, return_residual=True, nt_type=nt_type)

    def test_squares_around_are_told_of_in_the_docstring(
        self, convnet: nn.Module, x: Tensor, three_groups: Directions
    ) -> None:
        lga = attr.LayerGroupAttribution(
            LayerGradientXActivation(convnet, convnet.conv2), three_groups
        )
        found = NoiseTunnel(lga).attribute(
            x, nt_samples=2, stdevs=0.0, nt_type="smoothgrad_sq", target=0
        )
        torch.testing.assert_close(found, lga.attribute(x, target=0) ** 2)
        assert "not to be summed" in " ".join((type(lga).__doc__ or "").split())

    def test_input_method(self, convnet: nn.Module, three_groups: Directions) -> None:
        with pytest.raises(UnsupportedMethod, match="GroupAttribution runs it on the groups"):
            attr.LayerGroupAttribution(IntegratedGradients(convnet), three_groups)

    def test_a_class_instead_of_an_instance(self, three_groups: Directions) -> None:
        with pytest.raises(WrongType, match="wraps a configured Captum layer attribution"):
            attr.LayerGroupAttribution(LayerConductance, three_groups)

    def test_reducer_that_is_not_fitted(self, convnet: nn.Module) -> None:
        with pytest.raises(InvalidArgument, match=r"object given is not fitted .*call fit on act"):
            attr.LayerGroupAttribution(LayerConductance(convnet, convnet.conv2), object())

    @pytest.mark.parametrize("target", [4, -5, [0, 9], torch.tensor([0, 9])])
    def test_target_out_of_range(
        self, target: Any, convnet: nn.Module, x: Tensor, three_groups: Directions
    ) -> None:
        lga = attr.LayerGroupAttribution(LayerDeepLift(convnet, convnet.conv2), three_groups)
        with pytest.raises(InvalidArgument, match="does not exist: this network has classes 0 to"):
            lga.attribute(x, target=target)

    @pytest.mark.parametrize(
        ("target", "message"),
        [(None, "give target=, the index of a class"), ([0], "give one class index, or one per")],
    )
    def test_target_of_another_form(
        self, target: Any, message: str, convnet: nn.Module, x: Tensor, three_groups: Directions
    ) -> None:
        wrapped = LayerGradientXActivation(convnet, convnet.conv2)
        with pytest.raises(UnsupportedMethod, match=message):
            attr.LayerGroupAttribution(wrapped, three_groups).attribute(x, target=target)

    def test_activations_that_are_not_numbers(
        self, convnet: nn.Module, x: Tensor, three_groups: Directions
    ) -> None:
        wrapped = LayerGradientXActivation(convnet, convnet.conv2)
        with pytest.raises(InvalidArgument, match="'Conv2d' has activations that are NaN or inf"):
            attr.LayerGroupAttribution(wrapped, three_groups).attribute(x * torch.inf, target=0)

    def test_layer_that_is_never_called(
        self, convnet: nn.Module, x: Tensor, three_groups: Directions
    ) -> None:
        convnet.spare = nn.Linear(1, 1).eval()
        wrapped = LayerGradientXActivation(convnet, convnet.spare)
        with pytest.raises(UnusableLayer, match="to its end without calling layer 'Linear'"):
            attr.LayerGroupAttribution(wrapped, three_groups).attribute(x, target=0)

    def test_delta_of_a_method_without_one(
        self, convnet: nn.Module, x: Tensor, three_groups: Directions
    ) -> None:
        wrapped = LayerGradientXActivation(convnet, convnet.conv2)
        lga = attr.LayerGroupAttribution(wrapped, three_groups)
        with pytest.raises(UnsupportedMethod, match="Activation has no convergence delta; leave"):
            lga.attribute(x, target=0, return_convergence_delta=True)

    def test_layer_by_name(self, convnet: nn.Module, three_groups: Directions) -> None:
        with pytest.raises(WrongType, match=r"e\.g\. model\.get_submodule\('conv2'\)"):
            attr.LayerGroupAttribution(LayerConductance(convnet, "conv2"), three_groups)

    def test_reducer_of_another_width(self, convnet: nn.Module, x: Tensor) -> None:
        lga = attr.LayerGroupAttribution(
            LayerConductance(convnet, convnet.conv2), Directions(torch.rand(3, 5))
        )
        with pytest.raises(InvalidArgument, match="fitted on another width: this layer has 6 chan"):
            lga.attribute(x, target=0)

    def test_unknown_argument(
        self, convnet: nn.Module, x: Tensor, three_groups: Directions
    ) -> None:
        lga = attr.LayerGroupAttribution(LayerConductance(convnet, convnet.conv2), three_groups)
        with pytest.raises(InvalidArgument, match="no argument 'steps'; did you mean 'n_steps'"):
            lga.attribute(x, target=0, steps=3)


def test_layer_that_another_branch_uses_too(
    branches: tuple[nn.Module, nn.Module], x: Tensor, three_groups: Directions
) -> None:
    shared, apart = branches
    for kind in (LayerIntegratedGradients, LayerFeatureAblation):
        pair = (kind(shared, shared.relu), kind(apart, apart.second))
        found, expected = (
            attr.LayerGroupAttribution(one, three_groups).attribute(x, target=1) for one in pair
        )
        torch.testing.assert_close(found, expected)


def test_training_mode_is_told_and_restored(
    convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    lga = attr.LayerGroupAttribution(LayerConductance(convnet, convnet.conv2), three_groups)
    expected = lga.attribute(x, target=1)
    convnet.train()
    with pytest.warns(UserWarning, match=r"it was evaluated in eval\(\) mode"):
        assert torch.equal(lga.attribute(x, target=1), expected)
    assert convnet.training


def test_inference_mode_around(convnet: nn.Module, x: Tensor, three_groups: Directions) -> None:
    lga = attr.LayerGroupAttribution(LayerConductance(convnet, convnet.conv2), three_groups)
    expected = lga.attribute(x, target=1)
    with torch.inference_mode():
        torch.testing.assert_close(lga.attribute(x + 0, target=1), expected)


@pytest.mark.parametrize("name", ["LayerConductance", "LayerIntegratedGradients"])
def test_layer_method_groups_equal_the_captum_class(
    name: str, convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    result = attr.LayerMethod(convnet, "conv2", name, n_steps=5).attribute_groups(
        x, [1, 2], three_groups
    )
    kind = {"LayerConductance": LayerConductance}.get(name, LayerIntegratedGradients)
    lga = attr.LayerGroupAttribution(kind(convnet, convnet.conv2), three_groups)
    for position, target in enumerate([1, 2]):
        groups, rest = lga.attribute(x, target=target, n_steps=5, return_residual=True)
        torch.testing.assert_close(result.maps[:, position], groups)
        torch.testing.assert_close(result.residual[:, position], rest[:, 0])


class Free(nn.Module):
    """Any activation as an input: the layer passes it on to a curved head."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.layer, self.head = nn.Identity(), nn.Linear(numbers, 3)

    def forward(self, acts: Tensor) -> Tensor:
        return torch.tanh(self.head(self.layer(acts).flatten(1)))


@settings(max_examples=20)
@given(
    st.sampled_from(["NCHW", "NHWC", "tokens"]),
    st.integers(1, 2),
    st.integers(1, 4),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 4),
    st.sampled_from([LayerGradientXActivation, LayerConductance, attr.LayerPathGradients]),
)
def test_adds_up_in_every_shape_and_layout(
    kind: str, images: int, channels: int, grid: tuple[int, int], groups: int, method: type
) -> None:
    torch.manual_seed(channels)
    layout = Layout(kind, prefix=kind == "tokens", grid=grid if kind == "tokens" else None)
    maps = torch.rand(images, channels, *grid)
    acts = layout.from_maps(maps, torch.rand(images, layout.prefix, channels))
    net = Free(acts[0].numel()).eval()
    reducer = Directions(torch.rand(groups, channels) + 0.1, layout.channel_axis)
    wrapped = method(net, net.layer)
    options = {} if method is LayerGradientXActivation else {"n_steps": 3}
    found, rest = attr.LayerGroupAttribution(wrapped, reducer, layout).attribute(
        acts, target=1, return_residual=True, **options
    )
    expected = wrapped.attribute(acts, target=1, **options)
    axis = layout.channel_axis
    torch.testing.assert_close(
        found.sum(axis) + rest.sum(axis), expected.sum(axis).detach(), rtol=1e-4, atol=1e-6
    )
