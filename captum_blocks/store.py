"""Files that several processes may share: atomic, evicted by least recent use.

An entry is a small set of files whose names begin alike (a picture and the JSON that describes it).
Keys are any text that determines the content; the store only hashes them.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import platformdirs

from captum_blocks.errors import InvalidArgument, WrongType

DEFAULT_MAX_BYTES = 512 * 2**20
ENVIRONMENT_VARIABLE = "CAPTUM_BLOCKS_CACHE_DIR"
_UNFINISHED = ".captum-blocks-unfinished-"
# A file is written in milliseconds: one older than this was left behind.
_UNFINISHED_SECONDS = 60.0
_WRITES = 3
# To look what there is takes as long as to write some entries.
_EVICTED_AT_ONCE = 64
# What a folder that cannot be used ends in: of a name that no folder can have it is a ValueError.
_UNUSABLE = (OSError, ValueError)
LARGEST_FILE = 2**28
# Neither followed to another place nor waited for, where the system can say so.
_AS_IT_IS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
_ENTRY = re.compile(
    r"(?P<start>(?:[\w.-]+-)?[0-9a-f]{24})(?P<mark>[0-9a-f]{8})(?P<suffix>\.[A-Za-z0-9]+)"
)


@dataclass(frozen=True)
class StoreInfo:
    """What a store holds: its folder, how many entries, and how many bytes they take."""

    folder: Path
    entries: int
    bytes: int


@dataclass(frozen=True)
class _Entry:
    used: float
    size: int
    paths: list[Path]
    is_mine: bool


def default_folder() -> Path:
    """``CAPTUM_BLOCKS_CACHE_DIR`` where it is set, else the user's cache folder of the system.

    Raises:
        InvalidArgument: it is in the home folder of a user that there is not.
    """
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if not chosen:
        return Path(platformdirs.user_cache_dir("captum-blocks"))
    try:
        return Path(chosen).expanduser()
    except RuntimeError as error:
        raise InvalidArgument(
            f"{ENVIRONMENT_VARIABLE} is {chosen!r}, but there is no such home folder; "
            "set it to a folder that is yours"
        ) from error


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name when all of it is written, or not at all.

    It is written beside its place under a name that ``unfinished`` tells, and removed on any error.

    Raises:
        OSError: the folder is not there, may not be written to, or is full.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with whole_file(path := Path(folder) / "numbers.bin") as file:
    ...         _ = file.write(b"12"), path.exists()
    ...     path.read_bytes()
    b'12'
    """
    handle, temporary = tempfile.mkstemp(prefix=_UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def unfinished(path: Path) -> bool:
    """Whether a file is what a process that died has left of ``whole_file``.

    >>> unfinished(Path("birds.blocks/index.json"))
    False
    """
    return path.name.startswith(_UNFINISHED)


class Store:
    """A folder of entries that is never larger than it may be.

    A file appears whole or not at all, so two processes can share a folder; the later of two equal
    writes wins. Reading an entry makes it the most recently used; writing one evicts the least
    recently used. Files that the store did not name are never touched, however they are called: the
    name of each file holds a mark that is computed from the rest of it, its ending included.

    A store is a convenience: ``keep`` writes where that is possible, and warns once where it is not
    (a full disk, a folder of somebody else).

    Args:
        folder: where the files are; made on the first write. None: ``default_folder()``.
        max_bytes: how much all of a user's entries together may take.

    Raises:
        WrongType: ``folder`` is no path.
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
        try:
            self.folder = default_folder() if folder is None else Path(folder)
        except TypeError as error:
            kind = type(folder).__name__
            raise WrongType(f"a cache folder is a pathlib.Path, not {kind}") from error
        self.max_bytes = max_bytes
        self._is_told = False

    def path(self, key: str, suffix: str, label: str = "") -> Path:
        """Where a file of an entry is, or would be."""
        start = _start(key, label)
        return self.folder / f"{start}{_mark(start, suffix)}{suffix}"

    def read(
        self, key: str, suffix: str, label: str = "", most: int = LARGEST_FILE
    ) -> bytes | None:
        """One file of an entry, or None where it is missing, empty, too large or no plain file.

        Args:
            key: what the entry was written under.
            suffix: which of its files, e.g. ``".png"``.
            label: the label it was written with; it is part of the file's name.
            most: bytes that it may have.
        """
        path = self.path(key, suffix, label)
        try:
            content = _plain_content(path, most)
        except _UNUSABLE:
            return None
        if not content:
            return None
        with suppress(OSError):
            os.utime(path)
        return content

    def keep(self, key: str, files: Mapping[str, bytes], label: str = "") -> None:
        """As ``write``, where that is possible; else it is said once, as a warning.

        Args:
            key: any text that determines the content.
            files: content by suffix.
            label: readable start of the file names.
        """
        try:
            self.write(key, files, label)
        except InvalidArgument as error:
            if not self._is_told:
                self._is_told = True
                warnings.warn(f"{error}; until then nothing is kept", stacklevel=2)

    def check_writable(self) -> None:
        """Find out whether an entry could be written.

        Raises:
            InvalidArgument: it could not; why is said.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                return
        except _UNUSABLE as error:
            raise self._not_writable(error) from error

    def _not_writable(self, error: Exception) -> InvalidArgument:
        why = getattr(error, "strerror", None) or error
        return InvalidArgument(
            f"cannot write to the cache folder {self.folder} ({why}); "
            f"set {ENVIRONMENT_VARIABLE} to a folder that is yours"
        )

    def write(self, key: str, files: Mapping[str, bytes], label: str = "") -> None:
        """Write the files of an entry, then evict what no longer fits.

        Args:
            key: any text that determines the content.
            files: content by suffix, e.g. ``{".png": ..., ".json": ...}``.
            label: readable start of the file names, for the person who browses the folder.

        Raises:
            InvalidArgument: the folder cannot be made or written to, is full, or vanishes again and
                again.
        """
        self.write_each([(key, files, label)])

    def write_each(self, entries: Iterable[tuple[str, Mapping[str, bytes], str]]) -> int:
        """Write entry after entry, and now and then evict what no longer fits.

        Args:
            entries: of each, what ``write`` takes. They may be made one by one: what was written
                before an error stays.

        Returns:
            How many entries were written.

        Raises:
            InvalidArgument: as ``write`` does.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Store(Path(folder)).write_each((key, {".txt": b"hello"}, "") for key in "abc")
        3
        """
        count, last = 0, ""
        try:
            for key, files, label in entries:
                self._write_files(key, files, label)
                count, last = count + 1, _start(key, label)
                if count % _EVICTED_AT_ONCE == 0:
                    self._evict(keep=last)
        finally:
            if count % _EVICTED_AT_ONCE:
                self._evict(keep=last)
        return count

    def _write_files(self, key: str, files: Mapping[str, bytes], label: str) -> None:
        try:
            for suffix, content in files.items():
                self._write_file(self.path(key, suffix, label), content)
        except _UNUSABLE as error:
            raise self._not_writable(error) from error

    def discard(self, key: str, label: str = "") -> None:
        """Forget an entry, for example because its content turned out to be damaged."""
        start = _start(key, label)
        _remove([path for found, path in self._files() if found == start])

    def info(self) -> StoreInfo:
        """How much the store holds."""
        entries = self._entries()
        total = sum(entry.size for entry in entries.values())
        return StoreInfo(self.folder, len(entries), total)

    def clear(self) -> int:
        """Remove every entry; returns how many are gone: those of other users may have to stay.

        What another process is just writing stays: it is no entry yet.
        """
        removed = [_remove(entry.paths) for entry in self._entries().values()]
        _remove(self._unfinished())
        return sum(removed)

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
        with whole_file(path) as file:
            file.write(content)

    def _evict(self, keep: str) -> None:
        mine = {start: entry for start, entry in self._entries().items() if entry.is_mine}
        excess = sum(entry.size for entry in mine.values()) - self.max_bytes
        for start, entry in sorted(mine.items(), key=lambda item: item[1].used):
            if excess <= 0:
                break
            if start != keep and _remove(entry.paths):
                excess -= entry.size
        _remove(self._unfinished())

    def _entries(self) -> dict[str, _Entry]:
        """The entries by what the names of their files begin with."""
        grouped: dict[str, list[tuple[os.stat_result, Path]]] = defaultdict(list)
        for start, path in self._files():
            with suppress(OSError):  # another process may evict while we look
                status = path.lstat()
                grouped[start].append((status, path))
        return {
            start: _Entry(
                max(status.st_mtime for status, _ in files),
                sum(status.st_size for status, _ in files),
                [path for _, path in files],
                all(_is_own(status) for status, _ in files),
            )
            for start, files in grouped.items()
        }

    def _files(self) -> Iterator[tuple[str, Path]]:
        """The files that a store has named, each with what it begins with."""
        with suppress(*_UNUSABLE):  # no folder, or one that may not be looked into
            for path in self.folder.iterdir():
                if start := _started(path.name):
                    yield start, path

    def _unfinished(self) -> list[Path]:
        """Temporary files that a process which died has left behind."""
        limit = time.time() - _UNFINISHED_SECONDS
        found = []
        with suppress(*_UNUSABLE):
            for path in self.folder.glob(f"{_UNFINISHED}*"):
                with suppress(OSError):
                    if path.lstat().st_mtime <= limit:
                        found.append(path)
        return found


def _start(key: str, label: str) -> str:
    digest = sha256(key.encode()).hexdigest()[:24]
    readable = re.sub(r"[^\w.-]+", "-", label, flags=re.ASCII).strip("-.")[:80]
    return f"{readable}-{digest}" if readable else digest


def _mark(start: str, suffix: str) -> str:
    """What tells a file of an entry from one of somebody else that is called much the same."""
    return sha256(f"an entry of captum_blocks: {start}{suffix}".encode()).hexdigest()[:8]


def _started(name: str) -> str:
    """What the name of an entry's file begins with; empty for any other file."""
    found = _ENTRY.fullmatch(name)
    own = found is not None and _mark(found["start"], found["suffix"]) == found["mark"]
    return found["start"] if found is not None and own else ""


def _remove(paths: list[Path]) -> bool:
    """Whether all of the files are gone."""
    gone = True
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            gone = False
    return gone


def _plain_content(path: Path, most: int) -> bytes:
    """What is in a plain file of at most so many bytes.

    Raises:
        OSError: it is missing, larger, or a folder, a link, a pipe, a device.
    """
    descriptor = os.open(path, _AS_IT_IS)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            raise OSError(f"{path} is no plain file of at most {most} bytes")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


def _is_own(status: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()
