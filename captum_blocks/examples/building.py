"""Building an index: batch after batch, each on disk before the next, and then put together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from shutil import rmtree
from typing import Any

from tqdm import tqdm

from captum_blocks import __version__
from captum_blocks.errors import InvalidArgument, WrongType, did_you_mean
from captum_blocks.examples.disk import checksum, mapped, read_json, said_where, write_json
from captum_blocks.examples.folding import (
    IMAGES,
    PICTURES,
    SKIPPED,
    UNITS,
    Survey,
    fold,
    layer_file,
)
from captum_blocks.examples.identity import check_same, identity
from captum_blocks.examples.items import Pictures
from captum_blocks.examples.looking import LayerPlan, margin_of, planned
from captum_blocks.examples.needs import needed
from captum_blocks.examples.reading import Batch, check_still, first_readable, read_batch
from captum_blocks.examples.shards import (
    KEPT,
    SHARDS,
    How,
    Told,
    is_whole,
    kept_path,
    shard_path,
    told_of,
    write_shard,
)
from captum_blocks.examples.sources import Sources, checked_sources
from captum_blocks.network import Network
from captum_blocks.store import unfinished

FORMAT = "captum_blocks index of photographs"
VERSION = 1
INDEX, BEGUN = "index.json", "begun.json"


@dataclass(frozen=True)
class Options:
    """How an index is built.

    Attributes:
        keep: "activations": of all places, in 8 bits, of as many layers as fit the budget;
            "extremes": none.
        budget: bytes that activations may take.
        batch_size: pictures looked at together.
        vectors: pictures of which a vector of each layer is kept.
        thumbnails: whether small pictures are kept.
        sources: which photographs pictures are of.
        seed: of what is drawn.
    """

    keep: str = "activations"
    budget: float = 2e9
    batch_size: int = 16
    vectors: int = 4096
    thumbnails: bool = False
    sources: Sources = "picture"
    seed: int = 0

    def checked(self) -> Options:
        """The same, with what cannot be done refused."""
        if self.keep not in ("activations", "extremes"):
            hint = did_you_mean(str(self.keep), ("activations", "extremes"))
            raise InvalidArgument(f"keep={self.keep!r} is none of activations, extremes{hint}")
        for name in ("batch_size", "vectors"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise WrongType(f"{name}={value!r}: give a whole number")
        if self.batch_size < 1 or self.vectors < 0 or not self.budget >= 0 or self.seed < 0:
            raise InvalidArgument(
                f"batch_size={self.batch_size}, vectors={self.vectors}, budget={self.budget}, "
                f"seed={self.seed}: none may be negative, and a batch holds a picture at least"
            )
        return replace(self, sources=checked_sources(self.sources))

    def told(self) -> dict[str, Any]:
        """As plain values."""
        sources = self.sources if isinstance(self.sources, str) else "a function"
        return {
            "keep": self.keep,
            "budget": float(self.budget),
            "batch_size": self.batch_size,
            "vectors": self.vectors,
            "thumbnails": self.thumbnails,
            "sources": sources,
            "seed": self.seed,
        }


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
    plans = _kept(planned(net, first.x, layers), pictures.size, options)
    recipe = _recipe(of, pictures, plans, options, tuple(first.x.shape[1:]))
    with said_where(folder, "the index is not begun"):
        if _is_there(folder, recipe, net):
            return
    kept = _batches_kept(plans, pictures.size, options)
    how = How(tuple(plans), margin_of(plans), options.seed, options.sources, kept)
    numbers = _look_at_all(net, pictures, folder, how, recipe, progress)
    with said_where(folder, "all pictures are looked at, but the tables are not put together"):
        survey = fold(folder, plans, numbers, options.vectors, options.seed)
        if not survey.rows:
            raise InvalidArgument(
                f"none of {survey.met} pictures gives plain numbers in all layers: "
                f"{first.items[0].path or 'the first'} gives NaN or infinite values"
            )
        _finish(folder, recipe, plans, survey)


def _kept(plans: Sequence[LayerPlan], size: int | None, options: Options) -> list[LayerPlan]:
    """The layers, with those marked whose activations are kept: the small ones first."""
    left, kept = options.budget, set[str]()
    for plan in sorted(plans, key=lambda each: each.bytes_an_image):
        total = plan.bytes_an_image * (options.batch_size if size is None else size)
        if options.keep == "activations" and total <= left:
            left -= total
            kept.add(plan.name)
    return [replace(plan, kept=plan.name in kept) for plan in plans]


def _batches_kept(plans: Sequence[LayerPlan], size: int | None, options: Options) -> float:
    """Of how many batches activations are kept: where nobody knows how many there will be, as many
    as fit the budget."""
    an_image = sum(plan.bytes_an_image for plan in plans if plan.kept)
    if size is not None or not an_image:
        return inf
    return options.budget // (an_image * options.batch_size)


def _recipe(
    of: dict[str, Any],
    pictures: Pictures,
    plans: Sequence[LayerPlan],
    options: Options,
    shape: tuple[int, ...],
) -> dict[str, Any]:
    """All that the numbers depend on, as plain values."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "of": of,
        "pictures": {
            "kind": pictures.kind,
            "fingerprint": pictures.fingerprint(),
            "size": pictures.size,
            "shape": list(shape),
        },
        "layers": [
            {
                "name": plan.name,
                "channels": plan.channels,
                "grid": list(plan.grid),
                "layout": repr(plan.layout),
                "kept": plan.kept,
                "calls": plan.calls,
            }
            for plan in plans
        ],
        "options": options.told(),
    }


