from __future__ import annotations

import errno
import os
import sys
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import captum_blocks as cb
from captum_blocks.compose.evaluation.archive import Entry, archive
from captum_blocks.errors import InvalidArgument, MissingDependency, UnknownName, WrongType
from captum_blocks.explanation import writable
from captum_blocks.scene import Versus


def test_a_page_is_one_small_file(real_page: Path) -> None:
    text = real_page.read_text(encoding="utf-8")
    assert real_page.stat().st_size < 4e6
    assert "Egyptian cat" in text
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_the_answer_is_made_from_the_numbers(real_explanation: cb.Explanation) -> None:
    groups = cb.Hidden("bn2").groups(6)
    value = real_explanation.values[cb.Attribution(groups, cb.Out(), method="ShapleyValues")]
    shared, residual = value.data[0].sum(1), value.remainder["residual"][0]
    torch.testing.assert_close(shared + residual, value.total[0], rtol=1e-4, atol=1e-4)
    index, label, probability = real_explanation.predictions[0]
    assert (
        real_explanation.scene.answer
        == f"EfficientNet-Lite0 is {probability:.0%} sure of “{label}”."
    )
    versus = next(panel for panel in real_explanation.scene.panels() if isinstance(panel, Versus))
    first, second = versus.pair
    assert first == index
    state = real_explanation.scene.default_frame(versus)
    differences = [mark.values[0] for mark in versus.frames[state]][:6]
    expected = (value.data[0, first] - value.data[0, second]).tolist()
    assert differences == pytest.approx(expected, abs=1e-5)


def key_of(arrays: Any, content: object, kind: str = "value") -> str:
    told = arrays["keys"]
    (row,) = told[(told["content"] == repr(content)) & (told["kind"] == kind)]
    return str(row["key"])


def test_numbers_as_npz(real_explanation: cb.Explanation, tmp_path: Path) -> None:
    path = real_explanation.save(tmp_path / "values.npz")
    with np.load(path, allow_pickle=False) as arrays:
        told = arrays["keys"]
        assert told.dtype.names == ("key", "content", "kind", "axes", "unit")
        assert {"keys", *told["key"].tolist()} == set(arrays.files)
        assert max(map(len, arrays.files)) < 40
        for key, _, _, axes, _ in told:
            assert arrays[key].ndim == len(str(axes).split(", ")) * bool(axes), key
        assert arrays["photographs"].tolist() == ["cat.jpg"]
        first = real_explanation.predictions[0]
        assert arrays["classes"][first.index] == first.label
        assert len(arrays["classes"]) == 1000
        assert arrays["probabilities"].shape == (1, 1000)
        assert arrays["probabilities"][0, first.index] == pytest.approx(first.probability)
        assert arrays["probabilities"].sum() == pytest.approx(1, rel=1e-4)
        content = cb.Activation(cb.Hidden("bn2").groups(6))
        key = key_of(arrays, content)
        assert np.array_equal(arrays[key], real_explanation.values[content].data.numpy())
        assert told["axes"][told["key"] == key].tolist() == ["image, group"]
        assert told["unit"][told["key"] == key].tolist() == ["activation"]
        assert arrays[f"{key}.axis.group"].tolist() == [0, 1, 2, 3, 4, 5]
        assert np.allclose(arrays[f"{key}.maps"].mean((2, 3)), arrays[key], rtol=1e-5)


def test_npz_holds_what_belongs_to_a_value(
    real_explanation: cb.Explanation, tmp_path: Path
) -> None:
    groups = cb.Hidden("bn2").groups(6)
    content, value = next(
        (content, value)
        for content, value in real_explanation.values.items()
        if value.source == groups and value.also
    )
    held = real_explanation.groups[groups]
    with np.load(real_explanation.save(tmp_path / "v.npz"), allow_pickle=False) as arrays:
        key = key_of(arrays, content)
        assert np.array_equal(arrays[f"{key}.residual"], value.remainder["residual"].numpy())
        alone = value.also["taken away alone"].numpy()
        assert np.array_equal(arrays[f"{key}.also.taken_away_alone"], alone)
        assert np.allclose(arrays[f"{key}.maps"].sum((3, 4)), arrays[key], atol=1e-4)
        directions = arrays[key_of(arrays, groups, "directions of the groups")]
        maps = arrays[key_of(arrays, groups, "how much each group fires")]
        assert np.array_equal(directions, held.directions.numpy())
        assert np.array_equal(maps, held.fires.numpy())
        length = np.linalg.norm(directions, axis=1)[None]
        mean = arrays[key_of(arrays, cb.Activation(groups))]
        assert np.allclose(maps.mean((2, 3)), mean, rtol=1e-4), length


