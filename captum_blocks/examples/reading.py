"""A batch of pictures as the network takes them, without those that cannot be read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.examples.items import Item, Pictures, is_ready, legible
from captum_blocks.network import Network

# How often how many pictures are read to see whether they are the same each time: a mirroring that
# is drawn by a coin stays unnoticed once in 4,096 times.
TRIED, TIMES = 4, 4
SMALL = 96
Box = tuple[float, float, float, float]
# What else is made of a picture: of it as a person sees it, None for a ready tensor, and as the
# network takes it.
Make = Callable[[Any, Tensor], Any]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Skipped:
    """A picture that is not in the index.

    Attributes:
        image: its number.
        path: where it was to be, or what it is called.
        reason: why it is not there.
    """

    image: int
    path: str
    reason: str


@dataclass(eq=False)
class Batch:
    """Pictures that were read.

    Attributes:
        x: (picture, channel, y, x); None where there is none.
        images: their numbers.
        items: what is known of each.
        boxes: the part of the network's input that shows each photograph, top, left, bottom, right
            in fractions of it: less than all of it beside the bars of a letterbox.
        made: what was made of each, where that was asked for: a small JPEG file.
        shown: of each photograph its (width, height) and the part of it that the network sees; None
            of a ready tensor.
        skipped: those that could not be read.
        asked: how many were wanted.
        met: how many there were.
    """

    x: Tensor | None = None
    images: list[int] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    made: list[Any] = field(default_factory=list)
    shown: list[Any] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    asked: int = 0
    met: int = 0


def read_batch(
    net: Network,
    pictures: Pictures,
    indices: Sequence[int],
    shape: Sequence[int] | None = None,
    make: Make | None = None,
) -> Batch:
    """Read pictures of ascending numbers.

    Args:
        net: whose preprocessing they go through.
        pictures: where they are.
        indices: their numbers.
        shape: (channel, height, width) that they are to have; the first one's unless given.
        make: what else is made of each.
    """
    batch, read = Batch(asked=len(indices)), list[Tensor]()
    for index, item in zip(indices, pictures.items(indices), strict=False):
        batch.met += 1
        try:
            if isinstance(item.picture, Exception):
                raise item.picture
            _check_words(item)
            x, shown = _read(net, item.picture)
            shape = tuple(x.shape[1:]) if shape is None else tuple(shape)
            _check(x, shape)
        except MemoryError:
            raise  # no fault of the picture's, which is not left out for it
        except Exception as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            batch.skipped.append(Skipped(index, legible(item.path), legible(said)))
            continue
        read.append(x)
        batch.images.append(index)
        batch.items.append(item)
        batch.boxes.append(_shown_in(net, shown))
        batch.shown.append(_size_and_part(net, shown))
        if make is not None:
            batch.made.append(make(shown, x))
    batch.x = torch.cat(read) if read else None
    return batch


def _read(net: Network, picture: Any) -> tuple[Tensor, Any]:
    """A picture as the network takes it, and as a person sees it; None for a ready tensor."""
    if is_ready(picture):
        ready = picture[None] if picture.ndim == 3 else picture
        return net.read(ready), None
    if net.channels not in (1, 3) or net.preprocess is None:
        return net.read(picture), None
    shown = net.picture(picture)
    return net.read(shown), shown


def _check_words(item: Item) -> None:
    """Whether what a picture is called can be written down."""
    for said, text in (("name", item.path), ("label", item.label or "")):
        if legible(text) != text:
            raise InvalidArgument(f"its {said} is no text in UTF-8: {legible(text)}")


def _check(x: Tensor, shape: Sequence[int]) -> None:
    if tuple(x.shape) != (1, *shape):
        raise InvalidArgument(
            f"it is {tuple(x.shape)} for the network, and the others are {(1, *shape)}"
        )
    if not bool(x.isfinite().all()):
        raise InvalidArgument("it holds NaN or infinite values")


def _shown_in(net: Network, shown: Any) -> Box:
    """The part of the input that shows the photograph."""
    if shown is None or net.preprocess is None:
        return WHOLE
    top, left, bottom, right = net.preprocess.extent(shown.size)
    down, across = bottom - top, right - left
    return (
        max(0.0, -top / down),
        max(0.0, -left / across),
        min(1.0, (1 - top) / down),
        min(1.0, (1 - left) / across),
    )


def _size_and_part(net: Network, shown: Any) -> Any:
    if shown is None or net.preprocess is None:
        return None
    return shown.size, net.preprocess.extent(shown.size)


def thumbnail(shown: Any, x: Tensor) -> bytes:
    """A small JPEG file of a picture; empty of a ready tensor."""
    if shown is None:
        return b""
    small = shown.copy()
    small.thumbnail((SMALL, SMALL))
    file = BytesIO()
    small.save(file, "JPEG", quality=80)
    return file.getvalue()


def first_readable(net: Network, pictures: Pictures, most: int = 4096) -> Batch:
    """The first picture that can be read.

    Raises:
        InvalidArgument: none of the first ones can; why not is said of the first.
    """
    why, start = list[Skipped](), 0
    while start < most if pictures.size is None else start < pictures.size:
        batch = read_batch(net, pictures, [start])
        if batch.x is not None:
            return batch
        if not batch.met:
            break
        why += batch.skipped
        start += 1
    if not why:
        raise InvalidArgument("there is no picture in what was given: it is empty")
    named = f"{why[0].path} {why[0].reason}" if why[0].path not in why[0].reason else why[0].reason
    raise InvalidArgument(f"none of {len(why)} pictures can be read; the first: {named}")


def check_still(net: Network, pictures: Pictures, first: int) -> None:
    """Whether a picture is the same each time it is read.

    Raises:
        InvalidArgument: it is not: transforms that augment draw anew each time.
    """
    size = first + 1 if pictures.size is None or pictures.kind == "stream" else pictures.size
    tried = sorted({first + (size - 1 - first) * step // TRIED for step in range(TRIED)})
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index in tried:
            reads = [read_batch(net, pictures, [index]).x for _ in range(TIMES)]
            if any(not _same(reads[0], other) for other in reads[1:]):
                raise InvalidArgument(
                    f"picture {index} is another one each time it is read, so its transforms "
                    "augment it (a random crop, flip or colour): give the data set with the "
                    "transforms of evaluation"
                )


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and torch.equal(one, other)
