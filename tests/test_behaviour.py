"""Networks that do not repeat themselves, and rows that change each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import captum_blocks as cb
from captum_blocks.attr import LayerMethod
from captum_blocks.behaviour import STEADY, observed, tried


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Counting(nn.Module):
    """Counts its passes and their rows."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.rows = inner, []

    def forward(self, x: Tensor) -> Tensor:
        self.rows.append(len(x))
        return self.inner(x)


def pooled(channels: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, channels, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36 * 4, 5))


class Spiking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.charge: float | Tensor = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.charge = 0.5 * self.charge + x.mean((1, 2, 3))[:, None]
        return x.flatten(1) * (1 + self.charge)


class OnePicture(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(1, 192).relu()


@pytest.fixture
def x() -> Tensor:
    return torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "couple",
    [
        lambda x: x - x.mean(0),
        lambda x: x / x.abs().max(),
        lambda x: x - x.min(),
        lambda x: (x - x.mean()) / x.std(),
        lambda x: functional.batch_norm(x, None, None, training=True),
        lambda x: x.flatten(1) @ x.flatten(1).mean(0),
        lambda x: x.flatten(1).softmax(0),
        lambda x: x - 0.7 * x.mean((2, 3)).min(0).values[:, None, None],
        lambda x: x.mean((2, 3)) - 0.5 * x.mean((2, 3)).median(0).values,
        lambda x: x - 0.5 * x[-1:],
        lambda x: x - 0.5 * x[:1],
        lambda x: x + 0.5 * torch.cat([x[1:], x[-1:] * 0]),
    ],
)
@pytest.mark.parametrize("shift", [0.0, -0.5])
def test_rows_that_change_each_other(couple, shift: float, x: Tensor) -> None:
    found = observed(couple, x + shift)
    assert found.apart
    assert found.drift == 0
    assert "each row was run by itself" in found.notes[0]


@pytest.mark.parametrize(
    "net", [pooled(), nn.BatchNorm2d(3), nn.InstanceNorm2d(3), nn.GroupNorm(3, 3), nn.Softmax(1)]
)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_rows_that_stay_apart(net: nn.Module, kind: torch.dtype, x: Tensor) -> None:
    assert observed(net.to(kind), x.to(kind)) == STEADY


def test_a_constant_picture_tells_too() -> None:
    assert observed(lambda x: x - x.mean(0), torch.zeros(1, 3, 4, 4)).apart


def test_the_size_of_the_coupling(x: Tensor) -> None:
    low, span = x.min(), x.max() - x.min()
    other = low + 0.1 * span + 0.5 * (x.flip((1, 2, 3)) - low)
    alone = (other - other.mean(0)) + 1
    beside = (other - (x + other).mean(0) / 2) + 1
    share = float((alone - beside).abs().max() / alone.abs().max())
    assert observed(lambda x: x - x.mean(0) + 1, x).coupling == pytest.approx(share)


def test_one_picture_at_a_time(x: Tensor) -> None:
    found = observed(OnePicture(), x)
    assert math.isinf(found.coupling)
    assert found.notes == ("this network takes one picture at a time: each row was run by itself",)


def test_a_dropout_that_is_always_on(x: Tensor) -> None:
    found = observed(lambda x: functional.dropout(x, 0.5), x)
    # What one pass keeps is doubled, and another one drops some of it.
    assert found.drift == pytest.approx(1.0, abs=0.1)
    assert not found.apart
    assert "do not come out the same twice" in found.drifts


def test_what_draws_at_random_now_and_then(x: Tensor) -> None:
    passes = iter([1.0, 1.0, 0.5, 0.75])
    found = observed(lambda x: x * next(passes), x)
    assert (found.drift, found.coupling) == (pytest.approx(0.25), 0)


@pytest.mark.parametrize(("often", "drift"), [(2, 1.0), (3, 0.5), (4, 0.5)])
def test_a_counter_of_passes_drifts(often: int, drift: float, x: Tensor) -> None:
    passes = count(1)
    found = observed(lambda x: x * (2 if next(passes) % often == 0 else 1), x)
    assert (found.drift, found.coupling) == (pytest.approx(drift), 0)


def test_a_picture_that_comes_out_as_rounding_couples_nothing(x: Tensor) -> None:
    def rounded(x: Tensor) -> Tensor:
        return torch.where(x < 1, len(x) * 1e-9, x)

    assert observed(rounded, torch.cat([x[:, :2] * 0.1, 1 + x[:, 2:]], 1)) == STEADY


