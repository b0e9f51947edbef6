"""A network whose rows change each other: every number is that of a picture alone."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from captum.attr import (
    IntegratedGradients,
    LayerConductance,
    LayerDeepLift,
    LayerGradientXActivation,
    LayerIntegratedGradients,
    NoiseTunnel,
)
from numpy.polynomial import legendre
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.attr import GroupAttribution, LayerMethod, LayerPathGradients
from captum_blocks.attr.shapley import coalitions


class Coupled(nn.Module):
    """Batch norm by the statistics of the batch, between the layer and the scores."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 6, 3), nn.ReLU()
        self.bn = nn.BatchNorm2d(6, track_running_stats=False)
        self.conv2, self.act2, self.fc = nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Linear(6, 4)

    def head(self, h: Tensor) -> Tensor:
        return self.fc(self.act2(self.conv2(self.bn(h))).mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.conv(x)))


@pytest.fixture
def net() -> Coupled:
    return Coupled().eval()


@pytest.fixture
def pictures() -> Tensor:
    noise = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return noise * torch.tensor([1.0, 0.2, 0.6])[:, None, None, None]


@pytest.fixture
def acts(net: Coupled, pictures: Tensor) -> Tensor:
    return net.act(net.conv(pictures)).detach()


@pytest.fixture
def reducer(acts: Tensor) -> cb.ChannelReducer:
    return cb.ChannelReducer(3).fit(acts)


def gradient(net: Coupled, activation: Tensor, target: int) -> Tensor:
    """Of one picture's score."""
    leaf = activation.detach().requires_grad_()
    return torch.autograd.grad(net.head(leaf)[0, target], leaf)[0]


def integrated(net: Coupled, start: Tensor, end: Tensor, target: int, path: list[Any]) -> Tensor:
    """(end - start) times the weighted mean gradient along the straight line, of one picture."""
    steps = [w * gradient(net, start + at * (end - start), target) for at, w in path]
    return (end - start).detach() * torch.stack(steps).sum(0)


# Points and weights on [0, 1]: Captum's own, and those of this package's paths.
GAUSS = [((1 + at) / 2, w / 2) for at, w in zip(*legendre.leggauss(4), strict=True)]
LEFT = [(step / 4, 1 / 4) for step in range(4)]


def test_gradient_times_activation(net, pictures, acts) -> None:
    found = LayerMethod(net, "act").attribute(pictures, [1, 3])
    for i, (c, target) in product(range(3), enumerate([1, 3])):
        expected = gradient(net, acts[i : i + 1], target)[0] * acts[i]
        torch.testing.assert_close(found.maps[i, c], expected)
    assert "what else is in the batch moves this network's answer" in found.notes[0]


def test_paths(net, pictures, acts) -> None:
    expected = torch.cat([integrated(net, 0 * a[None], a[None], 2, LEFT) for a in acts])
    with torch.no_grad():
        changes = torch.cat([(net.head(a[None]) - net.head(0 * a[None]))[:, 2] for a in acts])
    method = LayerPathGradients(net, net.act)
    for by in (method, LayerPathGradients(lambda x: net(x), net.act)):
        found, delta = by.attribute(pictures, target=2, n_steps=4, return_convergence_delta=True)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(delta, expected.flatten(1).sum(1) - changes)
    by_class = LayerMethod(net, "act", LayerPathGradients, n_steps=4).attribute(pictures, [2])
    torch.testing.assert_close(by_class.maps[:, 0], expected)


def test_steps_that_captum_puts_into_one_batch(net, pictures, acts) -> None:
    inside = LayerMethod(net, "act", "LayerIntegratedGradients", n_steps=4)
    blank = net.act(net.conv(torch.zeros_like(pictures[:1])))
    expected = torch.cat([integrated(net, blank, a[None], 2, GAUSS) for a in acts])
    torch.testing.assert_close(inside.attribute(pictures, [2]).maps[:, 0], expected)
    behind = LayerMethod(net, "act", "IntegratedGradients", n_steps=4)
    expected = torch.cat([integrated(net, 0 * a[None], a[None], 2, GAUSS) for a in acts])
    torch.testing.assert_close(behind.attribute(pictures, [2]).maps[:, 0], expected)


