"""What a program may hand over by mistake, at every entrance: pictures, paths, specs, folders."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image

import captum_blocks as cb
from captum_blocks.errors import BlocksError
from captum_blocks.grammar import from_json
from captum_blocks.reduce import ChannelReducer
from captum_blocks.store import Store
from captum_blocks.zoo.checkpoints import read_weights
from tests.conftest import SmallNet
from tests.hostile.inputs import FEW, NETWORK, X

THINGS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "5": lambda: 5,
    "bytes": lambda: b"picture.png",
    "list": list,
    "itself": lambda: Endless(),
    "NUL": lambda: "x\0y.html",
    "half a character": lambda: "\ud800.html",
    "long": lambda: "a" * 5000,
    "long name": lambda: Path("a" * 300 + ".npz"),
    "bytes of a path": lambda: Endless(b"page.html"),
    "sparse": lambda: X.to_sparse(),
    "meta": lambda: X.to("meta"),
    "expanded": lambda: torch.zeros(1).expand(1, 3, 2**20, 2**20),
    "without rows": lambda: X[:0],
    "without pixels": lambda: Image.new("L", (0, 0)),
    "NaN": lambda: X * float("nan"),
    "whole numbers": lambda: X.long(),
    "array": lambda: np.zeros((0, 3, 3), np.uint8),
    "float array": lambda: np.zeros((4, 4, 3)),
}


class Endless(list[Any]):
    """A list in itself; with content also a path of bytes."""

    def __init__(self, content: bytes | None = None) -> None:
        super().__init__([] if content is None else [content])
        self.append(self)

    def __fspath__(self) -> bytes:
        return b"page.html"


ENTRANCES: dict[str, Callable[[Any, Path], object]] = {
    "explain": lambda given, _: explained(given),
    "explain several": lambda given, _: explained([X, given]),
    "save": lambda given, _: explained(X).save(given),
    "spec": lambda given, _: from_json(given),
    "load": lambda given, _: ChannelReducer.load(given),
    "save reducer": lambda given, _: FITTED.save(given),
    "weights": lambda given, _: read_weights(given),
    "labels": lambda given, _: cb.Network(SmallNet(), labels=given),
    "store": lambda given, folder: used(given, folder),
}
FITTED = ChannelReducer(2, "pca").fit(torch.rand(1, 4, 5, 5))
arguments = st.tuples(st.sampled_from(sorted(ENTRANCES)), st.sampled_from(sorted(THINGS)))


def explained(picture: Any) -> cb.Explanation:
    answer = cb.InfoVis(cb.Activation(cb.Out()))
    return cb.explain(answer, NETWORK, picture, quality=FEW, progress=False)


def used(given: Any, folder: Path) -> None:
    store = Store(folder / given if isinstance(given, str) else given)
    store.keep("key", {".png": b"1"})
    store.read("key", ".png")
    store.info()


def check_argument(given: tuple[str, str], folder: Path) -> None:
    """What a program hands over is used or refused in words."""
    entrance, thing = given
    before = Path.cwd()
    os.chdir(folder)
    try:
        with suppress(BlocksError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ENTRANCES[entrance](THINGS[thing](), folder)
    finally:
        os.chdir(before)
