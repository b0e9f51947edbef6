"""Neuron groups: a layer's channels factorized into a few directions."""

from captum_blocks.reduce import quality
from captum_blocks.reduce.algorithms import ALGORITHMS, Algorithm, Factors, Settings
from captum_blocks.reduce.checks import BatchesUnsupported, NotFitted
from captum_blocks.reduce.choosing import Choice, choose_n_components
from captum_blocks.reduce.encoding import encode
from captum_blocks.reduce.layers import fit_layers, image_magnitudes
from captum_blocks.reduce.nmf import Factorized, Penalty, factorize
from captum_blocks.reduce.reducer import ChannelReducer

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "BatchesUnsupported",
    "ChannelReducer",
    "Choice",
    "Factorized",
    "Factors",
    "NotFitted",
    "Penalty",
    "Settings",
    "choose_n_components",
    "encode",
    "factorize",
    "fit_layers",
    "image_magnitudes",
    "quality",
]
