"""Building an index: batch after batch, each on disk before the next, and then put together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from captum_blocks import __version__
from captum_blocks.errors import InvalidArgument
from captum_blocks.examples.disk import checksum, mapped, said_where, write_json
from captum_blocks.examples.folding import IMAGES, PICTURES, SKIPPED, UNITS, fold, layer_file
from captum_blocks.examples.identity import identity, read_by
from captum_blocks.examples.items import Pictures
from captum_blocks.examples.layering import Survey
from captum_blocks.examples.looking import LayerPlan, margin_of, planned
from captum_blocks.examples.needs import needed
from captum_blocks.examples.reading import Batch, check_still, first_readable, read_batch, thumbnail
from captum_blocks.examples.recipe import (
    INDEX,
    Options,
    batches_kept,
    clear,
    is_there,
    kept_of,
    recipe_of,
)
from captum_blocks.examples.resuming import check_pictures
from captum_blocks.examples.shards import (
    How,
    Told,
    is_whole,
    kept_path,
    shard_path,
    told_of,
    write_shard,
)
from captum_blocks.examples.sources import asked_as_given
from captum_blocks.network import Network


def build(
    net: Network,
    pictures: Pictures,
    layers: Sequence[str],
    folder: Path,
    options: Options,
    progress: bool = True,
) -> None:
    """Build an index in a folder, or go on with one that was begun there.

    Raises:
        InvalidArgument: the folder holds something else, or an index of something else; no picture
            can be read.
        NotWritten: the folder is full.
    """
    needed("pyarrow.parquet")
    of = identity(net)
    first = first_readable(net, pictures)
    check_still(net, pictures, first.images[0])
    assert first.x is not None
    plans = kept_of(planned(net, first.x, layers), pictures.size, options)
    recipe = recipe_of(of, pictures, plans, options, tuple(first.x.shape[1:]))
    with said_where(folder, "the index is not begun"):
        finished = is_there(folder, recipe, net)
    sources = asked_as_given(options.sources, pictures)
    check_pictures(folder, finished, net, pictures, first.x.shape[1:], sources)
    if finished:
        return
    most = batches_kept(plans, pictures.size, options)
    how = How(tuple(plans), margin_of(plans), options.seed, sources, most)
    numbers = _look_at_all(net, pictures, folder, how, recipe, progress)
    with said_where(folder, "all pictures are looked at, but the tables are not put together"):
        survey = fold(folder, plans, numbers, options.vectors, options.seed)
        if not survey.rows:
            raise InvalidArgument(
                f"none of {survey.met} pictures gives plain numbers in all layers: "
                f"{first.items[0].path or 'the first'} gives NaN or infinite values"
            )
        _finish(folder, recipe, plans, survey)


def _look_at_all(
    net: Network,
    pictures: Pictures,
    folder: Path,
    how: How,
    recipe: dict[str, Any],
    progress: bool,
) -> list[int]:
    """Look at every batch that is not there yet; returns the numbers of all."""
    size, options = pictures.size, recipe["options"]
    step, shape = options["batch_size"], recipe["pictures"]["shape"]
    numbers, met = list[int](), 0
    read = _Ahead(net, pictures, step, shape, options["thumbnails"])
    with read, tqdm(total=size, desc="photographs", unit="", disable=not progress) as bar:
        for number in itertools.count() if size is None else range(-(-size // step)):
            told = _told_if_there(folder, number, how)
            if told is None:
                missing = f"{met} of {'the' if size is None else size} pictures are looked at"
                batch = read.batch(number, _absent(folder, number + 1, how, size, step))
                with said_where(folder, missing):
                    told = write_shard(folder, number, net, batch, how)
            numbers.append(number)
            met += told.met
            bar.update(told.met)
            if told.met < told.asked:
                break
    return numbers


def _told_if_there(folder: Path, number: int, how: How) -> Told | None:
    if not is_whole(folder, number, how.plans_of(number)):
        return None
    return told_of(mapped(shard_path(folder, number)))


def _absent(folder: Path, start: int, how: How, size: int | None, step: int) -> int | None:
    """The next batch that has to be read; None behind the last."""
    last = start if size is None else -(-size // step) - 1
    return next(
        (n for n in range(start, last + 1) if not is_whole(folder, n, how.plans_of(n))), None
    )


class _Ahead:
    """Reads the next batch while the network looks at this one."""

    def __init__(
        self, net: Network, pictures: Pictures, step: int, shape: Any, thumbnails: bool
    ) -> None:
        self._net, self._pictures, self._step = net, pictures, step
        self._shape, self._make = shape, thumbnail if thumbnails else None
        self._reader = ThreadPoolExecutor(1, "photographs")
        self._waiting: dict[int, Future[Batch]] = {}

    def __enter__(self) -> _Ahead:
        return self

    def __exit__(self, *error: Any) -> None:
        self._reader.shutdown(wait=True, cancel_futures=True)

    def batch(self, number: int, following: int | None) -> Batch:
        """A batch; the reading of the one that follows is begun."""
        wanted = self._begun(number)
        made = wanted.result()
        self._waiting.pop(number)
        if following is not None and made.met == made.asked:
            self._begun(following)
        return made

    def _begun(self, number: int) -> Future[Batch]:
        if number not in self._waiting:
            start = number * self._step
            stop = start + self._step
            if self._pictures.size is not None:
                stop = min(stop, self._pictures.size)
            self._waiting[number] = self._reader.submit(
                read_batch,
                self._net,
                self._pictures,
                range(start, stop),
                self._shape,
                self._make,
            )
        return self._waiting[number]


def _finish(
    folder: Path, recipe: dict[str, Any], plans: Sequence[LayerPlan], survey: Survey
) -> None:
    """Say that the index is whole, and only then remove what it was put together from."""
    names = [IMAGES, PICTURES, SKIPPED, UNITS, *(layer_file(i) for i in range(len(plans)))]
    kept = [kept_path(folder, number) for number, _, rows in survey.batches if rows]
    kept = [path for path in kept if path.exists()]
    content = {
        **recipe,
        "captum_blocks": __version__,
        "read_by": read_by(),
        "files": {name: checksum(folder / name) for name in names},
        "sizes": {path.name: path.stat().st_size for path in kept},
        "batches": [list(each) for each in survey.batches if each[2]],
        "rows": survey.rows,
        "met": survey.met,
        "skipped": survey.skipped,
        "labels": survey.labels if survey.has_labels else [],
    }
    write_json(folder / INDEX, content)
    clear(folder)
