"""Which room may import which: engines speak tensors, the grammar words, compose both."""

from __future__ import annotations

import ast
import re
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
    "rewriting",
    "store",
    "network",
    "preprocessing",
    "zoo",
    "grammar",
    "scene",
    "optim",
    "reduce",
    "attr",
    "examples",
    "reliability",
    "_pictures",
    "_paths",
    "_interrupts",
    "_gradients",
    "_memory",
    "numerals",
    "ranking",
}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "_interrupts": set(),
    "_gradients": {"_interrupts"},
    "_memory": set(),
    "ranking": set(),
    "_waiting": set(),
    "_demo": {"examples", "network", "store", "zoo", "errors"},
    "_options": {"attr", "grammar", "errors"},
    "wrappers": {"errors", "_interrupts"},
    "hooks": {"errors", "wrappers", "_interrupts"},
    "behaviour": {"_gradients", "hooks", "errors"},
    "layouts": {"errors"},
    "scores": {"hooks", "errors"},
    "rewriting": {"_gradients", "wrappers", "hooks", "errors"},
    "convolutions": {"_gradients", "rewriting"},
    "store": {"errors"},
    "_paths": {"errors"},
    "_pictures": {"errors", "_paths"},
    "preprocessing": {"errors"},
    "network": {
        "_gradients",
        "wrappers",
        "hooks",
        "behaviour",
        "layouts",
        "scores",
        "errors",
        "_paths",
        "_pictures",
        "preprocessing",
    },
    "zoo": {"network", "preprocessing", "errors", "_paths"},
    "grammar": {"errors"},
    "numerals": {"grammar"},
    "scene": {"errors"},
    "optim": {
        "_gradients",
        "_interrupts",
        "wrappers",
        "hooks",
        "behaviour",
        "layouts",
        "scores",
        "rewriting",
        "convolutions",
        "errors",
    },
    "reduce": {"_gradients", "layouts", "errors", "_paths"},
    "attr": {
        "_gradients",
        "_interrupts",
        "wrappers",
        "hooks",
        "behaviour",
        "layouts",
        "scores",
        "rewriting",
        "convolutions",
        "ranking",
        "errors",
    },
    "examples": {
        "_gradients",
        "hooks",
        "behaviour",
        "layouts",
        "store",
        "network",
        "preprocessing",
        "errors",
        "_paths",
        "_pictures",
    },
    "reliability": {"ranking", "errors"},
    "render": {"scene", "errors"},
    "compose": BELOW_RENDER,
    "presets": {"grammar", "errors"},
    "explanation": {*BELOW_RENDER, "compose", "render", "presets"},
    "streaming": {"compose", "render", "explanation", "errors"},
    "explaining": {*BELOW_RENDER, "compose", "render", "presets", "explanation", "streaming"},
    "icons": {*BELOW_RENDER, "compose", "explanation"},
    "_icons": {"_options", "compose", "explanation", "icons", "store", "zoo", "errors"},
    "cli": {
        *BELOW_RENDER,
        "_demo",
        "_icons",
        "_waiting",
        "_options",
        "_pages",
        "compose",
        "explanation",
    },
    "_pages": {
        "_options",
        "errors",
        "examples",
        "grammar",
        "network",
        "presets",
        "explanation",
        "explaining",
        "streaming",
        "serving",
    },
    "serving": {"render", "explanation", "streaming", "errors"},
    "__main__": {"cli"},
    "__init__": {
        *BELOW_RENDER,
        "compose",
        "render",
        "presets",
        "explanation",
        "explaining",
        "icons",
        "streaming",
        "cli",
    },
}
# Third-party packages that only some rooms may know.
ONLY_IN = {
    "captum": {"attr"},
    "sklearn": {"reduce"},
    "matplotlib": {"render", "explanation", "reduce"},
    "jinja2": {"render"},
    "click": {"cli", "_icons", "_pages"},
    "pyarrow": {"examples"},
    "fsspec": {"examples"},
}
NEVER_IN = {"torch": {"grammar", "scene", "render", "presets", "errors", "store"}}
# What a room within compose never sees, besides the front that all of them stand behind.
COMPOSE = {"evaluation", "pictures", "marks", "assembly"}
NEVER_SEES: dict[str, set[str]] = {
    "evaluation": {"scene", "optim", "compose.pictures", "compose.marks", "compose.assembly"},
    "pictures": {"grammar", "scene", "compose.evaluation", "compose.marks", "compose.assembly"},
    "marks": {"network", "attr", "reduce", "optim", "hooks", "layouts", "scores", "behaviour"},
    "assembly": {
        *("compose.evaluation", "compose.pictures", "compose.marks"),
        *("network", "attr", "reduce", "optim"),
    },
}
# What marks read of the evaluation: values in their states, and what is known of what they are of.
READ_BY_MARKS = {"values", "frames", "facts"}
# What users call, whose options go by keyword: others have no more than MOST_PARAMETERS.
FRONTS = {"compose/evaluation/faithful.py: faithfulness", "compose/trusting.py: trust"}
MOST_FLOORS, MOST_PARAMETERS, MOST_LINES = 6, 5, 40