def test_a_state_between_calls(x: Tensor) -> None:
    other = x.min() + 0.1 * (x.max() - x.min()) + 0.5 * (x.flip((1, 2, 3)) - x.min())
    mean = float(other.mean())
    expected = (1 + 1.5 * mean) / (1 + mean) - 1
    assert observed(Spiking(), x).drift == pytest.approx(expected, rel=1e-4)


def test_a_network_is_tried_once_until_it_changes(x: Tensor) -> None:
    net = Counting(pooled())
    for _ in range(3):
        observed(net, x)
    assert net.rows == [1, 1, 2, 1]
    with torch.no_grad():
        net.inner[0].weight.mul_(2)
    observed(net, x)
    assert net.rows == [1, 1, 2, 1] * 2
    net.inner = nn.BatchNorm2d(3, track_running_stats=False)
    assert observed(net, x).apart


def test_a_function_and_a_bound_method_are_tried_once(x: Tensor) -> None:
    net = Counting(pooled())
    scores = lambda x: net(x)  # noqa: E731
    for _ in range(2):
        observed(scores, x)
        observed(net.forward, x)
    assert net.rows == [1, 1, 2, 1] * 2
    net.inner = nn.Flatten()
    observed(scores, x)
    assert net.rows == [1, 1, 2, 1] * 3


def test_trying_draws_nothing_and_leaves_no_hook(x: Tensor) -> None:
    net = nn.Sequential(pooled(), nn.Dropout())
    state = torch.get_rng_state()
    observed(lambda x: functional.dropout(net(x)), x)
    assert torch.equal(torch.get_rng_state(), state)
    assert net.training
    assert not nn.modules.module._global_forward_pre_hooks


def test_what_a_network_cannot_take_is_left_to_its_next_pass(x: Tensor) -> None:
    assert tried(pooled(), x[:, :2]) is None
    assert observed(pooled(), x[:, :2]) == STEADY


def test_arguments_that_have_no_row_for_each_picture(x: Tensor) -> None:
    scale = torch.tensor([1.0, 2.0, 3.0])
    assert observed(lambda x, scale, how: x * scale[:, None, None], x, scale, "up") == STEADY


class Coupled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False)
        self.act, self.fc = nn.ReLU(), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.act(self.bn(self.conv(x))).mean((2, 3)))


