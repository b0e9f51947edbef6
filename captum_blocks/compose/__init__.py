"""Composition: from words of the grammar and a network to numbers, icons and a scene."""

# These register themselves.
from captum_blocks.compose.evaluation import (  # noqa: F401
    ablations,
    edits,
    interactions,
    standing,
    switches,
    transforms,
)
from captum_blocks.compose.evaluation.contents import evaluate, evaluate_content
from captum_blocks.compose.evaluation.faithful import faithfulness
from captum_blocks.compose.evaluation.judgement import Faithfulness, Randomised
from captum_blocks.compose.evaluation.meant import Meaning, Meant
from captum_blocks.compose.evaluation.pooling import pools
from captum_blocks.compose.evaluation.trusted import Trust, Trusted
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.marks import Mark, View, mark
from captum_blocks.compose.pictures import icons, mosaics  # noqa: F401
from captum_blocks.compose.pictures.progress import Progress
from captum_blocks.compose.pictures.quality import QUALITIES, Quality, quality_named
from captum_blocks.compose.pictures.requests import Request, Subject
from captum_blocks.compose.pictures.sources import Icon, PictureSource
from captum_blocks.compose.pipeline import Composition, compose
from captum_blocks.compose.recipes import picture_source
from captum_blocks.compose.trusting import trust
from captum_blocks.compose.weighed import AttributionTrust

__all__ = [
    "QUALITIES",
    "AttributionTrust",
    "Composition",
    "Faithfulness",
    "Icon",
    "Mark",
    "Meaning",
    "Meant",
    "PictureSource",
    "Progress",
    "Quality",
    "Randomised",
    "Request",
    "Subject",
    "Trust",
    "Trusted",
    "Value",
    "View",
    "compose",
    "evaluate",
    "evaluate_content",
    "faithfulness",
    "mark",
    "picture_source",
    "pools",
    "quality_named",
    "trust",
]
