"""What is said of icons, and the evidence that it is said by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from captum_blocks.compose.evaluation.meant import Meant
from captum_blocks.compose.evaluation.tables import needed
from captum_blocks.reliability import Level, PathSimilarity, Standing

NO_GUARANTEE = (
    "no sign of forgery is not validity: a network can be made to pass this measure, and no "
    "measure can rule that out for all networks (Geirhos et al., ICML 2024)"
)


@dataclass(frozen=True, eq=False)
class Trusted:
    """What is said of one unit's icon.

    Attributes:
        layer: dotted name.
        unit: the number of the channel or group.
        level: "no sign of forgery", "doubtful", "refuted" or "unknown".
        why: what it is said by, or what is missing, in words.
        path: the icon's way through the layers beside that of the unit's photographs: the
            agreement, its interval, and the curves that it comes from.
        standing: where the icon's activation stands among the photographs'; None where nothing is
            claimed of that.
        other: the same comparison in a second network; None where there is none.
        meanings: how many the unit has; None where that was not asked, or nothing can be said.
        name: of the unit, as printed; of a channel unless given.
        meant: the photographs and a picture of each of its meanings, and how certain their number
            is; None where that was not asked.

    >>> path = PathSimilarity.unknown("3 photographs excite it")
    >>> str(Trusted("layer3", 7, "unknown", path.missing, path))
    'layer3 : 7: unknown, as 3 photographs excite it'
    """

    layer: str
    unit: int
    level: Level
    why: str
    path: PathSimilarity
    standing: Standing | None = None
    other: PathSimilarity | None = None
    meanings: int | None = None
    name: str = ""
    meant: Meant | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"{self.layer} : {self.unit}")

    @property
    def evidence(self) -> str:
        """The numbers behind the reason, in words; empty where nothing is said."""
        if self.path.missing:
            return ""
        found = (
            f"agreement {self.path.agreement:.2f}, 95% from {self.path.low:.2f} to "
            f"{self.path.high:.2f} over {self.path.photographs} photographs"
        )
        if self.standing is None:
            return found
        return (
            f"{found}; it excites the unit more than {self.standing.clean:.0%} of photographs do, "
            f"shifted more than {self.standing.jittered:.0%}"
        )

    def __str__(self) -> str:
        """The unit, the level and the reason in one sentence; its meanings where they are known."""
        said = f"{self.name}: {self.level}, as {self.why}"
        return said if self.meant is None else f"{said}; {self.meant.told}"


@dataclass(frozen=True, eq=False)
class Trust:
    """How far icons deserve belief, a unit each.

    Attributes:
        units: in the order asked for.
        measured_by: what the numbers are of, in words.

    >>> path = PathSimilarity.unknown("3 photographs excite it")
    >>> Trust((Trusted("layer3", 7, "unknown", path.missing, path),)).to_frame().level.tolist()
    ['unknown']
    """

    units: tuple[Trusted, ...]
    measured_by: str = ""

    def __iter__(self) -> Iterator[Trusted]:
        return iter(self.units)

    def __len__(self) -> int:
        return len(self.units)

    def __getitem__(self, place: int) -> Trusted:
        return self.units[place]

    def to_frame(self) -> Any:
        """A ``pandas.DataFrame``, a row for each unit.

        ``agreement`` and its interval are from 0 to 1, NaN where unknown; ``percentile`` is the
        share of photographs that excite the unit less than its icon does, shifted by some pixels;
        ``meanings`` is NaN where it was not asked, or nothing can be said; ``name`` tells units of
        several layers apart.

        Raises:
            MissingDependency: pandas is not installed.
        """
        pandas, nan = needed("pandas", "to_frame"), float("nan")
        rows = [
            {
                "unit": each.unit,
                "level": each.level,
                "agreement": each.path.agreement,
                "agreement_low": each.path.low,
                "agreement_high": each.path.high,
                "percentile": nan if each.standing is None else each.standing.jittered,
                "meanings": nan if each.meanings is None else each.meanings,
                "name": each.name,
            }
            for each in self.units
        ]
        return pandas.DataFrame(rows)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.units), NO_GUARANTEE])
