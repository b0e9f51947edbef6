"""What the atoms of a source layer receive: from gradients, or along directions.

An attribution of the form gradient x activation is linear in the activation, so an atom's number is
the change of the score along the atom's own part of the activation. From the target's side it is a
sum over the gradient; from the source's side a directional derivative. Both give the same numbers;
the side with fewer rows is the cheaper one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from captum_blocks.attr.atoms import ATOMS, AtomValues, to_atoms
from captum_blocks.attr.reducers import Pieces, take_apart
from captum_blocks.attr.regrouping import regroup
from captum_blocks.errors import InvalidArgument, UnknownName, did_you_mean
from captum_blocks.layouts import Layout


class Parts(ABC):
    """The activation of a source layer, as the parts its atoms stand for.

    Attributes:
        atom: the name of the atom.
        shape: of the source axes.
        remainders: names of what belongs to no atom, in the order of their directions.
    """

    atom: str
    shape: tuple[int, ...]
    remainders: tuple[str, ...] = ()

    def __init__(self, activation: Tensor, layout: Layout) -> None:
        self.activation, self.layout = activation, layout
        self.maps = layout.to_maps(activation)
        if layout.n_unplaced:
            self.remainders = ("tokens",)

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the source axes."""
        return ATOMS[self.atom]

    @property
    def count(self) -> int:
        """How many directions there are, remainders included."""
        atoms = 1
        for size in self.shape:
            atoms *= size
        return atoms + len(self.remainders)

    def directions(self) -> Iterator[Tensor]:
        """Each atom's part of the activation, in the layer's layout; then the remainders'."""
        for part in self.parts():
            yield self.layout.from_maps(part, ndim=self.activation.ndim)
        yield from self.leftovers()

    @abstractmethod
    def parts(self) -> Iterator[Tensor]:
        """Each atom's part of the activation, (image, channel, y, x)."""

    def leftovers(self) -> Iterator[Tensor]:
        """What belongs to no atom, in the layer's layout."""
        if self.layout.n_unplaced:
            tokens = self.layout.tokens(self.activation)
            yield self.layout.from_maps(torch.zeros_like(self.maps), tokens)

    def received(self, gradient: Tensor) -> AtomValues:
        """What the atoms receive, from a gradient (target, *layer output).

        Returns:
            ``data`` (image, target, *source axes), remainders (image, target).
        """
        values = gradient * self.activation
        return to_atoms(self.atom, *self._taken_apart(values))

    def _taken_apart(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(target, *layer output) -> maps and tokens with leading (image, target)."""
        rows, sizes = values.flatten(0, 1), values.shape[:2]
        maps = self.layout.to_maps(rows).unflatten(0, sizes).transpose(0, 1)
        return maps, self.layout.tokens(rows).unflatten(0, sizes).transpose(0, 1)


class _Spatial(Parts):
    atom = "spatial"

    def __init__(self, activation: Tensor, layout: Layout) -> None:
        super().__init__(activation, layout)
        self.shape = tuple(self.maps.shape[2:])

    def parts(self) -> Iterator[Tensor]:
        for y in range(self.shape[0]):
            for x in range(self.shape[1]):
                part = torch.zeros_like(self.maps)
                part[:, :, y, x] = self.maps[:, :, y, x]
                yield part


class _Channel(Parts):
    atom = "channel"

    def __init__(self, activation: Tensor, layout: Layout) -> None:
        super().__init__(activation, layout)
        self.shape = (self.maps.shape[1],)

    def parts(self) -> Iterator[Tensor]:
        for channel in range(self.shape[0]):
            part = torch.zeros_like(self.maps)
            part[:, channel] = self.maps[:, channel]
            yield part


class _Neuron(Parts):
    atom = "neuron"

    def __init__(self, activation: Tensor, layout: Layout) -> None:
        super().__init__(activation, layout)
        self.shape = tuple(self.maps.shape[1:])

    def parts(self) -> Iterator[Tensor]:
        for index in range(self.maps[0].numel()):
            part = torch.zeros_like(self.maps)
            part.flatten(1)[:, index] = self.maps.flatten(1)[:, index]
            yield part


class _Whole(Parts):
    atom = "whole"
    shape = ()

    def parts(self) -> Iterator[Tensor]:
        yield self.maps


class _Tokens(Parts):
    atom = "tokens"

    def __init__(self, activation: Tensor, layout: Layout) -> None:
        super().__init__(activation, layout)
        self.shape = (layout.n_unplaced,)
        self.remainders = ("positions",)

    def directions(self) -> Iterator[Tensor]:
        for token in self.layout.token_places:
            part = torch.zeros_like(self.activation)
            part[:, token] = self.activation[:, token]
            yield part
        yield self.layout.from_maps(self.maps)

    def parts(self) -> Iterator[Tensor]:
        yield from ()


class _Group(Parts):
    atom = "group"

    def __init__(self, activation: Tensor, layout: Layout, reducer: Any) -> None:
        super().__init__(activation, layout)
        self.pieces: Pieces = take_apart(reducer, activation, layout)
        self.shape = (len(self.pieces.components),)
        self.remainders = ("residual", *self.remainders)

    def parts(self) -> Iterator[Tensor]:
        for group, direction in enumerate(self.pieces.components):
            yield self.pieces.scores[:, group, None] * direction[None, :, None, None]

    def leftovers(self) -> Iterator[Tensor]:
        ndim = self.activation.ndim
        yield self.layout.from_maps(self.pieces.residual, ndim=ndim)
        yield from super().leftovers()

    def received(self, gradient: Tensor) -> AtomValues:
        weights, _ = self._taken_apart(gradient)
        attribution, tokens = self._taken_apart(gradient * self.activation)
        pieces = self.pieces
        groups, rest = regroup(self.maps, attribution, weights, pieces.scores, pieces.components)
        return to_atoms("group", groups, tokens, rest)


_KINDS: dict[str, type[Parts]] = {
    "spatial": _Spatial,
    "channel": _Channel,
    "neuron": _Neuron,
    "whole": _Whole,
    "tokens": _Tokens,
}


def parts_of(atom: Any, activation: Tensor, layout: Layout) -> Parts:
    """The parts of a source layer's activation.

    Args:
        atom: spatial, channel, neuron, whole or tokens, or a fitted reducer.
        activation: the layer's output.
        layout: of the layer.

    Raises:
        UnknownName: there is no such atom.
        InvalidArgument: the layer has no such atom, or the reducer does not fit.
    """
    if not isinstance(atom, str):
        return _Group(activation, layout, atom)
    if atom not in _KINDS:
        raise UnknownName(
            f"no source atom {atom!r}{did_you_mean(atom, ATOMS)}; known: {', '.join(_KINDS)}, or "
            "a fitted reducer for groups"
        )
    if atom == "tokens" and not layout.n_unplaced:
        raise InvalidArgument("the source layer has no class or register tokens")
    return _KINDS[atom](activation, layout)
