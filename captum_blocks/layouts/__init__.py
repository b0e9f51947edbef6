"""Where a layer's tensor keeps its images, channels and positions."""

from captum_blocks.layouts.detection import detect, kind_of, patch_grid, picture_size, resolve
from captum_blocks.layouts.layout import Kind, Layout

__all__ = ["Kind", "Layout", "detect", "kind_of", "patch_grid", "picture_size", "resolve"]
