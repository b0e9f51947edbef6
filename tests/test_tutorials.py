"""Every tutorial runs from a clean kernel, without an error and without a warning."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))


def runner():
    spec = importlib.util.spec_from_file_location("tutorials_run", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTUM_BLOCKS_TUTORIAL_QUALITY", "draft")
    monkeypatch.setenv("CAPTUM_BLOCKS_CACHE_DIR", str(tmp_path / "icons"))
    done = runner().executed(path, tmp_path)
    outputs = [output for cell in done.cells for output in cell.get("outputs", ())]
    said = [output.text for output in outputs if output.get("name") == "stderr"]
    assert said == []
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_is_stored_with_small_outputs(path: Path) -> None:
    assert path.stat().st_size < 2.5e6
    assert '"image/png"' in path.read_text()


def test_there_is_a_tutorial() -> None:
    assert NOTEBOOKS
