"""An index asked for the part of each photograph that matters, and for preferred labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, LayerNotFound

SIDE, PATCH, COUNT = 64, 16, 60


class Magenta(nn.Module):
    """Channel 1 fires where it is magenta; channel 0 where it is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Sequential(nn.Conv2d(3, 2, 1, 1), nn.ReLU(), nn.AvgPool2d(PATCH, 2))
        with torch.no_grad():
            self.out[0].weight.zero_()
            self.out[0].weight[0] = 0.25
            self.out[0].weight[1, 0] = self.out[0].weight[1, 2] = 1.0
            self.out[0].weight[1, 1] = -2.0
            self.out[0].bias[:] = torch.tensor([0.0, -0.5])
        self.head = nn.Linear(2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.out(x).mean((2, 3)))


def planted(root: Path, count: int, shape: tuple[int, int]) -> dict[str, tuple[float, ...]]:
    """Grey noise, every second with a magenta patch: by name, where, in fractions."""
    boxes = {}
    for number in range(count):
        rng = np.random.default_rng(number)
        pixels = np.repeat(rng.integers(90, 160, (*shape, 1), dtype=np.uint8), 3, 2)
        label = "plain" if number % 2 else "magenta"
        if not number % 2:
            inner = (shape[1] - shape[0]) // 2  # within the crop about the middle
            y = int(rng.integers(0, shape[0] - PATCH))
            x = int(rng.integers(inner, inner + shape[0] - PATCH))
            pixels[y : y + PATCH, x : x + PATCH] = (255, 0, 255)
            edges = (y / shape[0], x / shape[1], (y + PATCH) / shape[0], (x + PATCH) / shape[1])
            boxes[f"{number:02d}.png"] = edges
        (root / label).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / label / f"{number:02d}.png")
    return boxes


def overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Intersection over union."""
    height = min(first[2], second[2]) - max(first[0], second[0])
    width = min(first[3], second[3]) - max(first[1], second[1])
    both = max(height, 0) * max(width, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return both / (sum(areas) - both)


@pytest.fixture(scope="module")
def magenta() -> cb.Network:
    preprocess = cb.Preprocess(SIDE, (0.0,) * 3, (1.0,) * 3)
    return cb.Network(Magenta().eval(), preprocess, ["a", "b", "c"])


@pytest.fixture(scope="module")
def indexed(
    magenta: cb.Network, tmp_path_factory: pytest.TempPathFactory
) -> tuple[cb.ExampleIndex, dict[str, tuple[float, ...]]]:
    root = tmp_path_factory.mktemp("planted")
    boxes = planted(root, COUNT, (SIDE, 2 * SIDE))
    return cb.ExampleIndex.build(magenta, root, ["out"], progress=False), boxes


@pytest.mark.parametrize("asked", ["channel", "direction"])
def test_the_patch_is_boxed_in_an_oblong_photograph(indexed, asked: str) -> None:
    index, boxes = indexed
    if asked == "channel":
        (found,) = index.top(cb.Hidden("out").channels[[1]], k=9, boxes=True)
    else:
        (found,) = index.top(torch.tensor([0.0, 2.0]), k=9, layer="out", boxes=True)
    assert len(found) == 9
    scores = [overlap(each.box, boxes[Path(each.path).name]) for each in found]
    assert min(scores) > 0.4
    assert np.mean(scores) > 0.5
    assert all(each.area < 0.25 and each.note == "" for each in found)
    assert np.mean([overlap((0, 0, 1, 1), boxes[Path(each.path).name]) for each in found]) < 0.1


def test_boxes_are_found_where_they_are_asked_for(indexed) -> None:
    index, _ = indexed
    (plain,) = index.top(("out", [1]), k=3)
    (found,) = index.top(("out", [1]), k=3, boxes=True)
    assert [each.box for each in plain] == [None] * 3
    assert [(each.path, each.value) for each in plain] == [(e.path, e.value) for e in found]
    (low,) = index.top(("out", [1]), k=2, rank="bottom", boxes=True)
    assert all(each.box == (0.0, 0.0, 1.0, 1.0) and each.note for each in low), "nothing fires"


def test_boxes_need_the_photographs(indexed, tmp_path: Path) -> None:
    index, _ = indexed
    alone = cb.ExampleIndex.load(index.save(tmp_path / "saved"))
    with pytest.raises(
        InvalidArgument, match="for the part of each photograph that matters, photographs"
    ):
        alone.top(("out", [1]), k=3, boxes=True)


def test_ready_tensors_are_boxed_in_what_the_network_takes(magenta: cb.Network) -> None:
    x = torch.full((6, 3, SIDE, SIDE), 0.5)
    x[2, :, 8:24, 40:56] = torch.tensor([1.0, 0.0, 1.0])[:, None, None]
    index = cb.ExampleIndex.build(magenta, list(x), ["out"], progress=False)
    ((best, *_),) = index.top(("out", [1]), k=2, boxes=True)
    assert best.image == 2
    assert overlap(best.box, (8 / SIDE, 40 / SIDE, 24 / SIDE, 56 / SIDE)) > 0.5


def test_a_unit_prefers_the_label_it_was_made_for(indexed) -> None:
    found = indexed[0].preferred("out")
    (best,) = found.of(1)
    assert (best.label, best.average_precision) == ("magenta", 1.0)
    assert best.prevalence == pytest.approx(0.5)
    assert [each.unit for each in indexed[0].preferred("out", units=[1]).found] == [1]


def test_what_cannot_be_preferred_is_refused(indexed) -> None:
    with pytest.raises(LayerNotFound, match="out"):
        indexed[0].preferred("ou")
    with pytest.raises(InvalidArgument, match="channels 0 to 1, no 5"):
        indexed[0].preferred("out", units=[5])
    with pytest.raises(InvalidArgument, match="of='median'"):
        indexed[0].preferred("out", of="median")


def test_of_few_photographs_no_label_is_claimed(magenta: cb.Network, tmp_path: Path) -> None:
    planted(tmp_path, 20, (SIDE, SIDE))
    found = cb.ExampleIndex.build(magenta, tmp_path, ["out"], progress=False).preferred("out")
    assert found.found == ()
    assert "20" in found.note
