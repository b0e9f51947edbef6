"""What is known of a network and its photographs once everything is evaluated: data, no module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from captum_blocks.compose.evaluation.exchanged import Exchanged
from captum_blocks.grammar import ATOMS, Hidden, Out, Substrate

Extent = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of a layer's channels.

    Attributes:
        directions: (group, channel).
        fires: (image, group, y, x), in units of the activation.
    """

    directions: Tensor
    fires: Tensor


@dataclass(frozen=True)
class Best:
    """A photograph's most probable class.

    Attributes:
        label: its name.
        number: its probability, or its value where outputs are plain values.
        index: of the class.
    """

    label: str
    number: float
    index: int


@dataclass(frozen=True, eq=False)
class Facts:
    """What whoever draws may know.

    Attributes:
        network: its name.
        weights: where they come from.
        reading: how scores are taken from what the network returns, in words.
        approximations: what changes its gradients, in words; empty for nothing.
        treated: what its preprocessing does to each picture by itself; empty for nothing.
        unit: of its scores.
        classes: names of all classes.
        scores: how each class's score is printed, (photograph, class); empty where it has none.
        best: each photograph's most probable class.
        photographs: their names.
        extent: what part of a photograph the network saw.
        picture: (rows, columns) of the network's input.
        maps: activations by layer, (image, channel, y, x).
        groups: by the substrate that names them, without ``only``.
        shared: by layer and photograph, how much of a few common groups is at each place,
            (group, y, x): where an element asks for pictures drawn together.
        given: the objects that ``Given`` words name.
        around: layers that part of the answer goes around, as tests with exchanged pictures show.
        exchanged: by layer, of those, what happens to the answer with it exchanged; without those
            that cannot be.
    """

    network: str
    weights: str
    reading: str
    approximations: str
    treated: str
    unit: str
    classes: tuple[str, ...]
    scores: tuple[tuple[str, ...], ...]
    best: tuple[Best, ...]
    photographs: tuple[str, ...]
    extent: Extent
    picture: tuple[int, int]
    maps: Mapping[str, Tensor]
    groups: Mapping[Substrate, Groups] = field(default_factory=dict)
    shared: Mapping[tuple[str, int], Tensor] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    around: tuple[Hidden, ...] = ()
    exchanged: Mapping[Hidden, Exchanged] = field(default_factory=dict)

    @property
    def several(self) -> bool:
        """Whether there are several photographs."""
        return len(self.photographs) > 1

    def of_photo(self, image: int | None) -> str:
        """What tells the maps of several photographs apart."""
        return f" in {image}" if image is not None and self.several else ""

    def key(self, source: Substrate, index: int) -> str:
        """The identity of an atom, the same wherever it appears."""
        if source.grouping is not None:
            return f"{place_name(source)}/{source.grouping!r}/{index}"
        return f"{place_name(source)}/{ATOMS[source.atom].identity}/{index}"

    def label(self, source: Substrate, index: int) -> str:
        """An atom's name as printed."""
        if source.atom == "class":
            return self.classes[index]
        return ATOMS[source.atom].label(index)

    def direction(self, source: Substrate, index: int) -> Tensor:
        """A group's direction in channel space, (channel,)."""
        return self.groups[replace(source, only=None)].directions[index]

    def fires(self, source: Substrate) -> Tensor | None:
        """Where a layer's atoms fire, (image, atom, y, x); None for atoms without a place."""
        if not isinstance(source.layer, Hidden):
            return None
        if source.grouping is not None:
            return self.groups[replace(source, only=None)].fires
        kind = ATOMS[source.atom].identity
        return self.maps[source.layer.layer] if kind == "channel" else None


def place_name(source: Substrate) -> str:
    """The layer's name, "input" or "out"."""
    if isinstance(source.layer, Hidden):
        return source.layer.layer
    return "out" if isinstance(source.layer, Out) else "input"
