"""Opening whatever a person calls a picture, as upright RGB."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from captum_blocks._paths import as_path
from captum_blocks.errors import BlocksError, InvalidArgument, UnreadableImage, WrongType

# A scheme of two letters or more: one letter is a drive.
ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://|data:")
# A share of pixels beyond the range that nobody misses.
FEW = 0.005
Source = str | PathLike[str] | Image.Image | np.ndarray
# What is read, whatever else Pillow would read: some of that starts other programs to draw it.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_AS_JPEG = ("MPO",)  # what Pillow calls a JPEG file with further pictures behind the first


@cache
def formats() -> tuple[str, ...]:
    """Those of ``FORMATS`` that this Pillow was built with.

    >>> "PNG" in formats(), "EPS" in formats()
    (True, False)
    """
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def open_picture(source: Source) -> Image.Image:
    """A file, a PIL image or a uint8 array as an upright RGB image.

    The first frame of a file, and of a PIL image, which is left as it was, the frame it stands at;
    transparency on white; 16-bit scaled to 8, with a warning where that leaves it nearly black or
    white; EXIF applied.

    Raises:
        WrongType: it is none of these.
        UnreadableImage: the file is missing, empty, no image of a format in ``FORMATS``, damaged
            or unreasonably large; a PIL image whose file turns out to be so; an address.
        InvalidArgument: an array that is not (height, width[, channels]) uint8.
    """
    if isinstance(source, np.ndarray):
        return to_rgb(_from_array(source))
    if isinstance(source, Image.Image):
        return _from_image(source)
    if isinstance(source, (str, PathLike)):
        _refuse_addresses(str(source))
        return _from_file(as_path(source, UnreadableImage, "no such picture:"))
    raise WrongType(
        f"a picture is a path, a PIL image or a uint8 array, not {type(source).__name__}"
    )


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8:
        raise InvalidArgument(f"a picture as an array is uint8, not {array.dtype}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise InvalidArgument(
            f"a picture as an array is (height, width, 1, 3 or 4), not {array.shape}"
        )
    if not array.size:
        raise InvalidArgument(f"a picture of shape {array.shape} has no pixel")
    return Image.fromarray(np.ascontiguousarray(array))


def _from_image(image: Image.Image) -> Image.Image:
    """A picture that the caller opened; its file may not have been read yet."""
    name = str(getattr(image, "filename", "") or "the picture given")
    waiting = getattr(image, "tile", None)
    if waiting and image.format not in (*formats(), *_AS_JPEG, None):
        raise UnreadableImage(
            f"{name} is of the format {image.format}, which is not read here: "
            "call its load() first if you trust it, or convert the file to PNG"
        )
    if not all(image.size):
        raise InvalidArgument(f"{name} is {image.width} x {image.height}, so it has no pixel")
    with _in_words(name):
        return to_rgb(image)


def _refuse_addresses(source: str) -> None:
    if ADDRESS.match(source):
        raise UnreadableImage(
            f"{source} is an address, and nothing is fetched from the network; download it first "
            "and give the path of the file"
        )


def _from_file(path: Path) -> Image.Image:
    with _in_words(str(path)):
        if not path.exists():
            raise UnreadableImage(f"no such picture: {path}")
        if path.is_dir():
            raise UnreadableImage(f"{path} is a folder, not a picture")
        if not path.is_file():
            raise UnreadableImage(f"{path} is a device or a pipe, not a picture")
        if path.stat().st_size == 0:
            raise UnreadableImage(f"{path} is empty (0 bytes)")
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=formats()) as image:
                return to_rgb(image)


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    """Whatever Pillow finds wrong with a picture, said as an ``UnreadableImage``."""
    try:
        yield
    except BlocksError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImage(
            f"{name} is not an image that Pillow can read as {', '.join(formats())}; "
            "convert it to one of them"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(f"{name} would unpack to far too many pixels: {error}") from error
    except PermissionError as error:
        raise UnreadableImage(f"{name} may not be read: permission denied") from error
    except MemoryError as error:
        raise UnreadableImage(f"{name} does not fit into memory") from error
    except Exception as error:
        # Decoders raise errors of every kind on damaged files.
        raise UnreadableImage(f"{name} is damaged or cut short: {error}") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Any PIL image as 8-bit RGB, upright, transparency on white; the image is left as it was."""
    was_cut = _is_cut_to_eight_bits(image)
    image = ImageOps.exif_transpose(image)
    if image.mode == "La":  # Pillow converts it to LA alone
        image = image.convert("LA")
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert("RGB")
    if was_cut:
        _warn_of_lost_bits(image)
    return image


