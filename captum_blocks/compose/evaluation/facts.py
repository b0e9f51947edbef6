"""What is known of a network and its photographs once everything is evaluated: data, no module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from captum_blocks.grammar import ATOMS, Ablation, Attribution, Hidden, Out, Substrate
from captum_blocks.numerals import count
from captum_blocks.reliability import AttributionCheck, AttributionLevel

Extent = tuple[float, float, float, float]
# How the sentence begins that says so of channels taken away together.
NONE_STAND_OUT = "no few single channels stand out"


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of a layer's channels.

    Attributes:
        directions: (group, channel).
        fires: (image, group, y, x), in units of the activation.
        unexplained: (image,), the share of the activation's norm that is in no group.
    """

    directions: Tensor
    fires: Tensor
    unexplained: Tensor


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
class Answered:
    """What the network answered, all of it.

    Attributes:
        photographs: their names.
        classes: names of all classes, by index.
        scores: (image, class), as the network gave them.
        unit: of the scores: "logit", "output" or "probability".
        probabilities: (image, class); None where outputs are plain values.

    >>> import torch
    >>> Answered(("cat.jpg",), ("age",), torch.ones(1, 1), "output").probabilities is None
    True
    """

    photographs: tuple[str, ...]
    classes: tuple[str, ...]
    scores: Tensor
    unit: str
    probabilities: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Changes:
    """How answers differ from what they were, one number a photograph and other picture.

    Attributes:
        score: (image, other), change of the score of the image's top class.
        every: (image, other), mean absolute change over all outputs of the network; None where
            there is one only.
        top: (image, other), whether the image's top class is the answer; None where outputs are
            values, or there is one only.

    >>> import torch
    >>> Changes(torch.tensor([[-0.5, 0.0]])).score.mean()
    tensor(-0.2500)
    """

    score: Tensor
    every: Tensor | None = None
    top: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Exchanged:
    """A layer that part of the answer goes around, exchanged whole between pictures.

    Attributes:
        labels: of each photograph, the name of its top class.
        unit: of the scores: "log-odds" (of a label that stands for itself, its logit), "output" or
            "probability".
        every: what all outputs are: "logit", "output" or "probability".
        made_up: whether the other pictures are no photographs.
        taken: each photograph's answer, with the layer's output taken from each other picture.
        put: each other picture's answer, with the photograph's output of the layer put into it.
        before: (image, other), whether the photograph's top class was the other's answer before;
            None where ``put.top`` is.

    >>> import torch
    >>> same = Changes(torch.zeros(1, 8))
    >>> Exchanged(("age",), "output", "output", True, same, same).others
    8
    """

    labels: tuple[str, ...]
    unit: str
    every: str
    made_up: bool
    taken: Changes
    put: Changes
    before: Tensor | None = None

    @property
    def others(self) -> int:
        """How many other pictures there are for each photograph."""
        return self.taken.score.shape[1]


@dataclass(frozen=True, eq=False)
class Fit:
    """An attribution beside what single removals of its atoms take from one score.

    Attributes:
        score: which: "log-odds", "logit", "output" or "probability".
        correlation: (image, class), the rank correlation; NaN where all atoms are equal in either.
        shared: (image, class), how many of the strongest atoms are the same.
    """

    score: str
    correlation: Tensor
    shared: Tensor


@dataclass(frozen=True, eq=False)
class Holding:
    """How well an attribution holds when its atoms are taken away one by one.

    Attributes:
        content: the attribution, of all atoms of the layer.
        removal: what it is compared with.
        by: the name of its method where the content leaves it open.
        atoms: how many there are.
        k: how many of the strongest are compared; 0 of a few atoms.
        classes: the classes that are compared.
        fits: one a score; empty where nothing is compared.
        missing: why not: "neurons", "long" or "fixed"; empty otherwise.
    """

    content: Attribution
    removal: Ablation | None = None
    by: str = ""
    atoms: int = 0
    k: int = 0
    classes: tuple[int, ...] = ()
    fits: Sequence[Fit] = ()
    missing: str = ""


@dataclass(frozen=True, eq=False)
class Weighed:
    """An attribution beside other methods, removal, and itself where nothing is learned.

    Attributes:
        content: the attribution, of all atoms of the layer.
        level: "clear", "doubtful", "refuted" or "unknown".
        phrase: the same in plain English: "agrees with removal".
        why: the numbers that it is said by, or what is missing.
        by: the name of its method where the content leaves it open.
        unit: of the numbers.
        coords: what stands at each place of the axes of ``methods``: images, classes, atoms.
        methods: by name, the numbers of each method, (image, class, *atom), its own first; empty
            where nothing is compared.
        check: what comes of it; None where nothing is compared. Atoms are in one axis there.
    """

    content: Attribution
    level: AttributionLevel
    phrase: str
    why: str
    by: str = ""
    unit: str = ""
    coords: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    methods: Mapping[str, Tensor] = field(default_factory=dict)
    check: AttributionCheck | None = None

    @property
    def named(self) -> str:
        """Atoms and layer: "6 groups of layer4"."""
        source, groups = self.content.source, self.coords.get("group")
        atoms = ATOMS[source.atom].plural if groups is None else count(len(groups), "group")
        return f"{atoms} of {place_name(source)}"


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
        names: of groups, where the reader gave some.
        exchanged: by layer, of those, what happens to the answer with it exchanged; without those
            that cannot be.
        answered: all answers, as numbers; None where nobody asks.
        holding: how well attributions to classes hold, by attribution; without those of which
            nothing is to be said.
        weighed: how far each attribution to classes is to be believed.
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
    names: Mapping[Substrate, tuple[str, ...]] = field(default_factory=dict)
    exchanged: Mapping[Hidden, Exchanged] = field(default_factory=dict)
    answered: Answered | None = None
    holding: Mapping[Attribution, Holding] = field(default_factory=dict)
    weighed: Mapping[Attribution, Weighed] = field(default_factory=dict)

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
        if source.grouping is not None and replace(source, only=None) in self.names:
            return self.names[replace(source, only=None)][index]
        return ATOMS[source.atom].label(index)

    def short(self, source: Substrate) -> str:
        """The end of the layer's dotted name that no other layer here has: "bn2", "5.0.bn1"."""
        name = place_name(source)
        parts = name.split(".")
        others = [other.split(".") for other in self.maps if other != name]
        for kept in range(1, len(parts)):
            if not any(other[-kept:] == parts[-kept:] for other in others):
                return ".".join(parts[-kept:])
        return name

    def direction(self, source: Substrate, index: int) -> Tensor:
        """A group's direction in channel space, (channel,)."""
        return self.groups[replace(source, only=None)].directions[index]

    def unexplained(self, source: Substrate) -> list[float]:
        """Of each photograph, the share of the activation's norm that is in no group."""
        return self.groups[replace(source, only=None)].unexplained.tolist()  # type: ignore[no-any-return]

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