def test_an_ablated_layer(net, pictures, acts) -> None:
    found = LayerMethod(net, "act", "LayerFeatureAblation", perturbations_per_eval=9)
    maps = found.attribute(pictures[:2], [1]).maps[:, 0]
    with torch.no_grad():
        for image, place in ((0, (2, 3, 3)), (1, (0, 1, 4))):
            without = acts[image : image + 1].clone()
            without[(0, *place)] = 0
            change = net.head(acts[image : image + 1]) - net.head(without)
            torch.testing.assert_close(maps[(image, *place)], change[0, 1])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LayerConductance", {"n_steps": 4}),
        ("InternalInfluence", {"n_steps": 4}),
        ("LayerDeepLift", {}),
        ("LayerDeepLiftShap", {}),
        ("LayerGradCam", {"attr_dim_summation": False}),
        ("Saliency", {}),
        ("InputXGradient", {}),
        ("DeepLift", {}),
        ("DeepLiftShap", {}),
        ("GuidedBackprop", {}),
        ("Deconvolution", {}),
    ],
)
def test_a_batch_equals_its_pictures_one_by_one(net, pictures, name: str, options: dict) -> None:
    method = LayerMethod(net, "act", name, **options)
    together = method.attribute(pictures, [1, 2])
    alone = [method.attribute(picture[None], [1, 2]) for picture in pictures]
    torch.testing.assert_close(together.maps, torch.cat([one.maps for one in alone]))
    pair = any("runs a picture and its baseline in one batch" in note for note in together.notes)
    assert pair == ("DeepLift" in name)


def test_noise_around_a_method(net, pictures) -> None:
    method = LayerMethod(net, "act", noise={"nt_samples": 4, "stdevs": 1e-6})
    expected = LayerMethod(net, "act").attribute(pictures, [1]).maps
    torch.testing.assert_close(method.attribute(pictures, [1]).maps, expected, rtol=1e-3, atol=1e-4)


class TestGroups:
    def test_shapley_values_are_those_of_the_game(self, net, pictures, acts, reducer) -> None:
        found = GroupAttribution(net, "act", reducer).attribute(pictures, [1])
        players = found.maps.sum((-2, -1))[:, 0], found.residual.sum((-2, -1))[:, 0]
        scores = reducer.transform(acts)
        directions = torch.as_tensor(reducer.components_)
        for i in range(3):
            parts = [scores[i, k, None] * directions[k, :, None, None] for k in range(3)]
            parts.append(acts[i] - sum(parts))
            worth = {}
            for row in coalitions(4).tolist():
                there = sum((p for p, on in zip(parts, row, strict=True) if on), 0 * acts[i])
                worth[tuple(row)] = float(net.head(there[None])[0, 1])
            for player in range(4):
                value = 0.0
                for row, score in worth.items():
                    if not row[player]:
                        size = sum(row)
                        share = 1 / (4 * [1, 3, 3, 1][size])
                        value += share * (worth[(*row[:player], True, *row[player + 1 :])] - score)
                got = players[0][i, player] if player < 3 else players[1][i]
                assert float(got) == pytest.approx(value, abs=1e-5)

    @pytest.mark.parametrize("name", ["IntegratedGradients", "FeatureAblation", "DeepLift"])
    def test_a_batch_equals_its_pictures(self, net, pictures, reducer, name: str) -> None:
        method = GroupAttribution(net, "act", reducer, name)
        together = method.attribute(pictures, [1, 2])
        alone = [method.attribute(picture[None], [1, 2]) for picture in pictures]
        torch.testing.assert_close(together.maps, torch.cat([one.maps for one in alone]))
        if name == "IntegratedGradients":
            with torch.no_grad():
                change = [
                    net.head(a[None]) - net.head(0 * a[None]) for a in together_acts(net, pictures)
                ]
            torch.testing.assert_close(
                together.total, torch.cat(change)[:, [1, 2]], rtol=0, atol=2e-2
            )

    @pytest.mark.parametrize(
        "kind", [LayerGradientXActivation, LayerIntegratedGradients, LayerConductance]
    )
    def test_a_layer_method_given_by_a_function(self, net, pictures, reducer, kind) -> None:
        method = cb.LayerGroupAttribution(kind(lambda x: net(x), net.act), reducer)
        targets = [1, 3, 0]
        together = method.attribute(pictures, target=targets)
        alone = [
            method.attribute(picture[None], target=target)
            for picture, target in zip(pictures, targets, strict=True)
        ]
        torch.testing.assert_close(together, torch.cat(alone))
        if kind is LayerGradientXActivation:
            acts = together_acts(net, pictures)
            plain = [
                (gradient(net, a[None], t) * a).sum() for a, t in zip(acts, targets, strict=True)
            ]
            found = method.attribute(pictures, target=targets, return_residual=True)
            sums = sum(part.sum((1, 2, 3)) for part in found)
            torch.testing.assert_close(sums, torch.stack(plain))

    def test_a_pair_is_warned_of(self, net, pictures, reducer) -> None:
        method = cb.LayerGroupAttribution(LayerDeepLift(net, net.act), reducer)
        with pytest.warns(UserWarning, match="LayerDeepLift runs a picture and its baseline in"):
            together = method.attribute(pictures, target=1)
        alone = [method.attribute(picture[None], target=1) for picture in pictures]
        torch.testing.assert_close(together, torch.cat(alone))

    def test_a_tunnel_inside(self, net, pictures, reducer) -> None:
        tunnel = NoiseTunnel(LayerGradientXActivation(net, net.act))
        method = cb.LayerGroupAttribution(tunnel, reducer)
        found, rest = method.attribute(
            pictures, target=1, nt_samples=3, stdevs=1e-6, return_residual=True
        )
        acts = together_acts(net, pictures)
        expected = torch.stack([(gradient(net, a[None], 1) * a).sum((0, 1)) for a in acts])
        torch.testing.assert_close(found.sum(1) + rest[:, 0], expected, rtol=1e-3, atol=1e-4)


