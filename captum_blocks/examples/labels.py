"""Which labels a unit prefers, and when nothing can be said of it.

A label is preferred where its photographs stand higher among a unit's values than chance puts any
label's. That says nothing of what a unit is for, nor of how much a network depends on it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import ceil
from typing import Any

import numpy as np

from captum_blocks.errors import InvalidArgument, MissingDependency
from captum_blocks.examples._chance import Asked, chances, discovered

Array = np.ndarray[Any, np.dtype[Any]]

RATE, LEAST = 0.05, 0.1
# Fewer photographs claim nothing; a label of fewer is not asked for.
FEWEST_SOURCES, FEWEST_OF_A_LABEL = 50, 5
FEWEST_PERMUTATIONS = 999
# Photographs times permutations: half a minute.
MOST_WORK = 2 * 10**8

TOO_FEW = "{sources} photographs: of fewer than {fewest} nothing is said about labels"
TOO_FEW_LABELLED = (
    "{sources} photographs have a label: of fewer than {fewest} nothing is said about labels"
)
UNLABELLED = "no photograph has a label: nothing is said about what units prefer"
NO_LABELS = (
    "no two labels with {fewest} photographs or more each: nothing is said about what units prefer"
)
FOUND = (
    "{found} of {units} units prefer a label, more than chance gives any of {labels} labels over "
    "{sources} photographs; of such units at most {rate:.0%} are expected to be found by chance"
)


@dataclass(frozen=True)
class Preference:
    """A label that a unit prefers.

    Attributes:
        unit: its column.
        label: what is preferred.
        average_precision: of the label's photographs among all, ordered by the unit's values.
        prevalence: the label's share of the photographs: what chance is expected to give.
        p: how often chance gives some label as much, at most.

    >>> round(Preference(3, "dog", 0.75, 0.25, 0.001).lift, 2)
    0.5
    """

    unit: int
    label: Hashable
    average_precision: float
    prevalence: float
    p: float

    @property
    def lift(self) -> float:
        """How far the average precision is above the prevalence."""
        return self.average_precision - self.prevalence


@dataclass(frozen=True)
class Preferences:
    """The labels that units prefer, those of units that prefer none left out.

    Attributes:
        found: by unit, of one unit the strongest first.
        note: what was found of how much, or why nothing is claimed, in words.
        sources: how many photographs it was told from.
        labels: those asked for.
        permutations: how many orders by chance they were compared with.

    >>> Preferences((), "12 photographs", 12).of(0)
    ()
    """

    found: tuple[Preference, ...]
    note: str
    sources: int
    labels: tuple[Hashable, ...] = ()
    permutations: int = 0

    def of(self, unit: int) -> tuple[Preference, ...]:
        """What one unit prefers; empty where nothing."""
        return tuple(each for each in self.found if each.unit == unit)

    def to_frame(self) -> Any:
        """A ``pandas.DataFrame``, a row for each unit and label.

        Raises:
            MissingDependency: pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise MissingDependency(
                "to_frame needs pandas, which is not installed: pip install pandas"
            ) from error
        names = ("unit", "label", "average_precision", "prevalence", "lift", "p")
        rows = [[getattr(each, name) for name in names] for each in self.found]
        return pandas.DataFrame(rows, columns=list(names))


