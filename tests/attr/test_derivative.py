from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_blocks import attr
from captum_blocks.attr import _steps
from captum_blocks.attr._crops import Rows, cropped
from captum_blocks.attr.derivative import Derivative, agree, linearised
from captum_blocks.attr.segment import Segment, pulled_back, pushed_forward


class Joined(nn.Module):
    """Branches of different reach that meet again, one of them the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.near, self.far = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 5, padding=2)
        self.wide = nn.Conv2d(4, 4, 3, padding=2, dilation=2)

    def forward(self, a: Tensor) -> Tensor:
        b = torch.sigmoid(self.near(a)) + a
        return functional.silu(self.far(b)) * b + self.wide(b) - 0.5 * b


class Same(nn.Module):
    """Padding that is not the same on both sides, as TensorFlow does it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 5, 2, groups=4)

    def forward(self, a: Tensor) -> Tensor:
        return self.conv(functional.pad(a, (1, 2, 1, 2)))


class Decoder(nn.Module):
    """Maps made finer, beside maps that come from elsewhere and from the same place."""

    def __init__(self, times: tuple[int, int]) -> None:
        super().__init__()
        self.finer, self.mixed = nn.Upsample(scale_factor=times), nn.Conv2d(11, 4, 3, padding=1)

    def forward(self, a: Tensor) -> Tensor:
        fine = self.finer(a)
        beside = torch.linspace(-1, 1, fine[:, :3].numel()).view_as(fine[:, :3])
        return functional.relu(self.mixed(torch.cat([beside, fine, torch.tanh(fine)], 1)))


def _behind(*layers: nn.Module) -> nn.Module:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *layers).eval()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return net


NETWORKS: dict[str, Any] = {
    "strides": lambda: _behind(nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU6(), nn.Conv2d(6, 3, (2, 3), 2)),
    "groups": lambda: _behind(nn.Conv2d(4, 8, 3, padding=1, groups=2), nn.Tanh()),
    "dilation": lambda: _behind(nn.Conv2d(4, 5, 3, padding=2, dilation=(2, 1)), nn.Sigmoid()),
    "wide padding": lambda: _behind(nn.Conv2d(4, 5, 1, padding=2), nn.Conv2d(5, 4, 3, padding=3)),
    "transposed": lambda: _behind(nn.ConvTranspose2d(4, 3, 3, 2), nn.GELU(), nn.Conv2d(3, 2, 1)),
    "depthwise": lambda: _behind(
        nn.Conv2d(4, 4, 5, padding=2, groups=4), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
        nn.Conv2d(4, 7, 1), nn.BatchNorm2d(7), nn.ReLU6(inplace=True),
    ),
    "branches": lambda: _behind(Joined(), nn.ReLU(), Joined()),
    "same": lambda: _behind(Same(), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)),
    "decoder": lambda: _behind(Decoder((2, 2)), Decoder((2, 3)), nn.Conv2d(4, 3, 3, padding=1)),
    "pools": lambda: _behind(nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Conv2d(4, 4, 1), nn.Softplus()),
    "whole": lambda: _behind(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)),
}  # fmt: skip


def _recorded(net: nn.Module, size: int = 15) -> tuple[Tensor, Tensor, Segment]:
    x = torch.randn(2, 3, size, size)
    between = Segment(net, net[0], None if net[-1].__class__ is nn.Linear else net[-1], x)
    with torch.enable_grad():
        return *between.traced(("0", "the last")), between


def _one_by_one(leaf: Tensor, output: Tensor, rows: Tensor) -> Tensor:
    return torch.stack([torch.autograd.grad(output, leaf, r, retain_graph=True)[0] for r in rows])


@pytest.mark.parametrize("name", NETWORKS)
class TestEqualsTheEngine:
    def test_backwards(self, name: str) -> None:
        leaf, output, _ = _recorded(NETWORKS[name]())
        rows = torch.randn(3, *output.shape)
        found = Derivative(leaf, output).pull(rows)
        torch.testing.assert_close(found, _one_by_one(leaf, output, rows), rtol=1e-4, atol=1e-5)

    def test_backwards_from_single_positions(self, name: str) -> None:
        leaf, output, _ = _recorded(NETWORKS[name]())
        rows = torch.zeros(5, *output.shape)
        for row, place in enumerate([(0, 0), (-1, -1), (0, -1), (-1, 0)]):
            rows[(row, slice(None), slice(None), *place)[: rows.ndim]] = 1 + row
        found = Derivative(leaf, output).pull(rows)
        torch.testing.assert_close(found, _one_by_one(leaf, output, rows), rtol=1e-4, atol=1e-5)
        assert not found[4].any()

    def test_forwards_is_the_transpose(self, name: str) -> None:
        leaf, output, _ = _recorded(NETWORKS[name]())
        rows, seeds = torch.randn(3, *leaf.shape), torch.randn(3, *output.shape)
        pushed = Derivative(leaf, output).push(rows)
        gradients = _one_by_one(leaf, output, seeds)
        for i in range(3):
            for j in range(3):
                expected = (rows[i] * gradients[j]).sum()
                torch.testing.assert_close(
                    (pushed[i] * seeds[j]).sum(), expected, rtol=1e-4, atol=1e-3
                )


