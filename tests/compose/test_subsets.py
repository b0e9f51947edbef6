"""Numbers of groups from the table of all their subsets, beside plain loops over hooks."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.compose.evaluation.subsets import ALWAYS, HIGHEST, LOWEST
from captum_blocks.compose.evaluation.values import ALONE
from captum_blocks.errors import (
    InvalidArgument,
    UnknownName,
    UnsupportedMethod,
    UnusableLayer,
    WrongType,
)
from captum_blocks.presets.words import OF_GROUPS
from tests.reference.removals import answered, kept

EARLY = cb.Hidden("early")
TWO = cb.Out("cat", "pig")


def titled(scene: Any, title: str) -> Any:
    return next(panel for panel in scene.panels() if panel.title == title)


def of_groups(groups: Any, method: Any = "ShapleyValues") -> cb.Attribution:
    return cb.Attribution(groups, TWO, method=method)


def parts_by_hand(net: cb.Network, x: Tensor, n: int) -> list[Tensor]:
    """Each group's part of the activation, and the rest."""
    held = kept(net.module, net.module.early, x).detach()
    reducer = cb.ChannelReducer(n).fit(held)
    z, directions = reducer.transform(held), torch.as_tensor(reducer.components_)
    parts = [z[:, k, None] * directions[k, :, None, None] for k in range(n)]
    return [*parts, held - sum(parts)]


def joined(net: cb.Network, x: Tensor, parts: list[Tensor], always: int | None = None) -> Tensor:
    """(player, class): what each adds, averaged over all orders in which they may join."""

    def answer(there: list[int]) -> Tensor:
        total = sum((parts[i] for i in there), torch.zeros_like(parts[0]))
        return answered(net.module, net.module.early, x, lambda _: total)[0]

    start = [] if always is None else [always]
    players = [i for i in range(len(parts)) if i != always]
    orders = list(permutations(players))
    found = torch.zeros(len(players), 3)
    for order in orders:
        there = list(start)
        for player in order:
            before = answer(there)
            there.append(player)
            found[players.index(player)] += (answer(there) - before) / len(orders)
    return found


@pytest.mark.parametrize("n", [2, 3])
def test_both_games_by_loops_over_orders(small: cb.Network, small_x: Tensor, n: int) -> None:
    value = cb.evaluate(of_groups(EARLY.groups(n)), small, small_x)
    parts = parts_by_hand(small, small_x, n)
    expected = joined(small, small_x, parts)[:, [0, 2]].T
    torch.testing.assert_close(value.data[0], expected[:, :-1], rtol=1e-4, atol=1e-4)
    rest = value.remainder["residual"][0]
    torch.testing.assert_close(rest, expected[:, -1], rtol=1e-4, atol=1e-4)
    always = joined(small, small_x, parts, always=n)[:, [0, 2]].T
    torch.testing.assert_close(value.also[ALWAYS][0], always, rtol=1e-4, atol=1e-4)


