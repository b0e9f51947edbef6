"""Packages that an index needs beyond the core, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from captum_blocks.errors import MissingDependency

EXTRA = "examples"


def needed(module: str, what: str = "an index of photographs") -> Any:
    """A module of the extra ``examples``.

    Args:
        module: dotted name.
        what: that needs it, for the message.

    Raises:
        MissingDependency: with the line that installs it.

    >>> needed("json").dumps(1)
    '1'
    >>> needed("no_such_package")
    Traceback (most recent call last):
    captum_blocks.errors.MissingDependency: an index of photographs needs no_such_package, which is\
 not installed: pip install 'captum-blocks[examples]'
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise MissingDependency(
            f"{what} needs {name}, which is not installed: pip install 'captum-blocks[{EXTRA}]'"
        ) from error
