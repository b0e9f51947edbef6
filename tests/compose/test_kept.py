"""Icons in the cache: what is odd is drawn again, what cannot be kept is said once."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import captum_blocks as cb
from captum_blocks.compose.pictures.kept import Entry, description
from captum_blocks.store import Store
from tests.conftest import FEW_STEPS

SIDE, NETWORK = 8, "f" * 64
KEY = json.dumps(
    {
        "network": NETWORK,
        "layer": "late",
        "recipe": {
            "size": [SIDE, SIDE],
            "n_steps": 1,
            "seed": 0,
            "channels": 3,
            "parameterization": {"type": "Fourier"},
            "transforms": [],
        },
    }
)
ENTRY = Entry(KEY, "late-channel-0", SIDE, SIDE, "score")
PIXELS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture
def kept(small: cb.Network, store: Store) -> Store:
    """A store with one entry."""
    ENTRY.keep(store, PIXELS, description(small, KEY, "late : 0", "channel 0", score=1.5))
    return store


def test_an_entry_is_taken_as_it_was_kept(kept: Store) -> None:
    found = ENTRY.taken(kept)
    assert found is not None
    assert np.array_equal(found[0], PIXELS)
    assert found[1] == [1.5]


def with_change(**change: Any) -> Callable[[bytes], bytes]:
    return lambda about: json.dumps({**json.loads(about), **change}).encode()


def without(name: str) -> Callable[[bytes], bytes]:
    return lambda about: json.dumps(
        {key: held for key, held in json.loads(about).items() if key != name}
    ).encode()


@pytest.mark.parametrize(
    "changed",
    [
        with_change(fingerprint="of another network"),
        with_change(score=float("nan")),
        with_change(score=float("inf")),
        with_change(score="1.5"),
        with_change(score=True),
        with_change(score=[1.5]),
        with_change(label=3),
        with_change(transforms="none"),
        without("score"),
        without("layer"),
        lambda about: about[:-20],
        lambda about: b"[1.5]",
        lambda about: b"[" * 10_000,
        lambda about: about + b" " * 2**22,
        lambda about: b"\xff\xfe" + about,
    ],
)
def test_what_lies_beside_an_icon_follows_a_schema(
    kept: Store, changed: Callable[[bytes], bytes]
) -> None:
    path = kept.path(KEY, ".json", ENTRY.label)
    path.write_bytes(changed(path.read_bytes()))
    assert ENTRY.taken(kept) is None
    assert not kept.path(KEY, ".png", ENTRY.label).exists()


def chunk(kind: bytes, data: bytes) -> bytes:
    checked = kind + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


def test_a_picture_that_says_it_is_larger_is_not_decoded(kept: Store) -> None:
    """A file of a few bytes that declares 30,000 x 30,000 pixels."""
    path = kept.path(KEY, ".png", ENTRY.label)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")))
    assert ENTRY.taken(kept) is None


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "JPEG"])
def test_a_picture_of_another_format_is_none_of_ours(kept: Store, kind: str) -> None:
    Image.fromarray(PIXELS).save(kept.path(KEY, ".png", ENTRY.label), kind)
    assert ENTRY.taken(kept) is None


def test_half_an_entry_is_none(kept: Store) -> None:
    kept.path(KEY, ".json", ENTRY.label).unlink()
    assert ENTRY.taken(kept) is None
    assert kept.info().entries == 0


def test_a_cache_that_cannot_be_is_gone_without(
    small: cb.Network, small_x: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is the same; that nothing is kept is said once for all of its icons."""
    (tmp_path / "file").write_text("in the way")
    interface = cb.FeatureVis(cb.Hidden("late").channels[:3])
    given = {"quality": FEW_STEPS, "progress": False}
    with pytest.warns(UserWarning, match=r"cannot write .*; until then nothing is kept") as told:
        without_one = cb.explain(interface, small, small_x, store=Store(tmp_path / "file"), **given)
    assert len([each for each in told if "nothing is kept" in str(each.message)]) == 1
    usual = cb.explain(interface, small, small_x, store=Store(tmp_path / "icons"), **given)
    assert without_one.html() == usual.html()
    assert (tmp_path / "file").read_text() == "in the way"
