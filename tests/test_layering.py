"""Which room may import which: engines speak tensors, the grammar words, compose both."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import captum_blocks

PACKAGE = Path(captum_blocks.__file__).parent
BELOW_RENDER = {
    "errors",
    "wrappers",
    "hooks",
    "behaviour",
    "layouts",
    "scores",
    "store",
    "network",
    "preprocessing",
    "zoo",
    "grammar",
    "scene",
    "optim",
    "reduce",
    "attr",
    "_pictures",
}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "wrappers": {"errors"},
    "hooks": {"errors", "wrappers"},
    "behaviour": {"hooks", "errors"},
    "layouts": {"errors"},
    "scores": {"hooks", "errors"},
    "store": {"errors"},
    "_pictures": {"errors"},
    "preprocessing": {"errors"},
    "network": {
        "wrappers",
        "hooks",
        "behaviour",
        "layouts",
        "scores",
        "errors",
        "_pictures",
        "preprocessing",
    },
    "zoo": {"network", "preprocessing", "errors"},
    "grammar": {"errors"},
    "scene": {"errors"},
    "optim": {"wrappers", "hooks", "behaviour", "layouts", "scores", "errors"},
    "reduce": {"layouts", "errors"},
    "attr": {"wrappers", "hooks", "behaviour", "layouts", "scores", "errors"},
    "render": {"scene", "errors"},
    "compose": BELOW_RENDER,
    "presets": {"grammar", "errors"},
    "explanation": {*BELOW_RENDER, "compose", "render", "presets"},
    "cli": {*BELOW_RENDER, "compose", "render", "presets", "explanation"},
    "__init__": {*BELOW_RENDER, "compose", "render", "presets", "explanation", "cli"},
}
# Third-party packages that only some rooms may know.
ONLY_IN = {
    "captum": {"attr"},
    "sklearn": {"reduce"},
    "matplotlib": {"render", "explanation", "reduce"},
    "jinja2": {"render"},
    "click": {"cli"},
}
NEVER_IN = {"torch": {"grammar", "scene", "render", "presets", "errors", "store"}}


def imports(source: str) -> set[str]:
    """Dotted names of all modules a source imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def violations(room: str, source: str) -> list[str]:
    """What a source of a room imports and may not."""
    wrong = []
    for name in sorted(imports(source)):
        top, _, rest = name.partition(".")
        if top == "captum_blocks":
            target = rest.split(".")[0]
            # `from captum_blocks import __version__` names no room.
            if target not in {room, *ALLOWED[room]} and target in ALLOWED:
                wrong.append(f"{room} imports {name}")
        elif room not in ONLY_IN.get(top, {room}) or room in NEVER_IN.get(top, set()):
            wrong.append(f"{room} imports {name}")
    return wrong


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_room_imports_only_what_it_may(path: Path) -> None:
    assert violations(room_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("room", "planted"),
    [
        ("optim", "from captum_blocks.reduce import ChannelReducer"),
        ("render", "def f():\n    import torch"),
        ("grammar", "from captum_blocks.network import Network"),
        ("compose", "from captum_blocks import render"),
        ("attr", "import sklearn.decomposition"),
        ("compose", "import captum.attr"),
    ],
)
def test_planted_violation_is_seen(room: str, planted: str) -> None:
    assert len(violations(room, planted)) == 1


def test_only_hooks_registers_hooks() -> None:
    callers = {
        room_of(path)
        for path in PACKAGE.rglob("*.py")
        if any(
            isinstance(node, ast.Attribute)
            and node.attr.startswith("register_")
            and node.attr.endswith("_hook")
            for node in ast.walk(ast.parse(path.read_text()))
        )
    }
    assert callers == {"hooks"}


def test_every_room_is_in_the_table() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py"}
    rooms |= {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(ALLOWED)
