from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import captum.attr as captum_attr
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks import attr
from captum_blocks.attr import _calling
from captum_blocks.errors import (
    InvalidArgument,
    LayerNotFound,
    UnknownName,
    UnsupportedMethod,
    UnusableLayer,
    WrongType,
)
from captum_blocks.layouts import Layout
from tests.attr.conftest import Directions

Taken = Callable[[nn.Module], list[Any]]

OPTIONS: dict[str, dict[str, Any]] = {
    "IntegratedGradients": {"n_steps": 6},
    "InternalInfluence": {"n_steps": 6},
    "LayerConductance": {"n_steps": 6},
    "LayerGradCam": {"attr_dim_summation": False},
    "LayerIntegratedGradients": {"n_steps": 6},
    "LayerPathGradients": {"n_steps": 6},
    "Occlusion": {"sliding_window_shapes": (2, 1, 1)},
    "ShapleyValueSampling": {"n_samples": 1},
}
REFUSED = {"LayerLRP", "ShapleyValues"}
ON_HEAD = {
    name
    for name, kind in attr.methods().items()
    if not issubclass(kind, captum_attr.LayerAttribution) and name not in REFUSED
}


def safe_copy(convnet: nn.Module) -> nn.Module:
    """The same network, with nothing in place behind ``conv1``."""
    import copy

    copied = copy.deepcopy(convnet)
    copied.relu1.inplace = copied.relu2.inplace = False
    return copied


@pytest.mark.parametrize("name", sorted(set(attr.methods()) - REFUSED))
def test_every_method_answers_in_one_form_and_leaves_no_trace(
    name: str, convnet: nn.Module, x: Tensor, snapshot: Taken
) -> None:
    before = snapshot(convnet)
    method = attr.LayerMethod(convnet, "conv2", name, **OPTIONS.get(name, {}))
    result = method.attribute(x, [3, 1])
    assert result.maps.shape == (2, 2, 6, 2, 2)
    assert result.tokens.shape == (2, 2, 0, 6)
    assert result.activation.shape == (2, 6, 2, 2)
    assert not result.maps.requires_grad
    assert method.forward_passes(x, 2) <= attr.MOST_FORWARD_PASSES
    assert snapshot(convnet) == before
    assert not x.requires_grad


@pytest.mark.parametrize(
    "name",
    [
        "InternalInfluence",
        "LayerConductance",
        "LayerDeepLift",
        "LayerFeatureAblation",
        "LayerGradCam",
        "LayerGradientXActivation",
        "LayerIntegratedGradients",
    ],
)
def test_equals_captum_itself_also_with_an_operation_in_place_behind(
    name: str, convnet: nn.Module, x: Tensor
) -> None:
    options = OPTIONS.get(name, {})
    result = attr.LayerMethod(convnet, "conv2", name, **options).attribute(x, [3, 1])
    safe = safe_copy(convnet)
    plain = getattr(captum_attr, name)(safe, safe.conv2)
    for position, target in enumerate([3, 1]):
        expected = plain.attribute(x, target=target, **options).detach()
        torch.testing.assert_close(result.maps[:, position], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("LayerConductance", False),
        ("LayerDeepLift", True),
        ("LayerIntegratedGradients", False),
        ("LayerDeepLiftShap", True),
        ("DeepLift", True),
        ("IntegratedGradients", False),
    ],
)
def test_complete_methods_add_up_to_the_change_of_the_score(
    name: str, exact: bool, convnet: nn.Module, x: Tensor
) -> None:
    options = {} if exact else {"n_steps": 64}
    method = attr.LayerMethod(convnet, "conv2", name, **options)
    result = method.attribute(x, [0, 2])
    with torch.no_grad():
        if method.on_head:
            start = attr.head.Head(convnet, convnet.conv2)(torch.zeros(2, 6, 2, 2), x)
        else:
            start = convnet(torch.zeros_like(x))
        change = (convnet(x) - start)[:, [0, 2]]
    tolerance = 1e-5 if exact else 2e-2
    torch.testing.assert_close(result.maps.sum((2, 3, 4)), change, rtol=0, atol=tolerance)
    assert result.delta is not None
    assert result.delta.shape == (2, 2)
    torch.testing.assert_close(
        result.delta.abs(), (result.maps.sum((2, 3, 4)) - change).abs(), rtol=0, atol=1e-4
    )


