"""What the reader's own photographs show of a unit."""

from captum_blocks.examples.crops import Crop, cropped
from captum_blocks.examples.labels import Preference, Preferences, preferred_labels

__all__ = ["Crop", "Preference", "Preferences", "cropped", "preferred_labels"]
