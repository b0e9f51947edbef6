"""The names a user sees, their docstrings, and the examples in them and in the README."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import captum_blocks as cb
from captum_blocks.compose.marks.base import MARKS
from captum_blocks.compose.pictures import quality
from captum_blocks.grammar.presentation import MARK_NAMES
from tests.conftest import FEW_STEPS

README = Path(cb.__file__).parents[1] / "README.md"
MODULES = [
    info.name
    for info in pkgutil.walk_packages(cb.__path__, "captum_blocks.")
    if info.name != "captum_blocks.cli"
]


ROOMS = ("", ".optim", ".reduce", ".attr", ".grammar", ".compose")
PUBLIC = [
    (room, name)
    for room in ROOMS
    for name in importlib.import_module(f"captum_blocks{room}").__all__
]


def is_explained(thing: object) -> bool:
    """A docstring of its own; with an example, where it can be called."""
    own = thing.__doc__ or ""
    if not callable(thing):
        return bool(own)
    return len(own.split()) >= 4 and ">>>" in own


@pytest.mark.parametrize(("room", "name"), PUBLIC)
def test_every_public_name_is_there_and_explained(room: str, name: str) -> None:
    assert is_explained(getattr(importlib.import_module(f"captum_blocks{room}"), name))


def test_a_missing_example_is_noticed() -> None:
    def silent() -> None:
        """Says four words or more, and shows nothing."""

    class Inheriting(cb.Given):
        pass

    assert not is_explained(silent)
    assert not is_explained(Inheriting)
    assert is_explained(cb.explain)


@pytest.fixture
def marks_as_they_were() -> Iterator[None]:
    """Examples register marks, which no other test is to meet."""
    kinds, names = dict(MARKS), list(MARK_NAMES)
    yield
    MARK_NAMES[:] = names
    for name in MARKS.keys() - kinds.keys():
        del MARKS[name]


@pytest.mark.usefixtures("marks_as_they_were")
@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'captum_blocks' has no attribute 'explian'"):
        _ = cb.explian
    assert set(cb.__all__) <= set(dir(cb))


def test_the_workflow_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's first blocks as printed, but for weights that would be downloaded."""
    code, numbers, *_ = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    code = code.replace("ResNet18_Weights.DEFAULT", "None")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAPTUM_BLOCKS_CACHE_DIR", str(tmp_path / "icons"))
    monkeypatch.setitem(quality.QUALITIES, "standard", FEW_STEPS)  # type: ignore[arg-type]
    x = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    torch.save(x, tmp_path / "my_batch.pt")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    exec(compile(numbers, "README.md", "exec"), names)
    assert "g0.directions" in capsys.readouterr().out
    assert "not explained by the groups" in (tmp_path / "why.html").read_text()


def test_the_dictionary_of_the_readme_is_the_preset() -> None:
    snippets = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (code,) = (snippet for snippet in snippets if "dictionary = " in snippet)
    words, drawn = code.split("cb.explain(")
    assert drawn.startswith("dictionary, ")
    names = {"cb": cb}
    exec(compile(words, "README.md", "exec"), names)
    made, preset = names["dictionary"], cb.semantic_dictionary("blocks.5.0.bn1")
    assert [part.content for part in made.parts] == [part.content for part in preset.parts]
