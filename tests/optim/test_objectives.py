"""Objectives against loops, their algebra, and what they refuse."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.optim import (
    L1,
    L2,
    Accentuation,
    Alignment,
    Blurring,
    Boundary,
    Channel,
    ChannelInterpolation,
    ClassLogit,
    DeepDream,
    Direction,
    Diversity,
    Group,
    Inversion,
    Neuron,
    NeuronDirection,
    Opacity,
    TensorDirection,
    TotalVariation,
    objective,
)
from captum_blocks.optim.objectives import Seen, stored
from tests.reference import optim_formulas as slow

VECTOR = (0.5, -1.0, 0.25, 2.0)
SHAPES = {"layer": (4, 3, 5), "input": (3, 7, 9), "output": (10, 1, 1)}


def lists(seen, layer="layer"):
    return seen.at(layer).tolist()


def same(scores, expected):
    torch.testing.assert_close(scores, torch.tensor(expected, dtype=scores.dtype))


def test_channel(seen):
    same(Channel(2).score(seen), [slow.channel_mean(maps, 2) for maps in lists(seen)])


def test_another_layer(seen):
    same(Channel(2, "other").score(seen), [slow.channel_mean(m, 2) for m in lists(seen, "other")])


def test_a_ceiling_is_soft_for_those_who_ask_for_more():
    maps = torch.tensor([4.0, 8.0]).reshape(1, 2, 1, 1)
    seen = Seen({"layer": maps, "other": maps}, maps, "layer", ceilings={"layer": 6.0})
    assert seen.at(None).flatten().tolist() == [4, 6]
    assert seen.at("layer", lifted=True).flatten().tolist() == [4, 6 + 0.25 * 2]
    assert seen.at("layer", lifted=True, pick=lambda maps: maps[:, 1]).tolist() == [[[6.5]]]
    assert seen.at("other") is maps
    assert seen.at("input") is maps
    same((Channel(1) - L1("layer")).score(seen), [6.5 - 5.0])


def test_neuron_knows_rows_from_columns(seen):
    same(Neuron(1, y=2, x=4).score(seen), [maps[1][2][4] for maps in lists(seen)])


def test_neuron_in_the_middle(seen):
    same(Neuron(1).score(seen), [maps[1][1][2] for maps in lists(seen)])


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_direction(seen, power):
    expected = [slow.direction_mean(maps, VECTOR, power) for maps in lists(seen)]
    same(Direction(VECTOR, power).score(seen), expected)


def test_neuron_direction(seen):
    expected = [slow.direction_at(maps, VECTOR, 2, 0, 1.0) for maps in lists(seen)]
    same(NeuronDirection(VECTOR, y=2, x=0).score(seen), expected)


def test_group_is_the_coefficient_of_its_direction():
    vector = torch.tensor(VECTOR)
    maps = 3.0 * vector[None, :, None, None].expand(1, 4, 2, 2)
    same(Group(vector).score(Seen({"layer": maps}, maps, "layer")), [3.0])


def test_class_logit(seen):
    logits = Seen({"output": torch.arange(8.0).reshape(2, 4, 1, 1)}, seen.image, "layer")
    same(ClassLogit(3).score(logits), [3.0, 7.0])


def test_dream(seen):
    values = [[v for p in maps for r in p for v in r] for maps in lists(seen)]
    same(DeepDream().score(seen), [sum(v * v for v in one) / len(one) for one in values])


def test_caricature_is_a_direction_of_all_numbers_together(seen):
    target = torch.linspace(-1, 1, 60).reshape(4, 3, 5)
    flat = [[[[v]] for p in maps for r in p for v in r] for maps in lists(seen)]
    exact = target.double().flatten().tolist()
    expected = [slow.direction_at(maps, exact, 0, 0, 1.0) for maps in flat]
    torch.testing.assert_close(
        TensorDirection(target).score(seen), torch.tensor(expected, dtype=torch.float64)
    )


def test_inversion_is_zero_at_its_target_and_negative_elsewhere(seen):
    target = seen.at("layer")[0]
    first, second = Inversion(target.float()).score(seen).tolist()
    assert first == pytest.approx(0, abs=1e-12)
    difference = (seen.at("layer")[1] - target).square().sum() / target.square().sum()
    assert second == pytest.approx(-difference.item(), rel=1e-5)


def test_interpolation_goes_from_one_channel_to_the_other(seen):
    first, last = lists(seen)
    expected = [slow.channel_mean(first, 0), slow.channel_mean(last, 3)]
    same(ChannelInterpolation(0, 3, n=2).score(seen), expected)


def test_interpolation_is_half_of_each_in_the_middle():
    maps = torch.randn(3, 4, 2, 3, generator=torch.Generator().manual_seed(1)).double()
    seen = Seen({"layer": maps}, maps, "layer")
    mean = [[slow.channel_mean(image, c) for c in (1, 2)] for image in maps.tolist()]
    expected = [mean[0][0], (mean[1][0] + mean[1][1]) / 2, mean[2][1]]
    same(ChannelInterpolation(1, 2, n=3).score(seen), expected)


def test_diversity(seen):
    same(Diversity().score(seen), slow.diversity(lists(seen)))


def test_alignment_weighs_further_neighbours_less():
    images = torch.tensor([0.0, 1.0, 3.0]).reshape(3, 1, 1, 1)
    seen = Seen({}, images, "layer")
    # squared distances 1, 9, 4; weights 1/2 next door, 1/4 two doors on; mean over two others
    same(Alignment(decay=0.5).score(seen), [-(0.5 + 2.25) / 2, -(0.5 + 2) / 2, -(2.25 + 2) / 2])


def test_total_variation(seen):
    same(TotalVariation().score(seen), [slow.total_variation(m) for m in lists(seen, "input")])


def test_norms(seen):
    values = [[v for p in maps for r in p for v in r] for maps in lists(seen)]
    same(L1("layer", 1.0).score(seen), [sum(abs(v - 1) for v in o) / len(o) for o in values])
    same(L2("layer").score(seen), [(sum(v * v for v in o) / len(o)) ** 0.5 for o in values])


def test_boundary(seen):
    same(Boundary(2).score(seen), [slow.boundary(m, 2) for m in lists(seen, "input")])


def test_blurring(seen):
    same(Blurring().score(seen), [slow.blurring(m) for m in lists(seen, "input")])


def test_blurring_costs_nothing_where_all_is_flat(seen):
    flat = Seen({}, torch.full((1, 3, 5, 5), 0.3), "layer")
    assert Blurring().score(flat).item() == pytest.approx(0, abs=1e-12)
    assert (Blurring().score(seen) > 0).all()


def test_opacity_is_the_last_channel(seen):
    same(Opacity().score(seen), [slow.channel_mean(m, 2) for m in lists(seen, "input")])


def test_accentuation_is_held_back_by_the_distance(seen):
    beside = {"layer": seen.at("layer") + 0.1}
    view = Seen(seen.maps, seen.image, "layer", beside, balance=2.0)
    expected = Channel(1).score(seen) - 3 * 2 * 0.1 * 60**0.5
    torch.testing.assert_close(Accentuation(Channel(1), 3.0).score(view), expected)


numbers = st.floats(-3, 3).filter(lambda value: abs(value) > 0.01)


@given(a=numbers, b=numbers)
def test_algebra_is_arithmetic_on_scores(a, b):
    maps = torch.arange(1.0, 25.0).reshape(2, 3, 2, 2)
    seen = Seen({"layer": maps}, maps, "layer")
    x, y = Channel(0), Channel(2)
    u, v = x.score(seen), y.score(seen)
    for made, expected in [
        (a * x + b * y, a * u + b * v),
        (x - b * y, u - b * v),
        (a - x, a - u),
        (x / b, u / b),
        (a / x, a / u),
        (x * y, u * v),
        (-x, -u),
        (a + x, a + u),
    ]:
        torch.testing.assert_close(made.score(seen), expected)


def test_sum_over_one_image(seen):
    expected = Channel(0).score(seen) + Channel(1).score(seen)
    assert sum([Channel(0), Channel(1)]) == Channel(0) + Channel(1)
    torch.testing.assert_close(sum([Channel(0), Channel(1)]).score(seen), expected)


@pytest.mark.parametrize(
    ("made", "label"),
    [
        (Channel(3, "layer2"), "channel 3 of layer2"),
        (Channel(0) + 0.1 * objective(lambda a: a, name="symmetric"), "channel 0 + 0.1 symmetric"),
        (2 * (Channel(0) - Channel(1)), "2 (channel 0 - channel 1)"),
        (-Direction(VECTOR), "-direction"),
        (Neuron(3, y=1, x=4), "channel 3 at y=1, x=4"),
        (Neuron(3), "channel 3 in the middle"),
        (Channel(3).copies(2) + Diversity("a"), "channel 3 + diversity of a"),
        (L2() + L1("a") + Boundary(), "L2 + L1 of a + boundary"),
    ],
)
def test_labels(made, label):
    assert made.label == label


def test_equal_objectives_are_equal_and_hash_alike():
    made = [2 * Channel(1) + Direction(torch.tensor(VECTOR)) for _ in range(2)]
    assert made[0] == made[1]
    assert hash(made[0]) == hash(made[1])
    assert stored(torch.tensor(VECTOR)) == stored(list(VECTOR))


def test_data_tells_objectives_apart():
    made = [Channel(1), Channel(2), Channel(1, "a"), 2 * Channel(1), Channel(1).copies(2)]
    made += [TensorDirection(torch.full((1, 2, 2), value)) for value in (1.0, 2.0)]
    data = [repr(one.to_data()) for one in made]
    assert len(set(data)) == len(made)


def test_a_callable_is_no_data():
    assert objective(lambda a: a.mean((1, 2, 3)), name="f").to_data() is None
    assert (Channel(0) + 0.1 * objective(torch.sum)).to_data() is None


def test_layers_are_those_of_all_parts():
    made = Channel(1) + Channel(2, "a") - TotalVariation() + Accentuation(Channel(1, "b"))
    assert made.layers("default") == {"default", "a", "b"}
    assert ClassLogit(1).layers("default") == {"output"}


def text(message):
    return f"^{re.escape(message)}$"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (Channel(4), "channel 4 of layer 'layer': it has 4, so 0 to 3"),
        (2 * Channel(0) + Channel(-5), "channel -5 of layer 'layer': it has 4, so 0 to 3"),
        (Neuron(0, y=3), "row y = 3 of layer 'layer': it has 3, so 0 to 2"),
        (NeuronDirection(VECTOR, x=5), "column x = 5 of layer 'layer': it has 5, so 0 to 4"),
        (ClassLogit(10), "class 10 of layer 'output': it has 10, so 0 to 9"),
        (
            Direction([1.0, 2.0]),
            "a direction of 2 numbers for layer 'layer', which has 4 channels",
        ),
        (
            Inversion(torch.ones(4, 5, 3)),
            "a target of shape (4, 5, 3) for layer 'layer', whose maps are (4, 3, 5) at this size; "
            "take the target from a picture of the same size",
        ),
    ],
)
def test_what_a_layer_does_not_have_is_refused(made, message):
    with pytest.raises(InvalidArgument, match=text(message)):
        made.check(SHAPES, "layer")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Direction([0.0, 0.0]), "Direction: the vector is zero and points nowhere"),
        (
            lambda: TensorDirection(torch.ones(3)),
            "TensorDirection: the target has shape (3,); give (channel, y, x), e.g. acts[0]",
        ),
        (lambda: Inversion(torch.zeros(1, 2, 2)), "Inversion: the target is zero"),
        (lambda: Channel(0).copies(0), "0 copies of 'channel 0': give at least 1"),
        (
            lambda: Channel(0).copies(2) + Channel(1).copies(3),
            "'channel 0 + channel 1' joins objectives of 2 and 3 images; "
            "give both the same number of copies",
        ),
        (
            lambda: (Channel(0).copies(2) + Diversity()).copies(2),
            "'channel 0 + diversity' is for 2 images already; "
            "copy the single objective before combining",
        ),
        (
            lambda: ChannelInterpolation(0, 1, n=1),
            "an interpolation of 1 images; give at least 2",
        ),
        (lambda: Boundary(0), "a boundary of 0 pixels; give at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, message):
    with pytest.raises(InvalidArgument, match=text(message)):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Channel(1.5), "Channel: channel is an integer, not 1.5"),
        (
            lambda: Channel(1) + "x",
            "an objective is combined with numbers and objectives, not str",
        ),
        (lambda: objective(3), "objective() takes a function of activations, not int"),
    ],
)
def test_wrong_types_are_refused(make, message):
    with pytest.raises(WrongType, match=text(message)):
        make()


def test_diversity_of_one_image_is_refused(seen):
    one = Seen({"layer": seen.at("layer")[:1]}, seen.image[:1], "layer")
    message = (
        "'diversity' compares images and there is one; "
        "couple several, e.g. Channel(3).copies(4) + Diversity()"
    )
    with pytest.raises(InvalidArgument, match=text(message)):
        Diversity().score(one)


def test_a_function_that_gives_no_score_per_image_is_refused(seen):
    message = (
        "objective 'f' returned () for activations of shape (2, 4, 3, 5); "
        "return one score per image, shape (2,)"
    )
    with pytest.raises(InvalidArgument, match=text(message)):
        objective(torch.mean, name="f").score(seen)
