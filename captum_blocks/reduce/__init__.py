"""Neuron groups: a layer's channels factorized into a few directions."""

from captum_blocks.reduce.algorithms import ALGORITHMS, Algorithm, Factors, Settings
from captum_blocks.reduce.checks import NotFitted
from captum_blocks.reduce.encoding import encode
from captum_blocks.reduce.nmf import Factorized, Penalty, factorize
from captum_blocks.reduce.reducer import ChannelReducer

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "ChannelReducer",
    "Factorized",
    "Factors",
    "NotFitted",
    "Penalty",
    "Settings",
    "encode",
    "factorize",
]