def test_a_batch_equals_its_images_one_by_one(convnet: nn.Module, x: Tensor) -> None:
    for name in ("LayerGradientXActivation", "LayerConductance", "LayerPathGradients"):
        method = attr.LayerMethod(convnet, "conv2", name)
        whole = method.attribute(x, [1, 2]).maps
        single = torch.cat([method.attribute(x[i : i + 1], [1, 2]).maps for i in range(2)])
        torch.testing.assert_close(whole, single)


class TestForms:
    def test_class_instance_factory_and_name_agree(self, convnet: nn.Module, x: Tensor) -> None:
        kind = captum_attr.LayerIntegratedGradients
        forms = [
            attr.LayerMethod(convnet, "conv2", "LayerIntegratedGradients", n_steps=5),
            attr.LayerMethod(convnet, convnet.conv2, kind, n_steps=5),
            attr.LayerMethod(convnet, "conv2", kind(convnet, convnet.conv2), n_steps=5),
            attr.LayerMethod(convnet, "conv2", lambda net, layer: kind(net, layer), n_steps=5),
        ]
        answers = [form.attribute(x, [1]).maps for form in forms]
        assert all(torch.equal(answers[0], other) for other in answers[1:])

    def test_configured_instance_is_left_as_it_was(self, convnet: nn.Module, x: Tensor) -> None:
        instance = captum_attr.LayerConductance(convnet, convnet.conv2)
        attr.LayerMethod(convnet, "conv2", instance, n_steps=3).attribute(x, [1])
        assert instance.layer is convnet.conv2
        assert instance.forward_func is convnet

    def test_noise_tunnel_by_name_and_by_hand(self, convnet: nn.Module, x: Tensor) -> None:
        noise = {"nt_samples": 3, "stdevs": 0.1}
        tunnel = captum_attr.NoiseTunnel(
            captum_attr.LayerGradientXActivation(convnet, convnet.conv2)
        )
        torch.manual_seed(5)
        by_hand = attr.LayerMethod(convnet, "conv2", tunnel, **noise).attribute(x, [1])
        torch.manual_seed(5)
        by_name = attr.LayerMethod(convnet, "conv2", noise=noise).attribute(x, [1])
        torch.manual_seed(5)
        safe = safe_copy(convnet)
        plain = captum_attr.NoiseTunnel(
            captum_attr.LayerGradientXActivation(safe, safe.conv2)
        ).attribute(x, target=1, **noise)
        assert torch.equal(by_hand.maps, by_name.maps)
        torch.testing.assert_close(by_name.maps[:, 0], plain)

    def test_subclass_of_somebody_else(self, convnet: nn.Module, x: Tensor) -> None:
        class Doubled(captum_attr.LayerGradientXActivation):
            def attribute(self, inputs: Tensor, target: Any = None) -> Tensor:
                return 2 * captum_attr.LayerGradientXActivation.attribute(self, inputs, target)

        plain = attr.LayerMethod(convnet, "conv2").attribute(x, [1])
        doubled = attr.LayerMethod(convnet, "conv2", Doubled).attribute(x, [1])
        torch.testing.assert_close(doubled.maps, 2 * plain.maps)

    def test_function_that_has_chosen_its_class(self, convnet: nn.Module, x: Tensor) -> None:
        for kind in (captum_attr.LayerGradientXActivation, captum_attr.LayerConductance):
            chosen = kind(lambda x: convnet(x)[:, 2], convnet.conv2)
            found = attr.LayerMethod(convnet, "conv2", chosen).attribute(x, [0]).maps
            expected = attr.LayerMethod(convnet, "conv2", kind).attribute(x, [2]).maps
            torch.testing.assert_close(found, expected)

    def test_permutation_equals_captum_with_the_class_closed_over(
        self, convnet: nn.Module, x: Tensor
    ) -> None:
        safe = safe_copy(convnet)
        plain = captum_attr.LayerFeaturePermutation(lambda x: safe(x)[:, 1], safe.conv2)
        torch.manual_seed(4)
        expected = plain.attribute(x)
        torch.manual_seed(4)
        found = attr.LayerMethod(convnet, "conv2", "LayerFeaturePermutation").attribute(x, [3, 1])
        torch.manual_seed(4)
        alone = attr.LayerMethod(convnet, "conv2", "LayerFeaturePermutation").attribute(x, [1])
        torch.testing.assert_close(alone.maps[:, 0], expected)
        assert found.maps.shape == (2, 2, 6, 2, 2)

    def test_relevance_equals_captum(self, x: Tensor) -> None:
        class Plain(nn.Sequential):
            def forward(self, x: Tensor) -> Tensor:
                conv, relu, pool, head = self
                return head(pool(relu(conv(x))).flatten(1))

        # Captum has no rule for nn.Flatten.
        net = Plain(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Linear(36, 3)).eval()
        found = attr.LayerMethod(net, "0", "LayerLRP").attribute(x, [2, 0])
        assert found.contributes
        for position, target in enumerate([2, 0]):
            expected = captum_attr.LayerLRP(net, net[0]).attribute(x, target=target)
            torch.testing.assert_close(found.maps[:, position], expected.detach())

    def test_function_instead_of_the_network(self, convnet: nn.Module, x: Tensor) -> None:
        method = captum_attr.LayerGradientXActivation(
            lambda x: convnet(x).softmax(1), convnet.conv2
        )
        softmax = attr.LayerMethod(convnet, "conv2", method).attribute(x, [1])
        assert not torch.allclose(
            softmax.maps, attr.LayerMethod(convnet, "conv2").attribute(x, [1]).maps
        )

    def test_weights_are_told_from_contributions(self, convnet: nn.Module) -> None:
        names = ["InternalInfluence", "Saliency", "LayerConductance", "ShapleyValueSampling"]
        found = [attr.LayerMethod(convnet, "conv2", name).contributes for name in names]
        assert found == [False, False, True, True]
        gradient = attr.LayerMethod(convnet, "conv2", multiply_by_inputs=False)
        assert not gradient.contributes
        squared = attr.LayerMethod(convnet, "conv2", noise={"nt_type": "vargrad"})
        assert not squared.contributes

    def test_what_keeps_numbers_from_adding_up_is_named(
        self, convnet: nn.Module, x: Tensor, three_groups: Directions
    ) -> None:
        for nt_type in ("smoothgrad_sq", "vargrad"):
            squared = attr.LayerMethod(convnet, "conv2", noise={"nt_type": nt_type})
            wanted = f"nt_type='{nt_type}' squares the attributions, .*use nt_type='smoothgrad'"
            with pytest.raises(UnsupportedMethod, match=wanted):
                squared.attribute_groups(x, [0], three_groups)
        cut = attr.LayerMethod(
            convnet, "conv2", "LayerGradCam", attr_dim_summation=False, relu_attributions=True
        )
        with pytest.raises(UnsupportedMethod, match="cuts off what is negative; leave relu_attrib"):
            cut.attribute_groups(x, [0], three_groups)

    def test_gradient_alone(self, convnet: nn.Module, x: Tensor) -> None:
        plain = attr.LayerMethod(convnet, "conv2").attribute(x, [1])
        weights = attr.LayerMethod(convnet, "conv2", multiply_by_inputs=False).attribute(x, [1])
        torch.testing.assert_close(weights.maps * plain.activation[:, None], plain.maps)


