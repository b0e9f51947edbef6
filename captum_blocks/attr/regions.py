"""Regions of a picture: of what fires somewhere, of places, of masks; and pictures blurred."""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor
from torch.nn import functional

from captum_blocks.errors import InvalidArgument

HALF = 0.5
# Shares of the shorter side of the picture.
BLUR, EDGE = 0.1, 0.02
# Of a cell: the soft edge of a place must not reach its middle.
EDGE_OF_A_CELL = 0.125
# Places as high as the lowest one but for rounding belong to a region, too.
_ROUNDING = 1e-6


def strongest_half(maps: Tensor, size: tuple[int, int], share: float = HALF) -> Tensor:
    """The smallest sets of places that hold half of what fires in all.

    A map is brought to the size of the picture (bilinear, corners not aligned) and what is negative
    in it counts as zero. Places are taken from the highest down until they hold the share of the
    sum; those as high as the last one taken belong to the set, too, so that equals are treated
    alike: a map that is the same everywhere has the whole picture as its region, and one that fires
    nowhere has none.

    Args:
        maps: (..., y, x), how much fires where.
        size: (rows, columns) of the picture.
        share: of the sum that the places hold.

    Returns:
        (..., rows, columns), ones in the region and zeros elsewhere.

    Raises:
        InvalidArgument: a share that is none.

    >>> strongest_half(torch.tensor([[0.0, 1.0, 5.0, 3.0]]), (1, 4)).tolist()
    [[0.0, 0.0, 1.0, 0.0]]
    """
    if not 0 < share <= 1:
        raise InvalidArgument(f"share={share!r}: a region holds a share between 0 and 1")
    rows = maps.clamp(min=0).float().reshape(-1, 1, *maps.shape[-2:])
    fires = functional.interpolate(rows, size, mode="bilinear", align_corners=False).flatten(1)
    high = fires.sort(dim=1, descending=True).values
    held = high.double().cumsum(1)
    last = (held < share * (1 - _ROUNDING) * held[:, -1:]).sum(1, keepdim=True)
    level = high.gather(1, last) - _ROUNDING * high[:, :1]
    inside = (fires >= level) & (fires > 0)
    return inside.to(maps.dtype).reshape(*maps.shape[:-2], *size)


def cells(grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The cells of a grid laid over a picture: each pixel is in the one its middle lies in.

    Args:
        grid: (rows, columns) of cells.
        size: (rows, columns) of the picture.

    Returns:
        (cell, rows, columns), counted row by row: ones in the cell and zeros elsewhere.

    >>> cells((1, 2), (1, 4)).tolist()
    [[[1.0, 1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0, 1.0]]]
    """
    down, across = (
        ((torch.arange(side) + 0.5) * count / side).long()
        for count, side in zip(grid, size, strict=True)
    )
    cell = down[:, None] * grid[1] + across
    counted = torch.arange(grid[0] * grid[1])[:, None, None]
    return (cell == counted).float()


def regions_of_maps(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Regions of what fires where, with a soft edge: 2 % of the shorter side, as a Gaussian's σ.

    Args:
        maps: (..., y, x); see ``strongest_half``.
        size: (rows, columns) of the picture.

    Returns:
        (..., rows, columns), from 0 to 1.

    >>> regions_of_maps(torch.ones(2, 3, 3), (8, 8)).mean((1, 2)).tolist()
    [1.0, 1.0]
    """
    return blurred(strongest_half(maps, size), EDGE * min(size)).clamp(0, 1)


def regions_of_places(grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Each place of a grid as the part of the picture in its cell, with a soft edge.

    Together they are the whole picture. The edge is a Gaussian's σ: 2 % of the picture's shorter
    side, at most an eighth of a cell's.

    Args:
        grid: (rows, columns) of places.
        size: (rows, columns) of the picture.

    Returns:
        (cell, rows, columns), from 0 to 1, counted row by row.

    >>> regions_of_places((2, 2), (8, 8)).sum(0).mean().item()
    1.0
    """
    side = min(size[0] / grid[0], size[1] / grid[1])
    return blurred(cells(grid, size), min(EDGE * min(size), EDGE_OF_A_CELL * side)).clamp(0, 1)


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    """Pictures or masks under a Gaussian, reflected at the edges.

    Torchvision's ``gaussian_blur``, along the rows and then along the columns, which is the same
    and takes a fraction of the time; cut off at three σ, or where the picture ends.

    Args:
        pictures: (..., y, x).
        sigma: in pixels; zero leaves them as they are.

    >>> blurred(torch.ones(1, 4, 4), 1.0).unique().round(decimals=5).tolist()
    [1.0]
    """
    if sigma <= 0:
        return pictures
    # Imported here: it takes a second, and other attributions do without it.
    from torchvision.transforms.functional import gaussian_blur

    found = pictures.float().reshape(1, -1, *pictures.shape[-2:])
    for axis in (-1, -2):
        reach = min(ceil(3 * sigma), pictures.shape[axis] - 1)
        kernel = [2 * reach + 1, 1] if axis == -1 else [1, 2 * reach + 1]
        found = gaussian_blur(found, kernel, [sigma, sigma])
    return found.reshape(pictures.shape).to(pictures.dtype)
