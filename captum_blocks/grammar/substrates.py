"""What can be looked at: the atoms of a layer.

    Atom  = Neuron | Spatial | Channel | Group | Whole
    Layer = Input | Hidden name | Out

("The Building Blocks of Interpretability", section "The Space of Interpretability Interfaces".)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.grammar.atoms import ATOMS, numbered
from captum_blocks.grammar.selections import Selection, written_as_classes
from captum_blocks.grammar.spec import word

GOALS = ("activation", "gradient", "attribution")


@word
@dataclass(frozen=True)
class Given:
    """An object that is handed over at ``explain(given={name: object})``.

    >>> Given("ig")
    Given(name='ig')
    """

    name: str


@word
@dataclass(frozen=True)
class Grouping:
    """How a layer's channels are grouped.

    Attributes:
        n: how many groups, fitted jointly on the photographs of one explain; a ``Given`` reducer
            that was fitted elsewhere; or a slider.
        algorithm: of ``ChannelReducer``; None takes "nmf" where the layer is non-negative and
            "semi_nmf" where it is signed.
        seed: of the reducer.
        of: what the groups explain: "activation", or the "gradient" or "attribution" of the most
            probable class (the article's three goals).
        align_with: groups of a later layer that these are to be compatible with; or a ``choose``
            of them, which leaves it to the reader.

    >>> Grouping(6, algorithm="semi_nmf").n
    6
    """

    n: int | Given | Selection
    algorithm: str | None = None
    seed: int = 0
    of: str = "activation"
    align_with: Substrate | Selection | None = None

    def __post_init__(self) -> None:
        if self.of not in GOALS:
            raise InvalidArgument(f"of={self.of!r} is none of {', '.join(GOALS)}")
        upper = self.align_with
        if isinstance(upper, Selection) and upper.atom == "alignment":
            upper = upper.options  # type: ignore[assignment]
        if upper is not None and (not isinstance(upper, Substrate) or upper.atom != "group"):
            raise WrongType(f"align_with takes groups of a later layer, not {upper!r}")
        if isinstance(self.n, Selection) and self.n.gesture != "slider":
            raise WrongType(f"the number of groups is a slider's, not {self.n!r}")
        if isinstance(self.n, bool) or not isinstance(self.n, (int, Given, Selection)):
            raise WrongType(f"groups() takes a number, a slider or a Given reducer, not {self.n!r}")
        if isinstance(self.n, int) and self.n < 1:
            raise InvalidArgument(f"{self.n} groups: at least one is needed")
        if not 0 <= self.seed < 2**32:
            raise InvalidArgument(f"seed={self.seed}: a seed is a number from 0 to 2**32 - 1")

    def __repr__(self) -> str:
        """The call that makes such groups."""
        words = [repr(self.n)]
        for name, usual in (
            ("of", "activation"),
            ("align_with", None),
            ("algorithm", None),
            ("seed", 0),
        ):
            held = getattr(self, name)
            words += [] if held == usual else [f"{name}={held!r}"]
        return f"groups({', '.join(words)})"


@word
@dataclass(frozen=True)
class Substrate:
    """The atoms of one layer, all or some of them.

    Attributes:
        layer: where.
        atom: which kind.
        grouping: how groups are made, for the atom "group".
        only: indices of the atoms looked at, for channels and groups; None means all.

    >>> Hidden("layer3").spatial == Substrate(Hidden("layer3"), "spatial")
    True
    """

    layer: Input | Hidden | Out
    atom: str
    grouping: Grouping | None = None
    only: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.atom not in ATOMS:
            raise InvalidArgument(f"no atom {self.atom!r}; there are {', '.join(ATOMS)}")
        if not isinstance(self.layer, (Input, Hidden, Out)):
            raise WrongType(
                f"atoms are of Input(), Hidden(name) or Out(...), not of {self.layer!r}"
            )
        if type(self.layer).__name__ not in ATOMS[self.atom].layers:
            raise InvalidArgument(f"{self.layer!r} has no atom {self.atom!r}")
        if (self.atom == "group") != (self.grouping is not None):
            raise InvalidArgument("groups, and groups alone, need a grouping")
        if self.only is not None:
            self._check_only(self.only)

    def _check_only(self, only: tuple[int, ...]) -> None:
        if not numbered(self.atom) and self.atom != "class":
            raise InvalidArgument(
                f"{self.atom} atoms are not picked by number; use .filter(at=...)"
            )
        if not only:
            raise InvalidArgument("no atom is picked")
        if min(only) < 0:
            raise InvalidArgument(f"atom {min(only)}: atoms are counted from 0")

    def __getitem__(self, index: int | slice | Sequence[int]) -> Substrate:
        """Some of the channels or groups: ``channels[:16]``, ``channels[[3, 5]]``."""
        if not numbered(self.atom):
            raise InvalidArgument(
                f"{self.atom} atoms are not picked by number; use .filter(at=...)"
            )
        if isinstance(index, slice):
            if index.stop is None or min(index.start or 0, index.stop) < 0:
                raise InvalidArgument("a slice of atoms needs an end, counted from the first atom")
            chosen = tuple(range(index.stop)[index])
        else:
            chosen = tuple(int(i) for i in ([index] if hasattr(index, "__index__") else index))  # type: ignore[union-attr, list-item]
        return Substrate(self.layer, self.atom, self.grouping, chosen)

    def __repr__(self) -> str:
        if self.atom == "class":
            return repr(self.layer)
        name = repr(self.grouping) if self.grouping else ATOMS[self.atom].word
        return f"{self.layer!r}.{name}" + (f"[{list(self.only)}]" if self.only else "")


class _Atoms:
    """The atoms every layer with positions has."""

    @property
    def neurons(self) -> Substrate:
        """Every channel at every position."""
        return Substrate(self, "neuron")  # type: ignore[arg-type]

    @property
    def spatial(self) -> Substrate:
        """Every position, all channels together."""
        return Substrate(self, "spatial")  # type: ignore[arg-type]

    @property
    def channels(self) -> Substrate:
        """Every channel, all positions together."""
        return Substrate(self, "channel")  # type: ignore[arg-type]

    @property
    def whole(self) -> Substrate:
        """The layer as one."""
        return Substrate(self, "whole")  # type: ignore[arg-type]

    def atoms(self, name: str) -> Substrate:
        """Its atoms of any kind, also of one that was added from outside (``add_atom``).

        >>> Hidden("layer3").atoms("channel") == Hidden("layer3").channels
        True
        """
        return Substrate(self, name)  # type: ignore[arg-type]


@word
@dataclass(frozen=True)
class Input(_Atoms):
    """The picture as the network takes it.

    Attributes:
        network: which one takes it, where there are several.

    >>> Input().spatial.atom
    'spatial'
    """

    network: str | None = None

    def __repr__(self) -> str:
        return f"Input({'' if self.network is None else f'network={self.network!r}'})"


@word
@dataclass(frozen=True)
class Hidden(_Atoms):
    """A layer by its dotted name; alone it means its neurons.

    Attributes:
        layer: dotted name.
        network: of which it is a layer, where there are several.

    >>> Hidden("layer3").groups(6)
    Hidden('layer3').groups(6)
    >>> Hidden("layer3").channels[:2]
    Hidden('layer3').channels[[0, 1]]
    """

    layer: str
    network: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.layer, str):
            raise WrongType(f"a layer is named, as in 'layer3.1', not {type(self.layer).__name__}")
        _check_network(self.network)

    def groups(
        self,
        n: int | Given | Selection,
        *,
        of: str = "activation",
        align_with: Substrate | Selection | None = None,
        algorithm: str | None = None,
        seed: int = 0,
    ) -> Substrate:
        """Groups of channels that fire together (non-negative matrix factorization).

        Args:
            n: how many, a ``slider``, or a ``Given`` fitted reducer.
            of: what they explain: "activation", or the "gradient" or "attribution" of the most
                probable class.
            align_with: groups of a later layer that these are to be compatible with, or a
                ``choose`` of them.
            algorithm: of ``ChannelReducer``; None chooses by the layer's sign.
            seed: of the reducer.
        """
        return Substrate(self, "group", Grouping(n, algorithm, seed, of, align_with))

    @property
    def tokens(self) -> Substrate:
        """Class and register tokens of a transformer: they have no position."""
        return Substrate(self, "token")

    def __repr__(self) -> str:
        named = "" if self.network is None else f", network={self.network!r}"
        return f"Hidden({self.layer!r}{named})"


@word
@dataclass(frozen=True, init=False)
class Out:
    """Classes of the output, by index or name, or the most probable ones.

    Of several photographs, ``top=`` takes each one's most probable class first, then each one's
    second, until there are so many.

    >>> Out(207, "tiger cat")
    Out(207, 'tiger cat')
    >>> Out(top=2)
    Out(top=2)
    """

    classes: tuple[int | str, ...] = field(default=())
    top: int | None = None
    network: str | None = None

    def __init__(
        self, *classes: int | str, top: int | None = None, network: str | None = None
    ) -> None:
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "top", top)
        object.__setattr__(self, "network", network)
        self.__post_init__()

    def __post_init__(self) -> None:
        for wanted in self.classes:
            if isinstance(wanted, bool) or not isinstance(wanted, (int, str)):
                raise WrongType(f"a class is an index or a name, not {wanted!r}")
        _check_network(self.network)
        if self.classes and self.top is not None:
            raise InvalidArgument("Out takes classes, or top=, not both")
        if self.top is not None and self.top < 1:
            raise InvalidArgument(f"top={self.top}: at least one class is needed")
        if len(set(self.classes)) < len(self.classes):
            raise InvalidArgument(f"a class is named twice in {self.classes}")

    def groups(self, n: int, *, algorithm: str | None = None, seed: int = 0) -> Substrate:
        """Factors of the output: classes that the same source atoms speak for.

        As a target of attribution they factorize the positive part of the attribution to every
        class of this output.

        Args:
            n: how many.
            algorithm: of ``ChannelReducer``; None is "nmf".
            seed: of the reducer.
        """
        return Substrate(self, "group", Grouping(n, algorithm, seed))

    def __repr__(self) -> str:
        said = [repr(wanted) for wanted in self.classes] or [f"top={self.top}"] * bool(self.top)
        said += [] if self.network is None else [f"network={self.network!r}"]
        return f"Out({', '.join(said)})"


def _check_network(network: object) -> None:
    if network is not None and not isinstance(network, str):
        raise WrongType(f"a network is named, as in network='tuned', not {network!r}")


def as_substrate(given: Substrate | Hidden | Input | Out) -> Substrate:
    """A bare hidden or input layer means its neurons, the output its classes.

    >>> as_substrate(Hidden("layer3")) == Hidden("layer3").neurons
    True
    """
    if isinstance(given, Substrate):
        return given
    if isinstance(given, (Hidden, Input)):
        return given.neurons
    if isinstance(given, Out):
        return Substrate(given, "class")
    raise WrongType(
        f"{given!r} is no substrate; take e.g. Hidden('layer3').channels, Input().spatial, Out(207)"
    )


def as_target(given: Substrate | Hidden | Input | Out) -> Substrate:
    """What an attribution goes to: as a substrate; bare indices and names are no classes.

    >>> as_target(Out(207)) == as_substrate(Out(207))
    True
    """
    if classes := written_as_classes(given):
        layer = f", and a layer is Hidden({given!r})" if isinstance(given, str) else ""
        raise WrongType(f"{given!r} is no target by itself: classes takes {classes}{layer}")
    return as_substrate(given)
