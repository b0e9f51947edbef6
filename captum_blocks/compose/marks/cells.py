"""What ``FeatureVis`` draws of positions: a mosaic of pictures (the article's activation grid)."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from torch import Tensor

from captum_blocks import scene
from captum_blocks.compose.evaluation.facts import place_name
from captum_blocks.compose.evaluation.frames import thinned
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.marks.base import Mark, mark
from captum_blocks.compose.marks.maps import Map, maps_on_one_ground
from captum_blocks.compose.marks.view import View, image_of, only_image
from captum_blocks.compose.pictures.requests import Subject
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import FeatureVis, Hidden, InfoVis

Sizes = dict[tuple[int, int], float]


@mark("cells", word=False)
class Cells(Mark):
    """A picture a position; its area may follow its number, maps may lie over it."""

    painted: ClassVar[bool] = True

    def pictures(self, view: View) -> list[Subject]:
        """The direction of each position's activation vector."""
        found = []
        for frame, value in enumerate(view.frames.values):
            _check_positions(value)
            for subject in _subjects(value, view):
                found.append(replace(subject, at_once=frame == view.frames.default))
        return found

    def panel(self, view: View) -> scene.Panel:
        """The grid of a layer."""
        values, element = view.frames.values, view.element
        scaled = isinstance(element, FeatureVis) and element.scale_by == "magnitude"
        tints = _tints(view)
        largest = max(max(_sizes(value).values()) for value in values) or 1.0
        rows, columns = map(len, thinned(*view.base.data.shape[-2:]))
        frames = tuple(
            tuple(
                scene.Cell(_mark(view, value, place, size), size / largest if scaled else 1.0)
                for place, size in _sizes(value).items()
            )
            for value in values
        )
        return scene.Cells(
            **view.words(),
            left_out=_left_out(view),
            grid=(rows, columns),
            extent=view.facts.extent,
            frames=frames,
            tints=tuple(tuple(each.field for each in over) for over in tints) if any(tints) else (),
        )


def _check_positions(value: Value) -> None:
    if not isinstance(value.source.layer, Hidden):
        raise InvalidArgument(f"{value.source!r}: only positions of hidden layers have icons")
    if image_of(value) is None:
        raise InvalidArgument(f"{value!r}: positions of several photographs have no one icon")


def _key(value: Value, place: tuple[int, int], view: View) -> str:
    """The identity of a position's picture on the page."""
    positions, (y, x) = view.by_recipe(f"{place_name(value.source)}/spatial"), place
    return f"{positions}{view.facts.of_photo(image_of(value))}/{y},{x}"


def _subjects(value: Value, view: View) -> list[Subject]:
    """The positions that fire; those drawn together know what they share."""
    layer, image = place_name(value.source), image_of(value)
    assert image is not None
    vectors = view.facts.maps[layer][image]
    together = view.recipe == "shared"
    shares = view.facts.shared.get((layer, image)) if together else None
    if together and value.data.shape[-2:] != vectors.shape[-2:]:
        raise InvalidArgument(
            f"recipe='shared' draws all positions of {value.source!r} together, and a filter left "
            "some out: leave out the filter, or the recipe"
        )
    found = []
    for (y, x), size in _sizes(value).items():
        # Where nothing fires there is nothing to draw.
        if bool(vectors[:, y, x].any()):
            found.append(
                Subject(
                    _key(value, (y, x), view),
                    f"{layer} at row {y + 1}, column {x + 1}",
                    layer,
                    "spatial",
                    y * vectors.shape[-1] + x,
                    direction=vectors[:, y, x],
                    shares=None if shares is None else shares[:, y, x],
                    image=image,
                    weight=size,
                )
            )
    return found


def _tints(view: View) -> list[tuple[Map, ...]]:
    """The maps of ``colour_by`` in each frame."""
    frames, colours, element = view.frames, view.colours, view.element
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
    maps = maps_on_one_ground(replace(view, element=shown, frames=colours))
    return maps if both[1] else maps * len(frames.values)


def _mark(view: View, value: Value, place: tuple[int, int], size: float) -> scene.Mark:
    key, (y, x) = _key(value, place, view), place
    detail = f"row {y + 1}, column {x + 1}: {value.unit} {size:.3g}"
    label = f"row {y + 1}, column {x + 1}"
    return scene.Mark(key, label, (size,), sprite=view.sprite(key), detail=detail)


def _left_out(view: View) -> str:
    parts, drawn = [], len(_sizes(view.base))
    if drawn < (places := only_image(view.base.data).numel()):
        parts.append(f"showing {drawn:,} of {places:,} positions")
    if view.coverage <= 0.9995:
        share = f"{view.coverage:.0%}"
        parts.append(f"pictures were drawn for the positions that hold {share} of the activity")
    return "; ".join(parts)


def _sizes(value: Value) -> Sizes:
    """The number of each position of the one photograph that is drawn, row by row."""
    grid: Tensor = only_image(value.data)
    rows, columns = thinned(*grid.shape)
    return {(y, x): float(grid[y, x]) for y in rows for x in columns}
