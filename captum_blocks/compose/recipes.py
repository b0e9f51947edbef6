"""The words of ``FeatureVis(recipe=)`` and the picture sources that they name."""

from __future__ import annotations

from collections.abc import Callable

from captum_blocks.compose.pictures import sources
from captum_blocks.grammar import name_recipe


def picture_source(name: str) -> Callable[[sources.S], sources.S]:
    """Register a class that draws pictures: a ``PictureSource``.

    Args:
        name: as in ``FeatureVis(content, recipe=name)``.

    Raises:
        WrongType: it is no subclass of ``PictureSource``.

    >>> import numpy as np
    >>> @picture_source("grey")
    ... class Grey(sources.PictureSource):
    ...     def draw(self, requests, renderer):
    ...         grey = np.full((8, 8, 3), 127, np.uint8)
    ...         return {
    ...             key: sources.Icon(grey, each.label) for each in requests for key in each.keys
    ...         }
    >>> sources.source_named("grey").name
    'grey'
    """

    def registered(source: sources.S) -> sources.S:
        made = sources.register(name)(source)
        name_recipe(name)
        return made

    return registered
