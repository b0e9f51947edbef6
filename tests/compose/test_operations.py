"""Operations on contents, and attribution between hidden layers, against loops."""

from __future__ import annotations

import pytest
import torch
from captum.attr import LayerGradientXActivation

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Content
from tests.reference.composition import activation, gradient_times_activation

EARLY, LATE = cb.Hidden("early"), cb.Hidden("late")
EFFECT = cb.Attribution(LATE.channels, cb.Out(0, 2))


@pytest.fixture
def number(small, small_x):
    return lambda content, x=small_x, **given: cb.evaluate(content, small, x, given)


def early_to_late(small, small_x, score) -> torch.Tensor:
    """early * d score(late) / d early, (channel, y, x), by a backward pass of its own."""
    early = activation(small.module, small.module.early, small_x).requires_grad_()
    (gradient,) = torch.autograd.grad(score(small.module.late(early)), early)
    return (gradient * early).detach()[0]


def test_spatial_to_spatial_is_the_norm_of_each_position(small, small_x, number) -> None:
    value = number(cb.Attribution(EARLY.spatial, LATE.spatial))
    assert value.axes == ("image", "to_y", "to_x", "y", "x")
    for y, x in ((0, 0), (1, 3), (2, 2)):
        expected = early_to_late(small, small_x, lambda a, y=y, x=x: a[0, :, y, x].norm())
        torch.testing.assert_close(value.data[0, y, x], expected.sum(0))
        bound = number(cb.Attribution(EARLY.spatial, LATE.spatial).filter(to=(y, x)))
        torch.testing.assert_close(bound.data[0], expected.sum(0))
        assert bound.axes == ("image", "y", "x")


def test_channel_to_channel_is_the_sum_of_each_channel(small, small_x, number) -> None:
    value = number(cb.Attribution(EARLY.channels, LATE.channels[[3, 1]]))
    assert value.coords["to_channel"] == (3, 1)
    for place, channel in enumerate((3, 1)):
        expected = early_to_late(small, small_x, lambda a, c=channel: a[0, c].sum())
        torch.testing.assert_close(value.data[0, place], expected.sum((1, 2)))


def test_groups_to_groups_and_their_residual_are_the_whole(small, small_x, number) -> None:
    value = number(cb.Attribution(EARLY.groups(2), LATE.groups(3)))
    assert value.data.shape == (1, 3, 2)
    whole = number(cb.Attribution(EARLY.whole, LATE.groups(3)))
    torch.testing.assert_close(value.total, whole.data)


def test_a_later_layer_is_no_source(number) -> None:
    with pytest.raises(cb.BlocksError, match="exchange source_layer and target_layer"):
        number(cb.Attribution(LATE.spatial, EARLY.spatial))


def test_difference_of_two_classes(small, number) -> None:
    first, second = (cb.Attribution(LATE.groups(2), cb.Out(c)) for c in (0, 2))
    value = number(first.difference(second))
    torch.testing.assert_close(value.data, number(first).data - number(second).data)
    torch.testing.assert_close(value.total, number(first).total - number(second).total)
    assert value.labels == {"class": ("cat − pig",)}


def test_differences_that_mean_nothing(number) -> None:
    with pytest.raises(InvalidArgument, match="a difference needs equal axes and units"):
        number(EFFECT.difference(cb.Activation(LATE.channels)))
    one = cb.Attribution(LATE.channels, cb.Out(0))
    with pytest.raises(InvalidArgument, match="take the difference first, then filter"):
        number(one.filter(top=2).difference(one.filter(bottom=2)))
    with pytest.raises(InvalidArgument, match=r"class is \[0, 2\] in one and \[0, 1\]"):
        number(EFFECT.difference(cb.Attribution(LATE.channels, cb.Out(0, 1))))


@pytest.mark.parametrize("how", ["mean", "sum", "max"])
def test_aggregating_over_images(small_x, number, how) -> None:
    x = torch.cat([small_x, small_x.flip(-1), small_x * 0.3])
    value, each = number(EFFECT.aggregate("image", how), x), number(EFFECT, x)
    expected = {"mean": each.data.mean(0), "sum": each.data.sum(0), "max": each.data.amax(0)}[how]
    torch.testing.assert_close(value.data[0], expected)
    assert value.axes == each.axes
    if how != "max":
        combined = {"mean": each.total.mean(0), "sum": each.total.sum(0)}[how]
        torch.testing.assert_close(value.total[0], combined)
    assert value.notes[-1] == f"{how} over image"


