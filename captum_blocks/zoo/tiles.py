"""Photographs that come with other packages, cut into overlapping tiles: a data set without a
download."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from PIL import Image
from torch.utils.data import Dataset

from captum_blocks.errors import MissingDependency

# Of scikit-image those that it ships itself; without the cat, which the demo is about.
SKIMAGE = (
    *("astronaut", "brick", "camera", "cell", "coffee", "coins", "grass", "gravel"),
    *("hubble_deep_field", "ihc", "moon", "motorcycle_left", "retina", "rocket"),
)
PHOTOGRAPHS = {"skimage": ("data", SKIMAGE), "sklearn": ("datasets/images", ("china", "flower"))}
# Tiles are so many times smaller than the shorter side of a photograph, and lie so much of their
# own side apart.
SMALLER, APART = 2, 3


class DemoTiles(Dataset[tuple[Image.Image, str]]):
    """Tiles of the photographs that scikit-image and scikit-learn ship: (tile, photograph's name).

    Tiles of one photograph are no independent samples: an index takes ``sources=tiles.source``.

    Raises:
        MissingDependency: neither is installed.

    >>> tiles = DemoTiles()
    >>> len(tiles) > 200, tiles[0][1], tiles.source(tiles.samples[0][0])
    (True, 'astronaut', 'astronaut')
    """

    # As a folder of torchvision tells names: they are relative to it.
    root = ""

    def __init__(self) -> None:
        self._paths = dict(photographs())
        if not self._paths:
            raise MissingDependency(
                "this needs the photographs of scikit-image, which is not installed: "
                "pip install 'captum-blocks[demo]'"
            )
        self._cut = [(name, box) for name, path in self._paths.items() for box in _boxes(path)]
        self.samples = [(f"{name}/at {left}, {top}", name) for name, (left, top, _, _) in self._cut]
        self._last: tuple[str, Image.Image] | None = None

    def __len__(self) -> int:
        return len(self._cut)

    def __getitem__(self, index: int) -> tuple[Image.Image, str]:
        name, box = self._cut[index]
        if self._last is None or self._last[0] != name:  # tiles of one come one after another
            self._last = (name, Image.open(self._paths[name]).convert("RGB"))
        return self._last[1].crop(box), name

    @staticmethod
    def source(path: str) -> str:
        """The photograph that a tile was cut from."""
        return path.partition("/")[0]


def photographs() -> Iterator[tuple[str, Path]]:
    """Name and file of each photograph that is installed.

    >>> next(photographs())[0]
    'astronaut'
    """
    for package, (folder, names) in PHOTOGRAPHS.items():
        if find_spec(package) is None:
            continue
        place = Path(str(files(package))) / folder
        for name in names:
            found = next(
                (each for end in (".png", ".jpg") if (each := place / f"{name}{end}").is_file()),
                None,
            )
            if found is not None:
                yield name, found


def _boxes(path: Path) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, right, bottom of the tiles of a photograph."""
    with Image.open(path) as image:
        wide, high = image.size
    side = min(wide, high) // SMALLER
    step = max(1, side // APART)
    for top in range(0, high - side + 1, step):
        for left in range(0, wide - side + 1, step):
            yield left, top, left + side, top + side
