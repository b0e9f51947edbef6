"""What presets share: layers by name, and what they show unless told otherwise."""

from __future__ import annotations

from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Given, Hidden, Method, Out, slider

TOP_TWO, TOP_FIVE = Out(top=2), Out(top=5)
FEW = slider(2, 8, value=6, step=2, name="number of groups")
Layer = str | Hidden
How = str | type | Method | Given


def some(layers: tuple[Layer, ...], name: str) -> tuple[Hidden, ...]:
    """The layers of a preset, at least one.

    Raises:
        InvalidArgument: none is named.
    """
    if not layers:
        raise InvalidArgument(f"{name} needs at least one layer; Network.layers() lists them")
    return tuple(hidden(layer) for layer in layers)


def hidden(layer: Layer) -> Hidden:
    """A layer by name, or as the word it is."""
    return layer if isinstance(layer, Hidden) else Hidden(layer)
