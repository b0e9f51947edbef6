"""What Captum's attributions lack: any method on any layer, groups, and nothing lost on the way."""

from captum_blocks.attr._building import WithOptions
from captum_blocks.attr.ablation import LayerAblation
from captum_blocks.attr.adapter import LayerMethod
from captum_blocks.attr.atoms import ATOMS, AtomValues, sums, to_atoms
from captum_blocks.attr.catalogue import MOST_FORWARD_PASSES, methods, resolve_method
from captum_blocks.attr.dependence import PathDependence, path_dependence
from captum_blocks.attr.edits import RegionEdit
from captum_blocks.attr.group_attribution import GroupAttribution
from captum_blocks.attr.groups import LayerGroupAttribution
from captum_blocks.attr.layer_to_layer import LayerToLayerAttribution
from captum_blocks.attr.odds import SCORES, scored, scored_each
from captum_blocks.attr.paths import LayerPathGradients
from captum_blocks.attr.pooling import blur, relaxation_note, relaxed_pooling
from captum_blocks.attr.regions import BLUR, EDGE, HALF, regions_of_maps, regions_of_places
from captum_blocks.attr.regrouping import regroup
from captum_blocks.attr.removal import FILLS
from captum_blocks.attr.removed import Cumulative, Swapped
from captum_blocks.attr.results import GroupResult, LayerResult
from captum_blocks.attr.several import SeveralMethods, several_methods
from captum_blocks.attr.steady import SteadyLayerAblation, SteadyLayerToLayer, SteadyRegionEdit
from captum_blocks.attr.subsets import SubsetTable

__all__ = [
    "ATOMS",
    "BLUR",
    "EDGE",
    "FILLS",
    "HALF",
    "MOST_FORWARD_PASSES",
    "SCORES",
    "AtomValues",
    "Cumulative",
    "GroupAttribution",
    "GroupResult",
    "LayerAblation",
    "LayerGroupAttribution",
    "LayerMethod",
    "LayerPathGradients",
    "LayerResult",
    "LayerToLayerAttribution",
    "PathDependence",
    "RegionEdit",
    "SeveralMethods",
    "SteadyLayerAblation",
    "SteadyLayerToLayer",
    "SteadyRegionEdit",
    "SubsetTable",
    "Swapped",
    "WithOptions",
    "blur",
    "methods",
    "path_dependence",
    "regions_of_maps",
    "regions_of_places",
    "regroup",
    "relaxation_note",
    "relaxed_pooling",
    "resolve_method",
    "scored",
    "scored_each",
    "several_methods",
    "sums",
    "to_atoms",
]
