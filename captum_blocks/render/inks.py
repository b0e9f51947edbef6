"""Fields as coloured, partly transparent cells, for renderers that draw pixels themselves.

The page's script does the same in ``static/draw.js``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from captum_blocks.render import palette
from captum_blocks.scene import Field

# The most opaque a cell gets, so that the photograph stays readable below it.
MOST_INK = 0.88


def layers(fields: Sequence[Field]) -> list[tuple[np.ndarray, tuple[float, float, float, float]]]:
    """One (y, x, rgba) picture for each grid, with its extent; fields of one grid are mixed."""
    grids: dict[tuple[object, ...], list[Field]] = {}
    for field in fields:
        grids.setdefault((field.values.shape, field.extent), []).append(field)
    return [(mix(group), group[0].extent) for group in grids.values()]


def mix(fields: Sequence[Field]) -> np.ndarray:
    """Fields of one grid as (y, x, rgba) in [0, 1]; the strongest gives most of the ink."""
    weights = np.stack([weight(field) for field in fields])
    colours = np.stack([_colours(field) for field in fields])
    shares = weights**3
    total = shares.sum(0)
    mixed = (shares[..., None] * colours).sum(0) / np.where(total > 0, total, 1)[..., None]
    opacity = MOST_INK * weights.max(0)
    return np.concatenate([mixed, opacity[..., None]], -1)


def weight(field: Field) -> np.ndarray:
    """How much of its colour each cell gets, in [0, 1]: nothing at zero."""
    low, high = field.domain
    reach, start = max(abs(low), abs(high)) or 1.0, max(low, 0.0)
    weights: np.ndarray = (np.abs(field.values) - start) / ((reach - start) or 1.0)
    clipped: np.ndarray = np.clip(weights, 0, 1)
    return clipped


def ground(pixels: np.ndarray) -> np.ndarray:
    """The photograph drained of colour and of some contrast, so that cells stand out on it."""
    grey = pixels @ np.array([0.3, 0.59, 0.11])
    levels: np.ndarray = (60 + 0.7 * grey).astype(np.uint8)
    return levels[..., None].repeat(3, -1)


def field_colour(field: Field) -> str:
    """The colour of a field's positive values: its group's, its sign's, or that of presence."""
    if field.hue is not None:
        return palette.group_colour(field.hue)
    return palette.SUPPORTS if field.domain[0] < 0 else palette.PRESENCE


def _colours(field: Field) -> np.ndarray:
    positive = np.array(palette.rgb(field_colour(field))) / 255
    if field.hue is not None:
        return np.broadcast_to(positive, (*field.values.shape, 3))
    negative = np.array(palette.rgb(palette.OPPOSES)) / 255
    return np.where((field.values < 0)[..., None], negative, positive)


def blank(rows: int, columns: int) -> np.ndarray:
    """White paper for fields that have no photograph."""
    return np.full((rows, columns, 3), 255, np.uint8)
