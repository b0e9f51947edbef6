from __future__ import annotations

import io
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from captum_blocks.render.pictures import GUTTER, pack_field, photo_uri, sheets
from captum_blocks.scene import Field, Sprite
from tests.render.sample import icon


def opened(uri: str) -> np.ndarray:
    head, body = uri.split(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(b64decode(body))).convert("RGB"))


def field(values) -> Field:
    return Field(np.asarray(values, float), (0.0, 1.0), "u", "f")


def unpacked(packed: dict) -> np.ndarray:
    levels = np.frombuffer(b64decode(packed["levels"]), "<u2").astype(float)
    return (packed["low"] + packed["step"] * levels).reshape(packed["rows"], packed["columns"])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_fields_keep_four_digits(scale):
    values = scale * np.random.default_rng(0).normal(size=(7, 9))
    assert unpacked(pack_field(field(values))) == pytest.approx(values, abs=np.ptp(values) / 60000)


def test_a_constant_field_stays_itself():
    assert unpacked(pack_field(field(np.full((2, 3), 0.25)))) == pytest.approx(
        np.full((2, 3), 0.25)
    )


def test_photos_are_shrunk_to_what_a_page_shows():
    large = np.zeros((400, 1600, 3), np.uint8)
    assert opened(photo_uri(large)).shape == (190, 760, 3)
    assert opened(photo_uri(large[:300, :330])).shape == (300, 330, 3)


def test_small_photos_are_shown_with_large_pixels():
    few = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    shown = opened(photo_uri(few)).astype(int)
    assert shown.shape == (7 * 32, 7 * 48, 3)
    middles = shown[3::7, 3::7]
    assert np.abs(middles - few).mean() < 12


def test_each_icon_lies_in_its_cell_with_a_gutter_of_its_own():
    sprites = {str(k): Sprite(icon(k), str(k)) for k in range(7)}
    (sheet,), places = sheets(sprites)
    pixels = opened(sheet["src"]).astype(int)
    step = 128 + 2 * GUTTER
    for name, (number, cell) in places.items():
        row, column = divmod(cell, sheet["columns"])
        top, left = row * step + GUTTER, column * step + GUTTER
        shown = pixels[top : top + 128, left : left + 128]
        assert number == 0
        assert np.abs(shown - sprites[name].pixels).mean() < 12
        assert np.abs(pixels[top - 4, left : left + 128] - shown[0]).mean() < 25


def test_icons_of_two_sizes_take_two_sheets():
    sprites = {"a": Sprite(icon(0, 64), "a"), "b": Sprite(icon(1, 32), "b")}
    made, places = sheets(sprites)
    assert [sheet["width"] for sheet in made] == [64, 32]
    assert places == {"a": [0, 0], "b": [1, 0]}
