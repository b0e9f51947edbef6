"""One pass over a batch: what all layers say of each picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_blocks._gradients import without_gradients
from captum_blocks.behaviour import observed
from captum_blocks.errors import InvalidArgument, UnusableLayer
from captum_blocks.examples.reading import Box
from captum_blocks.examples.roundings import half_above, half_below, in_eight_bits
from captum_blocks.hooks import capture, count_calls, find_layer, run_until, running
from captum_blocks.layouts import Layout
from captum_blocks.network import Network

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class LayerPlan:
    """A layer that is looked at.

    Attributes:
        name: dotted name.
        layout: where its output keeps channels and places.
        channels: how many.
        grid: (rows, columns) of places.
        kept: whether activations of all places are kept, in 8 bits.
        calls: how often it runs in one pass; its last output is what is looked at.
    """

    name: str
    layout: Layout
    channels: int
    grid: tuple[int, int]
    kept: bool = False
    calls: int = 1

    @property
    def places(self) -> int:
        """How many places."""
        return self.grid[0] * self.grid[1]

    @property
    def bytes_an_image(self) -> int:
        """What keeping its activations takes."""
        return self.places * (self.channels + 2)


@dataclass(frozen=True)
class LayerNumbers:
    """What a layer says of pictures; the first axis of everything counts pictures.

    Attributes:
        maximum, minimum: (picture, channel) float32, over places.
        at: (picture, channel) the place of the maximum, row by row; the first of equals.
        sums: (picture, 4, channel): mean, and sums of powers of what is away from it.
        vector: (picture, channel) float32: all channels at one place.
        levels, left: the activations in 8 bits; see ``Eighths``. Empty where not kept.
    """

    maximum: Array
    minimum: Array
    at: Array
    sums: Array
    vector: Array
    levels: Array
    left: Array

    def rows(self, chosen: Array) -> LayerNumbers:
        """Of some pictures."""
        return LayerNumbers(*(getattr(self, each.name)[chosen] for each in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[LayerNumbers]) -> LayerNumbers:
        """One after another."""
        if len(parts) == 1:
            return parts[0]
        names = [each.name for each in fields(cls)]
        return cls(*(np.concatenate([getattr(part, n) for part in parts]) for n in names))


def planned(net: Network, x: Tensor, layers: Sequence[str]) -> list[LayerPlan]:
    """What the layers are, from one picture.

    Raises:
        LayerNotFound: there is no such layer.
        UnusableLayer: it never runs, or its numbers have no places.
    """
    modules = {name: find_layer(net.module, name)[1] for name in layers}
    with (
        without_gradients(),
        running(net.module),
        count_calls(modules) as calls,
        capture(modules) as outputs,
    ):
        net.module(x)
    plans = []
    for name in layers:
        if name not in outputs:
            raise UnusableLayer(f"the network ran to its end without calling layer {name!r}")
        layout = net.layout_of(name, outputs[name], tuple(x.shape[1:]))
        _, channels, rows, columns = layout.to_maps(outputs[name]).shape
        plans.append(LayerPlan(name, layout, channels, (rows, columns), calls=calls[name]))
    return plans


def look(
    net: Network, x: Tensor, plans: Sequence[LayerPlan], places: Array
) -> dict[str, LayerNumbers]:
    """What layers say of pictures, in one pass as far as the deepest of them.

    Args:
        net: the network; rows that would change each other are run one by one.
        x: (picture, channel, y, x).
        plans: the layers, by their full names.
        places: (picture, 2) float: where in the network's input the vectors are from, in [0, 1].
    """
    modules = {plan.name: find_layer(net.module, plan.name)[1] for plan in plans}
    calls = {plan.name: plan.calls for plan in plans}
    parts: dict[str, list[LayerNumbers]] = {plan.name: [] for plan in plans}
    apart = len(x) > 1 and observed(net.module, x).apart
    start = 0
    with without_gradients(), running(net.module):
        for rows in x.split(1 if apart else len(x)):
            at = places[start : start + len(rows)]
            start += len(rows)
            outputs = run_until(net.module, modules, rows, calls=calls)
            for plan in plans:
                parts[plan.name].append(numbers_of(outputs.pop(plan.name), plan, at))
    return {name: LayerNumbers.joined(found) for name, found in parts.items()}


def numbers_of(output: Tensor, plan: LayerPlan, places: Array) -> LayerNumbers:
    """What one layer says, from what it returned.

    Raises:
        InvalidArgument: the output is not of the size that was planned.
    """
    maps = plan.layout.to_maps(output.detach())
    if tuple(maps.shape[1:]) != (plan.channels, *plan.grid):
        raise InvalidArgument(
            f"layer {plan.name!r} returns maps of {tuple(maps.shape[1:])}, and did of "
            f"{(plan.channels, *plan.grid)} before"
        )
    flat = maps.flatten(2).float().cpu()
    high, at = flat.max(2)
    low = flat.amin(2)
    maximum, minimum = high.numpy(), low.numpy()
    levels, left = np.zeros((len(flat), 0), np.uint8), np.zeros((len(flat), 0), np.float16)
    if plan.kept:
        made = in_eight_bits(flat, half_below(minimum), half_above(maximum))
        levels, left = made.levels, made.left
    vector = flat[torch.arange(len(flat)), :, torch.from_numpy(cells(places, plan.grid))]
    return LayerNumbers(maximum, minimum, at.numpy(), _sums(flat), vector.numpy(), levels, left)


def _sums(flat: Tensor) -> Array:
    mean = flat.mean(2)
    away = flat - mean[:, :, None]
    squares = away * away
    second, third = squares.sum(2), away.mul_(squares).sum(2)
    fourth = squares.square_().sum(2)
    return torch.stack([mean, second, third, fourth], 1).numpy()


def cells(places: Array, grid: tuple[int, int]) -> Array:
    """The cell of a grid, row by row, in which each place (down, across) in [0, 1) lies.

    >>> cells(np.array([[0.5, 0.99], [0.0, 0.0]]), (2, 3)).tolist()
    [5, 0]
    """
    size = np.array(grid)
    cell = np.clip((places * size).astype(np.int64), 0, size - 1)
    return np.asarray(cell[:, 0] * grid[1] + cell[:, 1])


def places_of(images: Sequence[int], boxes: Sequence[Box], margin: float, seed: int) -> Array:
    """One place for each picture, away from the padding, whatever else is in its batch.

    Args:
        images: numbers of the pictures: each has its own generator.
        boxes: the parts of the network's input that show the photographs.
        margin: what is left out along each side, as a share of the input.
        seed: of the draw.

    Returns:
        (picture, 2): down and across, in [0, 1] of the network's input.
    """
    made = np.empty((len(images), 2))
    for row, (image, box) in enumerate(zip(images, boxes, strict=True)):
        drawn = np.random.default_rng((seed, image)).random(2)
        for side in (0, 1):
            low, high = max(margin, box[side]), min(1 - margin, box[side + 2])
            if high <= low:  # narrower than what is left out: its middle
                low = high = (box[side] + box[side + 2]) / 2
            made[row, side] = low + drawn[side] * (high - low)
    return made


def margin_of(plans: Sequence[LayerPlan]) -> float:
    """What the coarsest grid that has an inside leaves out along each side: its outer cells.

    >>> margin_of([LayerPlan("a", Layout(), 8, (7, 7)), LayerPlan("b", Layout(), 8, (1, 1))])
    0.14285714285714285
    """
    sides = [side for plan in plans for side in plan.grid if side >= 3]
    return 1 / min(sides) if sides else 0.0


def finite_rows(found: Mapping[str, LayerNumbers]) -> tuple[Array, str]:
    """Which pictures have plain numbers in all layers, and the first layer where one has not."""
    fine, where = np.array(True), ""
    for name, numbers in found.items():
        rows = np.isfinite(numbers.sums[:, 0]).all(1) & np.isfinite(numbers.maximum).all(1)
        rows &= np.isfinite(numbers.minimum).all(1)
        where = where or ("" if rows.all() else name)
        fine = fine & rows
    return fine, where
