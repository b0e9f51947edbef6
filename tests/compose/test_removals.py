"""Removals as contents: the engine's numbers, filters that rank by them, and what is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.attr import LayerAblation, scored
from captum_blocks.compose.evaluation.jointly import random_alike
from captum_blocks.errors import BlocksError, InvalidArgument, WrongType
from captum_blocks.numerals import number
from tests.compose.test_faithfulness import Tokens
from tests.conftest import FEW_STEPS

EARLY, LATE = cb.Hidden("early"), cb.Hidden("late")
TWO = cb.Out("cat", "pig")


@pytest.fixture
def photos(small: cb.Network) -> Tensor:
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("score", ["logit", "log-odds"])
@pytest.mark.parametrize("fill", ["zero", "mean", "resample"])
@pytest.mark.parametrize("atom", ["channels", "spatial", "neurons", "whole"])
def test_numbers_are_the_engines(
    small: cb.Network, photos: Tensor, atom: str, fill: str, score: Any
) -> None:
    content = cb.Ablation(getattr(LATE, atom), TWO, fill=fill, score=score)
    value = cb.evaluate(content, small, photos)
    engine = LayerAblation(small.module, "late")
    names = {"channels": "channel", "neurons": "neuron"}
    for image in range(3):
        others = torch.cat([photos[:image], photos[image + 1 :]]) if fill == "resample" else None
        for place, target in enumerate((0, 2)):
            expected = engine.attribute(
                photos[image : image + 1],
                target,
                atom=names.get(atom, atom),
                fill=fill,  # type: ignore[arg-type]
                score=score,
                others=others,
            )
            torch.testing.assert_close(value.data[image, place], expected[0], rtol=1e-4, atol=1e-5)
    assert value.unit == score
    assert value.coords["class"] == (0, 2)


def test_groups_and_the_rest_stays(small: cb.Network, small_x: Tensor) -> None:
    groups = LATE.groups(3)
    value = cb.evaluate(cb.Ablation(groups, TWO), small, small_x)
    held = small.module.late(small.module.early(small_x)).detach()
    reducer = cb.ChannelReducer(3).fit(held)
    parts = (
        reducer.transform(held)[0, :, None] * torch.as_tensor(reducer.components_)[..., None, None]
    )

    def odds(scores: Tensor, index: int) -> float:
        others = [other for other in range(3) if other != index]
        return float(scores[0, index] - scores[0, others].logsumexp(0))

    with torch.no_grad():
        own = small.module(small_x)
        for group, part in enumerate(parts):
            after = small.module.head((held - part).mean((2, 3)))
            for place, index in enumerate((0, 2)):
                expected = odds(own, index) - odds(after, index)
                assert value.data[0, place, group] == pytest.approx(expected, abs=1e-4)


def test_nothing_is_left_over_of_what_does_not_add_up(small: cb.Network, small_x: Tensor) -> None:
    few = cb.evaluate(cb.Ablation(LATE.channels, TWO).filter(strongest=3), small, small_x)
    assert not few.remainder
    assert not few.additive
    assert few.counts["channel"] == 10


def test_a_filter_ranks_by_removal(small: cb.Network, small_x: Tensor) -> None:
    removal = cb.Ablation(LATE.channels, TWO)
    ranked = cb.Attribution(LATE.channels, TWO).filter(strongest=4, by=removal)
    value = cb.evaluate(ranked, small, small_x)
    sizes = cb.evaluate(removal, small, small_x).data[0].abs().amax(0)
    assert value.coords["channel"] == tuple(sizes.argsort(descending=True)[:4].tolist())
    assert "not shown" in value.remainder


def test_it_survives_json() -> None:
    words = cb.Ablation(
        LATE.groups(3), cb.Out(207), fill="resample", score="logit", others=cb.Given("photos")
    )
    shown = cb.Interface(
        (cb.FeatureVis(words, beside=cb.Attribution(LATE.groups(3), cb.Out(207))),)
    )
    assert cb.Interface.from_json(shown.to_json()) == shown


class Wide(nn.Module):
    """Forty channels, of which two decide."""

    def __init__(self) -> None:
        super().__init__()
        self.late, self.head = nn.Conv2d(3, 40, 3), nn.Linear(40, 3)
        with torch.no_grad():
            self.head.weight *= 0.02
            self.head.weight[0, [3, 7]] = 4.0

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.late(x)).mean((2, 3)))


def test_what_a_list_does_together_stands_beside_random_ones() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, x = cb.Network(Wide().eval(), labels=["cat", "dog", "pig"]), torch.rand(1, 3, 8, 8)
    removal = cb.Ablation(cb.Hidden("late").channels, cb.Out("cat"))
    value = cb.evaluate(removal.filter(strongest=2), net, x)
    assert set(value.coords["channel"]) == {3, 7}
    _, said = value.sentences
    module = net.module

    def without(channels: list[int]) -> float:
        with torch.no_grad():
            held = module.late(x)
            held[:, channels] = 0
            scores = module.head(torch.relu(held).mean((2, 3)))[0]
        return float(scores[0] - scores[1:].logsumexp(0))

    change = without([3, 7]) - without([])
    assert "change the log-odds of “cat” by " + f"{change:+.2f}".replace("-", "−") in said
    assert "of 100 random sets of 2 channels as active, 0 change it as much" in said
    narrowed = cb.evaluate(removal.filter(strongest=2).filter(top=1), net, x)
    assert narrowed.sentences == ()


def test_of_several_photographs_each_has_its_own_sentence() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, x = cb.Network(Wide().eval(), labels=["cat", "dog", "pig"]), torch.rand(2, 3, 8, 8)
    removal = cb.Ablation(cb.Hidden("late").channels, cb.Out("cat"))
    photos = {"a": x[:1], "b": x[1:]}
    ex = cb.explain(cb.InfoVis(removal.filter(strongest=2)), net, photos, progress=False)
    (bars,) = ex.scene.panels()
    assert "ranked by the largest number over all 2 photographs" in bars.left_out
    changes = []
    for told, photo in zip(bars.told, photos.values(), strict=True):
        value = cb.evaluate(removal.filter(strongest=2), net, photo)
        *_, alone = value.sentences
        changes.append(alone.split(" by ")[1].split(";")[0])
        assert f"change the log-odds of “cat” by {changes[-1]}" in told
    assert changes[0] != changes[1]


def test_two_answers_compared_are_told_apart_together() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, x = cb.Network(Wide().eval(), labels=["cat", "dog", "pig"]), torch.rand(1, 3, 8, 8)
        net.module.head.weight.data.normal_()
    ex = cb.explain(cb.compare_classes("late", 0, 1, top=2), net, x, quality="draft")
    apart, first, second = ex.scene.panels()
    assert "taken away" not in first.left_out + second.left_out
    removal = [cb.Ablation(cb.Hidden("late").channels, cb.Out(index)) for index in (0, 1)]
    sizes = cb.evaluate(removal[0].difference(removal[1]), net, x).data[0, 0]
    for name, side in (("cat", sizes.topk(2).indices), ("dog", (-sizes).topk(2).indices)):
        with torch.no_grad():
            held = net.module.late(x)
            own = net.module.head(torch.relu(held).mean((2, 3)))[0]
            held[:, side] = 0
            scores = net.module.head(torch.relu(held).mean((2, 3)))[0]
        odds = [
            scored(each[None], 0, "log-odds") - scored(each[None], 1, "log-odds")
            for each in (own, scores)
        ]
        change = number(float(odds[1] - odds[0]))
        assert (
            f"taken away together, the 2 for “{name}” change the log-odds of “cat” minus those of "
            f"“dog” by {change}; of 100 random sets of 2 channels as active"
        ) in apart.left_out


def test_of_answers_that_are_chosen_random_sets_are_tried_for_the_likeliest_two() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, x = cb.Network(Wide().eval(), labels=["cat", "dog", "pig"]), torch.rand(1, 3, 8, 8)
        net.module.head.weight.data.normal_()
    ex = cb.explain(cb.compare_classes("late", top=2), net, x, quality="draft")
    told = next(iter(ex.scene.panels())).told
    assert len(told) == 9
    assert sum("of 100 random sets" in each for each in told) == 2
    assert sum("are tried for the two likeliest answers alone" in each for each in told) == 4
    assert sum("both are the same" in each for each in told) == 3
    assert sum("taken away together" in each for each in told) == 6


def test_a_filling_that_changes_nothing_is_said_to() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 3))
        module = nn.Sequential(nn.Conv2d(3, 40, 3), nn.ReLU(), *pooled).eval()
        net, x = cb.Network(module, labels=["cat", "dog", "pig"]), torch.rand(1, 3, 8, 8)
    removal = cb.Ablation(cb.Hidden("1").channels, cb.Out("cat"), fill="mean")
    assert cb.evaluate(removal.filter(strongest=2), net, x).sentences == (
        "neither these 2, taken away together, nor any of 100 random sets of 2 channels as active "
        "change the log-odds of “cat”: with what fills their place this list says nothing",
    )


class Twice(nn.Module):
    """A layer that runs two times: nothing can be put in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 40, 3), nn.Conv2d(40, 40, 3)
        self.twice, self.head = nn.ReLU(), nn.Linear(40, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.twice(self.second(self.twice(self.first(x)))).mean((2, 3)))


