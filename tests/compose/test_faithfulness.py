"""An attribution judged by removals: the words, against the engines and plain hooks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.attr import scored
from captum_blocks.attr import tail as tails
from captum_blocks.attr.faithful import randomised, rank_correlation
from captum_blocks.errors import (
    BlocksError,
    InvalidArgument,
    UnknownName,
    UnsupportedMethod,
    WrongType,
)
from tests.conftest import SmallNet


def seeded(module: nn.Module, seed: int = 1) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.4)
    return module.eval()


@pytest.fixture
def linear() -> nn.Module:
    """Thirty channels with a linear head behind them."""
    body = nn.Sequential(nn.Conv2d(3, 30, 3), nn.ReLU())
    return seeded(nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(30, 5)))


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))


CHANNELS = cb.Attribution(cb.Hidden("0").channels, cb.Out(2))
LATE = cb.Attribution(cb.Hidden("late").channels, cb.Out("cat", "pig"))


def answered(module: nn.Module, layer: nn.Module, x: Tensor, gone: list[int]) -> Tensor:
    """The network's answer with some channels at zero, by a hook."""

    def change(_: Any, __: Any, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, gone] = 0
        return output

    handle = layer.register_forward_hook(change)
    try:
        with torch.no_grad():
            return module(x)
    finally:
        handle.remove()


def test_before_a_linear_head_gradient_times_activation_is_exact(
    linear: nn.Module, x: Tensor
) -> None:
    found = cb.faithfulness(CHANNELS, linear, x, score="logit")
    assert found.rank_correlation.shape == (2, 1)
    assert found.rank_correlation.min() > 1 - 1e-6
    assert found.top_overlap.tolist() == [[1.0], [1.0]]
    assert (found.k, found.n_atoms, found.fill, found.score) == (15, 30, "zero", "logit")
    assert found.randomised.head.abs().max() < 0.6
    assert found.content is CHANNELS


def test_a_wrong_attribution_is_seen() -> None:
    body = nn.Sequential(nn.Conv2d(3, 300, 3), nn.ReLU())
    net = seeded(nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(300, 5)))
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    maps = cb.evaluate(cb.Attribution(cb.Hidden("0").neurons, cb.Out(2)), net, x).data[:, 0]
    order = torch.randperm(300, generator=torch.Generator().manual_seed(3))
    content = cb.Attribution(cb.Hidden("0").channels, cb.Out(2), cb.Given("mine"))
    right, wrong = (
        cb.faithfulness(content, net, x, {"mine": numbers}, score="logit")
        for numbers in (maps, maps[:, order])
    )
    assert right.rank_correlation > 0.999
    assert abs(wrong.rank_correlation) < 0.15
    assert wrong.top_overlap < 0.3 < right.top_overlap
    assert right.deletion < wrong.deletion
    assert right.insertion > wrong.insertion
    assert "attribution given as 'mine' has a rank correlation of 1.00" in str(right)


