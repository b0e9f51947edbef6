"""What filters and operations mean, kept as a ledger of single numbers.

A ledger holds the raw numbers, one a cell: of an attribution, one for every channel (or group) at
every position. An atom is a set of cells, and its number their sum; of an activation, their mean.
A filter takes cells or whole atoms away, and what the atoms lose goes to a remainder. So the total
is fixed by the raw numbers alone, whatever is filtered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

Coordinate = tuple[int, ...]
Cell = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Ledger:
    """Raw numbers and what is still shown of them.

    Attributes:
        raw: (image, target, cell).
        cells: the channel (or group), row and column of each cell.
        axes: the names of the atoms' coordinates.
        atoms: by coordinates, in order, the cells that an atom still has.
        total: (image, target), everything.
        lost: by name, (image, target), what no atom has.
        targets: (axis, coordinates) of each target axis.
        images: coordinates of the image axis.
        grid: rows and columns of the whole map.
        mean: whether an atom's number is the mean of its cells.
        mapped: whether its cells still are the positions of a map; None where there is a map of
            which the numbers are not made, as after a maximum over images.
        picked: by axis, the coordinate that was picked.
    """

    raw: np.ndarray
    cells: list[Cell]
    axes: tuple[str, ...]
    atoms: dict[Coordinate, list[int]]
    total: np.ndarray
    lost: dict[str, np.ndarray]
    targets: list[tuple[str, list[int]]]
    images: list[int]
    grid: tuple[int, int]
    mean: bool = False
    mapped: bool | None = True
    picked: dict[str, int] = field(default_factory=dict)

    def numbers(self) -> np.ndarray:
        """The number of every atom, (image, target, atom)."""
        found = np.zeros((*self.raw.shape[:2], len(self.atoms)))
        for image, target in product(*map(range, self.raw.shape[:2])):
            for place, cells in enumerate(self.atoms.values()):
                held = [self.raw[image, target, cell] for cell in cells]
                found[image, target, place] = sum(held) / (max(len(held), 1) if self.mean else 1)
        return found

    def with_atoms(self, atoms: dict[Coordinate, list[int]], rest: str) -> Ledger:
        """Other atoms, or the same with fewer cells; what is gone goes to a remainder."""
        after = replace(self, atoms=atoms)
        gone = self.numbers().sum(2) - after.numbers().sum(2)
        return replace(after, lost={**self.lost, rest: self.lost.get(rest, 0.0) + gone})

    def keep(self, coordinates: list[Coordinate], rest: str) -> Ledger:
        """Some of the atoms, in that order."""
        return self.with_atoms({each: self.atoms[each] for each in coordinates}, rest)

    def at(self, axis: str, coordinate: int) -> Ledger:
        """The atoms at one place of an axis, without that axis."""
        place = self.axes.index(axis)
        here = self.keep([each for each in self.atoms if each[place] == coordinate], "elsewhere")
        atoms = {_without(each, place): cells for each, cells in here.atoms.items()}
        return replace(
            here,
            atoms=atoms,
            axes=_without(self.axes, place),
            picked={**self.picked, axis: coordinate},
        )

    def within(self, region: tuple[float, float, float, float]) -> Ledger:
        """The cells whose middle lies in a region, and the nearest row and column at least."""
        rows, columns = (
            _covered(size, region[i], region[i + 2]) for i, size in enumerate(self.grid)
        )
        inside = [place for place, (_, y, x) in enumerate(self.cells) if y in rows and x in columns]
        atoms = {
            each: [cell for cell in cells if cell in set(inside)]
            for each, cells in self.atoms.items()
        }
        for axis, there in (("y", rows), ("x", columns)):
            if axis in self.axes:
                place = self.axes.index(axis)
                atoms = {each: cells for each, cells in atoms.items() if each[place] in there}
        return self.with_atoms(atoms, "outside")

    def in_a_row(self) -> Ledger:
        """Neurons counted through channels, rows and columns."""
        if self.axes != ("channel", "y", "x"):
            return self
        atoms = {(place,): cells for place, cells in enumerate(self.atoms.values())}
        return replace(self, axes=("neuron",), atoms=atoms, mapped=False)

    def image(self, coordinate: int) -> Ledger:
        """One photograph."""
        place = self.images.index(coordinate)
        return self._leading(lambda held: held[place : place + 1], images=[coordinate])

    def to(self, place: int, drop: bool) -> Ledger:
        """One place of the target axes, counted through them."""
        targets = [] if drop else [(self.targets[0][0], [self.targets[0][1][place]])]
        return self._leading(lambda held: held[:, place : place + 1], targets=targets)

    def over_images(self, how: str) -> Ledger:
        """All photographs together."""
        images = [0] if len(self.images) > 1 else self.images
        if how == "max":
            highest = self.numbers().max(0, keepdims=True)
            return self._collapsed(highest, images=images, mapped=self.mapped and None)
        combine = np.mean if how == "mean" else np.sum
        return self._leading(lambda held: combine(held, 0, keepdims=True), images=images)

    def over_targets(self, how: str) -> Ledger:
        """All targets of the one target axis together."""
        if how == "max":
            highest = self.numbers().max(1, keepdims=True)
            return self._collapsed(highest, targets=[], mapped=self.mapped and None)
        combine = np.mean if how == "mean" else np.sum
        return self._leading(lambda held: combine(held, 1, keepdims=True), targets=[])

    def over_atoms(self, axis: str, how: str) -> Ledger:
        """The atoms along an axis together; only a sum keeps what is lost."""
        place, numbers = self.axes.index(axis), self.numbers()
        merged: dict[Coordinate, list[int]] = {} if len(self.axes) > 1 else {(): []}
        for position, each in enumerate(self.atoms):
            merged.setdefault(_without(each, place), []).append(position)
        combine = {"mean": np.mean, "sum": np.sum, "max": np.max}[how]
        combined = np.stack([combine(numbers[:, :, held], 2) for held in merged.values()], 2)
        axes, lost = _without(self.axes, place), self.lost if how == "sum" else {}
        made = self._collapsed(combined, axes=axes, atoms=merged)
        return replace(made, lost=lost, total=made.total + sum(lost.values()))

    def normalise(self, by: str) -> Ledger:
        """Divided by the largest magnitude or the sum of magnitudes, unless it is zero."""
        sizes = np.abs(self.numbers())
        size = sizes.sum(2) if by == "sum" or not self.atoms else sizes.max(2)
        size = np.where(size > 0, size, 1.0)
        return self._leading(lambda held: (held.T / size.T).T)

    def minus(self, other: Ledger) -> Ledger:
        """The same atoms of another ledger, subtracted."""
        names = dict.fromkeys((*self.lost, *other.lost))
        if self.atoms == other.atoms:
            made = replace(self, raw=self.raw - other.raw)
        else:  # one atom of each was picked, and not the same
            made = self._collapsed(self.numbers() - other.numbers(), mapped=self.mapped and None)
        return replace(
            made,
            total=self.total - other.total,
            lost={name: self.lost.get(name, 0.0) - other.lost.get(name, 0.0) for name in names},
        )

    def maps(self) -> np.ndarray:
        """The cells that atoms still have where they lie, (image, target, atom, y, x)."""
        others = [place for place, axis in enumerate(self.axes) if axis not in ("y", "x")]
        of_atoms = (tuple(each[i] for i in others) for each in self.atoms)
        names = list(dict.fromkeys(of_atoms if others else [()]))
        found = np.zeros((*self.raw.shape[:2], len(names), *self.grid))
        for each, cells in self.atoms.items():
            atom = names.index(tuple(each[i] for i in others))
            for cell in cells:
                _, y, x = self.cells[cell]
                found[:, :, atom, y, x] += self.raw[:, :, cell]
        return found

    def _leading(self, change: Callable[[np.ndarray], np.ndarray], **fields: object) -> Ledger:
        """A linear change along image and target: of numbers, total and remainders alike."""
        lost = {name: change(held) for name, held in self.lost.items()}
        return replace(self, raw=change(self.raw), total=change(self.total), lost=lost, **fields)

    def _collapsed(self, numbers: np.ndarray, **fields: object) -> Ledger:
        """One cell an atom: what it was made of is no longer known, and nothing is left over."""
        fields = {"atoms": self.atoms, "mapped": False, **fields}
        atoms = {each: [place] for place, each in enumerate(fields.pop("atoms"))}
        return replace(
            self,
            raw=numbers,
            cells=[(0, 0, 0)] * len(atoms),
            atoms=atoms,
            total=numbers.sum(2),
            lost={},
            mean=False,
            **fields,
        )


def open_ledger(
    maps: np.ndarray,
    atom: str,
    targets: list[tuple[str, list[int]]],
    residual: np.ndarray | None = None,
    mean: bool = False,
    mapped: bool = True,
) -> Ledger:
    """A ledger of raw maps.

    Args:
        maps: (image, target, channel or group, y, x).
        atom: neuron, spatial, channel, group or whole.
        targets: (axis, coordinates) of each target axis.
        residual: (image, target, y, x), what the groups leave.
        mean: of an activation.
        mapped: whether the positions of the cells are known to the value.
    """
    cells = list(product(*map(range, maps.shape[2:])))
    axes = {
        "neuron": ("channel", "y", "x"),
        "spatial": ("y", "x"),
        "channel": ("channel",),
        "group": ("group",),
        "whole": (),
    }[atom]
    atoms: dict[Coordinate, list[int]] = {}
    for place, (channel, y, x) in enumerate(cells):
        known = {"channel": channel, "group": channel, "y": y, "x": x}
        atoms.setdefault(tuple(known[axis] for axis in axes), []).append(place)
    raw = maps.reshape(*maps.shape[:2], -1).astype(float)
    lost = {} if residual is None else {"residual": residual.astype(float).sum((2, 3))}
    total = raw.sum(2) / (maps[0, 0, 0].size if mean and len(axes) == 1 else 1)
    return Ledger(
        raw,
        cells,
        axes,
        atoms,
        total + sum(lost.values()),
        lost,
        targets,
        list(range(len(maps))),
        maps.shape[-2:],
        mean,
        mapped and atom != "whole",
    )


def _covered(size: int, low: float, high: float) -> list[int]:
    """Rows whose middle lies in a span; where none does, the one that the span's start is in."""
    found = [row for row in range(size) if low * size <= row + 0.5 < high * size]
    return found or [min(int(np.ceil(low * size - 0.5)), size - 1)]


def _without(held: tuple, place: int) -> tuple:
    return held[:place] + held[place + 1 :]
