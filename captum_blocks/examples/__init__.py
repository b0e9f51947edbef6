"""An index of a data set: which photographs excite each unit, and any direction fitted later.

One pass over the photographs, all layers at once. On disk are tables of each photograph's extremes,
and activations in 8 bits with a bound of what was rounded away, by which a later direction is
answered exactly while few photographs are looked at again.
"""

from captum_blocks.examples.example import Example
from captum_blocks.examples.index import ExampleIndex

__all__ = ["Example", "ExampleIndex"]
