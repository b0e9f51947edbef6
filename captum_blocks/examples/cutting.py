"""Pictures of examples: the part that is shown of each photograph, and the photograph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from captum_blocks._pictures import stretched
from captum_blocks.examples.again import Again
from captum_blocks.examples.example import Box, Example
from captum_blocks.examples.typical import Frame

Array = np.ndarray[Any, np.dtype[Any]]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
# What fills a square beside a part that is none.
BESIDE = (127, 127, 127)
# Photographs that are read at the same time.
AT_ONCE = 2
# A part of less than this is enlarged until nobody can tell what it is.
LEAST = 8


@dataclass(frozen=True, eq=False)
class Cut:
    """What an example looks like.

    Attributes:
        crop: (side, side, 3) uint8, the square about the box: a little more than it where it is
            not square.
        photograph: (y, x, 3) uint8, all of it; one array for all examples of one photograph.
        box: top, left, bottom, right in fractions of the photograph: the example's own, or as large
            as is usual at the layer, about its place.
        usual: whether it is that.
    """

    crop: Array
    photograph: Array
    box: Box
    usual: bool = False

    @property
    def whole(self) -> bool:
        """Whether all of the photograph is in the box."""
        return self.box == WHOLE


def cut(
    examples: Sequence[tuple[Example, Frame]], again: Again, side: int, longest: int
) -> list[Cut]:
    """The pictures of examples; each photograph is read once, and checked to be the index's.

    Args:
        examples: in any order, each with what is shown of it where it has no box.
        again: reads photographs.
        side: of a crop, in pixels.
        longest: the longer side of a photograph, in pixels, at most.

    Raises:
        InvalidArgument: photographs are not where they were, or other ones.
    """
    of_image: dict[int, list[int]] = defaultdict(list)
    for number, (example, _) in enumerate(examples):
        of_image[example.image].append(number)

    def cuts_of(image: int) -> list[tuple[int, Cut]]:
        batch = again.read([image], _displayed)
        (photograph,), (shown,) = batch.made, batch.shown
        small, made = _small(photograph, longest), []
        for number in of_image[image]:
            example, frame = examples[number]
            box = example.box or frame.about(example.position, shown)
            made.append((number, Cut(_part(photograph, box, side), small, box, not example.box)))
        return made

    # Few at a time: photographs may be large. What comes as a stream comes in order.
    with ThreadPoolExecutor(AT_ONCE if again.apart else 1, "photographs") as readers:
        found = dict(pair for pairs in readers.map(cuts_of, sorted(of_image)) for pair in pairs)
    return [found[number] for number in range(len(examples))]


def _displayed(shown: Any, x: Tensor) -> Image.Image:
    if isinstance(shown, Image.Image):
        return shown
    return stretched(x[0].detach().float().cpu().numpy())


def _part(photograph: Image.Image, box: Box, side: int) -> Array:
    """The square about a part, moved where it would leave the photograph.

    Where that is too narrow for a square, what it has stands in the middle of one.
    """
    wide, high = photograph.size
    top, left, bottom, right = box
    long = max((bottom - top) * high, (right - left) * wide, LEAST)
    upper, lower = _along((top + bottom) / 2 * high, long, high)
    first, last = _along((left + right) / 2 * wide, long, wide)
    part = photograph.crop((first, upper, last, lower))
    scale = side / max(part.size)
    size = (max(1, round(part.width * scale)), max(1, round(part.height * scale)))
    # Made larger, sharper ones ring about edges.
    how = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BILINEAR
    square = Image.new("RGB", (side, side), BESIDE)
    square.paste(part.resize(size, how), ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.asarray(square)


def _along(middle: float, long: float, most: int) -> tuple[int, int]:
    """Whole pixels about a middle, within a side."""
    size = min(round(long), most)
    first = min(max(round(middle - long / 2), 0), most - size)
    return first, first + size


def _small(photograph: Image.Image, longest: int) -> Array:
    small = photograph.copy()
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return np.asarray(small)
