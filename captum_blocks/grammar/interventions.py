"""What changes when something is taken away: removals, edits, interactions."""

from __future__ import annotations

from dataclasses import dataclass

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.grammar.operations import Content
from captum_blocks.grammar.spec import word
from captum_blocks.grammar.substrates import (
    Given,
    Hidden,
    Input,
    Out,
    Substrate,
    as_substrate,
    as_target,
)

FILLS = ("zero", "mean", "resample")
EDITS = ("blur",)
SCORES = ("log-odds", "logit")


class Intervention(Content):
    """What really changes when one thing is taken away or edited; single changes do not add up.

    Attributes:
        source: what is taken away or edited, one after the other.
        target: classes of the output.
        fill: what stands in its place.
        score: "log-odds" of a class against all others, or its "logit".

    >>> isinstance(Ablation(Hidden("layer3").channels, Out(207)), Intervention)
    True
    """

    source: Substrate
    target: Substrate
    fill: str | Given
    score: str

    def _check_change(self, name: str, fills: tuple[str, ...]) -> None:
        """Whether there are atoms to change, a known filling, and classes that are scored."""
        if not isinstance(self.source, Substrate) or not isinstance(self.target, Substrate):
            raise WrongType(f"{self.source!r} to {self.target!r} is no {name} of atoms")
        if not isinstance(self.target.layer, Out) or self.target.grouping is not None:
            raise InvalidArgument(
                f"{self.target!r}: what a {name} changes are the scores of classes, as in "
                "Out(207) or Out(top=2)"
            )
        if not isinstance(self.fill, Given) and self.fill not in fills:
            raise InvalidArgument(
                f"fill={self.fill!r} is none of {', '.join(fills)}, and no Given of a tensor"
            )
        if self.score not in SCORES:
            raise InvalidArgument(f"score={self.score!r} is none of {', '.join(SCORES)}")


@word
@dataclass(frozen=True, init=False, repr=False)
class Ablation(Intervention):
    """What really changes when each atom is taken away: the score minus the score without it alone.

    Positive supports the class. Single removals do not add up: atoms can stand in for one another,
    or be needed together.

    Args:
        source: atoms of a hidden layer.
        target: classes of the output.
        fill: what stands in an atom's place: "zero"; "mean", of the atom over the positions;
            "resample", that atom of other photographs; or a tensor given by name.
        score: "log-odds" of the class against all others, or its "logit".
        others: photographs for "resample", given by name; None takes the other photographs that
            are explained together.

    >>> Ablation(Hidden("layer3").channels, Out(top=2), fill="mean").score
    'log-odds'
    """

    source: Substrate
    target: Substrate
    fill: str | Given = "zero"
    score: str = "log-odds"
    others: Given | None = None

    def __init__(
        self,
        source: Substrate | Hidden,
        target: Substrate | Out,
        fill: str | Given = "zero",
        score: str = "log-odds",
        others: Given | None = None,
    ) -> None:
        object.__setattr__(self, "source", as_substrate(source))
        object.__setattr__(self, "target", as_target(target))
        for name, held in (("fill", fill), ("score", score), ("others", others)):
            object.__setattr__(self, name, held)
        self.__post_init__()

    def __post_init__(self) -> None:
        self._check_change("removal", FILLS)
        if not isinstance(self.source.layer, Hidden):
            raise InvalidArgument(f"{self.source!r}: atoms of hidden layers are taken away")
        if self.others is not None and not isinstance(self.others, Given):
            raise WrongType("others= names photographs: Given('name'), with given={'name': [...]}")
        if self.others is not None and self.fill != "resample":
            raise InvalidArgument("others= are the photographs of fill='resample', and of no other")


