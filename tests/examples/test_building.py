"""An index that is stopped at any moment goes on and comes out the same, bit for bit."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, LayerNotFound, NotWritten, WrongType
from captum_blocks.examples import disk
from tests.conftest import SmallNet
from tests.examples.conftest import COUNT, photographs

HOW = {"layers": ["early", "late"], "batch_size": 8, "progress": False}


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


class Killed(BaseException):
    pass


def test_stopped_at_every_write_it_goes_on_and_comes_out_the_same(
    small: cb.Network, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cb.ExampleIndex.build(small, folder, path=tmp_path / "whole", **HOW)
    wanted = content(whole.folder)
    write, left = disk.whole_file, [0]

    @contextmanager
    def stopping(path: Path) -> Iterator[object]:
        left[0] -= 1
        if left[0] == 0:  # half a file, and nobody who tidies up
            (path.parent / ".captum-blocks-unfinished-x").write_bytes(b"half")
            raise Killed
        with write(path) as file:
            yield file

    monkeypatch.setattr(disk, "whole_file", stopping)
    moments = 0
    for moment in range(1, 100):
        left[0], path = moment, tmp_path / f"stopped{moment}"
        try:
            cb.ExampleIndex.build(small, folder, path=path, **HOW)
            break
        except Killed:
            moments += 1
        with pytest.raises(InvalidArgument, match=r"not finished|holds no index"):
            cb.ExampleIndex.load(path)
        cb.ExampleIndex.build(small, folder, path=path, **HOW)
        assert content(path) == wanted
    assert moments > 10


SLOW = """
import sys, time, torch, captum_blocks as cb
from tests.conftest import SmallNet
torch.set_num_threads(1)
torch.manual_seed(4)
class Slow:
    def __len__(self): return 64
    def __getitem__(self, index):
        time.sleep(0.02)
        return torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(index))
