"""Pictures in files: of a folder, a list, tar archives, or another file system by its URL."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from captum_blocks._pictures import ADDRESS, formats
from captum_blocks.errors import InvalidArgument, UnreadableImage
from captum_blocks.examples.items import Item, Pictures, digest, opened
from captum_blocks.examples.needs import needed

TAR = (".tar", ".tar.gz", ".tgz")
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


@cache
def endings() -> frozenset[str]:
    """How the names of picture files end, in small letters."""
    known = Image.registered_extensions().items()
    return frozenset(end for end, name in known if name in formats())


def is_picture(path: str) -> bool:
    """Whether a file is called as a picture, and not hidden.

    >>> is_picture("birds/a.JPG"), is_picture("birds/.a.jpg"), is_picture("birds/.cache/a.jpg")
    (True, False, False)
    """
    parts = PurePosixPath(path)
    return parts.suffix.lower() in endings() and not any(p.startswith(".") for p in parts.parts)


class Files(Pictures):
    """Files below a root, in a fixed order.

    Args:
        root: of all paths; empty where they are complete by themselves.
        paths: relative to the root, with slashes.
        labelled: whether the first folder of a path is its label.
        sizes: in bytes, where they are known.
    """

    kind = "files"

    def __init__(
        self,
        root: str,
        paths: Sequence[str],
        labelled: bool = False,
        sizes: Sequence[int] = (),
    ) -> None:
        self.root, self.paths, self.size = root, list(paths), len(paths)
        self._labelled, self._sizes = labelled, sizes

    def item(self, index: int) -> Item:
        """One of them, not opened yet where it lies on this system."""
        path = self.paths[index]
        folder, slash, _ = path.partition("/")
        return Item(self._picture(path), path, folder if self._labelled and slash else None)

    def _picture(self, path: str) -> Any:
        return os.path.join(self.root, path)

    def fingerprint(self) -> str:
        """Of names and sizes."""
        return digest([self.kind, *self.paths, *map(str, self._sizes)])


class Listed(Files):
    """Files of a list, by their paths from the folder that holds all of them.

    Args:
        paths: as they are given.
        sizes: in bytes.

    >>> listed = Listed(["animals/cat/1.png", "animals/dog/2.png"], [-1, -1])
    >>> listed.root, listed.paths, listed.given("cat/1.png")
    ('animals/', ['cat/1.png', 'dog/2.png'], 'animals/cat/1.png')
    """

    def __init__(self, paths: Sequence[str], sizes: Sequence[int]) -> None:
        root, inside = _parted(paths)
        super().__init__(root, inside, sizes=sizes)

    def given(self, path: str) -> str:
        """What a path was given as."""
        return os.path.join(self.root, path)


def _parted(paths: Sequence[str]) -> tuple[str, list[str]]:
    """A folder and paths from there, which put together are those given; empty where none is."""
    plain = [path.replace(os.sep, "/") for path in paths]
    first, last = min(plain), max(plain)  # in order, so what these share all do
    shared = sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(first, last, strict=False)))
    root = first[: first.rfind("/", 0, shared) + 1]
    inside = [path.removeprefix(root) for path in plain]
    if any(ADDRESS.match(path) for path in plain) or any(map(os.path.isabs, inside)):
        return "", list(paths)
    return root, inside


class RemoteFiles(Files):
    """Files of an fsspec file system."""

    def __init__(self, system: Any, root: str, paths: Sequence[str], labelled: bool) -> None:
        super().__init__(root, paths, labelled)
        self._system = system

    def _picture(self, path: str) -> Any:
        place = f"{self.root}/{path}" if self.root else path
        try:
            return opened(self._system.cat_file(place), path)
        except Exception as error:
            return (
                error if isinstance(error, UnreadableImage) else UnreadableImage(f"{path}: {error}")
            )


@dataclass(frozen=True)
class _Member:
    archive: str
    name: str
    offset: int
    size: int
    label: tuple[int, int] | None


class Tars(Pictures):
    """WebDataset archives: files of one key are one sample, ``.cls`` or ``.txt`` its label."""

    kind = "tars"

    def __init__(self, archives: Sequence[str], open_archive: Callable[[str], Any]) -> None:
        self._open = open_archive
        self._members = [member for each in archives for member in self._listed(each)]
        self.size = len(self._members)
        self._names = _shortest(archives)

    def _listed(self, archive: str) -> Iterator[_Member]:
        """What is in an archive, from the headers alone."""
        samples: dict[str, dict[str, tarfile.TarInfo]] = {}
        try:
            with self._open(archive) as file, tarfile.open(fileobj=file, mode="r:") as tar:
                for info in tar:
                    folder, _, name = info.name.rpartition("/")
                    key, _, ending = name.partition(".")
                    if info.isfile() and key:
                        samples.setdefault(f"{folder}/{key}", {})[ending.lower()] = info
        except (OSError, tarfile.TarError) as error:
            raise InvalidArgument(
                f"{archive} cannot be read as an uncompressed tar archive: {error}"
            ) from error
        for parts in samples.values():
            picture = next((i for end, i in parts.items() if is_picture(f"a.{end}")), None)
            label = parts.get("cls") or parts.get("txt")
            if picture is not None:
                place = None if label is None else (label.offset_data, label.size)
                yield _Member(archive, picture.name, picture.offset_data, picture.size, place)

    def item(self, index: int) -> Item:
        """One of them, read."""
        member = self._members[index]
        name = f"{self._names[member.archive]}/{member.name}"
        label = None
        try:
            with self._open(member.archive) as file:
                if member.label is not None:
                    file.seek(member.label[0])
                    label = file.read(member.label[1]).decode("utf-8", "replace").strip()
                file.seek(member.offset)
                return Item(opened(file.read(member.size), name), name, label)
        except Exception as error:
            return Item(error, name, label)

    def fingerprint(self) -> str:
        """Of names and sizes."""
        return digest([self.kind, *(f"{each.name} {each.size}" for each in self._members)])


def _shortest(archives: Sequence[str]) -> dict[str, str]:
    """What each archive is called: its file name, or all of it where two are called so."""
    names = [each.rpartition("/")[2] for each in archives]
    return dict(zip(archives, names if len(set(names)) == len(names) else archives, strict=True))


def folder_of(path: Path) -> Files:
    """The pictures in a folder and those below it, by path; subfolders are labels.

    Raises:
        InvalidArgument: there are none.
    """
    found = sorted(
        os.path.relpath(os.path.join(folder, name), path).replace(os.sep, "/")
        for folder, _, names in os.walk(path)
        for name in names
    )
    paths = [each for each in found if is_picture(each)]
    if not paths:
        some = f"; there are {len(found)} files, as {found[0]}" if found else ""
        raise InvalidArgument(f"there is no picture in the folder {path}{some}")
    return Files(str(path), paths, True, [_bytes_of(path / each) for each in paths])


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def archives(given: Sequence[str]) -> Tars:
    """WebDataset archives, here or elsewhere; ``{000..009}`` in a name stands for ten of them."""
    names = [name for each in given for name in _expanded(each)]
    if any(name.endswith(TAR[1:]) for name in names):
        raise InvalidArgument(
            "pictures in a compressed tar archive cannot be had one by one: unpack it with gunzip"
        )
    return Tars(names, _open_anywhere)


def _open_anywhere(name: str) -> Any:
    if ADDRESS.match(name):
        return needed("fsspec", f"the address {name}").open(name, "rb").open()
    return open(name, "rb")


def _expanded(name: str) -> list[str]:
    found = _BRACES.search(name)
    if found is None:
        return [name]
    first, last = found.groups()
    return [
        each
        for number in range(int(first), int(last) + 1)
        for each in _expanded(
            f"{name[: found.start()]}{number:0{len(first)}d}{name[found.end() :]}"
        )
    ]


def elsewhere(address: str, paths: Sequence[str] | None = None) -> Files:
    """The pictures below a URL that fsspec knows; subfolders are labels.

    Args:
        address: "s3://bucket/birds", "memory://birds", "file:///birds".
        paths: those wanted, relative to it; all of them unless given.

    Raises:
        InvalidArgument: it cannot be listed, or holds none.
    """
    fsspec = needed("fsspec", f"the address {address}")
    try:
        system, root = fsspec.core.url_to_fs(address)
        found = sorted(system.find(root)) if paths is None else []
    except Exception as error:
        raise InvalidArgument(f"{address} cannot be listed: {error}") from error
    root = root.rstrip("/")
    if paths is None:
        inside = [each.removeprefix(root).lstrip("/") for each in found]
        paths = [each for each in inside if is_picture(each)]
    if not paths:
        raise InvalidArgument(f"there is no picture at {address}")
    return RemoteFiles(system, root, paths, True)