def preferred_labels(
    values: Array,
    labels: Sequence[Hashable] | Array,
    sources: Sequence[Hashable] | Array | None = None,
    *,
    rate: float = RATE,
    least: float = LEAST,
    permutations: int | None = None,
    seed: int = 0,
) -> Preferences:
    """The labels that each unit prefers, as far as that can be told from chance.

    Tiles and frames of one photograph are no independent samples, so a photograph counts once:
    with the mean of its images' values, and with each label that one of them has. Photographs are
    ordered by a unit's values, and a label's average precision in that order (area under the
    precision-recall curve as a sum, equal values together: scikit-learn's
    ``average_precision_score``) is compared with its prevalence.

    Chance is that of the best of all labels when labels are permuted over photographs (Westfall
    and Young, "Resampling-based multiple testing", 1993, single step): of log average precision,
    standardised label by label, as that of a rare label varies more. Labels are exchanged only
    between photographs of about as many images (within a factor of two), as means of few vary
    more than means of many: where a label is all of the tiled photographs, it is not told apart
    from being tiled. Positions are therefore counted within such photographs. A unit's p is
    (b + 1) / (m + 1) for b of m permutations (Phipson and Smyth 2010). Over units, Benjamini and
    Hochberg 1995 bound the false discovery rate, for units that are independent or rise together;
    a unit without a label of the least lift counts as one that shows nothing.

    Args:
        values: (image, unit), such as each image's largest value.
        labels: (image,); images whose label is None or NaN are left out.
        sources: (image,) which photograph each image is of; one of its own unless given.
        rate: expected share of units found by chance among those found, at most.
        least: average precision minus prevalence that is worth telling.
        permutations: how many; as many as one unit alone needs to be found among all, within half
            a minute's work, unless given.
        seed: of the permutations, and of the order of equal values.

    Returns:
        What is preferred, and in words of how much it was found; nothing is claimed without
        labels, of fewer than fifty photographs that have one, or where no two labels have five or
        more.

    Raises:
        InvalidArgument: lengths that do not match, values that are not finite, a rate, a lift or
            a number of permutations that cannot be.

    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat(["cat", "dog", "pig"], 30)
    >>> values = rng.normal(size=(90, 2))
    >>> values[30:60, 1] += 3
    >>> found = preferred_labels(values, labels)
    >>> [(each.unit, each.label) for each in found.found]
    [(1, 'dog')]
    """
    labels = _listed(labels)
    whose = _listed(np.arange(len(labels)) if sources is None else sources)
    table = _checked(values, labels, whose)
    _check_options(rate, least, permutations)
    named = [image for image, label in enumerate(labels) if not _is_missing(label)]
    if not named:
        return Preferences((), UNLABELLED, 0)
    asked = Asked.of(
        table[named],
        [labels[image] for image in named],
        [whose[image] for image in named],
        FEWEST_OF_A_LABEL,
    )
    n_sources, units = asked.values.shape
    if n_sources < FEWEST_SOURCES:
        few = TOO_FEW if len(named) == len(labels) else TOO_FEW_LABELLED
        return Preferences((), few.format(sources=n_sources, fewest=FEWEST_SOURCES), n_sources)
    if len(asked.labels) < 2:
        return Preferences((), NO_LABELS.format(fewest=FEWEST_OF_A_LABEL), n_sources)
    drawn = permutations or _enough(units, n_sources, rate)
    found = _preferred(asked, chances(asked, drawn, np.random.default_rng(seed)), rate, least)
    note = FOUND.format(
        found=len({each.unit for each in found}),
        units=units,
        labels=len(asked.labels),
        sources=n_sources,
        rate=rate,
    )
    return Preferences(tuple(found), note, n_sources, asked.labels, drawn)


def _preferred(asked: Asked, p: Array, rate: float, least: float) -> list[Preference]:
    """Of the p of each unit and label, the pairs that are discoveries and worth telling."""
    precision = np.full(p.shape, np.nan)
    for unit in np.flatnonzero((p <= rate).any(1)).tolist():
        precision[unit] = asked.precision(unit)
    worth = np.nan_to_num(precision - asked.prevalence, nan=-np.inf) >= least
    p = np.where(worth, p, 1.0)
    limit = discovered(p.min(1), rate)
    pairs = [(int(unit), int(label)) for unit, label in zip(*np.nonzero(p <= limit), strict=True)]
    found = [
        Preference(
            unit,
            asked.labels[label],
            float(precision[unit, label]),
            float(asked.prevalence[label]),
            float(p[unit, label]),
        )
        for unit, label in pairs
    ]
    return sorted(found, key=lambda each: (each.unit, -each.lift))


def _enough(units: int, sources: int, rate: float) -> int:
    """Permutations of which none has to give as much for one unit alone to be found."""
    return max(FEWEST_PERMUTATIONS, min(ceil(units / rate), MOST_WORK // sources))


def _listed(given: Sequence[Hashable] | Array) -> list[Hashable]:
    """As Python's own objects, of NumPy's."""
    held: list[Hashable] = given.tolist() if isinstance(given, np.ndarray) else list(given)
    return held


def _is_missing(label: Any) -> bool:
    return label is None or label != label


def _checked(values: Array, labels: list[Hashable], sources: list[Hashable]) -> Array:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.shape[1]:
        raise InvalidArgument(f"values of shape {table.shape}; give (image, unit)")
    if not len(table) == len(labels) == len(sources):
        raise InvalidArgument(
            f"{len(table):,} images, {len(labels):,} labels and {len(sources):,} sources; each "
            "image has one"
        )
    if any(map(_is_missing, sources)):
        raise InvalidArgument("an image without a source; say which photograph each is of")
    if not np.isfinite(table).all():
        wrong = int((~np.isfinite(table)).any(0).argmax())
        raise InvalidArgument(f"the values of unit {wrong} are not all finite")
    return table


def _check_options(rate: float, least: float, permutations: int | None) -> None:
    if not 0 < rate < 1:
        raise InvalidArgument(f"rate={rate!r} is a share between 0 and 1")
    if not 0 <= least < 1:
        raise InvalidArgument(f"least={least!r}: average precision is at most 1 above prevalence")
    if permutations is not None and permutations < 1:
        raise InvalidArgument(f"permutations={permutations!r}; at least one is drawn")
