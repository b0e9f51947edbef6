"""Answers that change as the reader switches atoms off: a table of all combinations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from captum_blocks.errors import InvalidArgument


@dataclass(frozen=True, eq=False)
class Switched:
    """What a network answers to every set of atoms that is left.

    Attributes:
        selection: name of the selection that says which atoms are off.
        keys: of the atoms, in the order of their bits: bit i of a row's number says that atom i is
            there.
        names: of the atoms, as printed.
        scores: (row, answer) float32, in the order of the panel's marks.
        rest: (row,), the logarithm of the sum of exponentials of all other answers' scores.
        head: how scores become probabilities: "classes" (softmax), "labels" (sigmoid),
            "probabilities" (they are), or "values" (they have none).

    Raises:
        InvalidArgument: the table has another size.
    """

    selection: str
    keys: tuple[str, ...]
    names: tuple[str, ...]
    scores: np.ndarray
    rest: np.ndarray
    head: str

    def __post_init__(self) -> None:
        rows = 2 ** len(self.keys)
        if len(self.scores) != rows or self.rest.shape != (rows,) or self.scores.ndim != 2:
            raise InvalidArgument(
                f"{len(self.keys)} switches have {rows} states, and the table has scores "
                f"{self.scores.shape} and a rest {self.rest.shape}"
            )
        if len(self.names) != len(self.keys):
            raise InvalidArgument(f"{len(self.names)} names for {len(self.keys)} switches")