class TestLayers:
    def test_class_token_is_no_position(self, vit: nn.Module, x9: Tensor) -> None:
        result = attr.LayerMethod(vit, "block2").attribute(x9, [0])
        assert result.maps.shape == (2, 1, 6, 3, 3)
        assert result.tokens.shape == (2, 1, 1, 6)
        # Behind the last block only the class token is read: the patches hold exactly nothing.
        assert result.maps.abs().max() == 0
        assert (
            attr.to_atoms("spatial", result.maps, result.tokens).remainder["tokens"].abs().min() > 0
        )

    def test_channels_last(self, channels_last: nn.Module, x9: Tensor) -> None:
        result = attr.LayerMethod(channels_last, "mix", layout="NHWC").attribute(x9, [0])
        plain = captum_attr.LayerGradientXActivation(channels_last, channels_last.mix)
        expected = plain.attribute(x9, target=0).permute(0, 3, 1, 2)
        torch.testing.assert_close(result.maps[:, 0], expected)

    @pytest.mark.parametrize("name", ["LayerGradientXActivation", "LayerIntegratedGradients"])
    def test_layer_that_returns_more_than_a_tensor(
        self, name: str, residual_net: nn.Module, x: Tensor
    ) -> None:
        result = attr.LayerMethod(residual_net, "pair", name).attribute(x, [0])
        assert result.maps.shape == (2, 1, 6, 3, 3)

    def test_sum_in_place_behind_the_layer(self, residual_net: nn.Module, x: Tensor) -> None:
        method = attr.LayerMethod(residual_net, "bn", "LayerIntegratedGradients", n_steps=32)
        result = method.attribute(x, [2])
        assert result.delta is not None
        assert result.maps.abs().sum() > 0

    def test_module_used_twice_is_looked_at_on_its_last_call(
        self, residual_net: nn.Module, x: Tensor
    ) -> None:
        twice = attr.LayerMethod(residual_net, "relu").attribute(x, [0])
        behind = attr.LayerMethod(residual_net, "pair").attribute(x, [0])
        torch.testing.assert_close(twice.maps, behind.maps)

    @pytest.mark.parametrize(
        "name",
        [
            "LayerConductance",
            "LayerDeepLift",
            "LayerFeatureAblation",
            "LayerFeaturePermutation",
            "LayerGradientXActivation",
            "LayerIntegratedGradients",
        ],
    )
    def test_last_call_of_a_layer_that_another_branch_uses_too(
        self, name: str, branches: tuple[nn.Module, nn.Module], x: Tensor
    ) -> None:
        shared, apart = branches
        found, expected = [], []
        for net, layer, maps in ((shared, "relu", found), (apart, "second", expected)):
            torch.manual_seed(2)
            maps.append(attr.LayerMethod(net, layer, name).attribute(x, [1]).maps)
        torch.testing.assert_close(found, expected)
        assert found[0].abs().sum() > 0

    @pytest.mark.parametrize(
        "name", ["LayerPathGradients", *sorted(n for n in attr.methods() if n in ON_HEAD)]
    )
    def test_methods_that_put_activations_in_refuse_a_layer_that_runs_twice(
        self, name: str, branches: tuple[nn.Module, nn.Module], x: Tensor, snapshot: Taken
    ) -> None:
        before = snapshot(branches[0])
        method = attr.LayerMethod(branches[0], "relu", name, **OPTIONS.get(name, {}))
        with pytest.raises(
            UnusableLayer,
            match="layer 'relu' runs 2 times in one forward pass; choose a layer that runs once",
        ):
            method.attribute(x, [1])
        assert snapshot(branches[0]) == before

    def test_any_kind_of_integer_is_a_target(self, convnet: nn.Module, x: Tensor) -> None:
        method = attr.LayerMethod(convnet, "conv2")
        expected = method.attribute(x, [2, 1]).maps
        assert torch.equal(method.attribute(x, torch.tensor([2, 1])).maps, expected)
        assert torch.equal(method.attribute(x, np.array([2, 1])).maps, expected)

    def test_frozen_network(self, convnet: nn.Module, x: Tensor) -> None:
        expected = attr.LayerMethod(convnet, "conv2").attribute(x, [0]).maps
        convnet.requires_grad_(False)
        assert torch.equal(attr.LayerMethod(convnet, "conv2").attribute(x, [0]).maps, expected)
        assert not any(p.requires_grad for p in convnet.parameters())

    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    def test_gradients_work_where_the_caller_switched_them_off(
        self, mode: Any, convnet: nn.Module, x: Tensor
    ) -> None:
        expected = attr.LayerMethod(convnet, "conv2").attribute(x, [0]).maps
        with mode():
            found = attr.LayerMethod(convnet, "conv2").attribute(x + 0, [0]).maps
            integrated = attr.LayerMethod(convnet, "conv2", "LayerConductance", n_steps=2)
            assert integrated.attribute(x + 0, [0]).maps.abs().sum() > 0
        torch.testing.assert_close(found, expected)

    def test_training_mode_is_told_and_restored(self, convnet: nn.Module, x: Tensor) -> None:
        expected = attr.LayerMethod(convnet, "conv2").attribute(x, [0]).maps
        convnet.train()
        convnet.drop.eval()
        with pytest.warns(UserWarning, match="it was evaluated in eval"):
            result = attr.LayerMethod(convnet, "conv2").attribute(x, [0])
        assert torch.equal(result.maps, expected)
        assert "training mode" in result.notes[0]
        assert (convnet.training, convnet.drop.training) == (True, False)


