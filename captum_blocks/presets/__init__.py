"""The article's interfaces, each a few words of the grammar.

("The Building Blocks of Interpretability", Distill 2018.)
"""

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
    predictions,
    semantic_dictionary,
)
from captum_blocks.presets.reports import overview, report

__all__ = [
    "activation_grid",
    "channel_attribution",
    "compare_classes",
    "group_attribution",
    "levels",
    "neuron_groups",
    "overview",
    "predictions",
    "report",
    "semantic_dictionary",
    "spatial_attribution",
]
