"""The photographs of the demo: an index that is made once, in seconds, and kept in the cache."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from captum_blocks.errors import BlocksError
from captum_blocks.examples import ExampleIndex
from captum_blocks.network import Network
from captum_blocks.store import default_folder
from captum_blocks.zoo.tiles import DemoTiles

NAME = "tiles.blocks"
MISSING = "photographs stand beside the icons with pip install 'captum-blocks[demo]'"


def demo_index(net: Network, progress: bool = True) -> ExampleIndex | None:
    """Tiles of the photographs that scikit-image and scikit-learn ship; None without pyarrow.

    Args:
        net: the demo network.
        progress: whether a bar is shown while it is made.

    Raises:
        MissingDependency: no such photographs are installed.
        NotWritten: the disk is full.
    """
    if find_spec("pyarrow") is None:
        return None
    tiles, folder = DemoTiles(), default_folder() / NAME
    with suppress(BlocksError):  # none yet, or of other photographs, weights or versions
        return ExampleIndex.load(folder, tiles).bound(net)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".tiles-") as temporary:
        made = Path(temporary) / NAME
        ExampleIndex.build(net, tiles, path=made, sources=tiles.source, progress=progress)
        if folder.exists():
            shutil.rmtree(folder)
        with suppress(OSError):  # another process was sooner
            os.replace(made, folder)
    return ExampleIndex.load(folder, tiles).bound(net)
