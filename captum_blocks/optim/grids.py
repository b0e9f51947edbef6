"""Images held in space: pixels, a pyramid of them, or a small network of the coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from captum_blocks.errors import InvalidArgument
from captum_blocks.optim.images import Canvas, Paint, Parameterization, normal
from captum_blocks.optim.spectra import refuse_photo


@dataclass(frozen=True)
class Pixel(Parameterization):
    """Each pixel for itself: the baseline that shows why the others exist.

    Attributes:
        deviation: standard deviation of the first planes.

    >>> Pixel().start(Canvas(4, 6, channels=1), [torch.Generator()]).pixels().shape
    torch.Size([1, 1, 4, 6])
    """

    deviation: float = 0.01
    learning_rate: ClassVar[float] = 0.05

    def sketch(
        self, canvas: Canvas, generators: Sequence[torch.Generator], planes: Tensor | None
    ) -> tuple[list[Tensor], Paint]:
        """The planes themselves."""
        if planes is None:
            shape = (canvas.planes, canvas.height, canvas.width)
            planes = (normal(shape, generators) * self.deviation).to(canvas.device)
        pixels = planes.clone().requires_grad_()
        return [pixels], lambda: pixels


@dataclass(frozen=True)
class LaplacianPyramid(Parameterization):
    """The sum of grids of falling resolution, each enlarged to the canvas.

    Attributes:
        levels: how many grids; each has half the side of the one before.
        deviation: standard deviation of the first numbers.

    >>> image = LaplacianPyramid(levels=3).start(Canvas(9, 12), [torch.Generator()])
    >>> [tuple(level.shape[2:]) for level in image.parameters]
    [(3, 3), (5, 6), (9, 12)]
    """

    levels: int = 4
    deviation: float = 0.01
    learning_rate: ClassVar[float] = 0.05

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise InvalidArgument(f"LaplacianPyramid: {self.levels} levels; give at least 1")

    def sketch(
        self, canvas: Canvas, generators: Sequence[torch.Generator], planes: Tensor | None
    ) -> tuple[list[Tensor], Paint]:
        """One tensor per level, the coarsest first."""
        size = (canvas.height, canvas.width)
        sizes = [
            (-(-canvas.height // 2**level), -(-canvas.width // 2**level))
            for level in reversed(range(self.levels))
        ]
        if planes is None:
            grids = [normal((canvas.planes, *s), generators) * self.deviation for s in sizes]
        else:
            grids = _decompose(planes, sizes)
        grids = [grid.to(canvas.device).requires_grad_() for grid in grids]
        return grids, lambda: torch.stack([_resize(grid, size) for grid in grids]).sum(0)


@dataclass(frozen=True)
class Cppn(Parameterization):
    """A small network from coordinates to colours, whose weights are optimized.

    Smooth at any size (Mordvintsev et al., Differentiable Image Parameterizations, 2018).

    Attributes:
        width: units per layer.
        depth: hidden layers.

    >>> image = Cppn(width=8, depth=2).start(Canvas(8, 8), [torch.Generator()])
    >>> len(image.parameters)
    3
    """

    width: int = 24
    depth: int = 8
    learning_rate: ClassVar[float] = 0.005

    def sketch(
        self, canvas: Canvas, generators: Sequence[torch.Generator], planes: Tensor | None
    ) -> tuple[list[Tensor], Paint]:
        """One weight tensor (n, in + 1, out) per layer, its last row the bias.

        Raises:
            InvalidArgument: a photograph was given.
        """
        refuse_photo(self, planes)
        # Each activation yields two numbers per unit.
        inputs = [3, *[2 * self.width] * self.depth]
        outputs = [*[self.width] * self.depth, canvas.planes]
        weights = [
            self._weight(i, o, generators).to(canvas.device)
            for i, o in zip(inputs, outputs, strict=True)
        ]
        weights[-1] = weights[-1] * 0.1
        weights = [weight.requires_grad_() for weight in weights]
        places = _places(canvas)

        def paint() -> Tensor:
            flow = places.expand(len(generators), -1, -1)
            for layer, weight in enumerate(weights):
                flow = torch.baddbmm(weight[:, -1:], flow, weight[:, :-1])
                flow = _waves(flow) if layer < self.depth else flow
            made: Tensor = flow.transpose(1, 2).unflatten(2, (canvas.height, canvas.width))
            return made

        return weights, paint

    def _weight(self, inputs: int, outputs: int, generators: Sequence[torch.Generator]) -> Tensor:
        weight = normal((inputs + 1, outputs), generators) / inputs**0.5
        weight[:, -1] = 0
        made: Tensor = weight
        return made


def _waves(flow: Tensor) -> Tensor:
    """Two activations per unit, both of about unit variance: arctan and its centred square."""
    bent = flow.atan()
    return torch.cat([bent / 0.67, (bent.square() - 0.45) / 0.4], -1)


def _places(canvas: Canvas) -> Tensor:
    """(y * x, 3): coordinates with a standard deviation of about 1, and their radius."""
    rows = torch.linspace(-1.7, 1.7, canvas.height)
    columns = torch.linspace(-1.7, 1.7, canvas.width)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([y, x, (y * y + x * x).sqrt() - 1.3], -1).flatten(0, 1).to(canvas.device)


def _resize(planes: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(planes.shape[2:]) == size:
        return planes
    return F.interpolate(planes, size, mode="bilinear", align_corners=False)


def _decompose(planes: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """What each level adds; together they are the planes, since the last level has their size."""
    size = (planes.shape[2], planes.shape[3])
    done = torch.zeros_like(planes)
    grids = []
    for smaller in sizes:
        grid = F.adaptive_avg_pool2d(planes - done, smaller).contiguous()
        done = done + _resize(grid, size)
        grids.append(grid)
    return grids