def test_they_sum_to_the_score_minus_that_of_the_filled_layer(
    small: cb.Network, small_x: Tensor
) -> None:
    value = cb.evaluate(of_groups(EARLY.groups(3)), small, small_x)
    with torch.no_grad():
        own = small.module(small_x)
    nothing = answered(small.module, small.module.early, small_x, torch.zeros_like)
    expected = (own - nothing)[:, [0, 2]]
    torch.testing.assert_close(value.total, expected, rtol=1e-5, atol=1e-5)
    assert value.effect is not None
    torch.testing.assert_close(value.effect, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(value.maps.sum((-2, -1)), value.data)  # type: ignore[union-attr]


def test_the_single_removal_stands_beside(small: cb.Network, small_x: Tensor) -> None:
    groups = EARLY.groups(3)
    value = cb.evaluate(of_groups(groups), small, small_x)
    removed = cb.evaluate(cb.Ablation(groups, TWO, score="logit"), small, small_x)
    torch.testing.assert_close(value.also[ALONE], removed.data, rtol=1e-4, atol=1e-5)
    assert value.select("group", [2]).also[ALONE].shape == (1, 2, 1)


def test_the_range_is_of_like_groups_in_other_fits(small: cb.Network, small_x: Tensor) -> None:
    value = cb.evaluate(of_groups(EARLY.groups(3)), small, small_x)
    held = kept(small.module, small.module.early, small_x).detach()
    own = torch.as_tensor(cb.ChannelReducer(3).fit(held).components_)
    fits = [cb.ChannelReducer(n) for n in (2, 4)]
    fits += [cb.ChannelReducer(3, init="random", random_state=seed) for seed in (1, 2)]
    found: list[list[float]] = [[], [], []]
    for fit in fits:
        directions = torch.as_tensor(fit.fit(held).components_)
        atoms = of_groups(EARLY.groups(cb.Given("fit")))
        theirs = cb.evaluate(atoms, small, small_x, {"fit": fit})
        assert not {LOWEST, HIGHEST} & set(theirs.also)
        for group, direction in enumerate(own):
            alike = torch.cosine_similarity(direction[None], directions)
            if alike.max() >= 0.8:
                found[group].append(theirs.data[0, 0, int(alike.argmax())].item())
    assert any(found)
    for group, values in enumerate(found):
        ends = [value.also[end][0, 0, group].item() for end in (LOWEST, HIGHEST)]
        expected = [min(values), max(values)] if values else [float("nan")] * 2
        assert ends == pytest.approx(expected, abs=1e-4, nan_ok=True)


def test_a_page_names_the_game_and_the_other_numbers(small: cb.Network, noise_picture: Any) -> None:
    groups = EARLY.groups(3)
    beside = cb.Ablation(groups, TWO, score="logit")
    title = "Effect of each group"
    shown = cb.FeatureVis(of_groups(groups), title=title, beside=beside)
    page = cb.explain(shown, small, noise_picture, quality="draft").scene
    (chapter,) = page.chapters
    panel = titled(page, "Effect of each group")
    assert panel.ticked == (
        "bar: exact Shapley values, the rest of the layer a player, logit; "
        "tick: removal, zero in its place, logit"
    )
    detail = panel.frames[0][0].detail
    assert "with the rest always there" in detail
    assert "in other fits from" in detail
    assert detail.count("taken away alone") == 0  # the tick says it
    assert "tick" in detail
    assert "of the activation’s norm is in no group" in panel.left_out
    assert "join in every order" in dict(chapter.method)["notes"]


def test_more_than_eight_groups_are_refused_or_go_another_way() -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3136, 3)).eval()
    net, many = cb.Network(wide), cb.Hidden("1").groups(9)
    x = torch.rand(1, 3, 16, 16)
    exact, plain = (
        cb.Attribution(many, cb.Out(0), method=m)
        for m in ("ShapleyValues", "LayerGradientXActivation")
    )
    with pytest.raises(UnsupportedMethod, match="exact Shapley values of 9 groups"):
        cb.evaluate(exact, net, x)
    either = cb.Method("ShapleyValues", otherwise="LayerGradientXActivation")
    value = cb.evaluate(cb.Attribution(many, cb.Out(0), method=either), net, x)
    torch.testing.assert_close(value.data, cb.evaluate(plain, net, x).data)
    assert value.by == "LayerGradientXActivation"
    assert value.sentences[0].startswith("by LayerGradientXActivation, not by ShapleyValues: exact")
    few = cb.Hidden("1").groups(2)
    for groups, told in (
        (few, "exact Shapley values"),
        (many, "Captum's LayerGradientXActivation"),
    ):
        shown = cb.InfoVis(cb.Attribution(groups, cb.Out(0), method=either))
        (chapter,) = cb.explain(shown, net, x, progress=False).scene.chapters
        said = dict(chapter.method)["attribution"]
        assert said.startswith(told)
        assert "where that cannot be" not in said


def test_a_method_that_stands_in_is_known(small: cb.Network, small_x: Tensor) -> None:
    either = cb.Method("ShapleyValues", otherwise="LayerGradCamm")
    content = cb.Attribution(cb.Hidden("late").groups(2), cb.Out(0), method=either)
    with pytest.raises(UnknownName, match="LayerGradCam"):
        cb.evaluate(content, small, small_x)