@pytest.mark.parametrize("preset", [cb.channel_attribution, cb.compare_classes, cb.levels])
def test_where_nothing_can_be_removed_lists_are_ranked_by_their_own_numbers(preset: Any) -> None:
    net, x = cb.Network(Twice().eval(), labels=["cat", "dog", "pig"]), torch.rand(1, 3, 12, 12)
    ex = cb.explain(preset("twice"), net, x, quality=FEW_STEPS, progress=False)
    notes = [note for panel in ex.scene.panels() for note in (panel.left_out, *panel.told)]
    assert any("ranked by these numbers themselves, not by removal" in note for note in notes)
    assert not any("taken away together" in note for note in notes)


def test_activations_are_ranked_by_removal_too() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, x = cb.Network(Wide().eval(), labels=["cat", "dog", "pig"]), torch.rand(1, 3, 8, 8)
    late = cb.Hidden("late").channels
    removal = cb.Ablation(late, cb.Out("cat"))
    value = cb.evaluate(cb.Activation(late).filter(strongest=2, by=removal), net, x)
    assert set(value.coords["channel"]) == {3, 7}
    *_, joint = value.sentences
    assert joint == cb.evaluate(removal.filter(strongest=2), net, x).sentences[-1]


def test_only_one_and_the_same_removal_of_two_classes_is_told_together() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, x = cb.Network(Wide().eval(), labels=["cat", "dog", "pig"]), torch.rand(2, 3, 8, 8)
    late = cb.Hidden("late").channels
    cat, dog = (cb.Ablation(late, cb.Out(name)) for name in ("cat", "dog"))
    for judge in (
        cat.filter(image=0).difference(cat.filter(image=1)),
        cat.difference(replace(cat, fill="mean")),
        cat.difference(replace(dog, fill="mean")),
    ):
        value = cb.evaluate(judge.filter(top=2, bottom=2), net, x)
        assert not any("taken away together" in each for each in value.sentences)
    second = cat.filter(image=1).difference(dog.filter(image=1))
    value = cb.evaluate(second.filter(top=2, bottom=2), net, x)
    alone = cb.evaluate(cat.difference(dog).filter(top=2, bottom=2), net, x[1:])
    told = [each for each in value.sentences if "taken away together" in each]
    assert told == [each for each in alone.sentences if "taken away together" in each]
    assert len(told) == 2