def together_acts(net: Coupled, pictures: Tensor) -> Tensor:
    return net.act(net.conv(pictures)).detach()


@pytest.mark.parametrize("atoms", [("class", "channel"), ("class", "spatial")])
def test_layer_to_the_answer(net, pictures, acts, atoms) -> None:
    l2l = cb.LayerToLayerAttribution(net, "act")
    found = l2l.attribute(pictures, *atoms)
    for i, target in product(range(3), range(4)):
        values = gradient(net, acts[i : i + 1], target)[0] * acts[i]
        expected = values.sum((1, 2)) if atoms[1] == "channel" else values.sum(0)
        torch.testing.assert_close(found[i, target], expected)


def test_layer_to_layer(net, pictures, acts) -> None:
    l2l = cb.LayerToLayerAttribution(net, "act", "conv2")
    found, rest = l2l.attribute(pictures, "channel", "channel", return_remainder=True)
    assert rest == {}
    for i, channel in product(range(3), range(6)):
        leaf = acts[i : i + 1].clone().requires_grad_()
        (grad,) = torch.autograd.grad(net.conv2(net.bn(leaf))[0, channel].sum(), leaf)
        torch.testing.assert_close(found[i, channel], (grad * leaf)[0].sum((1, 2)).detach())


def test_layer_to_layer_by_a_method(net, pictures) -> None:
    l2l = cb.LayerToLayerAttribution(net, "act", "conv2")
    options = {"method": "LayerIntegratedGradients", "n_steps": 3}
    together = l2l.attribute(pictures, "channel", "channel", **options)
    alone = [l2l.attribute(picture[None], "channel", "channel", **options) for picture in pictures]
    torch.testing.assert_close(together, torch.cat(alone))


def test_a_network_that_takes_one_picture_at_a_time(net, pictures, acts, reducer) -> None:
    class Alone(Coupled):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.reshape(1, 3, 8, 8))

    alone = Alone().eval()
    alone.load_state_dict(net.state_dict())
    for method in ("LayerGradientXActivation", "LayerIntegratedGradients", "IntegratedGradients"):
        found = LayerMethod(alone, "act", method).attribute(pictures, [1, 2])
        expected = LayerMethod(net, "act", method).attribute(pictures, [1, 2])
        torch.testing.assert_close(found.maps, expected.maps)
        assert "takes one picture at a time" in found.notes[0]
    shares = [
        GroupAttribution(each, "act", reducer).attribute(pictures, [1]) for each in (alone, net)
    ]
    torch.testing.assert_close(shares[0].maps, shares[1].maps)


def test_the_head_method_of_an_instance(net, pictures, acts) -> None:
    method = LayerMethod(net, "act", IntegratedGradients(net), n_steps=4)
    expected = torch.cat([integrated(net, 0 * a[None], a[None], 1, GAUSS) for a in acts])
    torch.testing.assert_close(method.attribute(pictures, [1]).maps[:, 0], expected)
