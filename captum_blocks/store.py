"""Files that several processes may share: atomic, evicted by least recent use.

An entry is a small set of files of one stem (a picture and the JSON that describes it). Keys are
any text that determines the content; the store only hashes them.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import platformdirs

from captum_blocks.errors import InvalidArgument

DEFAULT_MAX_BYTES = 512 * 2**20
ENVIRONMENT_VARIABLE = "CAPTUM_BLOCKS_CACHE_DIR"
_UNFINISHED = ".captum-blocks-unfinished-"
# A file is written in milliseconds: one older than this was left behind.
_UNFINISHED_SECONDS = 60.0
_WRITES = 3
_ENTRY = re.compile(r"(?P<start>(?:[\w.-]+-)?[0-9a-f]{24})(?P<mark>[0-9a-f]{8})\.[A-Za-z0-9]+")


@dataclass(frozen=True)
class StoreInfo:
    """What a store holds: its folder, how many entries, and how many bytes they take."""

    folder: Path
    entries: int
    bytes: int


def default_folder() -> Path:
    """``CAPTUM_BLOCKS_CACHE_DIR`` where it is set, else the user's cache folder of the system."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    return (
        Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("captum-blocks"))
    )


class Store:
    """A folder of entries that is never larger than it may be.

    A file appears whole or not at all, so two processes can share a folder; the later of two equal
    writes wins. Reading an entry makes it the most recently used; writing one evicts the least
    recently used. Files that the store did not name are never touched, however they are called: the
    name of an entry ends in a mark that is computed from the rest of it.

    Args:
        folder: where the files are; made on the first write. None: ``default_folder()``.
        max_bytes: how much all entries together may take.

    Raises:
        InvalidArgument: the size limit is not positive.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     store = Store(Path(folder))
    ...     store.write("a key", {".txt": b"hello"}, label="greeting")
    ...     store.read("a key", ".txt", label="greeting")
    b'hello'
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        if max_bytes <= 0:
            raise InvalidArgument(
                f"max_bytes is {max_bytes}; a store needs room: give a positive number"
            )
        self.folder = default_folder() if folder is None else Path(folder)
        self.max_bytes = max_bytes

    def path(self, key: str, suffix: str, label: str = "") -> Path:
        """Where a file of an entry is, or would be."""
        return self.folder / f"{_stem(key, label)}{suffix}"

    def read(self, key: str, suffix: str, label: str = "") -> bytes | None:
        """One file of an entry, or None where it is missing or empty.

        Args:
            key: what the entry was written under.
            suffix: which of its files, e.g. ``".png"``.
            label: the label it was written with; it is part of the file's name.
        """
        path = self.path(key, suffix, label)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        if not content:
            return None
        with suppress(OSError):
            os.utime(path)
        return content

    def write(self, key: str, files: Mapping[str, bytes], label: str = "") -> None:
        """Write the files of an entry, then evict what no longer fits.

        Args:
            key: any text that determines the content.
            files: content by suffix, e.g. ``{".png": ..., ".json": ...}``.
            label: readable start of the file names, for the person who browses the folder.

        Raises:
            InvalidArgument: the folder cannot be made or written to, or vanishes again and again.
        """
        try:
            for suffix, content in files.items():
                self._write_file(self.path(key, suffix, label), content)
        except (
            PermissionError,
            FileExistsError,
            NotADirectoryError,
            FileNotFoundError,
        ) as error:
            raise InvalidArgument(
                f"cannot write to the cache folder {self.folder} ({error.strerror}); "
                f"set {ENVIRONMENT_VARIABLE} to a folder that is yours"
            ) from error
        self._evict(keep=_stem(key, label))

    def discard(self, key: str, label: str = "") -> None:
        """Forget an entry, for example because its content turned out to be damaged."""
        stem = _stem(key, label)
        for path in self._files():
            if path.stem == stem:
                path.unlink(missing_ok=True)

    def info(self) -> StoreInfo:
        """How much the store holds."""
        entries = self._entries()
        total = sum(size for _, size, _ in entries.values())
        return StoreInfo(self.folder, len(entries), total)

    def clear(self) -> int:
        """Remove every entry; returns how many there were.

        What another process is just writing stays: it is no entry yet.
        """
        entries = self._entries()
        for _, _, paths in entries.values():
            _remove(paths)
        _remove(self._unfinished())
        return len(entries)

    def _write_file(self, path: Path, content: bytes) -> None:
        for left in reversed(range(_WRITES)):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._write_once(path, content)
                return
            except FileNotFoundError:
                # The folder was removed while we wrote, or we were suspended so long that the
                # unfinished file looked left behind.
                if not left:
                    raise

    def _write_once(self, path: Path, content: bytes) -> None:
        handle, temporary = tempfile.mkstemp(prefix=_UNFINISHED, dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _evict(self, keep: str) -> None:
        entries = self._entries()
        excess = sum(size for _, size, _ in entries.values()) - self.max_bytes
        oldest_first = sorted(entries.items(), key=lambda item: item[1][0])
        for stem, (_, size, paths) in oldest_first:
            if excess <= 0:
                break
            if stem != keep:
                _remove(paths)
                excess -= size
        _remove(self._unfinished())

    def _entries(self) -> dict[str, tuple[float, int, list[Path]]]:
        """Stem -> (last use, bytes, files)."""
        grouped: dict[str, list[tuple[float, int, Path]]] = defaultdict(list)
        for path in self._files():
            with suppress(OSError):  # another process may evict while we look
                status = path.stat()
                grouped[path.stem].append((status.st_mtime, status.st_size, path))
        return {
            stem: (
                max(t for t, _, _ in files),
                sum(s for _, s, _ in files),
                [p for _, _, p in files],
            )
            for stem, files in grouped.items()
        }

    def _files(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from (path for path in self.folder.iterdir() if _is_marked(path.name))

    def _unfinished(self) -> list[Path]:
        """Temporary files that a process which died has left behind."""
        if not self.folder.is_dir():
            return []
        limit = time.time() - _UNFINISHED_SECONDS
        found = []
        for path in self.folder.glob(f"{_UNFINISHED}*"):
            with suppress(OSError):
                if path.stat().st_mtime <= limit:
                    found.append(path)
        return found


def _stem(key: str, label: str) -> str:
    digest = sha256(key.encode()).hexdigest()[:24]
    readable = re.sub(r"[^\w.-]+", "-", label, flags=re.ASCII).strip("-.")[:80]
    start = f"{readable}-{digest}" if readable else digest
    return start + _mark(start)


def _mark(start: str) -> str:
    """What tells an entry from a file of somebody else that also ends in a hash."""
    return sha256(f"an entry of captum_blocks: {start}".encode()).hexdigest()[:8]


def _is_marked(name: str) -> bool:
    found = _ENTRY.fullmatch(name)
    return found is not None and _mark(found["start"]) == found["mark"]


def _remove(paths: list[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)
