"""Data sets as a substrate: photographs of the reader's own, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.grammar.spec import word


@word
@dataclass(frozen=True)
class Dataset:
    """Photographs of which an index was made.

    The index is handed over when a page is made: ``explain(..., given={"birds": index})``.

    Attributes:
        name: of the index in ``given``.

    Raises:
        WrongType, InvalidArgument: no name.

    >>> Dataset("birds")
    Dataset(name='birds')
    """

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise WrongType(
                f"a data set is named, Dataset('birds'), and its index is handed over with "
                f"given={{'birds': index}}; not {type(self.name).__name__}"
            )
        if not self.name:
            raise InvalidArgument("a data set needs a name: Dataset('birds')")


def check_stands(source: Any) -> None:
    """Whether photographs of a data set have the same numbers.

    Args:
        source: atoms, known by their fields.

    Raises:
        InvalidArgument: they are no channels or neurons of a hidden layer.
    """
    if source.atom not in ("channel", "neuron") or not hasattr(source.layer, "layer"):
        raise InvalidArgument(
            f"{source!r} stands among nothing: an index knows channels of hidden layers; take "
            "Hidden(...).channels, or .neurons filtered to a place"
        )
