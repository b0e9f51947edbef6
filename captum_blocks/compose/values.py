"""Numbers with their names: what every content evaluates to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument, MissingDependency, UnknownName
from captum_blocks.grammar import Content, Out, Substrate

SOURCE_AXES: Mapping[str, tuple[str, ...]] = {
    "neuron": ("channel", "y", "x"),
    "spatial": ("y", "x"),
    "channel": ("channel",),
    "group": ("group",),
    "whole": (),
    "token": ("token",),
    "class": ("class",),
}


@dataclass(frozen=True, eq=False)
class Value:
    """One number per atom, with axes ``(image, *target, *source)``.

    Attributes:
        data: the numbers, detached, on the CPU.
        axes: a name for each axis of ``data``.
        coords: what stands at each place of an axis: indices of channels, groups, rows, classes.
        unit: of the numbers.
        source: the atoms.
        target: what an attribution goes to; None for an activation. Its axes are "class", or
            those of its atoms with "to_" before them: "to_y", "to_x", "to_channel", "to_group".
        maps: the same numbers before they were summed or averaged over positions, axes
            ``(image, *target, atom, y, x)``; None where there are no positions.
        remainder: by name, what no atom of ``data`` holds, axes ``(image, *target)``.
        remainder_maps: by name, the same before summing, axes ``(image, *target, y, x)``.
        labels: names for the places of an axis, where its coordinates do not name them.
        counts: how many atoms a filtered axis had.
        places: where a position was picked: its "y" and "x".
        notes: what was repaired, defaulted or approximated.

    ``data`` summed over the source axes plus all remainders is ``total``.

    >>> from captum_blocks.grammar import Hidden
    >>> Value(torch.ones(1, 4), ("image", "channel"), spans(image=1, channel=4), "activation",
    ...       Hidden("layer3").channels).total
    tensor([4.])
    """

    data: Tensor
    axes: tuple[str, ...]
    coords: Mapping[str, tuple[int, ...]]
    unit: str
    source: Substrate
    target: Substrate | None = None
    maps: Tensor | None = None
    remainder: Mapping[str, Tensor] = field(default_factory=dict)
    remainder_maps: Mapping[str, Tensor] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sizes = tuple(len(self.coords[axis]) for axis in self.axes)
        assert tuple(self.data.shape) == sizes, (self.data.shape, sizes, self.axes)

    @property
    def of_factors(self) -> bool:
        """Whether it goes to groups of classes, which are told by colours and not by signs."""
        return (
            "to_group" in self.axes
            and self.target is not None
            and isinstance(self.target.layer, Out)
        )

    @property
    def of_places(self) -> bool:
        """Whether one atom is named, and the places of a later layer are what is left."""
        return not self.source_axes and self.target_axes == ("to_y", "to_x")

    @property
    def target_axes(self) -> tuple[str, ...]:
        """Names of the axes between image and source."""
        if self.target is None:
            return ()
        return tuple(axis for axis in self.axes if axis == "class" or axis.startswith("to_"))

    @property
    def source_axes(self) -> tuple[str, ...]:
        """Names of the axes that count source atoms."""
        return self.axes[1 + len(self.target_axes) :]

    @property
    def total(self) -> Tensor:
        """Everything, shown or not: axes ``(image, *target)``."""
        own = self.data.flatten(self._leading).sum(-1) if self.source_axes else self.data
        return own + sum(self.remainder.values(), own.new_zeros(()))

    @property
    def _leading(self) -> int:
        return 1 + len(self.target_axes)

    def axis(self, name: str) -> int:
        """The position of an axis.

        Raises:
            InvalidArgument: there is no such axis.
        """
        if name not in self.axes:
            raise InvalidArgument(f"{self.source!r} has axes {', '.join(self.axes)}, no {name!r}")
        return self.axes.index(name)

    def to_frame(self) -> Any:
        """A long table (pandas): a row a number, remainders as rows too."""
        try:
            import pandas
        except ImportError as error:
            raise MissingDependency("to_frame needs pandas: pip install pandas") from error
        places = product(*(self.coords[axis] for axis in self.axes))
        rows = [
            {**dict(zip(self.axes, place, strict=True)), "value": value}
            for place, value in zip(places, self.data.flatten().tolist(), strict=True)
        ]
        leading = self.axes[: self._leading]
        for name, held in self.remainder.items():
            places = product(*(self.coords[axis] for axis in leading))
            rows += [
                {**dict(zip(leading, place, strict=True)), "remainder": name, "value": value}
                for place, value in zip(places, held.flatten().tolist(), strict=True)
            ]
        return pandas.DataFrame(rows)

    def __repr__(self) -> str:
        shape = ", ".join(f"{a} {n}" for a, n in zip(self.axes, self.data.shape, strict=True))
        return f"Value({self.source!r}: {shape}; {self.unit})"


class Numbers(dict[Content, Value]):
    """Values by content; a content that is not there is told what there is.

    >>> Numbers().get(None) is None
    True
    """

    def __missing__(self, content: object) -> Value:
        there = "\n  ".join(map(repr, self))
        raise UnknownName(
            f"no numbers of {content!r} in this explanation. What follows a selection stands under "
            f"each of its states, or under what it picks from:\n  {there}"
        )


def spans(**sizes: int) -> dict[str, tuple[int, ...]]:
    """Coordinates that count from zero.

    >>> spans(y=2)
    {'y': (0, 1)}
    """
    return {axis: tuple(range(size)) for axis, size in sizes.items()}


def finite(tensor: Tensor, what: str) -> Tensor:
    """The tensor, or an error that says whose numbers are not finite."""
    if not torch.isfinite(tensor).all():
        raise InvalidArgument(f"{what} holds NaN or infinite values")
    return tensor
