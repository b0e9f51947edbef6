"""Networks with a detector of magenta patches planted, and photographs with such a patch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

Box = tuple[int, int, int, int]
MAGENTA = (255, 0, 255)
# Magenta is the patch's, and hardly anything else's in a photograph.
WEIGHTS, BIAS = (0.5, -1.0, 0.5), -0.5


class Magenta(nn.Module):
    """How much magenta is about each place: (image, 3 + 1, y, x), the last channel the detector.

    Args:
        stride: pixels between places.
        field: pixels a place looks at, down and across.
    """

    def __init__(self, stride: int = 8, field: int = 24) -> None:
        super().__init__()
        self.colour = nn.Conv2d(3, 4, 1)
        with torch.no_grad():
            self.colour.weight[3] = torch.tensor(WEIGHTS)[:, None, None]
            self.colour.bias[3] = BIAS
        self.norm = nn.BatchNorm2d(4)
        self.pool = nn.AvgPool2d(field, stride, (field - stride) // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.norm(self.colour(x).relu()))


class Local(nn.Module):
    """A convolutional network, NCHW."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Magenta()
        self.out = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.seen(x)).mean((2, 3))


class Saturated(Local):
    """One whose detector has no gradient where it has seen enough: nine tenths of its field."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Magenta(stride=2)
        self.out = nn.Hardtanh(0, 0.45)


class Gated(Local):
    """Squeeze and excitation: each place is scaled by a number made from the whole picture."""

    def __init__(self) -> None:
        super().__init__()
        self.out = Gate()


class Gate(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps.relu() * torch.sigmoid(20 * maps.mean((2, 3), keepdim=True))


class Last(nn.Module):
    """Channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Magenta(stride=4)
        self.out = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.seen(x).permute(0, 2, 3, 1)).mean((1, 2))


class Tokens(nn.Module):
    """Patches and a class token; attending, every place gets what all the others have."""

    def __init__(self, attending: bool = False) -> None:
        super().__init__()
        self.seen = Magenta(8, 8) if attending else Magenta()
        self.attending = attending
        self.out = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.seen(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([torch.zeros_like(tokens[:, :1]), tokens], 1)
        if self.attending:
            weight = tokens[..., 3].softmax(1)
            tokens = tokens + 20 * (weight[:, :, None] * tokens).sum(1, keepdim=True)
        return self.out(tokens).mean(1)


class Negative(nn.Module):
    """Magenta makes its last channel low."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Magenta()
        self.out = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.out(-self.seen(x)).mean((2, 3))


class Full(Tokens):
    """Attending, and without gradient: nine tenths of a patch are enough, wherever it is."""

    def __init__(self) -> None:
        super().__init__(attending=True)
        self.out = nn.Hardtanh(0, 0.8)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "NCHW": Local,
    "saturated": Saturated,
    "gated": Gated,
    "NHWC": Last,
    "tokens": Tokens,
    "attending": lambda: Tokens(attending=True),
    "attending, saturated": Full,
    "negative": Negative,
}


def made(kind: str) -> nn.Module:
    """One of the networks, with the same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return NETWORKS[kind]().eval()


def planted(
    photograph: np.ndarray, rng: np.random.Generator, inside: Box, side: int
) -> tuple[np.ndarray, Box]:
    """A photograph with a magenta square, and where that is."""
    top = int(rng.integers(inside[0], inside[2] - side + 1))
    left = int(rng.integers(inside[1], inside[3] - side + 1))
    box = (top, left, top + side, left + side)
    made = photograph.copy()
    made[box[0] : box[2], box[1] : box[3]] = MAGENTA
    return made, box


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, counted pixel by pixel."""
    pixels = [
        {(y, x) for y in range(box[0], box[2]) for x in range(box[1], box[3])}
        for box in (one, other)
    ]
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])
