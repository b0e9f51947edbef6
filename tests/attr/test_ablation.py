"""Removals, against a slow reference of plain hooks: one pass of the whole network each."""

from __future__ import annotations

import gc
import weakref
from itertools import product
from typing import Any

import pytest
import torch
from captum.attr import LayerFeatureAblation, NoiseTunnel
from torch import Tensor, nn
from torch.nn import functional

import captum_blocks as cb
from captum_blocks.attr import LayerAblation, scored, scored_each
from captum_blocks.attr import tail as tails
from captum_blocks.attr.before import remembered
from captum_blocks.attr.head import probe
from captum_blocks.attr.removal import Fill
from captum_blocks.attr.tail import Tail, fast_copy
from captum_blocks.errors import (
    BlocksError,
    InvalidArgument,
    UnknownName,
    UnsupportedMethod,
    UnusableLayer,
    WrongType,
)
from tests.reference.removals import answered, kept


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6)
        self.inner, self.inner_norm = nn.Conv2d(6, 6, 3, 1, 1), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        stem = torch.relu(self.norm(self.stem(x)))
        out = stem + torch.relu(self.inner_norm(self.inner(stem)))
        out += stem
        return self.head(out.mean((2, 3)))


class Skipping(nn.Module):
    """What is before the layer is joined on behind it, as in U-Nets and DenseNets."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.deep = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 5, 3, 2, 1)
        self.up, self.head = nn.Conv2d(9, 4, 3, 1, 1), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        fine = torch.relu(self.down(x))
        coarse = functional.interpolate(torch.relu(self.deep(fine)), scale_factor=2.0)
        return self.head(torch.relu(self.up(torch.cat([fine, coarse], 1))).mean((2, 3)))


class Tokens(nn.Module):
    """A class token and 4 x 4 patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.first = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.randn(1, 1, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
        self.last = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(x), -1, -1), patches], 1)
        return self.head(self.last(self.block(tokens))[:, 0])


NETWORKS: dict[str, tuple[type[nn.Module], str]] = {
    "residual branch": (Residual, "inner_norm"),
    "block": (Residual, "norm"),
    "skip": (Skipping, "deep"),
    "tokens": (Tokens, "block"),
}


