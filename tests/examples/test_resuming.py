"""An index is gone on with, or taken as it is, only of the pictures that it is of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset
from torchvision.datasets import ImageFolder

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument
from captum_blocks.examples.shards import write_shard
from tests.examples.conftest import photographs
from tests.examples.test_building import HOW, Killed, content

COUNT, BATCHES = 30, 4


def build(net: cb.Network, images: Any, path: Path, **how: Any) -> cb.ExampleIndex:
    return cb.ExampleIndex.build(net, images, path=path, **{**HOW, **how})


def begin(net: cb.Network, images: Any, path: Path, batches: int, **how: Any) -> None:
    """Build an index that is stopped when so many batches are looked at, or finished."""
    written = [0]

    def stopping(*given: Any) -> Any:
        written[0] += 1
        if written[0] > batches:
            raise Killed
        return write_shard(*given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("captum_blocks.examples.building.write_shard", stopping)
        if batches == BATCHES:
            build(net, images, path, **how)
            return
        with pytest.raises(Killed):
            build(net, images, path, **how)


@pytest.fixture(params=[2, BATCHES], ids=["begun", "finished"])
def batches(request: pytest.FixtureRequest) -> int:
    return int(request.param)


class Pairs:
    """Pictures without names, and labels."""

    def __init__(self, shown: list[Image.Image], labels: int = 3) -> None:
        self._shown, self._labels = shown, labels

    def __len__(self) -> int:
        return len(self._shown)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return self._shown[index], index % self._labels


class Flowing(IterableDataset):  # type: ignore[type-arg]
    def __init__(self, shown: list[Image.Image]) -> None:
        self._shown = shown

    def __iter__(self) -> Iterator[Image.Image]:
        return iter(self._shown)


def ready(net: cb.Network, shown: list[Image.Image]) -> Any:
    return [net.read(each)[0] for each in shown]


def batched(net: cb.Network, shown: list[Image.Image]) -> Any:
    return DataLoader(ready(net, shown), 7)  # type: ignore[arg-type]


def collated(net: cb.Network, shown: list[Image.Image]) -> Any:
    return DataLoader(ready(net, shown), 7, collate_fn=torch.stack)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        lambda net, shown: Pairs(shown),
        ready,
        batched,
        collated,
        lambda net, shown: Flowing(shown),
    ],
    ids=["pairs", "tensors", "loader", "own batches", "stream"],
)
def test_an_index_of_pictures_without_names_is_known_by_what_they_show(
    small: cb.Network, tmp_path: Path, given: Callable[..., Any], batches: int
) -> None:
    path, shown = tmp_path / "a", photographs(COUNT)
    begin(small, given(small, shown), path, batches)
    before = content(path)
    with pytest.raises(
        InvalidArgument,
        match=r"a holds an index of other pictures: picture 0 is not what it was; give another",
    ):
        build(small, given(small, photographs(COUNT, seed=9)), path)
    assert content(path) == before
    build(small, given(small, shown), path)
    wanted = build(small, given(small, shown), tmp_path / "undisturbed")
    assert content(path) == content(wanted.folder)


def test_one_that_was_begun_is_known_by_the_last_picture_in_it(
    small: cb.Network, tmp_path: Path
) -> None:
    shown = photographs(COUNT)
    begin(small, Pairs(shown), tmp_path / "a", 2)
    changed = [*shown[:15], *photographs(1, seed=9), *shown[16:]]
    with pytest.raises(InvalidArgument, match="other pictures: picture 15 is not what it was;"):
        build(small, Pairs(changed), tmp_path / "a")
    # Those that were not looked at yet may be any.
    build(small, Pairs([*shown[:16], *photographs(14, seed=9)]), tmp_path / "a")


def test_files_that_were_written_anew_are_other_pictures(
    small: cb.Network, tmp_path: Path, batches: int
) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, picture in enumerate(photographs(COUNT)):
        picture.save(folder / f"{number:02d}.bmp")
    begin(small, folder, tmp_path / "a", batches)
    photographs(1, seed=9)[0].save(folder / "00.bmp")
    with pytest.raises(InvalidArgument, match=r"pictures: picture 0 \(00\.bmp\) is not what it w"):
        build(small, folder, tmp_path / "a")
    size = (folder / "00.bmp").stat().st_size
    (folder / "00.bmp").write_bytes(b"0" * size)
    with pytest.raises(InvalidArgument, match=r"picture 0 \(00\.bmp\) is not what it was: .*00.bm"):
        build(small, folder, tmp_path / "a")


def test_a_folder_of_torchvisions_is_known_by_the_names(
    small: cb.Network, folder: Path, tmp_path: Path, batches: int
) -> None:
    begin(small, ImageFolder(str(folder)), tmp_path / "a", batches)
    renamed = ImageFolder(str(folder))
    renamed.samples = renamed.imgs = [
        (name.replace("029", "030"), label) for name, label in renamed.samples
    ]
    with pytest.raises(InvalidArgument, match="an index of other pictures .another list"):
        build(small, renamed, tmp_path / "a")
    build(small, ImageFolder(str(folder)), tmp_path / "a")


def test_other_labels_are_other_pictures(small: cb.Network, tmp_path: Path, batches: int) -> None:
    shown = photographs(COUNT)
    begin(small, Pairs(shown), tmp_path / "a", batches)
    said = r"picture \d+ is not what it was: its label was '\d', and is '\d'"
    with pytest.raises(InvalidArgument, match=said):
        build(small, Pairs(shown, labels=2), tmp_path / "a")


def test_another_function_of_sources_is_not_passed_over(
    small: cb.Network, tmp_path: Path, batches: int
) -> None:
    pairs = Pairs(photographs(COUNT))
    begin(small, pairs, tmp_path / "a", batches, sources=lambda number: number // 2)
    with pytest.raises(
        InvalidArgument,
        match=r"index with other sources: picture 2 was of '1', and sources= says '0'; give anoth",
    ):
        build(small, pairs, tmp_path / "a", sources=lambda number: number // 3)
    index = build(small, pairs, tmp_path / "a", sources=lambda number: number // 2)
    assert index.sources == COUNT // 2


def test_a_function_of_sources_is_asked_of_paths(
    small: cb.Network, folder: Path, tmp_path: Path, batches: int
) -> None:
    begin(small, folder, tmp_path / "a", batches, sources=lambda path: path[:3])
    said = r"picture 0 \(bird/000\.png\) was of 'bir', and sources= says 'png'"
    with pytest.raises(InvalidArgument, match=said):
        build(small, folder, tmp_path / "a", sources=lambda path: path[-3:])
    assert build(small, folder, tmp_path / "a", sources=lambda path: path[:3]).sources == 3


def test_few_pictures_are_read_to_see_that_an_index_is_theirs(
    small: cb.Network, tmp_path: Path
) -> None:
    read: list[int] = []

    class Counted(Pairs):
        def __getitem__(self, index: int) -> tuple[Image.Image, int]:
            read.append(index)
            return super().__getitem__(index)

    many = Counted(photographs(200))
    build(small, many, tmp_path / "a")
    read.clear()
    build(small, many, tmp_path / "a")
    # Four are read to see whether each is the same each time.
    assert len(set(read)) <= 4 + 8
    assert {0, 199} <= set(read)
