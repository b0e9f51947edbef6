"""Pictures of any size and number of channels, and where channels are found in what they make."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from captum_blocks.optim import Channel, FeatureVisualizer, Neuron
from tests.optim.conftest import Stem, seeded


@pytest.mark.parametrize("size", [(12, 20), (17, 9)])
@pytest.mark.parametrize("channels", [1, 4])
def test_sizes_and_channels(size, channels):
    net = seeded(lambda: Stem(channels))
    made = FeatureVisualizer(net, "act").visualize(
        [Channel(0), Channel(1)], size=size, n_steps=2, channels=channels
    )
    assert made.images.shape == (2, channels, *size)
    with torch.no_grad():
        maps = net.act(net.norm(net.conv(made.images)))
    expected = torch.stack([maps[0, 0].mean(), maps[1, 1].mean()])
    torch.testing.assert_close(made.scores, expected, atol=1e-5, rtol=1e-4)


class Behind(nn.Module):
    """Channels behind the positions, as many as a picture of 12 x 20 has rows here."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, 2, 1), nn.LayerNorm(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x).permute(0, 2, 3, 1))


class Patches(nn.Module):
    """A class token and 4 x 6 patches: as many tokens as a square of five."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 4, 4)
        self.last = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).flatten(2).transpose(1, 2)
        return self.last(torch.cat([100 * x.new_ones(len(x), 1, 5), x], 1))


def enlarged(pixels: Tensor) -> Tensor:
    return nn.functional.interpolate(pixels, size=(16, 24))


@pytest.mark.parametrize(
    ("make", "layer", "size", "preprocess"),
    [
        (Behind, "norm", (12, 20), None),
        (Patches, "last", (16, 24), None),
        (Patches, "last", (9, 9), enlarged),
    ],
)
def test_layouts_are_found_from_the_size_the_network_is_given(make, layer, size, preprocess):
    net = seeded(make)
    visualizer = FeatureVisualizer(net, layer, preprocess)
    made = visualizer.visualize([Channel(1), Neuron(2, 1, 3)], size=size, n_steps=2)
    with torch.no_grad():
        maps = net.conv(made.images if preprocess is None else preprocess(made.images))
        if make is Behind:
            maps = net.norm(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    expected = torch.stack([maps[0, 1].mean(), maps[1, 2, 1, 3]])
    torch.testing.assert_close(made.scores, expected, atol=1e-5, rtol=1e-4)
