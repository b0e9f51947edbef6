"""The icon store: atomic, shared, evicted by least recent use, forgiving."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from captum_blocks.errors import InvalidArgument
from captum_blocks.store import LARGEST_FILE, Store, default_folder

PNG = b"\x89PNG" + bytes(100)


@pytest.fixture
def shelf(tmp_path: Path) -> Store:
    return Store(tmp_path / "deep" / "icons")


def age(store: Store, key: str, seconds: float) -> None:
    """Make an entry as old as if it had last been used some seconds ago."""
    then = time.time() - seconds
    for suffix in (".png", ".json"):
        if store.path(key, suffix).exists():
            os.utime(store.path(key, suffix), (then, then))


def test_what_is_written_is_read(shelf):
    shelf.write("key", {".png": PNG, ".json": b"{}"})
    assert shelf.read("key", ".png") == PNG
    assert shelf.read("key", ".json") == b"{}"
    assert shelf.read("key", ".webp") is None
    assert shelf.read("other", ".png") is None


def test_keys_of_any_text_are_apart(shelf):
    keys = ["a/../b", "a" * 5000, "ключ", '{"a":1}', ""]
    for number, key in enumerate(keys):
        shelf.write(key, {".txt": str(number).encode()})
    assert [shelf.read(key, ".txt") for key in keys] == [b"0", b"1", b"2", b"3", b"4"]


def test_file_names_start_with_a_readable_label(shelf):
    shelf.write("key", {".png": PNG}, label="blocks.4.2.bn1 : channel 3/../x")
    (path,) = shelf.folder.iterdir()
    assert re.fullmatch(r"blocks\.4\.2\.bn1-channel-3-\.\.-x-[0-9a-f]{32}\.png", path.name)
    assert shelf.read("key", ".png", label="blocks.4.2.bn1 : channel 3/../x") == PNG


def test_info_counts_entries_and_bytes(shelf):
    assert (shelf.info().entries, shelf.info().bytes) == (0, 0)
    shelf.write("a", {".png": PNG, ".json": b"{}"})
    shelf.write("b", {".png": PNG})
    info = shelf.info()
    assert (info.folder, info.entries, info.bytes) == (shelf.folder, 2, 2 * len(PNG) + 2)


def test_clear_leaves_the_files_of_others(shelf):
    shelf.write("a", {".png": PNG, ".json": b"{}"}, label="a")
    (shelf.folder / "notes.txt").write_text("mine")
    (shelf.folder / ".captum-blocks-unfinished-abc").write_bytes(b"half")
    os.utime(shelf.folder / ".captum-blocks-unfinished-abc", (0, 0))
    assert shelf.clear() == 1
    assert [path.name for path in shelf.folder.iterdir()] == ["notes.txt"]
    assert shelf.clear() == 0


def test_files_that_are_called_like_entries_stay(tmp_path):
    """A photograph named by its MD5 sum, another program's temporary file."""
    foreign = [f"photo-{'0123456789abcdef' * 2}.png", f"{'f' * 32}.json", ".unfinished-download"]
    for name in foreign:
        (tmp_path / name).write_bytes(bytes(1000))
        os.utime(tmp_path / name, (0, 0))
    store = Store(tmp_path, max_bytes=150)
    for key in "abc":
        store.write(key, {".png": PNG})
    assert store.info().entries == 1
    assert store.clear() == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(foreign)


def test_files_beside_an_entry_that_it_did_not_write_stay(tmp_path):
    """A note, a copy in another format, another label of the same kind of name."""
    store = Store(tmp_path, max_bytes=150)
    names = [store.path(key, ".png", "layer4-3") for key in "abc"]
    foreign = [path.with_suffix(suffix) for path in names for suffix in (".txt", ".jpg", ".json")]
    for path in foreign:
        path.write_bytes(b"mine")
    for key in "abc":
        store.write(key, {".png": PNG, ".json": b"{}"}, label="layer4-3")
    assert store.info().entries == 1
    store.discard("c", label="layer4-3")
    store.write("c", {".png": PNG, ".json": b"{}"}, label="layer4-3")
    assert store.clear() == 1
    assert sorted(tmp_path.iterdir()) == sorted(foreign)
    assert {path.read_bytes() for path in foreign} == {b"mine"}


def test_discard_forgets_one_entry(shelf):
    for key in ("a", "b"):
        shelf.write(key, {".png": PNG, ".json": b"{}"}, label="x")
    shelf.discard("a", label="x")
    assert shelf.read("a", ".png", label="x") is None
    assert shelf.read("a", ".json", label="x") is None
    assert shelf.read("b", ".png", label="x") == PNG


def test_the_least_recently_used_goes_first(tmp_path):
    store = Store(tmp_path, max_bytes=250)
    for key, seconds in (("a", 300), ("b", 200)):
        store.write(key, {".png": bytes([1]) * 100})
        age(store, key, seconds)
    assert store.read("a", ".png") is not None  # now b is the older one
    store.write("c", {".png": bytes([1]) * 100})
    assert [store.read(key, ".png") is not None for key in "abc"] == [True, False, True]


