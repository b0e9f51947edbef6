"""Composition: from words of the grammar and a network to numbers, icons and a scene."""

# These register themselves.
from captum_blocks.compose import cells, flows, histogram, maps, operations, rows  # noqa: F401
from captum_blocks.compose.evaluation import evaluate, evaluate_content
from captum_blocks.compose.icons import QUALITIES, Icon, Quality, quality_named
from captum_blocks.compose.pipeline import Composition, compose
from captum_blocks.compose.progress import Progress
from captum_blocks.compose.values import Value
from captum_blocks.compose.wanted import IconRequest

__all__ = [
    "QUALITIES",
    "Composition",
    "Icon",
    "IconRequest",
    "Progress",
    "Quality",
    "Value",
    "compose",
    "evaluate",
    "evaluate_content",
    "quality_named",
]
