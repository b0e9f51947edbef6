"""A layer looked at once, ready for its atoms to be taken away."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks.attr.reducers import Reducer
from captum_blocks.attr.removal import Fill, Groups, Held, Removal, filling_tensor, removal
from captum_blocks.attr.shapley import MOST_GROUPS, coalitions
from captum_blocks.attr.tail import Tail

Network = Callable[..., Any]


def called_with(network: nn.Module, additional: Any, image: int, images: int) -> Network:
    """The network as a function of one image, with what else it is called with for that image.

    Args:
        network: takes the images and further arguments.
        additional: those, as Captum takes them; tensors with a row for each image are cut.
        image: which.
        images: how many there are.
    """
    if additional is None:
        return network
    own = [
        each[image : image + 1] if getattr(each, "shape", ())[:1] == (images,) else each
        for each in as_tuple(additional)
    ]
    return lambda x: network(x, *own)


def as_tuple(additional: Any) -> tuple[Any, ...]:
    """Captum's ``additional_forward_args`` as a tuple.

    >>> as_tuple(None), as_tuple(0.5)
    ((), (0.5,))
    """
    if additional is None:
        return ()
    return additional if isinstance(additional, tuple) else (additional,)


@dataclass(frozen=True, eq=False)
class Looked:
    """A layer and one image, ready for removals.

    Attributes:
        name: of the layer.
        tail: what lies behind it.
        held: its activation of the image.
        others: its activation of other photographs, (photograph, *layer); None where none are
            given.
        images: how many images there are in all, each of which costs as much.
        at_once: rows that go through together; None: what a budget of memory holds.
    """

    name: str
    tail: Tail
    held: Held
    others: Tensor | None
    images: int
    at_once: int | None

    @property
    def step(self) -> int:
        """Rows that go through together."""
        return self.at_once or self.tail.rows

    def fillings(self, fill: Fill) -> list[Held | None]:
        """What stands in an atom's place, each in turn; None for its mean over positions."""
        layout = self.held.layout
        if isinstance(fill, Tensor):
            return [Held(filling_tensor(fill, self.held.output, layout), layout)]
        if fill == "resample":
            assert self.others is not None
            return [Held(one[None], layout) for one in self.others]
        return [None if fill == "mean" else Held(torch.zeros_like(self.held.output), layout)]

    def without(self, atom: Any, fill: Fill) -> Tensor:
        """(filling, *atoms, class): the logits without each atom."""
        rows = [removal(atom, self.held, filling) for filling in self.fillings(fill)]
        total = self.images * sum(each.count for each in rows)
        found = torch.stack([self._without(each, total) for each in rows])
        return found.reshape(len(rows), *(rows[0].shape or (1,)), -1)

    def _without(self, atoms: Removal, total: int) -> Tensor:
        """(atom, class): the logits without each atom."""
        spans = (
            (first, min(first + self.step, atoms.count))
            for first in range(0, atoms.count, self.step)
        )
        chunks = (atoms.rows(*span) for span in spans)
        what = f"{total:,} removals at layer {self.name!r}"
        return torch.cat(list(self.tail.scores(chunks, total, what)))

    def together(self, atom: Any, fill: Fill, sets: Sequence[Sequence[int]]) -> Tensor:
        """(filling, set, class): the logits without all atoms of a set."""
        found, total = [], self.images * len(sets)
        for filling in self.fillings(fill):
            atoms = removal(atom, self.held, filling)
            pieces = (sets[first : first + self.step] for first in range(0, len(sets), self.step))
            chunks = (torch.cat([atoms.together(each) for each in piece]) for piece in pieces)
            what = f"{total:,} joint removals at layer {self.name!r}"
            found.append(torch.cat(list(self.tail.scores(chunks, total, what))))
        return torch.stack(found)

    @property
    def own(self) -> Tensor:
        """(class,): the logits as they are, computed as those of removals are."""
        return next(self.tail.scores([self.held.output]))[0]

    def groups(self, fill: Fill, reducer: Reducer) -> list[Groups]:
        """The groups, for each filling."""
        return [Groups(self.held, filling, reducer) for filling in self.fillings(fill)]

    def subsets(self, fillings: Sequence[Groups], taken: Sequence[int]) -> Tensor:
        """(filling, subset, class): the logits of every subset of some groups and the rest."""
        present, found = coalitions(len(taken) + 1), []
        total = self.images * len(fillings) * len(present)
        for groups in fillings:
            made = _assembling(*groups.parts(taken))
            chunks = (made(rows) for rows in present.to(self.held.output).split(self.step))
            answers = self.tail.scores(chunks, total, f"{total:,} subsets at layer {self.name!r}")
            found.append(torch.cat(list(answers)))
        return torch.stack(found)

    def with_others(self) -> Tensor:
        """(photograph, class): the image's logits with the layer taken from each other."""
        assert self.others is not None
        return torch.cat(list(self.tail.scores(self.others.split(self.step))))


def _assembling(there: Tensor, instead: Tensor) -> Callable[[Tensor], Tensor]:
    """From which parts are present, (row, part), to activations (row, *layer).

    Args:
        there: (part, *layer).
        instead: (part, *layer), what stands in their place.
    """
    # Laid out as convolutions read fastest, so that rows come out so.
    own, others = (parts.movedim(1, -1).contiguous() for parts in (there, instead))
    change, nobody = (own - others).flatten(1), others.sum(0).flatten()

    def assembled(present: Tensor) -> Tensor:
        rows: Tensor = torch.addmm(nobody, present, change).unflatten(1, own.shape[1:])
        return rows.movedim(-1, 1)

    return assembled


def strongest(groups: Sequence[Groups]) -> tuple[int, ...]:
    """Which groups become players: all, or the eight with the largest part of the activation."""
    strength = torch.stack([each.strength() for each in groups]).norm(dim=0)
    if len(strength) <= MOST_GROUPS:
        return tuple(range(len(strength)))
    warnings.warn(
        f"{len(strength)} groups have {2 ** (len(strength) + 1):,} subsets: the {MOST_GROUPS} "
        "strongest are taken, and the others belong to the rest of the layer",
        stacklevel=4,
    )
    return tuple(sorted(strength.topk(MOST_GROUPS).indices.tolist()))
