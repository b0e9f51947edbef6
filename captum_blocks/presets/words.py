"""What presets share: layers by name, and what they show unless told otherwise."""

from __future__ import annotations

from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Given, Hidden, Method, Out, Selection, Substrate, slider
from captum_blocks.grammar.content import DEFAULT_METHOD

TOP_TWO, TOP_FIVE = Out(top=2), Out(top=5)
Layer = str | Hidden
How = str | type | Method | Given
# Of groups: exact, from all their subsets; where that cannot be, as of everything else.
OF_GROUPS = Method("ShapleyValues", otherwise=DEFAULT_METHOD)


def some(layers: tuple[Layer, ...], name: str) -> tuple[Hidden, ...]:
    """The layers of a preset, at least one.

    Raises:
        InvalidArgument: none is named.
    """
    if not layers:
        raise InvalidArgument(f"{name} needs at least one layer; Network.layers() lists them")
    return tuple(hidden(layer) for layer in layers)


def groups_of(layer: Hidden, n: int | Selection | None) -> Substrate:
    """A layer's groups: so many, or a slider of the layer's own.

    Panels that show groups of one layer share its slider.
    """
    if n is None:
        n = slider(2, 8, value=6, step=2, name=f"groups at {layer.layer}")
    return layer.groups(n)


def of_groups(method: How | None) -> How:
    """The method for groups: the one named, or exact Shapley values."""
    return OF_GROUPS if method is None else method


def of_others(method: How | None) -> How:
    """The method for other atoms: the one named, or gradient × activation."""
    return DEFAULT_METHOD if method is None else method


def hidden(layer: Layer) -> Hidden:
    """A layer by name, or as the word it is."""
    return layer if isinstance(layer, Hidden) else Hidden(layer)
