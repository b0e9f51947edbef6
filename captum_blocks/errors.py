"""The errors this package raises on purpose.

Each one says what was given, what is near, and what to do. Each also inherits the built-in error
it refines, so that callers who catch ``ValueError`` or ``KeyError`` keep working.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST_MESSAGE = 4000
_LONGEST_NAME = 200
# Control characters but for line ends, what turns the direction of writing, halves of characters.
_ILLEGIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def legible(text: str) -> str:
    """Text that a terminal only shows and any file can hold: what is no letter becomes "?".

    >>> legible("layer\\x1b[31m")
    'layer?[31m'
    """
    return _ILLEGIBLE.sub("?", text)


class BlocksError(Exception):
    """Base of every error raised on purpose by ``captum_blocks``.

    >>> str(UnknownName("no layer 'conv11'"))
    "no layer 'conv11'"
    >>> issubclass(LayerNotFound, BlocksError), issubclass(InvalidArgument, ValueError)
    (True, True)
    """

    def __str__(self) -> str:
        # KeyError would show the repr of its message: quotes and escapes nobody wants to read.
        text = legible(" ".join(str(part) for part in self.args))
        return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."


class InvalidArgument(BlocksError, ValueError):
    """A value of the right type that cannot be used."""


class WrongType(BlocksError, TypeError):
    """A value of a type that cannot be used."""


class UnknownName(BlocksError, KeyError):
    """A name (of a class, network, method, quality, ...) that nothing is registered under."""


class LayerNotFound(UnknownName):
    """A layer name that the network does not have."""


class MissingDependency(BlocksError, ImportError):
    """An optional package that is needed for what was asked and is not installed."""


class UnreadableImage(BlocksError, ValueError):
    """A file that cannot be read as a picture."""


class WeightsUnavailable(BlocksError, OSError):
    """Weights that are not on this machine and cannot be fetched."""


class NotWritten(BlocksError, OSError):
    """A folder that is full or may not be written to, so that something is missing from it."""


class UnsupportedMethod(BlocksError, ValueError):
    """An attribution method that cannot answer the question asked of it."""


class UnusableLayer(BlocksError, ValueError):
    """A layer whose output cannot be looked at: never called, no tensor, no gradient."""


class UnusableOutput(UnusableLayer, InvalidArgument):
    """What a network returns, where it cannot be read as one row of scores for each picture."""


def did_you_mean(name: str, known: Iterable[str], limit: int = 3) -> str:
    """``"; did you mean 'a' or 'b'?"``, or nothing where no known name is near.

    >>> did_you_mean("conv11", ["conv1", "conv2", "head"])
    "; did you mean 'conv1' or 'conv2'?"
    >>> did_you_mean("cat", ["crate", "tiger cat"])
    "; did you mean 'tiger cat' or 'crate'?"
    """
    if len(name) > _LONGEST_NAME:  # to compare it would take for ever, and nothing is near
        return ""
    names = [each for each in dict.fromkeys(known) if len(each) <= _LONGEST_NAME]
    word = name.casefold()
    inside = [each for each in names if word in each.casefold().replace(",", " ").split()]
    near = [*inside, *get_close_matches(name, names, n=limit, cutoff=0.5)]
    near = list(dict.fromkeys(near))[:limit]
    if not near:
        return ""
    return "; did you mean " + " or ".join(repr(match) for match in near) + "?"
