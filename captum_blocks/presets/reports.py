"""Presets as chapters of one page."""

from __future__ import annotations

from captum_blocks.grammar import Interface, Out, Selection
from captum_blocks.presets.deciding import (
    channel_attribution,
    compare_classes,
    group_attribution,
    levels,
    spatial_attribution,
)
from captum_blocks.presets.looking import (
    activation_grid,
    neuron_groups,
    semantic_dictionary,
)
from captum_blocks.presets.words import TOP_TWO, How, Layer, some


def report(
    *layers: Layer,
    groups: int | Selection | None = None,
    classes: Out = TOP_TWO,
    method: How | None = None,
) -> Interface:
    """One decision as chapters, from the answer to the single channel: every preset once.

    Its first screen tells the answer and its rival, and what each group of the last layer did.

    Args:
        layers: from early to late; the last two are looked at. Groups are made at the last one,
            whose grid is drawn; the dictionary is of the one before.
        groups: how many groups; a slider for each layer unless given.
        classes: the answers that are explained.
        method: a Captum attribution method: gradient × activation unless given, and exact Shapley
            values of up to eight groups.

    >>> [part.title for part in report("layer3", "layer4").parts][0]
    'Which parts of the picture made it say so?'
    """
    named = some(layers, "report")[-2:]
    return (
        neuron_groups(named[-1], groups, classes, method)
        & semantic_dictionary(named[0])
        & spatial_attribution(*named, classes=classes, grid=False, method=method)
        & activation_grid(named[-1])
        & channel_attribution(*named, classes=classes, method=method)
        & group_attribution(*named, groups=groups, classes=classes, method=method)
        & compare_classes(named[0], method=method)
        & levels(named[-1], groups=groups, top=3, method=method)
    )


def overview(
    *layers: Layer,
    groups: int | Selection | None = None,
    classes: Out = TOP_TWO,
    method: How | None = None,
) -> Interface:
    """The short report: the answer and its groups, dictionary, channels.

    Args:
        layers: from early to late. Groups are made at the last one; the dictionary and the single
            channels are shown at the one before.
        groups: how many groups; a slider for each layer unless given.
        classes: the answers that are explained.
        method: a Captum attribution method: gradient × activation unless given, and exact Shapley
            values of up to eight groups.

    >>> len(overview("layer3", "layer4").parts)
    3
    """
    named = some(layers, "overview")[-2:]
    return (
        neuron_groups(named[-1], groups, classes, method)
        & semantic_dictionary(named[0])
        & channel_attribution(named[0], classes=classes, method=method)
    )