@pytest.fixture(params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module, str, Tensor]:
    kind, layer = NETWORKS[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = kind().eval()
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.uniform_(part.running_mean)
                nn.init.uniform_(part.running_var, 0.5, 2)
        x = torch.randn(2, 3, 16, 16)
    return module, module.get_submodule(layer), layer, x


def atoms(output: Tensor, atom: str) -> list[tuple[Any, ...]]:
    """Where each atom of an output lies, as indices of it, images left out."""
    everything = slice(None)
    if output.ndim == 3:
        places, channels = range(1, output.shape[1]), range(output.shape[2])
        return {
            "channel": [(everything, slice(1, None), c) for c in channels],
            "spatial": [(everything, p) for p in places],
            "neuron": [(everything, p, c) for p in (0, *places) for c in channels],
            "whole": [(everything,)],
            "tokens": [(everything, 0)],
        }[atom]
    _, channels, height, width = map(range, output.shape)
    return {
        "channel": [(everything, c) for c in channels],
        "spatial": [(everything, everything, y, x) for y, x in product(height, width)],
        "neuron": [(everything, c, y, x) for c, y, x in product(channels, height, width)],
        "whole": [(everything,)],
    }[atom]


def fill_of(output: Tensor, fill: str, others: Tensor) -> list[Tensor]:
    if fill == "zero":
        return [torch.zeros_like(output)]
    if fill == "mean":
        places = output[:, 1:] if output.ndim == 3 else output
        return [places.mean(1 if output.ndim == 3 else (2, 3), keepdim=True).expand_as(output)]
    if fill == "tensor":
        return [
            torch.linspace(-1, 1, output[0].numel()).reshape(output[:1].shape).expand_as(output)
        ]
    return [one[None].expand_as(output) for one in others]


@pytest.mark.parametrize("score", ["logit", "log-odds"])
@pytest.mark.parametrize("fill", ["zero", "mean", "resample", "tensor"])
@pytest.mark.parametrize("atom", ["channel", "spatial", "neuron", "whole"])
def test_equals_plain_hooks(case: Any, atom: str, fill: str, score: str) -> None:
    module, layer, name, x = case
    output, others = kept(module, layer, x), torch.randn(2, 3, 16, 16)
    fillings = fill_of(output, fill, kept(module, layer, others))
    with torch.no_grad():
        before = module(x)
    expected = []
    every = 11 if atom == "neuron" else 1
    for where in atoms(output, atom)[::every]:
        after = []
        for filling in fillings:

            def change(held: Tensor, filling: Tensor = filling, where: Any = where) -> Tensor:
                own = filling.clone()
                if fill == "mean" and held.ndim == 3:
                    own[:, 0] = held[:, 0]  # a token has no mean over positions
                held[where] = own[where]
                return held

            after.append(scored(answered(module, layer, x, change), 2, score))
        expected.append(scored(before, 2, score) - torch.stack(after).mean(0))
    found = LayerAblation(module, name).attribute(
        x,
        target=2,
        atom=atom,
        fill=fillings[0][0] if fill == "tensor" else fill,  # type: ignore[arg-type]
        score=score,  # type: ignore[arg-type]
        others=others if fill == "resample" else None,
        perturbations_per_eval=7,
    )
    rows = found.reshape(2, -1)[:, ::every]
    torch.testing.assert_close(rows, torch.stack(expected, 1), rtol=1e-4, atol=1e-5)


def test_shapes(case: Any) -> None:
    module, layer, _, x = case
    output = kept(module, layer, x)
    ablation = LayerAblation(module, layer)
    assert ablation.attribute(x, 0, atom="neuron").shape == output.shape
    assert ablation.attribute(x, 0, atom="whole").shape == (2,)
    if output.ndim == 3:
        assert ablation.attribute(x, 0, atom="spatial").shape == (2, 4, 4)
        assert ablation.attribute(x, 0, atom="tokens").shape == (2, 1)


def test_only_what_lies_behind_runs_again(case: Any) -> None:
    module, layer, name, x = case
    seen = probe(module, layer, name, x[:1])
    assert Tail(module, layer, x[:1], seen, fast_copy(module, layer)).alone


def test_the_copy_of_the_network_goes_with_the_tail(case: Any) -> None:
    """At once, not when a garbage collector comes by: many tails would be many networks."""
    module, layer, name, x = case
    copy = fast_copy(module, layer)
    assert copy is not None
    there = weakref.ref(copy[0])
    tail = Tail(module, layer, x[:1], probe(module, layer, name, x[:1]), copy)
    assert tail.alone
    gc.disable()
    try:
        del copy
        assert there() is not None
        del tail
        assert there() is None
    finally:
        gc.enable()


class Fickle(nn.Module):
    """Behind the layer it asks how many pictures there are."""

    def __init__(self) -> None:
        super().__init__()
        self.early, self.head = nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        early = torch.relu(self.early(x))
        return self.head(early.mean((2, 3)).reshape(len(x), 4) + x.mean((2, 3))[:, :1])


def test_where_the_tail_cannot_run_alone_the_whole_network_does() -> None:
    module, x = Fickle().eval(), torch.randn(1, 3, 8, 8)
    seen = probe(module, module.early, "early", x)
    assert not Tail(module, module.early, x, seen, fast_copy(module, module.early)).alone
    found = LayerAblation(module, "early").attribute(x, 1)
    for channel in range(4):

        def change(held: Tensor, channel: int = channel) -> Tensor:
            held[:, channel] = 0
            return held

        after = answered(module, module.early, x, change)[:, 1]
        with torch.no_grad():
            assert found[:, channel] == pytest.approx(module(x)[:, 1] - after, abs=1e-5)


def test_agrees_with_captum(case: Any) -> None:
    module, layer, _, x = case
    captums = LayerFeatureAblation(module, layer).attribute(x, target=3)
    found = LayerAblation(module, layer).attribute(x, 3, atom="neuron")
    torch.testing.assert_close(found, captums, rtol=1e-4, atol=1e-5)


def test_channels_are_captums_with_a_mask() -> None:
    module, x = Residual().eval(), torch.randn(2, 3, 16, 16)
    mask = torch.arange(6)[None, :, None, None].expand(1, 6, 8, 8)
    captums = LayerFeatureAblation(module, module.inner).attribute(x, target=3, layer_mask=mask)
    found = LayerAblation(module, "inner").attribute(x, 3)
    torch.testing.assert_close(found, captums[..., 0, 0], rtol=1e-4, atol=1e-5)


def test_each_image_has_its_target(case: Any) -> None:
    module, layer, _, x = case
    ablation = LayerAblation(module, layer)
    both = ablation.attribute(x, target=[1, 4])
    torch.testing.assert_close(both[0], ablation.attribute(x, target=1)[0])
    torch.testing.assert_close(both[1], ablation.attribute(x, target=torch.tensor(4))[1])
    torch.testing.assert_close(both[1], ablation.attribute(x, target=-1)[1])


def test_composes_with_a_noise_tunnel(case: Any) -> None:
    module, layer, _, x = case
    tunnel = NoiseTunnel(LayerAblation(module, layer))
    found = tunnel.attribute(
        x, nt_samples=2, stdevs=0.0, target=1, atom="spatial", score="log-odds"
    )
    expected = LayerAblation(module, layer).attribute(x, 1, atom="spatial", score="log-odds")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_network_comes_back_as_it_was(case: Any, snapshot: Any) -> None:
    module, layer, _, x = case
    before = snapshot(module)
    LayerAblation(module, layer).attribute(x, 1, atom="spatial")
    assert snapshot(module) == before


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.early, self.head = nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(4, 5)

    def forward(self, x: Tensor, scale: Tensor, shift: float) -> Tensor:
        return (
            self.head(torch.relu(self.early(x) * scale[:, None, None, None]).mean((2, 3))) + shift
        )


def test_further_arguments_go_with_their_image() -> None:
    module, x = Scaled().eval(), torch.randn(2, 3, 8, 8)
    scale = torch.tensor([1.0, -2.0])
    ablation = LayerAblation(module, "early")
    both = ablation.attribute(x, 1, (scale, 0.5))
    for image in range(2):
        one = slice(image, image + 1)
        expected = ablation.attribute(x[one], 1, (scale[one], 0.5))
        torch.testing.assert_close(both[one], expected)
    assert not torch.allclose(both[1], ablation.attribute(x[1:], 1, (scale[:1], 0.5))[0])


class TestSubsets:
    @pytest.fixture
    def fitted(self, case: Any) -> Any:
        module, layer, _, x = case
        algorithm = "nmf" if bool((kept(module, layer, x) >= 0).all()) else "semi_nmf"
        layout = "tokens" if kept(module, layer, x).ndim == 3 else "NCHW"
        reducer = cb.ChannelReducer(3, algorithm=algorithm, layout=layout)
        return reducer.fit(kept(module, layer, x))

    @pytest.mark.parametrize("fill", ["zero", "mean"])
    def test_rows_are_the_network_with_those_parts(self, case: Any, fitted: Any, fill: str) -> None:
        module, layer, _, x = case
        table = LayerAblation(module, layer).subsets(x, fitted, fill=fill)  # type: ignore[arg-type]
        assert table.scores.shape == (2, 1, 16, 5)
        output = kept(module, layer, x)
        maps = output[:, 1:].transpose(1, 2).unflatten(2, (4, 4)) if output.ndim == 3 else output
        scores = fitted.transform(output)
        if output.ndim == 3:
            scores = scores[:, -16:].transpose(1, 2).unflatten(2, (4, 4))
        parts = scores[:, :, None] * torch.as_tensor(fitted.components_)[None, :, :, None, None]
        zero = torch.zeros_like(parts)
        instead = zero if fill == "zero" else parts.mean((3, 4), keepdim=True).expand_as(parts)
        rest, rest_instead = maps - parts.sum(1), torch.zeros_like(maps)
        if fill == "mean":
            rest_instead = maps.mean((2, 3), keepdim=True).expand_as(maps) - instead.sum(1)
        for row, present in enumerate(table.present.tolist()):
            made = rest if present[3] else rest_instead
            for group in range(3):
                made = made + (parts if present[group] else instead)[:, group]

            def change(held: Tensor, made: Tensor = made, present: Any = present) -> Tensor:
                if held.ndim == 4:
                    return made
                held[:, 1:] = made.flatten(2).transpose(1, 2)
                if not present[3] and fill == "zero":
                    held[:, 0] = 0
                return held

            expected = answered(module, layer, x, change)
            torch.testing.assert_close(table.scores[:, 0, row], expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("score", ["logit", "log-odds"])
    def test_both_games_add_up(self, case: Any, fitted: Any, score: Any) -> None:
        module, layer, _, x = case
        table = LayerAblation(module, layer).subsets(x, fitted)
        worth = table.worth(2, score)
        with torch.no_grad():
            own = scored(module(x), 2, score)
        filled = own - LayerAblation(module, layer).attribute(x, 2, atom="whole", score=score)
        values = table.shapley(2, score)
        torch.testing.assert_close(values.sum(1), own - filled, rtol=1e-4, atol=1e-4)
        staying = table.shapley(2, score, residual=False)
        torch.testing.assert_close(staying.sum(1), own - worth[:, 8], rtol=1e-4, atol=1e-4)
        removed = LayerAblation(module, layer).attribute(x, 2, atom=fitted, score=score)
        torch.testing.assert_close(table.removals(2, score)[:, :3], removed, rtol=1e-4, atol=1e-4)

    def test_interactions_are_differences_of_differences(self, case: Any, fitted: Any) -> None:
        module, layer, _, x = case
        table = LayerAblation(module, layer).subsets(x, fitted)
        worth, found = table.worth(2), table.interactions(2)
        assert found[:, 0, 2] == pytest.approx(
            worth[:, 15] - worth[:, 14] - worth[:, 11] + worth[:, 10], abs=1e-5
        )
        torch.testing.assert_close(found, found.transpose(1, 2))
        assert not found.diagonal(dim1=1, dim2=2).any()

    def test_of_many_groups_the_strongest_are_players(self) -> None:
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(432, 4)
        module = nn.Sequential(*layers).eval()
        x = torch.randn(1, 3, 8, 8)
        reducer = cb.ChannelReducer(9).fit(module[:2](x).detach())
        with pytest.warns(UserWarning, match="9 groups have 1,024 subsets: the 8 strongest"):
            table = LayerAblation(module, "1").subsets(x, reducer)
        strength = [
            float(reducer.transform(module[:2](x).detach())[0, g].norm())
            * float(torch.as_tensor(reducer.components_)[g].norm())
            for g in range(9)
        ]
        assert set(range(9)) - set(table.groups) == {strength.index(min(strength))}


def test_layers_are_swapped_whole(case: Any) -> None:
    module, layer, _, x = case
    others = torch.randn(3, 3, 16, 16)
    found = LayerAblation(module, layer).swapped(x, others)
    mine, theirs = kept(module, layer, x), kept(module, layer, others)
    for image, other in product(range(2), range(3)):
        one, two = x[image : image + 1], others[other : other + 1]
        taken = answered(module, layer, one, lambda _, o=other: theirs[o : o + 1])
        put = answered(module, layer, two, lambda _, i=image: mine[i : i + 1])
        torch.testing.assert_close(found.taken[image, other], taken[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.put[image, other], put[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        ({"target": 5}, InvalidArgument, "class 5 does not exist"),
        ({"target": None}, InvalidArgument, "has 5 classes: give one"),
        ({"target": [0, 1, 2]}, InvalidArgument, "3 targets for 2 images"),
        ({"target": 0, "atom": "chanel"}, UnknownName, "did you mean 'channel'"),
        ({"target": 0, "fill": "zeros"}, UnknownName, "did you mean 'zero'"),
        ({"target": 0, "fill": "resample"}, InvalidArgument, "give them as others="),
        ({"target": 0, "others": torch.zeros(1, 3, 16, 16)}, InvalidArgument, "of no other"),
        ({"target": 0, "fill": torch.zeros(3)}, InvalidArgument, r"a filling of shape \(3,\)"),
        ({"target": 0, "fill": torch.full((6,), torch.nan)}, InvalidArgument, "NaN or infinite"),
        ({"target": 0, "score": "odds"}, UnknownName, "did you mean 'log-odds'"),
        ({"target": 0, "atom": "tokens"}, InvalidArgument, "no class or register tokens"),
        ({"target": 0, "perturbations_per_eval": 0}, InvalidArgument, "at least one"),
        ({"target": 0, "atom": cb.ChannelReducer(2)}, InvalidArgument, "is not fitted"),
    ],
)
def test_bad_input_is_told(call: dict[str, Any], kind: type[BlocksError], message: str) -> None:
    module = Residual().eval()
    with pytest.raises(kind, match=message):
        LayerAblation(module, "inner").attribute(torch.zeros(2, 3, 16, 16), **call)


def test_what_takes_minutes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "MOST_SECONDS", 0.0)
    with pytest.raises(UnsupportedMethod, match="768 removals at .* runs 768 times"):
        LayerAblation(Residual().eval(), "inner").attribute(
            torch.zeros(2, 3, 16, 16), 0, atom="neuron", perturbations_per_eval=8
        )


def test_a_layer_that_runs_twice_is_refused() -> None:
    relu = nn.ReLU()
    module = nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 4, 3), relu, nn.Flatten())
    with pytest.raises(UnusableLayer, match="runs 2 times"):
        LayerAblation(module, relu).attribute(torch.zeros(1, 3, 8, 8), 0)


