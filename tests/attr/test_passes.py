"""The network is given copies, runs in evaluation mode, and keeps what is its own."""

from __future__ import annotations

import pytest
import torch
from captum.attr import (
    Attribution,
    LayerConductance,
    LayerDeepLift,
    LayerGradientXActivation,
    LayerIntegratedGradients,
    LayerLRP,
)
from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.attr import GroupAttribution, LayerMethod, LayerPathGradients


class Normalising(nn.Module):
    """Normalises its input, in place or not."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place
        self.conv, self.act, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x.sub_(0.5).div_(0.25) if self.in_place else (x - 0.5) / 0.25
        return self.fc(self.act(self.conv(x)).mean((2, 3)))


@pytest.fixture
def twins() -> tuple[Normalising, Normalising]:
    writing, pure = Normalising(True).eval(), Normalising(False).eval()
    pure.load_state_dict(writing.state_dict())
    return writing, pure


@pytest.fixture
def pictures() -> Tensor:
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def reducer() -> cb.ChannelReducer:
    acts = torch.rand(2, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    return cb.ChannelReducer(3).fit(acts)


class TestTheNetworkMayWriteToWhatItIsGiven:
    @pytest.mark.parametrize(
        "method",
        ["LayerGradientXActivation", "LayerConductance", "LayerDeepLift", "IntegratedGradients"],
    )
    def test_layer_methods(self, twins, pictures, method: str) -> None:
        writing, pure = twins
        given = pictures.clone()
        found = LayerMethod(writing, "act", method).attribute(given, [1, 3]).maps
        expected = LayerMethod(pure, "act", method).attribute(pictures, [1, 3]).maps
        torch.testing.assert_close(found, expected)
        assert torch.equal(given, pictures)

    def test_a_function_that_writes(self, twins, pictures, reducer) -> None:
        _, pure = twins
        written = LayerGradientXActivation(lambda x: pure(x.mul_(0.5)), pure.act)
        expected = LayerGradientXActivation(lambda x: pure(x * 0.5), pure.act)
        answers = [
            cb.LayerGroupAttribution(method, reducer).attribute(pictures.clone(), target=2)
            for method in (written, expected)
        ]
        torch.testing.assert_close(*answers)
        answers = [
            LayerMethod(pure, "act", method).attribute(pictures.clone(), [2]).maps
            for method in (written, expected)
        ]
        torch.testing.assert_close(*answers)

    def test_paths_and_their_delta(self, twins, pictures) -> None:
        answers = [
            LayerPathGradients(net, net.act).attribute(
                pictures.clone(), target=1, n_steps=4, return_convergence_delta=True
            )
            for net in twins
        ]
        for found, expected in zip(*answers, strict=True):
            torch.testing.assert_close(found, expected)

    def test_groups_and_layer_to_layer(self, twins, pictures, reducer) -> None:
        groups = [
            GroupAttribution(net, "act", reducer).attribute(pictures.clone(), [1]) for net in twins
        ]
        torch.testing.assert_close(groups[0].maps, groups[1].maps)
        flows = [
            cb.LayerToLayerAttribution(net, "conv", "act").attribute(
                pictures.clone(), "channel", "channel"
            )
            for net in twins
        ]
        torch.testing.assert_close(*flows)

    def test_the_network_with_its_preprocessing(self, twins, pictures) -> None:
        nets = [cb.Network(net, cb.Preprocess(8, (0.0,) * 3, (1.0,) * 3)) for net in twins]
        x = pictures.clone()
        torch.testing.assert_close(nets[0].logits(x), nets[1].logits(pictures))
        kept = [next(net.activations("act", [pictures.clone()])) for net in nets]
        torch.testing.assert_close(*kept)
        assert torch.equal(x, pictures)
        assert str(nets[0].layers()) == str(nets[1].layers())
        word = cb.Attribution(cb.Hidden("act").spatial, cb.Out(1))
        values = [cb.evaluate(word, net, pictures.clone()) for net in nets]
        torch.testing.assert_close(values[0].data, values[1].data)


class Lazy(nn.Module):
    """Builds a grid and a buffer on its first run, with a layer that Captum has no rule for."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.fc = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Linear(8, 4)
        self.ready = False

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.conv(x))
        if not self.ready:
            self.grid = torch.linspace(0, 1, h.shape[-1])
            self.register_buffer("weights", torch.ones(h.shape[-2:]) * 2)
            self.ready = True
        return self.fc((h * self.grid * self.weights).mean((2, 3)))


