"""Activations with one atom taken out, and something put in its place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from captum_blocks.attr.reducers import check_width, fitted_components, group_scores
from captum_blocks.errors import InvalidArgument, UnknownName, did_you_mean
from captum_blocks.layouts import Layout

FILLS = ("zero", "mean", "resample")
ATOMS = ("channel", "spatial", "neuron", "whole", "tokens")
Fill = Literal["zero", "mean", "resample"] | Tensor


@dataclass(frozen=True, eq=False)
class Held:
    """A layer's activation of one picture.

    Attributes:
        output: (1, ...), in the layer's own layout.
        layout: of it.
    """

    output: Tensor
    layout: Layout

    @property
    def maps(self) -> Tensor:
        """(1, channel, y, x)."""
        return self.layout.to_maps(self.output)

    @property
    def tokens(self) -> Tensor:
        """(1, token, channel)."""
        return self.layout.tokens(self.output)

    def of(self, maps: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Maps and tokens (row, ...) in the layer's own layout; its own tokens where None."""
        held = self.tokens.expand(len(maps), -1, -1) if tokens is None else tokens
        return self.layout.from_maps(maps, held, self.output.ndim)


class Removal(ABC):
    """One row for each atom of a kind: the activation without that atom alone.

    Args:
        held: the activation.
        filling: what stands in an atom's place: an activation of the same shape, or None for the
            mean of each atom over the positions.

    Attributes:
        shape: of the axes that count atoms.
    """

    shape: tuple[int, ...]

    def __init__(self, held: Held, filling: Held | None) -> None:
        self.held, self.filling = held, filling
        self.maps = held.maps
        self.fill = self._means() if filling is None else filling.maps
        self.shape = self.counted()

    @property
    def count(self) -> int:
        """How many atoms there are."""
        return torch.Size(self.shape).numel()

    def _means(self) -> Tensor:
        return self.maps.mean((2, 3), keepdim=True).expand_as(self.maps)

    def _filled(self) -> Tensor:
        """The layer with the filling everywhere, (1, *layer)."""
        return self.held.of(self.fill) if self.filling is None else self.filling.output

    def _copies(self, count: int) -> Tensor:
        """(count, channel, y, x), to be changed."""
        kind = torch.channels_last if self.maps.shape[2:].numel() > 1 else torch.contiguous_format
        return self.maps.expand(count, -1, -1, -1).clone(memory_format=kind)

    @abstractmethod
    def counted(self) -> tuple[int, ...]:
        """The axes that count atoms."""

    @abstractmethod
    def rows(self, atoms: Tensor) -> Tensor:
        """The activations (row, ...) without each of some atoms alone, in the layer's layout.

        Args:
            atoms: (row,) of whole numbers, counted along the axes of ``shape``.

        Returns:
            Rows that belong to nobody else, and may be written to.
        """

    def changing(self) -> Tensor:
        """Atoms without which anything is another number: a filling may equal what it stands for.

        Returns:
            (atom,) of whole numbers, counted along the axes of ``shape``.
        """
        return self._differs().flatten().nonzero().flatten()

    @abstractmethod
    def _differs(self) -> Tensor:
        """Of the axes of ``shape``, booleans."""

    @abstractmethod
    def without(self, absent: Tensor) -> Tensor:
        """The activations (row, ...) without several atoms at once, in the layer's layout.

        Args:
            absent: (row, atom) of booleans; atoms are counted along the axes of ``shape``.
        """


class _Channels(Removal):
    def counted(self) -> tuple[int, ...]:
        return (self.maps.shape[1],)

    def _differs(self) -> Tensor:
        return (self.maps != self.fill)[0].flatten(1).any(1)

    def rows(self, atoms: Tensor) -> Tensor:
        maps = self._copies(len(atoms))
        maps[torch.arange(len(atoms)), atoms] = self.fill[0, atoms]
        return self.held.of(maps)

    def without(self, absent: Tensor) -> Tensor:
        return self.held.of(torch.where(absent[:, :, None, None], self.fill, self.maps))