@word
@dataclass(frozen=True, init=False, repr=False)
class Edit(Intervention):
    """What really changes when a part of the picture is edited: the score minus the score after.

    Positive supports the class. The region of a group is the part of the picture under the places
    that hold half of what the group fires; of a position, under its cell. A layer looks at more of
    the picture than lies under a place, and removing a group's activity in the layer (``Ablation``)
    is another question than editing the picture where it fires. Single edits do not add up.

    Args:
        source: groups or positions of a hidden layer; or ``Input().whole``, the picture as one
            region: what the mask covers, or all of it.
        target: classes of the output.
        fill: "blur" (Gaussian, σ a tenth of the picture's shorter side); or what replaces the
            region, given by name: a tensor of the picture's shape as the network takes it, with a
            number for each channel, or another picture.
        score: "log-odds" of the class against all others, or its "logit".
        mask: of ``Input().whole``, given by name: (rows, columns) of the picture as the network
            takes it, from 0 (stays) to 1 (edited): a tensor, an array or a PIL image.

    >>> Edit(Input().whole, Out("tabby"), mask=Given("face")).fill
    'blur'
    >>> Edit(Hidden("layer4").groups(6), Out(top=2))
    Edit(Hidden('layer4').groups(6), target=Out(top=2))
    """

    source: Substrate
    target: Substrate
    fill: str | Given = "blur"
    score: str = "log-odds"
    mask: Given | None = None

    def __init__(
        self,
        source: Substrate | Hidden,
        target: Substrate | Out,
        fill: str | Given = "blur",
        score: str = "log-odds",
        mask: Given | None = None,
    ) -> None:
        object.__setattr__(self, "source", as_substrate(source))
        object.__setattr__(self, "target", as_target(target))
        for name, held in (("fill", fill), ("score", score), ("mask", mask)):
            object.__setattr__(self, name, held)
        self.__post_init__()

    def __post_init__(self) -> None:
        self._check_change("edit", EDITS)
        whole = isinstance(self.source.layer, Input) and self.source.atom == "whole"
        placed = isinstance(self.source.layer, Hidden) and self.source.atom in ("group", "spatial")
        if not whole and not placed:
            raise InvalidArgument(
                f"{self.source!r} is no region of the picture: groups and positions of a hidden "
                "layer are, as in Hidden('layer3').groups(6) or .spatial, and Input().whole, with "
                "mask=Given('name') for a part of it"
            )
        if self.mask is not None and not isinstance(self.mask, Given):
            raise WrongType("mask= is named: Given('name'), with given={'name': (rows, columns)}")
        if self.mask is not None and not whole:
            raise InvalidArgument(
                f"mask= is the region itself, and {self.source!r} has its own: "
                "Edit(Input().whole, ..., mask=...)"
            )


@word
@dataclass(frozen=True, init=False, repr=False)
class Interaction(Content):
    """How much more two groups of a layer do to a class's logit together than each alone.

    v(all) - v(all but i) - v(all but j) + v(all but i and j), with zero in the place of what is
    taken away and everything else staying: negative where either group can stand in for the other,
    positive where both are needed, zero between a group and itself.

    Args:
        source: groups of a hidden layer; of more than eight the strongest eight.
        target: one class.

    >>> Interaction(Hidden("layer4").groups(6), Out(207))
    Interaction(Hidden('layer4').groups(6), target=Out(207))
    """

    source: Substrate
    target: Substrate

    def __init__(self, source: Substrate, target: Substrate | Out) -> None:
        object.__setattr__(self, "source", as_substrate(source))
        object.__setattr__(self, "target", as_target(target))
        self.__post_init__()

    def __post_init__(self) -> None:
        if not isinstance(self.source, Substrate) or self.source.atom != "group":
            raise WrongType(
                f"interactions are of groups, e.g. layer.groups(6), not {self.source!r}"
            )
        if not isinstance(self.source.layer, Hidden):
            raise InvalidArgument(f"{self.source!r}: groups of hidden layers are taken away")
        plain = isinstance(self.target, Substrate) and self.target.grouping is None
        if not plain or not isinstance(self.target.layer, Out):
            raise InvalidArgument(
                f"{self.target!r}: interactions are about a class, as in Out(207)"
            )
