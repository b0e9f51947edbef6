"""Numbers with their names: what every content evaluates to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from captum_blocks.compose.evaluation import tables
from captum_blocks.compose.evaluation.among import Among
from captum_blocks.compose.evaluation.positions import POSITIONS, only, pooled, size_of
from captum_blocks.compose.evaluation.switched import Switches
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Out, Substrate

REDUCTIONS: dict[str, Callable[..., Tensor]] = {
    "mean": torch.mean,
    "sum": torch.sum,
    "max": torch.amax,
}
# What ``Value.also`` calls the effect of an atom's removal alone, a class's probability, and how
# much of the picture an atom's region is.
ALONE, PROBABILITY, REGION = "taken away alone", "probability", "share of the picture"


@dataclass(frozen=True, eq=False)
class Value:
    """One number per atom, with axes ``(image, *target, *source)``.

    Its methods give new values, in which numbers, maps, remainders and names still fit each other.

    Attributes:
        data: the numbers, detached, on the CPU.
        axes: a name for each axis of ``data``.
        coords: what stands at each place of an axis: indices of channels, groups, rows, classes;
            of "y" and "x" also which rows and columns of ``maps`` count, where not all do.
        unit: of the numbers.
        source: the atoms.
        target: what an attribution goes to; None for an activation. Its axes are "class", or
            those of its atoms with "to_" before them: "to_y", "to_x", "to_channel", "to_group".
        maps: the same numbers before they were summed or averaged over positions, axes
            ``(image, *target, atom, y, x)``, always over the whole photograph: zero where a
            position was left out; None where there are no positions.
        remainder: by name, what no atom of ``data`` holds, axes ``(image, *target)``.
        remainder_maps: by name, the same before summing, axes ``(image, *target, y, x)``.
        labels: names for the places of an axis, where its coordinates do not name them.
        counts: how many atoms a filtered axis had.
        places: of axes of which one place was picked: its coordinate, such as "y" and "x".
        notes: what was repaired, defaulted or approximated.
        additive: whether the numbers of all atoms add up to something. What single removals take
            from a score does not: nothing of it is left over, and ``total`` means nothing.
        ends: of an attribution of a hidden layer to classes, axes ``(image, *target)``: "score", as
            it is, and "filled", with the whole layer at zero; of one to channels or groups of a
            layer their "score" alone; empty where that is not known.
        sides: "for" and "against", the sums of all positive and of all negative numbers before any
            filter, axes ``(image, *target)``.
        said: sentences that a panel of these numbers says with them.
        said_in: by place in the list of photographs, sentences on one photograph's numbers.
        by: the method's name in short, where the content's words leave it open.
        also: by name, other numbers of the same atoms, axes as ``data``: answers to other questions
            that are told beside the first.
        switches: of answers from which groups can be taken away, those to every set of groups.
        among: the same numbers of the photographs of a data set, where the content names one.

    ``data`` summed over the source axes plus all remainders is ``total``, where it is additive.

    >>> from captum_blocks.grammar import Hidden
    >>> four = Value(torch.ones(1, 4), ("image", "channel"), spans(image=1, channel=4),
    ...              "activation", Hidden("layer3").channels)
    >>> some = four.select("channel", [3, 0])
    >>> some.coords["channel"], some.remainder, some.total
    ((3, 0), {'not shown': tensor([2.])}, tensor([4.]))
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
    additive: bool = True
    ends: Mapping[str, Tensor] = field(default_factory=dict)
    sides: Mapping[str, Tensor] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    said_in: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    by: str = ""
    also: Mapping[str, Tensor] = field(default_factory=dict)
    switches: Switches | None = None
    among: Among | None = None

    def __post_init__(self) -> None:
        # What is said of an axis goes when the axis goes.
        for name, there in (
            ("coords", self.axes if self.maps is None else (*self.axes, *POSITIONS)),
            ("labels", self.axes),
            ("counts", self.axes),
        ):
            held = {axis: said for axis, said in getattr(self, name).items() if axis in there}
            object.__setattr__(self, name, held)
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
        return not self.source_axes and self._to_places

    @property
    def _to_places(self) -> bool:
        return self.target_axes == ("to_y", "to_x")

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

    @cached_property
    def total(self) -> Tensor:
        """Everything, shown or not: axes ``(image, *target)``."""
        own = self.data.flatten(self._leading).sum(-1) if self.source_axes else self.data
        return own + sum(self.remainder.values(), own.new_zeros(()))

    @property
    def effect(self) -> Tensor | None:
        """The score minus the score with the whole layer at zero, to be read beside ``total``."""
        return self.ends["score"] - self.ends["filled"] if "filled" in self.ends else None

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that is said with these numbers; of several photographs what holds for all alone."""
        images = self.coords["image"]
        own = self.said_in.get(images[0], ()) if len(images) == 1 else ()
        return (*self.said, *own, *(() if self.among is None else (self.among.told,)))

    @property
    def _leading(self) -> int:
        return 1 + len(self.target_axes)

    to_frame = tables.to_frame
    to_xarray = tables.to_xarray

    def axis(self, name: str) -> int:
        """The position of an axis.

        Raises:
            InvalidArgument: there is no such axis.
        """
        if name not in self.axes:
            raise InvalidArgument(f"{self.source!r} has axes {', '.join(self.axes)}, no {name!r}")
        return self.axes.index(name)

    def coordinates(self, axis: str) -> tuple[int, ...]:
        """What stands at each place of an axis, or which rows ("y") or columns of ``maps`` count.

        Raises:
            InvalidArgument: there is no such axis.
        """
        if axis in POSITIONS and self.maps is not None:
            return self.coords.get(axis, tuple(range(size_of(self.maps, axis))))
        self.axis(axis)
        return self.coords[axis]

    def map(self, function: Callable[[Tensor], Tensor], **fields: Any) -> Value:
        """The same function of every tensor it holds.

        Args:
            function: linear, of tensors whose first axes are ``(image, *target)``.
            fields: what else is new, such as ``axes``; what was said of axes that are gone, goes.
        """

        def each(held: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: function(tensor) for name, tensor in held.items()}

        new = {
            "data": function(self.data),
            "maps": None if self.maps is None else function(self.maps),
            "remainder": each(self.remainder),
            "remainder_maps": each(self.remainder_maps),
            "ends": each(self.ends),
            "sides": each(self.sides),
            "also": each(self.also),
            "switches": None,
        }
        return replace(self, **{**new, **fields})

    def select(self, axis: str, indices: Sequence[int], rest: str = "not shown") -> Value:
        """Some places of an axis, in that order.

        Args:
            axis: any of ``axes``; where there are maps, also "y" and "x": only what lies in those
                rows or columns is summed or averaged then.
            indices: places, not coordinates.
            rest: the name of the remainder that takes the other source atoms. Of images and
                targets, which do not add up, nothing is left over.

        Raises:
            InvalidArgument: there is no such axis or place.
        """
        there = self.coordinates(axis)
        self._check(axis, indices, len(there))
        coords = {**self.coords, axis: tuple(there[i] for i in indices)}
        if axis in POSITIONS and self.maps is not None:
            return self._leaving(self._lying_in(coords), rest)
        labels = {
            name: tuple(held[i] for i in indices) if name == axis else held
            for name, held in self.labels.items()
        }
        index = torch.tensor(indices, dtype=torch.long)
        switches = None if self.switches is None else self.switches.select(axis, indices)
        # Of one photograph among several, all that was said of them still holds.
        quiet: dict[str, Any] = {} if axis == "image" else {"said": (), "said_in": {}}
        if self.among is not None:
            quiet["among"] = self.among.select(axis, indices)
        picked = self._along(
            axis,
            lambda held, at: held.index_select(at, index),
            switches=switches,
            coords=coords,
            labels=labels,
            **quiet,
        )
        return self._leaving(picked, rest) if axis in self.source_axes else picked

    def keep(self, axis: str, indices: Sequence[int]) -> Value:
        """Some places of an axis, and how many there were; see ``select``."""
        size = self.counts.get(axis, len(self.coords[axis]))
        return replace(self.select(axis, indices), counts={**self.counts, axis: size})

    def at(self, axis: str, index: int, rest: str = "elsewhere") -> Value:
        """One place of an axis, which goes, but for "image"; see ``select``.

        >>> from captum_blocks.grammar import Hidden
        >>> row = Value(torch.ones(1, 4), ("image", "channel"), spans(image=1, channel=4),
        ...             "activation", Hidden("layer3").channels)
        >>> row.at("channel", 2).axes, row.at("channel", 2).places
        (('image',), {'channel': 2})
        """
        picked = self.select(axis, [index], rest)
        if axis == "image":
            return picked
        places = {**self.places, axis: picked.coords[axis][0]}
        return picked._along(axis, Tensor.squeeze, axes=self._without(axis), places=places)

    def at_place(self, y: int, x: int, rest: str = "elsewhere") -> Value:
        """One position of the source, whose axes go; see ``select``.

        Where places of a later layer are what is left, there are no maps of the source any more.
        """
        there = {axis: self.coords[axis][index] for axis, index in (("y", y), ("x", x))}
        whole = {axis: (place,) for axis, place in there.items()}
        maps = None if self.maps is None or self._to_places else only(self.maps, whole)
        picked = replace(
            self,
            data=self.data[..., y, x],
            axes=self.axes[:-2],
            coords={**self.coords, **(whole if maps is not None else {})},
            maps=maps,
            places={**self.places, **there},
            said=(),
            said_in={},
            also={name: held[..., y, x] for name, held in self.also.items()},
        )
        return self._leaving(picked, rest)

    def reduce(self, axis: str, how: str) -> Value:
        """One number along an axis, which goes; "image" stays, of length one.

        Maps go with a source axis. Remainders are reduced along image and target as the numbers
        are; a sum of source atoms leaves them as they are; of a mean of atoms and of a maximum
        nothing is left over.

        Args:
            axis: any of ``axes``.
            how: "mean", "sum" or "max".

        Raises:
            InvalidArgument: there is no such axis or way, or nothing along it.
        """
        if how not in REDUCTIONS:
            raise InvalidArgument(f"how={how!r} is none of {', '.join(REDUCTIONS)}")
        place, stays = self.axis(axis), axis == "image"
        size, of_atoms = self.data.shape[place], axis in self.source_axes
        if how != "sum" and not size:
            raise InvalidArgument(f"{self!r}: nothing is left to take the {how} of over {axis}")
        fields: dict[str, Any] = {"remainder_maps": {}, "said": (), "said_in": {}, "also": {}}
        fields["among"] = None
        if of_atoms or how == "max":
            fields |= {"ends": {}, "sides": {}}
        if not stays:
            fields["axes"] = self._without(axis)
        elif size > 1:
            fields["coords"] = {**self.coords, axis: (0,)}
            fields["labels"] = {**self.labels, axis: (f"{how} over {size} photographs",)}
        if of_atoms:
            fields["maps"] = None
        if of_atoms or how == "max":
            fields["remainder"] = self.remainder if how == "sum" else {}
        return self._along(axis, lambda held, at: REDUCTIONS[how](held, at, stays), **fields)

    def __repr__(self) -> str:
        shape = ", ".join(f"{a} {n}" for a, n in zip(self.axes, self.data.shape, strict=True))
        return f"Value({self.source!r}: {shape}; {self.unit})"

    def _without(self, axis: str) -> tuple[str, ...]:
        return tuple(name for name in self.axes if name != axis)

    def _along(self, axis: str, change: Callable[[Tensor, int], Tensor], **fields: Any) -> Value:
        """A change, given the place of an axis, to every tensor that has the axis."""
        place = self.axis(axis)
        if place < self._leading:
            return self.map(lambda held: change(held, place), **fields)
        maps = self.maps
        if maps is not None and axis not in POSITIONS:
            maps = change(maps, place)
        also = {name: change(held, place) for name, held in self.also.items()}
        new = {"data": change(self.data, place), "maps": maps, "also": also, "switches": None}
        return replace(self, **{**new, **fields})

    def _lying_in(self, coords: Mapping[str, tuple[int, ...]]) -> Value:
        """What lies in the rows and columns of the maps that count."""
        assert self.maps is not None
        data = pooled(self.maps, coords, self.axes, mean=self.target is None)
        # The mean of a region is none of a photograph; a neuron stays what it is.
        among = self.among if set(POSITIONS) <= set(self.axes) else None
        maps = only(self.maps, coords)
        return replace(self, data=data, maps=maps, coords=coords, also={}, among=among)

    def _leaving(self, picked: Value, rest: str) -> Value:
        """Some of its atoms, with the others in a remainder where they add up."""
        if not self.additive:
            return picked
        left = self.total - picked.total
        before = picked.remainder.get(rest, left.new_zeros(()))
        return replace(picked, remainder={**picked.remainder, rest: before + left})

    def _check(self, axis: str, indices: Sequence[int], size: int) -> None:
        if wrong := [index for index in indices if not 0 <= index < size]:
            owner = self.source if axis in self.source_axes else self.target or self.source
            counted = f"{axis}s" if axis == owner.atom != "class" else f"places along {axis!r}"
            raise InvalidArgument(f"{owner!r} has {size} {counted}, no {wrong[-1]}")


def spans(**sizes: int) -> dict[str, tuple[int, ...]]:
    """Coordinates that count from zero.

    >>> spans(y=2)
    {'y': (0, 1)}
    """
    return {axis: tuple(range(size)) for axis, size in sizes.items()}


def sides(data: Tensor) -> dict[str, Tensor]:
    """The sums of all positive and of all negative numbers, each (image, class).

    Args:
        data: (image, class, *atom).

    >>> {name: held.tolist() for name, held in sides(torch.tensor([[[1.0, -2.0, 3.0]]])).items()}
    {'for': [[4.0]], 'against': [[-2.0]]}
    """
    atoms = data.flatten(2) if data.ndim > 2 else data[..., None]
    return {"for": atoms.clamp(min=0).sum(-1), "against": atoms.clamp(max=0).sum(-1)}
