"""Icons of whole layers: drawn ahead of pages, written into packs, taken from packs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import captum_blocks as cb
from captum_blocks.cli import main
from captum_blocks.compose import Quality
from captum_blocks.compose.pictures import icons as drawing
from captum_blocks.compose.pictures import packs, quality
from captum_blocks.errors import BlocksError, InvalidArgument, LayerNotFound
from captum_blocks.icons import LayerIcons, Taken, most_wanted
from captum_blocks.store import Store
from captum_blocks.zoo import demo_photo
from captum_blocks.zoo.tiles import photographs

FEW = Quality(size=16, n_steps=2, budget=8)


def icons_of(net: cb.Network, store: Store, layer: str = "late", **how: Any) -> LayerIcons:
    return LayerIcons(net, layer, **{"quality": FEW, "progress": False, "store": store, **how})


def held(store: Store) -> dict[str, bytes]:
    """Every file of a store by its name."""
    return {path.name: path.read_bytes() for path in store.folder.iterdir()}


@pytest.fixture
def here(tmp_path: Path) -> Store:
    return Store(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Store:
    return Store(tmp_path / "there")


@pytest.fixture
def pack(small: cb.Network, here: Store, tmp_path: Path) -> Path:
    """A pack of the ten icons of a layer."""
    assert icons_of(small, here).export(tmp_path / "pack.zip") == 10
    return tmp_path / "pack.zip"


def test_what_is_taken_is_what_was_drawn(
    small: cb.Network, pack: Path, here: Store, there: Store
) -> None:
    icons = icons_of(small, there)
    assert icons.missing == tuple(range(10))
    assert icons.take(pack) == Taken(10, 0)
    assert held(there) == held(here)
    assert icons.missing == ()
    assert icons.take(pack) == Taken(0, 0), "what the store has is not taken again"
    assert icons.draw() == 0


def test_a_pack_of_the_same_icons_is_the_same_file(
    small: cb.Network, pack: Path, here: Store, tmp_path: Path
) -> None:
    assert icons_of(small, here).export(tmp_path / "again.zip") == 0
    assert (tmp_path / "again.zip").read_bytes() == pack.read_bytes()


def test_a_page_draws_none_of_the_icons_that_were_taken(
    demo: cb.Network, here: Store, there: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the real network, at the size that its preprocessing says, for a real photograph."""
    few, layer = Quality(size=32, n_steps=1, budget=8), "blocks.5.0.bn1"
    channels = [16, 17, 18]
    icons_of(demo, here, layer, channels=channels, quality=few).export(tmp_path / "pack.zip")
    taken = icons_of(demo, there, layer, channels=channels, quality=few).take(tmp_path / "pack.zip")
    assert taken == Taken(3, 0)

    def drawn_anew(*_: object, **__: object) -> None:
        raise AssertionError("an icon is drawn anew")

    monkeypatch.setattr(cb.FeatureVisualizer, "visualize", drawn_anew)
    how = {"quality": few, "store": there, "progress": False}
    shown = cb.FeatureVis(cb.Hidden(layer).channels[16:19])
    found = cb.explain(shown, demo, demo_photo(), **how)
    assert set(found.scene.sprites) == {f"{layer}/channel/{channel}" for channel in channels}
    with pytest.raises(AssertionError, match="an icon is drawn anew"):
        cb.explain(cb.FeatureVis(cb.Hidden(layer).channels[16:20]), demo, demo_photo(), **how)


