"""Edits of the photograph as contents: the engine's numbers, and where removal disagrees."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.attr import (
    BLUR,
    EDGE,
    HALF,
    RegionEdit,
    regions_of_maps,
    regions_of_places,
    scored,
)
from captum_blocks.compose import evaluate_content
from captum_blocks.compose.assembly import method
from captum_blocks.compose.evaluation import amounts, states
from captum_blocks.compose.evaluation.disagreements import (
    LEAST,
    MORAL,
    Compared,
    Words,
    disagreements,
)
from captum_blocks.compose.evaluation.question import asked
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.errors import BlocksError, InvalidArgument, WrongType
from captum_blocks.grammar import Content
from captum_blocks.grammar.interventions import Intervention
from captum_blocks.grammar.spec import WORDS
from captum_blocks.scene import Versus
from tests.conftest import FEW_STEPS

LATE = cb.Hidden("late")
TWO = cb.Out("cat", "pig")
PART = cb.Edit(cb.Input().whole, TWO, mask=cb.Given("part"))


@pytest.fixture
def photos(small: cb.Network) -> Tensor:
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def half() -> Tensor:
    mask = torch.zeros(16, 16)
    mask[:, :8] = 1
    return mask


@pytest.mark.parametrize("score", ["logit", "log-odds"])
def test_groups_are_the_engines_numbers(small: cb.Network, photos: Tensor, score: Any) -> None:
    groups = LATE.groups(2)
    value = cb.evaluate(cb.Edit(groups, TWO, score=score), small, photos)
    held = small.module.late(small.module.early(photos)).detach()
    maps = cb.ChannelReducer(2).fit(held).transform(held)
    masks = regions_of_maps(torch.as_tensor(maps), (16, 16))
    expected = RegionEdit(small.module).attribute(photos, masks, [0, 2], score=score)
    torch.testing.assert_close(value.data, expected, rtol=1e-4, atol=1e-5)
    assert (value.axes, value.unit) == (("image", "class", "group"), score)
    assert value.coords["class"] == (0, 2)
    assert not value.additive
    assert not value.sentences, "of several photographs nothing is said together"


def test_places_are_the_engines_numbers(small: cb.Network, small_x: Tensor) -> None:
    value = cb.evaluate(cb.Edit(LATE.spatial, TWO), small, small_x)
    masks = regions_of_places((4, 4), (16, 16))[None]
    expected = RegionEdit(small.module).attribute(small_x, masks, [0, 2], score="log-odds")
    torch.testing.assert_close(value.data.flatten(2), expected, rtol=1e-4, atol=1e-5)
    assert value.axes == ("image", "class", "y", "x")
    assert value.sentences == ("each region is 6% of the picture",)


def test_some_groups_keep_their_names_and_shares(small: cb.Network, small_x: Tensor) -> None:
    every = cb.evaluate(cb.Edit(LATE.groups(3), TWO), small, small_x)
    some = cb.evaluate(cb.Edit(LATE.groups(3)[[2, 0]], TWO), small, small_x)
    torch.testing.assert_close(some.data, every.data[:, :, [2, 0]])
    share = "share of the picture"
    torch.testing.assert_close(some.also[share], every.also[share][:, :, [2, 0]])
    held = small.module.late(small.module.early(small_x)).detach()
    maps = torch.as_tensor(cb.ChannelReducer(3).fit(held).transform(held))
    expected = regions_of_maps(maps, (16, 16)).mean((-2, -1))
    torch.testing.assert_close(every.also[share], expected[:, None].expand(-1, 2, -1))
    ex = cb.explain(cb.InfoVis(cb.Edit(LATE.groups(3), TWO)), small, small_x, progress=False)
    (bars,) = ex.scene.panels()
    assert bars.frames[0][2].label == f"group 3: {expected[0, 2]:.0%} of the picture"


def test_of_several_photographs_each_has_its_sizes_and_sentences() -> None:
    net = cb.Network(Around(24.0).eval(), labels=["cat", "dog"])
    x = torch.cat([_red_square(), _red_square(), torch.zeros(1, 3, 32, 32)])
    x[1, 1, 12:, 20:] = 5
    edit = cb.Edit(LATE.groups(2), cb.Out("cat"))
    ex = cb.explain(cb.InfoVis(edit), net, {"a": x[:1], "b": x[1:2], "c": x[2:]}, progress=False)
    (bars,) = ex.scene.panels()
    alone = cb.evaluate(edit, net, x[1:2])
    assert len(bars.told) == 3
    assert bars.told[1].endswith(MORAL)
    assert bars.told[2] == ""
    sizes = [[mark.label for mark in frame] for frame in bars.frames]
    assert sizes[0] != sizes[1]
    assert all("of the picture" in name for names in sizes for name in names)
    assert alone.sentences[0].startswith("without group ")


@pytest.mark.parametrize("kind", ["tensor", "bool", "uint8", "row", "picture"])
def test_a_mask_is_one_region(small: cb.Network, small_x: Tensor, half: Tensor, kind: str) -> None:
    grey = (half.numpy() * 255).astype(np.uint8)
    given = {
        "tensor": half,
        "bool": half.numpy().astype(bool),
        "uint8": grey,
        "row": half[None],
        "picture": Image.fromarray(grey),
    }[kind]
    value = cb.evaluate(PART, small, small_x, {"part": given})
    expected = RegionEdit(small.module).attribute(
        small_x, half[None, None], [0, 2], score="log-odds"
    )
    torch.testing.assert_close(value.data, expected[..., 0], rtol=1e-4, atol=1e-5)
    assert value.axes == ("image", "class")
    assert value.sentences == ("the region is 50% of the picture",)


def test_without_a_mask_all_of_it_is_edited(small: cb.Network, photos: Tensor) -> None:
    fill = torch.tensor([0.5, 0.0, -0.5])
    content = cb.Edit(cb.Input().whole, TWO, fill=cb.Given("grey"), score="logit")
    value = cb.evaluate(content, small, photos, {"grey": fill})
    with torch.no_grad():
        plain = small.module(fill[None, :, None, None].expand(1, 3, 16, 16))
        own = small.module(photos)
    torch.testing.assert_close(value.data, (own - plain)[:, [0, 2]], rtol=1e-4, atol=1e-5)


def test_a_picture_replaces_a_region(
    small: cb.Network, noise_picture: np.ndarray, half: Tensor
) -> None:
    content = cb.Edit(cb.Input().whole, TWO, cb.Given("other"), mask=cb.Given("part"))
    x, other = small.read(noise_picture), noise_picture[::-1].copy()
    value = cb.evaluate(content, small, x, {"other": other, "part": half})
    mixed = x * (1 - half) + small.read(other) * half
    with torch.no_grad():
        own, after = small.module(x), small.module(mixed)
    for place, index in enumerate((0, 2)):
        expected = scored(own, index, "log-odds") - scored(after, index, "log-odds")
        torch.testing.assert_close(value.data[:, place], expected, rtol=1e-4, atol=1e-5)


def test_the_demo_network_by_ten_lines_of_torch(demo: cb.Network) -> None:
    from skimage import data
    from torch.nn.functional import interpolate
    from torchvision.transforms.functional import gaussian_blur

    x, groups = demo.read(data.chelsea()), cb.Hidden("bn2").groups(2)
    value = cb.evaluate(cb.Edit(groups, cb.Out("tiger cat")), demo, x)
    held = demo.module.bn2(
        demo.module.conv_head(demo.module.blocks(demo.module.bn1(demo.module.conv_stem(x))))
    ).detach()
    fires = interpolate(
        torch.as_tensor(cb.ChannelReducer(2).fit(held).transform(held)), (224, 224), mode="bilinear"
    )[0]
    fuzzy = gaussian_blur(x, [137, 137], [22.4, 22.4])
    for group, own in enumerate(fires):
        high = own.flatten().sort(descending=True).values
        level = high[(high.cumsum(0) < high.sum() / 2).sum()]
        mask = gaussian_blur((own >= level).float()[None], [29, 29], [4.48, 4.48])
        scores = demo.logits(torch.cat([x, x * (1 - mask) + fuzzy * mask]))
        odds = scored(scores, 282, "log-odds")
        assert float(value.data[0, 0, group]) == pytest.approx(float(odds[0] - odds[1]), abs=5e-3)
    assert bool(value.data.isfinite().all())


def test_they_survive_json() -> None:
    words = cb.Edit(LATE.groups(3), cb.Out(207), fill=cb.Given("other"), score="logit")
    part = cb.Edit(cb.Input().whole, cb.Out("cat"), mask=cb.Given("face"))
    shown = cb.InfoVis(words, beside=cb.Ablation(LATE.groups(3), cb.Out(207))) | cb.InfoVis(part)
    assert cb.Interface.from_json(shown.to_json()) == shown
    assert '"captum_blocks": 1' in shown.to_json()


def test_no_content_from_atoms_to_classes_is_forgotten(small: cb.Network, small_x: Tensor) -> None:
    """Whatever goes from a source to a target is evaluated, counted, bound and told of."""
    found = [
        word
        for word in WORDS.values()
        if issubclass(word, Content) and {"source", "target"} <= {f.name for f in fields(word)}
    ]
    # Pairs of groups are no atoms of a layer.
    found = [word for word in found if word is not cb.Interaction]
    changes = [word for word in found if word is not cb.Attribution]
    assert {word.__name__ for word in changes} == {"Ablation", "Edit"}
    for word in found:
        content = word(LATE.groups(2), TWO)
        session = Session(asked(small, small_x), [content])
        assert evaluate_content.dispatch(word) is not evaluate_content.dispatch(object)
        assert amounts._shown(word(LATE.spatial, TWO), session) == (16, 2, True)
        followed = word(LATE.groups(cb.slider(2, 3, value=2)), TWO)
        assert states._deciding(followed, of_target=False)
        assert not states._deciding(followed, of_target=True)
        assert method._said(content, {})
        assert method.content_name(content, {}) != word.__name__.lower()
        assert issubclass(word, Intervention) == (word in changes)


class Around(nn.Module):
    """A layer that fires at a red square, and a way around it that says the opposite of it."""

    def __init__(self, around: float) -> None:
        super().__init__()
        self.late, self.around = nn.Conv2d(3, 2, 4, 4, bias=False), around
        with torch.no_grad():
            self.late.weight.zero_()
            self.late.weight[0, 0] = self.late.weight[1, 1] = 1 / 16

    def forward(self, x: Tensor) -> Tensor:
        fires = torch.relu(self.late(x)).mean((2, 3))
        cat = 8 * fires[:, 0] - self.around * x[:, 0].mean((1, 2)) + 1
        return torch.stack([cat, fires[:, 1]], 1)


def _red_square() -> Tensor:
    x = torch.zeros(1, 3, 32, 32)
    x[0, 0, 4:20, 4:20], x[0, 1, 20:, 20:] = 1, 1
    return x


@pytest.mark.parametrize("around", [0.0, 24.0])
def test_the_page_says_where_removal_and_edit_disagree(around: float) -> None:
    module = Around(around).eval()
    net = cb.Network(module, labels=["cat", "dog"])
    groups, target = LATE.groups(2), cb.Out("cat")
    title = "The same groups' regions blurred in the photograph"
    bars = cb.InfoVis(cb.Edit(groups, target), title=title, beside=cb.Ablation(groups, target))
    page = cb.neuron_groups("late", 2, classes=target)
    both = page & cb.Interface((bars,)).titled("And blurred?")
    ex = cb.explain(both, net, _red_square(), quality=FEW_STEPS, progress=False)
    *panels, shown = ex.scene.panels()
    versus = next(panel for panel in panels if isinstance(panel, Versus))
    assert (MORAL in versus.left_out) == bool(around)
    removed = -ex.values[cb.Ablation(groups, target)].data[0, 0]
    edited = -ex.values[cb.Edit(groups, target)].data[0, 0]
    apart = [i for i in range(2) if removed[i] * edited[i] < 0]
    assert len(apart) == (1 if around else 0)
    assert (MORAL in shown.left_out) == bool(around)
    if around:
        told = [f"{float(change[apart[0]]):+.2f}".replace("-", "−") for change in (removed, edited)]
        assert shown.left_out == (
            f"without group {apart[0] + 1}'s activity at late the log-odds of “cat” change by "
            f"{told[0]}, with its region blurred by {told[1]}: {MORAL}"
        )
        assert MORAL in ex.html()
    assert shown.title == "The same groups' regions blurred in the photograph"
    assert "bar: its region blurred, log-odds; tick: removal, zero in its place" in shown.ticked
    for place, mark in enumerate(shown.frames[0]):
        assert mark.values == pytest.approx([-float(edited[place])])
        assert mark.ticks == pytest.approx([-float(removed[place])])
    _, chapter = ex.scene.chapters
    told = dict(chapter.method)
    assert f"blurred (Gaussian, σ {BLUR:.0%} of the picture's shorter side)" in told["edit"]
    assert f"soft edge, σ {EDGE:.0%} of the shorter side" in told["region"]
    assert HALF == 0.5
    assert "places that hold half of what the group fires" in told["region"]


def test_of_a_slider_the_state_that_opens_is_said() -> None:
    net = cb.Network(Around(24.0).eval(), labels=["cat", "dog"])
    groups, x = LATE.groups(cb.slider(1, 2, value=2)), _red_square()
    x[0, 1, 20:, 20:] = 5
    shown = cb.InfoVis(cb.Edit(groups, cb.Out("cat")))
    ex = cb.explain(shown, net, x, quality=FEW_STEPS, progress=False)
    (bars,) = ex.scene.panels()
    assert bars.left_out == ""
    assert bars.told[1].startswith("without group ")
    assert bars.told[1].endswith(MORAL)


def test_where_nothing_can_be_taken_out_nothing_is_compared() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.late, self.head = nn.Conv2d(3, 3, 3, 1, 1), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.relu(self.late(self.late(x))).mean((2, 3)))

    net, x = cb.Network(Twice().eval()), torch.rand(1, 3, 8, 8)
    value = cb.evaluate(cb.Edit(LATE.groups(2), cb.Out(0)), net, x)
    assert bool(value.data.isfinite().all())
    assert value.sentences == ()


def test_sentences_stand_exactly_where_numbers_disagree() -> None:
    generator = torch.Generator().manual_seed(3)
    words = Words("log-odds", "bn2", "blurred", "abc".__getitem__)
    for _ in range(60):
        own, removed, edited = (
            torch.randn(shape, generator=generator) for shape in ((3,), (5, 3), (5, 3))
        )
        compared = Compared(own, removed, edited, "log-odds")
        expected = set()
        for group in range(5):
            for index in (0, 2):
                odds = [scored(each, index, "log-odds") for each in (own, removed[group])]
                after = scored(edited[group], index, "log-odds")
                r, e = float(odds[1] - odds[0]), float(after - odds[0])
                if (r >= LEAST and e <= -LEAST) or (r <= -LEAST and e >= LEAST):
                    expected.add(group)
            tops = [int(each.argmax()) for each in (own, removed[group], edited[group])]
            if (tops[1] == tops[0]) != (tops[2] == tops[0]):
                new = tops[1] if tops[2] == tops[0] else tops[2]
                rows = removed[group], edited[group]
                leads = [float(row[tops[0]] - row[new]) for row in rows]
                if abs(leads[0] - leads[1]) >= LEAST:
                    expected.add(group)
        said = disagreements(compared, range(5), (0, 2), words)
        named = {group for group in range(5) if any(f"group {group + 1}'s" in s for s in said)}
        assert len(said) == min(3, len(expected))
        assert named <= expected
        assert sum(MORAL in sentence for sentence in said) == bool(said)


def test_another_class_in_one_case_alone_is_said_with_both_changes() -> None:
    own, stays, gives_way = torch.tensor([[2.0, 1.0], [1.9, 1.0], [0.0, 1.0]])
    words = Words("logit", "bn2", "replaced", ["tabby", "lynx"].__getitem__)
    (said,) = disagreements(Compared(own, stays[None], gives_way[None], "logit"), [0], [1], words)
    assert said == (
        "“lynx” becomes the most probable class with group 1's region replaced, and not without "
        f"its activity at bn2 (logit of “tabby” −2.00 and −0.10): {MORAL}"
    )
    (said,) = disagreements(Compared(own, gives_way[None], stays[None], "logit"), [0], [1], words)
    assert said == (
        "“lynx” becomes the most probable class without group 1's activity at bn2, and not with "
        f"its region replaced (logit of “tabby” −2.00 and −0.10): {MORAL}"
    )
    labels = Compared(own, gives_way[None], stays[None], "logit", exclusive=False)
    assert not disagreements(labels, [0], [1], words), "labels stand for themselves"
    values = Words("output", "bn2", "blurred", str)
    assert not disagreements(Compared(own, gives_way[None], stays[None], "logit"), [0], [1], values)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: cb.Edit(LATE.channels, TWO), InvalidArgument, "no region of the picture: groups"),
        (lambda: cb.Edit(LATE, TWO), InvalidArgument, "no region of the picture"),
        (lambda: cb.Edit(LATE.whole, TWO), InvalidArgument, "no region of the picture"),
        (lambda: cb.Edit(cb.Input().spatial, TWO), InvalidArgument, "no region of the picture"),
        (lambda: cb.Edit(LATE.spatial, cb.Out().groups(2)), InvalidArgument, "scores of classes"),
        (lambda: cb.Edit(LATE.spatial, TWO, fill="grey"), InvalidArgument, "none of blur"),
        (lambda: cb.Edit(LATE.spatial, TWO, score="odds"), InvalidArgument, "none of"),
        (lambda: cb.Edit(LATE.spatial, TWO, mask=cb.Given("m")), InvalidArgument, "has its own"),
        (lambda: cb.Edit(cb.Input().whole, TWO, mask="m"), WrongType, "mask= is named"),
    ],
)  # fmt: skip
def test_wrong_words_are_told(make: Any, kind: type[BlocksError], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (torch.ones(8, 8), InvalidArgument, r"mask 'part' has shape \(8, 8\), and the picture as"),
        (torch.ones(16, 16, 3), InvalidArgument, r"has shape \(16, 16, 3\)"),
        (torch.zeros(16, 16), InvalidArgument, "mask 'part': masks that are zero everywhere"),
        (torch.full((16, 16), 1.5), InvalidArgument, "from 0 .stays. to 1 .edited."),
        (np.full((16, 16), np.nan), InvalidArgument, "these from nan to nan"),
        ("face.png", WrongType, "mask 'part' is a str; give a tensor, an array or a PIL image"),
    ],
)  # fmt: skip
def test_a_mask_that_does_not_fit_is_told(
    small: cb.Network, small_x: Tensor, given: Any, kind: type[BlocksError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        cb.evaluate(PART, small, small_x, {"part": given})


def test_what_else_cannot_be_is_told(
    small: cb.Network, small_x: Tensor, photos: Tensor, half: Tensor
) -> None:
    with pytest.raises(InvalidArgument, match="part of one photograph, and 3 are explained"):
        cb.evaluate(PART, small, photos, {"part": half})
    with pytest.raises(InvalidArgument, match="no class 'lynx'"):
        cb.evaluate(cb.Edit(LATE.spatial, cb.Out("lynx")), small, small_x)
    replaced = cb.Edit(LATE.spatial, TWO, fill=cb.Given("other"))
    with pytest.raises(InvalidArgument, match="given 'other' replaces a part of the picture: a f"):
        cb.evaluate(replaced, small, small_x, {"other": torch.zeros(3, 8, 8)})
    with pytest.raises(WrongType, match="given 'other' replaces a part of the picture: a picture"):
        cb.evaluate(replaced, small, small_x, {"other": 0.5})
    fine = cb.Network(nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    with pytest.raises(InvalidArgument, match="has 1,024 places, and the whole network runs for"):
        cb.evaluate(cb.Edit(cb.Hidden("0").spatial, cb.Out(0)), fine, torch.rand(1, 3, 32, 32))
