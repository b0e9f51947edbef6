"""Measures of an attribution, against loops and plain hooks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import captum_blocks as cb
from captum_blocks.attr import LayerAblation, LayerMethod
from captum_blocks.attr.faithful import (
    area,
    classifier,
    compared,
    randomised,
    rank_correlation,
    top_overlap,
)
from captum_blocks.errors import InvalidArgument, UnknownName, WrongType
from captum_blocks.ranking import ranks
from tests.reference.removals import answered, kept


def loops(numbers: list[float]) -> list[float]:
    """One plus how many are smaller, plus half of how many others are equal."""
    return [
        1 + sum(b < a for b in numbers) + (sum(b == a for b in numbers) - 1) / 2 for a in numbers
    ]


class TestMeasures:
    def test_equal_numbers_share_their_mean_rank(self) -> None:
        numbers = torch.randint(-3, 4, (5, 40)).float()
        assert ranks(numbers).tolist() == [loops(row) for row in numbers.tolist()]

    def test_correlation_is_that_of_scipy(self) -> None:
        one, other = torch.randint(-3, 4, (4, 40)).float(), torch.randn(4, 40)
        expected = [stats.spearmanr(a, b).statistic for a, b in zip(one, other, strict=True)]
        assert rank_correlation(one, other).tolist() == pytest.approx(expected, abs=1e-6)

    def test_any_growing_function_keeps_the_order(self) -> None:
        numbers = torch.randn(40)
        assert rank_correlation(numbers, numbers.exp()) == 1
        assert rank_correlation(numbers, -numbers.exp()) == -1

    def test_what_is_constant_has_no_order(self) -> None:
        found = rank_correlation(torch.tensor([[1.0, 1.0], [1.0, 2.0]]), torch.tensor([1.0, 3.0]))
        assert math.isnan(found[0])
        assert found[1] == 1

    def test_overlap_counts_the_strongest_of_either_sign(self) -> None:
        one = torch.tensor([9.0, -8.0, 7.0, 0.0, 1.0, 0.5])
        other = torch.tensor([0.0, 5.0, 0.1, -6.0, 0.2, 4.0])
        assert top_overlap(one, other, 3) == pytest.approx(1 / 3)
        assert top_overlap(one, one * -2, 3) == 1
        assert top_overlap(torch.zeros(6), torch.zeros(6), 3) == 0
        assert [compared(n) for n in (2, 7, 40, 672)] == [1, 3, 20, 20]

    def test_area_is_the_mean_height(self) -> None:
        share = torch.tensor([0.0, 0.25, 1.0])
        assert area(share, torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])).tolist() == [1, 0.125]


class Branch(nn.Module):
    """Convolutions with batch norms, and a branch around the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6)
        self.inner, self.head = nn.Conv2d(6, 6, 3, 1, 1), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        stem = torch.relu(self.norm(self.stem(x)))
        return self.head((stem + torch.relu(self.inner(stem))).mean((2, 3)))


