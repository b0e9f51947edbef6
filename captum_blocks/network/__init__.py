"""Networks: a module with what it needs to be spoken about."""

from captum_blocks.network.answers import Prediction
from captum_blocks.network.carrying import Part
from captum_blocks.network.labels import printable
from captum_blocks.network.layers import LayerInfo, LayerTable
from captum_blocks.network.model import Network
from captum_blocks.preprocessing import FromTransforms, Preprocess

__all__ = [
    "FromTransforms",
    "LayerInfo",
    "LayerTable",
    "Network",
    "Part",
    "Prediction",
    "Preprocess",
    "printable",
]
