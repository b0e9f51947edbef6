"""From a layer's activation to one number per atom: the activation of each kind of atom."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from captum_blocks.errors import UnsupportedMethod
from captum_blocks.grammar import ATOMS

Pool = Callable[[Tensor], Tensor]
_POOLS: dict[str, Pool] = {}


def pools(atom: str) -> Callable[[Pool], Pool]:
    """Register what the activation of a kind of atom is.

    The function takes maps (image, channel, y, x) to (image, *axes of the atom).

    Args:
        atom: its name.

    >>> @pools("row")
    ... def rows(maps):
    ...     return maps.mean((1, 3))
    >>> import torch
    >>> rows(torch.ones(1, 3, 2, 5)).shape
    torch.Size([1, 2])
    >>> del _POOLS["row"]
    """

    def register(function: Pool) -> Pool:
        _POOLS[atom] = function
        return function

    return register


@pools("neuron")
def _as_they_are(maps: Tensor) -> Tensor:
    return maps


@pools("spatial")
def _lengths(maps: Tensor) -> Tensor:
    lengths: Tensor = maps.norm(dim=1)
    return lengths


@pools("group")
@pools("channel")
def _means(maps: Tensor) -> Tensor:
    return maps.mean((2, 3))


@pools("whole")
def _length(maps: Tensor) -> Tensor:
    length: Tensor = maps.flatten(1).norm(dim=1)
    return length


def pooled(atom: str, maps: Tensor, tokens: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The numbers of a layer's atoms, and the maps behind them.

    Args:
        atom: what is counted.
        maps: (image, channel or group, y, x).
        tokens: (image, token, channel), for atoms that are tokens.

    Returns:
        (image, *axes) and (image, atom, y, x) or, for positions, the numbers themselves; None for
        atoms without places.

    Raises:
        UnsupportedMethod: nothing says what the activation of such an atom is.
    """
    if tokens is not None:
        return tokens.norm(dim=2), None
    if atom not in _POOLS:
        raise UnsupportedMethod(
            f"nothing says what the activation of a {atom} is; add a function with @pools({atom!r})"
        )
    data = _POOLS[atom](maps)
    if not ATOMS[atom].places:
        return data, None
    return data, data if atom == "spatial" else maps
