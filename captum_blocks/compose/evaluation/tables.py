"""A value as the tables and labelled arrays of other libraries, none of which has to be there."""

from __future__ import annotations

from importlib import import_module
from itertools import product
from typing import TYPE_CHECKING, Any

from torch import Tensor

from captum_blocks.errors import MissingDependency

if TYPE_CHECKING:
    from captum_blocks.compose.evaluation.values import Value

# The ends of a range are told in one sentence; in a table each has a name of its own.
LOW, UP = "95 % from", "up to"
ALONE_AS = {"to": "in other fits to", UP: "95 % up to"}


def others(value: Value) -> dict[str, Tensor]:
    """The answers to other questions about the same atoms, by what a table calls the questions."""
    return {ALONE_AS.get(name, name): held for name, held in value.also.items()}


def to_frame(value: Value) -> Any:
    """A long ``pandas.DataFrame``: a row a number, remainders as rows too.

    Answers to other questions about the same atoms (``also``) are columns by their names, beside
    "value"; of remainders there are none.

    Raises:
        MissingDependency: pandas is not installed.
    """
    pandas = needed("pandas", "to_frame")
    rows = _rows(value, value.axes, value.data.flatten().tolist())
    for name, held in others(value).items():
        for row, number in zip(rows, held.flatten().tolist(), strict=True):
            row[name] = number
    for name, held in value.remainder.items():
        rows += _rows(value, _leading(value), held.flatten().tolist(), remainder=name)
    return pandas.DataFrame(rows)


def _rows(
    value: Value, axes: tuple[str, ...], numbers: list[float], **said: str
) -> list[dict[str, Any]]:
    places = product(*(value.coords[axis] for axis in axes))
    return [
        {**dict(zip(axes, place, strict=True)), **said, "value": number}
        for place, number in zip(places, numbers, strict=True)
    ]


def to_xarray(value: Value) -> Any:
    """An ``xarray.Dataset``: "value" along the axes, and each remainder along image and target.

    Coordinates are those of the axes; names of places, such as those of factors, stand beside them
    as "to_group_label"; of an axis of which one place was picked, a coordinate without an axis
    says which. Attributes are what the numbers are of, and on each variable its ``units``.

    Raises:
        MissingDependency: xarray is not installed.
    """
    xarray = needed("xarray", "to_xarray")
    labels = {f"{axis}_label": (axis, list(names)) for axis, names in value.labels.items()}
    coords = {axis: list(value.coords[axis]) for axis in value.axes}
    unit, leading = {"units": value.unit}, _leading(value)
    numbers = {"value": (value.axes, value.data.numpy().copy(), unit)}
    rest = {name: (leading, held.numpy().copy(), unit) for name, held in value.remainder.items()}
    return xarray.Dataset(
        {**numbers, **rest},
        coords={**value.places, **coords, **labels},
        attrs={
            "source": repr(value.source),
            "target": "" if value.target is None else repr(value.target),
            "notes": "; ".join(value.notes),
        },
    )


def _leading(value: Value) -> tuple[str, ...]:
    return value.axes[: 1 + len(value.target_axes)]


def needed(package: str, method: str) -> Any:
    """A package that need not be there.

    Args:
        package: its name.
        method: what needs it.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingDependency(f"{method} needs {package}: pip install {package}") from error