class _Places(Removal):
    def counted(self) -> tuple[int, ...]:
        return tuple(self.maps.shape[2:])

    def _differs(self) -> Tensor:
        return (self.maps != self.fill)[0].any(0)

    def rows(self, atoms: Tensor) -> Tensor:
        maps = self._copies(len(atoms))
        y, x = atoms // self.shape[1], atoms % self.shape[1]
        maps[torch.arange(len(atoms)), :, y, x] = self.fill[0, :, y, x].T
        return self.held.of(maps)

    def without(self, absent: Tensor) -> Tensor:
        there = absent.reshape(-1, 1, *self.shape)
        return self.held.of(torch.where(there, self.fill, self.maps))


class _Neurons(Removal):
    """Every number of the layer, those of tokens included."""

    def counted(self) -> tuple[int, ...]:
        return tuple(self.held.output.shape[1:])

    def _differs(self) -> Tensor:
        return self.held.output[0] != self._filled()[0]

    def rows(self, atoms: Tensor) -> Tensor:
        output = self.held.output.expand(len(atoms), *self.shape).clone()
        flat = output.reshape(len(atoms), -1)
        flat[torch.arange(len(atoms)), atoms] = self._filled().reshape(-1)[atoms]
        return flat.reshape(len(atoms), *self.shape)

    def without(self, absent: Tensor) -> Tensor:
        there = absent.reshape(-1, *self.shape)
        return torch.where(there, self._filled(), self.held.output)


class _Whole(Removal):
    """The whole layer, tokens included."""

    def counted(self) -> tuple[int, ...]:
        return ()

    def _differs(self) -> Tensor:
        return (self.held.output != self._filled()).any()

    def rows(self, atoms: Tensor) -> Tensor:
        return self._filled().clone()

    def without(self, absent: Tensor) -> Tensor:
        there = absent.reshape(-1, *[1] * (self.held.output.ndim - 1))
        return torch.where(there, self._filled(), self.held.output)


class _Tokens(Removal):
    def __init__(self, held: Held, filling: Held | None) -> None:
        if not held.layout.n_unplaced:
            raise InvalidArgument("this layer has no class or register tokens to take away")
        if filling is None:
            raise InvalidArgument(
                "fill='mean' is over positions, and class and register tokens have none; fill with "
                "'zero', 'resample' or a tensor"
            )
        super().__init__(held, filling)

    def counted(self) -> tuple[int, ...]:
        return (self.held.layout.n_unplaced,)

    def _differs(self) -> Tensor:
        assert self.filling is not None
        places = list(self.held.layout.token_places[: self.count])
        return (self.held.output != self.filling.output)[0, places].any(1)

    def rows(self, atoms: Tensor) -> Tensor:
        assert self.filling is not None
        places = [self.held.layout.token_places[token] for token in atoms.tolist()]
        output = self.held.output.repeat(len(atoms), 1, 1)
        output[torch.arange(len(atoms)), places] = self.filling.output[0, places]
        return output

    def without(self, absent: Tensor) -> Tensor:
        assert self.filling is not None
        output = self.held.output.repeat(len(absent), 1, 1)
        places = list(self.held.layout.token_places[: self.count])
        output[:, places] = torch.where(
            absent[..., None], self.filling.output[:, places], output[:, places]
        )
        return output