class TestNotes:
    def test_zero_baseline_is_told(self, convnet: nn.Module, x: Tensor) -> None:
        told = attr.LayerMethod(convnet, "conv2", "LayerConductance", n_steps=64)
        assert told.attribute(x, [0]).notes == (
            "baseline: zeros, in the network's own input scale",
        )
        given = attr.LayerMethod(
            convnet, "conv2", "LayerConductance", n_steps=64, baselines=x * 0.5
        )
        assert given.attribute(x, [0]).notes == ()

    def test_a_gap_in_the_total_is_told(self, vit: nn.Module, x9: Tensor) -> None:
        # DeepLift knows no softmax and no functional GELU, and goes on all the same.
        result = attr.LayerMethod(vit, "block1", "LayerDeepLift").attribute(x9, [0])
        assert any("misses the change of the score by up to" in note for note in result.notes)

    def test_baseline_image_is_pushed_through_to_the_layer(
        self, convnet: nn.Module, x: Tensor
    ) -> None:
        call: dict[str, Any] = {"n_steps": 64}
        by_image = attr.LayerMethod(
            convnet, "conv2", "IntegratedGradients", baselines=x * 0.1, **call
        ).attribute(x, [1])
        start = attr.head.probe(convnet, convnet.conv2, "conv2", x * 0.1).activation
        by_activation = attr.LayerMethod(
            convnet, "conv2", "IntegratedGradients", baselines=start, **call
        ).attribute(x, [1])
        assert torch.equal(by_image.maps, by_activation.maps)
        assert any("what the layer makes of the image" in note for note in by_image.notes)
        # A straight line at the layer between two images is what the layer method walks, too.
        layer = attr.LayerMethod(
            convnet, "conv2", "LayerIntegratedGradients", baselines=x * 0.1, **call
        )
        torch.testing.assert_close(layer.attribute(x, [1]).maps, by_image.maps)

    def test_head_methods_say_where_they_ran(self, convnet: nn.Module, x: Tensor) -> None:
        notes = attr.LayerMethod(convnet, "conv2", "IntegratedGradients").attribute(x, [0]).notes
        assert any("rest of the network" in note for note in notes)


