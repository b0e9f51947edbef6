"""Every tutorial runs from a clean kernel, without an error and without a warning."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
import torch
from click.testing import CliRunner
from torchvision.models import googlenet

import captum_blocks as cb
from captum_blocks.compose import Quality
from captum_blocks.store import Store

FOLDER = Path(__file__).parents[1] / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))

# Drafts with the fewest steps: every cell runs, and draws what it draws.
ROUGH = """
from captum_blocks.compose.pictures import quality as _quality
_quality.QUALITIES["draft"] = _quality.Quality(size=32, n_steps=2, budget=2, cell=16, cell_steps=1)
"""
COLAB = "https://colab.research.google.com/github/captum-blocks/captum-blocks/blob/main/tutorials/"


def script(name: str) -> ModuleType:
    """A file of the folder as a module."""
    spec = importlib.util.spec_from_file_location(f"tutorials_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def icons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that the tutorials share, as they do for a reader; those of other workers too."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "icons-of-tutorials"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_runs(
    path: Path, icons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTUM_BLOCKS_TUTORIAL_QUALITY", "draft")
    monkeypatch.setenv("CAPTUM_BLOCKS_CACHE_DIR", str(icons))
    done = script("run").executed(path, tmp_path, ROUGH)
    outputs = [output for cell in done.cells for output in cell.get("outputs", ())]
    said = [output.text for output in outputs if output.get("name") == "stderr"]
    assert said == []
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_is_stored_with_small_outputs(path: Path) -> None:
    assert path.stat().st_size < 2.5e6
    assert '"image/png"' in path.read_text()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_begins_and_ends_as_all_do(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert f"({COLAB}{path.name})" in cells[0].source
    assert '%pip install "captum-blocks[demo' in cells[1].source
    assert "enable_custom_widget_manager" in cells[1].source
    told = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert "cannot say" in told
    assert "your own" in told.lower()


def test_the_readme_names_every_tutorial() -> None:
    readme = (FOLDER.parent / "README.md").read_text()
    assert NOTEBOOKS
    assert [path.name for path in NOTEBOOKS if f"(tutorials/{path.name})" not in readme] == []


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GoogLeNet's weights as a file: random ones."""
    path = tmp_path_factory.mktemp("weights") / "googlenet.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(googlenet(init_weights=False).state_dict(), path)
    return path


def test_every_figure_of_the_article_is_drawn(weights_file: Path, tmp_path: Path) -> None:
    article = script("article")
    net = article.article_network(weights_file)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    rough, store = Quality(size=32, n_steps=1, budget=2), Store(tmp_path)
    for name, interface in article.figures(1, 2).items():
        made = cb.explain(interface, net, x, quality=rough, progress=False, store=store)
        assert "inception4d" in made.html(), name


def test_the_article_without_weights_is_refused_in_words(tmp_path: Path) -> None:
    missing = ["photo.jpg", "--weights", str(tmp_path / "none.pth")]
    result = CliRunner().invoke(script("article").main, missing)
    assert result.exit_code == 1
    assert result.output == f"Error: no such file of weights: {tmp_path / 'none.pth'}\n"
