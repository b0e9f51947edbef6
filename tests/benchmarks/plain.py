"""What really happens when groups are taken away or regions blurred: plain hooks, plain passes.

Nothing of the package is used but the fitted groups: which channels they are, and where they fire.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional

from captum_blocks import ChannelReducer
from tests.reference.removals import answered, kept

AT_ONCE = 16
Sets = Sequence[Sequence[int]]


def after_removals(
    module: nn.Module, layer: nn.Module, x: Tensor, groups: ChannelReducer, sets: Sets
) -> Tensor:
    """(set, class): the logits with the parts of all groups of a set taken from the layer.

    A hook hands on the changed copies of the layer of one photograph.
    """
    held = kept(module, layer, x)
    where = torch.as_tensor(groups.transform(held))[0]
    parts = torch.einsum("kyx,kc->kcyx", where, torch.as_tensor(groups.components_))
    rows = torch.cat([held - parts[list(gone)].sum(0) for gone in sets])
    return answered(module, layer, x, lambda _: rows)


def after_edits(
    module: nn.Module, layer: nn.Module, x: Tensor, groups: ChannelReducer, sets: Sets
) -> Tensor:
    """(set, class): the logits with the regions of all groups of a set blurred in the photograph.

    A Gaussian of a tenth of the photograph's side, cut off at three deviations.
    """
    where = torch.as_tensor(groups.transform(kept(module, layer, x)))[0]
    side = (x.shape[2], x.shape[3])
    regions = torch.stack([region(one, side) for one in where])
    blurred = torch.stack([gaussian(channel, 0.1 * min(side)) for channel in x[0]])
    masks = torch.stack([regions[list(gone)].amax(0) for gone in sets])[:, None]
    with torch.no_grad():
        found = [module(x * (1 - some) + blurred * some) for some in masks.split(AT_ONCE)]
    return torch.cat(found)


def region(where: Tensor, side: tuple[int, int]) -> Tensor:
    """(row, column), from 0 to 1: the places that hold half of what fires, with a soft edge.

    >>> region(torch.eye(2), (8, 8)).sum() < 40
    tensor(True)
    """
    rows = where.clamp(min=0)[None, None]
    fires = functional.interpolate(rows, side, mode="bilinear", align_corners=False)[0, 0]
    order = np.argsort(-fires.numpy().ravel(), kind="stable")
    held = np.cumsum(fires.double().numpy().ravel()[order])
    inside = np.zeros(len(order), np.float32)
    if held[-1] > 0:
        inside[order[: 1 + int(np.searchsorted(held, held[-1] / 2))]] = 1
    return gaussian(torch.from_numpy(inside.reshape(side)), 0.02 * min(side)).clamp(0, 1)


def gaussian(picture: Tensor, sigma: float) -> Tensor:
    """(row, column) blurred, the picture mirrored at its edges; by SciPy."""
    reach = [min(ceil(3 * sigma), length - 1) for length in picture.shape]
    return torch.from_numpy(
        gaussian_filter(picture.numpy(), sigma, mode="mirror", radius=tuple(reach))
    )
