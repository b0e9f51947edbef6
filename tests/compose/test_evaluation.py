"""Every number against loops over plain modules."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from captum.attr import LayerConductance, LayerGradientXActivation
from hypothesis import given
from hypothesis import strategies as st

import captum_blocks as cb
from captum_blocks.attr import methods
from captum_blocks.compose.evaluation.facts import Facts
from captum_blocks.errors import (
    InvalidArgument,
    LayerNotFound,
    UnknownName,
    UnsupportedMethod,
    WrongType,
)
from tests.reference.composition import activation, gradient_times_activation

LATE = cb.Hidden("late")


@pytest.fixture
def acts(small: cb.Network, small_x: torch.Tensor) -> torch.Tensor:
    return activation(small.module, small.module.late, small_x)


def test_activations_of_every_atom(small, small_x, acts) -> None:
    def data(source: object) -> torch.Tensor:
        return cb.evaluate(cb.Activation(source), small, small_x).data

    torch.testing.assert_close(data(LATE.neurons), acts)
    torch.testing.assert_close(data(LATE.spatial), acts.pow(2).sum(1).sqrt())
    torch.testing.assert_close(data(LATE.channels), acts.mean((2, 3)))
    torch.testing.assert_close(data(LATE.whole), acts.pow(2).sum().sqrt()[None])
    torch.testing.assert_close(data(cb.Out()), small.module(small_x).detach())
    torch.testing.assert_close(data(cb.Input().neurons), small_x)


def test_group_activation_is_score_times_length(small, small_x, acts) -> None:
    value = cb.evaluate(cb.Activation(LATE.groups(3)), small, small_x)
    reducer = cb.ChannelReducer(3).fit(acts)
    scores = reducer.transform(acts)
    for group in range(3):
        length = reducer.components_[group].pow(2).sum().sqrt()
        torch.testing.assert_close(value.maps[0, group], scores[0, group] * length)
        torch.testing.assert_close(value.data[0, group], (scores[0, group] * length).mean())


@pytest.mark.parametrize("of", ["gradient", "attribution"])
def test_groups_that_explain_something_else_still_add_up(small, small_x, of) -> None:
    early = cb.Hidden("early")
    value = cb.evaluate(cb.Attribution(early.groups(2, of=of), cb.Out(1)), small, small_x)
    expected = gradient_times_activation(small.module, small.module.early, small_x, 1)
    torch.testing.assert_close(value.total[0, 0], expected.sum())
    plain = cb.evaluate(cb.Attribution(early.groups(2), cb.Out(1)), small, small_x)
    assert not torch.allclose(value.data, plain.data)


def test_groups_of_attributions_are_the_reducers(small, small_x, acts) -> None:
    top = int(small.module(small_x).argmax())
    toward = gradient_times_activation(small.module, small.module.late, small_x, top)
    reducer = cb.ChannelReducer(2, of="attribution").fit(acts, attributions=toward)
    scores = reducer.transform(acts) * reducer.components_.norm(dim=1)[:, None, None]
    value = cb.evaluate(cb.Activation(LATE.groups(2, of="attribution")), small, small_x)
    torch.testing.assert_close(value.maps, scores)


@pytest.mark.parametrize(
    "content",
    [
        cb.Activation(LATE.groups(cb.slider(2, 3))),
        cb.Activation(LATE.channels).filter(at=cb.hover("channel")),
        cb.Activation(cb.Hidden("early").groups(2, align_with=cb.choose(LATE.groups(2)))),
    ],
)
def test_numbers_need_a_constant_where_a_reader_would_choose(content, small, small_x) -> None:
    with pytest.raises(InvalidArgument, match=r"whose state the reader .* put a constant in its"):
        cb.evaluate(content, small, small_x)


def test_aligned_groups_are_others_and_still_add_up(small, small_x) -> None:
    early = cb.Hidden("early")
    plain, aligned = early.groups(2), early.groups(2, align_with=LATE.groups(2))
    values = [
        cb.evaluate(cb.Attribution(source, cb.Out(1)), small, small_x)
        for source in (plain, aligned)
    ]
    torch.testing.assert_close(values[0].total, values[1].total)
    assert not torch.allclose(values[0].data, values[1].data)


@pytest.mark.parametrize("atom", ["neurons", "spatial", "channels", "whole"])
def test_attributions_add_up_to_gradient_times_activation(small, small_x, atom) -> None:
    content = cb.Attribution(getattr(LATE, atom), cb.Out(2, 0))
    value = cb.evaluate(content, small, small_x)
    assert value.axes[:2] == ("image", "class")
    assert value.coords["class"] == (2, 0)
    for place, target in enumerate((2, 0)):
        expected = gradient_times_activation(small.module, small.module.late, small_x, target)
        summed = {
            "neurons": expected,
            "spatial": expected.sum(1),
            "channels": expected.sum((2, 3)),
            "whole": expected.sum((1, 2, 3)),
        }[atom]
        torch.testing.assert_close(value.data[:, place], summed)
        torch.testing.assert_close(value.total[:, place], expected.sum((1, 2, 3)))


def test_groups_and_residual_are_the_whole(small, small_x) -> None:
    value = cb.evaluate(cb.Attribution(LATE.groups(2), cb.Out(1)), small, small_x)
    expected = gradient_times_activation(small.module, small.module.late, small_x, 1)
    by_place = value.maps[0, 0].sum(0) + value.remainder_maps["residual"][0, 0]
    torch.testing.assert_close(by_place, expected[0].sum(0))
    torch.testing.assert_close(value.total[0, 0], expected.sum())
    assert value.remainder["residual"].abs().item() > 1e-4


@given(
    top=st.none() | st.integers(1, 12),
    bottom=st.none() | st.integers(1, 12),
    strongest=st.none() | st.integers(1, 12),
)
def test_filtering_never_changes_the_total(small, small_x, top, bottom, strongest) -> None:
    whole = cb.Attribution(LATE.channels, cb.Out(0, 1))
    if top is bottom is strongest is None:
        return
    some = cb.evaluate(whole.filter(top=top, bottom=bottom, strongest=strongest), small, small_x)
    everything = cb.evaluate(whole, small, small_x)
    torch.testing.assert_close(some.total, everything.total)
    assert some.counts == {"channel": 10}
    for place, channel in enumerate(some.coords["channel"]):
        torch.testing.assert_close(some.data[..., place], everything.data[..., channel])


def test_filters_choose_what_they_say(small, small_x) -> None:
    content = cb.Attribution(LATE.channels, cb.Out(0))
    everything = cb.evaluate(content, small, small_x).data[0, 0]
    by_size = sorted(range(10), key=lambda c: -abs(float(everything[c])))
    by_value = sorted(range(10), key=lambda c: -float(everything[c]))

    def kept(**how: object) -> list[int]:
        return list(cb.evaluate(content.filter(**how), small, small_x).coords["channel"])

    assert kept(strongest=3) == by_size[:3]
    assert kept(top=2) == by_value[:2]
    assert kept(bottom=2) == by_value[::-1][:2]
    assert kept(above=0.0) == [c for c in range(10) if everything[c] > 0]


def test_a_place_leaves_the_others_as_remainder(small, small_x) -> None:
    content = cb.Attribution(LATE.neurons, cb.Out(1))
    here = cb.evaluate(content.filter(at=(1, 2)), small, small_x)
    expected = gradient_times_activation(small.module, small.module.late, small_x, 1)
    assert here.axes == ("image", "class", "channel")
    torch.testing.assert_close(here.data[:, 0], expected[:, :, 1, 2])
    torch.testing.assert_close(here.total[0, 0], expected.sum())
    assert set(here.remainder) == {"elsewhere"}


def test_picked_channels_keep_their_numbers(small, small_x, acts) -> None:
    value = cb.evaluate(cb.Activation(LATE.channels[[7, 2]]), small, small_x)
    assert value.coords["channel"] == (7, 2)
    torch.testing.assert_close(value.data[0], acts.mean((2, 3))[0, [7, 2]])


def test_given_tensor_instance_and_factory_agree(small, small_x) -> None:
    module, layer = small.module, small.module.late
    attr = LayerGradientXActivation(module, layer).attribute(small_x, target=1)
    plain = cb.evaluate(cb.Attribution(LATE.channels, cb.Out(1)), small, small_x)
    content = cb.Attribution(LATE.channels, cb.Out(1), method=cb.Given("ours"))
    for ours in (attr, LayerGradientXActivation(module, layer), LayerGradientXActivation):
        value = cb.evaluate(content, small, small_x, given={"ours": ours})
        torch.testing.assert_close(value.data, plain.data)


def test_options_reach_captum(small, small_x) -> None:
    content = cb.Attribution(LATE.neurons, cb.Out(1), method="LayerConductance", n_steps=3)
    expected = LayerConductance(small.module, small.module.late).attribute(
        small_x, target=1, n_steps=3
    )
    torch.testing.assert_close(cb.evaluate(content, small, small_x).data[:, 0], expected.detach())


def test_a_table_has_remainders_as_rows(small, small_x) -> None:
    value = cb.evaluate(cb.Attribution(LATE.groups(2), cb.Out(0, 1)), small, small_x)
    frame = value.to_frame()
    assert list(frame.columns) == ["image", "class", "group", "value", "remainder"]
    assert len(frame) == 2 * 2 + 2
    torch.testing.assert_close(
        torch.tensor(frame.groupby("class")["value"].sum().to_numpy()).float(),
        value.total[0],
    )


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (cb.Activation(cb.Hidden("lat")), LayerNotFound, "no layer 'lat' in SmallNet; did you"),
        (
            cb.Attribution(LATE, cb.Out(1), method="LayerConductans"),
            UnknownName,
            "LayerConductans.*did you mean 'LayerConductance'",
        ),
        (cb.Attribution(LATE, cb.Out(9)), InvalidArgument, "no class 9: SmallNet has classes 0 to"),
        (cb.Attribution(LATE, cb.Out("dgo")), InvalidArgument, "did you mean 'dog'"),
        (cb.Activation(LATE.groups(2, algorithm="nfm")), UnknownName, "no algorithm 'nfm'"),
        (cb.Activation(LATE.groups(11)), InvalidArgument, "11"),
        (cb.Activation(LATE.channels).filter(at="x"), WrongType, "channel is counted by whole"),
        (cb.Activation(LATE.channels[:12]), InvalidArgument, "has 10 channels, no 11"),
        (cb.Activation(LATE.tokens), InvalidArgument, "has no class or register tokens"),
        (
            cb.Activation(LATE.spatial).filter(top=2),
            InvalidArgument,
            r"cannot be ranked along one axis; name a place first",
        ),
        (
            cb.Activation(LATE.neurons).filter(at=(4, 0)),
            InvalidArgument,
            r"at=\(4, 0\): y runs from 0 to 3",
        ),
        (cb.Activation(LATE.neurons).filter(at=3), InvalidArgument, r"is picked by \(y, x\)"),
        (
            cb.Attribution(LATE.channels, cb.Out(1), method="Saliency"),
            UnsupportedMethod,
            "Saliency yields weights, not contributions: summed up to channel atoms they mean",
        ),
        (
            cb.Attribution(LATE.groups(2), cb.Out(1), method="InternalInfluence"),
            UnsupportedMethod,
            "weights, not contributions",
        ),
    ],
)
def test_wrong_contents_are_refused(small, small_x, content, error, message) -> None:
    with pytest.raises(error, match=message):
        cb.evaluate(content, small, small_x)


@pytest.mark.parametrize("name", sorted(methods()))
@pytest.mark.parametrize("source", [LATE.channels, LATE.groups(2)], ids=["channels", "groups"])
def test_every_method_of_captum_adds_up_or_refuses_in_words(small, small_x, name, source) -> None:
    content = cb.Attribution(source, cb.Out(1), method=name)
    try:
        value = cb.evaluate(content, small, small_x)
    except UnsupportedMethod:
        return
    assert value.data.abs().sum() > 0 or name == "Lime"
    if name.startswith("Layer"):
        attribution = cb.evaluate(
            cb.Attribution(LATE.neurons, cb.Out(1), method=name), small, small_x
        )
        torch.testing.assert_close(value.total, attribution.data.sum((2, 3, 4)))


def test_given_names_are_checked_before_any_work(small, small_x) -> None:
    content = cb.Attribution(LATE, cb.Out(1), method=cb.Given("ig"))
    with pytest.raises(UnknownName, match="nothing is given for 'ig'; pass given="):
        cb.evaluate(content, small, small_x)
    with pytest.raises(UnknownName, match="given 'igg' is not used by the interface; did you"):
        cb.evaluate(content, small, small_x, given={"ig": 1, "igg": 2})
    with pytest.raises(InvalidArgument, match=r"has shape \(1, 2\); layer 'late' is \(1, 10, 4, 4"):
        cb.evaluate(content, small, small_x, given={"ig": torch.zeros(1, 2)})


def test_numbers_that_are_not_finite(small, small_x) -> None:
    with pytest.raises(InvalidArgument, match="holds NaN or infinite values"):
        cb.evaluate(cb.Activation(LATE.channels), small, small_x * float("nan"))


def test_attribution_to_the_picture_itself(small, small_x) -> None:
    x = small_x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(small.module(x)[0, 1], x)
    expected = (gradient * x).detach()
    found = cb.evaluate(cb.Attribution(cb.Input(), cb.Out(1)), small, small_x)
    assert found.axes == ("image", "class", "channel", "y", "x")
    assert torch.allclose(found.data[:, 0], expected, atol=1e-6)
    places = cb.evaluate(cb.Attribution(cb.Input().spatial, cb.Out(1)), small, small_x)
    assert torch.allclose(places.data[:, 0], expected.sum(1), atol=1e-5)
    given = cb.Attribution(cb.Input().spatial, cb.Out(1), method=cb.Given("mine"))
    shown = cb.evaluate(given, small, small_x, given={"mine": expected})
    assert torch.allclose(shown.data, places.data, atol=1e-5)
    late = cb.Hidden("late").channels
    made = cb.evaluate(cb.Attribution(cb.Input().spatial, late), small, small_x)
    assert made.data.shape == (1, 10, *small_x.shape[-2:])
    steps = cb.Attribution(cb.Input().channels, cb.Out(1), "LayerIntegratedGradients", n_steps=64)
    logits = small.module(torch.cat([small_x, torch.zeros_like(small_x)]))[:, 1]
    total = cb.evaluate(steps, small, small_x).total
    assert float(total) == pytest.approx(float((logits[0] - logits[1]).detach()), abs=1e-2)


def test_layers_are_called_by_the_end_of_their_names() -> None:
    facts = Facts(*("",) * 6, (), (), (), (), (0, 0, 1, 1), (1, 1), {})
    names = ("blocks.5.0.bn1", "blocks.5.1.bn1", "bn2", "bn1", "layer4", "head.layer4")
    facts = replace(facts, maps=dict.fromkeys(names))
    short = [facts.short(cb.Hidden(name).channels) for name in names]
    assert short == ["0.bn1", "1.bn1", "bn2", "bn1", "layer4", "head.layer4"]