class TestRefusals:
    def test_unknown_method_names_the_nearest(self) -> None:
        with pytest.raises(UnknownName, match="did you mean 'LayerConductance'"):
            attr.resolve_method("LayerConductanse")

    def test_unknown_option_names_the_valid_ones(self, convnet: nn.Module) -> None:
        with pytest.raises(InvalidArgument, match=r"did you mean 'n_steps'\?.* it has: baselines"):
            attr.LayerMethod(convnet, "conv2", "LayerIntegratedGradients", nsteps=3)

    def test_unknown_layer(self, convnet: nn.Module) -> None:
        with pytest.raises(LayerNotFound, match="did you mean 'conv"):
            attr.LayerMethod(convnet, "conv3")

    def test_collapsed_channels(self, convnet: nn.Module) -> None:
        with pytest.raises(UnsupportedMethod, match="pass attr_dim_summation=False"):
            attr.LayerMethod(convnet, "conv2", "LayerGradCam")

    def test_copied_scores(self, convnet: nn.Module) -> None:
        mask = torch.zeros(1, 6, 2, 2, dtype=torch.long)
        with pytest.raises(UnsupportedMethod, match="copy one score to every neuron"):
            attr.LayerMethod(convnet, "conv2", "LayerFeatureAblation", layer_mask=mask)

    def test_grad_cam_on_tokens(self, vit: nn.Module, x9: Tensor) -> None:
        method = attr.LayerMethod(vit, "block1", "LayerGradCam", attr_dim_summation=False)
        with pytest.raises(UnsupportedMethod, match="not positions in the layout 'tokens'"):
            method.attribute(x9, [0])

    def test_relevance_without_a_rule(self, convnet: nn.Module, x: Tensor, snapshot: Taken) -> None:
        net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.GELU(), nn.Flatten(), nn.Linear(72, 2)).eval()
        before = snapshot(net)
        with pytest.raises(UnsupportedMethod, match=r"LayerLRP cannot do layer '0'.*needs a rule"):
            attr.LayerMethod(net, "0", "LayerLRP").attribute(x, [0])
        assert snapshot(net) == before

    def test_deep_lift_and_a_reused_activation(
        self, residual_net: nn.Module, x: Tensor, snapshot: Taken
    ) -> None:
        before = snapshot(residual_net)
        with pytest.raises(UnsupportedMethod, match="give each activation function its own module"):
            attr.LayerMethod(residual_net, "stem", "LayerDeepLift").attribute(x, [0])
        assert snapshot(residual_net) == before

    def test_too_many_forward_passes(self, x: Tensor) -> None:
        wide = nn.Sequential(nn.Upsample(scale_factor=8), nn.Flatten(), nn.Linear(12288, 2)).eval()
        method = attr.LayerMethod(wide, "0", "LayerFeatureAblation")
        assert method.forward_passes(x, 1) == 12289
        with pytest.raises(
            UnsupportedMethod, match=r"would need 12,289 forward passes for 1 class"
        ):
            method.attribute(x, [0])

    def test_permutation_of_one_image(self, convnet: nn.Module, x: Tensor) -> None:
        method = attr.LayerMethod(convnet, "conv2", "LayerFeaturePermutation")
        with pytest.raises(UnsupportedMethod, match="one image has nothing to exchange with"):
            method.attribute(x[:1], [0])

    @pytest.mark.parametrize(
        ("targets", "kind", "message"),
        [
            ([4], InvalidArgument, "class 4 does not exist: this network has classes 0 to 3"),
            ([-1], InvalidArgument, "class -1 does not exist"),
            ([], InvalidArgument, "no target was given; give at least one"),
            ([1.0], WrongType, r"target 1\.0 is not an index; give integers"),
            ([True], WrongType, "target True is not an index"),
            (3, WrongType, r"targets=3 is no list of targets; give one, e\.g\. targets=\[207\]"),
        ],
    )
    def test_targets(
        self, targets: Any, kind: type[Exception], message: str, convnet: nn.Module, x: Tensor
    ) -> None:
        with pytest.raises(kind, match=message):
            attr.LayerMethod(convnet, "conv2").attribute(x, targets)

    def test_activations_that_are_not_numbers(
        self, convnet: nn.Module, x: Tensor, snapshot: Taken
    ) -> None:
        before = snapshot(convnet)
        with pytest.raises(InvalidArgument, match="'conv2' has activations that are NaN"):
            attr.LayerMethod(convnet, "conv2").attribute(x * float("nan"), [0])
        assert snapshot(convnet) == before

    def test_layer_that_is_never_called(self, convnet: nn.Module, x: Tensor) -> None:
        convnet.spare = nn.Linear(1, 1).eval()
        with pytest.raises(UnusableLayer, match="without calling layer 'spare'"):
            attr.LayerMethod(convnet, "spare").attribute(x, [0])

    def test_layer_that_leads_nowhere(self, x: Tensor) -> None:
        class Aside(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv, self.side = nn.Conv2d(3, 2, 8), nn.Conv2d(3, 2, 8)

            def forward(self, x: Tensor) -> Tensor:
                self.side(x)
                return self.conv(x)[:, :, 0, 0]

        with pytest.raises(UnusableLayer, match="do not depend on this layer"):
            attr.LayerMethod(Aside().eval(), "side").attribute(x, [0])

    def test_instance_of_another_layer(self, convnet: nn.Module) -> None:
        other = captum_attr.LayerConductance(convnet, convnet.conv1)
        with pytest.raises(InvalidArgument, match="made for another layer than 'conv2'"):
            attr.LayerMethod(convnet, "conv2", other)

    def test_instance_of_another_network(self, convnet: nn.Module, x: Tensor) -> None:
        other = deepcopy(convnet)
        layered = captum_attr.LayerConductance(other, other.conv2)
        for made in (layered, captum_attr.ShapleyValueSampling(other)):
            with pytest.raises(
                InvalidArgument, match="made for a network without the layer 'conv2', a"
            ):
                attr.LayerMethod(convnet, "conv2", made)
        wrapped = nn.Sequential(convnet)
        inside = captum_attr.LayerGradientXActivation(wrapped, convnet.conv2)
        attr.LayerMethod(convnet, "conv2", inside).attribute(x, [0])

    def test_instance_made_for_a_name(self, convnet: nn.Module) -> None:
        named = captum_attr.LayerConductance(convnet, "conv2")
        with pytest.raises(WrongType, match=r"made for layer 'conv2'; Captum takes the module it"):
            attr.LayerMethod(convnet, "conv2", named)

    def test_one_number_per_image_and_a_method_that_needs_the_module(self, x: Tensor) -> None:
        net = nn.Sequential(nn.Conv2d(3, 1, 8), nn.Flatten(0)).eval()
        with pytest.raises(UnsupportedMethod, match=r"so that it returns \(image, class\), also"):
            attr.LayerMethod(net, "0", "LayerDeepLift").attribute(x, [0])

    def test_network_made_under_inference_mode(self, x: Tensor) -> None:
        with torch.inference_mode():
            net = nn.Sequential(nn.Conv2d(3, 2, 8), nn.Flatten()).eval()
        with pytest.raises(InvalidArgument, match=r"made under torch\.inference_mode\(\), so noth"):
            attr.LayerMethod(net, "0").attribute(x, [0])

    def test_several_layers(self, convnet: nn.Module) -> None:
        both = captum_attr.LayerActivation(convnet, [convnet.conv1, convnet.conv2])
        with pytest.raises(UnsupportedMethod, match="made for 2 layers; make one per layer"):
            attr.LayerMethod(convnet, "conv2", both)

    def test_network_that_returns_maps(self, x: Tensor) -> None:
        net = nn.Sequential(nn.Conv2d(3, 2, 3)).eval()
        with pytest.raises(InvalidArgument, match=r"a tensor of shape \(2, 2, 6, 6\), not"):
            attr.LayerMethod(net, "0").attribute(x, [0])

    def test_something_that_is_no_method(self, convnet: nn.Module) -> None:
        with pytest.raises(WrongType, match="method is a int; give a name"):
            attr.LayerMethod(convnet, "conv2", 3)
        with pytest.raises(WrongType, match="the factory returned NoneType"):
            attr.LayerMethod(convnet, "conv2", lambda net, layer: None)
        with pytest.raises(UnsupportedMethod, match="NoiseTunnel is no attribution method of its"):
            attr.LayerMethod(convnet, "conv2", captum_attr.NoiseTunnel)

    @pytest.mark.parametrize("name", ["IntegratedGradients", "LayerConductance"])
    def test_baselines_of_another_shape(self, name: str, convnet: nn.Module, x: Tensor) -> None:
        method = attr.LayerMethod(convnet, "conv2", name, baselines=torch.zeros(1, 3, 9, 9))
        with pytest.raises(InvalidArgument, match=r"baselines of shape \(1, 3, 9, 9\) do not fit"):
            method.attribute(x, [0])

    def test_captums_own_demands_come_with_a_way_round(self, convnet: nn.Module, x: Tensor) -> None:
        method = attr.LayerMethod(convnet, "conv2", noise={"stdevs": 1})
        with pytest.raises(UnsupportedMethod, match=r"write stdevs as a float, e\.g\. stdevs=1\.0"):
            method.attribute(x, [0])

    def test_wrong_layout(self, convnet: nn.Module, x: Tensor) -> None:
        with pytest.raises(InvalidArgument, match="does not have the layout"):
            attr.LayerMethod(convnet, "conv2", layout=Layout("tokens", 1, (2, 2))).attribute(x, [0])

    @pytest.mark.parametrize(
        ("images", "kind"),
        [(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), InvalidArgument), ([[0.0]], WrongType)],
    )
    def test_images(self, images: Any, kind: type[Exception], convnet: nn.Module) -> None:
        with pytest.raises(kind, match="the images are"):
            attr.LayerMethod(convnet, "conv2").attribute(images, [0])


