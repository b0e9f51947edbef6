"""What Captum's attributions lack: any method on any layer, groups, and nothing lost on the way."""

from captum_blocks.attr.adapter import GroupResult, LayerMethod, LayerResult
from captum_blocks.attr.atoms import ATOMS, AtomValues, to_atoms
from captum_blocks.attr.catalogue import MOST_FORWARD_PASSES, methods, resolve_method
from captum_blocks.attr.regrouping import regroup

__all__ = [
    "ATOMS",
    "MOST_FORWARD_PASSES",
    "AtomValues",
    "GroupResult",
    "LayerMethod",
    "LayerResult",
    "methods",
    "regroup",
    "resolve_method",
    "to_atoms",
]
