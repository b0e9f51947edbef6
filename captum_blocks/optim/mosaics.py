"""One picture per position of a layer, which share what neighbours have in common.

The article's activation grid (Olah et al., The Building Blocks of Interpretability, 2018): with a
spectrum for each neuron group in every picture's mixture, neighbours look like parts of one thing
and need far fewer steps than pictures that each start alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.optim._loop import Callback, Visualization
from captum_blocks.optim.checks import set_rows
from captum_blocks.optim.objectives import Objective, Stored, stored
from captum_blocks.optim.spectra import Shared
from captum_blocks.optim.transforms import GREY, Jitter, Pad, Rotate, Scale
from captum_blocks.optim.units import Directions
from captum_blocks.optim.visualizer import FeatureVisualizer

CROP = 2
CHUNK = 28
# A small picture has no room for the shifts that one of 224 pixels is made with.
GENTLE = (Pad(-CROP), Jitter(4), Scale(0.95, 1.05), Rotate(5))


@dataclass(frozen=True)
class Mosaic:
    """Pictures of all positions of a layer, each of its activation vector.

    A picture's spectrum is ``0.7 own + 0.5 sum_j weights[cell][j] shared_j``; it is made two pixels
    larger on all sides and cropped, since edges are where optimized pictures are worst. A cell
    without activation is grey.

    Attributes:
        vectors: activation vectors (cell, channel); the scale of each is left out.
        groups: how strongly each group is present in each cell, (cell, group), not negative, as
            ``ChannelReducer`` gives; rows are scaled to a sum of one. None: one group for all.
        size: side of the pictures in pixels.
        n_steps: of optimization.
        seed: of the noise and the transforms.
        channels: colour channels the network takes.

    Raises:
        InvalidArgument: not one row per cell, or negative groups.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    >>> mosaic = Mosaic(torch.rand(6, 4), groups=torch.rand(6, 2), size=16, n_steps=2)
    >>> mosaic.visualize(FeatureVisualizer(net, "1")).images.shape
    torch.Size([6, 3, 16, 16])
    """

    vectors: Stored
    groups: Stored | None = None
    size: int = 64
    n_steps: int = 32
    seed: int = 0
    channels: int = 3

    def __post_init__(self) -> None:
        set_rows(self, "vectors", "activation vectors, (cell, channel)")
        if self.groups is None:
            return
        set_rows(self, "groups", "weights of groups, (cell, group)")
        assert self.groups is not None
        if self.groups.shape[0] != self.vectors.shape[0]:
            raise InvalidArgument(
                f"Mosaic: groups of {self.groups.shape[0]} cells for vectors of "
                f"{self.vectors.shape[0]}; give one row per cell"
            )
        if (self.groups.like(torch.zeros(())) < 0).any():
            raise InvalidArgument("Mosaic: groups are negative; give weights of at least zero")

    def visualize(
        self,
        visualizer: FeatureVisualizer,
        *,
        callback: Callback | None = None,
        progress: bool = False,
    ) -> Visualization:
        """The pictures, (cell, channel, size, size), with scores and history of each cell.

        Args:
            visualizer: of the layer the vectors are from.
            callback: called as ``callback(step, scores)`` after each step.
            progress: show a progress bar.
        """
        vectors, alive = self._scaled()
        if not alive.any():
            raise InvalidArgument("Mosaic: all vectors are zero; there is nothing to show")
        chunks: list[Objective] = [Directions(stored(part)) for part in vectors[alive].split(CHUNK)]
        shown = visualizer.visualize(
            chunks, callback=callback, progress=progress, **self._recipe(alive)
        )
        return self._laid_out(shown, alive)

    def key(self, visualizer: FeatureVisualizer) -> str | None:
        """Canonical JSON of all that determines the pictures, as ``FeatureVisualizer.key``."""
        vectors, alive = self._scaled()
        return visualizer.key(Directions(stored(vectors)), **self._recipe(alive))

    def _scaled(self) -> tuple[Tensor, Tensor]:
        """Vectors (cell, channel) with a largest entry of one, and which are not zero.

        Rounded, so that another number of threads does not make another mosaic of them.
        """
        vectors = self.vectors.like(torch.zeros(()))
        largest = vectors.abs().amax(1, keepdim=True)
        scaled = torch.round(vectors / largest.clamp_min(1e-12), decimals=4)
        return scaled, largest[:, 0] > 0

    def _recipe(self, alive: Tensor) -> dict[str, Any]:
        mix = None
        if self.groups is not None:
            groups = self.groups.like(torch.zeros(()))[alive]
            shares = groups / groups.sum(1, keepdim=True).clamp_min(1e-12)
            mix = tuple(tuple(round(share, 4) for share in row) for row in shares.tolist())
        return {
            "size": self.size + 2 * CROP,
            "n_steps": self.n_steps,
            "seed": self.seed,
            "channels": self.channels,
            "parameterization": Shared(mix=mix),
            "transforms": GENTLE,
        }

    def _laid_out(self, shown: Visualization, alive: Tensor) -> Visualization:
        """Cells in their places, without their edges."""
        inner = slice(CROP, CROP + self.size)
        shape = (len(alive), self.channels, self.size, self.size)
        images = shown.images.new_full(shape, GREY)
        images[alive] = shown.images[:, :, inner, inner]
        history = shown.history.new_zeros(len(shown.history), len(alive))
        history[:, alive] = shown.history
        scores = shown.scores.new_zeros(len(alive))
        scores[alive] = shown.scores
        labels = [f"cell {cell}" for cell in range(len(alive))]
        return replace(
            shown, images=images, history=history, scores=scores, labels=labels, importance=None
        )