class Groups(Removal):
    """Each group's part of the activation is taken out; the residual and the tokens stay.

    A group's part is its score at each position times its direction.
    """

    def __init__(self, held: Held, filling: Held | None, reducer: Any) -> None:
        self.components = fitted_components(reducer).to(held.output)
        check_width(self.components, held.output, held.layout)
        self.scores = group_scores(reducer, held.output, held.layout)
        if filling is None:
            self.instead = self.scores.mean((2, 3), keepdim=True).expand_as(self.scores)
        elif bool(filling.output.any()):
            self.instead = group_scores(reducer, filling.output, held.layout)
        else:
            self.instead = torch.zeros_like(self.scores)
        super().__init__(held, filling)

    def counted(self) -> tuple[int, ...]:
        """(groups,)."""
        return (len(self.components),)

    def _differs(self) -> Tensor:
        return (self.instead != self.scores)[0].flatten(1).any(1)

    def rows(self, atoms: Tensor) -> Tensor:
        """The activations without the parts of some groups."""
        change = (self.instead - self.scores)[0, atoms, None]
        return self.held.of(self.maps + change * self.components[atoms, :, None, None])

    def without(self, absent: Tensor) -> Tensor:
        """The activations without the parts of several groups at once."""
        changes = absent.to(self.maps)[:, :, None, None] * (self.instead - self.scores)
        return self.held.of(self.maps + torch.einsum("rgyx,gc->rcyx", changes, self.components))

    def strength(self) -> Tensor:
        """(group,): the size of each group's part of the activation."""
        found: Tensor = self.scores[0].flatten(1).norm(dim=1) * self.components.norm(dim=1)
        return found

    def parts(self, groups: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The parts of some groups and the rest of the activation, and what stands in their place.

        Returns:
            Two of (group + 1, *layer); each sums to an activation: this one, and the filling.
        """
        whole = self._filled()
        there = self._apart(self.scores, groups, self.held.output)
        return there, self._apart(self.instead, groups, whole)

    def _apart(self, scores: Tensor, groups: Sequence[int], whole: Tensor) -> Tensor:
        directions = self.components[list(groups), :, None, None]
        tokens = self.held.tokens.new_zeros(len(groups), *self.held.tokens.shape[1:])
        parts = self.held.of(scores[0, list(groups), None] * directions, tokens)
        return torch.cat([parts, whole - parts.sum(0, keepdim=True)])


_KINDS: dict[str, type[Removal]] = {
    "channel": _Channels,
    "spatial": _Places,
    "neuron": _Neurons,
    "whole": _Whole,
    "tokens": _Tokens,
}


def removal(atom: Any, held: Held, filling: Held | None) -> Removal:
    """The rows of an atom.

    Args:
        atom: its name, or a fitted reducer.
        held: the activation.
        filling: what stands in an atom's place; None for its mean over the positions.

    Raises:
        UnknownName: there is no such atom.
        InvalidArgument: the layer has no such atom, or the reducer does not fit.
    """
    if not isinstance(atom, str):
        return Groups(held, filling, atom)
    if atom not in _KINDS:
        raise UnknownName(
            f"no atom {atom!r} to take away{did_you_mean(atom, ATOMS)}; known: {', '.join(ATOMS)}, "
            "or a fitted reducer for groups"
        )
    return _KINDS[atom](held, filling)


def check_fill(fill: Any, others: Tensor | None) -> None:
    """Whether a filling is known, and has the photographs that it is made of.

    Raises:
        UnknownName: there is none of that name.
        InvalidArgument: photographs are missing, or given in vain.
    """
    if not isinstance(fill, Tensor) and fill not in FILLS:
        hint = did_you_mean(str(fill), FILLS) or f"; there are {', '.join(FILLS)}, or a tensor"
        raise UnknownName(f"no filling {fill!r}{hint}")
    resampled = isinstance(fill, str) and fill == "resample"
    if resampled and others is None:
        raise InvalidArgument(
            "fill='resample' puts in what other photographs have there: give them as others=, "
            "(photograph, ...) as the network takes them"
        )
    if others is not None and not resampled:
        raise InvalidArgument("others= are the photographs of fill='resample', and of no other")


def filling_tensor(fill: Tensor, activation: Tensor, layout: Layout) -> Tensor:
    """A tensor given as filling, as (1 or image, *layer).

    Args:
        fill: (channel,), or (*layer), (1, *layer) or (image, *layer) in the layer's own layout.
        activation: (image, *layer).
        layout: of the layer.

    Raises:
        InvalidArgument: it has another shape, or numbers that are not finite.
    """
    shape, given = activation.shape, fill.detach().to(activation)
    if not bool(torch.isfinite(given).all()):
        raise InvalidArgument("the filling holds NaN or infinite values")
    if given.ndim == 1 and len(given) == shape[layout.channel_axis]:
        axis = layout.channel_axis % activation.ndim
        given = given.reshape([-1 if place == axis else 1 for place in range(activation.ndim)])
        return given.expand(1, *shape[1:])
    if given.shape == shape[1:]:
        given = given[None]
    if given.shape[1:] != shape[1:] or len(given) not in (1, shape[0]):
        raise InvalidArgument(
            f"a filling of shape {tuple(fill.shape)} does not fit a layer of shape {tuple(shape)}; "
            f"give {tuple(shape)}, {tuple(shape[1:])}, or a number for each channel"
        )
    return given
