"""One place that turns an attribution tensor into numbers per atom, with the remainder stated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from captum_blocks.errors import InvalidArgument, UnknownName, did_you_mean

ATOMS: dict[str, tuple[str, ...]] = {"tokens": ("token",)}
Sum = Callable[[Tensor], Tensor]
_SUMS: dict[str, Sum] = {}
# The remainder of what atoms have that are not asked for.
OTHERS = "others"


def sums(atom: str, *axes: str) -> Callable[[Sum], Sum]:
    """Register how an attribution is summed up to atoms of a kind.

    The function takes (..., channel, y, x) to (..., *axes); what it leaves out of the sum is lost,
    so every number has to go to one atom.

    Args:
        atom: its name.
        axes: that count its atoms.

    >>> @sums("row", "row")
    ... def rows(maps):
    ...     return maps.sum((-3, -1))
    >>> import torch
    >>> to_atoms("row", torch.ones(1, 3, 2, 5)).data
    tensor([[15., 15.]])
    >>> del ATOMS["row"], _SUMS["row"]
    """

    def register(function: Sum) -> Sum:
        ATOMS[atom], _SUMS[atom] = axes, function
        return function

    return register


@sums("neuron", "channel", "y", "x")
def _as_they_are(maps: Tensor) -> Tensor:
    return maps


@sums("spatial", "y", "x")
def _over_channels(maps: Tensor) -> Tensor:
    return maps.sum(-3)


@sums("group", "group")
@sums("channel", "channel")
def _over_positions(maps: Tensor) -> Tensor:
    return maps.sum((-2, -1))


@sums("whole")
def _over_all(maps: Tensor) -> Tensor:
    return maps.sum((-3, -2, -1))


@dataclass(frozen=True, eq=False)
class AtomValues:
    """One number per atom, and what belongs to none of them.

    Attributes:
        data: (..., *axes): the leading axes are those of the attribution.
        axes: the names of the trailing axes.
        remainder: by name ("residual", "tokens", "positions", "others"), a number per leading
            index. The sum of ``data`` over ``axes`` plus all remainders is the total of the
            attribution.

    >>> import torch
    >>> AtomValues(torch.ones(1, 4), ("channel",), {"tokens": torch.tensor([0.5])}).total
    tensor([4.5000])
    """

    data: Tensor
    axes: tuple[str, ...]
    remainder: dict[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """Everything, of the shape of the leading axes."""
        own = self.data.flatten(self.data.ndim - len(self.axes)).sum(-1) if self.axes else self.data
        return own + sum(self.remainder.values(), own.new_zeros(()))

    def some(self, wanted: Sequence[int]) -> AtomValues:
        """Some of the atoms that are counted along one axis; what the others have remains.

        >>> import torch
        >>> AtomValues(torch.tensor([[1.0, 2.0, 4.0]]), ("channel",)).some([2]).remainder
        {'others': tensor([3.])}
        """
        chosen = self.data[..., list(wanted)]
        others = self.data.sum(-1) - chosen.sum(-1)
        return AtomValues(chosen, self.axes, {OTHERS: others, **self.remainder})


def to_atoms(
    atom: str,
    maps: Tensor,
    tokens: Tensor | None = None,
    residual: Tensor | None = None,
) -> AtomValues:
    """Sum an attribution up to one number per atom.

    Args:
        atom: neuron, spatial, channel, group, whole or tokens.
        maps: (..., channel, y, x); for ``group`` (..., group, y, x).
        tokens: (..., token, channel), or (..., token) when already summed over channels: class
            and register tokens. They are no position and stay a remainder.
        residual: (..., y, x), what the groups leave; only with ``group``.

    Returns:
        The numbers, with axes and remainder.

    Raises:
        UnknownName: there is no such atom.
        InvalidArgument: the tensors do not have the shapes the atom needs.

    >>> import torch
    >>> to_atoms("spatial", torch.ones(1, 3, 2, 2)).data.sum().item()
    12.0
    """
    if atom not in ATOMS:
        raise UnknownName(f"no atom {atom!r}{did_you_mean(atom, ATOMS)}; known: {', '.join(ATOMS)}")
    if maps.ndim < 3:
        raise InvalidArgument(f"maps of shape {tuple(maps.shape)}; expected (..., channel, y, x)")
    if residual is not None and atom != "group":
        raise InvalidArgument(f"a residual belongs to the atom 'group', not to {atom!r}")
    held = None if tokens is None else _per_token(tokens, maps.ndim - 3)
    if atom == "tokens":
        if held is None:
            raise InvalidArgument("this attribution has no tokens")
        return AtomValues(held, ATOMS[atom], {"positions": maps.sum((-3, -2, -1))})
    remainder = {}
    if residual is not None:
        remainder["residual"] = residual.sum((-2, -1))
    if held is not None and held.shape[-1]:
        remainder["tokens"] = held.sum(-1)
    return AtomValues(_SUMS[atom](maps), ATOMS[atom], remainder)


def _per_token(tokens: Tensor, leading: int) -> Tensor:
    if tokens.ndim == leading + 2:
        return tokens.sum(-1)
    if tokens.ndim == leading + 1:
        return tokens
    raise InvalidArgument(
        f"tokens of shape {tuple(tokens.shape)}; expected {leading} leading axes, then token "
        "and possibly channel"
    )
