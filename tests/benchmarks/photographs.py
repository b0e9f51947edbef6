"""Photographs for benchmarks: those that come with libraries, and others that nothing was made on.

The others are Debian's ``tuxpaint-stamps-default``: single things cut out of photographs, put here
on mid-grey ground, some drawn ones among them (six of the fifty that ``predictions`` asks of).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

STAMPS = Path("/usr/share/tuxpaint/stamps")
# Folders of what is no photograph of a thing.
DRAWN = frozenset({"cartoon", "symbols", "flags", "roadsigns"})
SMALLEST, GREY, MARGIN = 120, (128, 128, 128), 1.2


def bundled() -> Iterator[tuple[str, str, Image.Image]]:
    """(source, name, photograph) of scikit-image and scikit-learn.

    Quarters of the larger ones are photographs of other things, from the same source.
    """
    from skimage import data
    from sklearn.datasets import load_sample_images

    large = ("coffee", "astronaut", "rocket")
    whole = {name: getattr(data, name)() for name in ("chelsea", *large)}
    samples = load_sample_images()
    for path, image in zip(samples.filenames, samples.images, strict=True):
        whole[Path(path).name] = image
    for name, image in whole.items():
        yield name, name, Image.fromarray(image)
    for name in (*large, *(Path(path).name for path in samples.filenames)):
        height, width = whole[name].shape[0] // 2, whole[name].shape[1] // 2
        for y in (0, height):
            for x in (0, width):
                part = whole[name][y : y + height, x : x + width].copy()
                yield name, f"{name} {y},{x}", Image.fromarray(part)


def others(folder: Path = STAMPS, seed: int = 0) -> Iterator[tuple[str, str, Image.Image]]:
    """(source, name, photograph) of a folder and those in it, in an order drawn by the seed.

    What is called the mirror of another is of the same source.
    """
    kinds = {".png", ".jpg", ".jpeg"}
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in kinds and not DRAWN & set(path.relative_to(folder).parts)
    )
    random.Random(seed).shuffle(paths)
    for path in paths:
        name = str(path.relative_to(folder).with_suffix(""))
        with Image.open(path) as image:
            if max(image.size) >= SMALLEST:
                yield name.removesuffix("_mirror"), name, on_grey(image)


def on_grey(image: Image.Image) -> Image.Image:
    """What is cut out, in the middle of a grey square; a picture without holes stays as it is.

    >>> on_grey(Image.new("RGBA", (100, 50), (255, 0, 0, 0))).size
    (120, 120)
    """
    whole = image.convert("RGBA")
    lowest, _ = whole.getchannel("A").getextrema()
    if lowest == 255:
        return whole.convert("RGB")
    side = round(MARGIN * max(whole.size))
    ground = Image.new("RGBA", (side, side), (*GREY, 255))
    ground.alpha_composite(whole, ((side - whole.width) // 2, (side - whole.height) // 2))
    return ground.convert("RGB")