def _is_there(folder: Path, recipe: dict[str, Any], net: Network) -> bool:
    """Whether the index is finished; a folder that is not of this index is refused."""
    if folder.exists() and not folder.is_dir():
        raise InvalidArgument(f"{folder} is a file; an index is a folder: give another path")
    folder.mkdir(parents=True, exist_ok=True)
    found = next((folder / name for name in (INDEX, BEGUN) if (folder / name).exists()), None)
    if found is None:
        strange = [each.name for each in folder.iterdir() if not unfinished(each)]
        if strange:
            raise InvalidArgument(
                f"{folder} holds {strange[0]!r} and no index of photographs: give another path"
            )
    else:
        there = read_json(found)
        _check_recipe(folder, there, recipe, net)
    for left in folder.rglob("*"):
        if unfinished(left):
            left.unlink(missing_ok=True)
    if found is None:
        write_json(folder / BEGUN, recipe)
    if found is None or found.name == BEGUN:
        for name in (SHARDS, KEPT):
            (folder / name).mkdir(exist_ok=True)
        return False
    clear(folder)
    return True


def _check_recipe(
    folder: Path, there: dict[str, Any], recipe: dict[str, Any], net: Network
) -> None:
    if there.get("format") != FORMAT:
        raise InvalidArgument(f"{folder} holds no index of photographs: give another path")
    if there.get("version") != VERSION:
        raise InvalidArgument(
            f"{folder} holds an index of version {there.get('version')}, and this is {VERSION}: "
            "give another path"
        )
    check_same(there["of"], net, f"what was begun in {folder}")
    for part, said in _PARTS.items():
        if there[part] != recipe[part]:
            raise InvalidArgument(
                f"{folder} holds an index of {said}; give another path, or what it was begun with"
            )


_PARTS = {
    "pictures": "other pictures (another list, or files of another size)",
    "layers": "other layers, or of which other activations are kept",
    "options": "other options",
}


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
        self._shape, self._thumbnails = shape, thumbnails
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
                self._thumbnails,
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


def clear(folder: Path) -> None:
    """Remove what a finished index was put together from."""
    rmtree(folder / SHARDS, ignore_errors=True)
    (folder / BEGUN).unlink(missing_ok=True)


def batches_of(rows: Sequence[int], step: int) -> Iterator[Sequence[int]]:
    """Rows, so many at a time.

    >>> list(batches_of([1, 2, 3], 2))
    [[1, 2], [3]]
    """
    for start in range(0, len(rows), step):
        yield rows[start : start + step]
