"""Small networks with the traps of large ones, and a reducer that needs no engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional


class Directions:
    """A reducer: a fixed non-negative dictionary, scores by projection."""

    def __init__(self, components: Tensor, channel_axis: int = 1) -> None:
        self.components_ = components
        self.channel_axis = channel_axis

    def transform(self, acts: Tensor) -> Tensor:
        rows = acts.movedim(self.channel_axis, -1)
        scores = (rows @ torch.linalg.pinv(self.components_)).clamp(min=0)
        return scores.movedim(-1, self.channel_axis)


class ConvNet(nn.Module):
    """In-place ReLUs right behind the convolutions, and max-pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(3, 5, 3), nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.conv2, self.relu2 = nn.Conv2d(5, 6, 2), nn.ReLU(inplace=True)
        self.drop, self.head = nn.Dropout(0.5), nn.Linear(6 * 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu1(self.conv1(x)))
        x = self.relu2(self.conv2(x))
        return self.head(self.drop(x.flatten(1)))


class Residual(nn.Module):
    """One ReLU used twice, a sum in place, batch norm, a tuple on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.relu = nn.Conv2d(3, 6, 3, 2), nn.ReLU()
        self.conv, self.bn = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.pair, self.head = Pair(), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        out = self.bn(self.conv(x))
        out += x
        return self.head(self.pair(self.relu(out))[0].mean((2, 3)))


class Pair(nn.Module):
    """A layer that returns more than a tensor."""

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x * 1.5, None


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.mix = nn.LayerNorm(6), nn.Linear(6, 18), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        x = x + (q @ k.transpose(1, 2)).softmax(-1) @ v
        return x + functional.gelu(self.mix(x))


class Vit(nn.Module):
    """Nine patches and a class token, which alone is read at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 6, 3, 3)
        self.cls = nn.Parameter(torch.randn(1, 1, 6))
        self.block1, self.block2, self.head = Block(), Block(), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(len(tokens), -1, -1), tokens], 1)
        return self.head(self.block2(self.block1(tokens))[:, 0])


class ChannelsLast(nn.Module):
    """NHWC inside, as in Swin."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mix, self.head = nn.Conv2d(3, 5, 3, 2), nn.Linear(5, 7), nn.Linear(7, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).permute(0, 2, 3, 1)
        return self.head(torch.relu(self.mix(x)).mean((1, 2)))


class Branches(nn.Module):
    """Two branches through one ReLU, or through two that do the same."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 6, 3), nn.Conv2d(3, 6, 3)
        self.relu, self.head = nn.ReLU(), nn.Linear(6, 4)
        self.second = None if shared else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.relu(self.left(x)), (self.second or self.relu)(self.right(x))
        return self.head(torch.tanh(left * right + right).mean((2, 3)))


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def convnet() -> nn.Module:
    return ConvNet().eval()


@pytest.fixture
def residual_net() -> nn.Module:
    net = Residual()
    net.bn.running_mean.uniform_(-0.1, 0.1)
    net.bn.running_var.uniform_(0.5, 2)
    return net.eval()


@pytest.fixture
def branches() -> tuple[nn.Module, nn.Module]:
    """The network with a ReLU that runs twice, and its twin with one for each branch."""
    shared, apart = Branches(shared=True).eval(), Branches(shared=False).eval()
    apart.load_state_dict(shared.state_dict())
    return shared, apart


@pytest.fixture
def vit() -> nn.Module:
    return Vit().eval()


@pytest.fixture
def channels_last() -> nn.Module:
    return ChannelsLast().eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 8, 8)


@pytest.fixture
def x9() -> Tensor:
    return torch.randn(2, 3, 9, 9)


@pytest.fixture
def three_groups() -> Directions:
    """Three groups on a layer of six channels."""
    return Directions(torch.rand(3, 6))


@pytest.fixture
def snapshot() -> object:
    """What a module is, to compare it with what it was."""

    def taken(model: nn.Module) -> list[object]:
        hooks = [
            len(getattr(part, name))
            for part in model.modules()
            for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
        ]
        state = [value.clone() for value in model.state_dict().values()]
        flags = [(part.training, sorted(vars(part))) for part in model.modules()]
        trainable = [(p.requires_grad, p.grad is None) for p in model.parameters()]
        return [hooks, flags, trainable, [value.tolist() for value in state]]

    return taken