def imports(source: str) -> set[str]:
    """Dotted names of all modules a source imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def seen_from_within(room: str, source: str) -> list[str]:
    """What a source of a room within compose imports and may not."""
    wrong = []
    for name in sorted(imports(source)):
        package, _, place = name.partition(".")
        parts = place.split(".")
        is_front = parts[0] == "compose" and COMPOSE.isdisjoint(parts[1:2])
        named = {".".join(parts[:depth]) for depth in (1, 2)}
        if package == "captum_blocks" and (is_front or named & NEVER_SEES[room]):
            wrong.append(f"compose/{room} imports {name}")
    return wrong


def compose_imports() -> dict[str, set[str]]:
    """The modules of compose that each of them imports, by dotted names below ``compose``."""
    names = {_dotted(path) for path in (PACKAGE / "compose").rglob("*.py")}
    found = {}
    for path in (PACKAGE / "compose").rglob("*.py"):
        inside = (
            name.removeprefix("captum_blocks.compose.")
            for name in imports(_at_run_time(path.read_text()))
            if name.startswith("captum_blocks.compose.")
        )
        held = {name for each in inside for name in (each, each.rpartition(".")[0])}
        found[_dotted(path)] = (held & names) - {_dotted(path)}
    return found


def _dotted(path: Path) -> str:
    inside = path.relative_to(PACKAGE / "compose").with_suffix("")
    return ".".join(part for part in inside.parts if part != "__init__") or "__init__"


def _at_run_time(source: str) -> str:
    """The source without what only type checkers import."""
    return re.sub(r"^if TYPE_CHECKING:\n(?:    .*\n|\n)+", "", source, flags=re.MULTILINE)


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """How many modules stand above one another, counted from 1."""
    found: dict[str, int] = {}

    def floor(name: str) -> int:
        if name not in found:
            found[name] = 1 + max((floor(below) for below in graph[name]), default=0)
        return found[name]

    return {name: floor(name) for name in graph}


def functions(source: str) -> list[ast.FunctionDef]:
    """Every function and method of a source."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]


def parameters(function: ast.FunctionDef) -> int:
    """How many parameters it has, ``self`` not counted."""
    held = function.args
    names = [each.arg for each in (*held.posonlyargs, *held.args, *held.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def lines(function: ast.FunctionDef) -> int:
    """How many lines of code it has, its docstring not counted."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    last = function.end_lineno or function.lineno
    return last - body[0].lineno + 2 if body else 1


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


@pytest.mark.parametrize("room", NEVER_SEES)
def test_room_of_compose_sees_only_what_it_may(room: str) -> None:
    sources = sorted((PACKAGE / "compose" / room).glob("*.py"))
    assert len(sources) > 1
    assert [wrong for path in sources for wrong in seen_from_within(room, path.read_text())] == []


@pytest.mark.parametrize(
    ("room", "planted"),
    [
        ("pictures", "from captum_blocks.grammar import Hidden"),
        ("pictures", "from captum_blocks import grammar"),
        ("pictures", "def f():\n    import captum_blocks.scene.drawing"),
        ("pictures", "from captum_blocks.compose.evaluation.values import Value"),
        ("pictures", "from captum_blocks.compose import marks"),
        ("pictures", "from captum_blocks.compose.assembly import pools"),
        ("pictures", "from captum_blocks.compose.pipeline import compose"),
        ("pictures", "from captum_blocks.compose import Value"),
        ("evaluation", "from captum_blocks.scene import Field"),
        ("evaluation", "from captum_blocks.optim import Channel"),
        ("evaluation", "from captum_blocks.compose.assembly.layout import arranged"),
        ("marks", "from captum_blocks.network import Network"),
        ("marks", "from captum_blocks.attr import LayerMethod"),
        ("assembly", "from captum_blocks.compose.evaluation.values import Value"),
        ("assembly", "from captum_blocks.compose.marks import View"),
    ],
)
def test_planted_violation_within_compose_is_seen(room: str, planted: str) -> None:
    assert len(seen_from_within(room, planted)) == 1


def test_rooms_of_compose_are_those_that_rules_are_for() -> None:
    inside = {path.parent.name for path in (PACKAGE / "compose").glob("*/__init__.py")}
    assert inside == COMPOSE
    assert set(NEVER_SEES) == COMPOSE


def test_marks_read_values_and_never_a_session() -> None:
    for name, seen in compose_imports().items():
        if name.startswith("marks."):
            read = {each.split(".")[1] for each in seen if each.startswith("evaluation.")}
            assert read <= READ_BY_MARKS, name


def test_no_room_but_evaluation_mentions_the_session() -> None:
    told = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\b[Ss]ession\b", path.read_text())
    }
    assert {each.rpartition("/")[0] for each in told} == {"compose/evaluation"}


def test_compose_has_few_floors() -> None:
    graph = compose_imports()
    assert floors({"top": {"middle"}, "middle": {"ground"}, "ground": set()})["top"] == 3
    inside = {name: seen for name, seen in graph.items() if "." in name or name == "pipeline"}
    inside = {name: {each for each in seen if each in inside} for name, seen in inside.items()}
    assert max(floors(inside).values()) <= MOST_FLOORS, floors(inside)


def test_functions_of_compose_are_seen_whole() -> None:
    for path in (PACKAGE / "compose").rglob("*.py"):
        for function in functions(path.read_text()):
            place = f"{path.relative_to(PACKAGE)}: {function.name}"
            options = len(function.args.kwonlyargs) if place in FRONTS else 0
            assert parameters(function) - options <= MOST_PARAMETERS, place
            assert lines(function) <= MOST_LINES, place


@pytest.mark.parametrize(
    ("room", "planted"),
    [
        ("optim", "from captum_blocks.reduce import ChannelReducer"),
        ("render", "def f():\n    import torch"),
        ("grammar", "from captum_blocks.network import Network"),
        ("compose", "from captum_blocks import render"),
        ("attr", "import sklearn.decomposition"),
        ("compose", "import captum.attr"),
        ("examples", "from captum_blocks.grammar import Hidden"),
        ("compose", "import pyarrow.parquet"),
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