def test_a_layer_that_runs_twice_goes_another_way_and_it_is_said(noise_picture: Any) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.shared(self.shared(x).relu()).relu().mean((2, 3)))

    net = cb.Network(Twice().eval(), cb.Preprocess(size=16))
    groups = cb.Hidden("shared").groups(2)
    with pytest.raises(UnusableLayer):
        cb.evaluate(cb.Attribution(groups, cb.Out(0), method="ShapleyValues"), net, noise_picture)
    ex = cb.explain(cb.neuron_groups("shared", 2), net, noise_picture, quality="draft")
    panel = titled(ex.scene, "What each group did")
    assert "by LayerGradientXActivation, not by ShapleyValues: " in panel.left_out
    assert "no group can be switched off: " in panel.left_out
    assert all(contest.table is None for contest in panel.contests)
    effect = cb.Attribution(groups, cb.Out(0), method=OF_GROUPS)
    bars = cb.FeatureVis(effect, beside=cb.Ablation(groups, cb.Out(0)))
    (panel,) = cb.explain(bars, net, noise_picture, quality="draft").scene.panels()
    assert panel.ticked.startswith("bar: LayerGradientXActivation, logit; no tick: ")


def test_either_method_survives_json() -> None:
    method = cb.Method("ShapleyValues", otherwise="LayerGradCam", noise={"nt_samples": 2})
    shown = cb.InfoVis(of_groups(EARLY.groups(2), method)) & cb.InfoVis(cb.Activation(EARLY))
    assert cb.Interface.from_json(shown.to_json()) == shown
    assert eval(repr(method), {"Method": cb.Method}) == method


OFF = cb.toggle("group")


def left_by_hand(net: cb.Network, x: Tensor, n: int, off: tuple[int, ...]) -> Tensor:
    """The logits with some groups' parts taken out of the layer, by a hook."""
    gone = sum((part for i, part in enumerate(parts_by_hand(net, x, n)) if i in off))
    return answered(net.module, net.module.early, x, lambda output: output - gone)[0]


@pytest.mark.parametrize("off", [(), (1,), (0, 2), (0, 1, 2)])
def test_answers_without_groups_are_the_networks_own(
    small: cb.Network, small_x: Tensor, off: tuple[int, ...]
) -> None:
    content = cb.Activation(cb.Out("pig", "cat")).without(off, of=EARLY.groups(3))
    value = cb.evaluate(content, small, small_x)
    expected = left_by_hand(small, small_x, 3, off)
    torch.testing.assert_close(value.data[0], expected[[2, 0]], rtol=1e-4, atol=1e-5)
    shares = expected.softmax(0)[[2, 0]]
    torch.testing.assert_close(value.also["probability"][0], shares, rtol=1e-4, atol=1e-5)


def test_classes_that_are_left_out_join_the_rest(small: cb.Network, small_x: Tensor) -> None:
    both = cb.Activation(cb.Out("pig", "cat")).without([0], of=EARLY.groups(3))
    value = cb.evaluate(both, small, small_x).select("class", [1])
    assert value.switches is not None
    for off in ((), (0,), (1, 2)):
        row = value.switches.row(off)
        expected = left_by_hand(small, small_x, 3, off).softmax(0)[0]
        found = value.switches.probabilities(row)
        assert found is not None
        assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    assert cb.evaluate(both.aggregate("class", "max"), small, small_x).switches is None


@pytest.mark.parametrize("head", ["labels", "values"])
def test_labels_stand_for_themselves_and_values_have_no_probability(
    small_module: nn.Module, small_x: Tensor, head: str
) -> None:
    net = cb.Network(small_module, head=head)
    content = cb.Activation(cb.Out(0)).without([1], of=EARLY.groups(3))
    value = cb.evaluate(content, net, small_x)
    if head == "values":
        assert not value.also
    else:
        torch.testing.assert_close(value.also["probability"], value.data.sigmoid())


