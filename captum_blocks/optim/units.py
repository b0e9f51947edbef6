"""What parts of a network respond to: channels, neurons, directions, classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.optim.checks import (
    check_index,
    check_place,
    check_vector,
    of,
    place,
    set_integer,
    set_rows,
    set_vector,
)
from captum_blocks.optim.naming import OUTPUT
from captum_blocks.optim.objectives import Objective, Seen, Shape, Stored, stored


@dataclass(frozen=True)
class Channel(Objective):
    """Mean activation of one channel over its map.

    Attributes:
        channel: its index; negative counts from the end.
        layer: another layer than the visualizer's, by name.

    >>> Channel(3).label
    'channel 3'
    """

    channel: int
    layer: str | None = None
    lifts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        set_integer(self, "channel")

    @property
    def label(self) -> str:
        """``channel 3``, with its layer where it is not the visualizer's."""
        return f"channel {self.channel}{of(self.layer)}"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse a channel that the layer does not have."""
        check_index("channel", self.channel, shapes, self.layer or default, axis=0)

    def score(self, seen: Seen) -> Tensor:
        """Mean over y and x, (n,)."""
        maps = seen.at(self.layer, self.lifts, lambda maps: maps[:, self.channel])
        return maps.mean((1, 2))

    @classmethod
    def together(cls, objectives: Sequence[Channel]) -> Objective | None:
        """All at once where they are of one layer."""
        layers = {one.layer for one in objectives}
        if len(layers) > 1:
            return None
        return Channels(tuple(one.channel for one in objectives), *layers)


@dataclass(frozen=True)
class Channels(Objective):
    """``Channel`` for a batch: image i is to show channel i of a sequence.

    >>> Channels((3, 7)).n_images
    2
    """

    channels: tuple[int, ...]
    layer: str | None = None
    lifts: ClassVar[bool] = True

    @property
    def n_images(self) -> int:
        """One image per channel."""
        return len(self.channels)

    def score(self, seen: Seen) -> Tensor:
        """Mean over y and x, (n,)."""

        def own(maps: Tensor) -> Tensor:
            return maps[torch.arange(len(maps)), list(self.channels)]

        return seen.at(self.layer, self.lifts, own).mean((1, 2))


@dataclass(frozen=True)
class Neuron(Objective):
    """Activation of one channel at one position.

    Attributes:
        channel: its index.
        y: row of the map, counted from the top; None: the middle.
        x: column of the map, counted from the left; None: the middle.
        layer: another layer than the visualizer's, by name.

    >>> Neuron(3, y=1, x=4).label
    'channel 3 at y=1, x=4'
    """

    channel: int
    y: int | None = None
    x: int | None = None
    layer: str | None = None
    lifts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("channel", "y", "x"):
            set_integer(self, name)

    @property
    def label(self) -> str:
        """``channel 3 at y=1, x=4``."""
        return f"channel {self.channel} {place(self.y, self.x)}{of(self.layer)}"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse a channel or position that the layer does not have."""
        layer = self.layer or default
        check_index("channel", self.channel, shapes, layer, axis=0)
        check_place(self.y, self.x, shapes, layer)

    def score(self, seen: Seen) -> Tensor:
        """The activation, (n,)."""
        return seen.at(
            self.layer, self.lifts, lambda maps: _at_place(maps, self.y, self.x)[:, self.channel]
        )


@dataclass(frozen=True)
class Direction(Objective):
    """How far, and how purely, the activations point in a direction of channel space.

    Mean over positions of ``dot * max(0.1, cosine) ** power`` (Carter et al., Activation Atlas,
    2019): the dot product alone is won by large activations in other directions.

    Attributes:
        vector: one number per channel; any sequence or tensor is stored as a tuple of floats.
        power: weight of the cosine; 0 is the plain dot product.
        layer: another layer than the visualizer's, by name.

    >>> Direction([0.0, 1.0]).vector
    (0.0, 1.0)
    """

    vector: tuple[float, ...]
    power: float = 1.0
    layer: str | None = None
    lifts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        set_vector(self)

    @property
    def label(self) -> str:
        """``direction`` and its layer."""
        return f"direction{of(self.layer)}"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse a direction of another length than the layer has channels."""
        check_vector(self.vector, shapes, self.layer or default)

    def score(self, seen: Seen) -> Tensor:
        """Mean over positions, (n,)."""
        maps = seen.at(self.layer, self.lifts)
        return along(maps, maps.new_tensor(self.vector), self.power).mean((1, 2))

    @classmethod
    def together(cls, objectives: Sequence[Direction]) -> Objective | None:
        """All at once where they are of one layer and power."""
        kinds = {(one.power, one.layer) for one in objectives}
        if len(kinds) > 1:
            return None
        return Directions(stored([one.vector for one in objectives]), *kinds.pop())


@dataclass(frozen=True)
class Directions(Objective):
    """``Direction`` for a batch: image i is to point in direction i.

    Attributes:
        vectors: (n, channel).
        power: weight of the cosine.
        layer: another layer than the visualizer's, by name.

    >>> Directions(torch.eye(3)).n_images
    3
    """

    vectors: Stored
    power: float = 1.0
    layer: str | None = None
    lifts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        set_rows(self, "vectors", "one direction per image, (n, channel)")

    @property
    def label(self) -> str:
        """``directions`` and how many."""
        return f"{self.vectors.shape[0]} directions"

    @property
    def n_images(self) -> int:
        """One image per direction."""
        return self.vectors.shape[0]

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse directions of another length than the layer has channels, and zero ones."""
        layer = self.layer or default
        silent = (self.vectors.like(torch.zeros(())) == 0).all(1).nonzero().flatten().tolist()
        if silent:
            raise InvalidArgument(
                f"direction {silent[0]} of {self.label!r} is zero and points nowhere"
            )
        if self.vectors.shape[1] != shapes[layer][0]:
            raise InvalidArgument(
                f"directions of {self.vectors.shape[1]} numbers for layer {layer!r}, "
                f"which has {shapes[layer][0]} channels"
            )

    def score(self, seen: Seen) -> Tensor:
        """Mean over positions, (n,)."""
        maps = seen.at(self.layer, self.lifts)
        return along(maps, self.vectors.like(maps), self.power).mean((1, 2))


