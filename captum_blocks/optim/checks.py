"""What a layer can give: arguments of objectives, read and refused in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.optim.objectives import Objective, Shape, Stored, stored


def of(layer: str | None) -> str:
    """`` of layer`` where a layer is named."""
    return f" of {layer}" if layer else ""


def place(y: int | None, x: int | None) -> str:
    """A position in words."""
    if y is None and x is None:
        return "in the middle"
    return f"at y={'middle' if y is None else y}, x={'middle' if x is None else x}"


def set_integer(objective: Objective, name: str) -> None:
    """Store an integer field as a plain int."""
    value = getattr(objective, name)
    if value is None:
        return
    try:
        object.__setattr__(objective, name, int(value.__index__()))
    except AttributeError:
        raise WrongType(
            f"{type(objective).__name__}: {name} is an integer, not {value!r}"
        ) from None


def set_vector(objective: Objective) -> None:
    """Store the field ``vector`` as a tuple of floats."""
    given: Iterable[Any] = objective.vector  # type: ignore[attr-defined]
    if isinstance(given, Tensor):
        given = given.detach().cpu().flatten().tolist()
    vector = tuple(float(value) for value in given)
    if not any(vector):
        raise InvalidArgument(f"{type(objective).__name__}: the vector is zero and points nowhere")
    object.__setattr__(objective, "vector", vector)


def set_rows(owner: object, name: str, what: str) -> None:
    """Store a field of rows as frozen data."""
    given = getattr(owner, name)
    rows = given if isinstance(given, Stored) else stored(given)
    if len(rows.shape) != 2 or 0 in rows.shape:
        raise InvalidArgument(f"{type(owner).__name__}: {name} of shape {rows.shape}; give {what}")
    object.__setattr__(owner, name, rows)


def check_index(what: str, index: int, shapes: Mapping[str, Shape], layer: str, axis: int) -> None:
    """Refuse an index that a layer does not have."""
    size = shapes[layer][axis]
    if not -size <= index < size:
        raise InvalidArgument(
            f"{what} {index} of layer {layer!r}: it has {size}, so 0 to {size - 1}"
        )


def check_place(y: int | None, x: int | None, shapes: Mapping[str, Shape], layer: str) -> None:
    """Refuse a row or column that a layer does not have."""
    for what, index, axis in (("row y =", y, 1), ("column x =", x, 2)):
        if index is not None:
            check_index(what, index, shapes, layer, axis)


def check_vector(vector: Sequence[float], shapes: Mapping[str, Shape], layer: str) -> None:
    """Refuse a direction of another length than a layer has channels."""
    if len(vector) != shapes[layer][0]:
        raise InvalidArgument(
            f"a direction of {len(vector)} numbers for layer {layer!r}, "
            f"which has {shapes[layer][0]} channels"
        )
