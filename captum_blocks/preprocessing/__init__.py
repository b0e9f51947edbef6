"""From a photograph to what a network takes, and back to the place on the photograph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from captum_blocks.preprocessing.declared import WHOLE, Extent, Preprocess
from captum_blocks.preprocessing.measured import FromTransforms

__all__ = ["WHOLE", "Extent", "FromTransforms", "Preprocess", "preprocessing"]


def preprocessing(
    given: Preprocess | FromTransforms | Callable[[Any], Any] | None,
) -> Preprocess | FromTransforms | None:
    """What a network's preprocessing was given as, in a form that can be asked.

    >>> preprocessing(None) is None
    True
    """
    if given is None or isinstance(given, (Preprocess, FromTransforms)):
        return given
    return FromTransforms(given)