def test_icons_of_other_weights_are_never_taken(
    small: cb.Network, small_module: torch.nn.Module, pack: Path, there: Store
) -> None:
    other = deepcopy(small_module)
    with torch.no_grad():
        other.early[0].weight[0, 0, 0, 0] += 1e-3  # type: ignore[index, union-attr]
    net = cb.Network(other, small.preprocess, name="Another")
    said = (
        r"nothing is taken from .*pack.zip: its icons are of other weights, settings or code: "
        r"SmallNet '[0-9a-f]{12}' \(captum_blocks .*, Python 3\.\d+, torch .*\), not Another '"
    )
    with pytest.raises(InvalidArgument, match=said):
        icons_of(net, there).take(pack)
    # Nor where the pack says that they are of these: the names of its files tell.
    with packs.Pack(pack) as read:
        theirs = read.about.fingerprint
    ours = icons_of(net, there)._about.fingerprint
    assert theirs != ours
    changed(pack, lambda about: {**about, "fingerprint": ours})
    with pytest.raises(InvalidArgument, match="it has none of these icons as they are made here"):
        icons_of(net, there).take(pack)
    assert held(there) == {}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"layer": "early"}, r"it has icons of the layer 'late', not of 'early'"),
        (
            {"quality": Quality(size=16, n_steps=3, budget=8)},
            r"its icons have \(pixels, steps, seed\) \(16, 2, 0\), not \(16, 3, 0\)",
        ),
    ],
)
def test_other_icons_of_the_same_network_are_refused(
    small: cb.Network, pack: Path, there: Store, how: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidArgument, match=said):
        icons_of(small, there, **how).take(pack)
    assert held(there) == {}


def test_only_the_channels_asked_for_are_taken(small: cb.Network, pack: Path, there: Store) -> None:
    icons = icons_of(small, there, channels=[7, 2])
    assert icons.take(pack) == Taken(2, 0)
    assert sorted(name.split("-")[2] for name in held(there)) == ["2", "2", "7", "7"]


