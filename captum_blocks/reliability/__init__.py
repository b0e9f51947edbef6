"""How far an icon deserves belief: measures on tensors, none of which proves that it does.

Where the icon's activation stands among those of photographs, whether it takes the way through the
layers that the unit's own photographs take, and what both together allow to be said.
"""

from captum_blocks.reliability.correlating import ranked
from captum_blocks.reliability.paths import (
    FEWEST,
    Along,
    PathSimilarity,
    path_similarity,
    too_few,
)
from captum_blocks.reliability.standing import Standing, standing
from captum_blocks.reliability.verdict import LEVELS, THRESHOLDS, Level, Thresholds, verdict

__all__ = [
    "FEWEST",
    "LEVELS",
    "THRESHOLDS",
    "Along",
    "Level",
    "PathSimilarity",
    "Standing",
    "Thresholds",
    "path_similarity",
    "ranked",
    "standing",
    "too_few",
    "verdict",
]
