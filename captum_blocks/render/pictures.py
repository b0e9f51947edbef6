"""Photographs, icons and fields in the compact form that a page carries."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping
from io import BytesIO
from math import ceil, sqrt
from typing import Any

import numpy as np
from PIL import Image

from captum_blocks.scene import Field, Sprite

PHOTO_SIDE, LEAST_SIDE = 760, 320
PHOTO_QUALITY, ICON_QUALITY, CROP_QUALITY = 86, 84, 74
# How long WebP looks for a smaller file, 0 to 6: crops are many, and stand in the way of numbers.
CAREFUL, QUICK = 4, 2
GUTTER = 8
MOST_LEVELS = 65535


def photo_uri(pixels: np.ndarray, side: int = PHOTO_SIDE) -> str:
    """A photograph as a ``data:`` address, shrunk where its longer side exceeds ``side`` pixels.

    One of a few pixels is shown with large ones, so that places on it can be pointed at.
    """
    image = Image.fromarray(pixels)
    times = ceil(LEAST_SIDE / max(image.size))
    if times > 1:
        image = image.resize((times * image.width, times * image.height), Image.Resampling.NEAREST)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _data_uri(image, PHOTO_QUALITY)


def sheets(sprites: Mapping[str, Sprite]) -> tuple[list[dict[str, Any]], dict[str, list[int]]]:
    """Icons of equal size laid out on one picture each; those that are not drawn are on none.

    Returns:
        The sheets (address, side of a cell, columns, rows, gutter) and, for each name, the number
        of its sheet and of its cell.
    """
    by_shape: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, sprite in sprites.items():
        if sprite.drawn:
            by_shape[sprite.pixels.shape].append(name)
    made, places = [], {}
    for number, names in enumerate(by_shape.values()):
        made.append(_sheet([sprites[name].pixels for name in names]))
        places.update({name: [number, cell] for cell, name in enumerate(names)})
    return made, places


def sprite_bytes(sprite: Sprite) -> bytes:
    """One icon as a picture of its own."""
    return _encoded(Image.fromarray(sprite.pixels), ICON_QUALITY)


def crop_sheet(pictures: list[np.ndarray]) -> dict[str, Any]:
    """Crops of one size as one sheet, as ``sheets`` lays icons out."""
    return _sheet(pictures, CROP_QUALITY, QUICK)


def whole_uri(pixels: np.ndarray) -> str:
    """A small photograph as a ``data:`` address."""
    return _data_uri(Image.fromarray(pixels), CROP_QUALITY, QUICK)


def pack_field(field: Field) -> dict[str, Any]:
    """A field with its values as 16-bit levels between its own lowest and highest value."""
    values = field.values.astype(float)
    low, high = float(values.min()), float(values.max())
    span = (high - low) or 1.0
    levels = np.round((values - low) / span * MOST_LEVELS).astype("<u2")
    return {
        "label": field.label,
        "unit": field.unit,
        "hue": field.hue,
        "domain": [float(edge) for edge in field.domain],
        "extent": [float(edge) for edge in field.extent],
        "rows": values.shape[0],
        "columns": values.shape[1],
        "low": low,
        "step": span / MOST_LEVELS,
        "levels": b64encode(levels.tobytes()).decode("ascii"),
    }


def _sheet(
    pictures: list[np.ndarray], quality: int = ICON_QUALITY, effort: int = CAREFUL
) -> dict[str, Any]:
    height, width = pictures[0].shape[:2]
    columns = ceil(sqrt(len(pictures)))
    rows = ceil(len(pictures) / columns)
    # A gutter of repeated edges keeps neighbours from bleeding in when the browser scales.
    edges = ((GUTTER, GUTTER), (GUTTER, GUTTER), (0, 0))
    cells = [np.pad(picture, edges, mode="edge") for picture in pictures]
    cells += [np.zeros_like(cells[0])] * (columns * rows - len(cells))
    lines = [np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)]
    image = Image.fromarray(np.concatenate(lines, 0))
    return {
        "src": _data_uri(image, quality, effort),
        "width": width,
        "height": height,
        "columns": columns,
        "rows": rows,
        "gutter": GUTTER,
    }


def _data_uri(image: Image.Image, quality: int, effort: int = CAREFUL) -> str:
    encoded = _encoded(image, quality, effort)
    return "data:image/webp;base64," + b64encode(encoded).decode("ascii")


def _encoded(image: Image.Image, quality: int, effort: int = CAREFUL) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=effort)
    return buffer.getvalue()
