"""Every entrance that takes a path answers what is none in words, and as the builtin error too."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import captum_blocks as cb
from captum_blocks._paths import as_path
from captum_blocks._pictures import open_picture
from captum_blocks.errors import BlocksError, WrongType
from captum_blocks.explanation import writable
from captum_blocks.reduce import ChannelReducer
from captum_blocks.store import Store
from captum_blocks.zoo.checkpoints import read_weights

REDUCER = ChannelReducer(2, "pca").fit(
    torch.rand(1, 4, 5, 5, generator=torch.Generator().manual_seed(0))
)
ENTRANCES: dict[str, tuple[Callable[[Any], object], type[Exception]]] = {
    "load": (ChannelReducer.load, FileNotFoundError),
    "save": (REDUCER.save, ValueError),
    "page": (writable, ValueError),
    "weights": (read_weights, OSError),
    "picture": (open_picture, ValueError),
    "labels": (lambda path: cb.Network(nn.Conv2d(3, 2, 1), labels=path), ValueError),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("name", ["x\0y.html", "\ud800.html", "a" * 300 + ".html", "a" * 5000])
def test_a_name_that_no_file_can_have(entrance: str, name: str) -> None:
    call, builtin = ENTRANCES[entrance]
    with pytest.raises(builtin) as caught:
        call(name)
    assert isinstance(caught.value, BlocksError)


class Bytes:
    def __fspath__(self) -> bytes:
        return b"page.html"


@pytest.mark.parametrize("entrance", [name for name in ENTRANCES if name != "labels"])
@pytest.mark.parametrize("given", [None, 5, b"page.html", Bytes()], ids=lambda g: type(g).__name__)
def test_what_is_no_path(entrance: str, given: Any) -> None:
    with pytest.raises(WrongType, match=type(given).__name__.removesuffix("Type")):
        ENTRANCES[entrance][0](given)


def test_a_cache_folder_is_a_path(tmp_path: Path) -> None:
    with pytest.raises(WrongType, match=r"^a cache folder is a pathlib\.Path, not int$"):
        Store(5)  # type: ignore[arg-type]
    assert Store(str(tmp_path)).folder == tmp_path  # type: ignore[arg-type]


def test_a_path_that_could_be_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.symlink("loop", tmp_path / "loop")
    for name in ("gone", "file", "file/in a file", "loop", "ключ", "\udcff"):
        assert as_path(tmp_path / name) == tmp_path / name
