"""The tables of one layer, put together shard by shard; and what all shards hold together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from captum_blocks.examples.disk import Spec, TensorWriter
from captum_blocks.examples.extremes import Extremes
from captum_blocks.examples.looking import LayerPlan
from captum_blocks.examples.moments import Moments
from captum_blocks.examples.shards import place_kind

Array = np.ndarray[Any, np.dtype[Any]]
# Of each channel, so many largest and smallest are kept in single precision.
EXACT = 128
# More labels than this are names of single pictures rather than of kinds.
MOST_LABELS = 4096
_READ = ("maximum", "high", "low", "mean", "at", "vector", "moments")


@dataclass
class Survey:
    """What all shards hold together, before their numbers are read.

    Attributes:
        batches: (number, first row, rows) of each.
        images: (row,) the numbers of the pictures.
        labels: all of them, sorted.
        colours: how many numbers a signature's colours have.
        thumbnails: whether there are small pictures.
        asked, met, skipped: how many pictures.
    """

    batches: list[tuple[int, int, int]] = field(default_factory=list)
    images: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    labels: list[str] = field(default_factory=list)
    colours: int = 0
    thumbnails: bool = False
    met: int = 0
    skipped: int = 0

    @property
    def rows(self) -> int:
        """How many pictures are in the index."""
        return len(self.images)

    @property
    def has_labels(self) -> bool:
        """Whether labels are of kinds of pictures, so that means over them say something."""
        return 0 < len(self.labels) <= MOST_LABELS


class LayerFold:
    """The tables of one layer while they are put together."""

    def __init__(self, plan: LayerPlan, order: int, survey: Survey, vectors: int) -> None:
        self._plan, self._order, self._survey = plan, order, survey
        self._most = min(EXACT, survey.rows)
        self._extremes = Extremes(self._most, plan.channels)
        self._moments: list[Moments] = []
        self._labels = len(survey.labels) if survey.has_labels else 0
        self._sums = np.zeros((2, self._labels, plan.channels))
        self._counts = np.zeros(self._labels, np.int64)
        self._vectors, self._taken = vectors, 0

    @property
    def specs(self) -> dict[str, Spec]:
        """What its file holds."""
        rows, channels = self._survey.rows, self._plan.channels
        exact = (self._most, channels)
        return {
            "high": Spec((rows, channels), np.float16),
            "low": Spec((rows, channels), np.float16),
            "mean": Spec((rows, channels), np.float32),
            "at": Spec((rows, channels), place_kind(self._plan.places)),
            "top": Spec(exact, np.float32),
            "top_rows": Spec(exact, np.int64),
            "bottom": Spec(exact, np.float32),
            "bottom_rows": Spec(exact, np.int64),
            "moments": Spec((4, channels), np.float64),
            "label_mean": Spec((self._labels, channels), np.float32),
            "label_maximum": Spec((self._labels, channels), np.float32),
            "label_counts": Spec((self._labels,), np.int64),
            "vectors": Spec((self._vectors, channels), np.float32),
        }

    def see(
        self, file: TensorWriter, arrays: dict[str, Array], start: int, rows: Array, labels: Array
    ) -> None:
        """Take in a shard.

        Args:
            file: of the layer.
            arrays: of the shard.
            start: its first row.
            rows: those of its rows whose vectors are kept.
            labels: (row,) the number of each picture's label, -1 for none.
        """
        own = {name: arrays[f"{self._order}.{name}"] for name in _READ}
        for name in ("high", "low", "mean", "at"):
            file.write(name, own[name], start)
        if len(rows):
            file.write("vectors", own["vector"][rows], self._taken)
            self._taken += len(rows)
        self._extremes.see(own["maximum"], start)
        count = len(own["maximum"]) * self._plan.places
        self._moments = [Moments.joined([*self._moments, Moments(count, own["moments"])])]
        for label in np.unique(labels[labels >= 0]) if self._labels else ():
            of = labels == label
            self._counts[label] += of.sum()
            for which, name in enumerate(("mean", "maximum")):
                self._sums[which, label] += own[name][of].sum(0, dtype=np.float64)

    def close(self, file: TensorWriter) -> None:
        """Write what is known when all shards have been seen."""
        for name, (values, rows) in (
            ("top", self._extremes.top()),
            ("bottom", self._extremes.bottom()),
        ):
            file.write(name, values)
            file.write(f"{name}_rows", rows)
        file.write("moments", self._moments[0].sums)
        means = self._sums / np.maximum(self._counts, 1)[:, None]
        file.write("label_mean", means[0])
        file.write("label_maximum", means[1])
        file.write("label_counts", self._counts)

    def units(self) -> dict[str, Any]:
        """A row for each channel."""
        moments = self._moments[0]
        channels = self._plan.channels
        return {
            "layer": [self._plan.name] * channels,
            "channel": np.arange(channels),
            "count": np.full(channels, moments.count),
            "mean": moments.mean,
            "variance": moments.variance,
            "skewness": moments.skewness,
            "kurtosis": moments.kurtosis,
            "maximum": self._extremes.top()[0][0].astype(np.float64),
        }
