"""An interface with photographs beside every icon."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from captum_blocks.grammar.datasets import OPTIMIZED, Dataset
from captum_blocks.grammar.operations import rewritten
from captum_blocks.grammar.presentation import FeatureVis, Interface


def exampled(interface: Interface, dataset: Dataset) -> Interface:
    """The same with a data set's photographs beside the pictures of all channels and groups.

    Pictures that say themselves what makes them, and mosaics of positions, stay as they are.

    >>> from captum_blocks.grammar import Hidden
    >>> page = Interface((FeatureVis(Hidden("layer3").channels[:4]),))
    >>> exampled(page, Dataset("birds")).parts[0].by
    ('optimized', Dataset(name='birds'))
    """

    def change(part: Any) -> Any:
        if isinstance(part, FeatureVis) and part.by is None and part.recipe in (None, OPTIMIZED):
            return replace(part, by=(OPTIMIZED, dataset))
        return part

    made: Interface = rewritten(interface, change)
    return made
