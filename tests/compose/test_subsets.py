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
from captum_blocks.errors import UnsupportedMethod, UnusableLayer
from tests.reference.removals import answered, kept

EARLY = cb.Hidden("early")
TWO = cb.Out("cat", "pig")


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
    low, high = value.also[LOWEST], value.also[HIGHEST]
    assert bool((low <= value.data).all())
    assert bool((high >= value.data).all())
    found = [value.data[0, 0, 0].item()]
    held = kept(small.module, small.module.early, small_x).detach()
    first = torch.as_tensor(cb.ChannelReducer(3).fit(held).components_)[0]
    fits = [cb.ChannelReducer(n) for n in (2, 4)]
    fits += [cb.ChannelReducer(3, init="random", random_state=seed) for seed in (1, 2)]
    for place, fit in enumerate(fits):
        directions = torch.as_tensor(fit.fit(held).components_)
        alike = torch.cosine_similarity(first[None], directions)
        if alike.max() >= 0.8:
            given = {"fit": fit}
            theirs = cb.evaluate(of_groups(EARLY.groups(cb.Given("fit"))), small, small_x, given)
            assert not {LOWEST, HIGHEST} & set(theirs.also), place
            found.append(theirs.data[0, 0, int(alike.argmax())].item())
    assert low[0, 0, 0].item() == pytest.approx(min(found), abs=1e-4)
    assert high[0, 0, 0].item() == pytest.approx(max(found), abs=1e-4)


def test_a_page_names_the_game_and_the_other_numbers(small: cb.Network, noise_picture: Any) -> None:
    page = cb.explain(cb.neuron_groups("early", 3), small, noise_picture, quality="draft").scene
    (chapter,) = page.chapters
    panel = chapter.body.parts[1]  # type: ignore[union-attr]
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
    assert value.said[0].startswith("by LayerGradientXActivation, not by ShapleyValues: exact")


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
    (chapter,) = ex.scene.chapters
    panel = chapter.body.parts[1]  # type: ignore[union-attr]
    assert "by LayerGradientXActivation, not by ShapleyValues: " in panel.left_out
    assert panel.ticked.startswith("bar: LayerGradientXActivation, logit; no tick: ")


def test_either_method_survives_json() -> None:
    method = cb.Method("ShapleyValues", otherwise="LayerGradCam", noise={"nt_samples": 2})
    shown = cb.InfoVis(of_groups(EARLY.groups(2), method)) & cb.InfoVis(cb.Activation(EARLY))
    assert cb.Interface.from_json(shown.to_json()) == shown
    assert eval(repr(method), {"Method": cb.Method}) == method
