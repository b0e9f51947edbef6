from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captum_blocks._pictures import open_picture
from captum_blocks.errors import InvalidArgument, UnreadableImage, WrongType


def test_missing_folder_empty_and_text(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="no such picture: .*nowhere.png"):
        open_picture(tmp_path / "nowhere.png")
    with pytest.raises(UnreadableImage, match="is a folder, not a picture"):
        open_picture(tmp_path)
    empty, text = tmp_path / "empty.jpg", tmp_path / "text.jpg"
    empty.touch()
    text.write_text("hello")
    with pytest.raises(UnreadableImage, match=r"is empty \(0 bytes\)"):
        open_picture(empty)
    with pytest.raises(UnreadableImage, match="is not an image that Pillow can read"):
        open_picture(text)


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_truncated(tmp_path: Path, noise_picture: np.ndarray, ending: str) -> None:
    path = tmp_path / f"cut.{ending}"
    Image.fromarray(noise_picture).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableImage, match="is damaged or cut short"):
        open_picture(path)


def test_decompression_bomb(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")))
    with pytest.raises(UnreadableImage, match="would unpack to far too many pixels"):
        open_picture(path)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I", "F"])
def test_every_mode_becomes_rgb(tmp_path: Path, noise_picture: np.ndarray, mode: str) -> None:
    image = open_picture(Image.fromarray(noise_picture).convert(mode))
    assert (image.mode, image.size) == ("RGB", (30, 20))


def test_sixteen_bits_keep_their_range(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16)).save(path)
    assert np.asarray(open_picture(path))[0, :, 0].tolist() == [0, 128, 255]


def test_transparency_is_white() -> None:
    clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    assert open_picture(clear).getpixel((0, 0)) == (255, 255, 255)


def test_exif_rotation_is_applied(tmp_path: Path, noise_picture: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.fromarray(noise_picture).save(path, exif=exif)
    assert open_picture(path).size == (20, 30)


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), shade) for shade in ("red", "blue")]
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert open_picture(path).getpixel((1, 1)) == (255, 0, 0)


def test_arrays_and_other_things() -> None:
    assert open_picture(np.zeros((1, 1), np.uint8)).size == (1, 1)
    with pytest.raises(InvalidArgument, match="a picture as an array is uint8, not float64"):
        open_picture(np.zeros((3, 3, 3)))
    with pytest.raises(InvalidArgument, match=r"not \(3, 8, 8\)"):
        open_picture(np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(WrongType, match="a path, a PIL image or a uint8 array, not BytesIO"):
        open_picture(io.BytesIO())  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["EPS", "PCX", "TGA"])
def test_other_formats_are_not_opened_under_the_name_of_one_that_is(
    tmp_path: Path, noise_picture: np.ndarray, kind: str
) -> None:
    """A document is handed by Pillow to another program: under any name, it is not opened here."""
    path = tmp_path / "photo.png"
    Image.fromarray(noise_picture).save(path, kind)
    with pytest.raises(UnreadableImage, match="Pillow can read as JPEG, PNG, .*; convert it"):
        open_picture(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000"])
def test_the_formats_named_are_opened(tmp_path: Path, noise_picture: np.ndarray, kind: str) -> None:
    path = tmp_path / "photo.of-any-name"
    Image.fromarray(noise_picture).save(path, kind)
    assert open_picture(path).size == (30, 20)


def test_a_picture_the_caller_opened(tmp_path: Path, noise_picture: np.ndarray) -> None:
    whole, cut = tmp_path / "whole.tga", tmp_path / "cut.png"
    Image.fromarray(noise_picture).save(whole)
    Image.fromarray(noise_picture).save(cut)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with Image.open(whole) as image:
        with pytest.raises(UnreadableImage, match="whole.tga is of the format TGA, .* load"):
            open_picture(image)
        image.load()
        assert np.array_equal(np.asarray(open_picture(image)), noise_picture)
    with (
        Image.open(cut) as image,
        pytest.raises(UnreadableImage, match="cut.png is damaged or cut short"),
    ):
        open_picture(image)


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadableImage, match="is a device or a pipe, not a picture"):
        open_picture(tmp_path / "pipe.png")
    with pytest.raises(UnreadableImage, match="xxx"):
        open_picture("x" * 5000 + ".png")
    with pytest.raises(UnreadableImage, match="no such picture: photo"):
        open_picture("photo\0.png")
