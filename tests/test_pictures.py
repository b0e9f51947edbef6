from __future__ import annotations

import io
import os
import struct
import warnings
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


def deep(values: np.ndarray, mode: str) -> Image.Image:
    kinds = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
    return Image.fromarray(values.astype(kinds[mode]))


SLOPE = np.linspace(0, 1, 256).reshape(16, 16)


def chunk(kind: bytes, held: bytes) -> bytes:
    return struct.pack(">I", len(held)) + kind + held + struct.pack(">I", zlib.crc32(kind + held))


def png_of_16_bits(pixels: np.ndarray) -> bytes:
    """(y, x, 3 or 4) uint16 as the PNG that Pillow cannot write."""
    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff_of_16_bits(pixels: np.ndarray) -> bytes:
    """(y, x, 3) uint16 as a plain little-endian TIFF."""
    height, width, channels = pixels.shape
    held = pixels.astype("<u2").tobytes()
    bits = 8 + 2 + 9 * 12 + 4
    tags = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, bits), (259, 3, 1, 1)),
        *((262, 3, 1, 2), (273, 4, 1, bits + 8), (277, 3, 1, channels), (278, 4, 1, height)),
        (279, 4, 1, len(held)),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<IH", 8, 9) + entries + struct.pack("<I", 0)
    return head + struct.pack("<HHHH", 16, 16, 16, 0) + held


COLOUR = np.stack([SLOPE, SLOPE.T, SLOPE[::-1]], 2)
OF_16_BITS = {
    "q.png": png_of_16_bits,
    "alpha.png": lambda a: png_of_16_bits(np.concatenate([a, np.full_like(a[:, :, :1], 65535)], 2)),
    "q.tif": tiff_of_16_bits,
}


@pytest.mark.parametrize("name", OF_16_BITS)
@pytest.mark.parametrize("opened", [False, True])
class TestColourOf16Bits:
    def given(self, path: Path, name: str, most: int, opened: bool) -> Path | Image.Image:
        pixels = (COLOUR * most).astype(np.uint16)
        path = path / name
        path.write_bytes(OF_16_BITS[name](pixels))
        return Image.open(path) if opened else path

    def test_few_of_the_bits(self, name: str, opened: bool, tmp_path: Path) -> None:
        given = self.given(tmp_path, name, 4095, opened)
        said = "only the upper 8 are read; .* from 0 to 15, .* comes out almost black; give it as"
        with pytest.warns(UserWarning, match=said):
            open_picture(given)

    def test_all_of_the_bits(self, name: str, opened: bool, tmp_path: Path) -> None:
        given = self.given(tmp_path, name, 65535, opened)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = np.asarray(open_picture(given))
        np.testing.assert_array_equal(found, (COLOUR * 65535).astype(np.uint16) >> 8)


@pytest.mark.parametrize(
    ("values", "mode", "said"),
    [
        (SLOPE * 4095, "I;16", "from 0 to 4095, and are read as 0 to 65535: .* almost black"),
        (SLOPE * 16383, "I;16", "almost black; give it as uint8, scaled by the range that counts"),
        (SLOPE * 4095, "I", "from 0 to 4095, and are read as 0 to 65535: .* almost black"),
        (SLOPE * 2**24, "I", "of them become plain black or white"),
        (SLOPE * 4000 - 1000, "F", "from -1000 to 3000, and are read as 0 to 255: 93%"),
        (SLOPE * 1.02, "F", "from 0 to 1.02, and are read as 0 to 255: it comes out almost black"),
        (SLOPE * 2 - 1, "F", "from -1 to 1, and are read as 0 to 1: 50% of them become"),
        (SLOPE * 0.1 + 0.9, "F", "almost white"),
        (np.where(SLOPE > 0.5, np.nan, SLOPE), "F", "0.5 of this picture is NaN or infinite"),
    ],
)
def test_ranges_that_leave_nothing_to_see(values: np.ndarray, mode: str, said: str) -> None:
    with pytest.warns(UserWarning, match=said):
        open_picture(deep(values, mode))


@pytest.mark.parametrize(
    ("values", "mode", "brightest"),
    [
        (SLOPE * 65535, "I;16", 255),
        (SLOPE * 40000, "I;16", 156),
        (SLOPE * 255, "I", 255),
        (SLOPE, "F", 255),
        (SLOPE * 255, "F", 255),
        (SLOPE * 0, "F", 0),
    ],
)
def test_ranges_that_are_what_they_stand_for(
    values: np.ndarray, mode: str, brightest: int, recwarn: pytest.WarningsRecorder
) -> None:
    assert np.asarray(open_picture(deep(values, mode))).max() == brightest
    assert not recwarn.list


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_the_frame_that_an_image_stands_at(kind: str) -> None:
    """It is read at that frame, and stays there, open, as it was."""
    shades = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    frames = [Image.new("RGB", (8, 8), shade) for shade in shades]
    file = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(file) as image:
        for frame in (2, 0, 1):
            image.seek(frame)
            before = image.mode, image.size, np.asarray(image.convert("RGB")).copy()
            assert open_picture(image).getpixel((4, 4)) == shades[frame]
            assert image.tell() == frame
            assert (image.mode, image.size) == before[:2]
            assert (np.asarray(image.convert("RGB")) == before[2]).all()


def test_premultiplied_transparency() -> None:
    grey = Image.new("LA", (2, 2), (100, 255)).convert("La")
    assert open_picture(grey).getpixel((0, 0)) == (100, 100, 100)


def test_an_image_that_cannot_be_read_any_more(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    closed = Image.open(tmp_path / "a.png")
    closed.close()
    with pytest.raises(UnreadableImage, match="a.png is damaged or cut short: .*closed"):
        open_picture(closed)


@pytest.mark.parametrize(
    "address", ["https://example.org/cat.jpg", "s3://photos/cat.jpg", "data:image/png;base64,AAAA"]
)
def test_addresses(address: str) -> None:
    with pytest.raises(UnreadableImage, match=f"{address} is an address, .* download it first"):
        open_picture(address)


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