@dataclass(frozen=True)
class NeuronDirection(Objective):
    """``Direction`` at one position; the middle unless told.

    >>> NeuronDirection([0.0, 1.0], y=2, x=3).label
    'direction at y=2, x=3'
    """

    vector: tuple[float, ...]
    y: int | None = None
    x: int | None = None
    power: float = 1.0
    layer: str | None = None
    lifts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        set_vector(self)
        set_integer(self, "y")
        set_integer(self, "x")

    @property
    def label(self) -> str:
        """``direction at y=2, x=3``."""
        return f"direction {place(self.y, self.x)}{of(self.layer)}"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse a direction or position that does not fit the layer."""
        layer = self.layer or default
        check_vector(self.vector, shapes, layer)
        check_place(self.y, self.x, shapes, layer)

    def score(self, seen: Seen) -> Tensor:
        """The score at the position, (n,)."""
        here = seen.at(self.layer, self.lifts, lambda maps: _at_place(maps, self.y, self.x))
        here = here[:, :, None, None]
        return along(here, here.new_tensor(self.vector), self.power)[:, 0, 0]


@dataclass(frozen=True)
class Group(Objective):
    """How strongly a neuron group is active: the coefficient of its direction in the activations.

    Mean over positions of ``dot / |vector|^2``, the least-squares share of a row of
    ``ChannelReducer.components_``.

    Attributes:
        vector: the group's row, one number per channel.
        layer: another layer than the visualizer's, by name.

    >>> Group([0.0, 2.0]).label
    'group'
    """

    vector: tuple[float, ...]
    layer: str | None = None
    lifts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        set_vector(self)

    @property
    def label(self) -> str:
        """``group`` and its layer."""
        return f"group{of(self.layer)}"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse a group of another length than the layer has channels."""
        check_vector(self.vector, shapes, self.layer or default)

    def score(self, seen: Seen) -> Tensor:
        """Mean coefficient, (n,)."""
        maps = seen.at(self.layer, self.lifts)
        vector = maps.new_tensor(self.vector)
        return along(maps, vector / vector.square().sum(), 0).mean((1, 2))


@dataclass(frozen=True)
class ClassLogit(Objective):
    """The network's score of one class, before the softmax.

    Attributes:
        index: of the class.
        layer: where the scores are; the network's output unless told.

    >>> ClassLogit(207).label
    'class 207'
    """

    index: int
    layer: str = OUTPUT
    lifts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        set_integer(self, "index")

    @property
    def label(self) -> str:
        """``class 207``."""
        return f"class {self.index}"

    def check(self, shapes: Mapping[str, Shape], default: str) -> None:
        """Refuse a class that the network does not know."""
        check_index("class", self.index, shapes, self.layer, axis=0)

    def score(self, seen: Seen) -> Tensor:
        """The logit, (n,)."""
        scores = seen.at(self.layer, self.lifts, lambda maps: maps[:, self.index])
        return scores.mean((1, 2))


def along(maps: Tensor, vectors: Tensor, power: float) -> Tensor:
    """``dot * max(0.1, cosine) ** power`` at each position.

    Args:
        maps: (n, channel, y, x).
        vectors: one direction for all, (channel,), or one per image, (n, channel).
        power: of the cosine.

    Returns:
        (n, y, x).
    """
    vectors = vectors.expand(len(maps), -1)
    dot = torch.einsum("nchw,nc->nhw", maps, vectors)
    if power == 0:
        return dot
    cosine = dot / (maps.norm(dim=1) * vectors.norm(dim=1)[:, None, None]).clamp_min(1e-8)
    made: Tensor = dot * cosine.clamp_min(0.1) ** power
    return made


def _at_place(maps: Tensor, y: int | None, x: int | None) -> Tensor:
    """(n, channel, y, x) -> (n, channel)."""
    row = maps.shape[2] // 2 if y is None else y
    column = maps.shape[3] // 2 if x is None else x
    return maps[:, :, row, column]