def test_numbers_are_those_of_plain_hooks(small: cb.Network, small_x: Tensor) -> None:
    module, layer = small.module, small.module.late
    found = cb.faithfulness(LATE, small, small_x)
    attribution = cb.evaluate(LATE, small, small_x).data[0]
    own = module(small_x).detach()
    for place, target in enumerate((0, 2)):
        taken = [
            scored(own, target, "log-odds")
            - scored(answered(module, layer, small_x, [channel]), target, "log-odds")
            for channel in range(10)
        ]
        expected = rank_correlation(attribution[place], torch.cat(taken))
        assert found.rank_correlation[0, place] == pytest.approx(float(expected), abs=1e-6)
        order = attribution[place].argsort(descending=True).tolist()
        deleted = [
            answered(module, layer, small_x, order[:n]).softmax(1)[0, target] for n in range(11)
        ]
        inserted = [
            answered(module, layer, small_x, order[n:]).softmax(1)[0, target] for n in range(11)
        ]
        for curve, area in ((deleted, found.deletion), (inserted, found.insertion)):
            mean = (sum(curve) - (curve[0] + curve[-1]) / 2) / 10
            assert area[0, place] == pytest.approx(float(mean), abs=1e-5)
        strongest = set(attribution[place].abs().topk(5).indices.tolist())
        changed = set(torch.cat(taken).abs().topk(5).indices.tolist())
        assert found.top_overlap[0, place] == pytest.approx(len(strongest & changed) / 5)
        for which, judged in (("head", found.randomised.head), ("all", found.randomised.all)):
            other = randomised(module, small_x, which)  # type: ignore[arg-type]
            there = other(small_x)
            taken = [
                scored(there, target, "log-odds")
                - scored(answered(other, other.late, small_x, [channel]), target, "log-odds")
                for channel in range(10)
            ]
            expected = rank_correlation(attribution[place], torch.cat(taken))
            assert judged[0, place] == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize(
    ("source", "atoms"),
    [
        (cb.Hidden("early").spatial, 64),
        (cb.Hidden("early").channels, 6),
        (cb.Hidden("early").groups(3), 3),
        (cb.Hidden("early").neurons, 384),
    ],
)
@pytest.mark.parametrize("fill", ["mean", "resample"])
def test_atoms_and_fillings(
    small: cb.Network, small_x: Tensor, source: Any, atoms: int, fill: Any
) -> None:
    others = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(7))
    content = cb.Attribution(source, cb.Out("dog"))
    others_given = others if fill == "resample" else None
    found = cb.faithfulness(content, small, small_x, fill=fill, others=others_given)
    assert found.n_atoms == atoms
    assert found.fill == fill
    ablation = cb.LayerAblation(small.module, "early")
    atom = source.atom
    if atom == "group":
        maps = small.module.early(small_x).detach()
        atom = cb.ChannelReducer(3, "nmf", random_state=0).fit(maps)
    taken = ablation.attribute(
        small_x, 1, atom=atom, fill=fill, score="log-odds", others=others_given
    )
    numbers = cb.evaluate(content, small, small_x).data
    expected = rank_correlation(numbers.flatten(), taken.flatten())
    assert found.rank_correlation[0, 0] == pytest.approx(float(expected), abs=2e-2)
    assert 0 < found.deletion < 1
    assert 0 < found.insertion < 1


