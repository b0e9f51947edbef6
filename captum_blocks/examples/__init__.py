"""An index of a data set: which photographs excite each unit, and any direction fitted later.

One pass over the photographs, all layers at once. On disk are tables of each photograph's extremes,
and activations in 8 bits with a bound of what was rounded away, by which a later direction is
answered exactly while few photographs are looked at again. Crops are the smallest part of a
photograph that alone keeps an activation; labels are those that a unit prefers.
"""

from captum_blocks.examples.crops import Crop, cropped
from captum_blocks.examples.cutting import Cut
from captum_blocks.examples.example import Example
from captum_blocks.examples.index import ExampleIndex
from captum_blocks.examples.known import ENOUGH
from captum_blocks.examples.labels import Preference, Preferences, preferred_labels

__all__ = [
    "ENOUGH",
    "Crop",
    "Cut",
    "Example",
    "ExampleIndex",
    "Preference",
    "Preferences",
    "cropped",
    "preferred_labels",
]
