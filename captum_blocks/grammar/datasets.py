"""Data sets as a substrate: photographs of the reader's own, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from captum_blocks.errors import InvalidArgument, WrongType, did_you_mean
from captum_blocks.grammar.spec import word

OPTIMIZED = "optimized"
RANKS = ("top", "bottom", "quantiles", "random", "meanings")
MOST_CROPS = 12


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


By = str | Dataset | tuple[str | Dataset, ...]


def checked_by(by: By | None) -> By | None:
    """What makes pictures of atoms: one word without brackets, or several, each once.

    Raises:
        WrongType, InvalidArgument: something else than "optimized" or a data set; two data sets.

    >>> checked_by(["optimized"]), checked_by(("optimized", Dataset("birds")))
    ('optimized', ('optimized', Dataset(name='birds')))
    """
    if by is None:
        return None
    words = tuple(dict.fromkeys(by if isinstance(by, (list, tuple)) else (by,)))
    for each in words:
        if isinstance(each, str) and each != OPTIMIZED:
            raise InvalidArgument(
                f"by={each!r} is neither 'optimized' nor a data set: "
                f"by=Dataset({each!r}) with given={{{each!r}: index}}"
            )
        if not isinstance(each, (str, Dataset)):
            raise WrongType(
                f"by= takes 'optimized', Dataset('birds') or both, not {each!r}; the index is "
                "handed over with given={'birds': index}"
            )
    if len([each for each in words if isinstance(each, Dataset)]) > 1:
        raise InvalidArgument("by= takes one data set; show another one in a FeatureVis of its own")
    if not words:
        raise InvalidArgument("by=() makes no pictures: leave it out, or take InfoVis")
    return words[0] if len(words) == 1 else words


def check_crops(n: int, rank: str) -> None:
    """Refuse a number of crops, or an order of them, that there is not.

    >>> check_crops(4, "random")
    """
    if type(n) is not int:
        raise WrongType(f"n={n!r}: so many crops beside a picture, a whole number")
    if not 1 <= n <= MOST_CROPS:
        raise InvalidArgument(f"n={n}: from 1 to {MOST_CROPS} crops stand beside a picture")
    if rank not in RANKS:
        hint = did_you_mean(str(rank), RANKS)
        raise InvalidArgument(f"rank={rank!r} is none of {', '.join(RANKS)}{hint}")


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
