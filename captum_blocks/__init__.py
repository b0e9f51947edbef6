"""The Building Blocks of Interpretability on PyTorch, as plugins for Captum.

Engines that need nothing but PyTorch and Captum: ``optim`` (feature visualization), ``reduce``
(neuron groups) and ``attr`` (attribution to groups and between layers). Above them a grammar that
composes them into interfaces: ``explain(neuron_groups("layer4"), model, x).save("page.html")``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from captum_blocks import optim as optim
    from captum_blocks.attr import GroupAttribution as GroupAttribution
    from captum_blocks.attr import LayerAblation as LayerAblation
    from captum_blocks.attr import LayerGroupAttribution as LayerGroupAttribution
    from captum_blocks.attr import LayerToLayerAttribution as LayerToLayerAttribution
    from captum_blocks.attr import RegionEdit as RegionEdit
    from captum_blocks.attr import path_dependence as path_dependence
    from captum_blocks.compose import AttributionTrust as AttributionTrust
    from captum_blocks.compose import Faithfulness as Faithfulness
    from captum_blocks.compose import Mark as Mark
    from captum_blocks.compose import Quality as Quality
    from captum_blocks.compose import Trust as Trust
    from captum_blocks.compose import Value as Value
    from captum_blocks.compose import evaluate as evaluate
    from captum_blocks.compose import faithfulness as faithfulness
    from captum_blocks.compose import mark as mark
    from captum_blocks.compose import trust as trust
    from captum_blocks.errors import BlocksError as BlocksError
    from captum_blocks.examples import Example as Example
    from captum_blocks.examples import ExampleIndex as ExampleIndex
    from captum_blocks.explaining import explain as explain
    from captum_blocks.explanation import Explanation as Explanation
    from captum_blocks.grammar import Ablation as Ablation
    from captum_blocks.grammar import Activation as Activation
    from captum_blocks.grammar import Attribution as Attribution
    from captum_blocks.grammar import Dataset as Dataset
    from captum_blocks.grammar import Edit as Edit
    from captum_blocks.grammar import FeatureVis as FeatureVis
    from captum_blocks.grammar import Given as Given
    from captum_blocks.grammar import Hidden as Hidden
    from captum_blocks.grammar import InfoVis as InfoVis
    from captum_blocks.grammar import Input as Input
    from captum_blocks.grammar import Interaction as Interaction
    from captum_blocks.grammar import Interface as Interface
    from captum_blocks.grammar import Method as Method
    from captum_blocks.grammar import Out as Out
    from captum_blocks.grammar import choose as choose
    from captum_blocks.grammar import click as click
    from captum_blocks.grammar import hover as hover
    from captum_blocks.grammar import slider as slider
    from captum_blocks.grammar import toggle as toggle
    from captum_blocks.icons import LayerIcons as LayerIcons
    from captum_blocks.layouts import Layout as Layout
    from captum_blocks.network import Network as Network
    from captum_blocks.optim import FeatureVisualizer as FeatureVisualizer
    from captum_blocks.optim import objective as objective
    from captum_blocks.preprocessing import Preprocess as Preprocess
    from captum_blocks.presets import activation_grid as activation_grid
    from captum_blocks.presets import channel_attribution as channel_attribution
    from captum_blocks.presets import compare_classes as compare_classes
    from captum_blocks.presets import group_attribution as group_attribution
    from captum_blocks.presets import levels as levels
    from captum_blocks.presets import neuron_groups as neuron_groups
    from captum_blocks.presets import overview as overview
    from captum_blocks.presets import predictions as predictions
    from captum_blocks.presets import report as report
    from captum_blocks.presets import semantic_dictionary as semantic_dictionary
    from captum_blocks.presets import spatial_attribution as spatial_attribution
    from captum_blocks.reduce import ChannelReducer as ChannelReducer
    from captum_blocks.streaming import Stream as Stream
    from captum_blocks.zoo import load_network as load_network

__version__ = "0.1.0"

# Where each public name lives. They are imported on first use: torch, Captum and scikit-learn take
# seconds, and whoever needs one engine should not wait for all of them.
_HOMES = {
    "attr": (
        "GroupAttribution",
        "LayerAblation",
        "LayerGroupAttribution",
        "LayerToLayerAttribution",
        "RegionEdit",
        "path_dependence",
    ),
    "compose": (
        "AttributionTrust",
        "Faithfulness",
        "Mark",
        "Quality",
        "Trust",
        "Value",
        "evaluate",
        "faithfulness",
        "mark",
        "trust",
    ),
    "errors": ("BlocksError",),
    "examples": ("Example", "ExampleIndex"),
    "explaining": ("explain",),
    "explanation": ("Explanation",),
    "grammar": (
        "Ablation",
        "Activation",
        "Attribution",
        "Dataset",
        "Edit",
        "FeatureVis",
        "Given",
        "Hidden",
        "InfoVis",
        "Input",
        "Interaction",
        "Interface",
        "Method",
        "Out",
        "choose",
        "click",
        "hover",
        "slider",
        "toggle",
    ),
    "icons": ("LayerIcons",),
    "layouts": ("Layout",),
    "network": ("Network",),
    "optim": ("FeatureVisualizer", "objective"),
    "preprocessing": ("Preprocess",),
    "presets": (
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
    ),
    "reduce": ("ChannelReducer",),
    "streaming": ("Stream",),
    "zoo": ("load_network",),
}
_ROOMS = {name: room for room, names in _HOMES.items() for name in names}

__all__ = sorted([*_ROOMS, "optim"])


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    if name == "optim":
        return import_module(f"{__name__}.optim")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
