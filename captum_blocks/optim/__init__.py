"""Feature visualization: images that show what a part of a network responds to.

Useful with nothing but PyTorch: ``FeatureVisualizer(module, layer).visualize([Channel(3)])``.
"""

from captum_blocks.optim._loop import Diverged, Visualization
from captum_blocks.optim.accentuation import Accentuation
from captum_blocks.optim.comparisons import Alignment, ChannelInterpolation, Diversity
from captum_blocks.optim.filters import Blur, CollapseAlpha, ColourShift, Foreign, Noise
from captum_blocks.optim.grids import Cppn, LaplacianPyramid, Pixel
from captum_blocks.optim.images import Parameterization, fit_colour
from captum_blocks.optim.mosaics import Mosaic
from captum_blocks.optim.objectives import Objective, objective
from captum_blocks.optim.penalties import L1, L2, Blurring, Boundary, Opacity, TotalVariation
from captum_blocks.optim.recipe import NAdam
from captum_blocks.optim.spectra import Fourier, Maco, Shared, fit_spectrum
from captum_blocks.optim.transforms import Jitter, Pad, RandomCrop, Rotate, Scale, Transform
from captum_blocks.optim.units import (
    Channel,
    ClassLogit,
    Direction,
    Directions,
    Group,
    Neuron,
    NeuronDirection,
)
from captum_blocks.optim.visualizer import FeatureVisualizer
from captum_blocks.optim.wholes import DeepDream, Inversion, TensorDirection

__all__ = [
    "L1",
    "L2",
    "Accentuation",
    "Alignment",
    "Blur",
    "Blurring",
    "Boundary",
    "Channel",
    "ChannelInterpolation",
    "ClassLogit",
    "CollapseAlpha",
    "ColourShift",
    "Cppn",
    "DeepDream",
    "Direction",
    "Directions",
    "Diverged",
    "Diversity",
    "FeatureVisualizer",
    "Foreign",
    "Fourier",
    "Group",
    "Inversion",
    "Jitter",
    "LaplacianPyramid",
    "Maco",
    "Mosaic",
    "NAdam",
    "Neuron",
    "NeuronDirection",
    "Noise",
    "Objective",
    "Opacity",
    "Pad",
    "Parameterization",
    "Pixel",
    "RandomCrop",
    "Rotate",
    "Scale",
    "Shared",
    "TensorDirection",
    "TotalVariation",
    "Transform",
    "Visualization",
    "fit_colour",
    "fit_spectrum",
    "objective",
]
