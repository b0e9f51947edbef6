"""How far attributions are to be believed, on pages, in tables and archives: against loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.compose.evaluation import weighing
from captum_blocks.compose.evaluation.facts import Weighed
from captum_blocks.numerals import number
from captum_blocks.scene import Bars, Panel
from tests.conftest import FEW_STEPS, SmallNet
from tests.reference import attributions as reference

Explain = Callable[..., cb.Explanation]


@pytest.fixture
def explain(small: cb.Network, noise_picture: Any, store: Any) -> Explain:
    def explained(interface: Any, net: Any = small, photo: Any = noise_picture, **more: Any) -> Any:
        return cb.explain(
            interface, net, photo, quality=FEW_STEPS, progress=False, store=store, **more
        )

    return explained


def only(ex: cb.Explanation) -> Weighed:
    (found,) = ex.attribution_trust
    return found


def panels(ex: cb.Explanation) -> list[Panel]:
    return list(ex.scene.panels())


class Line(nn.Module):
    """Behind the layer nothing but a linear map, at every place the same."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 12, 3, 2, 1), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


class Saturated(nn.Module):
    """Channels 0 to 5 are far beyond the ceiling of what follows: their gradient is zero.

    The others are below it and count little: removal says otherwise than gradients do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body, self.ceiling = nn.Conv2d(3, 12, 3, 2, 1), nn.Hardtanh(0.0, 1.0)
        self.head = nn.Linear(12, 2)
        with torch.no_grad():
            self.body.weight.mul_(0.01)
            self.body.bias.copy_(torch.tensor([5.0] * 6 + [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
            self.head.weight.copy_(torch.arange(12, 0, -1.0).expand(2, 12))
            self.head.weight[1] *= -0.5

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.ceiling(self.body(x)).mean((2, 3)))


def network(kind: type[nn.Module]) -> cb.Network:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        module = kind().eval()
    preprocess = cb.Preprocess(size=16, mean=(0.5,) * 3, std=(0.5,) * 3)
    return cb.Network(module, preprocess, ["cat", "dog"], name=kind.__name__)


BODY = cb.Hidden("body").channels
EFFECT = cb.Attribution(BODY, cb.Out("cat"))


def test_behind_a_linear_head_every_method_agrees(explain: Explain) -> None:
    found = only(explain(cb.InfoVis(EFFECT), network(Line)))
    assert (found.level, found.phrase.split(",")[0]) == ("clear", "agrees with removal")
    assert found.check is not None
    assert float(found.check.spread.max()) < 1e-4
    assert float(found.check.agreement.min()) == pytest.approx(1, abs=1e-3)
    assert "five methods" not in found.why
    assert "5 methods say the same" in found.why


def test_what_saturates_is_refuted_by_removal(explain: Explain) -> None:
    ex = explain(cb.InfoVis(EFFECT), network(Saturated))
    found = only(ex)
    assert (found.level, found.phrase) == ("refuted", "removal says otherwise")
    assert found.methods["itself"][0, 0, :6].tolist() == [0.0] * 6
    assert found.methods["removal"][0, 0, :6].tolist() == pytest.approx([12, 11, 10, 9, 8, 7])
    (panel,) = panels(ex)
    assert panel.sign is not None
    assert (panel.sign.level, panel.sign.name) == ("refuted", "removal says otherwise")


def test_numbers_are_those_of_plain_loops(
    small: cb.Network, noise_picture: Any, explain: Explain
) -> None:
    found = only(explain(cb.InfoVis(cb.Attribution(cb.Hidden("late").channels, cb.Out("dog")))))
    module, x = small.module, small.read(noise_picture)
    late = module.late(module.early(x)).detach()

    def head(held: Tensor) -> Tensor:
        return module.head(held.mean((2, 3)))

    own = (reference.mean_gradient(head, [late], 1) * late).sum((2, 3))[0].tolist()
    removed = reference.taken(head, late, 1)
    assert found.check is not None
    assert found.check.agreement.item() == pytest.approx(reference.in_common(own, removed))
    copy = SmallNet().eval()
    copy.load_state_dict(module.state_dict())
    reference.shuffled(copy)
    other = copy.late(copy.early(x)).detach()
    gradient = reference.mean_gradient(lambda held: copy.head(held.mean((2, 3))), [other], 1)
    learned_nothing = (gradient * other).sum((2, 3))[0].tolist()
    rho = reference.in_common(own, learned_nothing)
    assert found.check.shuffled.item() == pytest.approx(rho, abs=1e-6)


def test_ranges_stand_on_the_bars_and_in_what_is_told(small: cb.Network, explain: Explain) -> None:
    content = cb.Attribution(cb.Hidden("early").channels, cb.Out("dog", "cat"))
    ex = explain(cb.FeatureVis(content.filter(strongest=3)))
    (panel,), found = panels(ex), only(ex)
    assert isinstance(panel, Bars)
    (marks,) = panel.frames
    for mark in (mark for mark in marks if mark.role == "atom"):
        channel = int(mark.key.rsplit("/", 1)[1])
        numbers = [
            [float(held[0, place, channel]) for held in found.methods.values()] for place in (0, 1)
        ]
        expected = [(min(each), max(each)) for each in numbers]
        assert [pytest.approx(each) for each in expected] == list(mark.spans)
        ends = [(number(low), number(high)) for low, high in expected]
        told = ", ".join(f"from {low} to {high}" for low, high in ends)
        same = all(low == high for low, high in ends)
        assert mark.detail.endswith(f"; {'the same' if same else told} by five methods")
        for span, value in zip(mark.spans, mark.values, strict=True):
            low, high = span or (1, 0)
            assert panel.domain[0] <= low <= (value or 0) + 1e-6
            assert (value or 0) - 1e-6 <= high <= panel.domain[1]
    assert all(mark.spans == () for mark in marks if mark.role != "atom")
    assert panel.spanned == (
        "thin line: range over five methods: its own, integrated gradients, stochastic path, "
        "smoothed gradients, removal"
    )


def test_of_two_answers_compared_the_range_is_that_of_differences(explain: Explain) -> None:
    ex = explain(cb.compare_classes("early", "dog", "cat", top=2))
    both = panels(ex)[0]
    held = {each.content.target: each for each in ex.attribution_trust}
    first, second = (
        next(each for target, each in held.items() if name in repr(target))
        for name in ("dog", "cat")
    )
    assert isinstance(both, Bars)
    marks = [mark for mark in both.frames[0] if mark.role == "atom"]
    assert marks
    for mark in marks:
        channel = int(mark.key.rsplit("/", 1)[1])
        apart = [
            float(first.methods[name][0, 0, channel] - second.methods[name][0, 0, channel])
            for name in first.methods
        ]
        assert mark.spans == (pytest.approx((min(apart), max(apart))),)


def test_a_range_follows_the_place_pointed_at(explain: Explain) -> None:
    here = cb.hover("spatial")
    effect = cb.Attribution(cb.Hidden("early").spatial, cb.Out("dog", "cat"))
    photo = cb.InfoVis(effect.filter(to=0), "overlay", sets=here)
    ex = explain(photo | cb.InfoVis(effect.filter(at=here)))
    bars, found = panels(ex)[1], only(ex)
    assert isinstance(bars, Bars)
    numbers = torch.stack(list(found.methods.values()))
    for place, frame in enumerate(bars.frames):
        y, x = divmod(place, 8)
        for index, mark in enumerate(frame[:2]):
            by = numbers[:, 0, index, y, x]
            assert mark.spans == (pytest.approx((float(by.min()), float(by.max()))),)


def test_groups_are_held_against_gradients_and_removal(
    small: cb.Network, noise_picture: Any, explain: Explain
) -> None:
    groups = cb.Hidden("early").groups(4)
    found = only(explain(cb.InfoVis(cb.Attribution(groups, cb.Out("dog"), method="ShapleyValues"))))
    assert list(found.methods) == [
        "itself",
        "gradient × activation",
        "integrated gradients",
        "stochastic path",
        "smoothed gradients",
        "removal",
    ]
    x = small.read(noise_picture)
    gradients = cb.evaluate(cb.Attribution(groups, cb.Out("dog")), small, x)
    removal = cb.evaluate(cb.Ablation(groups, cb.Out("dog"), score="logit"), small, x)
    torch.testing.assert_close(found.methods["gradient × activation"], gradients.data)
    torch.testing.assert_close(found.methods["removal"], removal.data)
    assert "shuffled" not in found.why


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            cb.Attribution(cb.Hidden("late").neurons, cb.Out("dog")).filter(strongest=3),
            "neurons of late: neurons are not taken away one by one",
        ),
        (
            cb.Attribution(cb.Hidden("early").channels, cb.Hidden("late").channels).filter(to=2),
            "what layers do to each other is not compared with removals",
        ),
        (
            cb.Attribution(cb.Input().spatial, cb.Out("dog")),
            "parts of the picture are not compared with removals",
        ),
    ],
)
def test_what_is_not_compared_is_unknown_and_says_why(
    explain: Explain, content: Any, why: str
) -> None:
    overlay = "neurons" not in repr(content) and "Input" in repr(content)
    (panel,) = panels(explain(cb.InfoVis(content, "overlay" if overlay else "bars")))
    assert panel.sign is not None
    assert (panel.sign.level, panel.sign.name) == ("unknown", "not compared with removal")
    assert panel.sign.words == why


def test_activations_have_no_mark(explain: Explain) -> None:
    (panel,) = panels(explain(cb.InfoVis(cb.Activation(cb.Hidden("late").channels))))
    assert panel.sign is None


def test_removals_that_take_too_long_leave_the_other_methods(
    explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    from captum_blocks.compose.evaluation import holding

    monkeypatch.setattr(holding, "MOST_SECONDS", 0.0)
    found = only(explain(cb.InfoVis(cb.Attribution(cb.Hidden("late").channels, cb.Out("dog")))))
    assert found.level == "unknown"
    assert found.why.startswith("to take each atom away alone would take too long for a page; ")
    assert "removal" not in found.methods
    assert len(found.methods) == 4


def test_a_network_that_refuses_other_methods_is_told(
    explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weighing, "MOST_SECONDS", 0.0)
    found = only(explain(cb.InfoVis(cb.Attribution(cb.Hidden("late").channels, cb.Out("dog")))))
    assert list(found.methods) == ["itself", "removal"]
    assert found.why.endswith(
        "; not compared with other methods: they would take about 0 seconds, 0 at most here"
    )


def test_a_chapter_and_the_foot_of_the_page_tell_it(explain: Explain) -> None:
    ex = explain(cb.channel_attribution("late"))
    found = dict(ex.scene.chapters[0].method)["how far to believe it"]
    for each in ex.attribution_trust:
        answers = {1: "one answer", 2: "two answers", 3: "three answers"}
        classes = answers[len(each.coords["class"])]
        assert f"channels of late to {classes}: {each.phrase} ({each.why})" in found
    assert "no proof" in dict(ex.scene.footer)["marks on attributions"]


def test_the_table_has_a_row_an_answer(explain: Explain) -> None:
    ex = explain(cb.InfoVis(cb.Attribution(cb.Hidden("late").channels, cb.Out("dog", "cat"))))
    frame, found = ex.attribution_trust.to_frame(), only(ex)
    assert found.check is not None
    assert frame.columns.tolist() == [
        "content",
        "layer",
        "atom",
        "method",
        "level",
        "verdict",
        "image",
        "class_index",
        "agreement",
        "least_alike",
        "shuffled",
        "spread",
    ]
    assert frame.class_index.tolist() == [1, 0]
    assert frame.agreement.tolist() == pytest.approx(found.check.agreement[0].tolist())
    assert frame.least_alike.tolist() == pytest.approx(found.check.alike.amin(0)[0].tolist())
    assert set(frame.verdict) == {found.phrase}


def test_the_archive_has_ranges_and_verdicts(explain: Explain, tmp_path: Any) -> None:
    ex = explain(cb.InfoVis(cb.Attribution(cb.Hidden("late").channels, cb.Out("dog", "cat"))))
    found = only(ex)
    held = np.load(ex.save(tmp_path / "numbers.npz"))
    assert held["a0.verdict"].tolist() == [found.level, found.phrase, found.why]
    assert held["a0.methods"].tolist() == list(found.methods)
    by = held["a0.by"]
    assert by.shape == (5, 1, 2, 10)
    np.testing.assert_array_equal(held["a0.low"], by.min(0))
    np.testing.assert_array_equal(held["a0.high"], by.max(0))
    np.testing.assert_array_equal(by[0], ex.values[found.content].data.numpy())
    told = {row[0]: row[3] for row in held["keys"].tolist()}
    assert told["a0.by"] == "method, image, class, channel"
    assert told["a0.agreement"] == "image, class"


def test_the_same_page_twice_has_the_same_numbers(explain: Explain) -> None:
    page = cb.InfoVis(cb.Attribution(cb.Hidden("early").channels, cb.Out("dog")))
    first, second = (only(explain(page)) for _ in range(2))
    assert first.why == second.why
    for name, held in first.methods.items():
        assert torch.equal(held, second.methods[name])


def test_few_groups_and_many_places_are_not_ranked(explain: Explain) -> None:
    few = only(explain(cb.InfoVis(cb.Attribution(cb.Hidden("early").groups(3), cb.Out("dog")))))
    assert few.level == "unknown"
    assert few.why.startswith("so few atoms have no order to speak of; ")
    assert next(iter(few.methods)) == "itself"
    assert len(few.methods) == 4
