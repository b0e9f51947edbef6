"""A finished index on disk, of which nothing is read before it is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from captum_blocks.errors import InvalidArgument
from captum_blocks.examples.choosing import Looks
from captum_blocks.examples.disk import checksum, held, mapped, read_json, read_table
from captum_blocks.examples.folding import IMAGES, PICTURES, SKIPPED, UNITS, layer_file
from captum_blocks.examples.reading import Skipped
from captum_blocks.examples.recipe import BEGUN, FORMAT, INDEX, VERSION
from captum_blocks.examples.shards import KEPT, kept_path

Array = np.ndarray[Any, np.dtype[Any]]


class Stored:
    """What lies in the folder of an index.

    Args:
        folder: as ``build`` leaves it.

    Raises:
        InvalidArgument: it is no index, is not finished, is damaged, or of another version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.content = _content(folder)
        _check_files(folder, self.content)
        self.names = [layer["name"] for layer in self.content["layers"]]
        self.widths = [int(layer["channels"]) for layer in self.content["layers"]]
        self.rows = int(self.content["rows"])
        # What was found of the directions that were asked for last.
        self.asked_last: tuple[Any, Any] | None = None

    @cached_property
    def pictures(self) -> dict[str, Array]:
        """Numbers of each picture: ``images``, ``labels``, ``sources``, and what it looks like."""
        return held(self.folder / PICTURES)

    @cached_property
    def looks(self) -> Looks:
        """What tells photographs apart."""
        found = self.pictures
        return Looks(found["sources"], found["hashes"], found["colours"])

    @cached_property
    def same(self) -> Array:
        """(row,) the first row of the same picture, bit for bit."""
        _, first, group = np.unique(
            self.pictures["digests"], return_index=True, return_inverse=True
        )
        return np.asarray(first[group])

    @cached_property
    def table(self) -> dict[str, Any]:
        """Path, label and source of each picture, as arrow arrays."""
        return read_table(self.folder / IMAGES)

    @cached_property
    def units(self) -> dict[str, Any]:
        """Count and moments of each channel, as arrow arrays."""
        return read_table(self.folder / UNITS)

    @cached_property
    def skipped(self) -> list[Skipped]:
        """The pictures that are not in it."""
        table = read_table(self.folder / SKIPPED)
        columns = [table[name].to_pylist() for name in ("image", "path", "reason")]
        return [Skipped(*row) for row in zip(*columns, strict=True)]

    def layer(self, order: int) -> dict[str, Array]:
        """The tables of a layer, mapped."""
        if order not in self._layers:
            self._layers[order] = mapped(self.folder / layer_file(order))
        return self._layers[order]

    @cached_property
    def _layers(self) -> dict[int, dict[str, Array]]:
        return {}

    def grid(self, order: int) -> tuple[int, int]:
        """(rows, columns) of a layer's places."""
        rows, columns = self.content["layers"][order]["grid"]
        return int(rows), int(columns)

    def keeps(self, order: int) -> bool:
        """Whether activations of a layer are kept, of the first pictures at least."""
        return bool(self.content["layers"][order]["kept"])

    @cached_property
    def kept_rows(self) -> int:
        """Of how many pictures activations are kept, the first ones."""
        there = self.content["sizes"]
        return sum(
            rows
            for number, _, rows in self.content["batches"]
            if kept_path(self.folder, number).name in there
        )

    def kept(self, order: int) -> Iterator[tuple[slice, Array, Array]]:
        """Rows, levels (row, channel, place) and what is left (row, place), batch by batch."""
        for number, start, rows in self.content["batches"] if self.keeps(order) else ():
            if kept_path(self.folder, number).name not in self.content["sizes"]:
                return
            found = mapped(kept_path(self.folder, number))
            yield (
                slice(start, start + rows),
                found[f"{order}.levels"],
                found[f"{order}.left"],
            )

    @cached_property
    def sources(self) -> int:
        """How many photographs the pictures were cut from."""
        return len(np.unique(self.pictures["sources"]))


def _content(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise InvalidArgument(f"{folder} {what}; an index of photographs is a folder")
    if not (folder / INDEX).exists():
        if (folder / BEGUN).exists():
            raise InvalidArgument(
                f"the index in {folder} is not finished: build it again with the same path= to go "
                "on where it stopped"
            )
        raise InvalidArgument(f"{folder} holds no index of photographs: there is no {INDEX} in it")
    content = read_json(folder / INDEX)
    if content.get("format") != FORMAT:
        raise InvalidArgument(f"{folder} holds no index of photographs: {INDEX} is something else")
    if content.get("version") != VERSION:
        raise InvalidArgument(
            f"the index in {folder} is of version {content.get('version')}, and this reads "
            f"{VERSION}: build it again"
        )
    return content


def _check_files(folder: Path, content: dict[str, Any]) -> None:
    """Whether the files are those that were written; of large ones only their size is looked at."""
    try:
        wrong = [name for name, told in content["files"].items() if not _is(folder / name, told)]
        wrong += [
            f"{KEPT}/{name}"
            for name, size in content["sizes"].items()
            if _size(folder / KEPT / name) != size
        ]
        _ = [content[name] for name in ("of", "layers", "batches", "rows", "options", "pictures")]
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidArgument(f"the index in {folder} is damaged: {INDEX} lacks {error}") from error
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise InvalidArgument(
            f"the index in {folder} is damaged: {wrong[0]}{more} is missing or not as it was "
            "written; build it again"
        )


def _is(path: Path, told: str) -> bool:
    try:
        return checksum(path) == told
    except OSError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def column(values: Any, rows: Sequence[int]) -> list[Any]:
    """Some rows of an arrow array as plain values."""
    return [values[int(row)].as_py() for row in rows]
