"""Reducers that are not this package's: estimators of rows, and anybody's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LayerGradientXActivation
from sklearn.cluster import DBSCAN, KMeans
from sklearn.decomposition import NMF, PCA, KernelPCA
from sklearn.pipeline import make_pipeline
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks import attr
from captum_blocks.errors import InvalidArgument, WrongType

ROWS = np.random.default_rng(0).random((60, 8))
X = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(1))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    ).eval()


def through(net: nn.Sequential, reducer: Any) -> tuple[Tensor, Tensor]:
    found = attr.GroupAttribution(net, "1", reducer).attribute(X, [2])
    return found.maps[:, 0], found.residual[:, 0]


def shared(net: nn.Sequential, reducer: Any) -> tuple[Tensor, Tensor]:
    method = attr.LayerGroupAttribution(LayerGradientXActivation(net, net[1]), reducer)
    groups, residual = method.attribute(X, target=2, return_residual=True)
    return groups, residual[:, 0]


def by_layer_method(net: nn.Sequential, reducer: Any) -> tuple[Tensor, Tensor]:
    found = attr.LayerMethod(net, "1").attribute_groups(X, [2], reducer)
    return found.maps[:, 0], found.residual[:, 0]


ASKED = [through, shared, by_layer_method]


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize("kind", [NMF, PCA])
@pytest.mark.parametrize("number", [np.float64, np.float32])
def test_an_estimator_of_rows(ask: Any, kind: Any, number: Any) -> None:
    """Behind the layer the network is linear: groups are scores times a gradient."""
    net = network()
    estimator = kind(3).fit(ROWS.astype(number))
    activation = net[:2](X).detach()
    rows = activation.movedim(1, -1).reshape(-1, 8).numpy().astype(number)
    scores = torch.from_numpy(estimator.transform(rows)).float().reshape(2, 4, 3, 3).movedim(-1, 1)
    components = torch.from_numpy(estimator.components_).float()
    gradient = net[4].weight[2].detach() / 12
    groups, residual = ask(net, estimator)
    expected = scores * (components @ gradient)[None, :, None, None]
    # Switching a group on and off says how much it gives over all positions.
    torch.testing.assert_close(groups.sum((2, 3)), expected.sum((2, 3)), rtol=1e-3, atol=1e-5)
    if ask is not through:
        torch.testing.assert_close(groups, expected, rtol=1e-3, atol=1e-5)
    whole = torch.einsum("icyx,c->i", activation, gradient)
    found = groups.sum((1, 2, 3)) + residual.sum((1, 2))
    torch.testing.assert_close(found, whole, rtol=1e-3, atol=1e-5)


def test_an_estimator_of_rows_for_tokens_and_on_a_page() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.place = network(), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.place(self.net[:2](x).flatten(2).mT)
            return self.net[4](tokens.mean(1))

    net, estimator = Tokens().eval(), PCA(3).fit(ROWS)
    layout = attr.reducers.Layout("tokens", grid=(4, 3))
    found = attr.LayerMethod(net, "place", layout=layout).attribute_groups(X, [2], estimator)
    expected, residual = by_layer_method(net.net, estimator)
    torch.testing.assert_close(found.maps[:, 0], expected)
    torch.testing.assert_close(found.residual[:, 0], residual)
    mine = cb.Activation(cb.Hidden("1").groups(cb.Given("mine")))
    shown = cb.evaluate(mine, net.net, X[:1], given={"mine": estimator})
    rows = net.net[:2](X[:1]).movedim(1, -1).reshape(-1, 8).detach().numpy()
    scores = torch.from_numpy(estimator.transform(rows)).float()
    torch.testing.assert_close(shown.data[0], scores.mean(0), rtol=1e-3, atol=1e-5)


class Own:
    """Somebody's reducer of layers."""

    components_: Any = torch.eye(8)[:3]

    def __init__(self, transform: Callable[[Tensor], Any]) -> None:
        self.transform = transform


def broken(_: Tensor) -> Tensor:
    raise RuntimeError("no such axis")


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize(
    ("reducer", "kind", "said"),
    [
        (Own(broken), InvalidArgument, r"Own given cannot .*\(2, 8, 4, 3\).*Error: no such axis"),
        (Own(lambda _: object()), WrongType, "scores that the Own .* hold no numbers: object"),
        (Own(lambda _: [["a"]]), WrongType, "scores that the Own .* hold no numbers: list"),
        (
            Own(lambda a: a[:, :2]),
            InvalidArgument,
            r"group scores of shape \(2, 2, 4, 3\); expected \(2, 3, 4, 3\)",
        ),
        (NMF(3).fit(ROWS[:, :7]), InvalidArgument, "this layer has 8 channels"),
        (DBSCAN(eps=9).fit(ROWS[:5]), WrongType, "DBSCAN given has no transform"),
        (KMeans(3).fit(ROWS), InvalidArgument, "KMeans given is fitted and has no components_"),
        (KernelPCA(3).fit(ROWS), InvalidArgument, "KernelPCA given is fitted and has no comp"),
        (make_pipeline(PCA(3)).fit(ROWS), InvalidArgument, "Pipeline given is fitted and has no"),
        (NMF(3), InvalidArgument, "NMF given is not fitted"),
        (NMF, WrongType, "NMF is a class"),
        ("nmf", WrongType, "'nmf' is no reducer; .* ChannelReducer"),
        (None, WrongType, "None is no reducer"),
    ],
)
def test_what_is_wrong_with_a_reducer(ask: Any, reducer: Any, kind: Any, said: str) -> None:
    with pytest.raises(kind, match=said):
        ask(network(), reducer)


def test_components_that_are_no_numbers() -> None:
    reducer = Own(lambda acts: acts[:, :3])
    reducer.components_ = ["a", "b", "c"]
    with pytest.raises(WrongType, match="components_ of the Own given hold no numbers: list"):
        through(network(), reducer)


def test_bfloat16_scores_are_read_as_they_are() -> None:
    found = by_layer_method(network(), Own(lambda acts: acts[:, :3].bfloat16()))
    expected = by_layer_method(network(), Own(lambda acts: acts[:, :3]))
    torch.testing.assert_close(found[0], expected[0], rtol=1e-2, atol=1e-4)


def test_what_is_given_to_a_page_is_not_called_unfitted() -> None:
    groups = cb.Activation(cb.Hidden("1").groups(cb.Given("mine")))
    with pytest.raises(InvalidArgument, match="KMeans given as 'mine' is fitted and has no comp"):
        cb.evaluate(groups, network(), X[:1], given={"mine": KMeans(3).fit(ROWS)})