def test_entries_go_as_a_whole(tmp_path):
    store = Store(tmp_path, max_bytes=150)
    store.write("a", {".png": bytes([1]) * 100, ".json": b"{}"})
    age(store, "a", 100)
    store.write("b", {".png": bytes([1]) * 100})
    assert store.info().entries == 1
    assert store.read("a", ".json") is None


def test_what_was_just_written_stays_even_if_too_large(tmp_path):
    store = Store(tmp_path, max_bytes=10)
    store.write("a", {".png": PNG})
    assert store.read("a", ".png") == PNG


def test_a_damaged_entry_is_a_miss(shelf):
    shelf.write("a", {".png": PNG, ".json": b"{}"})
    shelf.path("a", ".png").write_bytes(b"")
    shelf.path("a", ".json").unlink()
    shelf.path("a", ".json").mkdir()
    assert shelf.read("a", ".png") is None
    assert shelf.read("a", ".json") is None


def test_nothing_half_written_is_left(shelf, monkeypatch):
    def no_replace(source: str, target: Path) -> None:
        raise KeyboardInterrupt

    shelf.write("a", {".png": b"old"})
    monkeypatch.setattr(os, "replace", no_replace)
    with pytest.raises(KeyboardInterrupt):
        shelf.write("a", {".png": PNG})
    assert shelf.read("a", ".png") == b"old"
    assert len(list(shelf.folder.iterdir())) == 1


def test_leftovers_of_a_dead_process_go_after_a_while(shelf):
    shelf.write("a", {".png": PNG})
    old, new = (shelf.folder / f".captum-blocks-unfinished-{name}" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    shelf.write("b", {".png": PNG})
    assert not old.exists()
    assert new.exists()


def test_threads_see_whole_files_only(shelf):
    contents = {bytes([letter]) * 50_000 for letter in range(8)}

    def write_and_read(content: bytes) -> bool:
        shelf.write("key", {".bin": content})
        return shelf.read("key", ".bin") in contents

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(write_and_read, sorted(contents) * 5))


PROGRAM = """
import sys
from pathlib import Path
from captum_blocks.store import Store
store = Store(Path(sys.argv[1]), max_bytes=3000)
for turn in range(100):
    store.write(f"key {turn % 7}", {".bin": bytes([turn % 7 + 1]) * 900})
    for key in range(7):
        found = store.read(f"key {key}", ".bin")
        assert found is None or found == bytes([key + 1]) * 900, key
"""


def test_two_processes_share_a_folder(tmp_path):
    program = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    running = [subprocess.Popen(program, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    assert Store(tmp_path).info().entries <= 4


def test_what_was_removed_while_it_was_written_is_written_again(shelf, monkeypatch):
    replace, removed = os.replace, []

    def replace_too_late(source: str, target: Path) -> None:
        if not removed:
            removed.append(source)
            shutil.rmtree(shelf.folder)
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_too_late)
    shelf.write("a", {".png": PNG, ".json": b"{}"})
    assert len(removed) == 1
    assert (shelf.read("a", ".png"), shelf.read("a", ".json")) == (PNG, b"{}")
    assert len(list(shelf.folder.iterdir())) == 2


def test_a_folder_that_is_removed_all_the_time_is_said(shelf, monkeypatch):
    replace = os.replace

    def replace_too_late(source: str, target: Path) -> None:
        shutil.rmtree(shelf.folder)
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_too_late)
    message = f"cannot write to the cache folder {shelf.folder} (No such file or directory); set"
    with pytest.raises(InvalidArgument, match=f"^{re.escape(message)}"):
        shelf.write("a", {".png": PNG})


def test_clear_leaves_what_another_process_is_writing(shelf, monkeypatch):
    replace = os.replace

    def clear_and_replace(source: str, target: Path) -> None:
        Store(shelf.folder).clear()
        assert Path(source).exists()
        replace(source, target)

    monkeypatch.setattr(os, "replace", clear_and_replace)
    shelf.write("a", {".png": PNG})
    assert shelf.read("a", ".png") == PNG


CLEARING = """
import sys
from pathlib import Path
from captum_blocks.store import Store
while not (Path(sys.argv[1]) / "done").exists():
    Store(Path(sys.argv[1])).clear()
"""


def test_a_process_may_clear_what_another_one_writes(tmp_path):
    clearing = subprocess.Popen([sys.executable, "-c", CLEARING, str(tmp_path)])
    try:
        until = time.monotonic() + 2.0
        while clearing.poll() is None and time.monotonic() < until:
            Store(tmp_path).write("a", {".bin": bytes(200_000)})
    finally:
        (tmp_path / "done").touch()
        assert clearing.wait(timeout=60) == 0


def test_the_folder_is_the_one_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("CAPTUM_BLOCKS_CACHE_DIR", str(tmp_path))
    assert Store().folder == default_folder() == tmp_path
    monkeypatch.delenv("CAPTUM_BLOCKS_CACHE_DIR")
    assert "captum-blocks" in str(default_folder())


