"""From an attribution per channel to an attribution per group, with nothing lost."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument


def regroup(
    activation_maps: Tensor,
    attribution_maps: Tensor,
    weight_maps: Tensor | None,
    scores: Tensor,
    components: Tensor,
) -> tuple[Tensor, Tensor]:
    """Share an attribution out among groups; what they do not explain is the residual.

    Group k's part of the activation is ``p_k = scores_k * components_k``. A method of the form
    W * (a - a0) gives group k the sum over channels of W * p_k, as "The Building Blocks of
    Interpretability" (Distill 2018, "Making Things Human-Scale") does. For other contributions
    the group receives that share of each channel's attribution which its part has in the
    activation or in the reconstruction, whichever is larger, so that no share exceeds one.

    Args:
        activation_maps: (image, channel, y, x).
        attribution_maps: (image, class, channel, y, x), in units of the score.
        weight_maps: W, of the same shape, where the method has that form; None otherwise.
        scores: (image, group, y, x).
        components: (group, channel).

    Returns:
        The groups (image, class, group, y, x) and the residual (image, class, y, x). At every
        position they add up to the attribution summed over channels.

    Raises:
        InvalidArgument: the shapes do not fit each other.

    >>> a = torch.tensor([2.0, 4.0]).reshape(1, 2, 1, 1)
    >>> groups, rest = regroup(a, 3 * a[:, None], 3 + 0 * a[:, None], a[:, :1], torch.eye(2)[:1])
    >>> groups.item(), rest.item()
    (6.0, 12.0)
    """
    # Some methods answer a network of half precision in single precision.
    attribution_maps, weight_maps = _alike(activation_maps, attribution_maps, weight_maps)
    activation_maps = activation_maps.to(attribution_maps.dtype)
    components = components.to(activation_maps)
    scores = scores.to(activation_maps)
    _check_shapes(activation_maps, attribution_maps, weight_maps, scores, components)
    if weight_maps is None:
        weight_maps = attribution_maps * _inverse_scale(activation_maps, scores, components)
    per_group = torch.einsum("itcyx,kc->itkyx", weight_maps, components)
    groups = per_group * scores[:, None]
    return groups, attribution_maps.sum(2) - groups.sum(2)


def shares(strength: Tensor) -> Tensor:
    """(image, group, y, x) that sum to one over the positions, evenly where there is nothing.

    >>> shares(torch.tensor([[[[1.0, -3.0]], [[0.0, 0.0]]]])).flatten().tolist()
    [0.25, 0.75, 0.5, 0.5]
    """
    strength = strength.abs()
    total = strength.sum((-2, -1), keepdim=True)
    even = torch.full_like(strength, 1 / (strength.shape[-2] * strength.shape[-1]))
    return torch.where(total > 0, strength / total.clamp(min=1e-30), even)


def _alike(
    activation: Tensor, attribution: Tensor, weights: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Attribution and weights in the widest type of the three."""
    kind = torch.promote_types(activation.dtype, attribution.dtype)
    if weights is None:
        return attribution.to(kind), None
    kind = torch.promote_types(kind, weights.dtype)
    return attribution.to(kind), weights.to(kind)


def _inverse_scale(activation: Tensor, scores: Tensor, components: Tensor) -> Tensor:
    """What p_k is multiplied by to be a share, (image, 1, channel, y, x)."""
    parts = torch.einsum("ikyx,kc->icyx", scores, components)
    sizes = torch.einsum("ikyx,kc->icyx", scores.abs(), components.abs())
    scale = torch.maximum(activation.abs(), sizes)
    sign = torch.where(activation != 0, activation.sign(), parts.sign())
    return torch.where(scale > 0, sign / scale, torch.zeros_like(scale))[:, None]


def _check_shapes(
    activation: Tensor,
    attribution: Tensor,
    weights: Tensor | None,
    scores: Tensor,
    components: Tensor,
) -> None:
    images, channels, height, width = activation.shape
    expected = (images, channels, height, width)
    if attribution.ndim != 5 or (attribution.shape[0], *attribution.shape[2:]) != expected:
        raise InvalidArgument(
            f"an attribution of shape {tuple(attribution.shape)} does not belong to activations of "
            f"shape {expected}; expected (image, class, channel, y, x)"
        )
    if weights is not None and weights.shape != attribution.shape:
        raise InvalidArgument(
            f"weights of shape {tuple(weights.shape)} do not belong to an attribution of shape "
            f"{tuple(attribution.shape)}"
        )
    if components.ndim != 2 or components.shape[1] != channels:
        raise InvalidArgument(
            f"components of shape {tuple(components.shape)} were fitted on another width: "
            f"this layer has {channels} channels"
        )
    if tuple(scores.shape) != (images, components.shape[0], height, width):
        raise InvalidArgument(
            f"group scores of shape {tuple(scores.shape)}; expected "
            f"{(images, components.shape[0], height, width)} (image, group, y, x)"
        )
