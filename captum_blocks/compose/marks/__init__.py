"""Marks: one class each, which pictures it wants and which panel it makes of frozen numbers."""

# These register themselves.
from captum_blocks.compose.marks import answers, cells, flows, histogram, maps, rows, versus  # noqa: F401
from captum_blocks.compose.marks.base import MARKS, Mark, mark, mark_of
from captum_blocks.compose.marks.view import Links, View

__all__ = ["MARKS", "Links", "Mark", "View", "mark", "mark_of"]
