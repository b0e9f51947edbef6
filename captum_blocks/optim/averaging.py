"""The mean of a picture's last steps: calmer than any one of them, and better liked by its unit."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_blocks.optim.images import Image

# The larger, the fewer of the last steps count.
RECENCY = 4


class Average:
    """The mean of an image's parameters over its steps, later ones counting more.

    Every step sees the picture through other transforms, so the parameters tremble around what they
    are climbing to. Step t enters with weight (p + 1) / (t + p), p = ``RECENCY``: about the last
    fifth of the way counts, however long it is (polynomial-decay averaging; Shamir & Zhang,
    Stochastic Gradient Descent for Non-smooth Optimization, ICML 2013, section 4).

    Args:
        image: whose parameters an optimizer moves.

    >>> position = torch.zeros(1)
    >>> mean = Average(Image([position], lambda: position + 0))
    >>> for place in (1.0, 2.0):
    ...     _ = position.fill_(place)
    ...     mean.see()
    >>> round(float(mean.pixels()), 2), float(position)
    (1.83, 2.0)
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self._means = [parameter.detach().clone() for parameter in image.parameters]
        self._steps = 0

    def see(self) -> None:
        """Take note of where a step has led."""
        self._steps += 1
        weight = (RECENCY + 1) / (self._steps + RECENCY)
        for mean, parameter in zip(self._means, self._image.parameters, strict=True):
            mean.lerp_(parameter.detach(), weight)

    @torch.no_grad()
    def pixels(self) -> Tensor:
        """The picture that the mean parameters make; the parameters stay where they are."""
        parameters = self._image.parameters
        moving = [parameter.clone() for parameter in parameters]
        try:
            _put(parameters, self._means)
            return self._image.pixels().clone()
        finally:
            _put(parameters, moving)


def _put(parameters: list[Tensor], values: list[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)