def test_aggregating_over_a_source_axis(number) -> None:
    value = number(cb.Attribution(LATE.spatial, cb.Out(1)).aggregate("y", "sum"))
    each = number(cb.Attribution(LATE.spatial, cb.Out(1)))
    torch.testing.assert_close(value.data, each.data.sum(2))
    assert value.axes == ("image", "class", "x")
    with pytest.raises(InvalidArgument, match="no 'group'"):
        number(EFFECT.aggregate("group"))


@pytest.mark.parametrize("by", ["max", "sum"])
def test_normalising(number, by) -> None:
    content = cb.Attribution(LATE.groups(2), cb.Out(0, 2))
    value, each = number(content.normalise(by)), number(content)
    size = each.data.abs().amax(-1) if by == "max" else each.data.abs().sum(-1)
    torch.testing.assert_close(value.data, each.data / size[..., None])
    torch.testing.assert_close(value.total, each.total / size)
    assert value.unit == ("share of the largest" if by == "max" else "share of the sum")


@pytest.mark.parametrize("atom", ["neurons", "channels"])
def test_projecting_is_attributing_to_groups(number, atom) -> None:
    groups = LATE.groups(2)
    projected = number(cb.Attribution(getattr(LATE, atom), cb.Out(1)).project(groups))
    torch.testing.assert_close(projected.data, number(cb.Attribution(groups, cb.Out(1))).data)
    fires = number(cb.Activation(getattr(LATE, atom)).project(groups))
    torch.testing.assert_close(fires.data, number(cb.Activation(groups)).data)


def test_projecting_a_tensor_computed_elsewhere(small, small_x, number) -> None:
    attr = LayerGradientXActivation(small.module, small.module.late).attribute(small_x, target=1)
    given = cb.Attribution(LATE.neurons, cb.Out(1), method=cb.Given("attr"))
    value = number(given.project(LATE.groups(2)), attr=attr)
    expected = gradient_times_activation(small.module, small.module.late, small_x, 1)
    torch.testing.assert_close(value.total[0, 0], expected.sum())
    by_place = value.maps[0, 0].sum(0) + value.remainder_maps["residual"][0, 0]
    torch.testing.assert_close(by_place, expected[0].sum(0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (EFFECT.filter(top=2).project(LATE.groups(2)), "only activations and attributions are"),
        (cb.Activation(LATE.spatial).project(LATE.groups(2)), "neurons or channels of the same"),
        (cb.Activation(EARLY.neurons).project(LATE.groups(2)), "neurons or channels of the same"),
        (EFFECT.filter(to=5), "has 2 places along .class."),
        (cb.Activation(LATE.channels).filter(to=0), "has no target to pick from"),
        (
            cb.Attribution(EARLY.spatial, LATE.spatial).filter(to=1),
            r"is picked by \(to_y, to_x\)",
        ),
    ],
)
def test_operations_that_mean_nothing(number, content: Content, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        number(content)


def test_what_is_picked_may_be_nothing(number) -> None:
    value = number(cb.Activation(LATE.channels).filter(above=1e9))
    assert value.data.shape == (1, 0)
    whole = number(cb.Activation(LATE.channels))
    torch.testing.assert_close(value.total, whole.total)


def test_a_class_is_picked_by_name(number) -> None:
    named = number(EFFECT.filter(to="pig"))
    torch.testing.assert_close(named.data, number(EFFECT).data[:, 1:])
    with pytest.raises(InvalidArgument, match="to='dog': this goes to 'cat', 'pig'"):
        number(EFFECT.filter(to="dog"))
    with pytest.raises(InvalidArgument, match="no class 'pigg' in SmallNet; did you mean 'pig'"):
        number(EFFECT.filter(to="pigg"))


def test_noise_around_a_method_is_data(number) -> None:
    still = {"nt_samples": 2, "stdevs": 0.0}
    smooth = cb.Attribution(
        LATE.channels, cb.Out(1), method="LayerGradientXActivation", noise=still
    )
    plain = cb.Attribution(LATE.channels, cb.Out(1))
    torch.testing.assert_close(number(smooth).data, number(plain).data)


def test_one_source_atom_is_told_by_its_strongest_targets(number) -> None:
    content = cb.Attribution(EARLY.channels, LATE.channels).filter(at=2)
    every, value = number(content), number(content.filter(strongest=3))
    chosen = every.data[0].abs().argsort(descending=True)[:3]
    assert value.coords["to_channel"] == tuple(chosen.tolist())
    torch.testing.assert_close(value.data[0], every.data[0, chosen])
    assert value.counts == {"to_channel": 10}
