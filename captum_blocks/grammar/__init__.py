"""The grammar: frozen words for what is looked at, computed and shown. No torch."""

from captum_blocks.grammar.content import Activation, Attribution, Method
from captum_blocks.grammar.operations import Content, Filter, parts_of
from captum_blocks.grammar.presentation import (
    Element,
    FeatureVis,
    InfoVis,
    Interface,
    as_interface,
)
from captum_blocks.grammar.spec import from_json, to_json
from captum_blocks.grammar.substrates import (
    Given,
    Grouping,
    Hidden,
    Input,
    Out,
    Selection,
    Substrate,
    as_substrate,
    hover,
)

__all__ = [
    "Activation",
    "Attribution",
    "Content",
    "Element",
    "FeatureVis",
    "Filter",
    "Given",
    "Grouping",
    "Hidden",
    "InfoVis",
    "Input",
    "Interface",
    "Method",
    "Out",
    "Selection",
    "Substrate",
    "as_interface",
    "as_substrate",
    "from_json",
    "hover",
    "parts_of",
    "to_json",
]
