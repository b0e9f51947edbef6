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


def layers(
    fields: Sequence[Field], bare: bool = False
) -> list[tuple[np.ndarray, tuple[float, float, float, float]]]:
    """One (y, x, rgba) picture for each grid, with its extent; fields of one grid are mixed."""
    grids: dict[tuple[object, ...], list[Field]] = {}
    for field in fields:
        grids.setdefault((field.values.shape, field.extent), []).append(field)
    return [(mix(group, bare), group[0].extent) for group in grids.values()]


def mix(fields: Sequence[Field], bare: bool = False) -> np.ndarray:
    """Fields of one grid as (y, x, rgba) in [0, 1]; the strongest gives most of the ink.

    Args:
        fields: of one shape and extent.
        bare: there is no photograph below that must stay readable.
    """
    weights = np.stack([weight(field) for field in fields])
    colours = np.stack([_colours(field, bare) for field in fields])
    shares = weights**3
    total = shares.sum(0)
    mixed = (shares[..., None] * colours).sum(0) / np.where(total > 0, total, 1)[..., None]
    opacity = (1.0 if bare else MOST_INK) * weights.max(0)
    return np.concatenate([mixed, opacity[..., None]], -1)


def weight(field: Field) -> np.ndarray:
    """How much of its colour each cell gets, in [0, 1]: nothing at zero."""
    low, high = field.domain
    # Where colours tell groups apart they tell no sign: what is below zero has none.
    grouped = field.hue is not None
    sizes = field.values if grouped else np.abs(field.values)
    reach = (max(high, 0.0) if grouped else max(abs(low), abs(high))) or 1.0
    start = max(low, 0.0)
    weights: np.ndarray = (sizes - start) / ((reach - start) or 1.0)
    clipped: np.ndarray = np.clip(weights, 0, 1)
    return clipped


def ground(pixels: np.ndarray) -> np.ndarray:
    """The photograph drained of colour and of some contrast, so that cells stand out on it."""
    grey = pixels @ np.array([0.3, 0.59, 0.11])
    levels: np.ndarray = (60 + 0.7 * grey).astype(np.uint8)
    return levels[..., None].repeat(3, -1)


def field_colour(field: Field, bare: bool = False) -> str:
    """The colour of a field's positive values: its group's, its sign's, or that of presence.

    On an empty sheet magnitudes have the one neutral colour, which on a photograph would be lost.
    """
    if field.hue is not None:
        return palette.group_colour(field.hue)
    if field.domain[0] < 0:
        return palette.SUPPORTS
    return palette.NEUTRAL if bare else palette.PRESENCE


def _colours(field: Field, bare: bool) -> np.ndarray:
    positive = np.array(palette.rgb(field_colour(field, bare))) / 255
    if field.hue is not None:
        return np.broadcast_to(positive, (*field.values.shape, 3))
    negative = np.array(palette.rgb(palette.OPPOSES)) / 255
    return np.where((field.values < 0)[..., None], negative, positive)
