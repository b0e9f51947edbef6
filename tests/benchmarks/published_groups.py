"""Whether the reducer finds the neuron groups that were published with the article.

Run as ``python -m tests.benchmarks.published_groups FOLDER``. FOLDER holds three files of the data
published with "The Building Blocks of Interpretability" (Distill 2018), of one photograph at
mixed4d of GoogLeNet: ``pig_mixed4d_activations.npy`` (1, y, x, channel), ``pig_mixed4d_nmf.npy``
(alignment, pair, y, x, group; zeros behind the last group) and ``pig_groups_info.json``. A pair is
a number of groups of mixed4a and one of mixed4d: every number of groups is there several times.

Exits with 1 where a figure is not as asked at some published number of groups. Alignment is
reported and decides nothing: the aligned layer is mixed4a, whose activations were not published.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from captum_blocks.reduce import ChannelReducer

ACTIVATIONS, SCORES, INFO = (
    "pig_mixed4d_activations.npy",
    "pig_mixed4d_nmf.npy",
    "pig_groups_info.json",
)
COSINE, SCALE, MAGNITUDE = 0.9999, 1e-3, 1e-3
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Published:
    """The groups of one layer for one photograph, as published.

    Attributes:
        activations: (1, y, x, channel).
        counts: numbers of groups.
        scores: {(alignment, number of groups): [(position, group), ...]}.
        magnitudes: likewise, [(group,), ...].
        below: {alignment: [(group of mixed4a,), ...]}, their magnitudes.
    """

    activations: Array
    counts: tuple[int, ...]
    scores: dict[tuple[int, int], list[Array]]
    magnitudes: dict[tuple[int, int], list[Array]]
    below: dict[int, list[Array]]


@dataclass(frozen=True)
class Found:
    """The worst figures at one number of groups over its published copies."""

    n_groups: int
    cosine: float
    scale: float
    in_order: bool
    magnitude: float

    @property
    def as_asked(self) -> bool:
        """Whether every figure is; one that is no number is not."""
        close = self.cosine >= COSINE and self.scale <= SCALE and self.magnitude <= MAGNITUDE
        return close and self.in_order


def read(folder: Path) -> Published:
    """The three files; ``num_4d`` of the JSON says how many groups a pair has at mixed4d."""
    info = json.loads((folder / INFO).read_text())
    maps = np.load(folder / SCORES)
    counts, pairs = tuple(info["num_4d"]), maps.shape[1]
    published = Published(np.load(folder / ACTIVATIONS), counts, {}, {}, {})
    for alignment, pair in np.ndindex(maps.shape[:2]):
        k = counts[pair % len(counts)]
        entry = info["data"][alignment * pairs + pair]
        table = maps[alignment, pair].reshape(-1, maps.shape[-1])[:, :k]
        published.scores.setdefault((alignment, k), []).append(table)
        published.magnitudes.setdefault((alignment, k), []).append(_sizes(entry["mixed4d"]))
        published.below.setdefault(alignment, []).append(_sizes(entry["mixed4a"]))
    return published


def compare(scores: Array, magnitudes: Array, published: Published, alignment: int) -> Found:
    """Our groups (position, group), place by place, with all published copies of so many."""
    key = (alignment, scores.shape[1])
    cosines, scales, sizes, in_order = [], [], [], []
    for theirs, strengths in zip(published.scores[key], published.magnitudes[key], strict=True):
        lengths = np.linalg.norm(scores, axis=0), np.linalg.norm(theirs, axis=0)
        alike = scores.T @ theirs / np.outer(*lengths)
        cosines.append(alike.diagonal().min())
        scales.append(np.abs(lengths[0] / lengths[1] - 1.0).max())
        sizes.append(np.abs(magnitudes / strengths - 1.0).max())
        places = linear_sum_assignment(-np.nan_to_num(alike))[1]
        in_order.append(bool((places == np.arange(len(places))).all()))
    # NumPy's, which lets what is no number through to the verdict.
    worst = float(np.min(cosines)), float(np.max(scales)), float(np.max(sizes))
    return Found(key[1], worst[0], worst[1], all(in_order), worst[2])


def check(published: Published) -> list[Found]:
    """Every published number of groups, printed as a row beside what is asked."""
    print(f"{'groups':>14} {'cosine':>10} {'scale':>9} {'order':>14} {'magnitude':>10}")
    print(
        f"{'asked':>14} {f'>= {COSINE}':>10} {f'<= {SCALE}':>9} {'as published':>14} "
        f"{f'<= {MAGNITUDE}':>10}"
    )
    rows = []
    for k in published.counts:
        reducer = ChannelReducer(k, layout="NHWC")
        scores = reducer.fit_transform(published.activations).reshape(-1, k)
        rows.append(compare(scores, np.asarray(reducer.magnitude_), published, 0))
        show(rows[-1])
        if 1 in published.below:
            show(compare(scores, np.asarray(reducer.magnitude_), published, 1), " aligned")
    return rows


def show(row: Found, note: str = "") -> None:
    """One row; what is aligned is not judged."""
    order = "as published" if row.in_order else "another"
    verdict = "" if note else "yes" if row.as_asked else "NOT AS ASKED"
    print(
        f"{f'{row.n_groups}{note}':>14} {row.cosine:10.6f} {row.scale:9.1e} {order:>14} "
        f"{row.magnitude:10.1e}  {verdict}"
    )


def alignment_changes(published: Published) -> str:
    """What the published alignment changed, in the numbers there are."""
    pairs = zip(published.below[0], published.below[1], strict=True)
    changed = max(float(np.abs(b / a - 1.0).max()) for a, b in pairs)
    return (
        f"aligned: its groups of mixed4d are compared with unaligned ones of ours above; the "
        f"magnitudes of mixed4a change by up to {changed:.0%} when aligned, and its activations "
        "were not published, so compatible groups cannot be compared"
    )


def _sizes(layer: dict[str, Any]) -> Array:
    return np.array([group["magnitude"] for group in layer["each_group"]])


def main(given: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a row is not as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(given).folder
    missing = [name for name in (ACTIVATIONS, SCORES, INFO) if not (folder / name).is_file()]
    if missing:
        parser.error(f"{folder} lacks {', '.join(missing)}: give the folder of the published data")
    published = read(folder)
    rows = check(published)
    if 1 in published.below:
        print(alignment_changes(published))
    return 0 if all(row.as_asked for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
