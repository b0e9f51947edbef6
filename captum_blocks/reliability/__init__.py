"""How far icons and attributions deserve belief: measures on tensors, none of which proves it.

Where the icon's activation stands among those of photographs, whether it takes the way through the
layers that the unit's own photographs take, and what both together allow to be said; how many
things a unit stands for. And whether an attribution agrees with removal and with other methods, and
is lost where nothing is learned.
"""

from captum_blocks.reliability.attributions import (
    ATTRIBUTION_THRESHOLDS,
    FEWEST_SHUFFLED,
    REMOVAL,
    AttributionCheck,
    AttributionLevel,
    AttributionThresholds,
    attribution_verdict,
    between,
    check_attribution,
    in_common,
)
from captum_blocks.reliability.correlating import ranked
from captum_blocks.reliability.meanings import Meanings, described, meanings
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
    "ATTRIBUTION_THRESHOLDS",
    "FEWEST",
    "FEWEST_SHUFFLED",
    "LEVELS",
    "REMOVAL",
    "THRESHOLDS",
    "Along",
    "AttributionCheck",
    "AttributionLevel",
    "AttributionThresholds",
    "Level",
    "Meanings",
    "PathSimilarity",
    "Standing",
    "Thresholds",
    "attribution_verdict",
    "between",
    "check_attribution",
    "described",
    "in_common",
    "meanings",
    "path_similarity",
    "ranked",
    "standing",
    "too_few",
    "verdict",
]
