"""Fitted reducers as npz files."""

import errno
import io
import json
import os
import zipfile

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from captum_blocks.errors import BlocksError, InvalidArgument
from captum_blocks.layouts import Layout
from captum_blocks.reduce import ChannelReducer, NotFitted


def activations(dtype=torch.float32):
    return torch.rand(1, 8, 5, 5, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize(
    "algorithm", ["nmf", "semi_nmf", "posneg", "pca", "ica", "kmeans", "dictionary"]
)
def test_what_is_read_does_what_was_written(algorithm, tmp_path):
    acts = activations()
    reducer = ChannelReducer(3, algorithm).fit(acts)
    reducer.save(tmp_path / "groups.npz")
    again = ChannelReducer.load(tmp_path / "groups.npz")
    assert again.get_params() == reducer.get_params()
    assert torch.equal(again.components_, reducer.components_)
    assert torch.equal(again.magnitude_, reducer.magnitude_)
    assert again.explained_share_ == reducer.explained_share_
    assert again.layout_ == reducer.layout_
    assert torch.equal(again.transform(acts), reducer.transform(acts))
    assert [path.name for path in tmp_path.iterdir()] == ["groups.npz"]


def test_goals_layouts_arrays_and_dtypes_survive(tmp_path):
    acts = activations(torch.bfloat16)
    layout = Layout("tokens", prefix=0, grid=(5, 5))
    tokens = acts.flatten(2).transpose(1, 2)
    reducer = ChannelReducer(3, layout=layout, of={"activation": 1, "attribution": 2})
    reducer.fit(tokens, attributions=-tokens, upper=torch.stack([tokens, 2 * tokens], 1))
    reducer.save(tmp_path / "groups.npz")
    again = ChannelReducer.load(tmp_path / "groups.npz")
    assert again.layout == layout
    assert again.components_.dtype == torch.bfloat16
    assert again.goal_share_ == reducer.goal_share_
    assert torch.equal(
        again.goal_components_["attribution"], reducer.goal_components_["attribution"]
    )
    assert torch.equal(again.composition_, reducer.composition_)
    table = activations().numpy().reshape(8, 25)
    ChannelReducer(2).fit(table).save(tmp_path / "table.npz")
    assert isinstance(ChannelReducer.load(tmp_path / "table.npz").components_, np.ndarray)


def test_nothing_in_a_file_is_executed(tmp_path):
    ChannelReducer(3).fit(activations()).save(tmp_path / "groups.npz")
    with np.load(tmp_path / "groups.npz", allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
    np.savez(tmp_path / "evil.npz", about=np.array({"a": 1}, dtype=object))
    with pytest.raises(InvalidArgument, match=r"evil.npz' is not a saved ChannelReducer"):
        ChannelReducer.load(tmp_path / "evil.npz")


def test_what_cannot_be_saved_or_read_says_why(tmp_path):
    with pytest.raises(NotFitted):
        ChannelReducer().save(tmp_path / "groups.npz")
    with pytest.raises(
        InvalidArgument, match="a reducer around PCA cannot be saved as plain arrays"
    ):
        ChannelReducer(algorithm=PCA(2)).fit(activations()).save(tmp_path / "groups.npz")
    random = ChannelReducer(2, random_state=np.random.RandomState(0)).fit(activations())
    with pytest.raises(InvalidArgument, match=r"a parameter cannot be saved: RandomState"):
        random.save(tmp_path / "groups.npz")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InvalidArgument, match=r"text.npz' is not a saved ChannelReducer"):
        ChannelReducer.load(tmp_path / "text.npz")
    with pytest.raises(FileNotFoundError):
        ChannelReducer.load(tmp_path / "nowhere.npz")


def test_a_newer_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("captum_blocks.reduce.persistence.VERSION", 99)
    ChannelReducer(3).fit(activations()).save(tmp_path / "groups.npz")
    monkeypatch.undo()
    with pytest.raises(InvalidArgument, match="was saved by a newer version of captum_blocks"):
        ChannelReducer.load(tmp_path / "groups.npz")


def test_damaged_files_are_refused(tmp_path):
    whole, path = tmp_path / "groups.npz", tmp_path / "damaged.npz"
    ChannelReducer(3).fit(activations()).save(whole)
    content = whole.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 0xFF
    for damaged in (content[: len(content) // 2], bytes(flipped), b""):
        path.write_bytes(damaged)
        with pytest.raises(
            InvalidArgument, match=r"damaged.npz' is not a saved ChannelReducer, or"
        ):
            ChannelReducer.load(path)
    for about in ('{"version": 1}', "[1]"):
        np.savez(path, about=np.array(about))
        with pytest.raises(
            InvalidArgument, match=r"damaged.npz' is not a saved ChannelReducer, or"
        ):
            ChannelReducer.load(path)
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(
        InvalidArgument, match=r"array.npy' is not a saved ChannelReducer, or it is"
    ):
        ChannelReducer.load(tmp_path / "array.npy")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    reducer = ChannelReducer(3).fit(activations())
    for kind in (InvalidArgument, FileNotFoundError):
        with pytest.raises(
            kind, match=r"groups.npz' cannot be written: there is no folder '.*lost'; make it first"
        ):
            reducer.save(tmp_path / "lost" / "groups.npz")
    assert list(tmp_path.iterdir()) == []


def changed(path, about=None, drop=(), **arrays):
    """A copy of a saved reducer with other arrays or other words."""
    with np.load(path) as file:
        held = {name: file[name] for name in file.files if name not in drop}
    told = {**json.loads(str(held["about"][()])), **(about or {})}
    odd = path.with_name("odd.npz")
    np.savez(odd, **{**held, "about": np.array(json.dumps(told)), **arrays})
    return odd


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"components": np.ones((2, 8), np.float32)}, r"\(share is \(3,\), not \(2,\)\)"),
        ({"components": np.ones(8, np.float32)}, ""),
        (
            {"components": np.full((3, 8), np.nan, np.float32)},
            r"\(components holds what is no numb",
        ),
        ({"components": np.ones((3, 8), np.int64)}, ""),
        ({"components": np.ones((3, 8), bool)}, ""),
        ({"magnitude": np.ones((3, 1), np.float32)}, r"\(magnitude is \(3, 1\), not \(3,\)\)"),
        ({"offset": np.ones(5, np.float32)}, r"\(offset is \(5,\), not \(8,\)\)"),
        ({"online gram": np.ones((3, 3))}, r"\(its sums are not whole\)"),
        ({"other": np.ones(3)}, r"\(there is no array 'other'\)"),
        ({"drop": ("share",)}, ""),
        ({"about": {"version": "1"}}, r"\(it has no version\)"),
        ({"about": {"version": True}}, r"\(it has no version\)"),
        ({"about": {"online_rows": 5}}, r"\(its sums are not whole\)"),
        ({"about": {"per_group": ["centres"]}}, ""),
        ({"about": {"form": {"layout": None, "shape": [4], "is_tensor": 1, "dtype": "nn"}}}, ""),
        (
            {
                "about": {
                    "form": {"layout": None, "shape": [-4], "is_tensor": 1, "dtype": "float32"}
                }
            },
            "",
        ),
        ({"about": {"parameters": {"algorithm": "kmeans"}}}, ""),
        ({"about": {"parameters": {"layout": None, "algorithm": "pickle"}}}, None),
        ({"about": {"power": "much"}}, ""),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(tmp_path, change, why):
    ChannelReducer(3).fit(activations()).save(tmp_path / "groups.npz")
    odd = changed(tmp_path / "groups.npz", **change)
    expected = rf"odd.npz' is not a saved ChannelReducer, or it is damaged{why and f' {why}'}"
    with pytest.raises(
        BlocksError, match="algorithm='pickle' is none" if why is None else expected
    ):
        ChannelReducer.load(odd)


FITTING = [("per_group", []), ("goal_share", {"a": 1}), ("power", 2.5), ("power", 10**30)]


@pytest.mark.parametrize("odd", ["x", None, float("nan"), -1, 2.5, True, 10**30, [], [1], {"a": 1}])
@pytest.mark.parametrize(
    "name", ["n_iter", "power", "online_rows", "per_group", "goal_share", "form", "parameters"]
)
def test_plain_values_are_looked_at_before_they_are_used(tmp_path, name, odd):
    """What loads is as good as what was saved: it is saved again, and learns on."""
    reducer = ChannelReducer(3).fit_loader([activations()])
    reducer.save(tmp_path / "groups.npz")
    path = changed(tmp_path / "groups.npz", about={name: odd})
    if (name, odd) not in FITTING:
        with pytest.raises(
            InvalidArgument, match="is not a saved ChannelReducer, or it is damaged"
        ):
            ChannelReducer.load(path)
        return
    found = ChannelReducer.load(path)
    found.save(tmp_path / "again.npz")
    found.partial_fit(activations())


def test_what_encoding_needs_is_there(tmp_path):
    for algorithm in ("pca", "ica", "kmeans", "dictionary"):
        ChannelReducer(3, algorithm).fit(activations()).save(tmp_path / "groups.npz")
        with np.load(tmp_path / "groups.npz") as file:
            needed = [name for name in file.files if name.startswith("state ")]
        for name in needed:
            whole = np.load(tmp_path / "groups.npz")[name]
            for odd in ({"drop": (name,)}, {name: whole[..., :1]}):
                if odd.get(name, whole[..., :0]).shape == whole.shape:
                    continue
                with pytest.raises(InvalidArgument, match="or it is damaged"):
                    ChannelReducer.load(changed(tmp_path / "groups.npz", **odd))


def test_an_array_that_declares_more_than_there_is_takes_no_memory(tmp_path):
    """A header that speaks of 10**15 numbers over a file of a few bytes."""
    ChannelReducer(3).fit(activations()).save(tmp_path / "groups.npz")
    header = io.BytesIO()
    declared = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**6)}
    np.lib.format.write_array_header_1_0(header, declared)
    with zipfile.ZipFile(tmp_path / "groups.npz") as whole:
        kept = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        for name, content in {**kept, "components.npy": header.getvalue() + bytes(96)}.items():
            archive.writestr(name, content)
    with pytest.raises(InvalidArgument, match="is not a saved ChannelReducer, or it is damaged$"):
        ChannelReducer.load(tmp_path / "odd.npz")


def test_an_archive_that_unpacks_to_much_more_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "packed.npz", components=np.zeros((1000, 1000)))
    with pytest.raises(InvalidArgument, match="is not a saved ChannelReducer, or it is damaged$"):
        ChannelReducer.load(tmp_path / "packed.npz")


def test_places_that_are_no_file(tmp_path):
    with pytest.raises(InvalidArgument, match="nowhere.npz' cannot be read: there is no such file"):
        ChannelReducer.load(tmp_path / "nowhere.npz")
    with pytest.raises(InvalidArgument, match="is not a saved ChannelReducer"):
        ChannelReducer.load(tmp_path)
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(InvalidArgument, match="is not a saved ChannelReducer"):
        ChannelReducer.load(tmp_path / "pipe.npz")


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    reducer = ChannelReducer(3).fit(activations())
    monkeypatch.setattr(os, "replace", full)
    message = r"groups.npz' cannot be written \(No space left on device\)"
    with pytest.raises(InvalidArgument, match=message):
        reducer.save(tmp_path / "groups.npz")
    assert list(tmp_path.iterdir()) == []
