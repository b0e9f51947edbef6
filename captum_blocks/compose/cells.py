"""The mark "cells": a layer's positions as a mosaic of icons (the article's activation grid)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from captum_blocks.compose.build import MARKS, Drawing, wants
from captum_blocks.compose.maps import Map, maps_on_one_ground
from captum_blocks.compose.pools import Pools, image_of, only_image, place_name
from captum_blocks.compose.states import Frames
from captum_blocks.compose.values import Value
from captum_blocks.compose.wanted import MosaicRequest, Wanted, place_request
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Element, FeatureVis, Hidden, InfoVis
from captum_blocks.scene import Cell, Cells, Mark, Panel

SHARED_GROUPS = 6


def cell_key(value: Value, y: int, x: int, element: Element, pools: Pools) -> str:
    """The identity of a position's picture on the page."""
    layer, shared = place_name(value.source), " shared" if _is_shared(element) else ""
    return f"{layer}/spatial{shared}{pools.of_photo(image_of(value))}/{y},{x}"


def _is_shared(element: Element) -> bool:
    return isinstance(element, FeatureVis) and element.recipe == "shared"


@wants("cells")
def _wanted(element: Element, frames: Frames, wanted: Wanted, pools: Pools) -> None:
    """One picture a position: the direction of its activation vector."""
    for frame, value in enumerate(frames.values):
        if not isinstance(value.source.layer, Hidden):
            raise InvalidArgument(f"{value.source!r}: only positions of hidden layers have icons")
        if image_of(value) is None:
            raise InvalidArgument(f"{value!r}: positions of several photographs have no one icon")
        if _is_shared(element):
            _want_mosaic(element, value, wanted, pools)
        else:
            _want_icons(element, value, wanted, pools, at_once=frame == frames.default)


def _vectors(value: Value, pools: Pools) -> Tensor:
    """The activation vector of each position, (channel, y, x)."""
    maps = pools.context.maps(value.source.layer.layer)  # type: ignore[union-attr]
    return maps[image_of(value)]


def _want_icons(
    element: Element, value: Value, wanted: Wanted, pools: Pools, at_once: bool
) -> None:
    layer, vectors = place_name(value.source), _vectors(value, pools)
    for (y, x), size in _sizes(value).items():
        if size > 0:
            key = cell_key(value, y, x, element, pools)
            wanted.add(place_request(key, layer, vectors[:, y, x]), size, at_once)


def _want_mosaic(element: Element, value: Value, wanted: Wanted, pools: Pools) -> None:
    assert isinstance(value.source.layer, Hidden)
    layer, vectors = value.source.layer, _vectors(value, pools)
    if value.data.shape[-2:] != vectors.shape[-2:]:
        raise InvalidArgument(
            f"recipe='shared' draws all positions of {value.source!r} together, and a filter left "
            "some out: leave out the filter, or the recipe"
        )
    rows = vectors.flatten(1).T
    awake = rows.norm(dim=1) > 0  # where nothing fires there is nothing to draw
    keys = [cell_key(value, y, x, element, pools) for y, x in _sizes(value)]
    keys = [key for key, fires in zip(keys, awake.tolist(), strict=True) if fires]
    if not keys:
        return
    groups = layer.groups(min(SHARED_GROUPS, int(torch.linalg.matrix_rank(rows))))
    scores = pools.context.scores(groups)[image_of(value)].clamp_min(0).flatten(1).T
    wanted.mosaics[keys[0]] = MosaicRequest(tuple(keys), layer.layer, rows[awake], scores[awake])


def _cells(drawing: Drawing) -> Panel:
    values, element = drawing.frames.values, drawing.element
    scaled = isinstance(element, FeatureVis) and element.scale_by == "magnitude"
    tints = _tints(drawing)
    largest = max(max(_sizes(value).values()) for value in values) or 1.0
    rows, columns = drawing.base.data.shape[-2:]
    frames = tuple(
        tuple(
            Cell(_mark(drawing, value, y, x, size), size / largest if scaled else 1.0)
            for (y, x), size in _sizes(value).items()
        )
        for value in values
    )
    return Cells(
        **drawing.words(),
        left_out=_left_out(drawing),
        grid=(rows, columns),
        extent=drawing.pools.extent,
        frames=frames,
        tints=tuple(tuple(each.field for each in over) for over in tints) if any(tints) else (),
    )


# Not a mark of InfoVis: pictures of positions are what FeatureVis draws.
MARKS["cells"] = _cells


def _tints(drawing: Drawing) -> list[tuple[Map, ...]]:
    """The maps of ``colour_by`` in each frame."""
    frames, colours, element = drawing.frames, drawing.colours, drawing.element
    if colours is None or not isinstance(element, FeatureVis) or element.colour_by is None:
        return [()] * len(frames.values)
    both = [[each.selection for each in one.followed] for one in (frames, colours)]
    if both[1] not in ([], both[0]):
        raise InvalidArgument(
            f"{element!r}: its colours follow {both[1]}, and its pictures {both[0] or 'nothing'}; "
            "show maps that the reader changes with InfoVis(..., 'overlay')"
        )
    painted = colours.values if both[1] else colours.values * len(frames.values)
    for picture, colour in zip(frames.values, painted, strict=True):
        if image_of(picture) != image_of(colour):
            raise InvalidArgument(
                f"{element!r}: its colours are not of the photograph that its pictures are of; "
                "leave out image= and aggregate in both, or name the same photograph"
            )
    shown = InfoVis(element.colour_by, "overlay", title=element.title)
    maps = maps_on_one_ground(replace(drawing, element=shown, frames=colours))
    return maps if both[1] else maps * len(frames.values)


def _mark(drawing: Drawing, value: Value, y: int, x: int, size: float) -> Mark:
    key = cell_key(value, y, x, drawing.element, drawing.pools)
    sprite = drawing.pools.sprite(key)
    detail = f"row {y + 1}, column {x + 1}: {value.unit} {size:.3g}"
    return Mark(key, f"row {y + 1}, column {x + 1}", (size,), sprite=sprite, detail=detail)


def _left_out(drawing: Drawing) -> str:
    if drawing.coverage > 0.9995:
        return ""
    return f"pictures were drawn for the positions that hold {drawing.coverage:.0%} of the activity"


def _sizes(value: Value) -> dict[tuple[int, int], float]:
    """The number of each position of the one photograph, row by row."""
    grid: Tensor = only_image(value.data)
    return {(y, x): float(grid[y, x]) for y in range(grid.shape[0]) for x in range(grid.shape[1])}
