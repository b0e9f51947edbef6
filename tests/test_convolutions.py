"""A convolution that pads its own input and its padded kernel are the same numbers."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn

from captum_blocks.attr import LayerAblation
from captum_blocks.attr.tail import fast_copy
from captum_blocks.convolutions import _Padding, paddings


@pytest.mark.parametrize("kernel", [3, 4, 5, (3, 5)])
@pytest.mark.parametrize("stride", [2, 3, (1, 2)])
@pytest.mark.parametrize("side", [12, 13, 18])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_every_size(kernel: object, stride: object, side: int, form: torch.memory_format) -> None:
    torch.manual_seed(0)
    conv = Conv2dSame(4, 4, kernel, stride=stride, groups=2).to(memory_format=form)
    (edit,) = paddings(nn.Sequential(conv), [])
    padded = edit.replacements["0"]
    x = torch.randn(2, 4, side, side).to(memory_format=form)
    torch.testing.assert_close(padded(x), conv(x))


class Scaled(nn.Conv2d):
    """Of a kind of its own, and does something else."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def test_what_is_left_alone() -> None:
    hooked, kept = Conv2dSame(2, 2, 3, stride=2), Conv2dSame(2, 2, 3, stride=2)
    hooked.register_forward_hook(lambda *_: None)
    others = [nn.Conv2d(2, 2, 3), Scaled(2, 2, 3), Conv2dSame(2, 2, 3, dilation=2)]
    small = Conv2dSame(2, 2, 1, stride=2)
    assert paddings(nn.Sequential(hooked, kept, *others, small), [kept]) == []


def test_removals_of_a_network_from_tensorflow_are_its_own() -> None:
    torch.manual_seed(0)
    net = timm.create_model("tf_efficientnet_lite0", num_classes=10).eval()
    copy = fast_copy(net, net.blocks[3][0].bn1)
    assert copy is not None
    assert sum(isinstance(part, _Padding) for part in copy[0].modules()) >= 2
    assert not any(isinstance(part, _Padding) for part in net.modules())
    x = torch.randn(1, 3, 64, 64)
    own, without = LayerAblation(net, net.blocks[3][0].bn1).without(x)

    def silent(_: nn.Module, __: object, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, 7] = 0
        return output

    with torch.no_grad():
        torch.testing.assert_close(own, net(x), rtol=1e-4, atol=1e-5)
        handle = net.blocks[3][0].bn1.register_forward_hook(silent)
        expected = net(x)
        handle.remove()
    torch.testing.assert_close(without[0, 0, 7], expected[0], rtol=1e-4, atol=1e-5)