class TestWhatIsTheNetworksOwn:
    @pytest.mark.parametrize("method", ["LayerGradientXActivation", "LayerDeepLift"])
    def test_what_the_first_run_builds_stays(self, pictures, method: str) -> None:
        net = Lazy().eval()
        first = LayerMethod(net, "act", method).attribute(pictures, [1]).maps
        second = LayerMethod(net, "act", method).attribute(pictures, [1]).maps
        assert torch.equal(first, second)
        assert net.grid.shape == net.weights.shape[1:] == (6,)

    def test_rules_of_the_caller_hold_for_every_class_and_call(self, pictures) -> None:
        net = nn.Sequential(
            *(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(128, 4)),
        ).eval()

        def with_rules() -> nn.Module:
            net[0].rule, net[2].rule, net[4].rule = GammaRule(), GammaRule(2.0), EpsilonRule()
            net[5].rule = EpsilonRule(0.1)
            return net

        expected = [
            LayerLRP(with_rules(), net[2]).attribute(pictures.clone(), target=target).detach()
            for target in (0, 3)
        ]
        rules = [part.rule for part in map(with_rules().__getitem__, (0, 2, 4, 5))]
        pointer = net[2].weight.data_ptr()
        method = LayerMethod(net, "2", "LayerLRP")
        for _ in range(2):
            found = method.attribute(pictures, [0, 3]).maps
            torch.testing.assert_close(found, torch.stack(expected, 1))
        assert [net[i].rule for i in (0, 2, 4, 5)] == rules
        assert not any("relevance_output" in vars(rule) for rule in rules)
        assert net[2].weight.data_ptr() == pointer

    def test_an_attribute_that_captum_deletes(self, pictures) -> None:
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4)).eval()
        net[0].activation, net[2].rule = "mine", EpsilonRule()
        LayerMethod(net, "0", "LayerLRP").attribute(pictures, [0])
        assert net[0].activation == "mine"
        assert not hasattr(net[3], "rule")

    def test_a_refused_method_leaves_nothing(self, pictures) -> None:
        net = Normalising(False).eval()
        net.odd = nn.GELU()
        before = [set(vars(module)) for module in net.modules()]
        with pytest.raises(cb.BlocksError, match="LRP needs a rule for every module"):
            LayerMethod(net, "act", "LayerLRP").attribute(pictures, [0])
        assert [set(vars(module)) for module in net.modules()] == before
        LayerMethod(net, "act", "LayerDeepLift").attribute(pictures, [0])


class InTraining(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.act = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.act(self.bn(self.conv(x))).mean((2, 3))
        return {"logits": self.fc(nn.functional.dropout(h, 0.5, self.training))}


class TestAFunctionAroundANetworkInTraining:
    @pytest.mark.parametrize("kind", [LayerGradientXActivation, LayerIntegratedGradients])
    def test_it_is_evaluated(self, pictures, reducer, kind: type[Attribution]) -> None:
        net = InTraining()
        net.bn.running_mean += torch.rand(8)
        net.train()
        net.fc.eval()
        method = cb.LayerGroupAttribution(kind(lambda x: net(x)["logits"], net.act), reducer)
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        with pytest.warns(UserWarning, match=r"was in training mode; it was evaluated in eval\(\)"):
            found = method.attribute(pictures, target=1)
        assert all(torch.equal(net.state_dict()[name], before[name]) for name in before)
        modes = [part.training for part in net.modules()]
        assert modes == [True, True, True, True, False]
        assert torch.equal(method.attribute(pictures, target=1), found)
        net.eval()
        assert torch.equal(method.attribute(pictures, target=1), found)

    def test_paths_of_a_bound_method(self, pictures) -> None:
        class Wrapped(InTraining):
            def scores(self, x: Tensor) -> Tensor:
                return self(x)["logits"]

        net = Wrapped().train()
        method = LayerPathGradients(net.scores, net.act)
        with pytest.warns(UserWarning, match="was in training mode"):
            found = method.attribute(pictures, target=1, n_steps=3)
        assert torch.equal(net.eval() and method.attribute(pictures, target=1, n_steps=3), found)

    def test_nothing_is_said_of_a_network_that_was_evaluated(self, pictures, reducer, recwarn):
        net = InTraining().eval()
        method = LayerConductance(lambda x: net(x)["logits"], net.act)
        LayerMethod(net, "act", method, n_steps=3)
        cb.LayerGroupAttribution(method, reducer).attribute(pictures, target=1, n_steps=3)
        assert not [str(w.message) for w in recwarn if "training" in str(w.message)]


def test_deep_lift_leaves_the_inputs_that_a_module_keeps(pictures: Tensor) -> None:
    net = Normalising(False).eval()
    net.act.input = "mine"
    LayerMethod(net, "conv", LayerDeepLift(net, net.conv)).attribute(pictures, [0])
    assert net.act.input == "mine"
