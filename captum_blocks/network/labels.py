"""Class names, in whatever form they are at hand."""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Mapping, Sequence, Set
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from captum_blocks._paths import as_path
from captum_blocks.errors import InvalidArgument, WrongType, did_you_mean

Labels: TypeAlias = (
    "Sequence[str] | Mapping[int, str] | Mapping[str, int] | str | PathLike[str] | None"
)


# Digits from which on a number is no index of anything, whatever it is.
LONGEST_INDEX = 20


def printable(name: object) -> str:
    """A name as text that can be written to a file: bytes that are none become a question mark.

    >>> printable("caf\\udce9.jpg")
    'caf?.jpg'
    """
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
    return text.encode("utf-8", "replace").decode("utf-8")


def read_labels(given: Labels) -> tuple[str, ...] | None:
    """Class names by index.

    Args:
        given: a list; a dict from index to name or from name to index; or a file: JSON of either,
            CSV with the names or with index and name, or text with a name on each line.

    Raises:
        InvalidArgument: an index twice, below zero or far beyond the others; a file that is not
            there or cannot be read as names.
        WrongType: names in no order.

    >>> read_labels({"dog": 1, "cat": 0})
    ('cat', 'dog')
    >>> read_labels({0: "cat", 2: "cow"})
    ('cat', 'class 1', 'cow')
    """
    if given is None:
        return None
    if isinstance(given, (str, PathLike)):
        return _from_file(as_path(given, said="labels: no such file:"))
    if isinstance(given, Mapping):
        return _from_mapping(given)
    if hasattr(given, "index") and hasattr(given, "items"):  # a pandas.Series
        return _from_mapping(dict(given.items()))
    if isinstance(given, Set):
        raise WrongType("labels are a set, which has no order; give a list, or {index: name}")
    try:
        names: list[Any] = list(given)
        if names and all(isinstance(each, tuple) and len(each) == 2 for each in names):
            return _from_mapping(dict(names))
        return tuple(map(printable, names))
    except TypeError:
        raise WrongType(
            f"labels are a {type(given).__name__}; give a list of names, a dict or a file"
        ) from None


def _from_mapping(given: Mapping[Any, Any]) -> tuple[str, ...]:
    pairs = [_pair(key, value) for key, value in given.items()]
    indices = [index for index, _ in pairs]
    if not pairs or min(indices) < 0 or len(set(indices)) < len(pairs):
        raise InvalidArgument(
            f"labels name {len(pairs)} classes by the indices {sorted(indices)[:8]}; give each "
            "class one name, and count from 0"
        )
    if max(indices) > 10 * len(pairs) + 1000:
        raise InvalidArgument(
            f"labels name {len(pairs)} classes, and one of them has the index {max(indices)}; "
            "classes are counted from 0"
        )
    names = dict(pairs)
    return tuple(names.get(index, f"class {index}") for index in range(max(indices) + 1))


def _pair(key: Any, value: Any) -> tuple[int, str]:
    """(index, name): a number is an index before text that looks like one is."""
    for index, name in ((key, value), (value, key)):
        if _is_number(index):
            return int(index), printable(_last(name))
    for index, name in ((key, value), (value, key)):
        if str(index).strip().isdecimal():
            return int(index), printable(_last(name))
    raise InvalidArgument(
        f"labels hold {key!r}: {value!r}, neither {{index: name}} nor {{name: index}}"
    )


