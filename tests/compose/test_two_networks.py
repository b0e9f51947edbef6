"""Layers that name their network: each content is of the network it names, alone or compared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, LayerNotFound, UnknownName, WrongType


def network(seed: int, size: int = 16) -> cb.Network:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        body = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
        module = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    stats = (0.5,) * 3
    return cb.Network(module.eval(), cb.Preprocess(size, stats, stats), name=f"net {seed}")


@pytest.fixture
def both() -> dict[str, cb.Network]:
    return {"base": network(1), "tuned": network(2)}


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def contents(named: str | None) -> list[cb.grammar.Content]:
    layer, out = cb.Hidden("0.1", network=named), cb.Out(1, 3, network=named)
    pictures = cb.Input(network=named)
    return [
        cb.Activation(layer.channels),
        cb.Activation(layer.groups(2)),
        cb.Activation(out),
        cb.Attribution(layer.spatial, out, method="LayerIntegratedGradients", n_steps=4),
        cb.Attribution(layer.groups(2), out).filter(to=0, strongest=1),
        cb.Attribution(pictures.spatial, out),
        cb.Activation(layer.channels).filter(top=3).normalise(),
    ]


@pytest.mark.parametrize("name", ["base", "tuned"])
@pytest.mark.parametrize("which", range(7))
def test_a_content_is_of_the_network_it_names(
    both: dict[str, cb.Network], x: Tensor, name: str, which: int
) -> None:
    named = cb.evaluate(contents(name)[which], both, x)
    alone = cb.evaluate(contents(None)[which], both[name], x)
    assert torch.equal(named.data, alone.data)
    assert named.axes == alone.axes
    assert torch.equal(named.total, alone.total)


def test_one_network_against_another(both: dict[str, cb.Network], x: Tensor) -> None:
    base, tuned = (cb.Activation(cb.Out(1, network=name)) for name in both)
    found = cb.evaluate(tuned.difference(base), both, x)
    expected = both["tuned"].module(x)[:, 1] - both["base"].module(x)[:, 1]
    torch.testing.assert_close(found.data[:, 0], expected.detach())


def test_each_reads_the_picture_as_it_takes_it() -> None:
    nets = {"small": network(1, 12), "large": network(1, 24)}
    picture = (np.random.default_rng(0).random((40, 40, 3)) * 255).astype(np.uint8)
    for name, net in nets.items():
        content = cb.Activation(cb.Hidden("0.1", network=name).spatial)
        found = cb.evaluate(content, nets, picture)
        assert found.data.shape[1:] == (net.preprocess.shape[0] // 2,) * 2  # type: ignore[union-attr]
        alone = cb.evaluate(cb.Activation(cb.Hidden("0.1").spatial), net, net.read(picture))
        assert torch.equal(found.data, alone.data)


def test_names_that_do_not_fit(both: dict[str, cb.Network], x: Tensor) -> None:
    with pytest.raises(InvalidArgument) as caught:
        cb.evaluate(cb.Activation(cb.Hidden("0.1").channels), both, x)
    assert str(caught.value) == (
        "Hidden('0.1') names no network, and there are base, tuned: say which, as in network='base'"
    )
    with pytest.raises(UnknownName, match="no network 'tune' for .*; did you mean 'tuned'"):
        cb.evaluate(cb.Activation(cb.Hidden("0.1", network="tune").channels), both, x)
    with pytest.raises(UnknownName, match="one network is given, and it has no name"):
        cb.evaluate(cb.Activation(cb.Hidden("0.1", network="base").channels), both["base"], x)
    with pytest.raises(LayerNotFound, match=r"no layer '0\.7'"):
        cb.evaluate(cb.Activation(cb.Hidden("0.7", network="tuned").channels), both, x)
    apart = cb.Hidden("0.0", network="base").groups(
        2, align_with=cb.Hidden("0.1", network="tuned").groups(2)
    )
    with pytest.raises(InvalidArgument, match="groups of a later layer of the same network"):
        cb.evaluate(cb.Activation(apart), both, x)
    numbered: dict = {0: both["base"], 1: both["tuned"]}
    with pytest.raises(WrongType, match="networks are named by strings, not 0"):
        cb.evaluate(cb.Activation(cb.Hidden("0.1").channels), numbered, x)
    with pytest.raises(InvalidArgument, match="there is no network: give one"):
        cb.evaluate(cb.Activation(cb.Hidden("0.1").channels), {}, x)
    mixed = cb.Attribution(cb.Hidden("0.1", network="base").channels, cb.Out(1, network="tuned"))
    with pytest.raises(InvalidArgument, match="goes from one network to another"):
        cb.evaluate(mixed, both, x)


def test_a_single_network_may_have_a_name(both: dict[str, cb.Network], x: Tensor) -> None:
    one = {"base": both["base"]}
    plain = cb.evaluate(cb.Activation(cb.Hidden("0.1").channels), one, x)
    named = cb.evaluate(cb.Activation(cb.Hidden("0.1", network="base").channels), one, x)
    assert torch.equal(plain.data, named.data)


def test_the_words_survive_a_round_trip() -> None:
    for content in contents("tuned"):
        page = cb.Interface((cb.InfoVis(content),))
        assert cb.Interface.from_json(page.to_json()) == page
    assert repr(cb.Hidden("0.1", network="tuned")) == "Hidden('0.1', network='tuned')"
    assert repr(cb.Out(3, network="tuned")) == "Out(3, network='tuned')"
    assert repr(cb.Out(top=2, network="tuned")) == "Out(top=2, network='tuned')"
    assert repr(cb.Input(network="tuned")) == "Input(network='tuned')"
    # A spec of a single network is what it was.
    assert "network" not in cb.Interface((cb.InfoVis(cb.Activation(cb.Hidden("a"))),)).to_json()
    assert "network" not in cb.Interface((cb.InfoVis(cb.Activation(cb.Out(1))),)).to_json()


def test_a_page_of_two_networks_is_refused_before_work(both: dict[str, cb.Network]) -> None:
    page = cb.InfoVis(cb.Activation(cb.Out(1, network="tuned")))
    with pytest.raises(InvalidArgument, match="a page is of one network"):
        cb.explain(page, both, torch.zeros(1, 3, 16, 16), progress=False)  # type: ignore[arg-type]
