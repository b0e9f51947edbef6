"""A layer looked at once, ready for its atoms to be taken away."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks.attr.head import no_such_class, whole_number
from captum_blocks.attr.odds import Score, scored
from captum_blocks.attr.reducers import Reducer
from captum_blocks.attr.removal import Fill, Groups, Held, Removal, filling_tensor, removal
from captum_blocks.attr.shapley import MOST_GROUPS, coalitions
from captum_blocks.attr.tail import Tail
from captum_blocks.errors import InvalidArgument, WrongType

Network = Callable[..., Any]
# In units in the last place of the largest logit or score.
_ROUNDING = 8


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
    others: Tensor | None = None
    images: int = 1
    at_once: int | None = None

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

    @property
    def own(self) -> Tensor:
        """(class,): the logits as they are, computed as those of removals are."""
        return self.tail.own

    def rounding(self, target: int, score: Score) -> float:
        """Below this, two scores are the same: sums over rows are ordered by how many there are."""
        logits = self.tail.seen.scores
        largest = max(float(logits.abs().max()), float(scored(logits, target, score).abs()))
        return largest * _ROUNDING * torch.finfo(logits.dtype).eps

    def without(self, atom: Any, fill: Fill) -> Tensor:
        """(filling, *atoms, class): the logits without each atom."""
        rows = self._removals(atom, fill)
        changing = [each.changing() for each in rows]
        total = self.images * sum(map(len, changing))
        found = [self._without(*each, total) for each in zip(rows, changing, strict=True)]
        return torch.stack(found).reshape(len(rows), *(rows[0].shape or (1,)), -1)

    def _without(self, atoms: Removal, changing: Tensor, total: int) -> Tensor:
        """(atom, class): the logits without each atom; as they are where that changes nothing."""
        found = self.own.repeat(atoms.count, 1)
        if len(changing):
            chunks = (atoms.rows(some) for some in changing.split(self.step))
            what = f"{total:,} removals at layer {self.name!r}"
            found[changing] = torch.cat(list(self.tail.scores(chunks, total, what)))
        return found

    def together(self, atom: Any, fill: Fill, sets: Sequence[Sequence[int]]) -> Tensor:
        """(filling, set, class): the logits without all atoms of a set."""
        rows = self._removals(atom, fill)
        check_sets(sets, rows[0].count)
        masks = torch.zeros(len(sets), rows[0].count, dtype=torch.bool)
        for mask, atoms in zip(masks, sets, strict=True):
            mask[list(atoms)] = True
        return torch.stack([self._masked(each, masks, len(rows)) for each in rows])

    def cumulative(self, atom: Any, fill: Fill, order: Tensor, counts: Tensor) -> Tensor:
        """(order, filling, 2, count, class): logits with atoms taken away one after the other.

        Args:
            atom: see ``LayerAblation.attribute``.
            fill: see there.
            order: (order, place) of atoms; those that are left out always stay.
            counts: (count,): how many of the first are taken away, or put back of all.
        """
        rows = self._removals(atom, fill)
        absent = _one_after_the_other(order, counts, rows[0].count)
        found = [self._masked(each, absent.flatten(0, 2), len(rows)) for each in rows]
        return torch.stack([each.unflatten(0, absent.shape[:3]) for each in found], 1)

    def _masked(self, atoms: Removal, masks: Tensor, fillings: int) -> Tensor:
        """(row, class): the logits without the atoms of each mask (row, atom)."""
        total = self.images * fillings * len(masks)
        parts = masks.to(self.held.output.device).split(self.step)
        chunks = (atoms.without(part) for part in parts)
        what = f"{total:,} joint removals at layer {self.name!r}"
        return torch.cat(list(self.tail.scores(chunks, total, what)))

    def _removals(self, atom: Any, fill: Fill) -> list[Removal]:
        """The atoms, for each filling."""
        return [removal(atom, self.held, filling) for filling in self.fillings(fill)]

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
        return torch.cat(list(self.tail.scores(map(torch.clone, self.others.split(self.step)))))


def check_sets(sets: Any, count: int) -> None:
    """Whether these can be sets of atoms.

    Raises:
        WrongType: they are no sequences of whole numbers.
        InvalidArgument: there is none, or an atom that does not exist.
    """
    listed = (list, tuple)
    if not isinstance(sets, listed) or not all(isinstance(each, listed) for each in sets):
        raise WrongType("sets= is a list of lists of atoms' numbers, such as [[3, 7], [3]]")
    if not sets:
        raise InvalidArgument("sets= is empty: name one set at least")
    for atom in (atom for each in sets for atom in each):
        if isinstance(atom, bool) or not isinstance(atom, int):
            raise WrongType(f"sets= holds {atom!r}; atoms are counted by whole numbers")
        if not 0 <= atom < count:
            raise InvalidArgument(f"sets= names atom {atom}, and there are atoms 0 to {count - 1}")


def check_order(order: Any, images: int, points: int) -> None:
    """Whether these can be orders of atoms.

    Raises:
        WrongType: they are no tensor of whole numbers.
        InvalidArgument: they have another shape, or name an atom twice; too few points.
    """
    if not isinstance(order, Tensor) or order.is_floating_point() or order.dtype == torch.bool:
        raise WrongType("order= is a tensor of atoms' numbers, such as attribution.argsort()")
    if order.ndim != 3 or len(order) != images or not order.numel():
        raise InvalidArgument(
            f"order= of shape {tuple(order.shape)} for {images} images; give (image, order, place)"
        )
    held = order.sort(-1).values
    if bool((held[..., 1:] == held[..., :-1]).any()):
        raise InvalidArgument("an order names an atom twice")
    if not isinstance(points, int) or points < 2:
        raise InvalidArgument(f"points={points!r}; there are at least two, none and all of them")


def _one_after_the_other(order: Tensor, counts: Tensor, atoms: int) -> Tensor:
    """(order, 2, count, atom): which are absent where they are taken away, and where put back.

    >>> _one_after_the_other(torch.tensor([[2, 0]]), torch.tensor([0, 1]), 3).int().tolist()
    [[[[0, 0, 0], [0, 0, 1]], [[1, 0, 1], [1, 0, 0]]]]
    """
    if int(order.min()) < 0 or int(order.max()) >= atoms:
        raise InvalidArgument(
            f"an order goes from atom {int(order.min())} to {int(order.max())}, and the layer has "
            f"atoms 0 to {atoms - 1}"
        )
    rank = order.new_full((len(order), atoms), -1)
    rank.scatter_(1, order, torch.arange(order.shape[1]).expand(order.shape))
    before = rank[:, None] < counts[:, None]
    taking_part = rank[:, None] >= 0
    return torch.stack([before & taking_part, ~before & taking_part], 1)


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


def target_of(target: Any, image: int, images: int, classes: int) -> int:
    """The class of one image.

    Raises:
        InvalidArgument: it does not exist, there is not one for each image, or none was given
            where there are several.
        WrongType: it is no integer.
    """
    if target is None:
        if classes > 1:
            raise InvalidArgument(
                f"target=None, and the network has {classes} classes: give one, e.g. target=0"
            )
        return 0
    several = isinstance(target, (list, tuple)) or (isinstance(target, Tensor) and target.ndim)
    wanted = list(target) if several else [target]
    if len(wanted) not in (1, images):
        raise InvalidArgument(f"{len(wanted)} targets for {images} images: give one, or one each")
    found = whole_number(wanted[min(image, len(wanted) - 1)])
    if not -classes <= found < classes:
        raise no_such_class(found, classes)
    return found % classes
