"""The one table of atoms: what a layer can be taken apart into, and how each kind is spoken of.

    Atom = Neuron | Spatial | Channel | Group | Whole

("The Building Blocks of Interpretability", section "The Space of Interpretability Interfaces".)
Everything else that has to know an atom's axes, name or plural looks here.
"""

from __future__ import annotations

from dataclasses import dataclass

from captum_blocks.errors import InvalidArgument


@dataclass(frozen=True)
class Atom:
    """A kind of atom.

    Attributes:
        name: as in ``Substrate(layer, name)``.
        word: of layers: ``Hidden("layer3").channels``.
        plural: as printed.
        axes: names of the axes that count its atoms.
        picked_by: the axes by which a selection picks one of them; none: nobody selects them.
        layers: the words of the layers that have such atoms.
        numbered: whether some are picked by number, as in ``channels[:16]``.
        places: whether each of its numbers comes from places, so that there is a map of it.
        printed: what one of them is called, with its number in braces.
        first: the number of the first one as printed.
        shown_as: the kind of atom whose picture and map stand for it; itself unless given.
        heading: over a panel of them; the plural unless given.
        activation: what its activation is, in words.
        summed: over what its attribution is summed.
        score: the number of it that an attribution to it goes to.

    >>> ATOMS["channel"].axes, ATOMS["spatial"].plural, ATOMS["group"].label(2)
    (('channel',), 'positions', 'group 3')
    """

    name: str
    word: str
    plural: str
    axes: tuple[str, ...]
    picked_by: tuple[str, ...] = ()
    layers: tuple[str, ...] = ("Input", "Hidden")
    numbered: bool = False
    places: bool = False
    printed: str = ""
    first: int = 0
    shown_as: str = ""
    heading: str = ""
    activation: str = ""
    summed: str = ""
    score: str = ""

    def label(self, index: int) -> str:
        """One of them as printed."""
        return (self.printed or f"{self.name} {{}}").format(index + self.first)

    @property
    def identity(self) -> str:
        """The kind of atom that it is recognised by on a page."""
        return self.shown_as or self.name

    @property
    def title(self) -> str:
        """Over a panel of them."""
        return self.heading or self.plural.capitalize()


ATOMS: dict[str, Atom] = {}


def add_atom(atom: Atom) -> Atom:
    """Make a kind of atom known to the grammar.

    What its activation and its attribution are is added to the engines:
    ``captum_blocks.attr.sums`` and ``captum_blocks.compose.pools``.

    Raises:
        InvalidArgument: there is another one of that name.

    >>> add_atom(ATOMS["channel"]) is ATOMS["channel"]
    True
    """
    if ATOMS.setdefault(atom.name, atom) != atom:
        raise InvalidArgument(f"there is another atom {atom.name!r}: {ATOMS[atom.name]}")
    return atom


def numbered(name: str) -> bool:
    """Whether atoms of a kind are picked by number.

    >>> numbered("group"), numbered("spatial")
    (True, False)
    """
    return ATOMS[name].numbered


def plural(name: str) -> str:
    """Atoms of a kind, or places of an axis, in words.

    >>> plural("class"), plural("y")
    ('classes', 'y')
    """
    return ATOMS[name].plural if name in ATOMS else name


def selectable() -> tuple[str, ...]:
    """The kinds of atoms that a reader can select.

    >>> "spatial" in selectable(), "whole" in selectable()
    (True, False)
    """
    return tuple(name for name, atom in ATOMS.items() if atom.picked_by)


add_atom(
    Atom(
        "neuron",
        "neurons",
        "neurons",
        ("channel", "y", "x"),
        places=True,
        printed="channel {}",
        shown_as="channel",
        activation="each channel's activation at one position",
        summed="neuron by neuron",
        score="each neuron",
    )
)
add_atom(
    Atom(
        "spatial",
        "spatial",
        "positions",
        ("y", "x"),
        picked_by=("y", "x"),
        places=True,
        heading="Places",
        activation="length (L2 norm) of the activation vector at each position",
        summed="summed over channels",
        score="the length of each position's activation vector",
    )
)
add_atom(
    Atom(
        "channel",
        "channels",
        "channels",
        ("channel",),
        picked_by=("channel",),
        numbered=True,
        places=True,
        activation="mean over positions",
        summed="summed over positions",
        score="each channel's sum over positions",
    )
)
add_atom(
    Atom(
        "group",
        "groups",
        "groups",
        ("group",),
        picked_by=("group",),
        layers=("Hidden", "Out"),
        numbered=True,
        places=True,
        first=1,
        activation="score × length of the group's direction, mean over positions",
        summed="summed over each group's part of the activation",
        score="the projection on each group's direction",
    )
)
add_atom(
    Atom(
        "whole",
        "whole",
        "layers",
        (),
        printed="the whole layer",
        heading="The whole layer",
        activation="length (L2 norm) of the whole layer's activation",
        summed="summed over the layer",
        score="the length of the activation",
    )
)
add_atom(
    Atom(
        "token",
        "tokens",
        "tokens",
        ("token",),
        layers=("Hidden",),
        activation="length (L2 norm) of each token",
        summed="summed over channels",
        score="the length of each token",
    )
)
add_atom(
    Atom(
        "class",
        "classes",
        "classes",
        ("class",),
        picked_by=("class",),
        layers=("Out",),
        activation="the class's logit",
        score="the class's score, before any softmax",
    )
)