def test_a_store_needs_room():
    message = "max_bytes is 0; a store needs room: give a positive number"
    with pytest.raises(InvalidArgument, match=f"^{message}$"):
        Store(max_bytes=0)


def test_a_folder_that_cannot_be_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file")
    message = (
        f"cannot write to the cache folder {tmp_path / 'file'} (File exists); "
        "set CAPTUM_BLOCKS_CACHE_DIR to a folder that is yours"
    )
    with pytest.raises(InvalidArgument, match=f"^{re.escape(message)}$"):
        store.write("a", {".png": PNG})
    assert store.read("a", ".png") is None
    assert store.info().entries == 0


@pytest.mark.parametrize("name", ["icons\0", "icons\ud800"])
def test_a_folder_that_no_file_system_knows_is_said_once(tmp_path, name):
    store = Store(tmp_path / name)
    with pytest.warns(UserWarning, match="^cannot write to the cache folder .*nothing is kept$"):
        store.keep("a", {".png": PNG})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.keep("a", {".png": PNG})
    assert store.read("a", ".png") is None
    assert (store.info().entries, store.clear()) == (0, 0)
    store.discard("a")
    with pytest.raises(InvalidArgument, match="set CAPTUM_BLOCKS_CACHE_DIR to a folder"):
        store.check_writable()


def test_no_home_folder(monkeypatch):
    monkeypatch.setenv("CAPTUM_BLOCKS_CACHE_DIR", "~nobody-of-this-name/icons")
    with pytest.raises(InvalidArgument, match="but there is no such home folder; set it to"):
        Store()


def full(source: str, target: Path) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_said_and_leaves_nothing(shelf, monkeypatch):
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InvalidArgument, match=r"^cannot write to .* \(No space left on device\)"):
        shelf.write("a", {".png": PNG})
    assert list(shelf.folder.iterdir()) == []


def test_what_cannot_be_kept_is_said_once(shelf, monkeypatch):
    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match="No space left .*; until then nothing is kept$"):
        shelf.keep("a", {".png": PNG})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shelf.keep("b", {".png": PNG})
    monkeypatch.undo()
    shelf.keep("a", {".png": PNG})
    assert shelf.read("a", ".png") == PNG


def test_whether_a_store_can_be_written_is_found_out_beforehand(tmp_path):
    Store(tmp_path / "new").check_writable()
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgument, match=r"file \(File exists\); set CAPTUM_BLOCKS_CACHE_DIR"):
        Store(tmp_path / "file").check_writable()


def test_only_plain_files_of_bounded_size_are_read(shelf, tmp_path):
    shelf.write("a", {".png": PNG})
    path = shelf.path("a", ".png")
    assert shelf.read("a", ".png", most=len(PNG)) == PNG
    assert shelf.read("a", ".png", most=len(PNG) - 1) is None
    (tmp_path / "elsewhere").write_bytes(PNG)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert shelf.read("a", ".png") is None
    path.unlink()
    os.mkfifo(path)  # reading one waits for a writer, for ever
    assert shelf.read("a", ".png") is None
    path.unlink()
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)  # says so; takes no room
    assert shelf.read("a", ".png") is None
    assert shelf.clear() == 1
    assert (tmp_path / "elsewhere").read_bytes() == PNG


def test_clear_tells_what_is_gone(shelf):
    for key in "ab":
        shelf.write(key, {".png": PNG})
    shelf.path("a", ".png").unlink()
    shelf.path("a", ".png").mkdir()  # cannot be removed, as what belongs to another user
    assert shelf.clear() == 1
    assert shelf.info().entries == 1


def test_entries_of_another_user_are_neither_counted_nor_evicted(tmp_path, monkeypatch):
    store = Store(tmp_path, max_bytes=250)
    for key in "ab":
        store.write(key, {".png": bytes([1]) * 100})
        age(store, key, 100)
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    for key in "cd":
        store.write(key, {".png": bytes([1]) * 100})
    assert all(store.read(key, ".png") for key in "abcd")


def test_many_entries_are_written_and_what_no_longer_fits_goes(tmp_path: Path) -> None:
    """Also of so many that what there is is looked at more than once."""
    store = Store(tmp_path, max_bytes=50_000)
    assert (
        store.write_each((f"key {n}", {".png": bytes([1]) * 1000}, "") for n in range(150)) == 150
    )
    assert store.info().entries == 50
    assert store.read("key 149", ".png") is not None


def test_what_was_written_before_an_error_stays_and_is_counted(tmp_path: Path) -> None:
    store = Store(tmp_path, max_bytes=2500)

    def entries() -> Iterator[tuple[str, dict[str, bytes], str]]:
        for n in range(5):
            yield f"key {n}", {".png": bytes([1]) * 1000}, ""
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write_each(entries())
    assert store.info().entries == 2
    assert store.read("key 4", ".png") is not None
