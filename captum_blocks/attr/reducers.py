"""What attribution needs of a reducer, and how it is asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.layouts import Layout


@runtime_checkable
class Reducer(Protocol):
    """Anything that was fitted to make groups out of a layer's channels."""

    components_: Any

    def transform(self, X: Any) -> Any:
        """A layer's output -> group scores, in the same layout."""


def fitted_components(reducer: Any) -> Tensor:
    """A reducer's components, (group, channel).

    Raises:
        InvalidArgument: the reducer is not fitted.

    >>> class Fitted:
    ...     components_ = torch.eye(2)
    >>> fitted_components(Fitted()).shape
    torch.Size([2, 2])
    """
    found = getattr(reducer, "components_", None)
    if found is None:
        raise InvalidArgument(
            f"the {type(reducer).__name__} given is not fitted (it has no components_); "
            "call fit on activations of this layer first"
        )
    # A copy: what was fitted under inference_mode cannot take part in a gradient.
    return torch.as_tensor(found).detach().clone()


@dataclass(frozen=True, eq=False)
class Pieces:
    """A layer's activation taken apart: groups, residual and tokens.

    Attributes:
        scores: (image, group, y, x).
        components: (group, channel).
        residual: (image, channel, y, x): activation - scores * components.
        tokens: (image, token, channel); tokens belong to no group.
        layout: of the layer.
        ndim: axes of the layer's output.
    """

    scores: Tensor
    components: Tensor
    residual: Tensor
    tokens: Tensor
    layout: Layout
    ndim: int

    def assembled(self, scores: Tensor, residual: Tensor, tokens: Tensor) -> Tensor:
        """The activation in the layer's own layout, out of (changed) pieces of any batch size."""
        maps = torch.einsum("ikyx,kc->icyx", scores, self.components) + residual
        return self.layout.from_maps(maps, tokens, self.ndim)


def check_width(components: Tensor, activation: Tensor, layout: Layout) -> None:
    """Whether the components were fitted on as many channels as the layer has.

    Raises:
        InvalidArgument: they were not.
    """
    width = activation.shape[layout.channel_axis]
    if components.ndim != 2 or components.shape[1] != width:
        raise InvalidArgument(
            f"components of shape {tuple(components.shape)} were fitted on another width: "
            f"this layer has {width} channels"
        )


def group_scores(reducer: Reducer, activation: Tensor, layout: Layout) -> Tensor:
    """What a reducer makes of a layer's activation, as (image, group, y, x).

    Args:
        reducer: fitted; the answer of a token layer may leave the prefix tokens out.
        activation: in the layer's own layout.
        layout: of the activation.

    Raises:
        InvalidArgument: the answer does not have the layer's layout.
    """
    with torch.no_grad():
        scores = torch.as_tensor(reducer.transform(activation)).to(activation)
    if layout.kind == "tokens" and scores.shape[1] == activation.shape[1] - layout.n_unplaced:
        layout = layout.without_tokens()
    return layout.to_maps(scores).detach()


def take_apart(reducer: Reducer, activation: Tensor, layout: Layout) -> Pieces:
    """A layer's activation as groups, residual and tokens; nothing is lost.

    Raises:
        InvalidArgument: the reducer is not fitted, or was fitted on another width.
    """
    components = fitted_components(reducer).to(activation)
    check_width(components, activation, layout)
    scores = group_scores(reducer, activation, layout)
    maps = layout.to_maps(activation)
    residual = maps - torch.einsum("ikyx,kc->icyx", scores, components)
    tokens = layout.tokens(activation)
    return Pieces(scores, components, residual, tokens, layout, activation.ndim)
