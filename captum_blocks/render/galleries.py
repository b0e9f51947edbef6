"""Photographs beside atoms as a page carries them: crops on one sheet, each whole once."""

from __future__ import annotations

from typing import Any

import numpy as np

from captum_blocks.render.pictures import crop_sheet, whole_uri
from captum_blocks.scene import Crop, Gallery, Scene


def pack_galleries(scene: Scene) -> dict[str, Any]:
    """The galleries of a scene; nothing where it has none.

    Returns:
        ``galleries`` by name, ``crops``, the sheets that their crops are cells of, and
        ``photographs``, an address by number.
    """
    if not scene.galleries:
        return {}
    numbers = {name: number for number, name in enumerate(scene.photographs)}
    cells: dict[tuple[str, tuple[float, ...]], int] = {}
    pictures: list[np.ndarray] = []
    for crop in (crop for gallery in scene.galleries.values() for crop in gallery.crops):
        if (key := (crop.photograph, crop.box)) not in cells:
            cells[key] = len(pictures)
            pictures.append(crop.pixels)
    return {
        "galleries": {
            name: _packed(gallery, numbers, cells) for name, gallery in scene.galleries.items()
        },
        "crops": crop_sheet(pictures),
        "photographs": [whole_uri(pixels) for pixels in scene.photographs.values()],
    }


def _packed(
    gallery: Gallery,
    numbers: dict[str, int],
    cells: dict[tuple[str, tuple[float, ...]], int],
) -> dict[str, Any]:
    def crop(made: Crop) -> list[Any]:
        box = [round(edge, 4) for edge in made.box]
        drawn = [] if made.kind == "Photograph" else [made.kind]
        return [cells[made.photograph, made.box], made.words, numbers[made.photograph], box, *drawn]

    return {
        "label": gallery.label,
        "about": gallery.about,
        "shown": gallery.shown,
        "bands": [[band.title, [crop(each) for each in band.crops]] for band in gallery.bands],
    }