def test_of_many_groups_the_strongest_eight_have_switches() -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3136, 3)).eval()
    net, many, x = cb.Network(wide), cb.Hidden("1").groups(10), torch.rand(1, 3, 16, 16)
    with pytest.warns(UserWarning, match="strongest are taken"):
        value = cb.evaluate(cb.Activation(cb.Out(0)).without([], of=many), net, x)
    assert value.switches is not None
    assert len(value.switches.groups) == 8
    assert value.sentences == ("the 8 strongest groups can be switched off",)
    (first, *_) = set(range(10)) - set(value.switches.groups)
    with (
        pytest.warns(UserWarning, match="strongest are taken"),
        pytest.raises(InvalidArgument, match=f"group {first} of .* cannot be switched off"),
    ):
        cb.evaluate(cb.Activation(cb.Out(0)).without([first], of=many), net, x)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: answers_of(EARLY.channels), InvalidArgument, "the answers of the network change"),
        (lambda: ANSWERS.without([0], of=EARLY.channels), WrongType, "of= takes groups"),
        (lambda: ANSWERS.without([0.5], of=EARLY.groups(2)), WrongType, "numbers of groups"),
        (lambda: ANSWERS.without(cb.hover("group"), of=EARLY.groups(2)), WrongType, "toggle"),
        (lambda: cb.toggle("channel"), InvalidArgument, "groups are switched off"),
    ],
)
def test_wrong_words_are_told(make: Any, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        make()


ANSWERS = cb.Activation(cb.Out(top=2))


def answers_of(substrate: Any) -> Any:
    return cb.Activation(substrate).without([0], of=EARLY.groups(2))


def test_a_group_that_does_not_exist_is_told(small: cb.Network, small_x: Tensor) -> None:
    content = ANSWERS.without([3], of=EARLY.groups(3))
    with pytest.raises(InvalidArgument, match=r"off=\[3\]: group 3 .* groups 0, 1, 2 can"):
        cb.evaluate(content, small, small_x)
    with pytest.raises(InvalidArgument, match="whose state the reader of a page changes"):
        cb.evaluate(ANSWERS.without(OFF, of=EARLY.groups(3)), small, small_x)


def switched_page(of: Any) -> cb.Interface:
    groups = cb.FeatureVis(of_groups(of), sets=(cb.hover("group"), OFF))
    return cb.InfoVis(ANSWERS.without(OFF, of=of), title="Answers") & groups


def test_a_page_has_a_table_and_no_product_of_states(small: cb.Network, noise_picture: Any) -> None:
    groups = EARLY.groups(cb.slider(2, 3, value=3))
    interface = switched_page(groups)
    assert cb.Interface.from_json(interface.to_json()) == interface
    assert "toggle('group')" in repr(interface)
    scene = cb.explain(interface, small, noise_picture, quality="draft").scene
    panel, rows = scene.chapters[0].body.parts  # type: ignore[union-attr]
    assert len(panel.frames) == 2  # the slider's
    assert [table.scores.shape for table in panel.switched] == [(4, 2), (8, 2)]
    (toggle,) = [each for each in scene.selections if each.gesture == "toggle"]
    assert toggle.name in rows.sets
    assert len(toggle.keys) == 5
    assert panel.unit == "probability"
    assert sum(mark.values[0] for mark in panel.frames[1]) <= 1


def test_several_photographs_have_a_table_each(small: cb.Network) -> None:
    pictures = [
        torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(i)) for i in (1, 2)
    ]
    groups = EARLY.groups(2)
    scene = cb.explain(switched_page(groups), small, torch.cat(pictures), quality="draft").scene
    panel = scene.chapters[0].body.parts[0]  # type: ignore[union-attr]
    for picture, table, frame in zip(pictures, panel.switched, panel.frames, strict=True):
        own = small.module(picture)[0].detach()
        shown = [["cat", "dog", "pig"].index(mark.label) for mark in frame]
        torch.testing.assert_close(torch.as_tensor(table.scores[3]), own[shown])


