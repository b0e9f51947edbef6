"""Scores of a layer's atoms: what an attribution to a hidden layer attributes to.

The article's scores ("The Building Blocks of Interpretability", Distill 2018): a spatial position
counts by the norm of its activation vector, a channel by its sum over positions, a group by the
projection on its unit direction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from captum_blocks.attr.head import listed, whole_number
from captum_blocks.attr.reducers import check_width, fitted_components
from captum_blocks.errors import InvalidArgument, UnknownName, did_you_mean
from captum_blocks.layouts import Layout

Index = int | tuple[int, ...]
NAMES = ("spatial", "channel", "neuron", "whole", "tokens", "class")


class Scores(ABC):
    """The scores of some atoms of one layer, linearised at its activation.

    Attributes:
        shape: of the target axes.
        indices: which atoms, in the order of the flattened target axes.
    """

    shape: tuple[int, ...]
    indices: list[tuple[int, ...]]

    def __init__(self, activation: Tensor, layout: Layout, chosen: Sequence[Index] | None) -> None:
        self.activation, self.layout = activation, layout
        self.maps = layout.to_maps(activation) if activation.ndim > 1 else activation
        full = self.full_shape()
        if chosen is None:
            self.shape = full
            self.indices = list(product(*(range(size) for size in full)))
        else:
            self.indices = [_checked(index, full) for index in listed(chosen)]
            self.shape = (len(self.indices),)

    @abstractmethod
    def full_shape(self) -> tuple[int, ...]:
        """The axes of all the atoms there are."""

    @abstractmethod
    def seeds(self, indices: Sequence[tuple[int, ...]]) -> Tensor:
        """The gradient of each score, (score, *layer output)."""

    @abstractmethod
    def values(self, output: Tensor) -> Tensor:
        """The scores of another output of the layer, (image, score)."""

    def change(self, tangent: Tensor) -> Tensor:
        """How fast the scores change when the output moves along ``tangent``.

        Args:
            tangent: (direction, *layer output).

        Returns:
            (direction, image, *target axes).
        """
        rows = [self._dots(tangent, self.seeds([index])[0]) for index in self.indices]
        return torch.stack(rows, 2).reshape(*rows[0].shape, *self.shape)

    def _dots(self, tangent: Tensor, seed: Tensor) -> Tensor:
        return (tangent * seed).flatten(2).sum(2)

    def _unstacked(self, rows: Tensor) -> Tensor:
        """(row, *layer output) -> (row, image, channel, y, x)."""
        maps: Tensor = self.layout.to_maps(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])
        return maps

    def _stacked(self, maps: list[Tensor]) -> Tensor:
        ndim = self.activation.ndim
        return torch.stack([self.layout.from_maps(one, ndim=ndim) for one in maps])


class _Spatial(Scores):
    def full_shape(self) -> tuple[int, ...]:
        return tuple(self.maps.shape[2:])

    def seeds(self, indices: Sequence[tuple[int, ...]]) -> Tensor:
        unit = self._unit()
        found = []
        for y, x in indices:
            seed = torch.zeros_like(self.maps)
            seed[:, :, y, x] = unit[:, :, y, x]
            found.append(seed)
        return self._stacked(found)

    def values(self, output: Tensor) -> Tensor:
        norms = self.layout.to_maps(output).norm(dim=1)
        return torch.stack([norms[:, y, x] for y, x in self.indices], 1)

    def change(self, tangent: Tensor) -> Tensor:
        maps = self._unstacked(tangent)
        moved = (maps * self._unit()).sum(2)
        return _picked(moved, self.indices, self.shape)

    def _unit(self) -> Tensor:
        norm = self.maps.norm(dim=1, keepdim=True)
        return torch.where(norm > 0, self.maps / norm.clamp(min=1e-30), torch.zeros_like(self.maps))


class _Channel(Scores):
    def full_shape(self) -> tuple[int, ...]:
        return (self.maps.shape[1],)

    def seeds(self, indices: Sequence[tuple[int, ...]]) -> Tensor:
        found = []
        for (channel,) in indices:
            seed = torch.zeros_like(self.maps)
            seed[:, channel] = 1
            found.append(seed)
        return self._stacked(found)

    def values(self, output: Tensor) -> Tensor:
        sums = self.layout.to_maps(output).sum((2, 3))
        return sums[:, [channel for (channel,) in self.indices]]

    def change(self, tangent: Tensor) -> Tensor:
        maps = self._unstacked(tangent)
        return _picked(maps.sum((-2, -1)), self.indices, self.shape)


class _Neuron(Scores):
    def full_shape(self) -> tuple[int, ...]:
        return tuple(self.maps.shape[1:])

    def seeds(self, indices: Sequence[tuple[int, ...]]) -> Tensor:
        found = []
        for channel, y, x in indices:
            seed = torch.zeros_like(self.maps)
            seed[:, channel, y, x] = 1
            found.append(seed)
        return self._stacked(found)

    def values(self, output: Tensor) -> Tensor:
        maps = self.layout.to_maps(output)
        return torch.stack([maps[:, channel, y, x] for channel, y, x in self.indices], 1)

    def change(self, tangent: Tensor) -> Tensor:
        maps = self._unstacked(tangent)
        return _picked(maps, self.indices, self.shape)


class _Whole(Scores):
    def full_shape(self) -> tuple[int, ...]:
        return ()

    def seeds(self, indices: Sequence[tuple[int, ...]]) -> Tensor:
        norm = self.maps.flatten(1).norm(dim=1)[:, None, None, None]
        return self._stacked([self.maps / norm.clamp(min=1e-30) for _ in indices])

    def values(self, output: Tensor) -> Tensor:
        norms: Tensor = self.layout.to_maps(output).flatten(1).norm(dim=1)[:, None]
        return norms


class _Tokens(Scores):
    def full_shape(self) -> tuple[int, ...]:
        return (self.layout.n_unplaced,)

    def seeds(self, indices: Sequence[tuple[int, ...]]) -> Tensor:
        found = []
        for (index,) in indices:
            token = self.layout.token_places[index]
            seed = torch.zeros_like(self.activation)
            vector = self.activation[:, token]
            seed[:, token] = vector / vector.norm(dim=1, keepdim=True).clamp(min=1e-30)
            found.append(seed)
        return torch.stack(found)

    def values(self, output: Tensor) -> Tensor:
        tokens = [self.layout.token_places[index] for (index,) in self.indices]
        norms: Tensor = output[:, tokens].norm(dim=2)
        return norms


class _Class(Scores):
    def full_shape(self) -> tuple[int, ...]:
        return (self.activation.shape[1],)

    def seeds(self, indices: Sequence[tuple[int, ...]]) -> Tensor:
        seeds = self.activation.new_zeros(len(indices), *self.activation.shape)
        for row, (target,) in enumerate(indices):
            seeds[row, :, target] = 1
        return seeds

    def values(self, output: Tensor) -> Tensor:
        return output[:, [target for (target,) in self.indices]]

    def change(self, tangent: Tensor) -> Tensor:
        return _picked(tangent, self.indices, self.shape)


class _Group(Scores):
    def __init__(
        self, activation: Tensor, layout: Layout, chosen: Sequence[Index] | None, reducer: Any
    ) -> None:
        components = fitted_components(reducer).to(activation)
        check_width(components, activation, layout)
        self.unit = components / components.norm(dim=1, keepdim=True).clamp(min=1e-30)
        super().__init__(activation, layout, chosen)

    def full_shape(self) -> tuple[int, ...]:
        return (len(self.unit),)

    def seeds(self, indices: Sequence[tuple[int, ...]]) -> Tensor:
        directions = [self.unit[group][None, :, None, None] for (group,) in indices]
        return self._stacked([direction.expand_as(self.maps) for direction in directions])

    def values(self, output: Tensor) -> Tensor:
        projected = self.layout.to_maps(output).sum((2, 3)) @ self.unit.T
        picked: Tensor = projected[:, [group for (group,) in self.indices]]
        return picked


_KINDS: dict[str, type[Scores]] = {
    "spatial": _Spatial,
    "channel": _Channel,
    "neuron": _Neuron,
    "whole": _Whole,
    "tokens": _Tokens,
}


def scores_of(
    atom: Any, activation: Tensor, layout: Layout | None, chosen: Sequence[Index] | None
) -> Scores:
    """The scores of a layer's atoms.

    Args:
        atom: spatial, channel, neuron, whole, tokens, class (of the output), or a fitted reducer.
        activation: the layer's output, or the (image, class) scores.
        layout: of the layer; None for the output.
        chosen: which atoms, as integers or index tuples; all of them when None.

    Raises:
        UnknownName: there is no such atom.
        InvalidArgument: an index is out of range, or the atom does not exist at this place.
        WrongType: an index is no integer, or they are not listed.
    """
    if layout is None:
        if atom not in ("class", "neuron"):
            raise InvalidArgument(
                f"the output of the network is made of classes; target_atom={atom!r} needs a "
                "target_layer"
            )
        return _Class(activation, Layout("NCHW"), chosen)
    if not isinstance(atom, str):
        return _Group(activation, layout, chosen, atom)
    if atom not in _KINDS:
        raise UnknownName(
            f"no target atom {atom!r}{did_you_mean(atom, _KINDS)}; known: {', '.join(_KINDS)}, or "
            "a fitted reducer for groups ('class' without a target_layer)"
        )
    if atom == "tokens" and not layout.n_unplaced:
        raise InvalidArgument("the target layer has no class or register tokens")
    return _KINDS[atom](activation, layout, chosen)


def _checked(index: Index, full: tuple[int, ...]) -> tuple[int, ...]:
    several = isinstance(index, (tuple, list))
    index = tuple(whole_number(i) for i in (index if several else (index,)))  # type: ignore[union-attr]
    fits = len(index) == len(full) and all(
        0 <= i < size for i, size in zip(index, full, strict=False)
    )
    if not fits:
        shown = index[0] if len(index) == 1 else index
        raise InvalidArgument(f"target {shown} does not exist: the target axes have shape {full}")
    return index


def _picked(moved: Tensor, indices: list[tuple[int, ...]], shape: tuple[int, ...]) -> Tensor:
    """(direction, image, *all target axes) -> (direction, image, *target axes)."""
    if tuple(moved.shape[2:]) == shape:
        return moved
    flat = moved.flatten(2)
    sizes = moved.shape[2:]
    places = [_flat_index(index, tuple(sizes)) for index in indices]
    return flat[:, :, places].reshape(*moved.shape[:2], *shape)


def _flat_index(index: tuple[int, ...], sizes: tuple[int, ...]) -> int:
    place = 0
    for i, size in zip(index, sizes, strict=True):
        place = place * size + i
    return place
