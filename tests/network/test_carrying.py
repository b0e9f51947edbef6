"""Which layers carry the whole answer: each kind of network in which some do and some do not."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.layouts import Layout
from captum_blocks.network import LayerInfo, LayerTable
from captum_blocks.network.carrying import Carrying, Part, carried, unlike_pairs
from captum_blocks.network.choosing import recommended
from captum_blocks.network.ways import PICTURE, Ways, on_every_way, ways
from tests.network.test_places import passes

SIZE = 32


class Residual(nn.Module):
    """What it is given and what it makes of that."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(width, width, 3, 1, 1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.relu(self.conv(x))  # type: ignore[no-any-return]


class UNet(nn.Module):
    """A skip leads around the bottleneck."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.bottleneck = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 2, 1)
        self.up, self.join = nn.Upsample(scale_factor=2), nn.Conv2d(12, 6, 3, 1, 1)
        self.head = nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        down = self.down(x).relu()
        up = self.up(self.bottleneck(down).relu())
        return self.head(self.join(torch.cat([down, up], 1)).relu())  # type: ignore[no-any-return]


class Dense(nn.Module):
    """Every layer is given what all before it have made, as in a DenseNet."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(width * k, width, 3, 1, 1) for k in (1, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        made = [x]
        for layer in self.layers:
            made.append(layer(torch.cat(made, 1)).relu())
        return torch.cat(made, 1)


class Pair(nn.Module):
    """Returns two maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.conv(x)
        return maps, maps.relu()


class Second(nn.Module):
    """The second of two maps."""

    def forward(self, maps: tuple[Tensor, Tensor]) -> Tensor:
        return maps[1]


class One(nn.Module):
    """One of several, kept whatever it is given: a constant answer."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0 + 1