class Tokens(nn.Module):
    """Two further tokens and 2 x 2 patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.first = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.randn(1, 2, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
        self.last = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(x), -1, -1), patches], 1)
        return self.head(self.last(self.block(tokens))[:, 0])


X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(5))
OTHERS = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(6))


def absent_of(output: Tensor, atom: str, gone: Tensor) -> Tensor:
    """Which numbers of a layer's output belong to the atoms that are gone, by hand."""
    mask = torch.zeros_like(output, dtype=torch.bool)
    for number in gone.tolist():
        if atom == "whole":
            mask[:] = True
        elif atom == "neuron":
            mask.view(len(output), -1)[:, number] = True
        elif atom == "tokens":
            mask[:, number] = True
        elif output.ndim == 3 and atom == "channel":
            mask[:, 2:, number] = True
        elif output.ndim == 3:
            mask[:, 2 + number] = True
        elif atom == "channel":
            mask[:, number] = True
        else:
            mask[:, :, number // output.shape[3], number % output.shape[3]] = True
    return mask


CASES = [
    (Branch, "inner", "channel", 6),
    (Branch, "inner", "spatial", 16),
    (Branch, "inner", "neuron", 96),
    (Branch, "inner", "whole", 1),
    (Branch, "norm", "channel", 6),
    (Tokens, "block", "channel", 8),
    (Tokens, "block", "spatial", 4),
    (Tokens, "block", "tokens", 2),
]


@pytest.mark.parametrize("fill", ["zero", "resample", "tensor"])
@pytest.mark.parametrize(("kind", "name", "atom", "count"), CASES)
def test_curves_equal_plain_hooks(
    kind: type[nn.Module], name: str, atom: str, count: int, fill: str
) -> None:
    module = kind().eval()
    layer = module.get_submodule(name)
    output, others = kept(module, layer, X), kept(module, layer, OTHERS)
    given = torch.linspace(-1, 1, output[0].numel()).reshape(output[:1].shape)
    fillings = {"zero": [torch.zeros_like(given)], "tensor": [given], "resample": others.split(1)}
    order = torch.stack([torch.stack([torch.randperm(count) for _ in range(2)]) for _ in X])
    order = order[..., : max(2, count - 1)]
    places = order.shape[2]
    found = LayerAblation(module, name).cumulative(
        X,
        order,
        atom=atom,
        fill=given[0] if fill == "tensor" else fill,  # type: ignore[arg-type]
        others=OTHERS if fill == "resample" else None,
        points=5,
        perturbations_per_eval=7,
    )
    counts = [round(float(share) * places) for share in found.share]
    assert counts[0] == 0
    assert counts[-1] == places
    assert len(counts) == min(5, places + 1)
    for image, which in ((0, 0), (0, 1), (1, 1)):
        own = order[image, which]
        for filler, filling in enumerate(fillings[fill]):
            for point, count_ in enumerate(counts):
                for gone, table in (
                    (own[:count_], found.deleted),
                    (own[count_:], found.inserted),
                ):
                    mask = absent_of(output[:1], atom, gone)
                    expected = answered(
                        module,
                        layer,
                        X[image : image + 1],
                        lambda held, mask=mask, filling=filling: torch.where(mask, filling, held),
                    )
                    torch.testing.assert_close(
                        table[image, which, filler, point], expected[0], rtol=1e-4, atol=1e-5
                    )


@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_curves_of_groups_leave_the_residual(fill: Any) -> None:
    module = Branch().eval()
    output = kept(module, module.norm, X)
    reducer = cb.ChannelReducer(3, algorithm="semi_nmf").fit(output)
    scores, directions = reducer.transform(output), torch.as_tensor(reducer.components_)
    instead = torch.zeros_like(scores)
    if fill == "mean":
        instead = scores.mean((2, 3), keepdim=True).expand_as(scores)
    order = torch.tensor([[[2, 0, 1]], [[1, 2, 0]]])
    found = LayerAblation(module, "norm").cumulative(X, order, atom=reducer, fill=fill)
    for image in range(2):
        for point in range(4):
            gone = order[image, 0, :point]
            parts = (scores - instead)[:, gone, None] * directions[gone, :, None, None]
            one, less = X[image : image + 1], parts.sum(1)[image]
            expected = answered(module, module.norm, one, lambda held, less=less: held - less)
            torch.testing.assert_close(
                found.deleted[image, 0, 0, point], expected[0], rtol=1e-4, atol=1e-4
            )
    torch.testing.assert_close(found.inserted[:, :, :, -1], found.deleted[:, :, :, 0])


def test_one_atom_taken_away_is_its_removal() -> None:
    module = Branch().eval()
    order = torch.arange(6)[None, :, None].expand(2, -1, -1)
    found = LayerAblation(module, "inner").cumulative(X, order, fill="mean")
    alone = LayerAblation(module, "inner").attribute(X, 3, fill="mean")
    lost = found.deleted[..., 0, 0, 3] - found.deleted[..., 0, 1, 3]
    torch.testing.assert_close(lost, alone, rtol=1e-4, atol=1e-5)


def test_removals_of_several_classes_are_those_of_each() -> None:
    module = Branch().eval()
    ablation = LayerAblation(module, "inner")
    both = ablation.removals(X, [4, 1], atom="spatial", score="log-odds")
    for place, target in enumerate([4, 1]):
        alone = ablation.attribute(X, target, atom="spatial", score="log-odds")
        torch.testing.assert_close(both[:, place], alone, rtol=1e-4, atol=1e-5)


def test_atoms_that_do_nothing_are_equals() -> None:
    torch.manual_seed(0)
    body = nn.Conv2d(3, 40, 3)
    module = nn.Sequential(body, nn.ReLU(), nn.Flatten(), nn.Linear(1440, 1000)).eval()
    with torch.no_grad():
        body.bias[::2] = -100.0  # these never fire
    x = torch.randn(2, 3, 8, 8)
    found = LayerAblation(module, "1").removals(x, [0], score="log-odds", perturbations_per_eval=7)
    assert not found[..., ::2].any()
    assert bool(found[..., 1::2].all())


class TestRandomised:
    def test_the_head_alone_is_another_one(self, snapshot: Any) -> None:
        module = Branch().eval()
        before = snapshot(module)
        other = randomised(module, X, "head")
        assert snapshot(module) == before
        changed = {
            name
            for (name, own), (_, new) in zip(
                module.named_parameters(), other.named_parameters(), strict=True
            )
            if not torch.equal(own, new)
        }
        assert changed == {"head.weight", "head.bias"}

    def test_all_weights_are_put_into_another_order(self) -> None:
        module = Tokens().eval()
        other = randomised(module, X, "all")
        for own, new in zip(module.parameters(), other.parameters(), strict=True):
            assert torch.equal(own.flatten().sort().values, new.flatten().sort().values)
            assert torch.equal(own, new) == bool((own == own.flatten()[0]).all())
        for own, new in zip(module.buffers(), other.buffers(), strict=True):
            assert torch.equal(own, new)

    def test_by_its_seed_and_nothing_global(self) -> None:
        module, state = Branch().eval(), torch.random.get_rng_state()
        one, again, other = (randomised(module, X, "all", seed)(X) for seed in (1, 1, 2))
        assert torch.equal(torch.random.get_rng_state(), state)
        assert torch.equal(one, again)
        assert not torch.allclose(one, other)

    def test_the_classifier_is_the_last_to_run(self) -> None:
        class Turned(nn.Module):
            """Registered in another order than it runs."""

            def __init__(self) -> None:
                super().__init__()
                self.last, self.first = nn.Conv2d(4, 5, 1), nn.Conv2d(3, 4, 3)

            def forward(self, x: Tensor) -> Tensor:
                return self.last(self.first(x)).mean((2, 3))

        module = Turned().eval()
        assert classifier(module, X) is module.last

    @pytest.mark.parametrize("dressed", [weight_norm, torch.nn.utils.weight_norm, torch.jit.script])
    def test_heads_whose_weights_are_held_elsewhere(self, dressed: Any) -> None:
        head = dressed(nn.Linear(6, 5, bias=False))
        module = nn.Sequential(nn.Conv2d(3, 6, 8), nn.Flatten(), head).eval()
        other = randomised(module, X, "head")
        assert torch.equal(other[0].weight, module[0].weight)
        assert not torch.allclose(other(X), module(X))

    def test_the_head_of_a_compiled_program(self) -> None:
        module = nn.Sequential(nn.Conv2d(3, 6, 8), nn.Flatten(), nn.Linear(6, 5)).eval()
        scripted = torch.jit.script(module)
        other = randomised(scripted, X, "head").state_dict()
        own = module.state_dict()
        changed = {name for name, weight in own.items() if not torch.equal(weight, other[name])}
        assert changed == {"2.weight", "2.bias"}

    def test_bad_input_is_told(self) -> None:
        with pytest.raises(UnknownName, match="no weights 'heads' to shuffle; did you mean 'head'"):
            randomised(Branch().eval(), X, "heads")  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="Flatten has no weights to shuffle"):
            randomised(nn.Flatten(), X, "all")


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        ({"order": [0, 1]}, WrongType, "order= is a tensor of atoms' numbers"),
        ({"order": torch.rand(2, 1, 3)}, WrongType, "order= is a tensor of atoms' numbers"),
        ({"order": torch.arange(6)}, InvalidArgument, r"shape \(6,\) for 2 images"),
        ({"order": torch.zeros(2, 1, 2).long()}, InvalidArgument, "names an atom twice"),
        ({"order": torch.tensor([[[0, 6]]] * 2)}, InvalidArgument, "from atom 0 to 6, and the"),
        ({"order": torch.tensor([[[-1, 2]]] * 2)}, InvalidArgument, "from atom -1 to 2, and the"),
        ({"points": 1}, InvalidArgument, "points=1; there are at least two"),
        ({"fill": "zeros"}, UnknownName, "did you mean 'zero'"),
        ({"atom": "chanel"}, UnknownName, "did you mean 'channel'"),
    ],
)
def test_bad_orders_are_told(call: dict[str, Any], kind: type[Exception], message: str) -> None:
    order = torch.arange(6)[None, None].expand(2, 1, -1)
    with pytest.raises(kind, match=message):
        LayerAblation(Branch().eval(), "inner").cumulative(X, **{"order": order, **call})


def test_removals_refuse_what_attribute_refuses() -> None:
    ablation = LayerAblation(Branch().eval(), "inner")
    with pytest.raises(InvalidArgument, match="class 5 does not exist"):
        ablation.removals(X, [0, 5])
    with pytest.raises(UnknownName, match="did you mean 'log-odds'"):
        ablation.removals(X, [0], score="odds")  # type: ignore[arg-type]


def test_gradient_times_activation_before_a_linear_head_is_the_removal() -> None:
    body = nn.Sequential(nn.Conv2d(3, 30, 3), nn.ReLU())
    net = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(30, 5)).eval()
    made = LayerMethod(net, "0", "LayerGradientXActivation").attribute(X, [2, 3]).maps.sum((3, 4))
    taken = LayerAblation(net, "0").removals(X, [2, 3])
    assert rank_correlation(made, taken).min() > 1 - 1e-6
    assert top_overlap(made, taken, 15).min() == 1
