"""What the package says of itself; what is in the wheel is checked by ``.ci/package``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import captum_blocks as cb

ROOT = Path(__file__).parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text()
DEPENDENCIES = re.findall(r'"([a-z0-9-]+)([<>=!~][^"]*)?"', PROJECT.split("dependencies = [")[1])


def test_there_is_one_version() -> None:
    assert re.findall(r'^version = "(.*)"$', PROJECT, re.MULTILINE) == [cb.__version__]
    assert f"\n## {cb.__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_types_are_shipped() -> None:
    assert (ROOT / "captum_blocks" / "py.typed").exists()


def test_nothing_that_is_installed_has_to_change() -> None:
    """Lower bounds only: an upper bound would pull a Captum or torch that is there back."""
    bounds = {name: bound for name, bound in DEPENDENCIES if bound}
    assert {"captum", "torch", "numpy"} <= bounds.keys()
    assert [name for name, bound in bounds.items() if not bound.startswith(">=")] == []


@pytest.mark.parametrize("folder", ["captum_blocks", "tests", "tutorials", ".ci"])
def test_the_source_distribution_is_whole(folder: str) -> None:
    assert (
        f'"{folder}"' in PROJECT.split("[tool.hatch.build.targets.sdist]")[1].split("[tool.ruff")[0]
    )
    assert (ROOT / folder).is_dir()


def test_the_demo_can_show_photographs() -> None:
    """What the README's first command installs keeps an index, too."""
    demo = re.search(r"^demo = \[(.*?)^\]", PROJECT, re.MULTILINE | re.DOTALL)
    assert demo is not None
    assert '"pyarrow' in demo[1]