class Tokens(nn.Module):
    """Three further tokens and 2 x 2 patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.first = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.zeros(1, 3, 8))
        self.block, self.last = nn.Linear(8, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch(x).flatten(2).transpose(1, 2)
        tokens = self.block(torch.cat([self.first.expand(len(x), -1, -1), patches], 1))
        mixed = torch.tanh(self.last(tokens * tokens.mean(1, keepdim=True)))
        return self.head(mixed.mean(1))


def test_tokens_and_the_neurons_beside_them(x: Tensor) -> None:
    net = seeded(Tokens())
    tokens = cb.Attribution(cb.Hidden("block").tokens, cb.Out(1))
    found = cb.faithfulness(tokens, net, x, score="logit")
    taken = cb.LayerAblation(net, "block").attribute(x, 1, atom="tokens")
    numbers = cb.evaluate(tokens, net, x).data[:, 0]
    assert found.rank_correlation[:, 0].tolist() == pytest.approx(
        rank_correlation(numbers, taken).tolist()
    )
    neurons = cb.Attribution(cb.Hidden("block").neurons, cb.Out(1))
    found = cb.faithfulness(neurons, net, x, score="logit")
    taken = cb.LayerAblation(net, "block").attribute(x, 1, atom="neuron")[:, 3:]
    numbers = cb.evaluate(neurons, net, x).data[:, 0].flatten(2).transpose(1, 2)
    expected = rank_correlation(numbers.flatten(1), taken.flatten(1))
    assert found.n_atoms == 32
    assert found.rank_correlation[:, 0].tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_what_is_constant_has_no_rank_and_says_so(linear: nn.Module, x: Tensor) -> None:
    content = cb.Attribution(cb.Hidden("0").channels, cb.Out(2), cb.Given("mine"))
    found = cb.faithfulness(content, linear, x, {"mine": torch.zeros(2, 30, 6, 6)})
    assert bool(found.rank_correlation.isnan().all())
    assert "'mine' has no rank correlation: the attribution is the same for all of" in str(found)
    with torch.no_grad():
        linear[3].weight.zero_()
    found = cb.faithfulness(content, linear, x, {"mine": torch.rand(2, 30, 6, 6)})
    assert bool(found.rank_correlation.isnan().all())


def test_labels_are_scored_by_themselves(x: Tensor) -> None:
    net = cb.Network(seeded(SmallNet()), head="labels")
    content = cb.Attribution(cb.Hidden("late").channels, cb.Out(0))
    found = cb.faithfulness(content, net, x)
    by_logit = cb.LayerAblation(net.module, "late").removals(x, [0], score="logit")
    numbers = cb.evaluate(content, net, x).data
    assert torch.allclose(found.rank_correlation, rank_correlation(numbers, by_logit))
    assert found.score == "log-odds"
    alone = float(net.logits(x)[0, 0].sigmoid())
    order = numbers[0, 0].argsort(descending=True).tolist()
    layer = net.module.late
    curve = [
        float(answered(net.module, layer, x[:1], order[:n])[0, 0].sigmoid()) for n in range(11)
    ]
    assert curve[0] == pytest.approx(alone, abs=1e-5)
    mean = (sum(curve) - (curve[0] + curve[-1]) / 2) / 10
    assert found.deletion[0, 0] == pytest.approx(mean, abs=1e-5)


def test_plain_values_have_no_log_odds(x: Tensor) -> None:
    net = cb.Network(seeded(SmallNet(1)))
    content = cb.Attribution(cb.Hidden("late").channels, cb.Out(0))
    with pytest.raises(InvalidArgument, match="gives plain numbers, not probabilities; give score"):
        cb.faithfulness(content, net, x)
    found = cb.faithfulness(content, net, x, score="logit")
    assert found.score == "output"
    assert "scored by output)" in str(found)


def test_a_sentence_says_its_numbers(small: cb.Network, small_x: Tensor) -> None:
    found = cb.faithfulness(LATE, small, small_x)
    shared = round(float(found.top_overlap[0, 1]) * 5)
    assert found.sentence(class_=1) == (
        "Ranked against removing each of 10 channels (filled with zero, scored by log-odds), "
        f"gradient × activation has a rank correlation of {found.rank_correlation[0, 1]:.2f} and "
        f"shares {shared} of its 5 strongest; against the network with all its weights shuffled "
        f"{found.randomised.all[0, 1]:.2f}."
    )
    assert str(found) == found.sentence(0, 0)
    with pytest.raises(InvalidArgument, match="class_=2: there are 1 images and 2 classes"):
        found.sentence(class_=2)


def test_as_a_table(small: cb.Network, small_x: Tensor) -> None:
    both = torch.cat([small_x, small_x.flip(3)])
    found = cb.faithfulness(LATE, small, both)
    frame = found.to_frame()
    assert list(frame.columns) == [
        *("image", "class", "rank_correlation", "top_overlap", "deletion", "insertion"),
        *("randomised_head", "randomised_all"),
    ]
    assert frame[["image", "class"]].to_numpy().tolist() == [[0, 0], [0, 2], [1, 0], [1, 2]]
    row = frame[(frame["image"] == 1) & (frame["class"] == 2)].iloc[0]
    assert row["insertion"] == pytest.approx(float(found.insertion[1, 1]))
    assert row["randomised_all"] == pytest.approx(float(found.randomised.all[1, 1]))


def test_each_image_and_class_is_judged_by_itself(small: cb.Network, small_x: Tensor) -> None:
    both = torch.cat([small_x, small_x.flip(3)])
    found = cb.faithfulness(LATE, small, both)
    alone = cb.faithfulness(
        cb.Attribution(cb.Hidden("late").channels, cb.Out("pig")), small, small_x.flip(3)
    )
    for name in ("rank_correlation", "top_overlap", "deletion", "insertion"):
        expected = float(getattr(alone, name)[0, 0])
        assert float(getattr(found, name)[1, 1]) == pytest.approx(expected, abs=1e-5), name


def test_of_one_of_several_networks(small: cb.Network, small_x: Tensor) -> None:
    nets = {"base": small, "other": cb.Network(seeded(SmallNet()))}
    named = cb.Attribution(cb.Hidden("late", network="other").channels, cb.Out(0, network="other"))
    found = cb.faithfulness(named, nets, small_x)
    alone = cb.faithfulness(
        cb.Attribution(cb.Hidden("late").channels, cb.Out(0)), nets["other"], small_x
    )
    assert torch.equal(found.rank_correlation, alone.rank_correlation)


def test_the_network_and_the_random_numbers_stay(small_x: Tensor) -> None:
    module = seeded(SmallNet()).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.random.get_rng_state()
    content = cb.Attribution(cb.Hidden("late").channels, cb.Out(0))
    with pytest.warns(UserWarning, match="in training mode"):
        one = cb.faithfulness(content, module, small_x, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    module.eval()
    again, other = (cb.faithfulness(content, module, small_x, seed=s) for s in (3, 4))
    assert torch.equal(one.randomised.all, again.randomised.all)
    assert not torch.equal(one.randomised.all, other.randomised.all)


HIDDEN = cb.Hidden("late")


@pytest.mark.parametrize(
    ("content", "call", "kind", "message"),
    [
        (HIDDEN.channels, {}, WrongType, "an Attribution is judged, not a Substrate"),
        (cb.Activation(HIDDEN.channels), {}, InvalidArgument, "Activation contents are not judged"),
        (LATE.filter(top=3), {}, InvalidArgument, "judge the whole attribution: Attribution"),
        (
            cb.Attribution(HIDDEN.channels[:4], cb.Out(0)),
            {},
            InvalidArgument,
            r"some of the layer's atoms; judge the whole attribution: Attribution\(",
        ),
        (cb.Attribution(HIDDEN.whole, cb.Out(0)), {}, InvalidArgument, "nothing to rank"),
        (cb.Attribution(cb.Input().spatial, cb.Out(0)), {}, InvalidArgument, "out of hidden"),
        (
            cb.Attribution(cb.Hidden("early").channels, HIDDEN.channels),
            {},
            InvalidArgument,
            "scored by classes of the output",
        ),
        (
            cb.Attribution(HIDDEN.channels, cb.Out().groups(2)),
            {},
            InvalidArgument,
            "scored by classes of the output",
        ),
        (LATE, {"fill": "zeros"}, UnknownName, "did you mean 'zero'"),
        (LATE, {"fill": "resample"}, InvalidArgument, "give them as others="),
        (LATE, {"fill": torch.zeros(3)}, InvalidArgument, "does not fit"),
        (LATE, {"score": "odds"}, UnknownName, "did you mean 'log-odds'"),
        (LATE, {"given": {"mine": 1}}, UnknownName, "'mine' is not used"),
        (cb.Attribution(HIDDEN.channels, cb.Out("cow")), {}, BlocksError, "cow"),
        (
            cb.Attribution(HIDDEN.channels, cb.Out(0), "Saliency"),
            {},
            UnsupportedMethod,
            "yields weights",
        ),
        (cb.Attribution(HIDDEN.tokens, cb.Out(0)), {}, InvalidArgument, "no class or register"),
    ],
)
def test_bad_input_is_told(
    small: cb.Network, small_x: Tensor, content: Any, call: dict[str, Any], kind: Any, message: str
) -> None:
    with pytest.raises(kind, match=message):
        cb.faithfulness(content, small, small_x, **call)


def test_what_takes_minutes_is_refused(
    small: cb.Network, small_x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "MOST_SECONDS", 0.0)
    content = cb.Attribution(cb.Hidden("early").neurons, cb.Out(0))
    with pytest.raises(UnsupportedMethod, match="384 removals at layer 'early'"):
        cb.faithfulness(content, small, small_x, fill="mean")  # zero is what many neurons are


def test_other_photographs_may_be_pictures(
    small: cb.Network, small_x: Tensor, noise_picture: Any
) -> None:
    ready = torch.cat([small.read(noise_picture), small.read(noise_picture[::-1].copy())])
    pictures = [noise_picture, noise_picture[::-1].copy()]
    one, other = (
        cb.faithfulness(LATE, small, small_x, fill="resample", others=others)
        for others in (ready, pictures)
    )
    assert torch.equal(one.rank_correlation, other.rank_correlation)
    assert not math.isnan(one.rank_correlation[0, 0])
    assert "filled with what other photographs have there" in str(one)


def test_removals_say_that_further_tokens_stay(x: Tensor, small: cb.Network) -> None:
    net, block = seeded(Tokens()), cb.Hidden("block")
    channels = cb.evaluate(cb.Ablation(block.channels, cb.Out(1)), net, x)
    groups = cb.evaluate(cb.Attribution(block.groups(2), cb.Out(1), method="ShapleyValues"), net, x)
    (note,) = channels.notes
    assert note == (
        "class and register tokens of block stay as they are: only positions lose what is taken "
        "away"
    )
    assert any(
        note.startswith("class and register tokens of block are part of what is in no group")
        for note in groups.notes
    )
    plain = cb.evaluate(cb.Ablation(cb.Hidden("late").channels, cb.Out(1)), small, x)
    assert plain.notes == ()
