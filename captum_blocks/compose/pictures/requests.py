"""What wants a picture, in plain terms, and what a picture source is asked to draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from captum_blocks.compose.pictures.gallery import Order
from captum_blocks.optim import Channel, ClassLogit, Direction, Objective

# The place of what the network returns: no layer has this name.
ANSWER = ""
# The source that draws the icons of an element that names none.
USUAL = "optimized"
Kind = Literal["channel", "group", "spatial", "class"]


@dataclass(frozen=True, eq=False)
class Subject:
    """An atom that wants a picture.

    Attributes:
        key: its identity on the page, e.g. "bn2/channel/7"; a picture is found under it.
        label: its name as printed.
        layer: dotted name; ``ANSWER`` for what the network returns.
        kind: what it is: a channel, a group of channels, a position, or a class.
        index: which one, counted row by row for positions.
        direction: (channel,); of a group its direction in channel space, of a position its
            activation vector.
        shares: (group,), how much of each group that positions share is at this one.
        fires: (y, x), where it fires in the photograph.
        image: the photograph that ``direction``, ``shares`` and ``fires`` are of.
        extra: what an optimized picture of it shall also satisfy.
        instead: what an optimized picture of it maximises, where that is not all of the atom.
        weight: how much it is seen, in any unit of its own element; at least 0.
        at_once: whether it is seen before the reader acts.

    >>> Subject("bn2/channel/7", "bn2 : 7", "bn2", "channel", 7).at_once
    False
    """

    key: str
    label: str
    layer: str
    kind: Kind
    index: int
    direction: Tensor | None = None
    shares: Tensor | None = None
    fires: Tensor | None = None
    image: int | None = None
    extra: Objective | None = None
    instead: Objective | None = None
    weight: float = 1.0
    at_once: bool = False


@dataclass(frozen=True, eq=False)
class Request:
    """Pictures that a source draws at one go: of one subject, or of several together.

    Attributes:
        source: name of the picture source.
        subjects: what it pictures, of one layer; of several, all are drawn or none.
        label: its name as printed; the subject's own unless given.
        order: of a data set, which photographs.

    >>> seven = channel_subject("bn2", 7)
    >>> Request("optimized", (seven,)).keys, Request("optimized", (seven,)).label
    (('bn2/channel/7',), 'bn2 : 7')
    """

    source: str
    subjects: tuple[Subject, ...]
    label: str = ""
    order: Order | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.label or self.subjects[0].label)

    @property
    def keys(self) -> tuple[str, ...]:
        """The identities of its subjects on the page."""
        return tuple(subject.key for subject in self.subjects)

    @property
    def layer(self) -> str:
        """The layer of its subjects."""
        return self.subjects[0].layer


def channel_subject(layer: str, channel: int) -> Subject:
    """One channel of a layer."""
    label = f"{layer} : {channel}"
    return Subject(f"{layer}/channel/{channel}", label, layer, "channel", channel)


def group_subject(key: str, layer: str, group: int, direction: Tensor) -> Subject:
    """A group: its direction in channel space."""
    label = f"{layer} / group {group + 1}"
    return Subject(key, label, layer, "group", group, direction)


def place_subject(key: str, layer: str, place: tuple[int, int], maps: Tensor) -> Subject:
    """A position of a layer.

    Args:
        key: its identity on the page.
        layer: dotted name.
        place: its row and column.
        maps: the layer's activation, (channel, y, x).
    """
    y, x = place
    label = f"{layer} at row {y + 1}, column {x + 1}"
    return Subject(key, label, layer, "spatial", y * maps.shape[-1] + x, maps[:, y, x])


def class_subject(key: str, index: int, label: str) -> Subject:
    """A class of the network."""
    return Subject(key, label, ANSWER, "class", index)


def objective_of(subject: Subject) -> Objective:
    """What a picture of a subject maximises.

    >>> objective_of(channel_subject("bn2", 7)).label
    'channel 7'
    """
    if subject.instead is not None:
        own = subject.instead
    elif subject.direction is not None:
        own = Direction(direction_of(subject.direction))
    else:
        own = (ClassLogit if subject.kind == "class" else Channel)(subject.index)
    return own if subject.extra is None else own + subject.extra


def direction_of(vector: Tensor) -> tuple[float, ...]:
    """A vector in channel space as data, its largest entry one.

    Rounded, so that another number of threads does not make another icon of it.
    """
    unit = vector / vector.abs().max().clamp_min(1e-12)
    return tuple(round(value, 4) for value in unit.tolist())
