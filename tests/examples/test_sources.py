"""What pictures are given as: folders, lists, data sets, loaders, archives, addresses."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, TensorDataset

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, MissingDependency, WrongType
from captum_blocks.examples import needs
from captum_blocks.examples.files import Listed
from captum_blocks.examples.items import in_words
from tests.examples.conftest import photographs


def built(net: cb.Network, images: Any, **how: Any) -> cb.ExampleIndex:
    return cb.ExampleIndex.build(net, images, "late", progress=False, batch_size=7, **how)


def values(index: cb.ExampleIndex) -> list[list[tuple[int, float]]]:
    return [[(e.image, e.value) for e in each] for each in index.top(("late", None), 5)]


@pytest.fixture(scope="module")
def shown() -> list[Image.Image]:
    return photographs(20)


@pytest.fixture(scope="module")
def wanted(small: cb.Network, shown: list[Image.Image]) -> list[list[tuple[int, float]]]:
    maps = torch.cat(list(small.activations("late", shown))).flatten(2).amax(2)
    found = torch.sort(maps, dim=0, descending=True, stable=True)
    return [
        [(int(i), float(v)) for i, v in zip(found.indices[:5, c], found.values[:5, c], strict=True)]
        for c in range(10)
    ]


def assert_is(index: cb.ExampleIndex, wanted: list[list[tuple[int, float]]]) -> None:
    for found, expected in zip(values(index), wanted, strict=True):
        assert [image for image, _ in found] == [image for image, _ in expected]
        assert [v for _, v in found] == pytest.approx([v for _, v in expected], rel=1e-5)


@pytest.fixture(scope="module")
def files(shown: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("files")
    for number, picture in enumerate(shown):
        picture.save(root / f"{number:02d}.png")
    return sorted(root.iterdir())


def test_the_files_of_a_list_may_move(small: cb.Network, folder: Path, tmp_path: Path) -> None:
    before = shutil.copytree(folder, tmp_path / "before")
    listed = sorted(before.rglob("*.png"))
    built(small, listed, path=tmp_path / "a")
    direction = torch.linspace(-1, 1, 10)
    (wanted,) = built(small, listed).top(direction, 5, layer="late")
    assert {each.path for each in wanted} < set(map(str, listed))
    after = Path(shutil.move(before, tmp_path / "after"))
    loaded = cb.ExampleIndex.load(tmp_path / "a", photos=after, net=small)
    (found,) = loaded.top(direction, 5, layer="late")
    assert [each.value for each in found] == [each.value for each in wanted]
    assert [Path(e.path) for e in found] == [
        after / Path(e.path).relative_to(before) for e in wanted
    ]
    assert all(Path(each.path).is_file() for each in found)
    anew = cb.ExampleIndex.load(tmp_path / "a", photos=sorted(after.rglob("*.png")), net=small)
    assert anew.top(direction, 5, layer="late") == [found]
    # What is there is of the same pictures, wherever they are.
    again = built(small, sorted(after.rglob("*.png")), path=tmp_path / "a")
    assert again.top(direction, 5, layer="late") == [found]


@pytest.mark.parametrize(
    ("paths", "root", "inside"),
    [
        (["/a/b/x.png", "/a/c/y.png"], "/a/", ["b/x.png", "c/y.png"]),
        (["/a/bc/x.png", "/a/bd/y.png"], "/a/", ["bc/x.png", "bd/y.png"]),
        (["/x.png", "/a/y.png"], "/", ["x.png", "a/y.png"]),
        (["a/x.png"], "a/", ["x.png"]),
        (["x.png", "a/y.png"], "", ["x.png", "a/y.png"]),
        (["a/x.png", "a//y.png"], "", ["a/x.png", "a//y.png"]),
        (["/a/x.png", "a/y.png"], "", ["/a/x.png", "a/y.png"]),
        (["s3://a/x.png", "s3://a/y.png"], "", ["s3://a/x.png", "s3://a/y.png"]),
    ],
)
def test_the_folder_of_a_list(paths: list[str], root: str, inside: list[str]) -> None:
    listed = Listed(paths, [-1] * len(paths))
    assert (listed.root, listed.paths) == (root, inside)
    assert [listed.given(each) for each in listed.paths] == paths


def test_a_function_of_sources_is_asked_of_a_list_as_it_was_given(
    small: cb.Network, files: list[Path], tmp_path: Path
) -> None:
    whose = {str(path): f"film {number // 4}" for number, path in enumerate(files)}
    index = built(small, files, sources=whose.__getitem__, path=tmp_path / "a")
    (found,) = index.top(("late", 0), 5)
    assert [each.source for each in found] == [f"film {each.image // 4}" for each in found]
    assert index.sources == 5
    assert built(small, files, sources=whose.__getitem__, path=tmp_path / "a").sources == 5


class Pairs:
    classes = ("cat", "dog")

    def __init__(self, shown: list[Image.Image]) -> None:
        self._shown = shown

    def __len__(self) -> int:
        return len(self._shown)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return self._shown[index], index % 2


def test_a_list_of_paths(small: cb.Network, files: list[Path], wanted: Any) -> None:
    index = built(small, files)
    assert_is(index, wanted)
    (found,) = index.top(("late", 0), 1)
    assert found[0].path == str(files[found[0].image])
    assert found[0].label is None


def test_a_data_set_of_pairs_and_a_loader_of_it(
    small: cb.Network, shown: list[Image.Image], wanted: Any
) -> None:
    index = built(small, Pairs(shown))
    assert_is(index, wanted)
    assert index.labels == ("cat", "dog")
    (found,) = index.top(("late", 0), 4)
    assert [each.label for each in found] == [("cat", "dog")[each.image % 2] for each in found]
    means = index.label_means("late", of="maximum")
    maps = torch.cat(list(small.activations("late", shown[1::2]))).flatten(2)
    np.testing.assert_allclose(means["dog"], maps.amax(2).mean(0), rtol=1e-5)
    np.testing.assert_allclose(index.label_means("late")["dog"], maps.mean((0, 2)), atol=1e-6)
    assert values(built(small, DataLoader(Pairs(shown), 4))) == values(index)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (1, "dog"),
        (1.0, "dog"),
        (True, "dog"),
        (np.int64(0), "cat"),
        (np.array([1]), "dog"),
        (torch.tensor([1.0]), "dog"),
        (7, "7"),
        (-1, "-1"),
        (2**53 + 1, "9007199254740993"),
        (0.5, None),
        (-0.5, None),
        (np.float32(1.5), None),
        (torch.tensor(0.5), None),
        (float("nan"), None),
        (float("inf"), None),
        (torch.eye(3)[0], None),
        (np.eye(3)[0], None),
        ({}, None),
    ],
)
def test_labels_in_words(label: Any, said: str | None) -> None:
    assert in_words(label, ("cat", "dog")) == said


def test_measurements_are_no_classes(small: cb.Network, shown: list[Image.Image]) -> None:
    class Measured(Pairs):
        def __getitem__(self, index: int) -> Any:
            return self._shown[index], index / 2

    (found,) = built(small, Measured(shown)).top(("late", 0), 20)
    assert len(found) == 20
    classes = ("cat", "dog", *map(str, range(2, 10)))
    assert [e.label for e in found] == [
        None if e.image % 2 else classes[e.image // 2] for e in found
    ]


def test_a_loader_that_shuffles_is_refused(small: cb.Network, shown: list[Image.Image]) -> None:
    ready = TensorDataset(torch.cat([small.read(each) for each in shown]))
    for loader in (
        DataLoader(ready, 4, shuffle=True),
        DataLoader(ready, sampler=RandomSampler(ready, num_samples=3)),
        DataLoader(ready, batch_size=None, shuffle=True),
    ):
        with pytest.raises(InvalidArgument, match=r"order of its own \(RandomSampler\).*shuffle=F"):
            built(small, loader)


def test_a_loader_that_makes_its_batches_itself(
    small: cb.Network, shown: list[Image.Image], wanted: Any
) -> None:
    def together(pairs: list[Any]) -> tuple[torch.Tensor, list[int]]:
        return torch.cat([small.read(each) for each, _ in pairs]), [label for _, label in pairs]

    loader = DataLoader(Pairs(shown), 6, collate_fn=together)  # type: ignore[arg-type]
    index = built(small, loader)
    assert_is(index, wanted)
    assert index.labels == ("cat", "dog")


class Running(IterableDataset):  # type: ignore[type-arg]
    def __init__(self, shown: list[Image.Image]) -> None:
        self._shown = shown

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number, picture in enumerate(self._shown):
            yield {"__key__": f"k{number}", "jpg": picture, "cls": number % 3}


def test_pictures_that_nobody_counts(
    small: cb.Network, shown: list[Image.Image], wanted: Any, tmp_path: Path
) -> None:
    index = built(small, Running(shown), path=tmp_path / "a")
    assert_is(index, wanted)
    assert index._stored.kept_rows == 20
    two_batches = 16 * (10 + 2) * 7 * 2
    with pytest.warns(match="are kept of the first 14 of 20 photographs alone: nobody knew how"):
        partly = built(small, Running(shown), budget=two_batches)
    (found,), (wanted_,) = (each.top(torch.ones(10), 3, layer="late") for each in (partly, index))
    assert [each.image for each in found] == [each.image for each in wanted_]
    assert (index.count, index.labels) == (20, ("0", "1", "2"))
    (along,) = index.top(torch.ones(10), 3, layer="late")
    (direct,) = built(small, shown).top(torch.ones(10), 3, layer="late")
    assert [each.image for each in along] == [each.image for each in direct]


def test_what_is_another_picture_each_time_is_refused(small: cb.Network) -> None:
    class Augmented(Pairs):
        def __getitem__(self, index: int) -> tuple[Image.Image, int]:
            picture, label = super().__getitem__(index)
            if torch.rand(()) < 0.5:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            return picture, label

    for _ in range(5):
        with pytest.raises(InvalidArgument, match="another one each time it is read.*augment"):
            built(small, Augmented(photographs(9)))


def tar_of(path: Path, shown: list[Image.Image], first: int = 0) -> None:
    with tarfile.open(path, "w") as tar:
        for number, picture in enumerate(shown, first):
            file = io.BytesIO()
            picture.save(file, "PNG")
            for ending, content in (
                ("cls", str(number % 2).encode()),
                ("json", b"{}"),
                ("png", file.getvalue()),
            ):
                info = tarfile.TarInfo(f"{number:03d}.{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def test_archives(small: cb.Network, shown: list[Image.Image], wanted: Any, tmp_path: Path) -> None:
    tar_of(tmp_path / "birds-00.tar", shown[:11])
    tar_of(tmp_path / "birds-01.tar", shown[11:], 11)
    index = built(small, str(tmp_path / "birds-{00..01}.tar"))
    assert_is(index, wanted)
    assert index.labels == ("0", "1")
    (found,) = index.top(("late", 3), 1)
    assert found[0].path == f"birds-{found[0].image // 11:02d}.tar/{found[0].image:03d}.png"
    webdataset = pytest.importorskip("webdataset")
    stream = webdataset.WebDataset(
        [str(tmp_path / f"birds-{n:02d}.tar") for n in range(2)], shardshuffle=False
    ).decode("pil")
    assert_is(built(small, stream), wanted)


def test_an_archive_that_is_none(small: cb.Network, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar")
    with pytest.raises(InvalidArgument, match=r"a.tar cannot be read as an uncompressed tar"):
        built(small, tmp_path / "a.tar")
    with pytest.raises(InvalidArgument, match="compressed tar archive"):
        built(small, [tmp_path / "a.tar.gz"])


def test_addresses(small: cb.Network, files: list[Path], wanted: Any, tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for path in files:
        memory.pipe(
            f"/zoo/{'even' if int(path.stem) % 2 == 0 else 'odd'}/{path.name}", path.read_bytes()
        )
    memory.pipe("/zoo/odd/99.png", b"damaged")
    with pytest.warns(match="1 of 21 pictures are not in the index"):
        index = built(small, "memory://zoo", path=tmp_path / "a")
    assert index.labels == ("even", "odd")
    (found,) = index.top(("late", 2), 3)
    number = [2 * e.image if e.image < 10 else 2 * (e.image - 10) + 1 for e in found]
    assert number == [image for image, _ in wanted[2][:3]]
    loaded = cb.ExampleIndex.load(tmp_path / "a", photos="memory://zoo", net=small)
    direction = torch.linspace(-1, 1, 10)
    assert loaded.top(direction, 3, layer="late") == index.top(direction, 3, layer="late")
    with pytest.raises(InvalidArgument, match="there is no picture at memory://nowhere"):
        built(small, "memory://nowhere")


def test_sources_by_folder(small: cb.Network, folder: Path) -> None:
    index = built(small, folder, sources="folder")
    assert index.sources == 3
    (found,) = index.top(("late", 0), 3)
    assert sorted(each.source for each in found) == ["bird", "cat", "dog"]
    with pytest.raises(InvalidArgument, match="sources='file': give 'folder', or a function"):
        built(small, folder, sources="file")


def test_bad_pictures(small: cb.Network, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="is not there: give a folder"):
        built(small, tmp_path / "gone")
    with pytest.raises(InvalidArgument, match="the list is empty"):
        built(small, [])
    with pytest.raises(WrongType, match="images is a folder, a list of paths, a torch Dataset"):
        built(small, 3)
    with pytest.raises(WrongType, match="not Tensor"):
        built(small, torch.zeros(3, 8, 8))
    with pytest.raises(InvalidArgument, match="none of 2 pictures can be read"):
        built(small, [tmp_path / "a.png", tmp_path / "b.png"])


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(MissingDependency, match=r"pip install 'captum-blocks\[examples\]'"):
        needs.needed("pyarrow.parquet")


def test_a_picture_is_not_left_out_for_want_of_memory(small: cb.Network) -> None:
    class Starved(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> torch.Tensor:
            if index == 2:
                raise MemoryError
            return torch.full((3, 16, 16), float(index))

    with pytest.raises(MemoryError):
        cb.ExampleIndex.build(small, Starved(), ["late"], progress=False)