net = cb.Network(SmallNet().eval(), cb.Preprocess(size=16))
cb.ExampleIndex.build(net, Slow(), ["early", "late"], sys.argv[1], batch_size=4, progress=False)
"""


class Quick:
    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(index))


def test_a_process_that_is_killed_goes_on_and_comes_out_the_same(tmp_path: Path) -> None:
    torch.manual_seed(4)
    net = cb.Network(SmallNet().eval(), cb.Preprocess(size=16))
    path = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(path)], cwd=Path(cb.__file__).parents[1]
    )
    shards, until = path / "shards", time.monotonic() + 120
    while len(list(shards.glob("0*"))) < 5 and time.monotonic() < until:
        time.sleep(0.01)
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    there = {file.name: file.stat().st_mtime_ns for file in shards.glob("0*")}
    assert 5 <= len(there) < 16
    how = {"layers": ["early", "late"], "batch_size": 4, "progress": False}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    read: list[int] = []

    class Counted(Quick):
        def __getitem__(self, index: int) -> torch.Tensor:
            read.append(index)
            return super().__getitem__(index)

    cb.ExampleIndex.build(net, Counted(), path=path, **how)
    # What was there was not looked at again, but for four pictures to see whether each is the same
    # each time, and eight to see whether they are those that it was begun with.
    assert len(set(read)) <= 64 - 4 * len(there) + 4 + 8
    undisturbed = cb.ExampleIndex.build(net, Quick(), path=tmp_path / "undisturbed", **how)
    torch.set_num_threads(threads)
    assert content(path) == content(undisturbed.folder)


def test_a_finished_index_is_taken_as_it_is(
    small: cb.Network, folder: Path, tmp_path: Path
) -> None:
    first = cb.ExampleIndex.build(small, folder, path=tmp_path / "a", **HOW)
    before = content(first.folder)
    again = cb.ExampleIndex.build(small, folder, path=tmp_path / "a", **HOW)
    assert content(first.folder) == before
    assert again.top(("late", 1)) == first.top(("late", 1))


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The system itself refuses to write more, as it does where a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (3_000, r"0 of 30 pictures are looked at"),
        (9_000, r"all pictures are looked at, but the tables are not put together"),
    ],
)
def test_a_full_disk_loses_nothing(
    small: cb.Network, folder: Path, tmp_path: Path, size: int, said: str
) -> None:
    wanted = content(cb.ExampleIndex.build(small, folder, path=tmp_path / "a", **HOW).folder)
    path = tmp_path / "full"
    with files_no_larger_than(size), pytest.raises(NotWritten, match=f"cannot be written.*{said}"):
        cb.ExampleIndex.build(small, folder, path=path, **HOW)
    assert not list(path.rglob(".captum*"))
    cb.ExampleIndex.build(small, folder, path=path, **HOW)
    assert content(path) == wanted


def test_batches_that_are_damaged_are_looked_at_again(
    small: cb.Network, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = content(cb.ExampleIndex.build(small, folder, path=tmp_path / "a", **HOW).folder)

    def refuse(*_: object) -> None:
        raise Killed

    path = tmp_path / "b"
    with monkeypatch.context() as patched:
        patched.setattr("captum_blocks.examples.building.fold", refuse)
        with pytest.raises(Killed):
            cb.ExampleIndex.build(small, folder, path=path, **HOW)
    shards = sorted(path.glob("shards/*"))
    shards[0].write_bytes(shards[0].read_bytes()[:-10])
    shards[2].write_bytes(b"no such file")
    sorted(path.glob("kept/*"))[1].unlink()
    cb.ExampleIndex.build(small, folder, path=path, **HOW)
    assert content(path) == wanted


def test_what_is_there_of_something_else_is_refused(
    small: cb.Network, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    cb.ExampleIndex.build(small, folder, path=path, **HOW)
    with pytest.raises(InvalidArgument, match="holds an index of other layers"):
        cb.ExampleIndex.build(small, folder, "late", path, batch_size=8, progress=False)
    with pytest.raises(InvalidArgument, match="holds an index of other options"):
        cb.ExampleIndex.build(small, folder, path=path, **{**HOW, "batch_size": 9})
    with pytest.raises(InvalidArgument, match="holds an index of other pictures"):
        cb.ExampleIndex.build(small, photographs(30), path=path, **HOW)
    other = cb.Network(SmallNet().eval(), small.preprocess, name="Other")
    with pytest.raises(InvalidArgument, match="is of SmallNet, and Other has other weights: its n"):
        cb.ExampleIndex.build(other, folder, path=path, **HOW)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(InvalidArgument, match=r"holds 'thesis.tex' and no index of photographs"):
        cb.ExampleIndex.build(small, folder, path=tmp_path / "mine", **HOW)
    with pytest.raises(InvalidArgument, match="is a file; an index is a folder"):
        cb.ExampleIndex.build(small, folder, path=tmp_path / "mine" / "thesis.tex", **HOW)


def test_the_budget_keeps_small_layers_first_and_says_what_is_left_out(
    small: cb.Network, pictures: list[torch.Tensor]
) -> None:
    late = 16 * (10 + 2) * COUNT
    with pytest.warns(match="activations are not kept at early: more than the budget of"):
        index = cb.ExampleIndex.build(small, pictures, budget=late, **HOW)
    assert [layer["kept"] for layer in index._stored.content["layers"]] == [False, True]
    assert "activations are not kept at early" in index.report
    size = sum(path.stat().st_size for path in (index.folder / "kept").iterdir())
    assert late <= size <= late * 1.2


def test_pictures_that_cannot_be_read_are_skipped_and_named(
    small: cb.Network, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, picture in enumerate(photographs(6)):
        picture.save(folder / f"{number}.png")
    (folder / "2.png").write_bytes(b"not a picture")
    (folder / "4.png").write_bytes((folder / "4.png").read_bytes()[:60])
    (folder / "notes.txt").touch()
    with pytest.warns(match=r"2 of 6 pictures are not in the index, as 2\.png"):
        index = cb.ExampleIndex.build(small, folder, batch_size=2, layers="late", progress=False)
    assert (index.count, len(index)) == (4, 4)
    assert [(each.image, each.path) for each in index.skipped] == [(2, "2.png"), (4, "4.png")]
    assert "not an image that Pillow can read" in index.skipped[0].reason
    with pytest.warns(match="k=9"):
        (found,) = index.top(("late", 0))
    assert {each.image for each in found} == {0, 1, 3, 5}
    assert "2 skipped, as 2.png" in index.report


def test_a_name_that_is_no_text_is_skipped_and_named(small: cb.Network, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, picture in enumerate(photographs(4)):
        picture.save(folder / f"{number}.png")
    os.rename(folder / "1.png", os.path.join(os.fsencode(folder), b"1caf\xe9.png"))
    for _ in range(2):  # built, and taken as it is
        with pytest.warns(match=r"1 of 4 pictures are not in the index, as 1caf\\xe9\.png"):
            index = cb.ExampleIndex.build(
                small, folder, "late", tmp_path / "a", batch_size=2, progress=False
            )
        ((image, path, reason),) = [(e.image, e.path, e.reason) for e in index.skipped]
        assert (index.count, image, path) == (3, 1, r"1caf\xe9.png")
        assert reason == r"its name is no text in UTF-8: 1caf\xe9.png"
    loaded = cb.ExampleIndex.load(tmp_path / "a", photos=folder, net=small)
    (found,) = loaded.top(torch.ones(10), 3, layer="late")
    assert {each.image for each in found} == {0, 2, 3}


def test_labels_and_sources_that_are_no_text(small: cb.Network) -> None:
    labels = ("bird", "caf\udce9", "half \ud83d", "gr\xfcn \U0001f426")

    class Labelled:
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> tuple[Image.Image, str]:
            return photographs(4)[index], labels[index]

    with pytest.warns(match="2 of 4 pictures are not in the index"):
        index = cb.ExampleIndex.build(
            small, Labelled(), "late", progress=False, sources=lambda number: f"{number}\udce9"
        )
    assert index.labels == ("bird", "gr\xfcn \U0001f426")
    assert [each.reason for each in index.skipped] == [
        r"its label is no text in UTF-8: caf\xe9",
        r"its label is no text in UTF-8: half \ud83d",
    ]
    (found,) = index.top(("late", 0), 2)
    assert {each.source for each in found} == {r"0\xe9", r"3\xe9"}


class Half(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.log(torch.where(x.mean((1, 2, 3), True) > 1, torch.nan, x)).mean((2, 3))


def test_pictures_that_give_no_plain_numbers_are_skipped() -> None:
    net = cb.Network(Half(), cb.Preprocess(size=8))
    pictures = [torch.full((3, 8, 8), float(each)) for each in (0, 2, 0.5)]
    pictures.append(torch.full((3, 8, 8), torch.nan))
    pictures.append(torch.zeros(3, 9, 8))
    with pytest.warns(match="3 of 5 pictures are not in the index"):
        index = cb.ExampleIndex.build(net, pictures, "log", progress=False)
    said = [each.reason for each in index.skipped]
    assert said[0] == "layer 'log' gives NaN or infinite values"
    assert said[1] == "it holds NaN or infinite values"
    assert said[2] == "it is (1, 3, 9, 8) for the network, and the others are (1, 3, 8, 8)"
    assert index.statistics("log").count == 2 * 64


def test_bad_builds(small: cb.Network, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="workers=2: an index is built by one process"):
        cb.ExampleIndex.build(small, folder, workers=2)
    with pytest.raises(WrongType, match="an index is of a Network"):
        cb.ExampleIndex.build(small.module, folder)  # type: ignore[arg-type]
    with pytest.raises(LayerNotFound, match="no layer 'laet' in SmallNet; did you mean 'late'"):
        cb.ExampleIndex.build(small, folder, "laet")
    with pytest.raises(InvalidArgument, match="keep='activation' is none of .*; did you mean 'act"):
        cb.ExampleIndex.build(small, folder, keep="activation")
    with pytest.raises(InvalidArgument, match="no layer is asked for"):
        cb.ExampleIndex.build(small, folder, [])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InvalidArgument, match="no picture in the folder .*; there are 1 files"):
        cb.ExampleIndex.build(small, tmp_path)
    (tmp_path / "a.png").write_bytes(b"damaged")
    with pytest.raises(InvalidArgument, match="none of 1 pictures can be read; the first: .*a.png"):
        cb.ExampleIndex.build(small, tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.png", "notes.txt"]


def test_the_network_is_left_as_it_was(small: cb.Network, pictures: list[torch.Tensor]) -> None:
    module = SmallNet().train()
    before = {name: each.clone() for name, each in module.state_dict().items()}
    state = torch.get_rng_state()
    cb.ExampleIndex.build(cb.Network(module, small.preprocess), pictures[:9], **HOW)
    assert torch.equal(torch.get_rng_state(), state)
    assert module.training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert all(torch.equal(each, before[name]) for name, each in module.state_dict().items())
