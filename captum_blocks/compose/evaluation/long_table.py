"""All numbers of a page as one long table, a row a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from captum_blocks.compose.evaluation.facts import Answered
from captum_blocks.compose.evaluation.positions import POSITIONS
from captum_blocks.compose.evaluation.tables import needed, others
from captum_blocks.compose.evaluation.values import PROBABILITY, Value
from captum_blocks.grammar import Content

# The columns, in order: those that count, and those that name.
COUNTS = ("class_index", "to_index", "to_y", "to_x", "index", "y", "x")
COLUMNS = (
    "content",
    "image",
    "class",
    "class_index",
    "to",
    "to_index",
    "to_y",
    "to_x",
    "atom",
    "index",
    "name",
    "y",
    "x",
    "question",
    "value",
    "unit",
    "remainder",
)
Columns = dict[str, Any]


def long_table(values: Mapping[Content, Value], answered: Answered | None) -> Any:
    """A ``pandas.DataFrame`` of every number, remainder and answer to another question.

    Args:
        values: by content.
        answered: names photographs and classes.

    Returns:
        A row a number, with the columns of ``COLUMNS`` as ``Explanation.to_frame`` explains them.

    Raises:
        MissingDependency: pandas is not installed.
    """
    pandas = needed("pandas", "to_frame")
    parts = [part for content, value in values.items() for part in _parts(content, value, answered)]
    table = {name: _joined(name, parts) for name in COLUMNS}
    frame = pandas.DataFrame(table)
    return frame.astype(dict.fromkeys(COUNTS, "Int64"))


def _joined(name: str, parts: Sequence[Columns]) -> Any:
    """A column of all parts; where a part has none, nothing."""
    nothing = None if name in COUNTS else ""
    cells: list[Any] = []
    for part in parts:
        held, size = part.get(name, nothing), len(part["value"])
        cells += list(held) if isinstance(held, (np.ndarray, list)) else [held] * size
    return np.array(cells, dtype=float if name == "value" else object)


def _parts(content: Content, value: Value, answered: Answered | None) -> Iterator[Columns]:
    """The columns of the numbers of a value, of its other answers, and of its remainders."""
    said = {"content": repr(content), "atom": value.source.atom, "unit": value.unit}
    if value.target is not None and value.target.atom != "class":
        said["to"] = value.target.atom
    picked = _picked(value)
    named = _coordinates(value, value.axes, answered)
    there = {**said, **picked, **named}
    yield {**there, "value": _numbers(value.data)}
    for question, held in others(value).items():
        unit = PROBABILITY if question == PROBABILITY else value.unit
        yield {**there, "question": question, "unit": unit, "value": _numbers(held)}
    leading = value.axes[: 1 + len(value.target_axes)]
    # What is left over lies at no atom.
    targets = {name: place for name, place in picked.items() if name.startswith("to_")}
    common = {**said, **targets, **_coordinates(value, leading, answered)}
    for name, held in value.remainder.items():
        yield {**common, "remainder": name, "value": _numbers(held)}


def _picked(value: Value) -> Columns:
    """The places of axes that are gone, a number each."""
    return {_column(axis): place for axis, place in value.places.items()}


def _column(axis: str) -> str:
    """Where the coordinates of an axis stand.

    >>> [_column(axis) for axis in ("class", "to_y", "x", "to_channel", "group")]
    ['class_index', 'to_y', 'x', 'to_index', 'index']
    """
    if axis in (*POSITIONS, "to_y", "to_x"):
        return axis
    if axis == "class":
        return "class_index"
    return "to_index" if axis.startswith("to_") else "index"


def _coordinates(value: Value, axes: tuple[str, ...], answered: Answered | None) -> Columns:
    """What stands at each number, along these axes, in their order."""
    sizes = [len(value.coords[axis]) for axis in axes]
    grid = np.indices(sizes).reshape(len(axes), -1) if axes else np.zeros((0, 1), int)
    found: Columns = {}
    for axis, places in zip(axes, grid, strict=True):
        at = np.array(value.coords[axis], dtype=object)[places]
        names = value.labels.get(axis)
        own = None if names is None else np.array(names, dtype=object)[places]
        if axis == "image":
            found["image"] = _named(at, own, answered.photographs if answered else ())
            continue
        found[_column(axis)] = at
        if axis == "class":
            found["class"] = _named(at, own, answered.classes if answered else ())
        elif own is not None and not axis.startswith("to_"):
            found["name"] = own
    return found


def _named(at: np.ndarray, own: np.ndarray | None, names: Sequence[str]) -> np.ndarray:
    """Names of their own, else those of these indices, else the indices as text."""
    if own is not None:
        return own
    told = [names[index] if index < len(names) else str(index) for index in at]
    return np.array(told, dtype=object)


def _numbers(held: Tensor) -> np.ndarray:
    return np.asarray(held.detach().cpu().double().flatten().numpy())
