"""Which pictures the elements of an interface ask for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from captum_blocks.optim import Channel, ClassLogit, Direction, Objective

# The place of what the network returns: no layer has this name.
ANSWER = ""


@dataclass(frozen=True)
class IconRequest:
    """An icon that some element would like to show.

    Attributes:
        key: the atom's identity on the page, e.g. "bn2/group/2".
        layer: dotted name; ``ANSWER`` for what the network returns.
        objective: what the icon maximises.
        label: its name as printed.

    >>> from captum_blocks.optim import Channel
    >>> IconRequest("bn2/channel/7", "bn2", Channel(7), "bn2 : 7").objective.label
    'channel 7'
    """

    key: str
    layer: str
    objective: Objective
    label: str


@dataclass(frozen=True, eq=False)
class MosaicRequest:
    """The pictures of all positions of a layer, drawn together.

    Attributes:
        keys: identities of the positions on the page, row by row.
        layer: dotted name.
        vectors: (position, channel), the activation vectors.
        groups: (position, group), how strongly each group is present: what neighbours share.
    """

    keys: tuple[str, ...]
    layer: str
    vectors: Tensor
    groups: Tensor


class Wanted:
    """Icon requests with how much each would be seen, and mosaics.

    >>> wanted = Wanted()
    >>> wanted.add(channel_request("bn2", 7), weight=1.0)
    >>> [request.key for request in wanted.chosen(each=4)]
    ['bn2/channel/7']
    """

    def __init__(self) -> None:
        self.mosaics: dict[str, MosaicRequest] = {}
        self.elements = 0
        self.requests: dict[str, IconRequest] = {}
        self.weight: dict[str, float] = defaultdict(float)
        self.at_once: set[str] = set()

    def add(self, request: IconRequest, weight: float, at_once: bool = False) -> None:
        """Ask for an icon once more, or for the first time.

        Args:
            request: the icon.
            weight: how much it is seen.
            at_once: it is seen before the reader acts, so it is made before others.
        """
        self.requests[request.key] = request
        self.weight[request.key] += weight
        if at_once:
            self.at_once.add(request.key)

    def join(self, other: Wanted) -> None:
        """Take over what another element wants; each element counts the same."""
        self.mosaics.update(other.mosaics)
        self.elements += not self.requests.keys() >= other.requests.keys()
        total = sum(other.weight.values()) or 1.0
        for key, request in other.requests.items():
            self.add(request, other.weight[key] / total, key in other.at_once)

    def chosen(self, each: int) -> list[IconRequest]:
        """The most wanted requests: on average so many for each element that wants new ones."""
        budget = each * max(self.elements, 1)
        ranked = sorted(
            self.requests, key=lambda key: (key not in self.at_once, -self.weight[key], key)
        )
        return [self.requests[key] for key in ranked[:budget]]

    def coverage(self, keys: Iterable[str]) -> float:
        """The share of all weight that these icons carry."""
        total = sum(self.weight.values())
        return sum(self.weight[key] for key in keys) / total if total else 1.0


def channel_request(layer: str, channel: int) -> IconRequest:
    """The icon of one channel."""
    return IconRequest(
        f"{layer}/channel/{channel}", layer, Channel(channel), f"{layer} : {channel}"
    )


def group_request(key: str, layer: str, group: int, direction: Tensor) -> IconRequest:
    """The icon of a group: its direction in channel space."""
    objective = Direction(direction_of(direction))
    return IconRequest(key, layer, objective, f"{layer} / group {group + 1}")


def place_request(key: str, layer: str, vector: Tensor) -> IconRequest:
    """The icon of a position: the direction of its activation vector, (channel,)."""
    return IconRequest(key, layer, Direction(direction_of(vector)), place_label(layer, key))


def class_request(key: str, index: int, label: str) -> IconRequest:
    """The icon of a class: what raises its logit."""
    return IconRequest(key, ANSWER, ClassLogit(index), label)


def direction_of(vector: Tensor) -> tuple[float, ...]:
    """A vector in channel space as data, its largest entry one.

    Rounded, so that another number of threads does not make another icon of it.
    """
    unit = vector / vector.abs().max().clamp_min(1e-12)
    return tuple(round(value, 4) for value in unit.tolist())


def place_label(layer: str, key: str) -> str:
    """The name of a position, from its key.

    >>> place_label("bn2", "bn2/spatial/0,6")
    'bn2 at row 1, column 7'
    """
    row, column = (int(part) for part in key.rsplit("/", 1)[1].split(","))
    return f"{layer} at row {row + 1}, column {column + 1}"
