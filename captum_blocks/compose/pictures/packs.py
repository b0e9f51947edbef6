"""Icons as one zip: plain pictures and a JSON text that says whose they are.

Nothing of a pack is run or believed: its files are only ever asked for by names that whoever reads
it has computed from its own network, none of them names a place on disk, and every size is known to
be small before anything of that size is read.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from captum_blocks.errors import BlocksError, InvalidArgument
from captum_blocks.store import whole_file

VERSION = 1
ABOUT = "pack.json"
# More channels than layers of known networks have; it bounds all that is read of a pack.
MOST_ICONS = 2**13
_LONGEST_NAME = 160
_MOST_ABOUT = MOST_ICONS * (_LONGEST_NAME + 40)
# What a zip says of each file at its end: 46 bytes and the name.
_MOST_DIRECTORY = (MOST_ICONS + 1) * (46 + _LONGEST_NAME)
_END, _END_64, _END_SIZE, _LOCATOR_SIZE = b"PK\5\6", b"PK\6\7", 22, 20
# Only of these a part can be unpacked without all of it.
_METHODS = (ZIP_STORED, ZIP_DEFLATED)
# A pack of the same icons is the same file.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class About:
    """Whose icons a pack holds, and how they were made.

    Attributes:
        layer: dotted name.
        network: its name as printed.
        fingerprint: of the weights, settings and code of what leads to the layer.
        size: of the icons, in pixels.
        n_steps, seed: of the optimization.
        scores: how strongly the layer answers to each icon, by the name of its file.
        versions: of what drew them: the code of a network counts, and differs between versions of
            Python.

    >>> About("bn2", "EfficientNet-Lite0", "f" * 64, 128, 80, 0).scores
    {}
    """

    layer: str
    network: str
    fingerprint: str
    size: int
    n_steps: int
    seed: int
    scores: Mapping[str, float] = field(default_factory=dict)
    versions: str = ""

    @classmethod
    def of(cls, text: bytes) -> About:
        """What is written in a pack.

        Raises:
            ValueError: it is not what ``About`` is made of. (What is no JSON raises as it does.)
            InvalidArgument: it is of a newer version.
        """
        told = json.loads(text)
        if not isinstance(told, dict) or type(version := told.pop("version", None)) is not int:
            raise ValueError("it does not say what it is")
        if version > VERSION:
            raise InvalidArgument("it was made by a newer version of captum_blocks; update to read")
        made = cls(**told)
        for name, kind in _KINDS.items():
            if type(getattr(made, name)) is not kind:
                raise ValueError(f"its {name} is none")
        if not all(type(one) in (int, float) and isfinite(one) for one in made.scores.values()):
            raise ValueError("its scores are none")
        return made


_KINDS: dict[str, type] = {
    **dict.fromkeys(("layer", "network", "fingerprint", "versions"), str),
    **dict.fromkeys(("size", "n_steps", "seed"), int),
    "scores": dict,
}


class PackWriter:
    """A pack that is being written: ``add`` icon after icon.

    Args:
        archive: the open zip.
    """

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        self.scores: dict[str, float] = {}

    def add(self, name: str, picture: bytes, score: float) -> None:
        """An icon, as a PNG, under the name that the store gives its file."""
        self._archive.writestr(ZipInfo(name, _LONG_AGO), picture)
        self.scores[name] = score


@contextmanager
def writing(path: Path, about: About) -> Iterator[PackWriter]:
    """A pack that is there when all of it is written, or not at all.

    Args:
        path: where to.
        about: whose icons they are; the scores are filled in.

    Raises:
        InvalidArgument: the disk is full, or the folder may not be written to.

    >>> from tempfile import TemporaryDirectory
    >>> about = About("bn2", "EfficientNet-Lite0", "f" * 64, 128, 80, 0)
    >>> with TemporaryDirectory() as folder:
    ...     with writing(path := Path(folder) / "pack.zip", about) as pack:
    ...         pack.add("bn2-channel-7.png", b"a picture", 1.5)
    ...     with Pack(path) as pack:
    ...         pack.about.scores, pack.picture("bn2-channel-7.png", most=100)
    ({'bn2-channel-7.png': 1.5}, b'a picture')
    """
    try:
        with whole_file(path) as file, ZipFile(file, "w") as archive:
            yield (pack := PackWriter(archive))
            told = {"version": VERSION, **asdict(replace(about, scores=pack.scores))}
            archive.writestr(ZipInfo(ABOUT, _LONG_AGO), json.dumps(told, indent=1))
    except OSError as error:
        raise InvalidArgument(f"cannot write {path} ({error.strerror or error})") from error


class Pack:
    """A pack that is read.

    Args:
        path: of the file.

    Raises:
        InvalidArgument: it is not there, no pack, damaged, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise InvalidArgument(f"{path} cannot be read: there is no such file")
        try:
            with path.open("rb") as file:
                _check_directory(file)
            self._archive = ZipFile(path)
            try:
                self.about = About.of(self._content(ABOUT, _MOST_ABOUT))
            except BaseException:
                self._archive.close()
                raise
        except BlocksError as error:
            raise InvalidArgument(f"{path} cannot be read: {error}") from error
        except Exception as error:  # what is damaged or foreign may be so in any way
            why = str(error)[:200] or type(error).__name__
            raise InvalidArgument(
                f"{path} is no pack of icons, or it is damaged ({why})"
            ) from error

    def __enter__(self) -> Pack:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._archive.close()

    def picture(self, name: str, most: int) -> bytes | None:
        """A file of at most so many bytes; None where it is damaged, larger, or not there."""
        try:
            return self._content(name, most)
        except Exception:  # readers raise errors of every kind on what is damaged
            return None

    def _content(self, name: str, most: int) -> bytes:
        info = self._archive.getinfo(name)
        if info.file_size > most or info.compress_type not in _METHODS:
            raise ValueError(f"{name} is larger than it can be, or packed in an unusual way")
        with self._archive.open(info) as member:
            return member.read(most)


def _check_directory(file: BinaryIO) -> None:
    """Refuse what says that it has more files than a pack can have, before they are listed.

    Raises:
        ValueError: so it is, or the file does not end as a pack does.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_SIZE - _LOCATOR_SIZE))
    before, end = (tail := file.read())[:-_END_SIZE], tail[-_END_SIZE:]
    if len(end) < _END_SIZE or end[:4] != _END or end[-2:] != b"\0\0" or before[:4] == _END_64:
        raise ValueError("it does not end as a pack does")
    parts: tuple[Any, ...] = struct.unpack("<4s4H2LH", end)
    if parts[4] > MOST_ICONS + 1 or parts[5] > _MOST_DIRECTORY:
        raise ValueError(f"it has more files than the {MOST_ICONS + 1} that a pack can have")