def test_npz_of_a_layer_exchanged_and_of_plain_values(
    noise_picture: np.ndarray, tmp_path: Path
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = cb.Network(Around().eval(), cb.Preprocess(size=16), labels=["age"])
    content = cb.Attribution(cb.Hidden("side").channels, cb.Out(0))
    ex = cb.explain(cb.InfoVis(content), net, noise_picture, progress=False)
    with np.load(ex.save(tmp_path / "v.npz"), allow_pickle=False) as arrays:
        told = arrays["keys"]
        assert "probabilities" not in arrays.files
        assert told["unit"][told["key"] == "scores"].tolist() == ["output"]
        found = arrays["x0.taken.score"]
        assert np.array_equal(found, ex.exchanged[cb.Hidden("side")].taken.score.numpy())
        row = told[told["key"] == "x0.taken.score"][0]
        assert row["content"] == "Hidden('side')"
        assert row["kind"].endswith("the layer taken from other pictures")


class Around(nn.Module):
    """A number that a layer and what goes around it add to."""

    def __init__(self) -> None:
        super().__init__()
        self.side, self.other = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head((self.side(x).relu() + self.other(x).relu()).mean((2, 3)))


def test_names_that_collide_keep_their_numbers() -> None:
    entries = [Entry("v0.maps", "c", f"kind {k}", ("image",), "", np.full(1, k)) for k in range(3)]
    arrays = archive([*entries, Entry("keys", "c", "kind 3", ("image",), "", np.full(1, 3))])
    assert [arrays[key][0] for key in arrays["keys"]["key"]] == [0, 1, 2, 3]
    assert arrays["keys"].dtype.names is not None


def test_all_numbers_are_one_long_table(real_explanation: cb.Explanation) -> None:
    frame = real_explanation.to_frame()
    expected = sum(
        value.data.numel() * (1 + len(value.also))
        + sum(held.numel() for held in value.remainder.values())
        for value in real_explanation.values.values()
    )
    assert len(frame) == expected
    assert set(frame["image"]) == {"cat.jpg"}
    assert set(frame["content"]) == set(map(repr, real_explanation.values))
    groups = cb.Hidden("bn2").groups(6)
    content, value = next(
        (content, value)
        for content, value in real_explanation.values.items()
        if value.source == groups and value.also
    )
    own = frame[frame["content"] == repr(content)]
    plain = own[own["question"] == ""]
    for place, index in enumerate(value.coords["class"]):
        of_class = plain[plain["class_index"] == index]
        assert set(of_class["class"]) == {real_explanation.classes[index]}
        # Groups of both signs add up to little: what is rounding goes by their size.
        rounding = 1e-5 * of_class["value"].abs().sum()
        assert of_class["value"].sum() == pytest.approx(float(value.total[0, place]), abs=rounding)
    rest = own[own["remainder"] != ""]
    assert set(rest["remainder"]) == {"residual"}
    assert rest["index"].isna().all()
    alone = own[own["question"] == "taken away alone"]
    third = alone[alone["index"] == 2]["value"].to_numpy()
    assert np.allclose(third, value.also["taken away alone"][0, :, 2].numpy())
    answers = frame[frame["question"] == "probability"]
    assert set(answers["unit"]) == {"probability"}
    assert answers["value"].between(0, 1).all()


def test_the_table_names_places_of_both_ends(small: cb.Network, noise_picture: np.ndarray) -> None:
    early, late = cb.Hidden("early"), cb.Hidden("late")
    between = cb.Attribution(early.channels, late.spatial).filter(to=(1, 2))
    picked = cb.Attribution(late.neurons, cb.Out(1)).filter(at=(3, 0))
    ui = cb.InfoVis(between) & cb.InfoVis(picked)
    pictures = {"a": noise_picture, "=b": noise_picture[::-1].copy()}
    ex = cb.explain(ui, small, pictures, progress=False)
    frame = ex.to_frame()
    assert set(frame["image"]) == {"a", "=b"}
    one = frame[(frame["to"] == "spatial") & (frame["remainder"] == "")]
    assert set(zip(one["to_y"], one["to_x"], strict=True)) == {(1, 2)}
    assert sorted(set(one["index"])) == list(range(6))
    other = frame[frame["class"] == "dog"]
    atoms, rest = (other[(other["remainder"] == "") == there] for there in (True, False))
    assert set(zip(atoms["y"], atoms["x"], strict=True)) == {(3, 0)}
    assert rest["y"].isna().all()
    assert set(rest["remainder"]) == {"elsewhere"}


def test_the_table_needs_pandas(
    real_explanation: cb.Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependency, match="to_frame needs pandas: pip install pandas"):
        real_explanation.to_frame()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_figures(real_explanation: cb.Explanation, tmp_path: Path, ending: str) -> None:
    path = real_explanation.save(tmp_path / f"page.{ending}")
    if ending == "png":
        with Image.open(path) as image:
            assert image.width >= 1000
            assert np.asarray(image.convert("L")).std() > 10
    else:
        assert path.read_bytes()[:5] in (b"<?xml", b"%PDF-")
    assert [other.name for other in tmp_path.iterdir()] == [path.name]


def test_a_notebook_shows_the_page(real_explanation: cb.Explanation) -> None:
    shown = real_explanation._repr_mimebundle_()
    assert shown["text/html"].startswith('<iframe src="data:text/html;base64,')
    assert "application/vnd.jupyter.widget-view+json" in shown
    assert shown["text/plain"] == repr(real_explanation)
    # Where neither widgets nor frames are shown, a picture is.
    picture = b64decode(shown["image/png"])
    assert len(picture) < 500_000
    with Image.open(BytesIO(picture)) as image:
        assert image.format == "PNG"
        assert np.asarray(image.convert("L")).std() > 10


def test_the_page_is_an_output_of_its_own_that_waits_for_the_widget_to_go(
    real_explanation: cb.Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs: list[dict] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: outputs.append(data))
    real_explanation._ipython_display_()
    live, page = outputs
    widget = "application/vnd.jupyter.widget-view+json"
    assert set(live) == {"text/plain", "image/png", widget}
    assert "data-blocks-standby" in page["text/html"]
    assert "application/vnd.jupyter.widget-view+json" not in page


def test_without_anywidget_a_notebook_still_shows_the_page(
    real_explanation: cb.Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "captum_blocks.render.widget", None)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "captum_blocks.render.widget")
    assert set(real_explanation._repr_mimebundle_()) == {"text/plain", "image/png", "text/html"}
    outputs: list[dict] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: outputs.append(data))
    real_explanation._ipython_display_()
    assert outputs == [real_explanation._repr_mimebundle_()]
    with pytest.raises(MissingDependency, match=r"pip install 'captum-blocks\[widget\]'"):
        real_explanation.widget()