def test_interrupt_leaves_no_trace(convnet: nn.Module, x: Tensor, snapshot: Taken) -> None:
    before = snapshot(convnet)

    def stopping(images: Tensor) -> Tensor:
        answer = convnet(images)
        if len(images) > 2:
            raise KeyboardInterrupt
        return answer

    method = captum_attr.LayerConductance(stopping, convnet.conv2)
    with pytest.raises(KeyboardInterrupt):
        attr.LayerMethod(convnet, "conv2", method).attribute(x, [0])
    assert snapshot(convnet) == before


@pytest.mark.parametrize("rule", ["riemann_left", "riemann_right", "gausslegendre"])
def test_captums_own_option_called_method_is_passed_on(rule):
    """Captum's rule of integration has the name of an argument here."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 2)).eval()
    x = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    expected = captum_attr.LayerConductance(net, net[1]).attribute(
        x, target=1, n_steps=5, method=rule
    )
    asked = attr.WithOptions("LayerConductance", {"method": rule, "n_steps": 5})
    found = attr.LayerMethod(net, "1", asked).attribute(x, [1]).maps[:, 0]
    torch.testing.assert_close(found, expected)
    word = cb.Method("LayerConductance", method=rule, n_steps=5)
    content = cb.Attribution(cb.Hidden("1"), cb.Out(1), method=word)
    torch.testing.assert_close(cb.evaluate(content, cb.Network(net), x).data[:, 0], expected)
    between = cb.Attribution(cb.Hidden("0"), cb.Hidden("1").channels, method=word)
    shares = cb.evaluate(between, cb.Network(net), x).data
    score = _Channel(net, 2)
    reference = captum_attr.LayerConductance(score, net[0]).attribute(
        x, target=0, n_steps=5, method=rule
    )
    torch.testing.assert_close(shares[:, 2], reference)


class _Channel(nn.Module):
    """The sum of one channel of the second layer, as a score."""

    def __init__(self, net, channel):
        super().__init__()
        self.net, self.channel = net, channel

    def forward(self, x):
        return self.net[:2](x)[:, self.channel].sum((1, 2))[:, None]


class _Counting(nn.Module):
    """Keeps count of how many pictures go through at once."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 2))
        self.most = 0

    def forward(self, x):
        self.most = max(self.most, len(x))
        return self.body(x)


@pytest.mark.parametrize("name", ["LayerIntegratedGradients", "LayerConductance"])
def test_path_methods_run_within_a_memory_budget(name, monkeypatch):
    net = _Counting().eval()
    x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    captums = getattr(captum_attr, name)(net, net.body[1])
    expected = captums.attribute(x, target=1, n_steps=20)
    assert net.most >= 2 * 20
    net.most = 0
    monkeypatch.setattr(_calling, "MEMORY_BUDGET", 6 * _calling.KEPT * 3 * 6 * 6 * 4)
    found = attr.LayerMethod(net, "body.1", name, n_steps=20).attribute(x, [1]).maps[:, 0]
    torch.testing.assert_close(found, expected)
    assert net.most <= 6
