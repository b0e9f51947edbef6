"""What the reader hands over -> pictures as the network takes them and as a page shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from captum_blocks._pictures import stretched
from captum_blocks.errors import InvalidArgument
from captum_blocks.network import Network, printable

Extent = tuple[float, float, float, float]
WHOLE: Extent = (0.0, 0.0, 1.0, 1.0)
# Pixels of a photograph's longer side, as shown, and of the small one that frames what was seen.
LARGEST, SMALLEST, THUMBNAIL = 760, 500, 120
UNNAMED = "the picture given"
CUT = "shown is the part that the network saw"
BARRED = "the network saw all of it, between the grey bars, which keep its proportions"
BAR = (128, 128, 128)
RESCALED = "given as a tensor; its colours were rescaled for display"


@dataclass(frozen=True, eq=False)
class Picture:
    """A photograph as it is shown.

    Attributes:
        image: upright RGB.
        name: e.g. its file name.
        extent: what part of it the network saw.
        note: said in the footer, e.g. that the colours were rescaled for display.
        whole: all of it, small, with a frame around what the network saw; None where that is all.
    """

    image: Image.Image
    name: str
    extent: Extent = WHOLE
    note: str = ""
    whole: Image.Image | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))


def read_pictures(net: Network, given: Any) -> tuple[Tensor, list[Picture]]:
    """One picture or several, as the network takes them and as they are shown.

    Args:
        net: the network.
        given: a path, PIL image or array; a float tensor (image, channel, y, x); a list of
            pictures, or a dict of pictures by name.

    Raises:
        BlocksError: a picture that cannot be read, no picture, pictures of several sizes.
    """
    if isinstance(given, Mapping):
        found = [_shown(_read(net, each, str(name))) for name, each in given.items()]
    elif isinstance(given, Sequence) and not isinstance(given, (str, bytes)):
        found = [_shown(_read(net, each)) for each in given]
    elif isinstance(given, Tensor):
        found = list(map(_shown, _split(net.read(given))))
    else:
        found = [_shown(_read(net, given))]
    if not found:
        raise InvalidArgument("there is no picture to explain")
    sizes = {tuple(x.shape[1:]) for x, _ in found}
    if len(sizes) > 1:
        shapes = ", ".join(map(str, sorted(sizes)))
        raise InvalidArgument(f"the pictures differ in size: {shapes}; explain them one by one")
    pictures = [picture for _, picture in found]
    return torch.cat([x for x, _ in found]), _named_apart(pictures)


def _shown(read: tuple[Tensor, Picture]) -> tuple[Tensor, Picture]:
    """The part that the network saw, as large as a page shows it, and the whole beside it."""
    x, picture = read
    seen = _seen(picture)
    longer = max(seen.size)
    scale = min(LARGEST, max(SMALLEST, longer)) / longer
    width, height = (max(1, round(side * scale)) for side in seen.size)
    # Made larger, sharper ones ring about edges.
    how = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BILINEAR
    shown = seen.resize((width, height), how)
    whole = None if picture.extent == WHOLE else _framed(picture)
    return x, replace(picture, image=shown, extent=WHOLE, whole=whole)


def _framed(picture: Picture) -> Image.Image:
    """All of a photograph, small, with what the network did not see faded."""
    width, height = picture.image.size
    scale = THUMBNAIL / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = picture.image.resize(size, Image.Resampling.LANCZOS)
    top, left, bottom, right = picture.extent
    box = (left * size[0], top * size[1], right * size[0] - 1, bottom * size[1] - 1)
    edges = tuple(round(edge) for edge in box)
    faded = Image.blend(small, Image.new("RGB", size, BAR), 0.6)
    inside = (edges[0], edges[1], edges[2] + 1, edges[3] + 1)
    faded.paste(small.crop(inside), inside[:2])
    ImageDraw.Draw(faded).rectangle(edges, outline=(255, 255, 255))
    return faded


def _named_apart(pictures: list[Picture]) -> list[Picture]:
    names = _distinct([picture.name for picture in pictures])
    return [replace(picture, name=name) for picture, name in zip(pictures, names, strict=True)]


def _distinct(names: list[str]) -> list[str]:
    counts, made = Counter(names), []
    for place, name in enumerate(names):
        made.append(name if counts[name] == 1 else f"{name} ({names[:place].count(name) + 1})")
    return made


def _seen(picture: Picture) -> Image.Image:
    top, left, bottom, right = picture.extent
    width, height = picture.image.size
    box = (left * width, top * height, right * width, bottom * height)
    return picture.image.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]


def _read(net: Network, given: Any, name: str | None = None) -> tuple[Tensor, Picture]:
    x = net.read(given)
    if isinstance(given, Tensor):
        if len(x) != 1:
            raise InvalidArgument(
                f"each picture of several is one: {tuple(x.shape)} holds {len(x)}"
            )
        return x, Picture(_displayed(x), name or UNNAMED, note=RESCALED)
    picture = net.picture(given)
    if name is None:
        named = given if isinstance(given, (str, PathLike)) else getattr(given, "filename", "")
        name = Path(named).name or UNNAMED
    assert net.preprocess is not None
    extent = net.preprocess.extent(picture.size)
    if _is_barred(extent):
        return x, Picture(_with_bars(picture, extent), name, note=BARRED)
    return x, Picture(picture, name, extent, CUT if extent != WHOLE else "")


def _is_barred(extent: Extent) -> bool:
    return min(extent[:2]) < 0 or max(extent[2:]) > 1


def _with_bars(picture: Image.Image, extent: Extent) -> Image.Image:
    """A photograph with the bars that the network saw beside it: they, too, may be answered to."""
    width, height = picture.size
    top, left, bottom, right = extent
    size = (round((right - left) * width), round((bottom - top) * height))
    barred = Image.new("RGB", size, BAR)
    barred.paste(picture, (round(-left * width), round(-top * height)))
    return barred


def _split(x: Tensor) -> list[tuple[Tensor, Picture]]:
    """The pictures of a tensor."""
    names = [UNNAMED] if len(x) == 1 else [f"picture {i + 1}" for i in range(len(x))]
    return [
        (one[None], Picture(_displayed(one[None]), name, note=RESCALED))
        for one, name in zip(x, names, strict=True)
    ]


def _displayed(x: Tensor) -> Image.Image:
    """A ready picture with its values stretched to what a screen shows."""
    return stretched(x[0].detach().float().cpu().numpy())
