"""What excites units and directions most, against loops over all activations."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, LayerNotFound, WrongType
from captum_blocks.examples.again import Again
from tests.examples.conftest import COUNT, photographs
from tests.reference import examples as slow

Shown = list[tuple[int, float, tuple[int, int]]]


def maps_of(net: cb.Network, layer: str, pictures: list[torch.Tensor]) -> torch.Tensor:
    return slow.activations(net.module, net.module.get_submodule(layer), pictures)


def assert_same(found: list[cb.Example], wanted: Shown, rounded: bool = False) -> None:
    assert [each.image for each in found] == [image for image, _, _ in wanted]
    assert [each.position for each in found] == [where for _, _, where in wanted]
    values = [value for _, value, _ in wanted]
    assert [each.value for each in found] == pytest.approx(values, rel=1e-3 if rounded else 1e-5)


@pytest.fixture(scope="module")
def maps(small: cb.Network, pictures: list[torch.Tensor]) -> torch.Tensor:
    return maps_of(small, "late", pictures)


@pytest.mark.parametrize(("rank", "sign"), [("top", 1), ("bottom", -1)])
def test_channels_are_those_of_the_loops(
    index: cb.ExampleIndex, maps: torch.Tensor, rank: str, sign: int
) -> None:
    found = index.top(cb.Hidden("late").channels[[0, 7]], k=9, rank=rank)
    for channel, examples in zip((0, 7), found, strict=True):
        assert_same(examples, slow.top(maps, torch.eye(10)[channel], 9, sign))


@pytest.mark.parametrize(("rank", "sign"), [("top", 1), ("bottom", -1)])
def test_directions_are_those_of_the_loops(
    index: cb.ExampleIndex, maps: torch.Tensor, directions: torch.Tensor, rank: str, sign: int
) -> None:
    found = index.top(directions, 6, rank, layer="late")
    for direction, examples in zip(directions, found, strict=True):
        assert_same(examples, slow.top(maps, direction, 6, sign))


@pytest.mark.parametrize("keep", ["activations", "extremes"])
def test_directions_are_exact_whatever_is_kept(
    small: cb.Network,
    pictures: list[torch.Tensor],
    directions: torch.Tensor,
    keep: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = cb.ExampleIndex.build(small, pictures, "late", keep=keep, progress=False)
    looked: list[int] = []
    values = Again.values

    def counted(self: Again, rows: list[int], *args: object) -> object:
        looked.extend(rows)
        return values(self, rows, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Again, "values", counted)
    maps = maps_of(small, "late", pictures)
    monkeypatch.setattr("captum_blocks.examples.search.CHUNK", 16)
    with pytest.warns(match="leaves open .. of 70") if keep == "extremes" else nullcontext():
        found = index.top(directions[:2], 3, layer="late")
    for direction, examples in zip(directions, found, strict=False):
        assert_same(examples, slow.top(maps, direction, 3))
    assert len(looked) == len(set(looked))
    if keep == "activations":
        assert 3 <= len(looked) <= 12


def test_quantiles_come_from_bands_and_random_ones_from_everywhere(
    index: cb.ExampleIndex, maps: torch.Tensor
) -> None:
    wanted = slow.values(maps, torch.eye(10)[3])
    order = sorted(range(COUNT), key=lambda i: (-wanted[i][0], i))
    (found,) = index.top(("late", [3]), 7, "quantiles")
    assert [order.index(each.image) // 10 for each in found] == list(range(7))
    assert found != index.top(("late", [3]), 7, "quantiles", seed=1)[0]
    (drawn,) = index.top(("late", [3]), 7, "random")
    assert len({each.image for each in drawn}) == 7
    assert drawn == index.top(("late", [3]), 7, "random")[0]
    for each in (*found, *drawn):
        assert each.value == pytest.approx(wanted[each.image][0], rel=1e-3)
        assert each.position == wanted[each.image][1]


@pytest.mark.parametrize("rank", ["quantiles", "random"])
def test_directions_are_drawn_with_exact_values(
    index: cb.ExampleIndex, maps: torch.Tensor, directions: torch.Tensor, rank: str
) -> None:
    (found,) = index.top(directions[0], 5, rank, layer="late")
    wanted = slow.values(maps, directions[0])
    for each in found:
        assert each.value == pytest.approx(wanted[each.image][0], rel=1e-5)


def test_equal_values_go_to_the_smaller_number(small: cb.Network) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU())
    nn.init.zeros_(module[0].weight)
    nn.init.constant_(module[0].bias, -1.0)
    net = cb.Network(module, cb.Preprocess(size=8))
    index = cb.ExampleIndex.build(net, photographs(9), "1", batch_size=4, progress=False)
    (dead,) = index.top(("1", [0]), 5)
    assert [(each.image, each.value) for each in dead] == [(n, 0.0) for n in range(5)]
    (along,) = index.top(torch.tensor([1.0, -2.0]), 5, layer="1")
    assert [each.image for each in along] == list(range(5))


def test_one_example_of_each_photograph(small: cb.Network, pictures: list[torch.Tensor]) -> None:
    index = cb.ExampleIndex.build(
        small, pictures, "late", sources=lambda image: image // 10, progress=False
    )
    maps, sources = maps_of(small, "late", pictures), [n // 10 for n in range(COUNT)]
    assert index.sources == 7
    assert "7 different photographs" in index.too_few
    (found,) = index.top(("late", [2]), 5)
    assert_same(found, slow.top(maps, torch.eye(10)[2], 5, sources=sources))
    direction = torch.randn(10, generator=torch.Generator().manual_seed(2))
    (along,) = index.top(direction, 5, layer="late")
    assert_same(along, slow.top(maps, direction, 5, sources=sources))
    (all_,) = index.top(("late", [2]), 7)
    assert {each.source for each in all_} == {str(n) for n in range(7)}


def test_near_duplicates_are_shown_once_with_their_number(small: cb.Network) -> None:
    originals = photographs(12)
    copies = [each.resize((48, 48)).resize((24, 24)) for each in originals[:3]]
    index = cb.ExampleIndex.build(small, originals + copies * 2, "late", progress=False)
    for found in index.top(cb.Hidden("late").channels, 12):
        pairs = [each.image if each.image < 12 else (each.image - 12) % 3 for each in found]
        assert sorted(pairs) == list(range(12))
        like = {pair: each.like for pair, each in zip(pairs, found, strict=True)}
        assert like == {n: 2 if n < 3 else 0 for n in range(12)}
    (along,) = index.top(torch.ones(10), 12, layer="late")
    assert sum(each.like for each in along) == 6


def test_the_same_picture_twice_is_looked_at_once_and_the_smaller_number_shown(
    small: cb.Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    originals = photographs(11)
    index = cb.ExampleIndex.build(small, originals * 3, "late", batch_size=4, progress=False)
    looked: list[int] = []
    values = Again.values

    def counted(self: Again, rows: list[int], *args: object) -> object:
        looked.extend(rows)
        return values(self, rows, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Again, "values", counted)
    directions = torch.randn(4, 10, generator=torch.Generator().manual_seed(6))
    maps = maps_of(small, "late", [small.read(each)[0] for each in originals])
    for examples, direction in zip(index.top(directions, 5, layer="late"), directions, strict=True):
        assert_same(examples, slow.top(maps, direction, 5))
        assert [each.like for each in examples] == [2] * 5
    assert sorted(looked) == sorted(set(looked))
    assert max(looked) < 11


def test_a_label_alone(small: cb.Network, folder: Path) -> None:
    index = cb.ExampleIndex.build(small, folder, "late", progress=False)
    assert index.labels == ("bird", "cat", "dog")
    paths = sorted(folder.glob("*/*.png"))
    maps = maps_of(small, "late", [small.read(path)[0] for path in paths])
    own = [place for place, path in enumerate(paths) if path.parent.name == "cat"]
    wanted = slow.top(maps[own], torch.eye(10)[4], 4)
    (found,) = index.top(("late", [4]), 4, label="cat")
    assert_same(found, [(own[image], value, where) for image, value, where in wanted])
    assert {each.label for each in found} == {"cat"}
    assert found[0].path == str(paths[found[0].image])
    with pytest.raises(InvalidArgument, match="no photograph has the label 'cow'; labels: bird, c"):
        index.top(("late", [4]), label="cow")


def test_more_than_what_is_kept_in_full(small: cb.Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("captum_blocks.examples.layering.EXACT", 4)
    generator = torch.Generator().manual_seed(5)
    pictures = [torch.randn(3, 16, 16, generator=generator) for _ in range(30)]
    index = cb.ExampleIndex.build(small, pictures, "late", progress=False)
    maps = maps_of(small, "late", pictures)
    for rank, sign in (("top", 1), ("bottom", -1)):
        (found,) = index.top(("late", [1]), 15, rank)
        assert_same(found, slow.top(maps, torch.eye(10)[1], 15, sign))


def test_k_larger_than_the_set_gives_all(index: cb.ExampleIndex) -> None:
    with pytest.warns(match=f"k=99, and there are {COUNT} photographs: all of them are given"):
        (found,) = index.top(("late", [0]), 99)
    assert sorted(each.image for each in found) == list(range(COUNT))
    with pytest.warns(match="k=99"):
        (along,) = index.top(torch.ones(10), 99, layer="late")
    assert sorted(each.image for each in along) == list(range(COUNT))


class Tokens(nn.Module):
    """Patches as tokens behind a class token, then as (N, y, x, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.mix = nn.Linear(8, 8)
        self.last = nn.Linear(8, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = self.mix(torch.cat([10 * torch.ones_like(tokens[:, :1]), tokens], 1))
        return self.last(tokens[:, 1:].unflatten(1, (4, 4)).relu()).mean((1, 2))


@pytest.mark.parametrize(("layer", "channels"), [("mix", 8), ("last", 6)])
def test_tokens_and_channels_at_the_end(
    pictures: list[torch.Tensor], layer: str, channels: int
) -> None:
    torch.manual_seed(1)
    net = cb.Network(
        Tokens().eval(),
        cb.Preprocess(size=16),
        layouts={"mix": cb.Layout("tokens", prefix=1, grid=(4, 4)), "last": cb.Layout("NHWC")},
    )
    index = cb.ExampleIndex.build(net, pictures, ["mix", "last"], progress=False)
    output = maps_of(net, layer, pictures)
    if layer == "mix":
        maps = output[:, 1:].transpose(1, 2).unflatten(2, (4, 4))
    else:
        maps = output.permute(0, 3, 1, 2)
    (found,) = index.top((layer, 2), 5)
    assert_same(found, slow.top(maps, torch.eye(channels)[2], 5))
    direction = torch.randn(channels, generator=torch.Generator().manual_seed(0))
    (along,) = index.top(direction, 5, layer=layer)
    assert_same(along, slow.top(maps, direction, 5))


class Coupled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x - x.mean(0)).mean((2, 3)) + self.conv(x).mean((2, 3))


def test_rows_that_would_change_each_other_and_layers_that_run_twice(
    pictures: list[torch.Tensor],
) -> None:
    torch.manual_seed(2)
    net = cb.Network(Coupled(), cb.Preprocess(size=16))
    index = cb.ExampleIndex.build(net, pictures[:20], "conv", progress=False)
    maps = maps_of(net, "conv", pictures[:20])[1::2]
    (found,) = index.top(("conv", [1]), 5)
    assert_same(found, slow.top(maps, torch.eye(5)[1], 5))
    (along,) = index.top(torch.ones(5), 5, layer="conv")
    assert_same(along, slow.top(maps, torch.ones(5), 5))


@pytest.mark.parametrize(
    ("units", "layer", "error", "said"),
    [
        (("laet", [1]), None, LayerNotFound, "layer 'laet' is not in the index; did you mean 'la"),
        (("late", [10]), None, InvalidArgument, "no channel 10: late has channels 0 to 9"),
        (("late", []), None, InvalidArgument, "no channel is asked for"),
        (cb.Hidden("late"), None, WrongType, "is a layer: give its channels"),
        (cb.Hidden("late").spatial, None, InvalidArgument, "an index knows channels of hidden"),
        (cb.Hidden("late").groups(3), None, InvalidArgument, "groups are directions; give those"),
        (cb.Hidden("late").channels[:2], "early", InvalidArgument, "leave it out"),
        (torch.ones(10), None, InvalidArgument, "layer= is missing"),
        (torch.ones(9), "late", InvalidArgument, "late has 10 numbers, one for each channel"),
        (torch.full((10,), torch.nan), "late", InvalidArgument, "NaN or infinite"),
        ("late", None, WrongType, "of all channels of a layer ('late', range(n"),
        (cb.Activation(cb.Hidden("late").channels), None, WrongType, "not Activation"),
        (cb.ChannelReducer(2), "late", WrongType, "index.top takes channels"),
    ],
)
def test_bad_questions(
    index: cb.ExampleIndex, units: object, layer: str | None, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said.replace("(", r"\(")):
        index.top(units, layer=layer)


def test_bad_ranks(index: cb.ExampleIndex) -> None:
    with pytest.raises(InvalidArgument, match="rank='tip' is none of .*; did you mean 'top'"):
        index.top(("late", 0), rank="tip")
    with pytest.raises(InvalidArgument, match="k=0: at least one"):
        index.top(("late", 0), k=0)


def test_a_whole_layer_is_all_of_its_channels(index: cb.ExampleIndex) -> None:
    assert len(index.top(cb.Hidden("late").channels, 2)) == 10
    assert index.top(cb.Hidden("early").channels[:2], 2) == index.top(("early", slice(2)), 2)
    assert np.shape(index.top(("early", None), 1)) == (6, 1)


def test_values_of_drawn_photographs_may_be_the_kept_ones(index, directions) -> None:
    """Within their own error of the exact ones, of the same photographs and nearly all places."""
    for rank in ("quantiles", "random"):
        exact = index.top(directions, 4, rank, layer="late", seed=3)
        about = index.top(directions, 4, rank, layer="late", seed=3, exact=False)
        pairs = [
            pair for each in zip(exact, about, strict=True) for pair in zip(*each, strict=True)
        ]
        assert all(one.image == other.image for one, other in pairs)
        assert all(one.error == 0.0 for one, _ in pairs)
        assert all(abs(one.value - other.value) <= other.error + 1e-5 for one, other in pairs)
        assert max(other.error for _, other in pairs) < 0.1 * max(abs(o.value) for o, _ in pairs)
        assert np.mean([one.position == other.position for one, other in pairs]) > 0.7
    for rank in ("top", "bottom"):
        exact = index.top(directions, 4, rank, layer="late")
        about = index.top(directions, 4, rank, layer="late", exact=False)
        for one, other in zip(chain(*exact), chain(*about), strict=True):
            assert one.error == 0.0
            assert abs(one.value - other.value) <= 2 * other.error