def test_the_widget_opens_in_the_default_state(real_explanation: cb.Explanation) -> None:
    widget = real_explanation.widget()
    selections = real_explanation.scene.selections
    expected: dict[str, object] = {s.name: s.keys[s.default] for s in selections}
    assert expected.pop("toggle-group-bn2")
    expected["toggle-group-bn2"] = []  # none is off
    assert widget.selection == expected


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"its ending is none of .html, .htm, .png"):
        writable(tmp_path / "page.doc")
    with pytest.raises(InvalidArgument, match="there is no folder"):
        writable(tmp_path / "nowhere" / "page.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(InvalidArgument, match="it is a folder"):
        writable(tmp_path / "folder.html")


def test_unknown_quality_is_refused_first() -> None:
    with pytest.raises(UnknownName, match="no quality 'hihg'; did you mean 'high'"):
        cb.explain(cb.predictions(), None, "nowhere.png", quality="hihg")  # type: ignore[arg-type]


def test_a_page_of_too_many_states_is_refused(small, noise_picture, store, tmp_path, monkeypatch):
    content = cb.Activation(cb.Hidden("early").neurons).filter(at=cb.hover("spatial"))
    ex = cb.explain(cb.InfoVis(content), small, noise_picture, progress=False, store=store)
    monkeypatch.setattr("captum_blocks.render.weighing.check_size.__defaults__", (20_000,))
    with pytest.raises(InvalidArgument, match=r"0 MB at most; most of it is .*\(64 states, 0"):
        ex.save(tmp_path / "page.html")
    assert list(tmp_path.glob("*.html")) == []
    assert ex.save(tmp_path / "numbers.npz").exists()


def test_the_picture_explained_is_not_written_over(
    small: cb.Network, noise_picture: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(noise_picture).save(path)
    answer = cb.InfoVis(cb.Activation(cb.Out()))
    for given in (path, str(path), [path], {"the photo": path}):
        explained = cb.explain(answer, small, given, progress=False)
        with pytest.raises(InvalidArgument, match="that is a picture which it is made from"):
            explained.save(tmp_path / "photo.png")
    assert np.array_equal(np.asarray(Image.open(path)), noise_picture)


def test_endings_in_capitals(real_explanation: cb.Explanation, tmp_path: Path) -> None:
    for name in ("VALUES.NPZ", "PAGE.PNG", "PAGE.HTML"):
        assert real_explanation.save(tmp_path / name).stat().st_size > 1000
    with np.load(tmp_path / "VALUES.NPZ") as arrays:
        assert arrays["photographs"].tolist() == ["cat.jpg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "PAGE.HTML",
        "PAGE.PNG",
        "VALUES.NPZ",
    ]


def test_a_full_disk_is_said(
    real_explanation: cb.Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InvalidArgument, match=r"cannot write .*v\.npz: No space left on device"):
        real_explanation.save(tmp_path / "v.npz")
    assert list(tmp_path.iterdir()) == []


def test_names_that_cannot_be(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.html")
    for name in ("x" * 5000 + ".html", "a\0b.html", "\ud800.html", "pipe.html"):
        with pytest.raises(InvalidArgument, match="cannot write "):
            writable(tmp_path / name)


def test_the_file_of_an_opened_picture_is_not_written_over(
    small: cb.Network, noise_picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, elsewhere = tmp_path / "photo.png", tmp_path / "elsewhere"
    Image.fromarray(noise_picture).save(path)
    elsewhere.mkdir()
    answer = cb.InfoVis(cb.Activation(cb.Out()))
    monkeypatch.chdir(tmp_path)
    with open("photo.png", "rb") as file:
        given = (Image.open("photo.png"), Image.open(path), Image.open(file), "photo.png")
        explained = [cb.explain(answer, small, one, progress=False) for one in given]
    made = [cb.explain(answer, small, Image.fromarray(noise_picture), progress=False)]
    monkeypatch.chdir(elsewhere)
    for each in explained:
        with pytest.raises(InvalidArgument, match="that is a picture which it is made from"):
            each.save("../photo.png")
    assert np.array_equal(np.asarray(Image.open(path)), noise_picture)
    assert made[0].save("photo.png").exists()


@pytest.mark.parametrize("odd", [None, 5, b"page.html", ["page.html"]], ids=repr)
def test_what_is_no_path_is_no_place_for_a_page(odd: object) -> None:
    with pytest.raises(WrongType, match=r"^a path is text or a pathlib\.Path, not "):
        writable(odd)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (torch.zeros(1, 3, 8, 8).to_sparse(), "a sparse_coo tensor is no picture"),
        (torch.zeros(1, 3, 8, 8, device="meta"), "a meta tensor is no picture"),
        (
            torch.zeros(1).expand(1, 3, 2**20, 2**20),
            r"shape \(1, 3, 1048576, 1048576\) takes 12,288 GiB, and holds 4 bytes of numbers",
        ),
        (Image.new("L", (0, 0)), "the picture given is 0 x 0, so it has no pixel"),
        (Image.new("RGB", (0, 4)), "the picture given is 0 x 4, so it has no pixel"),
    ],
    ids=["sparse", "meta", "expanded", "empty", "narrow"],
)
def test_pictures_without_numbers_are_refused(small: cb.Network, picture: Any, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        cb.explain(cb.InfoVis(cb.Activation(cb.Out())), small, picture, progress=False)
