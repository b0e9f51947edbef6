"""What the reader's own photographs show of a unit."""

from captum_blocks.examples.crops import Crop, crops

__all__ = ["Crop", "crops"]
