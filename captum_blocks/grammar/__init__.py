"""The grammar: frozen words for what is looked at, computed and shown. No torch."""

from captum_blocks.grammar.atoms import ATOMS, Atom, add_atom
from captum_blocks.grammar.content import Activation, Attribution, Method
from captum_blocks.grammar.datasets import Dataset
from captum_blocks.grammar.exampled import exampled
from captum_blocks.grammar.interventions import Ablation, Edit, Interaction
from captum_blocks.grammar.operations import (
    Aggregate,
    Content,
    Difference,
    Filter,
    Normalise,
    Percentile,
    Project,
    Without,
    parts_of,
    rewritten,
    unfiltered,
)
from captum_blocks.grammar.presentation import (
    Element,
    FeatureVis,
    InfoVis,
    Interface,
    as_interface,
    name_mark,
    name_recipe,
)
from captum_blocks.grammar.selections import Selection, choose, click, hover, slider, toggle
from captum_blocks.grammar.spec import from_json, to_json
from captum_blocks.grammar.substrates import (
    Given,
    Grouping,
    Hidden,
    Input,
    Out,
    Substrate,
    as_substrate,
)

__all__ = [
    "ATOMS",
    "Ablation",
    "Activation",
    "Aggregate",
    "Atom",
    "Attribution",
    "Content",
    "Dataset",
    "Difference",
    "Edit",
    "Element",
    "FeatureVis",
    "Filter",
    "Given",
    "Grouping",
    "Hidden",
    "InfoVis",
    "Input",
    "Interaction",
    "Interface",
    "Method",
    "Normalise",
    "Out",
    "Percentile",
    "Project",
    "Selection",
    "Substrate",
    "Without",
    "add_atom",
    "as_interface",
    "as_substrate",
    "choose",
    "click",
    "exampled",
    "from_json",
    "hover",
    "name_mark",
    "name_recipe",
    "parts_of",
    "rewritten",
    "slider",
    "to_json",
    "toggle",
    "unfiltered",
]
