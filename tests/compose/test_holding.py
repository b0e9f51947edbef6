"""How well attributions hold, as chapters tell it: against plain hooks and ranks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.attr import tail
from captum_blocks.compose.evaluation import holding
from captum_blocks.errors import UnsupportedMethod
from tests.conftest import FEW_STEPS, SmallNet

Explain = Callable[..., cb.Explanation]
TERM = "how well it holds"


@pytest.fixture
def explain(small: cb.Network, noise_picture: Any, store: Any) -> Explain:
    def explained(interface: Any, net: Any = small, photo: Any = noise_picture, **more: Any) -> Any:
        return cb.explain(
            interface, net, photo, quality=FEW_STEPS, progress=False, store=store, **more
        )

    return explained


def told(ex: cb.Explanation, chapter: int = 0) -> str:
    return dict(ex.scene.chapters[chapter].method).get(TERM, "")


def log_odds(logits: Tensor, target: int) -> Tensor:
    others = torch.cat([logits[:, :target], logits[:, target + 1 :]], 1)
    return logits[:, target] - others.logsumexp(1)


def lost(
    net: cb.Network, layer: nn.Module, x: Tensor, erase: list[Any], score: Callable[..., Tensor]
) -> list[float]:
    """What the scores lose with parts of a layer's output at zero, one after the other."""
    found = []
    with torch.no_grad():
        whole = score(net.module(x))
        for part in erase:

            def change(_: Any, __: Any, output: Tensor, part: Any = part) -> Tensor:
                output = output.clone()
                output[part] = 0
                return output

            handle = layer.register_forward_hook(change)
            found.append(float(whole - score(net.module(x))))
            handle.remove()
    return found


def strongest(numbers: list[float], k: int) -> set[int]:
    return set(torch.tensor(numbers).abs().topk(k).indices.tolist())


def expected(of: list[float], taken: dict[str, list[float]], k: int) -> str:
    """The numbers as they are printed: by log-odds, and by logit."""
    rho = {name: spearmanr(of, each).statistic for name, each in taken.items()}
    same = {name: len(strongest(of, k) & strongest(each, k)) for name, each in taken.items()}
    printed = {name: f"{each:.2f}".replace("-", "−") for name, each in rho.items()}
    return (
        f"takes from the log-odds is {printed['log-odds']}, and {same['log-odds']} of the {k} "
        "strongest are the same (from the logit, which the method shares out, "
        f"{printed['logit']} and {same['logit']})"
    )


PLACES = [(0, slice(None), y, x) for y in range(8) for x in range(8)]


@pytest.mark.parametrize(
    ("atom", "erase", "k"), [("spatial", PLACES, 20), ("channel", [(0, c) for c in range(10)], 5)]
)
def test_numbers_are_those_of_plain_hooks(
    small: cb.Network, noise_picture: Any, explain: Explain, atom: str, erase: Any, k: int
) -> None:
    name = "early" if atom == "spatial" else "late"
    source = cb.Hidden(name).spatial if atom == "spatial" else cb.Hidden(name).channels
    content = cb.Attribution(source, cb.Out("dog"))
    ex = explain(cb.InfoVis(content, "overlay" if atom == "spatial" else "bars"))
    x, layer = small.read(noise_picture), getattr(small.module, name)
    numbers = cb.evaluate(content, small, x).data.flatten().tolist()
    taken = {
        "log-odds": lost(small, layer, x, erase, lambda logits: log_odds(logits, 1)),
        "logit": lost(small, layer, x, erase, lambda logits: logits[:, 1]),
    }
    plural = "positions" if atom == "spatial" else "channels"
    assert told(ex) == (
        f"over {len(erase)} {plural} of {name} the rank correlation of LayerGradientXActivation "
        "with what the removal of each alone (zero in its place) "
        f"{expected(numbers, taken, k)}"
    )