def test_of_a_mean_over_photographs_nothing_is_told_together() -> None:
    net, x = cb.Network(Wide().eval(), labels=["cat", "dog", "pig"]), torch.rand(2, 3, 8, 8)
    late = cb.Hidden("late").channels
    removal, effect = cb.Ablation(late, cb.Out(0)), cb.Attribution(late, cb.Out(0))
    mean = effect.aggregate("image", "mean").filter(
        strongest=3, by=removal.aggregate("image", "mean")
    )
    assert not any("taken away" in each for each in cb.evaluate(mean, net, x).sentences)


def test_joint_removals_cost_as_many_rows_a_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    together = LayerAblation.together
    monkeypatch.setattr(
        LayerAblation,
        "together",
        lambda self, x, sets, *a, **k: (
            rows.append(len(x) * len(sets)),
            together(self, x, sets, *a, **k),
        )[1],
    )
    net, x = cb.Network(Wide().eval(), labels=["cat", "dog", "pig"]), torch.rand(4, 3, 8, 8)
    removal = cb.Ablation(cb.Hidden("late").channels, cb.Out("cat"))
    cb.evaluate(removal.filter(strongest=2), net, x)
    assert rows == [101] * 4


def test_a_class_is_not_compared_with_itself() -> None:
    module = nn.Sequential(nn.Conv2d(3, 30, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net = cb.Network(nn.Sequential(*module, nn.Linear(30, 1)).eval())
    ex = cb.explain(
        cb.compare_classes("1"), net, torch.rand(1, 3, 9, 9), quality=FEW_STEPS, progress=False
    )
    assert "both are the same, so nothing tells them apart" in next(ex.scene.panels()).left_out


def test_what_is_shown_of_a_layer_with_tokens_leaves_them_out() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, x = cb.Network(Tokens().eval()), torch.rand(1, 3, 8, 8)
    effect = cb.Attribution(cb.Hidden("block").channels, cb.Out(1)).filter(strongest=3)
    ex = cb.explain(cb.InfoVis(effect), net, x, progress=False)
    (bars,) = ex.scene.panels()
    value = ex.values[effect]
    shown, total = (number(float(each)) for each in (value.data.sum(), value.total[0, 0]))
    assert f"showing 3 of 8 channels, {shown} of {total} logit" in bars.left_out


def test_ties_of_several_photographs_are_told_of_each() -> None:
    net, x = cb.Network(Full().eval()), torch.full((2, 3, 2, 2), 0.1)
    x[1, :, 0, 0] = 1.0
    here = cb.Activation(cb.Hidden("rise").neurons).filter(at=(0, 0), top=3)
    ex = cb.explain(cb.InfoVis(here), net, {"a": x[:1], "b": x[1:]}, progress=False)
    (bars,) = ex.scene.panels()
    words = "4 channels tie at the layer's ceiling here, and are marked on no name"
    assert words not in bars.told[0]
    assert words in bars.told[1]
    alone = cb.evaluate(here, net, x[1:])
    picked = cb.Activation(cb.Hidden("rise").neurons).filter(at=(0, 0), image=1)
    assert cb.evaluate(picked.filter(top=3), net, x).coords["channel"] == alone.coords["channel"]


def test_random_sets_are_as_active_and_hold_none_of_the_list() -> None:
    size = torch.arange(60.0)
    sets = random_alike(size, (10, 50))
    assert len(sets) == 100
    assert all(len(set(each)) == 2 and not {10, 50} & set(each) for each in sets)
    assert all(abs(each[0] - 10) <= 21 and abs(each[1] - 50) <= 21 for each in sets)
    assert sets == random_alike(size, (10, 50))


def test_ticks_stand_on_the_bars_of_the_same_atoms(small: cb.Network, noise_picture: Any) -> None:
    removal = cb.Ablation(LATE.channels, TWO)
    effect = cb.Attribution(LATE.channels, TWO)
    shown = cb.Interface((cb.InfoVis(effect.filter(strongest=4, by=removal), beside=removal),))
    ex = cb.explain(shown, small, noise_picture, progress=False)
    (bars,) = ex.scene.panels()
    own, gone = ex.values[effect.filter(strongest=4, by=removal)], ex.values[removal]
    for place, mark in enumerate(mark for mark in bars.frames[0] if mark.role == "atom"):
        channel = own.coords["channel"][place]
        assert mark.ticks == pytest.approx(gone.data[0, :, channel].tolist())
        assert mark.values == pytest.approx(own.data[0, :, place].tolist())
    assert all(not mark.ticks for mark in bars.frames[0] if mark.role != "atom")
    words = "bar: LayerGradientXActivation, logit; tick: removal, zero in its place, log-odds"
    assert bars.ticked == words
    low, high = bars.domain
    assert all(low <= tick <= high for mark in bars.frames[0] for tick in mark.ticks)


def test_where_nothing_can_be_taken_out_the_method_ranks_and_it_is_said() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.late, self.head = nn.Conv2d(3, 3, 3, 1, 1), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.late(self.late(x)).mean((2, 3)))

    net = cb.Network(Twice().eval(), cb.Preprocess(8))
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    content = cb.Attribution(LATE.channels, cb.Out(0))
    removal = cb.Ablation(LATE.channels, cb.Out(0))
    shown = cb.InfoVis(content.filter(strongest=2, by=removal), beside=removal)
    ex = cb.explain(cb.Interface((shown,)), net, picture, progress=False)
    (bars,) = ex.scene.panels()
    assert "ranked by these numbers themselves, not by removal: layer 'late'" in bars.left_out
    assert "no tick: layer 'late' runs 2 times" in bars.ticked
    assert all(not mark.ticks for mark in bars.frames[0])


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: cb.Ablation(cb.Input().spatial, TWO), InvalidArgument, "of hidden layers"),
        (lambda: cb.Ablation(LATE.channels, cb.Hidden("x").channels), InvalidArgument, "scores of"),
        (lambda: cb.Ablation(LATE.channels, TWO, fill="zeros"), InvalidArgument, "none of"),
        (lambda: cb.Ablation(LATE.channels, TWO, score="odds"), InvalidArgument, "none of"),
        (lambda: cb.Ablation(LATE.channels, TWO, others=cb.Given("p")), InvalidArgument, "other"),
        (lambda: cb.FeatureVis(LATE.channels, beside=3), WrongType, "beside= takes a content"),
    ],
)  # fmt: skip
def test_wrong_words_are_told(make: Any, kind: type[BlocksError], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()


def test_what_is_given_is_checked(small: cb.Network, small_x: Tensor) -> None:
    given = cb.Ablation(LATE.channels, TWO, fill=cb.Given("fill"))
    with pytest.raises(WrongType, match="fills a layer, so it is a tensor, not a str"):
        cb.evaluate(given, small, small_x, {"fill": "zero"})
    with pytest.raises(InvalidArgument, match="does not fit a layer"):
        cb.evaluate(given, small, small_x, {"fill": torch.zeros(4)})
    alone = cb.Ablation(LATE.channels, TWO, fill="resample")
    with pytest.raises(InvalidArgument, match="explain several together"):
        cb.evaluate(alone, small, small_x)
    beside = cb.Ablation(LATE.channels, TWO, fill="resample", others=cb.Given("photos"))
    value = cb.evaluate(beside, small, small_x, {"photos": torch.zeros(2, 3, 16, 16)})
    expected = LayerAblation(small.module, "late").attribute(
        small_x, 0, fill="resample", score="log-odds", others=torch.zeros(2, 3, 16, 16)
    )
    torch.testing.assert_close(value.data[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_what_goes_around_a_layer_is_said_before_its_numbers(noise_picture: Any) -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.side = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 1, 1)
            self.head = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            stem = torch.relu(self.stem(x))
            return self.head((stem + self.side(stem)).mean((2, 3)))

    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = cb.Network(Branch().eval(), cb.Preprocess(16))
    pages = {}
    for layer in ("side", "stem"):
        shown = cb.InfoVis(cb.Attribution(cb.Hidden(layer).channels, cb.Out(0)))
        ex = cb.explain(cb.Interface((shown,)), net, noise_picture, progress=False)
        pages[layer] = ex.scene.chapters[0].said
    assert pages["side"].startswith("Part of the answer goes around side. With its output taken")
    assert pages["stem"] == ""


def test_beside_a_total_stands_what_cancels_and_what_the_layer_carries(
    small: cb.Network, noise_picture: Any
) -> None:
    content = cb.Attribution(LATE.channels, TWO).filter(strongest=3)
    ex = cb.explain(cb.Interface((cb.InfoVis(content),)), small, noise_picture, progress=False)
    (bars,) = ex.scene.panels()
    x = small.read(noise_picture)
    every = cb.evaluate(cb.Attribution(LATE.channels, TWO), small, x).data[0, 0]
    up, down = float(every.clamp(min=0).sum()), float(every.clamp(max=0).sum())
    kept = float(every[list(ex.values[content].coords["channel"])].abs().sum())
    with torch.no_grad():
        own, empty = small.module(x)[0, 0], small.module.head.bias[0]
    value = ex.values[content]
    torch.testing.assert_close(value.effect[0, 0], own - empty, rtol=1e-4, atol=1e-4)
    assert value.sides["for"][0, 0] == pytest.approx(up, abs=1e-5)
    assert value.sides["against"][0, 0] == pytest.approx(down, abs=1e-5)
    assert f"those shown hold {kept / (up - down):.0%} and " in bars.left_out
    own_score, empty_score = (f"{float(each):+.2f}".replace("-", "−") for each in (own, empty))
    assert f"the logits of “cat” and “pig” are {empty_score} and " in bars.left_out
    assert f"(biases of what follows) instead of {own_score} (" in bars.left_out


def test_ticks_are_of_the_channel_that_is_pointed_at(small: cb.Network, noise_picture: Any) -> None:
    """The listed channels are in the order of their removal; those beside, as they are counted."""
    ui = cb.channel_attribution("late", strongest=4, classes=cb.Out(0))
    scene = cb.explain(ui, small, noise_picture, quality="draft").scene
    listed, answers = scene.panels()
    (pointed,) = answers.follows
    keys = scene.selection(pointed).keys
    (rows,) = listed.frames
    of_listed = {mark.key: mark.ticks[0] for mark in rows if mark.ticks}
    assert list(of_listed) != sorted(of_listed, key=lambda key: int(key.rpartition("/")[2]))
    for key, frame in zip(keys, answers.frames, strict=True):
        (cat,) = [mark for mark in frame if mark.label == "cat"]
        assert cat.ticks[0] == pytest.approx(of_listed[key]), key


def test_what_another_filling_would_list_is_marked(small: cb.Network, small_x: Tensor) -> None:
    zero = cb.Ablation(EARLY.channels, TWO)
    listed = cb.evaluate(
        cb.Attribution(EARLY.channels, TWO).filter(strongest=3, by=zero), small, small_x
    )
    by_mean = cb.Ablation(EARLY.channels, TWO, fill="mean")
    theirs = cb.evaluate(by_mean.filter(strongest=3), small, small_x).coords["channel"]
    both = [channel for channel in listed.coords["channel"] if channel in theirs]
    expected = [f"channel {c}" + (" •" if c in both else "") for c in listed.coords["channel"]]
    assert list(listed.labels["channel"]) == expected
    assert listed.sentences[0] == (
        f"{len(both)} of these 3 (•) are also among the 3 chosen with the mean over the positions "
        "in the place of zero"
    )
    assert 0 < len(both) <= 3
    module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net, layer = cb.Network(module.eval()), cb.Hidden("1")
    averaged = cb.Ablation(layer.channels, cb.Out(0)).filter(strongest=2)
    value = cb.evaluate(averaged, net, torch.rand(1, 3, 8, 8))
    assert not any("•" in said for said in value.sentences)
    every = cb.evaluate(
        cb.Attribution(EARLY.channels, TWO).filter(strongest=6, by=zero), small, small_x
    )
    assert "channel" not in every.labels


class Full(nn.Module):
    """Several channels stop at 6 in one place."""

    def __init__(self) -> None:
        super().__init__()
        self.rise = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU6())
        self.head = nn.Linear(5, 3)
        with torch.no_grad():
            self.rise[0].weight.copy_(torch.tensor([1.0, 4, 5, 6, 7])[:, None, None, None])
            self.rise[0].bias.zero_()
            self.head.weight.copy_(torch.tensor([[0.1, 0.1, 3, -2, 0.2], [0] * 5, [0] * 5]))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rise(x).mean((2, 3)))


