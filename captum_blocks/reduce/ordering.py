"""In which order groups are listed, and how large each is.

The published groups ascend by the W^2-weighted mean x position, and a group's magnitude is
``||W_i|| * ||H_i||`` ("The Building Blocks of Interpretability", Distill 2018, neuron groups).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from captum_blocks.reduce.algorithms import Factors
from captum_blocks.reduce.rows import Form, squared_norm, wide

ORDERS = ("auto", "position", "share", "none")


@dataclass(frozen=True)
class Summary:
    """How much the groups of a fit explain.

    Attributes:
        magnitude: ``(group,)``, ``||W_i|| * ||H_i||``.
        share: ``(group,)`` shares of the squared norm.
        power: the squared norm they are shares of.
    """

    magnitude: Tensor
    share: Tensor
    power: float


def arrangement(order: str, form: Form, scores: Tensor, shares: Tensor) -> Tensor:
    """``(group,)``, the groups in one of ``ORDERS``; ``"auto"``: by position for one image.

    Args:
        order: the name.
        form: of the table that was factorized.
        scores: ``(position, group)``.
        shares: ``(group,)`` of the squared norm explained.
    """
    if order == "auto":
        order = "position" if form.is_one_image else "share"
    if order == "none":
        return torch.arange(len(shares), device=shares.device)
    key = mean_x(scores, form) if order == "position" else -shares
    return torch.argsort(key, stable=True)


def mean_x(scores: Tensor, form: Form) -> Tensor:
    """Each group's W^2-weighted mean column on the map; infinite for a group that is nowhere."""
    width = form.shape[-1]
    columns = torch.arange(width, dtype=wide(scores.device), device=scores.device)
    weight: Tensor = scores.to(columns).square().reshape(-1, width, scores.shape[1]).sum(0)
    total = weight.sum(0)
    centre = (columns[:, None] * weight).sum(0) / total
    return centre.masked_fill(total <= 0, torch.inf)


def magnitudes(factors: Factors) -> Tensor:
    """``||W_i|| * ||H_i||`` of every group."""
    sizes: Tensor = factors.scores.norm(dim=0) * factors.components.norm(dim=1)
    return sizes


def group_shares(table: Tensor, factors: Factors) -> tuple[Tensor, float]:
    """What share of the squared norm each group explains; they sum to the share of all.

    With ``P`` the reconstruction, ``||X||^2 - ||X - P||^2 = <2X - P, P>``, which is a sum over
    groups of ``<2X - P, w_i h_i>``. No product is larger than ``(position, group)``: the
    reconstruction is never built.

    Returns:
        ``(group,)`` shares, and the squared norm of the activations (about the offset) they are
        shares of.
    """
    scores, components, kind = factors.scores, factors.components, wide(table.device)
    cross = (table @ components.T).to(kind)
    power = squared_norm(table)
    if factors.offset is not None:
        offset = factors.offset
        cross = cross - (components @ offset).to(kind)
        power += float(len(table) * (offset @ offset) - 2 * (table.sum(0) @ offset))
    weights = scores.to(kind)
    wide_components = components.to(kind)
    gram = wide_components @ wide_components.T
    explained = (weights * (2 * cross - weights @ gram)).sum(0)
    return explained / max(power, torch.finfo(kind).tiny), power