def test_groups_are_compared_by_rank_alone(
    small: cb.Network, noise_picture: Any, explain: Explain
) -> None:
    groups = cb.Hidden("early").groups(4)
    content = cb.Attribution(groups, cb.Out("dog"), method="ShapleyValues")
    ex = explain(cb.InfoVis(content))
    x = small.read(noise_picture)
    numbers = cb.evaluate(content, small, x).data.flatten()
    by_odds, by_logit = (
        spearmanr(
            numbers,
            cb.evaluate(cb.Ablation(groups, cb.Out("dog"), score=score), small, x).data.flatten(),
        )
        for score in ("log-odds", "logit")
    )
    printed = [f"{each.statistic:.2f}".replace("-", "−") for each in (by_odds, by_logit)]
    assert told(ex) == (
        "over four groups of early the rank correlation of exact Shapley values with what the "
        "removal of each alone (zero in its place) takes from the log-odds is "
        f"{printed[0]} (from the logit, which the method shares out, {printed[1]}); a Shapley "
        "value also counts what a group does with others gone already"
    )
    assert told(explain(cb.InfoVis(cb.Attribution(cb.Hidden("early").groups(3), cb.Out(1))))) == ""


PRESETS = {
    "neuron_groups": (cb.neuron_groups("late", 4), ["four groups of late"]),
    "neuron_groups of few": (cb.neuron_groups("late", 2), []),
    "group_attribution": (cb.group_attribution("early", "late", groups=4), ["four groups of late"]),
    "channel_attribution": (
        cb.channel_attribution("early", "late"),
        ["10 channels of late", "6 channels of early"],
    ),
    "spatial_attribution": (cb.spatial_attribution("early", "late"), ["16 positions of late"]),
    "compare_classes": (cb.compare_classes("late", "cat", "pig"), ["10 channels of late"]),
    "compare_chosen": (cb.compare_classes("late"), ["10 channels of late"]),
    "compare_groups": (
        cb.compare_classes("late", 0, 1, atom="groups", groups=5),
        ["five groups of late"],
    ),
    "levels": (
        cb.levels("late", groups=4),
        ["four groups of late", "10 channels of late", "neurons of late: not taken away"],
    ),
    "by another method": (
        cb.channel_attribution("late", method="LayerDeepLift"),
        ["10 channels of late the rank correlation of LayerDeepLift"],
    ),
    "predictions": (cb.predictions(), []),
    "semantic_dictionary": (cb.semantic_dictionary("late", 2), []),
    "activation_grid": (cb.activation_grid("late"), []),
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_it_of_what_it_shows(name: str, explain: Explain) -> None:
    interface, parts = PRESETS[name]
    said = told(explain(interface))
    assert len(re.findall("rank correlation|not taken", said)) == len(parts), said
    assert [part for part in parts if part not in said] == []


def test_every_chapter_of_a_report_says_it(explain: Explain) -> None:
    ex = explain(cb.report("early", "late", groups=4))
    said = [chapter.heading for chapter in ex.scene.chapters if TERM in dict(chapter.method)]
    assert said == [
        "Which parts of the picture made it say so?",
        "Which places mattered?",
        "Which single channels mattered most?",
        "How did it put the answer together?",
        "What tells the two answers apart?",
        "The same decision, seen closer and closer",
    ]
    assert TERM in ex.html()


def test_of_a_slider_it_is_said_of_the_number_shown_first(explain: Explain) -> None:
    assert "over six groups of late" in told(explain(cb.neuron_groups("late")))
    interface = cb.compare_classes("late", atom="groups", groups=cb.slider(2, 6, value=4, step=2))
    assert "over four groups of late" in told(explain(interface))


def test_several_answers_and_photographs(
    small: cb.Network, noise_picture: Any, explain: Explain
) -> None:
    photos = [noise_picture, noise_picture[::-1].copy()]
    content = cb.Attribution(cb.Hidden("late").channels, cb.Out("cat", "pig"))
    said = told(explain(cb.InfoVis(content), photo=photos))
    taken = cb.Ablation(cb.Hidden("late").channels, cb.Out("cat", "pig"))
    found = [
        spearmanr(
            *(
                cb.evaluate(each, small, small.read(photo)).data[0, place]
                for each in (content, taken)
            )
        ).statistic
        for photo in photos
        for place in (0, 1)
    ]
    low, high = (f"{each:.2f}".replace("-", "−") for each in (min(found), max(found)))
    assert f"log-odds is {low} to {high} for two answers of two photographs, and" in said


def test_what_stands_in_the_place_is_what_the_page_shows(explain: Explain) -> None:
    late, out = cb.Hidden("late"), cb.Out("cat")
    content = cb.Attribution(late.channels, out)
    removal = cb.Ablation(late.channels, out, fill="mean")
    shown = cb.FeatureVis(content.filter(strongest=2, by=removal), beside=removal)
    assert "(its mean over the positions in its place)" in told(explain(shown))


def test_some_channels_are_compared_among_all(explain: Explain) -> None:
    late = cb.Hidden("late")
    some = explain(cb.InfoVis(cb.Attribution(late.channels[[1, 7]], cb.Out(0))))
    assert told(some) == told(explain(cb.InfoVis(cb.Attribution(late.channels, cb.Out(0)))))
    assert "over 10 channels" in told(some)


def test_of_many_answers_the_most_probable_are_compared(
    noise_picture: Any, explain: Explain
) -> None:
    module = SmallNet(30).eval()
    ex = explain(
        cb.InfoVis(cb.Attribution(cb.Hidden("late").channels, cb.Out())),
        cb.Network(module, cb.Preprocess(size=16)),
    )
    assert "for five answers, and" in told(ex)


@pytest.mark.parametrize(("head", "score"), [("values", "output"), ("labels", "log-odds")])
def test_of_other_outputs_there_is_one_score(head: Any, score: str, explain: Explain) -> None:
    net = cb.Network(SmallNet().eval(), cb.Preprocess(size=16), head=head)
    said = told(explain(cb.InfoVis(cb.Attribution(cb.Hidden("late").channels, cb.Out(0))), net))
    assert f"takes from the {score} is" in said
    assert "from the logit" not in said


def test_nothing_is_said_of_what_is_not_judged(explain: Explain) -> None:
    early, late = cb.Hidden("early"), cb.Hidden("late")
    for content, mark in (
        (cb.Attribution(early.channels, late.channels), "matrix"),
        (cb.Attribution(late.spatial, cb.Out().groups(2)), "multiples"),
        (cb.Attribution(late.whole, cb.Out(0)), "bars"),
        (cb.Attribution(cb.Input().spatial, cb.Out(0)), "overlay"),
        (cb.Activation(late.channels), "bars"),
    ):
        assert TERM not in dict(explain(cb.InfoVis(content, mark)).scene.chapters[0].method)  # type: ignore[arg-type]


def test_places_of_a_fine_grid_are_passed_over(
    explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "MOST_PLACES", 63)
    places = cb.Attribution(cb.Hidden("early").spatial, cb.Out(0))
    assert told(explain(cb.InfoVis(places, "overlay"))) == ""


def test_what_takes_long_is_not_tried_and_said(
    explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "MOST_SECONDS", 0.0)
    channels = cb.Hidden("late").channels
    content = cb.Attribution(channels, cb.Out(0))
    assert told(explain(cb.InfoVis(content))) == (
        "channels of late: not compared with removals, which would take too long for a page"
    )
    shown = cb.FeatureVis(content, beside=cb.Ablation(channels, cb.Out(0)))
    assert "over 10 channels of late" in told(explain(shown)), "the page has them anyway"


class Twice(nn.Module):
    """A layer that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(self.conv(x).relu()).mean((2, 3)))


def test_a_layer_that_cannot_be_changed_is_told(explain: Explain) -> None:
    net = cb.Network(Twice().eval(), cb.Preprocess(size=16))
    content = cb.Attribution(cb.Hidden("conv").spatial, cb.Out(0))
    ex = explain(cb.InfoVis(content, "overlay"), net)
    assert told(ex) == (
        "positions of conv: not compared with removals: nothing can be put in their place"
    )


def test_what_is_equal_has_no_rank(explain: Explain) -> None:
    module = SmallNet().eval()
    with torch.no_grad():
        module.head.weight.zero_()
    said = told(
        explain(
            cb.InfoVis(cb.Attribution(cb.Hidden("late").channels, cb.Out(0))),
            cb.Network(module, cb.Preprocess(size=16)),
        )
    )
    assert "log-odds is none (all are equal), and 0 of the 5 strongest are the same" in said


def test_removals_are_refused_before_they_run(small: cb.Network, small_x: Tensor) -> None:
    engine = cb.LayerAblation(small.module, "late")
    with (
        tail.at_most(0.0),
        pytest.raises(UnsupportedMethod, match="10 removals at layer 'late': about"),
    ):
        engine.attribute(small_x, 0)
    with tail.at_most(60.0):
        within = engine.attribute(small_x, 0)
    assert torch.equal(within, engine.attribute(small_x, 0))
