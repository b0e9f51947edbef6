"""In which order groups are listed, and how large each is.

The published groups ascend by the W^2-weighted mean x position, and a group's magnitude is
``||W_i|| * ||H_i||`` ("The Building Blocks of Interpretability", Distill 2018, neuron groups).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from captum_blocks.reduce.algorithms import Factors
from captum_blocks.reduce.rows import Form


def mean_x(scores: Tensor, form: Form) -> Tensor:
    """Each group's W^2-weighted mean column on the map; infinite for a group that is nowhere."""
    width = form.shape[-1]
    columns = torch.arange(width, dtype=torch.float64, device=scores.device)
    weight = scores.double().square().reshape(-1, width, scores.shape[1]).sum(0)
    total = weight.sum(0)
    centre: Tensor = (columns[:, None] * weight).sum(0) / total
    return torch.where(total > 0, centre, torch.inf)


def magnitudes(factors: Factors) -> Tensor:
    """``||W_i|| * ||H_i||`` of every group."""
    return factors.scores.norm(dim=0) * factors.components.norm(dim=1)


def group_shares(table: Tensor, factors: Factors) -> tuple[Tensor, float]:
    """What share of the squared norm each group explains; they sum to the share of all.

    With ``P`` the reconstruction, ``||X||^2 - ||X - P||^2 = <2X - P, P>``, which is a sum over
    groups of ``<2X - P, w_i h_i>``. No product is larger than ``(position, group)``: the
    reconstruction is never built.

    Returns:
        ``(group,)`` shares, and the squared norm of the activations (about the offset) they are
        shares of.
    """
    scores, components = factors.scores, factors.components
    cross = (table @ components.T).double()
    power = float(_squared_norm(table))
    if factors.offset is not None:
        offset = factors.offset
        cross = cross - (components @ offset).double()
        power += float(len(table) * (offset @ offset) - 2 * (table.sum(0) @ offset))
    wide = scores.double()
    gram = components.double() @ components.double().T
    explained = (wide * (2 * cross - wide @ gram)).sum(0)
    return explained / max(power, torch.finfo(torch.float64).tiny), power


def arrange(factors: Factors, order: Tensor) -> Factors:
    """The same factorization with its groups in another order."""
    state = {k: v[order] if k in factors.per_group else v for k, v in factors.state.items()}
    scores = factors.scores[:, order]
    return replace(factors, components=factors.components[order], scores=scores, state=state)


def _squared_norm(table: Tensor) -> Tensor:
    flat = table.detach().reshape(-1)
    return torch.stack([part.double().square().sum() for part in flat.split(1 << 20)]).sum()