class Coupled(nn.Module):
    """Statistics of the batch, beside which a skip leads."""

    def __init__(self, skip: bool) -> None:
        super().__init__()
        self.norm, self.skip = nn.BatchNorm2d(3, track_running_stats=False), skip
        self.conv = nn.Conv2d(3, 6, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(self.norm(x))
        return maps + self.conv(x).relu() if self.skip else maps  # type: ignore[no-any-return]


class Noisy(nn.Module):
    """A dropout that is always on."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.5, training=True)


def head() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.LazyLinear(4)]


def network(*layers: nn.Module, **options: Any) -> cb.Network:
    module = nn.Sequential(*layers) if len(layers) > 1 else layers[0]
    return net_of(lambda: module, **options)


def net_of(build: Callable[[], nn.Module], size: int = SIZE, **options: Any) -> cb.Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = build()
        for part in module.modules():
            if hasattr(part, "reset_parameters") and not isinstance(part, nn.LazyLinear):
                part.reset_parameters()
        with torch.no_grad():
            module.eval()(torch.randn(1, 3, size, size))
    return cb.Network(module, cb.Preprocess(size), name="net", **options)


def told(net: cb.Network) -> dict[str, bool | None]:
    return {info.name: info.carries_all for info in net.layers()}


def info_of(net: cb.Network, name: str) -> LayerInfo:
    return next(info for info in net.layers() if info.name == name)


def by_hand(net: cb.Network, layer: str, one: Tensor, other: Tensor) -> tuple[float, float]:
    """How far from the other picture's answer one's is, with a layer exchanged, and without."""
    module, kept = net.module.get_submodule(layer), []
    hook = module.register_forward_hook(lambda module, given, output: kept.append(output.clone()))
    with torch.no_grad():
        wanted = net.module(other)
        hook.remove()
        hook = module.register_forward_hook(lambda module, given, output: kept[0].clone())
        got = net.module(one)
        hook.remove()
        own = net.module(one)
    return float((got - wanted).abs().max()), float((own - wanted).abs().max())


def test_in_a_sequence_every_layer_does() -> None:
    net = network(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 6, 3), *head())
    found = told(net)
    assert len(found) >= 5
    assert set(found.values()) == {True}


def test_a_residual_branch_does_not_and_the_block_does() -> None:
    net = network(nn.Conv2d(3, 6, 3, 2, 1), Residual(6), Residual(6), *head())
    found = told(net)
    assert {name for name, carries in found.items() if carries is False} == {
        "1.conv",
        "1.relu",
        "2.conv",
        "2.relu",
    }
    assert None not in found.values()
    noise, other = torch.randn(2, 1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    for name, carries in found.items():
        away, apart = by_hand(net, name, noise, other)
        assert (away == 0) == carries, name
        assert carries or away > 0.01 * apart


def test_a_skip_leads_around_the_bottleneck() -> None:
    found = told(net_of(UNet, region=(0, 0, 1, 1)))
    assert found == {
        "down": True,
        "bottleneck": False,
        "up": False,
        "join": True,
        "head": True,
    }


def test_a_map_of_scores_that_are_no_table_tells_nothing() -> None:
    assert set(told(net_of(UNet)).values()) == {None}


def test_layers_of_a_dense_block_do_not_and_the_block_does() -> None:
    net = network(nn.Conv2d(3, 4, 3, 2, 1), Dense(4), nn.Conv2d(16, 6, 1), nn.ReLU(), *head())
    found = told(net)
    assert {name for name in found if name.startswith("1.layers.")} == {
        name for name, carries in found.items() if carries is False
    }
    assert found["1"] is True


def test_of_a_transformer_the_block_does_and_its_places_until_the_last() -> None:
    options = {"img_size": SIZE, "patch_size": 8, "embed_dim": 48, "num_heads": 3, "num_classes": 5}
    net = net_of(lambda: timm.create_model("vit_tiny_patch16_224", depth=3, **options))
    rows = {info.name: info for info in net.layers()}
    assert [rows[f"blocks.{k}"].carries_all for k in range(3)] == [True] * 3
    assert [rows[f"blocks.{k}.attn"].carries_all for k in range(3)] == [False] * 3
    assert rows["norm"].carries_all is True
    # The answer is read from the class token: what the places have there, nobody looks at.
    assert rows["norm"].places_carry_all is False
    assert rows["blocks.2"].places_carry_all is False
    assert rows["blocks.2"].layout.token_places == (0,)
    assert [info.carries_all for info in net.layers() if info.recommended] == [True]


def test_places_of_a_transformer_that_averages_them_carry_all() -> None:
    options = {"img_size": SIZE, "patch_size": 8, "embed_dim": 48, "num_heads": 3, "num_classes": 5}
    made = timm.create_model(
        "vit_tiny_patch16_224", depth=2, global_pool="avg", class_token=False, **options
    )
    net = net_of(lambda: made)
    assert info_of(net, "blocks.1").places_carry_all is True
    branch = info_of(net, "blocks.1.mlp")
    assert (branch.carries_all, branch.places_carry_all) == (False, False)


def test_of_one_of_several_tensors_nothing_is_told() -> None:
    net = network(Pair(), Second(), nn.ReLU(), *head())
    found = told(net)
    assert {"0", "0:1"} <= {name for name, carries in found.items() if carries is None}
    assert (found["0.conv"], found["1"]) == (True, True)


def test_of_a_layer_that_runs_twice_nothing_is_told() -> None:
    relu = nn.ReLU()
    net = network(nn.Conv2d(3, 6, 3, 2, 1), relu, nn.Conv2d(6, 6, 3), relu, *head())
    found = told(net)
    assert found["1"] is None
    assert (found["0"], found["2"]) == (True, True)


@pytest.mark.parametrize("strange", [One(), Noisy()], ids=["constant", "noisy"])
def test_where_answers_tell_nothing_apart(strange: nn.Module) -> None:
    net = network(nn.Conv2d(3, 6, 3, 2, 1), strange, nn.ReLU(), *head())
    assert set(told(net).values()) == {None}
    assert len(net.recommended()) == 1


@pytest.mark.parametrize("skip", [False, True])
def test_rows_that_change_each_other_are_run_one_by_one(skip: bool) -> None:
    net = network(Coupled(skip), nn.ReLU(), *head())
    found = told(net)
    assert found["0.norm"] is not skip
    assert found["1"] is True
    module, part = copy.deepcopy(net.module), Part("1")
    rows: list[int] = []
    module[1].register_forward_hook(lambda module, given, output: rows.append(len(output)))  # type: ignore[index, union-attr, operator]
    assert carried(module, [part], (3, SIZE, SIZE), torch.zeros(())) == {part: True}
    # Of both pairs, both ways: what is wanted, what it was, and exchanged.
    assert rows[-12:] == [1] * 12


def test_only_what_is_read_of_two_answers_counts() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.pool = nn.Conv2d(3, 6, 3, 2, 1), nn.AdaptiveAvgPool2d(1)
            self.one, self.other = nn.Conv2d(6, 6, 1), nn.Conv2d(6, 6, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            maps = self.body(x).relu()
            return self.one(maps).mean((2, 3)), self.other(maps).amax((2, 3))

    first, second = (net_of(Two, output=k) for k in (0, 1))
    assert [told(first)[name] for name in ("body", "one", "other")] == [True, True, False]
    assert [told(second)[name] for name in ("body", "one", "other")] == [True, False, True]


def test_it_is_tested_once_and_anew_with_other_weights() -> None:
    net = network(nn.Conv2d(3, 6, 3, 2, 1), Residual(6), nn.ReLU(), *head())
    rows = {info.name: info for info in net.layers()}
    with passes(net) as first:
        assert rows["1.relu"].carries_all is False
    with passes(net) as again:
        assert rows["1.relu"].carries_all is False
        assert info_of(net, "1.relu").carries_all is False
    assert len(first) >= 2
    assert again == [2, 1, 2, 1][: len(again)]  # of the dry run alone
    with torch.no_grad():
        net.module[0].weight.zero_()  # type: ignore[index, union-attr, operator]
        net.module[0].bias.zero_()  # type: ignore[index, union-attr, operator]
    with passes(net) as trained:
        assert rows["1.relu"].carries_all is None  # every picture has the same answer now
    assert len(trained) >= 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_numbers_of_any_kind(dtype: torch.dtype) -> None:
    net = network(nn.Conv2d(3, 6, 3, 2, 1), Residual(6), nn.ReLU(), *head())
    net = cb.Network(net.module.to(dtype), cb.Preprocess(SIZE))
    found = told(net)
    assert (found["1"], found["1.relu"]) == (True, False)


def test_rows_are_data_as_before() -> None:
    net = network(nn.Conv2d(3, 6, 3, 2, 1), Residual(6), nn.ReLU(), *head())
    table = net.layers()
    info = next(info for info in table if info.name == "1.relu")
    assert "carrying" not in repr(info)
    plain = replace(info, carrying=None)
    assert plain == info
    assert hash(plain) == hash(info)
    assert plain.carries_all is None
    unasked = pickle.loads(pickle.dumps(info))
    assert (unasked, unasked.carries_all) == (info, None)
    assert info.carries_all is False
    for made in (pickle.loads(pickle.dumps(info)), copy.deepcopy(info), replace(info, against="x")):
        assert made.carries_all is False
    assert asdict(info)["name"] == "1.relu"
    again = pickle.loads(pickle.dumps(table))
    assert isinstance(again, LayerTable)
    assert again == table
    assert repr(again) == repr(table)


def test_the_table_tells_where_it_is_asked_to() -> None:
    relu = nn.ReLU()
    net = network(nn.Conv2d(3, 6, 3, 2, 1), Residual(6), relu, nn.Conv2d(6, 6, 1), relu, *head())
    table = net.layers()
    plain = repr(table)
    lines = repr(table.with_carrying()).splitlines()
    assert repr(table) == plain
    assert "carries" not in plain
    columns = "layer, shape, layout, places, sign, carries, stride, sees, module"
    assert ", ".join(lines[0].split()) == columns
    start = lines[0].index("carries")
    cells = {line.split()[0]: line[start:].partition("  ")[0] for line in lines if "NCHW" in line}
    assert (cells["1"], cells["1.conv"], cells["2"]) == ("all", "not all", "?")
    assert lines[-1].startswith("carries all: ")


def test_where_a_skip_leads_around_the_last_the_block_is_recommended() -> None:
    blocks = [Residual(6), nn.MaxPool2d(2), Residual(6), nn.MaxPool2d(2), Residual(6)]
    net = network(nn.Conv2d(3, 6, 3, 2, 1), *blocks, *head())
    marked = [info for info in net.layers() if info.recommended]
    assert [info.grid[0] for info in marked] == [16, 8, 4]
    assert all(info.carries_all for info in marked)
    assert [info.name for info in marked] == ["1", "3", "5"]


def test_where_nothing_carries_all_the_last_is_recommended_as_before() -> None:
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.deep = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
            self.fc = nn.Linear(9, 4)

        def forward(self, x: Tensor) -> Tensor:
            means = [self.deep(x).mean((2, 3)), x.mean((2, 3))]
            return self.fc(torch.cat(means, 1))  # type: ignore[no-any-return]

    net = net_of(Beside)
    assert net.recommended() == ("deep",)
    assert info_of(net, "deep").carries_all is False


def test_the_demo_network(demo: cb.Network) -> None:
    rows = {info.name: info for info in demo.layers()}
    known = {
        "blocks.4.2.bn1": False,
        "blocks.5.0.bn1": True,
        "blocks.4.0.bn1": True,
        "bn2": True,
    }
    assert {name: rows[name].carries_all for name in known} == known
    assert demo.recommended() == ("blocks.5.0.bn1", "bn2")
    assert (rows["blocks.5.0.bn1"].shape, rows["blocks.5.0.bn1"].sign) == ((672, 14, 14), ">= 0")


def test_the_network_and_the_random_numbers_are_left_alone() -> None:
    net = network(nn.Conv2d(3, 6, 3, 2, 1), nn.Dropout(), nn.ReLU(inplace=True), *head())
    net.module.train()
    before = {name: tensor.clone() for name, tensor in net.module.state_dict().items()}
    state = torch.get_rng_state()
    net.layers().with_carrying()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(part.training for part in net.module.modules())
    assert not any(part._forward_hooks for part in net.module.modules())
    assert all(torch.equal(t, before[name]) for name, t in net.module.state_dict().items())


def test_pictures_are_unlike_and_the_same_each_time() -> None:
    for shape in ((3, 64, 48), (1, 28, 28), (12, 16, 16)):
        pictures = [each for pair in unlike_pairs(shape) for each in pair]
        again = [each for pair in unlike_pairs(shape) for each in pair]
        assert all(map(torch.equal, pictures, again))
        assert {each.shape for each in pictures} == {(1, *shape)}
        alike = torch.corrcoef(torch.stack([each.flatten() for each in pictures]))
        assert float((alike - torch.eye(len(pictures))).abs().max()) < 0.8


def test_what_is_told_without_a_network() -> None:
    assert Carrying(None, {Part("a"): True}).all([Part("a"), Part("b")]) == {
        Part("a"): True,
        Part("b"): None,
    }


def test_ways_through_a_graph_are_counted() -> None:
    """Against the ways themselves, one by one."""
    x = torch.ones(1, requires_grad=True).clone()
    made = {PICTURE: x, "a": (a := x * 2), "b": (b := a.exp()), "c": (c := a + b)}
    made |= {"d": (d := c.sin() * c), "e": (e := d + b.detach()), "f": x.cos()}
    nodes = {name: tensor.grad_fn for name, tensor in made.items()}

    def all_from(node: Any) -> list[list[Any]]:
        if node is nodes[PICTURE]:
            return [[node]]
        following = [each for each, _ in node.next_functions if each is not None]
        return [[node, *way] for each in following for way in all_from(each)]

    every = all_from(e.grad_fn)
    expected = {name for name, node in nodes.items() if all(node in way for way in every)}
    assert on_every_way(e, nodes) == expected == {PICTURE, "a", "c", "d", "e"}


def rows_of(kind: str, grids: list[int], signs: str, block: str = "Block") -> list[LayerInfo]:
    """Layers named by their number."""
    layouts = [
        Layout("tokens", prefix=1, grid=(grid, grid)) if kind == "tokens" else Layout("NCHW")
        for grid in grids
    ]
    shapes = [(17, 8) if kind == "tokens" else (8, grid, grid) for grid in grids]
    told = zip(shapes, layouts, signs, strict=True)
    return [
        LayerInfo(str(k), shape, layout, ">= 0" if sign == "+" else "signed", block)
        for k, (shape, layout, sign) in enumerate(told)
    ]


@pytest.mark.parametrize(
    ("table", "carry", "cuts", "chosen", "asked"),
    [
        # Blocks at a third, two thirds and the last but one: each the last of its third.
        (
            rows_of("tokens", [4] * 9, "-" * 9),
            "0248",
            "012345678",
            "247",
            [["3", "6", "7"], ["2", "5"], ["4"]],
        ),
        # Behind the nonlinearity first, of the same grid; then what is signed.
        (rows_of("maps", [8, 8, 4, 4, 4], "+++-+"), "03", "0123", "03", None),
        # Nothing that carries all: as before.
        (rows_of("maps", [8, 8, 4, 4, 4], "+++-+"), "", "0123", "14", None),
        # No way through the graph is known: all may be.
        (rows_of("maps", [8, 8, 4, 4], "++++"), "02", None, "02", [["1", "3"], ["0", "2"]]),
        # The graph tells of most that they are none, which are not tested.
        (rows_of("maps", [8, 8, 4, 4], "++++"), "02", "02", "02", [["0", "2"]]),
    ],
)
def test_of_each_slot_the_best_that_carries_all(
    table: list[LayerInfo],
    carry: str,
    cuts: str | None,
    chosen: str,
    asked: list[list[str]] | None,
) -> None:
    tested: list[list[str]] = []

    def carries(names: Any) -> dict[str, bool | None]:
        tested.append(list(names))
        return {name: name in carry for name in names}

    def look(names: Any) -> Ways:
        return Ways(cuts=None if cuts is None else frozenset(cuts) & frozenset(names))

    assert recommended(table, look, carries) == tuple(chosen)
    assert recommended(table) == recommended(table, look)
    if asked is not None:
        assert tested == asked


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_that_the_caller_switched_off(mode: Callable[[], Any]) -> None:
    """What is recommended does not depend on it."""
    outside = cb.load_network("timm:test_resnet:none").recommended()
    with mode():
        assert cb.load_network("timm:test_resnet:none").recommended() == outside


def test_scores_without_any_gradient() -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).detach().mean((2, 3))

    net = Counted()
    assert ways(net, dict(net.named_modules()), torch.ones(1, 3, 8, 8), ["conv"]) == Ways()
