"""Tokens in any order, a class token anywhere: what is said of places is what rows would say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.attr import LayerMethod
from captum_blocks.attr.group_attribution import GroupAttribution
from captum_blocks.layouts import Layout

GRID, WIDTH = (3, 4), 5
ROWS = Layout("tokens", prefix=1, grid=GRID)


class Shuffled(nn.Module):
    """Patches and a class token; between two blocks they stand in an order of its own."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, WIDTH, 2, 2)
        self.cls = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.mixed = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU())
        self.later = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, 4)
        self.layout = layout

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.cls.expand(len(x), -1, -1)
        # The class token knows the picture, so that it matters to the answer.
        tokens = tokens * self.embed(x).mean((1, 2, 3))[:, None, None]
        ordered = self.layout.from_maps(self.embed(x), tokens)
        behind = self.later(self.mixed(ordered).tanh()).relu()
        scored = torch.cat(
            [self.layout.tokens(behind), ROWS.from_maps(self.layout.to_maps(behind))[:, 1:]], 1
        )
        weights = torch.linspace(-1, 1, scored.shape[1])[None, :, None]
        return self.head((scored * weights).sum(1))


@pytest.fixture(
    params=[
        Layout("tokens", grid=GRID, unplaced=(-1,)),
        Layout("tokens", grid=GRID, unplaced=(6,)),
        Layout("tokens", prefix=1, grid=GRID, order=tuple(reversed(range(12)))),
        Layout("tokens", grid=GRID, order=(3, 0, 1, 2, *range(4, 12)), unplaced=(2,)),
    ],
    ids=["at the end", "in the middle", "backwards", "both"],
)
def layout(request: pytest.FixtureRequest) -> Layout:
    return request.param  # type: ignore[no-any-return]


def pair(layout: Layout) -> tuple[nn.Module, nn.Module, Tensor]:
    """The network in rows, the same in the layout's order, and two pictures."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        plain = Shuffled(ROWS).eval()
        x = torch.randn(2, 3, 6, 8)
    other = Shuffled(layout).eval()
    other.load_state_dict(plain.state_dict())
    return plain, other, x


@pytest.mark.parametrize(
    "method",
    [
        "LayerGradientXActivation",
        "LayerIntegratedGradients",
        "LayerConductance",
        "LayerFeatureAblation",
    ],
)
def test_attribution(layout: Layout, method: str) -> None:
    plain, other, x = pair(layout)
    torch.testing.assert_close(plain(x), other(x))
    options = {"n_steps": 4} if "Gradients" in method or method == "LayerConductance" else {}
    wanted = LayerMethod(plain, "mixed", method, ROWS, **options).attribute(x, [1, 2])
    found = LayerMethod(other, "mixed", method, layout, **options).attribute(x, [1, 2])
    torch.testing.assert_close(found.maps, wanted.maps)
    torch.testing.assert_close(found.tokens, wanted.tokens)


def test_groups(layout: Layout) -> None:
    plain, other, x = pair(layout)
    results = []
    for network, placed in ((plain, ROWS), (other, layout)):
        activation = network.mixed(placed.from_maps(network.embed(x))).detach()
        reducer = cb.ChannelReducer(2, layout=placed, random_state=0).fit(activation)
        results.append(
            GroupAttribution(network, "mixed", reducer, "ShapleyValues", layout=placed).attribute(
                x, [1]
            )
        )
    wanted, found = results
    torch.testing.assert_close(found.residual, wanted.residual, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(found.maps, wanted.maps, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("target", ["spatial", "channel", "tokens", "whole"])
@pytest.mark.parametrize("source", ["spatial", "channel", "tokens"])
def test_from_layer_to_layer(layout: Layout, target: str, source: str) -> None:
    plain, other, x = pair(layout)
    results = []
    for network, placed in ((plain, ROWS), (other, layout)):
        engine = cb.LayerToLayerAttribution(network, "mixed", "later", placed, placed)
        results.append(engine.attribute(x, target, source, return_remainder=True))
    (wanted, rest), (found, its_rest) = results
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(its_rest, rest)


def test_pictures_of_a_channel(layout: Layout) -> None:
    plain, other, _ = pair(layout)
    made = [
        cb.FeatureVisualizer(network, "mixed", layout=placed).visualize(
            [cb.optim.Neuron(1, 2, 3)], size=(6, 8), n_steps=3, transforms=()
        )
        for network, placed in ((plain, ROWS), (other, layout))
    ]
    torch.testing.assert_close(made[0].images, made[1].images)


def test_a_reducer_keeps_the_order_in_a_file(layout: Layout, tmp_path) -> None:  # type: ignore[no-untyped-def]
    activation = torch.rand(2, 13, WIDTH)
    reducer = cb.ChannelReducer(2, layout=layout, random_state=0).fit(activation)
    reducer.save(tmp_path / "groups.npz")
    again = cb.ChannelReducer.load(tmp_path / "groups.npz")
    assert again.layout == layout
    assert again.layout_ == layout
    torch.testing.assert_close(again.transform(activation), reducer.transform(activation))
