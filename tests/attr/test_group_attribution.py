from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import captum.attr as captum_attr
import pytest
import torch
from torch import Tensor, nn

from captum_blocks import attr, hooks
from captum_blocks.attr.head import Head
from captum_blocks.attr.reducers import take_apart
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, UnusableLayer
from captum_blocks.layouts import Layout, detect
from tests.attr.conftest import Directions
from tests.reference import attr_loops

Taken = Callable[[nn.Module], list[Any]]


def change_of_the_score(net: nn.Module, layer: str, x: Tensor, targets: list[int]) -> Tensor:
    """F(A) - F(0)."""
    module = net.get_submodule(layer)
    a = attr.head.probe(net, module, layer, x).activation
    with torch.no_grad():
        head = Head(net, module)
        return (head(a, x) - head(torch.zeros_like(a), x))[:, targets]


def test_exact_shapley_equals_all_orders(
    convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    result = attr.GroupAttribution(convnet, "conv2", three_groups).attribute(x, [2, 0])
    a = attr.head.probe(convnet, convnet.conv2, "conv2", x).activation
    z, d = three_groups.transform(a), three_groups.components_
    rest = a - torch.einsum("ikyx,kc->icyx", z, d)
    head = Head(convnet, convnet.conv2)
    for image in range(2):
        one = slice(image, image + 1)

        def worth(present: frozenset[int], one: slice = one) -> float:
            acts = rest[one] * (3 in present)
            for k in range(3):
                if k in present:
                    acts = acts + z[one, k, None] * d[k][None, :, None, None]
            return head(acts, x[one])[0, 2].item()

        expected = attr_loops.shapley(worth, 4)
        found = [
            *result.maps[image, 0].sum((1, 2)).tolist(),
            float(result.residual[image, 0].sum()),
        ]
        assert found == pytest.approx(expected, abs=1e-5)


def test_exact_shapley_equals_captums(
    convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    exact = attr.GroupAttribution(convnet, "conv2", three_groups).attribute(x[:1], [1])

    class Theirs(captum_attr.ShapleyValues):
        """Not the class itself, so that Captum's own loop runs."""

    theirs = attr.GroupAttribution(convnet, "conv2", three_groups, Theirs).attribute(x[:1], [1])
    torch.testing.assert_close(exact.maps, theirs.maps, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(exact.residual, theirs.residual, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("ShapleyValues", {}, 1e-5),
        ("ShapleyValueSampling", {"n_samples": 2}, 1e-5),
        ("DeepLift", {}, 1e-5),
        ("IntegratedGradients", {"n_steps": 128}, 2e-3),
        ("KernelShap", {"n_samples": 200}, 5e-2),
    ],
)
def test_nothing_is_lost(
    name: str, options: dict[str, Any], tolerance: float, convnet: nn.Module, x: Tensor
) -> None:
    reducer = Directions(torch.rand(3, 6))
    method = attr.GroupAttribution(convnet, "conv2", reducer, name, **options)
    result = method.attribute(x, [3, 1])
    assert result.maps.shape == (2, 2, 3, 2, 2)
    assert result.residual.shape == (2, 2, 2, 2)
    expected = change_of_the_score(convnet, "conv2", x, [3, 1])
    torch.testing.assert_close(result.total, expected, rtol=0, atol=tolerance)
    assert not result.maps.requires_grad


@pytest.mark.parametrize("name", ["FeatureAblation", "InputXGradient", "GradientShap", "Lime"])
def test_other_input_methods_answer(name: str, convnet: nn.Module, x: Tensor) -> None:
    reducer = Directions(torch.rand(3, 6))
    result = attr.GroupAttribution(convnet, "conv2", reducer, name).attribute(x, [3])
    assert result.maps.shape == (2, 1, 3, 2, 2)
    assert bool(torch.isfinite(result.maps).all())


def test_gradient_methods_answer_by_position(
    convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    result = attr.GroupAttribution(convnet, "conv2", three_groups, "InputXGradient").attribute(
        x, [1]
    )
    shared = attr.LayerMethod(convnet, "conv2").attribute_groups(x, [1], three_groups)
    # Gradient times activation is linear: through the head or shared out is the same.
    torch.testing.assert_close(result.maps, shared.maps)
    torch.testing.assert_close(result.residual, shared.residual)


def test_one_number_per_group_is_spread_and_said_so(
    convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    result = attr.GroupAttribution(convnet, "conv2", three_groups).attribute(x, [1])
    a = attr.head.probe(convnet, convnet.conv2, "conv2", x).activation
    z = three_groups.transform(a)
    shares = z / z.sum((2, 3), keepdim=True)
    expected = result.maps.sum((3, 4), keepdim=True) * shares[:, None]
    there = z.sum((2, 3)) > 0
    torch.testing.assert_close(result.maps[:, 0][there], expected[:, 0][there])
    assert any("spread in proportion" in note for note in result.notes)


@pytest.mark.parametrize("name", ["ShapleyValues", "IntegratedGradients", "FeatureAblation"])
def test_tokens_are_a_player_of_their_own(name: str, vit: nn.Module, x9: Tensor) -> None:
    reducer = Directions(torch.rand(2, 6), channel_axis=-1)
    result = attr.GroupAttribution(vit, "block2", reducer, name).attribute(x9, [1])
    assert result.tokens.shape == (2, 1, 1)
    # Behind the last block only the class token is read.
    assert result.maps.abs().max() == pytest.approx(0, abs=1e-6)
    expected = change_of_the_score(vit, "block2", x9, [1])
    torch.testing.assert_close(result.total, expected, rtol=0, atol=1e-3)


def test_layer_method_sends_input_methods_through_the_head(
    convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    method = attr.LayerMethod(convnet, "conv2", "ShapleyValues")
    found = method.attribute_groups(x, [1], three_groups)
    expected = attr.GroupAttribution(convnet, "conv2", three_groups).attribute(x, [1])
    assert torch.equal(found.maps, expected.maps)


def test_network_that_knows_its_batch_size_gets_one_image_per_activation(
    x: Tensor, three_groups: Directions
) -> None:
    class Stubborn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 6, 3), nn.Linear(216, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.conv(x).reshape(len(x), 216))

    net = Stubborn().eval()
    result = attr.GroupAttribution(net, "conv", three_groups).attribute(x, [0])
    expected = change_of_the_score(net, "conv", x, [0])
    torch.testing.assert_close(result.total, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["IntegratedGradients", "ShapleyValues", "KernelShap"])
def test_one_image_runs_once_before_the_layer_however_many_steps(
    name: str, convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    sizes: list[int] = []

    def note(output: Tensor) -> Tensor:
        sizes.append(len(output))
        return output

    method = attr.GroupAttribution(convnet, "conv2", three_groups, name)
    # A network that is met for the first time is tried on two images side by side.
    method.attribute(x[:1], [0])
    with hooks.replace(convnet.conv1, note):
        method.attribute(x[:1], [0])
    assert set(sizes) == {1}


def test_pieces_are_the_activation(vit: nn.Module, x9: Tensor) -> None:
    a = attr.head.probe(vit, vit.block1, "block1", x9).activation
    pieces = take_apart(Directions(torch.rand(2, 6), -1), a, detect(a.shape))
    again = pieces.assembled(pieces.scores, pieces.residual, pieces.tokens)
    torch.testing.assert_close(again, a)


@pytest.mark.parametrize("name", ["ShapleyValues", "IntegratedGradients", "FeatureAblation"])
def test_a_batch_equals_its_images_one_by_one(
    name: str, convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    method = attr.GroupAttribution(convnet, "conv2", three_groups, name)
    whole = method.attribute(x, [1, 2])
    single = [method.attribute(x[i : i + 1], [1, 2]) for i in range(2)]
    torch.testing.assert_close(whole.maps, torch.cat([one.maps for one in single]))
    torch.testing.assert_close(whole.residual, torch.cat([one.residual for one in single]))


@pytest.mark.parametrize("name", ["ShapleyValues", "IntegratedGradients", "DeepLift"])
def test_under_inference_mode_also_with_a_reducer_fitted_there(
    name: str, convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    expected = attr.GroupAttribution(convnet, "conv2", three_groups, name).attribute(x, [1])
    with torch.inference_mode():
        fitted_here = Directions(three_groups.components_.clone())
        method = attr.GroupAttribution(convnet, "conv2", fitted_here, name)
        found = method.attribute(x + 0, [1])
    torch.testing.assert_close(found.maps, expected.maps)


def test_training_mode_is_told_and_restored(
    convnet: nn.Module, x: Tensor, three_groups: Directions
) -> None:
    method = attr.GroupAttribution(convnet, "conv2", three_groups)
    expected = method.attribute(x, [1]).maps
    convnet.train()
    with pytest.warns(UserWarning, match="training mode"):
        found = method.attribute(x, [1])
    assert torch.equal(found.maps, expected)
    assert "training mode" in found.notes[0]
    assert convnet.training


@pytest.mark.parametrize(("behind", "told"), [(nn.Sigmoid(), 0), (nn.Dropout(), 1)])
def test_a_container_in_training_mode_around_a_network_in_eval_is_no_news(
    convnet: nn.Module, x: Tensor, three_groups: Directions, behind: nn.Module, told: int
) -> None:
    around = nn.Sequential(convnet.eval(), behind)
    method = attr.GroupAttribution(around, "0.conv2", three_groups)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        method.attribute(x, [1])
    assert sum("training mode" in str(each.message) for each in caught) == told
    assert around.training


def test_network_comes_back_as_it_was(
    convnet: nn.Module, x: Tensor, three_groups: Directions, snapshot: Taken
) -> None:
    before = snapshot(convnet)
    for name in ("ShapleyValues", "DeepLift", "IntegratedGradients", "KernelShap"):
        attr.GroupAttribution(convnet, "conv2", three_groups, name).attribute(x, [0])
    assert snapshot(convnet) == before


class TestRefusals:
    @pytest.mark.parametrize("name", ["ShapleyValues", "IntegratedGradients", "KernelShap"])
    def test_layer_that_runs_twice(
        self, name: str, branches: tuple[nn.Module, nn.Module], x: Tensor, three_groups: Directions
    ) -> None:
        method = attr.GroupAttribution(branches[0], "relu", three_groups, name)
        with pytest.raises(UnusableLayer, match="layer 'relu' runs 2 times in one forward pass"):
            method.attribute(x, [0])

    @pytest.mark.parametrize(
        ("targets", "factor", "message"),
        [([4], 1.0, "class 4 does not exist"), ([0], torch.nan, "activations that are NaN or inf")],
    )
    def test_arguments(
        self,
        targets: list[int],
        factor: float,
        message: str,
        convnet: nn.Module,
        x: Tensor,
        three_groups: Directions,
    ) -> None:
        method = attr.GroupAttribution(convnet, "conv2", three_groups)
        with pytest.raises(InvalidArgument, match=message):
            method.attribute(x * factor, targets)

    def test_reducer_that_is_not_fitted(self, convnet: nn.Module) -> None:
        with pytest.raises(InvalidArgument, match="object given is not fitted"):
            attr.GroupAttribution(convnet, "conv2", object())

    def test_too_many_groups(self, convnet: nn.Module) -> None:
        with pytest.raises(UnsupportedMethod, match=r"9 groups .*ShapleyValueSampling or KernelS"):
            attr.GroupAttribution(convnet, "conv2", Directions(torch.rand(9, 6)))

    def test_layer_method(self, convnet: nn.Module, three_groups: Directions) -> None:
        with pytest.raises(UnsupportedMethod, match="wrap it in LayerGroupAttribution"):
            attr.GroupAttribution(convnet, "conv2", three_groups, "LayerConductance")

    def test_weights(self, convnet: nn.Module, three_groups: Directions) -> None:
        with pytest.raises(UnsupportedMethod, match="Saliency as configured yields weights"):
            attr.GroupAttribution(convnet, "conv2", three_groups, "Saliency")

    def test_methods_without_anything_to_work_on(
        self, convnet: nn.Module, three_groups: Directions
    ) -> None:
        with pytest.raises(UnsupportedMethod, match="Occlusion has nothing to work on"):
            attr.GroupAttribution(
                convnet, "conv2", three_groups, "Occlusion", sliding_window_shapes=(1,)
            )

    def test_noise_tunnel(self, convnet: nn.Module, three_groups: Directions) -> None:
        tunnel = captum_attr.NoiseTunnel(captum_attr.IntegratedGradients(convnet))
        with pytest.raises(UnsupportedMethod, match="would add noise to the groups"):
            attr.GroupAttribution(convnet, "conv2", three_groups, tunnel)

    def test_too_many_passes(self, convnet: nn.Module, x: Tensor, three_groups: Directions) -> None:
        method = attr.GroupAttribution(
            convnet, "conv2", three_groups, "IntegratedGradients", n_steps=3000
        )
        with pytest.raises(UnsupportedMethod, match="would need 3,000 forward passes"):
            method.attribute(x, [0])

    def test_reducer_of_another_width(self, convnet: nn.Module, x: Tensor) -> None:
        method = attr.GroupAttribution(convnet, "conv2", Directions(torch.rand(3, 5)))
        with pytest.raises(InvalidArgument, match="this layer has 6 channels"):
            method.attribute(x, [0])


def test_layout_can_be_declared(vit: nn.Module, x9: Tensor) -> None:
    reducer = Directions(torch.rand(2, 6), channel_axis=-1)
    layout = Layout("tokens", prefix=1, grid=(3, 3))
    declared = attr.GroupAttribution(vit, "block1", reducer, layout=layout).attribute(x9, [1])
    assert declared.maps.shape == (2, 1, 2, 3, 3)