@pytest.mark.parametrize(
    ("sets", "kind", "words"),
    [
        ([[0, 30]], InvalidArgument, "sets= names atom 30, and there are atoms 0 to 5"),
        ([[-1]], InvalidArgument, "sets= names atom -1"),
        ([], InvalidArgument, "sets= is empty"),
        ([3], WrongType, "a list of lists"),
        (torch.tensor([[1, 2]]), WrongType, "a list of lists"),
        ([[True]], WrongType, "sets= holds True"),
        ([[2.9]], WrongType, "sets= holds 2.9"),
    ],
)
def test_sets_that_are_none_are_refused(sets: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        LayerAblation(Residual().eval(), "norm").together(torch.rand(1, 3, 9, 9), sets)


class Counting(nn.Module):
    """A stem that returns a pair, which is written to, and used again behind the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner = Stem(), nn.Conv2d(4, 4, 3, 1, 1)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        fine, scale = self.stem(x)
        inner = self.inner(fine)
        fine.mul_(scale)  # in place
        return self.head((torch.relu(inner) + fine).mean((2, 3)))


class Stem(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.runs = nn.Conv2d(3, 4, 3, 2, 1), Runs()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.runs.count += 1
        return torch.relu(self.conv(x)), torch.full((1, 4, 1, 1), 0.5)


class Runs:
    """Counts, and is shared by all copies."""

    count = 0

    def __deepcopy__(self, memo: object) -> Runs:
        return self


def counting() -> tuple[Counting, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return Counting().eval(), torch.randn(1, 3, 8, 8)


def test_what_comes_before_the_layer_is_not_run_for_every_chunk() -> None:
    module, x = counting()
    seen = probe(module, module.inner, "inner", x)
    tail = Tail(module, module.inner, x, seen, fast_copy(module, module.inner))
    before = module.stem.runs.count
    list(tail.scores(torch.randn(6, 4, 4, 4).split(1)))
    assert module.stem.runs.count == before


@pytest.mark.parametrize("channel", range(4))
def test_what_comes_before_the_layer_is_the_same_for_every_chunk(channel: int) -> None:
    module, x = counting()

    def change(held: Tensor) -> Tensor:
        held[:, channel] = 0
        return held

    _, without = LayerAblation(module, "inner").without(x)
    expected = answered(module, module.inner, x, change)
    torch.testing.assert_close(without[:, 0, channel], expected, rtol=1e-5, atol=1e-6)


def test_the_parts_before_a_layer_that_are_remembered() -> None:
    module, x = counting()
    (edit,) = remembered(module, module.inner, x)
    assert edit.parent is module
    assert list(edit.replacements) == ["stem"]
    twice = nn.Sequential(shared := nn.Conv2d(3, 3, 1), nn.ReLU(), shared, nn.Tanh())
    assert [list(edit.replacements) for edit in remembered(twice, twice[3], x)] == [["1"]]


def test_parts_of_the_layer_itself_are_remembered() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(6)
        first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        net = nn.Sequential(first, nn.Conv2d(4, 5, 6), nn.Flatten())
        x = torch.randn(1, 3, 8, 8)
    assert [list(edit.replacements) for edit in remembered(net, net[0], x)] == [["0"], ["1"]]
    _, without = LayerAblation(net, "0").without(x)
    expected = answered(net, net[0], x, lambda held: held * (torch.arange(4) != 2)[:, None, None])
    torch.testing.assert_close(without[:, 0, 2], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("atom", ["channel", "spatial", "neuron", "whole"])
@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_atoms_that_their_filling_equals_are_not_run(atom: str, fill: Fill) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)).eval()
    with torch.random.fork_rng():
        torch.manual_seed(7)
        x = torch.randn(1, 3, 4, 4)
        nn.init.normal_(net[3].weight)
    with torch.no_grad():
        net[0].bias[1] = -99.0  # a channel that never fires
        net[0].bias[2] = 99.0
    own, without = LayerAblation(net, "1").without(x, atom, fill)
    held = kept(net, net[1], x)
    instead = torch.zeros_like(held) if fill == "zero" else held.mean((2, 3), True).expand_as(held)
    places = atoms(held, atom)
    for number, where in enumerate(places):
        changed = held.clone()
        changed[where] = instead[where]
        after = without.reshape(len(places), 5)[number]
        with torch.no_grad():
            torch.testing.assert_close(after, net[2:](changed)[0], rtol=1e-5, atol=1e-4)
        if torch.equal(changed, held):
            assert torch.equal(after, own[0])


@pytest.mark.parametrize("score", ["logit", "log-odds"])
@pytest.mark.parametrize("classes", [5, 1])
def test_several_scores_are_those_of_each_class(score: str, classes: int) -> None:
    logits = torch.randn(2, 3, classes, generator=torch.Generator().manual_seed(8))
    targets = [each for each in (4, 0, 2) if each < classes]
    found = scored_each(logits, targets, score)
    assert found.shape == (2, 3, len(targets))
    for place, target in enumerate(targets):
        assert torch.equal(found[..., place], scored(logits, target, score))
