"""What evidence allows to be said of an icon, in one of four levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captum_blocks.errors import InvalidArgument
from captum_blocks.reliability.paths import PathSimilarity
from captum_blocks.reliability.standing import Standing

Level = Literal["no sign of forgery", "doubtful", "refuted", "unknown"]
LEVELS: tuple[Level, ...] = ("no sign of forgery", "doubtful", "refuted", "unknown")


@dataclass(frozen=True)
class Thresholds:
    """From where on an icon is doubted, and from where on refuted.

    Attributes:
        refuted: the interval of the agreement ends below this.
        doubtful: the agreement is below this.
        percentile: the icon, shifted, excites its unit more than fewer photographs than this share.

    Raises:
        InvalidArgument: they are not from 0 to 1, or what is refuted is not doubtful.

    >>> Thresholds(refuted=0.1, doubtful=0.2, percentile=0.5).doubtful
    0.2
    """

    refuted: float
    doubtful: float
    percentile: float

    def __post_init__(self) -> None:
        if not (0 <= self.refuted <= self.doubtful <= 1 and 0 <= self.percentile <= 1):
            raise InvalidArgument(
                f"thresholds refuted={self.refuted}, doubtful={self.doubtful}, "
                f"percentile={self.percentile}: all are from 0 to 1, and what is refuted is "
                "doubtful, too"
            )


# Frozen on EfficientNet-Lite0 (two layers) and Lite2 (one): of 68 honest icons 4 % agree to less
# than what is doubtful, and of 87 forged ones (gates and slingshots of the project's
# ``tests.reference.forgeries``) 92 %; refuted is none of the honest ones, and 66 % of the forged
# ones. Judged on a network that they were not chosen on: ``python -m tests.benchmarks.trust``.
THRESHOLDS = Thresholds(refuted=0.15, doubtful=0.25, percentile=0.5)


def verdict(
    path: PathSimilarity,
    stands: Standing | None,
    other: PathSimilarity | None = None,
    thresholds: Thresholds = THRESHOLDS,
) -> tuple[Level, str]:
    """A level, and why it is that one, in words.

    No sign of forgery is not validity: a forger who knows the measure can pass it, and no measure
    can rule that out for every network (Geirhos et al., ICML 2024).

    Args:
        path: the icon's way through the layers beside that of the unit's photographs.
        stands: where its activation stands; None where nothing is claimed of it.
        other: the same comparison in a second network, which can raise doubt alone.
        thresholds: where levels end.

    >>> verdict(PathSimilarity.unknown("3 photographs excite the unit"), None)
    ('unknown', '3 photographs excite the unit')
    """
    if path.missing:
        return "unknown", path.missing
    share = (
        f"its way through the layers agrees to {path.agreement:.2f} with that of the photographs "
        f"that excite the unit most{_second(other)}"
    )
    if path.high < thresholds.refuted:
        return (
            "refuted",
            f"{share}, and to less than {thresholds.refuted} whichever of these are drawn",
        )
    if path.agreement < thresholds.doubtful:
        return "doubtful", f"{share}, which is less than {thresholds.doubtful}"
    if stands is None:
        return "unknown", f"{share}; where its activation stands among photographs is not known"
    if stands.jittered < thresholds.percentile:
        return "doubtful", (
            f"shifted, it excites the unit more than {stands.jittered:.0%} of photographs do, "
            f"fewer than {thresholds.percentile:.0%}"
        )
    if other is not None and not other.missing and other.high < thresholds.refuted:
        return "doubtful", f"{share}, which is less than {thresholds.refuted}"
    return "no sign of forgery", share


def _second(other: PathSimilarity | None) -> str:
    """What a second network sees, where there is one."""
    if other is None:
        return ""
    if other.missing:
        return f" (in the second network: unknown, as {other.missing})"
    return f", and in the second network to {other.agreement:.2f}"