def test_windows_stay_small_and_come_back_whole() -> None:
    values = torch.zeros(3, 1, 2, 9, 9)
    values[0, :, :, 0, 0], values[1, :, :, 8, 8] = 1, torch.tensor([2.0, 3.0])
    values[2, :, :, 4:6, 8] = 4
    rows = cropped(values)
    assert rows.values.shape == (3, 1, 2, 2, 1)
    assert torch.equal(rows.whole(), values)
    factor = torch.rand(1, 2, 9, 9)
    assert torch.equal(rows.times(factor).whole(), values * factor)
    assert torch.equal(rows.plus(rows).whole(), 2 * values)
    assert torch.equal(rows.plus(Rows(values)).whole(), 2 * values)
    apart = cropped(values.flip(0))
    assert torch.equal(rows.plus(apart).whole(), values + values.flip(0))


def test_nothing_is_cropped_where_it_would_not_pay() -> None:
    assert cropped(torch.ones(2, 1, 3, 4, 4)).corner is None
    assert cropped(torch.ones(2, 5, 3)).corner is None


def test_windows_stay_small_through_a_decoder() -> None:
    leaf, output, _ = _recorded(NETWORKS["decoder"]())
    derivative, rows = Derivative(leaf, output), torch.zeros(1, *output.shape)
    rows[..., 30, 40] = 1
    assert not any(type(step).__name__ == "Recorded" for step in derivative._steps.values())
    assert derivative.pulled(cropped(rows)).values.shape[-2:] == (3, 3)


def test_mask_and_scale_become_one_factor() -> None:
    leaf, output, _ = _recorded(NETWORKS["depthwise"]())
    kinds = [type(step).__name__ for step in Derivative(leaf, output)._steps.values()]
    assert kinds == ["Scaled", "Convolution", "Scaled", "Convolution", "Scaled"]


def test_a_wrong_map_is_noticed_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    leaf, output, between = _recorded(NETWORKS["depthwise"]())
    seeds, rows = torch.randn(4, *output.shape), torch.randn(4, *leaf.shape)
    wanted = _one_by_one(leaf, output, seeds)
    pushed = Derivative(leaf, output).push(rows)
    monkeypatch.setattr(
        _steps.Convolution, "_back", lambda self, rows, padding, size: rows.new_ones(
            *rows.shape[:2], self.weight.shape[1] * self.groups, *size
        ),
    )  # fmt: skip
    derivative = linearised(leaf, output)
    assert derivative is not None
    assert not agree(leaf, output, derivative.pull(seeds), seeds, forwards=False)
    found = torch.cat(list(pulled_back(leaf, output, [seeds], 2)))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(_steps.Scaled, "push", lambda self, rows: rows[0] * 1.01)
    found = torch.cat(list(pushed_forward(between, leaf, output, iter(rows), 3)))
    torch.testing.assert_close(found, pushed, rtol=1e-4, atol=1e-4)


class Twice(torch.autograd.Function):
    """Only PyTorch's own engine can follow a function written in Python."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        return 2 * a

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 2 * grad


class Python(nn.Module):
    def forward(self, a: Tensor) -> Tensor:
        return Twice.apply(a)


class Split(nn.Module):
    """An operation with two answers."""

    def forward(self, a: Tensor) -> Tensor:
        first, second = a.chunk(2, 1)
        return torch.cat([second, first], 1)


@pytest.mark.parametrize("strange", [Python(), Split()])
def test_graphs_that_only_the_engine_can_follow(strange: nn.Module) -> None:
    net = _behind(strange, nn.Conv2d(4, 2, 3))
    leaf, output, _ = _recorded(net, 6)
    assert linearised(leaf, output) is None
    rows = torch.randn(2, *output.shape)
    found = torch.cat(list(pulled_back(leaf, output, [rows], 2)))
    torch.testing.assert_close(found, _one_by_one(leaf, output, rows))


def test_parameters_are_not_part_of_the_graph(convnet: nn.Module, x: Tensor) -> None:
    between = Segment(convnet, convnet.pool, None, x)
    with torch.enable_grad():
        leaf, output = between.traced(("pool", "the output"))
    gradients = torch.autograd.grad(output.sum(), [leaf, *convnet.parameters()], allow_unused=True)
    assert gradients[0] is not None
    assert all(gradient is None for gradient in gradients[1:])
    assert all(parameter.requires_grad for parameter in convnet.parameters())


def test_double_precision_stays_double(convnet: nn.Module, x: Tensor) -> None:
    convnet.double()
    found = attr.LayerToLayerAttribution(convnet, "pool").attribute(x.double())
    slow = attr.LayerToLayerAttribution(convnet, "pool").attribute(
        x.double(), method="LayerGradientXActivation"
    )
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, slow, rtol=1e-10, atol=1e-12)
