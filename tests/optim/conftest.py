"""Networks for feature visualization, small ones and the real one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from captum_blocks.optim import FeatureVisualizer
from captum_blocks.optim.objectives import Seen


class Stem(nn.Module):
    """Convolution, batch-norm, ReLU6; a linear head that takes 16 pixels and no others."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 6, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.ReLU6(inplace=True)
        self.second = nn.Conv2d(6, 5, 3, 2, 1)
        self.head = nn.Linear(5 * 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.act(self.norm(self.conv(x))))
        return self.head(x.flatten(1))


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """A network with the same weights every time, statistics of its batch-norms included."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = make()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.2, 0.2)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval()


@pytest.fixture
def stem() -> nn.Module:
    return seeded(Stem)


@pytest.fixture
def visualizer(stem: nn.Module) -> FeatureVisualizer:
    return FeatureVisualizer(stem, "second")


@pytest.fixture
def seen() -> Seen:
    """Two images of a layer with four channels on a map of three rows and five columns."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 4, 3, 5, generator=generator, dtype=torch.float64)
    pixels = torch.rand(2, 3, 7, 9, generator=generator, dtype=torch.float64)
    return Seen({"layer": maps, "other": maps.exp()}, pixels, "layer")
