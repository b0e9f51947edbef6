"""Paths as a caller gives them: looked at once, at every entrance, before anything is done."""

from __future__ import annotations

import os
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

from captum_blocks.errors import BlocksError, InvalidArgument, WrongType

# What only says that nothing is there, or that one may not look.
_NOT_THERE = (FileNotFoundError, NotADirectoryError, PermissionError)


def as_path(
    given: str | PathLike[str],
    refused: type[BlocksError] = InvalidArgument,
    said: str = "no such file:",
) -> Path:
    """A path that there could be, whether there is a file or not.

    Args:
        given: text, or what stands for it.
        refused: what a name that no file can have is answered with.
        said: how that answer begins.

    Raises:
        WrongType: it is neither.
        BlocksError: of the type ``refused``; a NUL or half a character in it, or too long a name.

    >>> as_path("groups.npz").name
    'groups.npz'
    >>> as_path("a\\0b")
    Traceback (most recent call last):
    captum_blocks.errors.InvalidArgument: no such file: a?b (embedded null byte)
    """
    text: Any = given
    if isinstance(given, PathLike):
        text = os.fspath(given)
    if not isinstance(text, str):
        raise WrongType(f"a path is text or a pathlib.Path, not {_called(given)}")
    try:
        os.lstat(text)
    except _NOT_THERE:
        pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise refused(f"{said} {_short(text)} ({why})") from error
    return Path(text)


def absolute(path: Path) -> Path:
    """Where a path leads, whatever becomes the current folder later.

    >>> absolute(Path("photo.jpg")).is_absolute()
    True
    """
    with suppress(OSError):  # the current folder is gone
        return path.absolute()
    return path


def _called(given: Any) -> str:
    return "None" if given is None else type(given).__name__


def _short(text: str, most: int = 120) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
