"""From shards, in the order of their numbers, to the tables of an index; a shard at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from captum_blocks.examples.disk import (
    Spec,
    TensorWriter,
    mapped,
    table_written,
    tensors_written,
)
from captum_blocks.examples.layering import MOST_LABELS, LayerFold, Survey
from captum_blocks.examples.looking import LayerPlan
from captum_blocks.examples.reading import Skipped
from captum_blocks.examples.shards import (
    Told,
    read_shard,
    shard_path,
    thumbnails_of,
    told_of,
)

Array = np.ndarray[Any, np.dtype[Any]]
IMAGES, PICTURES, SKIPPED, UNITS = (
    "images.parquet",
    "pictures.safetensors",
    "skipped.parquet",
    "units.parquet",
)


def layer_file(order: int) -> str:
    """Where the tables of a layer are.

    >>> layer_file(2)
    'layers/0002.safetensors'
    """
    return f"layers/{order:04d}.safetensors"


def surveyed(folder: Path, numbers: Sequence[int]) -> Survey:
    """Look through the shards of these numbers, in order."""
    found, images, labels, start = Survey(), list[Array](), set[str](), 0
    for number in numbers:
        arrays = mapped(shard_path(folder, number))
        told = told_of(arrays)
        here = np.array(arrays["images"])
        found.batches.append((number, start, len(here)))
        images.append(here)
        start += len(here)
        if len(labels) <= MOST_LABELS:
            labels |= {label for label in told.labels if label is not None}
        if len(here):
            found.colours = arrays["colours"].shape[1]
            found.thumbnails |= "thumbnail_ends" in arrays
        found.met += told.met
        found.skipped += len(told.skipped)
    found.images = np.concatenate(images) if images else found.images
    found.labels = sorted(labels) if len(labels) <= MOST_LABELS else []
    return found


def reservoir(images: Array, most: int, seed: int) -> Array:
    """Rows of a uniform sample without replacement, ascending; the same whatever the batches.

    Each picture draws a number by its own number, and the smallest of them are in (Efraimidis and
    Spirakis 2006, with equal weights).

    >>> reservoir(np.arange(100), 3, seed=0).shape
    (3,)
    """
    drawn = _scrambled(images.astype(np.uint64) + _scrambled(np.array([seed], np.uint64)))
    return np.sort(np.argsort(drawn, kind="stable")[:most])


def _scrambled(numbers: Array) -> Array:
    """SplitMix64 (Steele, Lea and Flood 2014): neighbouring numbers become unlike ones."""
    with np.errstate(over="ignore"):
        z = numbers + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


_UNIT_COLUMNS = {
    "layer": "string",
    "channel": "int64",
    "count": "int64",
    **dict.fromkeys(("mean", "variance", "skewness", "kurtosis", "maximum"), "float64"),
}
_IMAGE_COLUMNS = {"image": "int64", "path": "string", "label": "string", "source": "string"}


def fold(
    folder: Path, plans: Sequence[LayerPlan], numbers: Sequence[int], vectors: int, seed: int
) -> Survey:
    """Put the shards of these numbers together.

    Args:
        folder: of the index.
        plans: its layers.
        numbers: of the shards, in order.
        vectors: how many pictures' activation vectors are kept.
        seed: of that sample.
    """
    survey = surveyed(folder, numbers)
    if not survey.rows:
        return survey
    chosen = reservoir(survey.images, vectors, seed)
    folds = [LayerFold(plan, i, survey, len(chosen)) for i, plan in enumerate(plans)]
    (folder / "layers").mkdir(exist_ok=True)
    columns = dict(_IMAGE_COLUMNS) | ({"thumbnail": "binary"} if survey.thumbnails else {})
    with ExitStack() as stack:
        files = [
            stack.enter_context(tensors_written(folder / layer_file(i), each.specs))
            for i, each in enumerate(folds)
        ]
        pictures = stack.enter_context(
            tensors_written(folder / PICTURES, _pictures(survey, len(chosen)))
        )
        pictures.write("vector_rows", chosen)
        images = stack.enter_context(table_written(folder / IMAGES, columns))
        for start, rows, arrays, told in _shards(folder, survey, chosen):
            labels = _write_pictures(pictures, arrays, told, start, survey)
            pictures.write("vector_places", arrays["places"][rows], _before(chosen, start))
            images(_images(arrays, told, survey.thumbnails))
            for each, file in zip(folds, files, strict=True):
                each.see(file, arrays, start, rows, labels)
        for each, file in zip(folds, files, strict=True):
            each.close(file)
    with table_written(folder / UNITS, _UNIT_COLUMNS) as write:
        for each in folds:
            write(each.units())
    _write_skipped(folder, survey)
    return survey


def _before(chosen: Array, start: int) -> int:
    return int(np.searchsorted(chosen, start))


def _shards(
    folder: Path, survey: Survey, chosen: Array
) -> Iterator[tuple[int, Array, dict[str, Array], Told]]:
    """First row, rows whose vectors are kept, and content of each shard that has pictures."""
    for number, start, count in survey.batches:
        if count:
            arrays, told = read_shard(folder, number)
            inside = chosen[_before(chosen, start) : _before(chosen, start + count)]
            yield start, inside - start, arrays, told


def _pictures(survey: Survey, vectors: int) -> dict[str, Spec]:
    return {
        "images": Spec((survey.rows,), np.int64),
        "hashes": Spec((survey.rows,), np.uint64),
        "digests": Spec((survey.rows,), np.uint64),
        "colours": Spec((survey.rows, survey.colours), np.float16),
        "sources": Spec((survey.rows,), np.uint64),
        "labels": Spec((survey.rows,), np.int32),
        "vector_rows": Spec((vectors,), np.int64),
        "vector_places": Spec((vectors, 2), np.float64),
    }


def _write_pictures(
    file: TensorWriter, arrays: dict[str, Array], told: Told, start: int, survey: Survey
) -> Array:
    """Write what is known of pictures; returns the numbers of their labels."""
    order = {label: place for place, label in enumerate(survey.labels)}
    labels = np.array([-1 if e is None else order.get(e, -1) for e in told.labels], np.int32)
    for name in ("images", "hashes", "digests", "colours"):
        file.write(name, arrays[name], start)
    file.write("sources", np.array([number_of(e) for e in told.sources], np.uint64), start)
    file.write("labels", labels, start)
    return labels


def number_of(source: str) -> int:
    """A number that stands for the name of a photograph.

    >>> number_of("park") == number_of("park"), number_of("park") == number_of("sea")
    (True, False)
    """
    return int.from_bytes(blake2b(source.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _images(arrays: dict[str, Array], told: Told, thumbnails: bool) -> dict[str, Any]:
    rows = {
        "image": arrays["images"],
        "path": told.paths,
        "label": told.labels,
        "source": told.sources,
    }
    return rows | ({"thumbnail": thumbnails_of(arrays, len(told.paths))} if thumbnails else {})


def _write_skipped(folder: Path, survey: Survey) -> None:
    columns = {"image": "int64", "path": "string", "reason": "string"}
    with table_written(folder / SKIPPED, columns) as write:
        for number, _, _ in survey.batches:
            found = told_of(mapped(shard_path(folder, number))).skipped
            if found:
                write(_rows_of(found))


def _rows_of(skipped: Sequence[Skipped]) -> dict[str, Any]:
    return {
        "image": [each.image for each in skipped],
        "path": [each.path for each in skipped],
        "reason": [each.reason for each in skipped],
    }
