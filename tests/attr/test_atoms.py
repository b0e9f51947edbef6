from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from captum_blocks import grammar
from captum_blocks.attr import ATOMS, to_atoms
from captum_blocks.errors import InvalidArgument, UnknownName


@given(st.sampled_from(sorted(set(ATOMS) - {"group"})), st.integers(1, 3), st.integers(1, 3))
def test_atoms_and_remainders_are_everything(atom: str, channels: int, prefix: int) -> None:
    random = torch.Generator().manual_seed(channels + 10 * prefix)
    maps = torch.randn(2, 3, channels, 2, 4, generator=random).double()
    tokens = torch.randn(2, 3, prefix, channels, generator=random).double()
    found = to_atoms(atom, maps, tokens)
    sizes = {"channel": channels, "y": 2, "x": 4, "token": prefix}
    assert found.data.shape == (2, 3, *(sizes[axis] for axis in found.axes))
    whole = maps.sum((-3, -2, -1)) + tokens.sum((-2, -1))
    torch.testing.assert_close(found.total, whole)


def test_groups_keep_their_residual() -> None:
    found = to_atoms("group", torch.ones(1, 6, 2, 2), torch.ones(1, 1), torch.full((1, 2, 2), 0.5))
    assert found.axes == ("group",)
    assert found.data.tolist() == [[4.0] * 6]
    assert {name: value.item() for name, value in found.remainder.items()} == {
        "residual": 2.0,
        "tokens": 1.0,
    }


def test_no_tokens_no_remainder() -> None:
    assert to_atoms("whole", torch.ones(1, 2, 2, 2), torch.zeros(1, 0, 2)).remainder == {}


def test_unknown_atom() -> None:
    with pytest.raises(UnknownName, match="no atom 'chanel'; did you mean 'channel'"):
        to_atoms("chanel", torch.ones(1, 1, 1))


def test_residual_belongs_to_groups() -> None:
    with pytest.raises(InvalidArgument, match="a residual belongs to the atom 'group'"):
        to_atoms("channel", torch.ones(1, 1, 1, 1), residual=torch.ones(1, 1, 1))


def test_wrong_shapes() -> None:
    with pytest.raises(InvalidArgument, match=r"expected \(\.\.\., channel, y, x\)"):
        to_atoms("channel", torch.ones(3, 3))
    with pytest.raises(InvalidArgument, match="expected 1 leading axes"):
        to_atoms("channel", torch.ones(1, 3, 2, 2), torch.ones(3))
    with pytest.raises(InvalidArgument, match="has no tokens"):
        to_atoms("tokens", torch.ones(1, 3, 2, 2))


def test_the_engines_and_the_grammar_count_atoms_alike() -> None:
    """Two tables, since no engine knows the grammar: one says of what the other is the word."""
    words = {name: atom.axes for name, atom in grammar.ATOMS.items() if "Hidden" in atom.layers}
    engines = {{"tokens": "token"}.get(name, name): axes for name, axes in ATOMS.items()}
    assert engines == words
