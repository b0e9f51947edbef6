"""One batch of pictures on disk: the unit of work, which is there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from captum_blocks.errors import BlocksError
from captum_blocks.examples.disk import Spec, held, mapped, tensors_written
from captum_blocks.examples.likeness import digests, signatures
from captum_blocks.examples.looking import (
    LayerNumbers,
    LayerPlan,
    finite_rows,
    look,
    places_of,
)
from captum_blocks.examples.moments import Moments
from captum_blocks.examples.reading import Batch, Skipped
from captum_blocks.examples.roundings import half_above, half_below
from captum_blocks.examples.sources import Sources, source_of
from captum_blocks.network import Network

Array = np.ndarray[Any, np.dtype[Any]]
SHARDS, KEPT = "shards", "kept"


@dataclass(frozen=True)
class Told:
    """What is known of the pictures of a batch, besides numbers.

    Attributes:
        paths, labels, sources: of each picture.
        skipped: those that are not there.
        asked, met: how many pictures were wanted, and how many there were.
    """

    paths: list[str]
    labels: list[str | None]
    sources: list[str]
    skipped: list[Skipped]
    asked: int
    met: int


def shard_path(folder: Path, batch: int) -> Path:
    """Where the numbers of a batch are until they are put together."""
    return folder / SHARDS / f"{batch:07d}.safetensors"


def kept_path(folder: Path, batch: int) -> Path:
    """Where the activations of a batch are kept."""
    return folder / KEPT / f"{batch:07d}.safetensors"


def is_whole(folder: Path, batch: int, plans: Sequence[LayerPlan]) -> bool:
    """Whether a batch is there: its numbers, and what is kept of it."""
    try:
        arrays = mapped(shard_path(folder, batch))
        told = told_of(arrays)
        keeps = any(plan.kept for plan in plans) and told.paths
        return not keeps or len(mapped(kept_path(folder, batch))) > 0
    except (BlocksError, ValueError, KeyError, TypeError):
        return False


@dataclass(frozen=True)
class How:
    """How pictures are looked at; the same for all batches.

    Attributes:
        plans: the layers.
        margin: left out along each side by the vectors' places.
        seed: of the vectors' places.
        sources: which photographs pictures are of.
        batches_kept: of how many batches activations are kept; of all unless given.
    """

    plans: tuple[LayerPlan, ...]
    margin: float
    seed: int
    sources: Sources
    batches_kept: float = inf

    def plans_of(self, batch: int) -> list[LayerPlan]:
        """The layers, of a batch."""
        keeps = batch < self.batches_kept
        return [replace(plan, kept=plan.kept and keeps) for plan in self.plans]


def write_shard(folder: Path, number: int, net: Network, batch: Batch, how: How) -> Told:
    """Look at a batch and write what was seen.

    Returns:
        What is known of its pictures; those that give no plain numbers are among the skipped.
    """
    arrays, kept, told = _looked(net, batch, how, how.plans_of(number))
    if kept:
        _write(kept_path(folder, number), kept)
    _write(shard_path(folder, number), arrays)
    return told


def _looked(
    net: Network, batch: Batch, how: How, plans: Sequence[LayerPlan]
) -> tuple[dict[str, Array], dict[str, Array], Told]:
    if batch.x is None:
        told = Told([], [], [], batch.skipped, batch.asked, batch.met)
        return _with_told({"images": np.zeros(0, np.int64)}, told), {}, told
    places = places_of(batch.images, batch.boxes, how.margin, how.seed)
    found = look(net, batch.x, plans, places)
    rows, where = finite_rows(found)
    hashes, colours = signatures(batch.x)
    arrays: dict[str, Array] = {
        "images": np.array(batch.images, np.int64)[rows],
        "places": places[rows],
        "hashes": hashes[rows],
        "digests": digests(batch.x)[rows],
        "colours": colours[rows],
    }
    kept: dict[str, Array] = {}
    for order, plan in enumerate(plans):
        numbers = found[plan.name].rows(rows)
        arrays |= {f"{order}.{name}": each for name, each in _arrays(numbers, plan).items()}
        if plan.kept and rows.any():
            kept |= {f"{order}.levels": numbers.levels, f"{order}.left": numbers.left}
    if batch.made:
        arrays |= _files([each for each, row in zip(batch.made, rows, strict=True) if row])
    told = _told(batch, rows, where, how.sources)
    return _with_told(arrays, told), kept, told


def _arrays(numbers: LayerNumbers, plan: LayerPlan) -> dict[str, Array]:
    """What is put together later, of one layer."""
    moments = Moments.each(plan.places, numbers.sums) if len(numbers.sums) else None
    return {
        "maximum": numbers.maximum,
        "high": half_above(numbers.maximum),
        "low": half_below(numbers.minimum),
        "mean": numbers.sums[:, 0],
        "at": numbers.at.astype(place_kind(plan.places)),
        "vector": numbers.vector,
        "moments": np.zeros((4, plan.channels)) if moments is None else moments.sums,
    }


def place_kind(places: int) -> Any:
    """Numbers that are large enough for so many places.

    >>> place_kind(196).__name__
    'uint16'
    """
    return np.uint16 if places <= 2**16 else np.uint32


def _told(batch: Batch, rows: Array, where: str, sources: Sources) -> Told:
    known = list(zip(batch.images, batch.items, rows, strict=True))
    fine = [(image, item) for image, item, row in known if row]
    reason = f"layer {where!r} gives NaN or infinite values"
    odd = [Skipped(image, item.path, reason) for image, item, row in known if not row]
    return Told(
        [item.path for _, item in fine],
        [item.label for _, item in fine],
        [source_of(item, image, sources) for image, item in fine],
        sorted([*batch.skipped, *odd], key=lambda each: each.image),
        batch.asked,
        batch.met,
    )


def _with_told(arrays: dict[str, Array], told: Told) -> dict[str, Array]:
    text = json.dumps(
        {
            "paths": told.paths,
            "labels": told.labels,
            "sources": told.sources,
            "skipped": [[each.image, each.path, each.reason] for each in told.skipped],
            "asked": told.asked,
            "met": told.met,
        }
    )
    return {**arrays, "told": np.frombuffer(text.encode(), np.uint8)}


def told_of(arrays: dict[str, Array]) -> Told:
    """What is known of the pictures of a shard."""
    told = json.loads(bytes(arrays["told"]))
    skipped = [Skipped(*each) for each in told["skipped"]]
    return Told(told["paths"], told["labels"], told["sources"], skipped, told["asked"], told["met"])


def _files(files: Sequence[bytes]) -> dict[str, Array]:
    """Small files as one array and where each ends."""
    ends = np.cumsum([len(each) for each in files], dtype=np.int64)
    return {"thumbnails": np.array(bytearray(b"".join(files)), np.uint8), "thumbnail_ends": ends}


def thumbnails_of(arrays: dict[str, Array], count: int) -> list[bytes | None]:
    """The small JPEG files of a shard; None where there are none."""
    if "thumbnail_ends" not in arrays:
        return [None] * count
    pieces = np.split(arrays["thumbnails"], arrays["thumbnail_ends"][:-1])
    return [bytes(each) or None for each in pieces]


def _write(path: Path, arrays: dict[str, Array]) -> None:
    with tensors_written(path, {n: Spec(a.shape, a.dtype) for n, a in arrays.items()}) as file:
        for name, array in arrays.items():
            file.write(name, array)


def read_shard(folder: Path, number: int) -> tuple[dict[str, Array], Told]:
    """The numbers of a batch, and what is known of its pictures."""
    arrays = held(shard_path(folder, number))
    return arrays, told_of(arrays)