def test_rivals_are_among_the_answers(small: cb.Network, noise_picture: Any) -> None:
    effect = cb.Attribution(EARLY.groups(2), cb.Out("cat", "dog"))
    page = cb.FeatureVis(effect, arrangement="versus", rivals=cb.Out("pig", "cat"))
    with pytest.raises(InvalidArgument, match="open with two of the answers that their content"):
        cb.explain(page, small, noise_picture, quality="draft")
    own = cb.FeatureVis(effect, arrangement="versus", rivals=cb.Out("dog", "cat"))
    (panel,) = cb.explain(own, small, noise_picture, quality="draft").scene.panels()
    assert panel.pair == (1, 0)  # type: ignore[attr-defined]


def test_where_nothing_can_be_switched_off_it_is_said(noise_picture: Any) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.shared(self.shared(x).relu()).relu().mean((2, 3)))

    net, groups = cb.Network(Twice().eval(), cb.Preprocess(size=16)), cb.Hidden("shared").groups(2)
    with pytest.raises(UnusableLayer):
        cb.evaluate(ANSWERS.without([0], of=groups), net, noise_picture)
    either = cb.Method("ShapleyValues", otherwise="LayerGradientXActivation")
    page = cb.InfoVis(ANSWERS.without(OFF, of=groups)) & cb.FeatureVis(
        cb.Attribution(groups, cb.Out(0), method=either), sets=OFF
    )
    scene = cb.explain(page, net, noise_picture, quality="draft").scene
    panel = scene.chapters[0].body.parts[0]  # type: ignore[union-attr]
    assert not panel.switched
    assert panel.left_out.startswith("no group can be switched off: layer 'shared' runs")


def test_interactions_are_differences_of_differences(small: cb.Network, small_x: Tensor) -> None:
    value = cb.evaluate(cb.Interaction(EARLY.groups(3), cb.Out("pig")), small, small_x)
    assert value.axes == ("image", "to_group", "group")
    assert value.unit == "logit of “pig”"

    def score(*off: int) -> float:
        return left_by_hand(small, small_x, 3, off)[2].item()

    for i in range(3):
        for j in range(3):
            expected = score() - score(i) - score(j) + score(i, j) if i != j else 0.0
            assert value.data[0, i, j].item() == pytest.approx(expected, abs=1e-4)
    shown = cb.InfoVis(cb.Interaction(EARLY.groups(2), cb.Out("pig")), "matrix")
    assert cb.Interface.from_json((shown & shown).to_json()) == (shown & shown)
    scene = cb.explain(shown, small, small_x).scene
    (panel,) = scene.panels()
    assert panel.columns == ("group 1", "group 2")
    assert "v(all)" in dict(scene.chapters[0].method)["interaction"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cb.Interaction(EARLY.channels, cb.Out(0)), "interactions are of groups"),
        (lambda: cb.Interaction(EARLY.groups(2), EARLY.channels), "about a class"),
        (lambda: cb.Interaction(cb.Out().groups(2), cb.Out(0)), "hidden layers"),
    ],
)
def test_wrong_interactions_are_told(make: Any, message: str) -> None:
    with pytest.raises((InvalidArgument, WrongType), match=message):
        make()


def test_interactions_are_about_one_class(small: cb.Network, small_x: Tensor) -> None:
    with pytest.raises(InvalidArgument, match="for one class"):
        cb.evaluate(cb.Interaction(EARLY.groups(2), TWO), small, small_x)


@pytest.mark.parametrize("outputs", [1, 2])
def test_networks_of_few_outputs_have_a_page(outputs: int, noise_picture: Any) -> None:
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Flatten()
    net = cb.Network(nn.Sequential(*parts, nn.Linear(864, outputs)).eval(), cb.Preprocess(size=16))
    scene = cb.explain(cb.neuron_groups("1", 2), net, noise_picture, quality="draft").scene
    panel = titled(scene, "What each group did")
    assert hasattr(panel, "contests") == (outputs > 1)


def test_pairs_of_the_strongest_of_many_groups_are_said() -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3136, 3)).eval()
    net, x = cb.Network(wide), torch.rand(1, 3, 16, 16)
    with pytest.warns(UserWarning, match="strongest are taken"):
        value = cb.evaluate(cb.Interaction(cb.Hidden("1").groups(10), cb.Out(0)), net, x)
    assert value.sentences == ("the 8 strongest of 10 groups",)