def _is_number(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _from_file(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise InvalidArgument(
            f"labels={str(path)!r}: there is no such file; give a list of names, a dict, or a file "
            "(JSON, CSV, or text with a name on each line)"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return _from_json(json.loads(text), path)
        if path.suffix.lower() == ".csv":
            return _from_rows([row for row in csv.reader(text.splitlines()) if row])
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, InvalidArgument):
            raise
        raise InvalidArgument(f"labels: {path} cannot be read as names: {error}") from error
    return _from_text(text, path)


NUMBERED = re.compile(r"(\d+)\s*[\s,;:=]\s*(\S.*)")


def _from_text(text: str, path: Path) -> tuple[str, ...]:
    """A name on each line; or a number and a name on each; or a dict as Python prints it."""
    if text.lstrip().startswith("{"):
        try:
            return _from_mapping(ast.literal_eval(text.strip()))
        except (SyntaxError, ValueError, AttributeError) as error:
            if isinstance(error, InvalidArgument):
                raise
            raise InvalidArgument(f"labels: {path} cannot be read as names: {error}") from error
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    found = [NUMBERED.fullmatch(line) for line in lines]
    counted = {int(match[1]) for match in found if match}
    if lines and counted == set(range(len(lines))):
        return _from_mapping({int(match[1]): match[2] for match in found if match})
    return tuple(map(printable, lines))


def _from_json(held: Any, path: Path) -> tuple[str, ...]:
    """Names in a list, in a dict, or under the keys that model cards have for them."""
    if isinstance(held, Mapping):
        for name in ("id2label", "label2id", "labels", "classes", "categories"):
            if isinstance(held.get(name), (Mapping, list)):
                return _from_json(held[name], path)
        # The ImageNet index that Keras made common: {"0": ["n01440764", "tench"]}.
        return _from_mapping({key: _last(value) for key, value in held.items()})
    if isinstance(held, list) and all(isinstance(name, (str, int)) for name in held):
        return tuple(map(printable, held))
    raise InvalidArgument(f"labels: {path} holds neither a list of names nor a dict of them")


def _last(value: Any) -> Any:
    """The name itself, where the index that Keras made common has an identifier before it."""
    return value[-1] if isinstance(value, (list, tuple)) and value else value


def _from_rows(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Rows of a table: the names alone, or index and name in either order; a header is passed."""
    cells = [[cell.strip() for cell in row] for row in rows]
    if not cells:
        raise InvalidArgument("labels: the file holds no names")
    if all(len(row) == 1 for row in cells):
        return tuple(printable(row[0]) for row in cells[_is_header(cells[0]) :])
    numbers = [k for k in range(len(cells[-1])) if all(_decimal(row, k) for row in cells[1:])]
    called = [k for k in numbers if k < len(cells[0]) and cells[0][k].casefold() in INDICES]
    numbers = called or numbers
    if not numbers:
        raise InvalidArgument(
            "labels: a table of several columns needs one that holds the indices, counted from 0"
        )
    if len(numbers) > 1:
        raise InvalidArgument(
            f"labels: of {len(cells[-1])} columns, {len(numbers)} could hold the indices; call the "
            "one that does 'index', count from 0, and put the name beside it"
        )
    (column,) = numbers
    body = cells if _decimal(cells[0], column) else cells[1:]
    words = [k for k in range(len(cells[-1])) if not all(_decimal(row, k) for row in body)]
    if not words:
        raise InvalidArgument("labels: a table of several columns needs one that holds the names")
    return _from_mapping({int(row[column]): row[words[0]] for row in body})


INDICES = ("index", "id", "idx", "class_id", "class id", "label_id", "class_index", "class index")
HEADERS = ("label", "labels", "name", "names", "class", "classes")


def _is_header(row: Sequence[str]) -> bool:
    """Whether a row says what its column holds: "Class Name"."""
    words = row[0].casefold().replace("_", " ").split()
    return bool(words) and all(word in HEADERS for word in words)


def _decimal(row: Sequence[str], column: int) -> bool:
    return column < len(row) and row[column].isdecimal()


def check_labels(labels: Sequence[str] | None, outputs: int, name: str) -> None:
    """Refuse fewer or more labels than a network has outputs.

    >>> check_labels(None, 1000, "ResNet")
    """
    if labels is None or len(labels) == outputs:
        return
    if outputs == 1 and len(labels) == 2 and labels[0] != "class 0":
        raise InvalidArgument(
            f"2 labels for the single output of {name}: it has one number, and which of "
            f"{labels[0]!r} and {labels[1]!r} a high one speaks for is not known; name that one, "
            f"e.g. labels=[{labels[1]!r}], head='labels'"
        )
    if len(labels) == outputs + 1 and labels[0] == "class 0":
        raise InvalidArgument(
            f"labels name classes 1 to {outputs}, and the {outputs} outputs of {name} are counted "
            "from 0: take one off each index"
        )
    raise InvalidArgument(
        f"{len(labels)} labels for the {outputs} outputs of {name}: give one for each, or "
        "labels=None"
    )


def index_of(wanted: str, labels: Sequence[str] | None, name: str) -> int:
    """The index of a class by its name; by its index as text where no class is called so.

    Raises:
        InvalidArgument: unknown, with the nearest names, or ambiguous.

    >>> index_of("1", ["3", "1"], "Digits"), index_of("1", ["cat", "dog"], "Pets")
    (1, 1)
    """
    exact = [index for index, label in enumerate(labels or ()) if label == wanted]
    found = exact or [i for i, each in enumerate(labels or ()) if _same(each, wanted)]
    if len(found) > 1:
        raise InvalidArgument(f"class {wanted!r} is ambiguous: it names {found}; use an index")
    if found:
        return found[0]
    digits = wanted.removeprefix("-")
    if digits.isascii() and digits.isdecimal():
        return int(wanted) if len(digits) < LONGEST_INDEX else -1
    unnamed = "; it has no labels: use an index, or Network(module, labels=...)"
    near = did_you_mean(wanted, labels) if labels else unnamed
    raise InvalidArgument(f"no class {wanted!r} in {name}{near}")


def _same(label: str, wanted: str) -> bool:
    return label.casefold() == wanted.casefold()
