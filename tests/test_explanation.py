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

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, MissingDependency, UnknownName, WrongType
from captum_blocks.explanation import writable


def test_a_page_is_one_small_file(real_page: Path) -> None:
    text = real_page.read_text(encoding="utf-8")
    assert real_page.stat().st_size < 4e6
    assert "Egyptian cat" in text
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_the_answer_is_made_from_the_numbers(real_explanation: cb.Explanation) -> None:
    groups = cb.Hidden("bn2").groups(6)
    value = real_explanation.values[cb.Attribution(groups, cb.Out(top=2), method="ShapleyValues")]
    shared, residual = value.data[0, 0].sum(), value.remainder["residual"][0, 0]
    torch.testing.assert_close(shared + residual, value.total[0, 0])
    answer = real_explanation.scene.answer
    assert f"Six groups of channels at bn2 add +{float(shared):.2f} to the score of" in answer
    assert f"+{float(value.total[0, 0]):.2f} in all" in answer


def test_numbers_as_npz(real_explanation: cb.Explanation, tmp_path: Path) -> None:
    path = real_explanation.save(tmp_path / "values.npz")
    with np.load(path) as arrays:
        assert len(arrays.files) >= len(real_explanation.values)
        assert arrays["photographs"].tolist() == ["cat.jpg"]
        first = real_explanation.predictions[0]
        assert arrays["classes"][first.index] == first.label
        assert len(arrays["classes"]) == 1000
        key = "Activation(Hidden('bn2').groups(6))"
        content = cb.Activation(cb.Hidden("bn2").groups(6))
        assert np.array_equal(arrays[key], real_explanation.values[content].data.numpy())
        assert arrays[f"{key} axes"].tolist() == ["image", "group"]
        assert arrays[f"{key} axis: group"].tolist() == [0, 1, 2, 3, 4, 5]


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
