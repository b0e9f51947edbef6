"""Which of the images on the way is handed back: the last, the best, or where it had settled."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_GAIN = 1e-3


class Keeper:
    """Watches the scores of a run, each image for itself.

    Args:
        n: how many images there are.
        best: hand back each image as it scored best.
        patience: an image has settled when the mean score of so many steps is not larger than that
            of as many before; None: never.

    >>> keeper = Keeper(1, best=True, patience=None)
    >>> for score in (1.0, 3.0, 2.0):
    ...     keeper.see(torch.tensor([score]), torch.full((1, 1, 1, 1), score))
    >>> keeper.choose(torch.zeros(1, 1, 1, 1)).item()
    3.0
    """

    def __init__(self, n: int, best: bool, patience: int | None) -> None:
        self._best_wanted, self._patience = best, patience
        self._best = torch.full((n,), -torch.inf)
        self._settled = torch.zeros(n, dtype=torch.bool)
        self._chosen = torch.zeros(n, dtype=torch.bool)
        self._kept: Tensor | None = None
        self._window: list[Tensor] = []

    @property
    def all_settled(self) -> bool:
        """Whether no image improves any more."""
        return bool(self._settled.all())

    def see(self, scores: Tensor, pixels: Tensor) -> None:
        """Take note of a step: scores (n,) on the CPU, and the pixels that had them."""
        if not self._best_wanted and self._patience is None:
            return
        better = (scores > self._best) & ~self._settled
        self._best = torch.where(better, scores, self._best)
        newly = self._newly_settled(scores)
        if self._best_wanted:
            self._keep(better, pixels)
        else:
            self._keep(newly, pixels)
        self._settled |= newly

    def choose(self, pixels: Tensor) -> Tensor:
        """The images to hand back, given the last ones."""
        if self._kept is None:
            return pixels
        chosen = self._chosen.to(pixels.device)[:, None, None, None]
        return torch.where(chosen, self._kept, pixels)

    def _keep(self, which: Tensor, pixels: Tensor) -> None:
        if which.any():
            kept = pixels if self._kept is None else self._kept
            here = which.to(pixels.device)[:, None, None, None]
            self._kept = torch.where(here, pixels, kept)
            self._chosen |= which

    def _newly_settled(self, scores: Tensor) -> Tensor:
        if self._patience is None:
            return torch.zeros_like(self._settled)
        self._window = [*self._window, scores][-2 * self._patience :]
        if len(self._window) < 2 * self._patience:
            return torch.zeros_like(self._settled)
        before, after = torch.stack(self._window).chunk(2)
        gain = after.mean(0) - before.mean(0)
        return (gain <= LEAST_GAIN * before.mean(0).abs()) & ~self._settled