def _is_cut_to_eight_bits(image: Image.Image) -> bool:
    """Whether a file has 16 bits a channel, of which Pillow will read the upper eight."""
    waiting = getattr(image, "tile", None) or []
    said = [tile[3] if isinstance(tile[3], tuple) else (tile[3],) for tile in waiting]
    kinds = [kind for arguments in said for kind in arguments if isinstance(kind, str)]
    return not image.mode.startswith("I") and any(map(_OF_16_BITS.fullmatch, kinds))


# What Pillow calls the order of bytes in a file: "RGB;16B", "RGBA;16L".
_OF_16_BITS = re.compile(r"[A-Za-z]+;16[BLN]?")


def _warn_of_lost_bits(image: Image.Image) -> None:
    values = np.asarray(image, dtype=np.float64)
    if (lost := _lost(values, values.ravel(), 255.0)) is not None:
        warnings.warn(
            f"of the 16 bits of each channel only the upper 8 are read; {lost}; {_RESCALE}",
            stacklevel=2,
        )


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float greyscale to 8 bits, by the range the mode stands for."""
    values = np.asarray(image, dtype=np.float64)
    known = values[np.isfinite(values)]
    high = float(known.max(initial=0))
    if image.mode == "F":
        top = 1.0 if high <= 1 else 255.0
    else:
        top = 255.0 if high <= 255 and image.mode == "I" else 65535.0
    if (lost := _lost(values, known, top)) is not None:
        warnings.warn(f"{lost}; {_RESCALE}", stacklevel=2)
    bytes_ = (np.nan_to_num(values, posinf=top, neginf=0) / top * 255).clip(0, 255).round()
    return Image.fromarray(bytes_.astype(np.uint8))


_RESCALE = (
    "give it as uint8, scaled by the range that counts, e.g. "
    "((a - low) / (high - low) * 255).clip(0, 255).astype('uint8')"
)


def _lost(values: np.ndarray, known: np.ndarray, top: float) -> str | None:
    """What of a picture does not survive a range from 0 to ``top``, in words; None for nothing."""
    if len(known) < values.size:
        share = 1 - len(known) / values.size
        return f"{share:.2g} of this picture is NaN or infinite, which becomes black or white"
    if not len(known) or known.min() == known.max():
        return None
    low, high = float(known.min()), float(known.max())
    found = (
        f"the values of this picture go from {low:.6g} to {high:.6g}, and are read as 0 to {top:g}"
    )
    beyond = float(((known < 0) | (known > top)).mean())
    if beyond > FEW:
        return f"{found}: {beyond:.0%} of them become plain black or white"
    if high < top / 4:
        return f"{found}: it comes out almost black"
    return f"{found}: it comes out almost white" if low > top * 3 / 4 else None


def stretched(pixels: np.ndarray) -> Image.Image:
    """Numbers of any range as a picture: the smallest is black, the largest white.

    Args:
        pixels: (channel, y, x); of another number of channels than one or three, their mean.

    Raises:
        InvalidArgument: a number that is not finite.

    >>> np.asarray(stretched(np.array([[[-1.0, 3.0]]])))[0].tolist()
    [[0, 0, 0], [255, 255, 255]]
    """
    if pixels.shape[0] not in (1, 3):
        pixels = pixels.mean(0, keepdims=True)
    if not np.isfinite(pixels).all():
        raise InvalidArgument("the picture holds NaN or infinite values")
    low, high = pixels.min(), pixels.max()
    shares = (pixels - low) / max(float(high - low), 1e-12)
    levels = (shares * 255).round().astype(np.uint8).transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3))))
