"""What an attribution answers with."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class LayerResult:
    """The attribution of class scores to the neurons of a layer, detached.

    Attributes:
        maps: (image, class, channel, y, x).
        tokens: (image, class, token, channel): class and register tokens, possibly none.
        delta: (image, class), Captum's convergence delta, where the method has one.
        contributes: whether the numbers add up to a change of the score; weights do not.
        notes: what was repaired, defaulted or approximated, in words for the reader.
        activation: (image, channel, y, x), the layer's activation itself.

    >>> import torch
    >>> maps, none = torch.ones(1, 2, 8, 7, 7), torch.zeros(1, 2, 0, 8)
    >>> LayerResult(maps, none, None, True, (), maps[:, 0]).contributes
    True
    """

    maps: Tensor
    tokens: Tensor
    delta: Tensor | None
    contributes: bool
    notes: tuple[str, ...]
    activation: Tensor


@dataclass(frozen=True, eq=False)
class GroupResult:
    """The attribution of class scores to groups of a layer's channels, detached.

    Attributes:
        maps: (image, class, group, y, x).
        residual: (image, class, y, x): what the groups do not explain.
        tokens: (image, class, token): what class and register tokens hold, as a remainder.
        delta: (image, class), Captum's convergence delta, where the method has one.
        notes: what was repaired, defaulted or approximated, in words for the reader.

    >>> import torch
    >>> maps, residual = torch.ones(1, 1, 6, 7, 7), torch.zeros(1, 1, 7, 7)
    >>> GroupResult(maps, residual, torch.zeros(1, 1, 0), None, ()).total
    tensor([[294.]])
    """

    maps: Tensor
    residual: Tensor
    tokens: Tensor
    delta: Tensor | None
    notes: tuple[str, ...]

    @property
    def total(self) -> Tensor:
        """(image, class): groups, residual and tokens together."""
        parts = self.maps.sum((-3, -2, -1)) + self.residual.sum((-2, -1))
        return parts + self.tokens.sum(-1)
