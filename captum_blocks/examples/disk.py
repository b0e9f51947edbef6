"""Files of an index: arrays in safetensors, tables in Parquet, what it is of in JSON; never pickle.

safetensors and not Zarr: one file holds one batch or one layer, so an atomic rename makes it whole;
it is a length, a JSON header and plain numbers, which any row can be mapped from; nothing runs when
it is opened. Chunks that are compressed each by itself would only cost what scanning is to save.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from captum_blocks.errors import InvalidArgument, NotWritten
from captum_blocks.examples.needs import needed
from captum_blocks.store import whole_file

Array = np.ndarray[Any, np.dtype[Any]]
KINDS = {
    "U8": np.uint8,
    "U16": np.uint16,
    "U32": np.uint32,
    "U64": np.uint64,
    "I32": np.int32,
    "I64": np.int64,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
}
_NAMES = {np.dtype(kind): name for name, kind in KINDS.items()}
_LARGEST_HEADER = 2**26
_ALIGNED = 64
# Rows of a table that are written together.
ROWS = 8192


@dataclass(frozen=True)
class Spec:
    """A tensor of a file before it is written: its shape and kind of numbers."""

    shape: tuple[int, ...]
    kind: Any

    @property
    def bytes(self) -> int:
        """How many it takes."""
        return prod(self.shape) * int(np.dtype(self.kind).itemsize)


class TensorWriter:
    """A safetensors file whose tensors are written some rows at a time, in any order."""

    def __init__(self, file: BinaryIO, specs: Mapping[str, Spec]) -> None:
        self._file, self._specs, self._starts = file, dict(specs), dict[str, int]()
        header: dict[str, Any] = {}
        end = 0
        # The widest numbers first, so that all begin where numbers of their kind may.
        for name in sorted(specs, key=lambda each: (-np.dtype(specs[each].kind).itemsize, each)):
            spec, start = specs[name], end
            end = start + spec.bytes
            self._starts[name] = start
            header[name] = {
                "dtype": _NAMES[np.dtype(spec.kind)],
                "shape": list(spec.shape),
                "data_offsets": [start, end],
            }
        text = json.dumps(header).encode()
        text += b" " * (-(8 + len(text)) % _ALIGNED)
        file.write(struct.pack("<Q", len(text)) + text)
        self._base = 8 + len(text)
        self._end = self._base + end
        file.truncate(self._end)

    def write(self, name: str, array: Array, start: int = 0) -> None:
        """Some rows of a tensor, from row ``start`` on."""
        spec = self._specs[name]
        array = np.ascontiguousarray(array, dtype=spec.kind)
        row = Spec(spec.shape[1:], spec.kind).bytes
        self._file.seek(self._base + self._starts[name] + start * row)
        self._file.write(array.data.cast("B") if array.size else b"")


@contextmanager
def tensors_written(path: Path, specs: Mapping[str, Spec]) -> Iterator[TensorWriter]:
    """A safetensors file that is there when all of it is written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.safetensors"
    ...     with tensors_written(path, {"a": Spec((2, 3), np.float32)}) as file:
    ...         file.write("a", np.ones((1, 3)), start=1)
    ...     mapped(path)["a"].tolist()
    [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    with whole_file(path) as file:
        yield TensorWriter(file, specs)


def mapped(path: Path) -> dict[str, Array]:
    """The tensors of a safetensors file, none of which is read before it is looked at.

    Raises:
        InvalidArgument: it is missing, cut short or no such file.
    """
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LARGEST_HEADER:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
        return {
            name: _tensor(path, 8 + length, told)
            for name, told in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, struct.error, AttributeError) as error:
        raise InvalidArgument(f"{path} is damaged or missing: {error}") from error


def _tensor(path: Path, base: int, told: Mapping[str, Any]) -> Array:
    kind, shape = np.dtype(KINDS[told["dtype"]]), tuple(told["shape"])
    start, end = told["data_offsets"]
    if min((0, *shape)) < 0 or end - start != Spec(shape, kind).bytes:
        raise ValueError("its header does not fit what it holds")
    if base + end > path.stat().st_size:
        raise ValueError("it is cut short")
    if start == end:
        return np.zeros(shape, kind)
    found: Array = np.memmap(path, kind, "r", base + start, shape)
    return found


def held(path: Path) -> dict[str, Array]:
    """The tensors of a small safetensors file, read; as ``mapped``."""
    return {name: np.array(array) for name, array in mapped(path).items()}


def checksum(path: Path) -> str:
    """Size and CRC-32 of a file, read piece by piece."""
    crc, size = 0, 0
    with open(path, "rb") as file:
        while piece := file.read(2**20):
            crc, size = zlib.crc32(piece, crc), size + len(piece)
    return f"{size}:{crc:08x}"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Text that stays the same for the same content."""
    with whole_file(path) as file:
        file.write(json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode())


def read_json(path: Path) -> dict[str, Any]:
    """What was written so.

    Raises:
        InvalidArgument: it is damaged.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"{path} is damaged or missing: {error}") from error
    if not isinstance(found, dict):
        raise InvalidArgument(f"{path} is damaged: it holds no table")
    return found


@contextmanager
def table_written(path: Path, columns: Mapping[str, str]) -> Iterator[Any]:
    """A Parquet file, written some rows at a time by the function that is handed out.

    Args:
        path: where.
        columns: name and kind of each, e.g. ``{"path": "string", "image": "int64"}``.
    """
    pa, pq = needed("pyarrow"), needed("pyarrow.parquet")
    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in columns.items()])
    with whole_file(path) as file:
        waiting: list[Any] = []

        def write(rows: Mapping[str, Any], least: int = ROWS) -> None:
            waiting.append(pa.table(dict(rows), schema=schema))
            if sum(map(len, waiting)) >= least:
                writer.write_table(pa.concat_tables(waiting).combine_chunks())
                waiting.clear()

        with pq.ParquetWriter(file, schema) as writer:
            yield write
            write({name: [] for name in columns}, least=0)


def read_table(path: Path) -> dict[str, Any]:
    """The columns of a Parquet file, as arrow arrays.

    Raises:
        InvalidArgument: it is damaged or missing.
    """
    pq = needed("pyarrow.parquet")
    try:
        table = pq.read_table(path, memory_map=True)
    except Exception as error:
        raise InvalidArgument(f"{path} is damaged or missing: {error}") from error
    return {name: table[name].combine_chunks() for name in table.column_names}


@contextmanager
def said_where(path: Path, missing: str) -> Iterator[None]:
    """Say in words that a folder cannot be written to, and what is missing from it.

    Raises:
        NotWritten: it cannot.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, NotWritten):
            raise
        why = error.strerror or str(error)
        raise NotWritten(
            f"{path} cannot be written to ({why}); {missing}. Nothing that was written is lost: "
            "make room, and build again with the same path= to go on"
        ) from error


def free(path: Path) -> int:
    """Bytes that may still be written where a folder is."""
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize
