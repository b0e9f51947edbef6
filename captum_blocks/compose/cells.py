"""The mark "cells": a layer's positions as a mosaic of icons (the article's activation grid)."""

from __future__ import annotations

from torch import Tensor

from captum_blocks.compose.build import WANTED, Drawing, mark
from captum_blocks.compose.icons import IconRequest, Wanted, direction_of
from captum_blocks.compose.pools import Pools, only_image, place_name
from captum_blocks.compose.states import Frames
from captum_blocks.compose.values import Value
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import FeatureVis, Hidden
from captum_blocks.optim import Direction
from captum_blocks.scene import Cell, Cells, Mark, Panel


def cell_key(value: Value, y: int, x: int) -> str:
    """The identity of a position on the page."""
    return f"{place_name(value.source)}/spatial/{y},{x}"


def _wanted(frames: Frames, wanted: Wanted, pools: Pools) -> None:
    """One icon a position: the direction of its activation vector."""
    value = frames.values[0]
    if not isinstance(value.source.layer, Hidden):
        raise InvalidArgument(f"{value.source!r}: only positions of hidden layers have icons")
    layer = value.source.layer.layer
    vectors = only_image(pools.context.maps(layer))
    for (y, x), size in _sizes(value).items():
        if size > 0:
            direction = Direction(direction_of(vectors[:, y, x]))
            label = f"{layer} at row {y + 1}, column {x + 1}"
            wanted.add(IconRequest(cell_key(value, y, x), layer, direction, label), size)


WANTED["cells"] = _wanted


@mark("cells")
def _cells(drawing: Drawing) -> Panel:
    value, element = drawing.base, drawing.element
    scaled = isinstance(element, FeatureVis) and element.scale_by == "magnitude"
    sizes = _sizes(value)
    largest = max(sizes.values()) or 1.0
    rows, columns = value.data.shape[-2:]
    cells = tuple(
        Cell(_mark(drawing, y, x, size), size / largest if scaled else 1.0)
        for (y, x), size in sizes.items()
    )
    return Cells(
        title=element.title or repr(value.source),
        caption=element.caption,
        unit=value.unit,
        sets=drawing.sets,
        highlights=drawing.highlights,
        left_out=_left_out(drawing),
        grid=(rows, columns),
        extent=drawing.pools.extent,
        frames=(cells,),
    )


def _mark(drawing: Drawing, y: int, x: int, size: float) -> Mark:
    key = cell_key(drawing.base, y, x)
    sprite = drawing.pools.sprite(key)
    detail = f"row {y + 1}, column {x + 1}: {drawing.base.unit} {size:.3g}"
    return Mark(key, f"row {y + 1}, column {x + 1}", (size,), sprite=sprite, detail=detail)


def _left_out(drawing: Drawing) -> str:
    if drawing.coverage > 0.9995:
        return ""
    return f"pictures were drawn for the positions that hold {drawing.coverage:.0%} of the activity"


def _sizes(value: Value) -> dict[tuple[int, int], float]:
    """The number of each position of the one photograph, row by row."""
    grid: Tensor = only_image(value.data)
    return {(y, x): float(grid[y, x]) for y in range(grid.shape[0]) for x in range(grid.shape[1])}