def test_what_is_at_its_ceiling_ties_and_removal_orders_it() -> None:
    net = cb.Network(Full().eval())
    x = torch.full((1, 3, 2, 2), 0.1)
    x[..., 0, 0] = 1.0
    here = cb.Activation(cb.Hidden("rise").neurons).filter(at=(0, 0), top=3)
    value = cb.evaluate(here, net, x)
    assert value.coords["channel"] == (2, 3, 4)
    assert value.data.tolist() == [[6, 6, 6]]
    assert value.labels["channel"] == tuple(f"channel {c}, at its ceiling" for c in (2, 3, 4))
    assert value.sentences == (
        "4 channels tie at the layer's ceiling, ordered by what their channels' removal changes",
    )
    every = cb.evaluate(cb.Activation(cb.Hidden("rise").neurons).filter(top=3), net, x)
    assert every.coords["neuron"] == (8, 12, 16)
    assert every.labels["neuron"][0] == "channel 2 at row 1, column 1, at its ceiling"
    assert every.sentences == (
        "4 neurons tie at the layer's ceiling, ordered by what their channels' removal changes",
    )
    below = cb.evaluate(cb.Activation(cb.Hidden("rise").neurons).filter(at=(1, 1), top=3), net, x)
    assert below.coords["channel"] == (4, 3, 2)
    assert not below.sentences
    assert "channel" not in below.labels
