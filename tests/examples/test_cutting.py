"""Pictures of examples: crops about the place, of the size that is usual at a layer."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, LayerNotFound, WrongType
from tests.examples.test_boxes import COUNT, PATCH, SIDE, Magenta, overlap, planted

Boxes = dict[str, tuple[float, ...]]


@pytest.fixture(scope="module")
def magenta() -> cb.Network:
    preprocess = cb.Preprocess(SIDE, (0.0,) * 3, (1.0,) * 3, fit="crop")
    return cb.Network(Magenta().eval(), preprocess, ["a", "b", "c"])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted")


@pytest.fixture(scope="module")
def boxes(root: Path) -> Boxes:
    return planted(root, COUNT, (SIDE, 2 * SIDE))


@pytest.fixture
def index(magenta: cb.Network, root: Path, boxes: Boxes, tmp_path: Path) -> cb.ExampleIndex:
    return cb.ExampleIndex.build(magenta, root, ["out"], tmp_path / "a.blocks", progress=False)


def magenta_share(pixels: np.ndarray) -> float:
    red, green, blue = pixels.astype(int).transpose(2, 0, 1)
    return float(((red > 200) & (green < 60) & (blue > 200)).mean())


def test_the_crop_is_about_the_patch(index: cb.ExampleIndex, boxes: Boxes) -> None:
    (found,) = index.top(("out", [1]), k=9)
    cuts = index.cut(found, "out", side=48, longest=100)
    scores = [
        overlap(cut.box, boxes[Path(each.path).name]) for cut, each in zip(cuts, found, strict=True)
    ]
    assert min(scores) > 0.4
    assert np.mean(scores) > 0.5
    assert all(cut.usual and not cut.whole for cut in cuts)
    for cut, each in zip(cuts, found, strict=True):
        assert cut.crop.shape == (48, 48, 3)
        assert cut.photograph.shape == (50, 100, 3), "as oblong as it is"
        # The share of the crop that is the patch, counted in boxes and in pixels.
        share = (PATCH / SIDE) * (PATCH / (2 * SIDE))
        inside = overlap_area(cut.box, boxes[Path(each.path).name])
        area = (cut.box[2] - cut.box[0]) * (cut.box[3] - cut.box[1])
        assert magenta_share(cut.crop) == pytest.approx(inside / area, abs=0.15)
        assert magenta_share(cut.crop) > 5 * share


def overlap_area(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    height = min(first[2], second[2]) - max(first[0], second[0])
    return max(height, 0) * max(min(first[3], second[3]) - max(first[1], second[1]), 0)


def test_an_example_with_a_box_is_cut_there(index: cb.ExampleIndex, root: Path) -> None:
    ((best,),) = index.top(("out", [1]), k=1)
    ((left, right),) = [
        index.cut([replace(best, box=box) for box in ((0, 0, 1, 0.5), (0, 0.5, 1, 1))], "out")
    ]
    whole = np.asarray(Image.open(best.path))
    assert not left.usual
    assert left.box == (0, 0, 1, 0.5)
    assert np.array_equal(left.crop, whole[:, :SIDE]), "a square of 64 pixels is as it is"
    assert np.array_equal(right.crop, whole[:, SIDE:])
    assert left.photograph is right.photograph


def test_what_is_usual_is_found_once_and_kept(index: cb.ExampleIndex, magenta, root) -> None:
    (found,) = index.top(("out", [1]), k=1)
    (cut,) = index.cut(found, "out")
    kept = json.loads((index.folder / "extents.json").read_text())
    high, wide = kept["out"]["sides"]
    assert (high, wide) == pytest.approx((PATCH / SIDE, PATCH / SIDE), abs=0.04)
    # Windows of 16 pixels, 2 apart, without padding: the first looks at pixel 8 of 64.
    assert kept["out"]["down"] == pytest.approx([8 / 64, 56 / 64], abs=0.02)
    assert kept["out"]["across"] == pytest.approx([8 / 64, 56 / 64], abs=0.02)
    # In fractions of the photograph, which is twice as wide as what the network sees of it.
    assert cut.box[2] - cut.box[0] == pytest.approx(high, abs=0.02)
    assert cut.box[3] - cut.box[1] == pytest.approx(wide / 2, abs=0.02)
    changed = kept["out"] | {"sides": [0.5, 0.5]}
    (index.folder / "extents.json").write_text(json.dumps({"out": changed}))
    again = cb.ExampleIndex.load(index.folder, root, magenta)
    (cut,) = again.cut(found, "out")
    assert cut.box[2] - cut.box[0] == pytest.approx(0.5, abs=0.02)


DAMAGED = (
    "",
    "[]",
    '{"out": 7}',
    '{"out": {"sides": "x"}}',
    '{"out": {"sides": [NaN, 2], "down": null, "across": null}}',
)


@pytest.mark.parametrize("held", DAMAGED)
def test_what_is_kept_of_it_may_be_damaged(index, magenta, root, held: str) -> None:
    (found,) = index.top(("out", [1]), k=1)
    (cut,) = index.cut(found, "out")
    (index.folder / "extents.json").write_text(held)
    (same,) = cb.ExampleIndex.load(index.folder, root, magenta).cut(found, "out")
    assert same.box == cut.box


def test_ready_tensors_are_shown_as_they_are(magenta: cb.Network) -> None:
    x = torch.full((6, 3, SIDE, SIDE), 0.5)
    x[2, :, 8:24, 40:56] = torch.tensor([1.0, 0.0, 1.0])[:, None, None]
    index = cb.ExampleIndex.build(magenta, list(x), ["out"], progress=False)
    ((best, *_),) = index.top(("out", [1]), k=2)
    (cut,) = index.cut([best], "out", longest=SIDE)
    assert overlap(cut.box, (8 / SIDE, 40 / SIDE, 24 / SIDE, 56 / SIDE)) > 0.4
    assert magenta_share(cut.photograph) == pytest.approx(PATCH**2 / SIDE**2)


def test_photographs_that_moved_or_changed_are_said(index, magenta, root, tmp_path) -> None:
    (found,) = index.top(("out", [1]), k=2)
    alone = cb.ExampleIndex.load(index.folder)
    with pytest.raises(InvalidArgument, match="for pictures of examples, photographs have to be"):
        alone.cut(found, "out")
    with pytest.raises(InvalidArgument, match="for pictures of examples, photographs have"):
        alone.bound(magenta)
    with pytest.raises(LayerNotFound, match="ou"):
        index.cut(found, "outs")
    moved = tmp_path / "moved"
    shutil.copytree(root, moved)
    there = cb.ExampleIndex.load(index.folder, moved).bound(magenta)
    assert there.cut(found, "out")[0].box == index.cut(found, "out")[0].box
    noise = np.random.default_rng(5).integers(0, 256, (SIDE, 2 * SIDE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(moved / found[0].label / Path(found[0].path).name)
    with pytest.raises(InvalidArgument, match="another photograph than the one"):
        there.cut(found, "out")
    shutil.rmtree(moved)
    with pytest.raises(InvalidArgument, match="if they have moved"):
        cb.ExampleIndex.load(index.folder, moved).bound(magenta)
    other = cb.Network(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1)), magenta.preprocess)
    with pytest.raises(InvalidArgument, match="other weights"):
        index.bound(other)


def test_lists_of_examples_are_cut_as_lists(index: cb.ExampleIndex) -> None:
    found = index.top(("out", [0, 1]), k=2)
    several = index.cut(found, "out")
    assert [len(each) for each in several] == [2, 2]
    for cuts, examples in zip(several, found, strict=True):
        for cut, alone in zip(cuts, index.cut(examples, "out"), strict=True):
            assert cut.box == alone.box
            assert np.array_equal(cut.crop, alone.crop)
    assert index.cut([], "out") == []
    with pytest.raises(WrongType, match="takes examples of index.top, not str"):
        index.cut(["a.png"], "out")