def test_a_pack_says_which_layer_and_quality(
    small: cb.Network, there: Store, here: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(quality.QUALITIES, "draft", FEW)  # type: ignore[arg-type]
    icons_of(small, here, channels=[1]).export(tmp_path / "pack.zip")
    made = LayerIcons.of_pack(tmp_path / "pack.zip", small, store=there, progress=False)
    assert (made.layer, made.take(tmp_path / "pack.zip"), made.channels) == (
        *("late", Taken(1, 0)),
        tuple(range(10)),
    )


def test_a_quality_without_a_name_has_to_be_given(small: cb.Network, pack: Path) -> None:
    with pytest.raises(InvalidArgument, match="16 pixels, 2 steps and seed 0, which is none of"):
        LayerIcons.of_pack(pack, small)


def test_what_is_stopped_goes_on(
    small: cb.Network, here: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "BATCH", 3)
    original, batches = cb.FeatureVisualizer.visualize, list[int]()

    def visualize(self: Any, objectives: Any, **how: Any) -> Any:
        batches.append(len(objectives))
        if len(batches) == 3:
            raise KeyboardInterrupt
        return original(self, objectives, **how)

    monkeypatch.setattr(cb.FeatureVisualizer, "visualize", visualize)
    icons = icons_of(small, here)
    with pytest.raises(KeyboardInterrupt):
        icons.export(tmp_path / "pack.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["here"], "no pack, and nothing left over"
    assert len(icons.missing) == 4
    assert icons.cost == (
        "6 of 10 icons of late are kept; 4 are drawn, 16 pixels (at most 0.0 MB), 2 steps each"
    )
    assert icons.export(tmp_path / "pack.zip") == 4
    assert batches == [3, 3, 3, 3, 1]
    with packs.Pack(tmp_path / "pack.zip") as pack:
        assert len(pack.about.scores) == 10


def test_the_most_wanted_come_first(
    small: cb.Network, here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: Counter[int] = Counter()
    for _, path in photographs():
        (maps,) = next(iter(small.activations("late", [path])))
        for y in range(maps.shape[1]):
            for x in range(maps.shape[2]):
                place = maps[:, y, x].tolist()
                strongest = sorted(range(10), key=place.__getitem__, reverse=True)[:6]
                counts.update(channel for channel in strongest if place[channel] > 0)
    order = most_wanted(small, "late")
    assert [counts[channel] for channel in order] == sorted(counts.values(), reverse=True)
    assert len(set(counts.values())) > 5
    assert order != list(range(10))
    original, drawn = cb.FeatureVisualizer.visualize, list[str]()

    def visualize(self: Any, objectives: Any, **how: Any) -> Any:
        drawn.extend(one.label for one in objectives)
        return original(self, objectives, **how)

    monkeypatch.setattr(cb.FeatureVisualizer, "visualize", visualize)
    icons_of(small, here).draw()
    assert drawn == [f"channel {channel}" for channel in order]


@pytest.mark.parametrize("channels", [[10], [-1], [], [True], ["3"], [2.0]])
def test_channels_that_there_are_not(small: cb.Network, here: Store, channels: list[Any]) -> None:
    with pytest.raises(InvalidArgument, match="the layer has channels 0 to 9"):
        icons_of(small, here, channels=channels)


def test_a_layer_that_there_is_not(small: cb.Network, here: Store) -> None:
    with pytest.raises(LayerNotFound, match="did you mean 'late'"):
        icons_of(small, here, "lat")


@pytest.mark.parametrize("name", ["pack.tar", "no/pack.zip"])
def test_a_place_for_no_pack_is_refused_before_the_work(
    small: cb.Network, here: Store, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InvalidArgument, match="cannot write"):
        icons_of(small, here).export(tmp_path / name)
    assert not here.folder.exists()


def test_a_pack_has_room_for_so_many(
    small: cb.Network, here: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("captum_blocks.icons.MOST_ICONS", 9)
    with pytest.raises(InvalidArgument, match="a pack holds at most 9 icons, and these are 10"):
        icons_of(small, here).export(tmp_path / "pack.zip")


# Packs that were not made here. All are harmless: what is looked for is what would be done with one
# that is not.


def changed(pack: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """The same pictures, with another text beside them."""
    with ZipFile(pack) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files[packs.ABOUT] = json.dumps(change(json.loads(files[packs.ABOUT]))).encode()
    rewritten(pack, files)


def rewritten(pack: Path, files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with ZipFile(pack, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def inside(pack: Path) -> dict[str, bytes]:
    with ZipFile(pack) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize(
    "change",
    [
        lambda about: [],
        lambda about: {**about, "version": None},
        lambda about: {**about, "layer": 3},
        lambda about: {**about, "size": True},
        lambda about: {**about, "n_steps": "2"},
        lambda about: {**about, "scores": [1]},
        lambda about: {**about, "scores": dict.fromkeys(about["scores"], "high")},
        lambda about: {**about, "scores": dict.fromkeys(about["scores"], float("nan"))},
        lambda about: {**about, "scores": dict.fromkeys(about["scores"], True)},
        lambda about: {**about, "more": 1},
        lambda about: {"version": 1},
    ],
)
def test_a_text_that_no_pack_has(
    small: cb.Network, pack: Path, there: Store, change: Callable[[Any], Any]
) -> None:
    changed(pack, change)
    with pytest.raises(InvalidArgument, match=r"pack.zip is no pack of icons, or it is damaged \("):
        icons_of(small, there).take(pack)
    assert held(there) == {}


def test_a_newer_pack_is_told(small: cb.Network, pack: Path, there: Store) -> None:
    changed(pack, lambda about: {**about, "version": 2})
    with pytest.raises(InvalidArgument, match="made by a newer version of captum_blocks"):
        icons_of(small, there).take(pack)


def _deep() -> bytes:
    return b'{"version": 1, "scores": ' + b"[" * 10**5 + b"]" * 10**5 + b"}"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_what_unpacks_to_much_more_is_not_unpacked(
    small: cb.Network, pack: Path, there: Store, method: int
) -> None:
    with ZipFile(pack, "w", method) as archive, archive.open(packs.ABOUT, "w") as file:
        for _ in range(64):
            file.write(bytes(2**20))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgument, match="larger than it can be, or packed in an unusual"):
            icons_of(small, there).take(pack)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_what_lies_about_its_size_is_read_no_further(
    small: cb.Network, pack: Path, there: Store
) -> None:
    """Small by its own word, 64 MB when unpacked."""
    with ZipFile(pack, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(packs.ABOUT, bytes(2**26))
    content = pack.read_bytes()
    pack.write_bytes(content.replace((2**26).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgument, match="is no pack of icons"):
            icons_of(small, there).take(pack)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_more_files_than_a_pack_can_have_are_not_listed(
    small: cb.Network, pack: Path, there: Store
) -> None:
    with ZipFile(pack, "a") as archive:
        for number in range(packs.MOST_ICONS + 2):
            archive.writestr(ZipInfo(f"{number}"), b"")
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgument, match="more files than the 8193 that a pack can have"):
            icons_of(small, there).take(pack)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


NO_PACKS: dict[str, bytes | None] = {
    "a text": b"hello",
    "nothing": b"",
    "no files": None,
    "depth": _deep(),
}


@pytest.mark.parametrize("content", NO_PACKS.values(), ids=NO_PACKS.keys())
def test_what_is_no_pack(
    small: cb.Network, there: Store, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "pack.zip"
    if content == _deep():
        rewritten(path, {packs.ABOUT: content})
    elif content is None:
        rewritten(path, {})
    else:
        path.write_bytes(content)
    with pytest.raises(InvalidArgument, match="is no pack of icons, or it is damaged"):
        icons_of(small, there).take(path)


@pytest.mark.parametrize("name", ["gone.zip", "."])
def test_no_file(small: cb.Network, there: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot be read: there is no such file"):
        icons_of(small, there).take(tmp_path / name)


def test_no_name_in_a_pack_is_a_place_on_disk(
    small: cb.Network, pack: Path, there: Store, tmp_path: Path
) -> None:
    """Files that would lie elsewhere, beside those that are as they should be."""
    files = inside(pack)
    odd = ["../out.png", "/etc/out.png", str(tmp_path / "out.png"), "..\\out.png", "a/b.png"]
    rewritten(pack, {**dict.fromkeys(odd, b"out"), **files})
    changed(pack, lambda about: {**about, "scores": {**about["scores"], **dict.fromkeys(odd, 1)}})
    before = sorted(path.name for path in tmp_path.iterdir())
    assert icons_of(small, there).take(pack) == Taken(10, 0)
    assert len(held(there)) == 20
    assert not any("out" in name for name in held(there))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "there"])


def _png(side: int, text: str = "") -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue() + text.encode()


def test_damaged_icons_are_left_out_and_told(
    small: cb.Network, pack: Path, there: Store, here: Store
) -> None:
    files = inside(pack)
    names = [name for name in files if name != packs.ABOUT]
    files[names[0]] = _png(17)
    files[names[1]] = b"MZ no picture"
    files[names[2]] = files[names[2]][:300]
    files[names[3]] = files[names[3]] + bytes(2**17)
    del files[names[4]]
    rewritten(pack, files, zipfile.ZIP_DEFLATED)
    assert icons_of(small, there).take(pack) == Taken(5, 5)
    whole = {name: content for name, content in held(here).items() if name in held(there)}
    assert held(there) == whole
    assert len(icons_of(small, there).missing) == 5


def test_a_pack_without_a_whole_icon(small: cb.Network, pack: Path, there: Store) -> None:
    files = inside(pack)
    rewritten(pack, {name: held if name == packs.ABOUT else b"?" for name, held in files.items()})
    with pytest.raises(InvalidArgument, match="each of its 10 icons is damaged"):
        icons_of(small, there).take(pack)


def test_only_pixels_and_a_score_are_taken(
    small: cb.Network, pack: Path, there: Store, here: Store
) -> None:
    """What else is in a picture's file stays behind."""
    files = inside(pack)
    name = next(name for name in files if name != packs.ABOUT)
    buffer = BytesIO()
    with Image.open(BytesIO(files[name])) as image:
        image.save(buffer, "PNG", exif=b"Exif\0\0anything", icc_profile=b"anything")
    rewritten(pack, {**files, name: buffer.getvalue() + b"<script>anything</script>"})
    assert b"anything" in inside(pack)[name]
    icons_of(small, there).take(pack)
    assert held(there) == held(here)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """The command line, with a cache folder of a name."""
    monkeypatch.setitem(quality.QUALITIES, "draft", FEW)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)

    def ran(cache: str, *arguments: str) -> Any:
        monkeypatch.setenv("CAPTUM_BLOCKS_CACHE_DIR", str(tmp_path / cache))
        return CliRunner().invoke(main, ["icons", *arguments])

    return ran


def test_a_pack_on_the_command_line(run: Callable[..., Any], here: Store, there: Store) -> None:
    """Of the real demo network, from one machine's cache folder to another's."""
    early = ("demo", "blocks.0.0.bn1")
    made = run("here", *early, "--channels", "0-2,7", "--quality", "draft", "--export", "pack.zip")
    assert made.exit_code == 0, made.output
    assert made.stderr.startswith(
        "0 of 4 icons of blocks.0.0.bn1 are kept; 4 are drawn, 16 pixels (at most 0.0 MB), 2 steps"
    )
    assert made.stdout == f"4 icons of blocks.0.0.bn1 (4 new) in {here.folder} and pack.zip\n"
    taken = run("there", "demo", "--import", "pack.zip", "--quiet")
    assert (taken.exit_code, taken.output) == (0, "")
    assert held(there) == held(here)
    again = run("there", "demo", "--import", "pack.zip")
    said = f"0 icons taken of 4 in pack.zip: 4 of 32 of blocks.0.0.bn1 are in {there.folder}\n"
    assert (again.exit_code, again.stdout) == (0, said)
    more = run("there", *early, "--channels", "0-3,7", "--quality", "draft")
    assert "5 icons of blocks.0.0.bn1 (1 new)" in more.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo"], "Missing argument 'LAYER'"),
        (["demo", "bn2", "--export", "pack.tar"], "its ending is none of .zip"),
        (["demo", "bn2", "--export", "no/pack.zip"], "there is no folder no"),
        (["demo", "--import", "gone.zip"], "gone.zip cannot be read: there is no such file"),
        (["demo", "--import", "text.zip"], "text.zip is no pack of icons"),
        (["demo", "--import", "a.zip", "--export", "b.zip"], "leave out --export"),
        (["demo", "--import", "a.zip", "--channels", "3"], "leave out --export, --channels"),
        (["demo", "bn2", "--import", "pack.zip"], "has icons of the layer 'late', not of 'bn2'"),
        (["demo", "--import", "pack.zip"], "no layer 'late'"),
    ],
)
@pytest.mark.usefixtures("pack")
def test_bad_input_is_one_line_and_code_2(
    run: Callable[..., Any], tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "text.zip").write_text("hello")
    result = run("cache", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert held(Store(tmp_path / "cache")) == {} if (tmp_path / "cache").exists() else True


def test_a_cache_that_cannot_be_written_is_told_before_the_work(
    small: cb.Network, pack: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    for work in (LayerIcons.take, LayerIcons.export):
        with pytest.raises(BlocksError, match="cannot write to the cache folder"):
            work(icons_of(small, Store(tmp_path / "file")), pack)


def test_a_pack_is_where_no_older_one_is_lost(
    small: cb.Network, pack: Path, here: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk in the middle leaves the file that was there."""
    before = pack.read_bytes()
    shutil.rmtree(here.folder)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ZipFile, "writestr", full)
    with pytest.raises(InvalidArgument, match=r"cannot write .*pack.zip \(No space left on device"):
        icons_of(small, here).export(pack)
    assert pack.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "pack.zip"]


def test_ctrl_c_on_the_command_line_leaves_no_pack_and_the_next_run_goes_on(
    here: Store, tmp_path: Path
) -> None:
    """A real interrupt of a real process while the demo network's icons are drawn."""
    arguments = ("icons", "demo", "blocks.0.0.bn1", "--channels", "0-15", "--quality", "draft")
    started = {
        "args": [sys.executable, "-m", "captum_blocks", *arguments, "--export", "pack.zip"],
        "cwd": tmp_path,
        "env": {**os.environ, "CAPTUM_BLOCKS_CACHE_DIR": str(here.folder)},
        "text": True,
    }
    process = subprocess.Popen(**started, stderr=subprocess.PIPE)  # type: ignore[call-overload]
    deadline = time.monotonic() + 300
    while not list(here.folder.glob("*.json")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.rstrip().endswith("interrupted; finished icons are kept")
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    before = len(list(here.folder.glob("*.json")))  # written last: half an icon is none
    assert 1 <= before < 16
    done = subprocess.run(**started, capture_output=True, timeout=300)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    assert f"16 icons of blocks.0.0.bn1 ({16 - before} new)" in done.stdout
    assert re.match(r"\d+ of 16 icons of blocks.0.0.bn1 are kept; ", done.stderr)
    with packs.Pack(tmp_path / "pack.zip") as pack:
        assert len(pack.about.scores) == 16
