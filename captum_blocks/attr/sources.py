"""What the atoms of a source layer receive: from gradients, or along directions.

An attribution of the form gradient x activation is linear in the activation, so an atom's number is
the change of the score along the atom's own part of the activation. From the target's side it is a
sum over the gradient; from the source's side a directional derivative. Both give the same numbers;
the side with fewer rows is the cheaper one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from captum_blocks.attr.atoms import ATOMS, OTHERS, AtomValues, to_atoms
from captum_blocks.attr.head import whole_number
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
        yield from self._placed(self.parts())
        yield from self.leftovers()

    def _placed(self, parts: Iterable[Tensor]) -> Iterator[Tensor]:
        """Parts in the layer's layout."""
        return (self.layout.from_maps(part, ndim=self.activation.ndim) for part in parts)

    def parts(self) -> Iterator[Tensor]:
        """Each atom's part of the activation, (image, channel, y, x)."""
        return map(self.part, range(torch.Size(self.shape).numel()))

    @abstractmethod
    def part(self, atom: int) -> Tensor:
        """One atom's part of the activation, (image, channel, y, x); counted along ``shape``."""

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

    def part(self, atom: int) -> Tensor:
        part, (y, x) = torch.zeros_like(self.maps), divmod(atom, self.shape[1])
        part[:, :, y, x] = self.maps[:, :, y, x]
        return part


class _Channel(Parts):
    atom = "channel"

    def __init__(self, activation: Tensor, layout: Layout) -> None:
        super().__init__(activation, layout)
        self.shape = (self.maps.shape[1],)

    def part(self, atom: int) -> Tensor:
        part = torch.zeros_like(self.maps)
        part[:, atom] = self.maps[:, atom]
        return part


class _Neuron(Parts):
    atom = "neuron"

    def __init__(self, activation: Tensor, layout: Layout) -> None:
        super().__init__(activation, layout)
        self.shape = tuple(self.maps.shape[1:])

    def part(self, atom: int) -> Tensor:
        _, channel, y, x = torch.unravel_index(torch.tensor(atom), (1, *self.shape))
        part = torch.zeros_like(self.maps)
        part[:, channel, y, x] = self.maps[:, channel, y, x]
        return part


class _Whole(Parts):
    atom = "whole"
    shape = ()

    def part(self, atom: int) -> Tensor:
        return self.maps


class _Tokens(Parts):
    atom = "tokens"

    def __init__(self, activation: Tensor, layout: Layout) -> None:
        super().__init__(activation, layout)
        self.shape = (layout.n_unplaced,)
        self.remainders = ("positions",)

    def part(self, atom: int) -> Tensor:
        part, token = torch.zeros_like(self.activation), self.layout.token_places[atom]
        part[:, token] = self.activation[:, token]
        return part

    def directions(self) -> Iterator[Tensor]:
        yield from self.parts()
        yield self.layout.from_maps(self.maps)


class _Group(Parts):
    atom = "group"

    def __init__(self, activation: Tensor, layout: Layout, reducer: Any) -> None:
        super().__init__(activation, layout)
        self.pieces: Pieces = take_apart(reducer, activation, layout)
        self.shape = (len(self.pieces.components),)
        self.remainders = ("residual", *self.remainders)

    def part(self, atom: int) -> Tensor:
        direction = self.pieces.components[atom]
        return self.pieces.scores[:, atom, None] * direction[None, :, None, None]

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


class _Some(Parts):
    """Some of the atoms that are counted along one axis; the others are one remainder."""

    def __init__(self, every: Parts, wanted: Sequence[int]) -> None:
        super().__init__(every.activation, every.layout)
        self.atom, self.shape = every.atom, (len(wanted),)
        self.remainders = (OTHERS, *every.remainders)
        self._every, self._wanted = every, tuple(wanted)

    def part(self, atom: int) -> Tensor:
        return self._every.part(self._wanted[atom])

    def leftovers(self) -> Iterator[Tensor]:
        rest = list(self._every.leftovers())
        yield self.activation - sum([*rest, *self._placed(self.parts())])
        yield from rest

    def received(self, gradient: Tensor) -> AtomValues:
        return self._every.received(gradient).some(self._wanted)


_KINDS: dict[str, type[Parts]] = {
    "spatial": _Spatial,
    "channel": _Channel,
    "neuron": _Neuron,
    "whole": _Whole,
    "tokens": _Tokens,
}


def parts_of(
    atom: Any, activation: Tensor, layout: Layout, wanted: Sequence[int] | None = None
) -> Parts:
    """The parts of a source layer's activation.

    Args:
        atom: spatial, channel, neuron, whole or tokens, or a fitted reducer.
        activation: the layer's output.
        layout: of the layer.
        wanted: only these channels or groups; what all others stand for is the remainder "others".

    Raises:
        UnknownName: there is no such atom.
        InvalidArgument: the layer has no such atom, or the reducer does not fit; of the atoms some
            cannot be asked for.
        WrongType: some are asked for by what is no whole number.
    """
    parts = _all_parts(atom, activation, layout)
    if wanted is None:
        return parts
    numbers = [whole_number(each) for each in wanted]
    if parts.atom not in ("channel", "group"):
        raise InvalidArgument(f"sources= picks channels or groups; atoms here are {parts.atom}")
    if wrong := [each for each in numbers if not 0 <= each < parts.shape[0]]:
        raise InvalidArgument(
            f"sources= names {parts.atom} {wrong[0]}; there are 0 to {parts.shape[0] - 1}"
        )
    return _Some(parts, numbers)


def _all_parts(atom: Any, activation: Tensor, layout: Layout) -> Parts:
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