class LeastOfThem(nn.Module):
    """Takes off the least of the batch: of two rows, the higher one alone moves."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.conv(x).relu().mean((2, 3))
        return self.fc(pooled - 0.7 * pooled.min(0).values)


class TestANetworkThatMovesOneRow:
    def test_gradients_and_logits_are_those_of_each_picture(self, x: Tensor) -> None:
        net, both = LeastOfThem().eval(), torch.cat([x, 0.4 * x])
        expected = []
        for row in both:
            act = net.conv(row[None]).detach().requires_grad_()
            pooled = act.relu().mean((2, 3))
            net.fc(pooled - 0.7 * pooled.min(0).values)[0, 1].backward()
            assert act.grad is not None
            expected.append((act * act.grad).detach())
        found = LayerMethod(net, "conv").attribute(both, [1])
        torch.testing.assert_close(found.maps[:, 0], torch.cat(expected))
        assert any("what else is in the batch" in note for note in found.notes)
        alone = torch.cat([net(row[None]) for row in both]).detach()
        torch.testing.assert_close(cb.Network(net).logits(both), alone)


class TestANetworkOfCoupledRows:
    def test_logits_and_activations_are_those_of_each_picture(self, x: Tensor) -> None:
        net = cb.Network(Coupled().eval(), cb.Preprocess(8, (0.0,) * 3, (1.0,) * 3))
        batch = torch.cat([x, x * 0.2, 1 - x])
        alone = torch.cat([net.module(row[None]) for row in batch])
        torch.testing.assert_close(net.logits(batch), alone.detach())
        maps = next(net.activations("act", list(batch[:, None])))
        expected = [net.module.act(net.module.bn(net.module.conv(row[None]))) for row in batch]
        torch.testing.assert_close(maps, torch.cat(expected).detach())

    def test_the_values_of_several_pictures(self, x: Tensor) -> None:
        net = cb.Network(Coupled().eval())
        batch = torch.cat([x, x * 0.2])
        for word in (
            cb.Activation(cb.Hidden("act").channels),
            cb.Attribution(cb.Hidden("act").channels, cb.Out(1)),
            cb.Attribution(cb.Hidden("conv").channels, cb.Hidden("act").channels),
        ):
            both = cb.evaluate(word, net, batch)
            alone = [cb.evaluate(word, net, row[None]).data for row in batch]
            torch.testing.assert_close(both.data, torch.cat(alone))
            assert any("what else is in the batch" in note for note in both.notes)

    def test_one_picture_at_a_time_has_layers(self, x: Tensor) -> None:
        inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), OnePicture(), nn.Linear(192, 2))
        inner[2].forward = lambda h: h.reshape(1, 144)[:, :96].repeat(1, 2)  # type: ignore[method-assign]
        net = cb.Network(inner.eval())
        assert net.recommended(x) == ("1",)
        batch = torch.cat([x, x * 0.2])
        alone = torch.cat([inner(row[None]) for row in batch])
        torch.testing.assert_close(net.logits(batch), alone.detach())

    def test_its_region_of_a_map_has_layers(self) -> None:
        """What reads the scores refuses two pictures in words of its own."""

        class OneMap(nn.Sequential):
            def forward(self, x: Tensor) -> Tensor:
                return super().forward(x)[:1].view(1, 4, 6, -1)

        inner = OneMap(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
        net = cb.Network(inner, cb.Preprocess(8), region=(0, 0, 1, 1))
        assert [info.places for info in net.layers()] == ["tested", "tested"]


def test_layers_are_listed_in_few_passes_each_layer_seen_as_it_returned() -> None:
    """Two pictures at once and the four that are woven of them, of networks that take two."""
    inner, rows = pooled().eval(), list[int]()
    inner[1].inplace = True  # type: ignore[index, union-attr]
    inner.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    net = cb.Network(inner, cb.Preprocess(8), recommend=["0"])
    signs = {info.name: info.sign for info in net.layers()}
    assert rows == [2, 1, 1, 1, 1]
    assert (signs["0"], signs["1"]) == ("signed", ">= 0")


def test_values_that_do_not_come_out_the_same_twice_say_so(x: Tensor) -> None:
    class Dropping(Coupled):
        def forward(self, x: Tensor) -> Tensor:
            return self.fc(functional.dropout(self.act(self.conv(x)), 0.5).mean((2, 3)))

    net = Dropping().eval()
    for word in (
        cb.Activation(cb.Hidden("act").channels),
        cb.Activation(cb.Hidden("act").channels).filter(top=2),
        cb.Attribution(cb.Hidden("act").channels, cb.Out(1)),
        cb.Attribution(cb.Hidden("conv").channels, cb.Hidden("act").channels),
    ):
        notes = cb.evaluate(word, cb.Network(net), x).notes
        assert sum("do not come out the same twice" in note for note in notes) == 1


class ThreeViews(nn.Module):
    """Test-time augmentation: the same layers three times."""

    def __init__(self) -> None:
        super().__init__()
        self.net = pooled()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + self.net(x * 0.9) + self.net(x * 0.8)


class TestLayersThatRunSeveralTimes:
    def test_they_are_recommended_where_there_are_no_others(self, x: Tensor) -> None:
        net = cb.Network(ThreeViews().eval())
        with pytest.warns(UserWarning, match=r"\('net.1' 3 times\): numbers are of the last call"):
            assert net.recommended(x) == ("net.1",)
        assert "ReLU, runs 3 times" in repr(net.layers(x))

    def test_numbers_of_the_last_call_and_a_note_that_says_so(self, x: Tensor) -> None:
        net = ThreeViews().eval()
        act = net.net[1](net.net[0](x * 0.8)).detach().requires_grad_()
        net.net[3](act.flatten(1))[0, 2].backward()
        assert act.grad is not None
        said = "layer 'net.1' runs 3 times in one pass: these are numbers of its last call"
        value = cb.evaluate(
            cb.Attribution(cb.Hidden("net.1").channels, cb.Out(2)), cb.Network(net), x
        )
        torch.testing.assert_close(value.data[0, 0], (act * act.grad).sum((2, 3))[0].detach())
        assert value.notes.count(said) == 1
        shown = cb.evaluate(cb.Activation(cb.Hidden("net.1").channels), cb.Network(net), x)
        torch.testing.assert_close(shown.data[0], act.mean((2, 3))[0].detach())
        assert shown.notes == (said,)
