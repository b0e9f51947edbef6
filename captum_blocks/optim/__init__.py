"""Feature visualization: images that show what a part of a network responds to.

Useful with nothing but PyTorch: ``FeatureVisualizer(module, layer).visualize([Channel(3)])``.
"""

from captum_blocks.optim._loop import Diverged, Visualization
from captum_blocks.optim.images import Fourier, Parameterization
from captum_blocks.optim.objectives import (
    Channel,
    Direction,
    Neuron,
    NeuronDirection,
    Objective,
    objective,
)
from captum_blocks.optim.transforms import Jitter, Pad, Rotate, Scale, Transform
from captum_blocks.optim.visualizer import FeatureVisualizer

__all__ = [
    "Channel",
    "Direction",
    "Diverged",
    "FeatureVisualizer",
    "Fourier",
    "Jitter",
    "Neuron",
    "NeuronDirection",
    "Objective",
    "Pad",
    "Parameterization",
    "Rotate",
    "Scale",
    "Transform",
    "Visualization",
    "objective",
]
