"""Whether pictures are those that an index was built or begun of: a few are read again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from captum_blocks.errors import InvalidArgument
from captum_blocks.examples.items import Item, Pictures
from captum_blocks.examples.likeness import digests
from captum_blocks.examples.reading import read_batch
from captum_blocks.examples.shards import SHARDS, is_whole, read_shard
from captum_blocks.examples.sources import Sources, source_of
from captum_blocks.examples.stored import Stored
from captum_blocks.network import Network

Array = np.ndarray[Any, np.dtype[Any]]
# How many pictures are read again: the first, the last and some between.
READ = 8


@dataclass(frozen=True)
class _Rows:
    """What is known of pictures that were looked at, row by row."""

    images: list[int]
    digests: list[int]
    paths: list[str]
    labels: list[str | None]
    sources: list[str]


def check_pictures(
    folder: Path,
    finished: bool,
    net: Network,
    pictures: Pictures,
    shape: Sequence[int],
    sources: Sources,
) -> None:
    """Refuse to take an index of other pictures, or of other photographs, for one of these.

    Args:
        folder: of the index.
        finished: whether it is, or only begun.
        net: that it is of.
        pictures: those that are given now.
        shape: (channel, height, width) that the network takes.
        sources: which photographs pictures are of.

    Raises:
        InvalidArgument: a picture that is in it is another one now, bit for bit as the network
            takes it, has another label, or is of another photograph; it is named.
    """
    there = _of_index(folder) if finished else _of_shards(folder)
    if not there.images:
        return
    _check_sources(folder, there, sources)
    changed = next(_changed(there, net, pictures, shape), None)
    if changed is not None:
        row, why = changed
        raise InvalidArgument(
            f"{folder} holds an index of other pictures: {_called(there, row)} is not what it was"
            f"{why}; give another path, or what it was begun with"
        )


def _check_sources(folder: Path, there: _Rows, sources: Sources) -> None:
    """Ask of each picture again which photograph it is of: functions cannot be told apart."""
    if not callable(sources):
        return
    for row, (image, path) in enumerate(zip(there.images, there.paths, strict=True)):
        now = source_of(Item(None, path), image, sources)
        if now != there.sources[row]:
            raise InvalidArgument(
                f"{folder} holds an index with other sources: {_called(there, row)} was of "
                f"{there.sources[row]!r}, and sources= says {now!r}; give another path, or what it "
                "was begun with"
            )


def _called(there: _Rows, row: int) -> str:
    path = there.paths[row]
    return f"picture {there.images[row]}" + (f" ({path})" if path else "")


def _changed(
    there: _Rows, net: Network, pictures: Pictures, shape: Sequence[int]
) -> Iterator[tuple[int, str]]:
    """Rows whose picture is another one, of those that are read again, and what can be said."""
    rows = _chosen(len(there.images), pictures)
    batch = read_batch(net, pictures, [there.images[row] for row in rows], shape)
    bits = [] if batch.x is None else digests(batch.x).tolist()
    found = dict(zip(batch.images, zip(bits, batch.items, strict=True), strict=True))
    skipped = {each.image: each.reason for each in batch.skipped}
    for row in rows:
        image, label = there.images[row], there.labels[row]
        if image not in found:
            yield row, f": {skipped.get(image, 'the pictures end before it')}"
        elif found[image][0] != there.digests[row]:
            yield row, ""
        elif found[image][1].label != label:
            yield row, f": its label was {label!r}, and is {found[image][1].label!r}"


def _chosen(count: int, pictures: Pictures) -> list[int]:
    """Rows far apart; the first ones where those behind are only had after all before them."""
    if pictures.size is None or pictures.kind == "stream":
        return list(range(min(count, READ)))
    return sorted({step * (count - 1) // (READ - 1) for step in range(READ)})


def _of_index(folder: Path) -> _Rows:
    stored = Stored(folder)
    known = [stored.pictures[name].tolist() for name in ("images", "digests")]
    return _Rows(*known, *(stored.table[name].to_pylist() for name in ("path", "label", "source")))


def _of_shards(folder: Path) -> _Rows:
    """Of the batches that are whole."""
    found = _Rows([], [], [], [], [])
    for number in sorted(int(each.stem) for each in (folder / SHARDS).glob("[0-9]*")):
        if not is_whole(folder, number, ()):
            continue
        arrays, told = read_shard(folder, number)
        found.images.extend(arrays["images"].tolist())
        found.digests.extend(arrays["digests"].tolist() if told.paths else ())
        found.paths.extend(told.paths)
        found.labels.extend(told.labels)
        found.sources.extend(told.sources)
    return found
