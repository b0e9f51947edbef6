"""How content is shown, and how shown things stand together.

Element   = InfoVis Content | FeatureVis Content
Interface = [Element]
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from captum_blocks.errors import InvalidArgument, UnknownName, WrongType, did_you_mean
from captum_blocks.grammar.content import Activation
from captum_blocks.grammar.datasets import OPTIMIZED, By, Dataset, check_crops, checked_by
from captum_blocks.grammar.operations import Content
from captum_blocks.grammar.selections import Selection, toggle
from captum_blocks.grammar.spec import call, from_json, to_json, word
from captum_blocks.grammar.substrates import Given, Hidden, Input, Out, Substrate, as_target

Arrangement = Literal["one", "beside", "below"]


# The names of marks; ``compose`` draws them, and adds to them what others register.
MARK_NAMES = [
    "overlay",
    "heatmap",
    "multiples",
    "bars",
    "table",
    "matrix",
    "histogram",
    "sankey",
]


def name_mark(name: str) -> None:
    """Make a mark's name known to ``InfoVis``; ``captum_blocks.compose.mark`` draws it.

    >>> name_mark("bars")
    >>> "bars" in MARK_NAMES
    True
    """
    if name not in MARK_NAMES:
        MARK_NAMES.append(name)


# The names of what draws icons, besides None for the usual; ``compose`` adds what others register.
RECIPE_NAMES = ["shared", "optimized"]


def name_recipe(name: str) -> None:
    """Make a recipe's name known to ``FeatureVis``; ``compose.picture_source`` draws it.

    >>> name_recipe("shared")
    >>> "shared" in RECIPE_NAMES
    True
    """
    if name not in RECIPE_NAMES:
        RECIPE_NAMES.append(name)


class _Composable:
    """``|`` puts beside, ``&`` puts below and binds tighter."""

    def __repr__(self) -> str:
        """The call that makes it; what is as usual is left out."""
        return call(self)

    def __or__(self, other: Element | Interface) -> Interface:
        return _join(self, other, "beside")

    def __and__(self, other: Element | Interface) -> Interface:
        return _join(self, other, "below")


class _Linked(_Composable):
    """What both kinds of elements have: selections that pointing at them changes, or marks."""

    sets: Selection | tuple[Selection, ...] | None
    highlights: Selection | None
    beside: Content | None

    @property
    def changes(self) -> tuple[Selection, ...]:
        """The selections that pointing at it changes, none or several."""
        if self.sets is None:
            return ()
        return self.sets if isinstance(self.sets, tuple) else (self.sets,)

    def _check_links(self) -> None:
        if self.beside is not None and not isinstance(self.beside, Content):
            raise WrongType(
                f"beside= takes a content such as Attribution(...), not {self.beside!r}"
            )
        several = self.sets if isinstance(self.sets, (list, tuple)) else self.changes
        for link in (*several, *(() if self.highlights is None else (self.highlights,))):
            if not isinstance(link, Selection):
                raise WrongType(
                    f"elements are linked by selections such as hover('channel'), not {link!r}"
                )
        # One selection is written without brackets, however it was given.
        distinct = tuple(dict.fromkeys(several))
        alone = distinct[0] if distinct else None
        object.__setattr__(self, "sets", distinct if len(distinct) > 1 else alone)


@word
@dataclass(frozen=True, repr=False)
class InfoVis(_Linked):
    """Numbers drawn as numbers.

    Attributes:
        content: what is drawn.
        mark: "overlay" (maps on the photograph), "heatmap" (maps on an empty sheet), "multiples"
            (one small photograph an atom, each under its map), "bars", "table" (printed numbers),
            "matrix" (coloured cells: atoms by targets), "histogram" (how often which number
            occurs), or "sankey" (flows from the atoms of one layer to those of a later one).
        sets: the selection that pointing at it changes, or several, e.g. one that follows the
            pointer and one that waits for a click; the first says where they start.
        highlights: the selection whose state is marked in it.
        title, caption: short name, and one sentence on how to read it.
        beside: other numbers of the same atoms, a tick on each bar: what a method says beside what
            a removal does. The mark "bars" draws them.

    >>> from captum_blocks.grammar import Attribution, Out
    >>> InfoVis(Attribution(Hidden("layer3").spatial, Out(207)), mark="overlay").mark
    'overlay'
    """

    content: Content
    mark: str = "bars"
    sets: Selection | tuple[Selection, ...] | None = None
    highlights: Selection | None = None
    title: str = ""
    caption: str = ""
    beside: Content | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.content, Content):
            raise WrongType(
                f"InfoVis draws a content such as Activation(...), not {self.content!r}"
            )
        if self.mark not in MARK_NAMES:
            hint = did_you_mean(str(self.mark), MARK_NAMES)
            raise UnknownName(f"no mark {self.mark!r} among {', '.join(MARK_NAMES)}{hint}")
        self._check_links()


@word
@dataclass(frozen=True, repr=False)
class FeatureVis(_Linked):
    """Atoms drawn as icons: optimized pictures of what they look for.

    Attributes:
        content: what is drawn; a bare substrate means its activation.
        sets, highlights: as in ``InfoVis``.
        objective: a ``Given`` objective that is added to each atom's own, for icons that also
            satisfy it.
        recipe: "shared" draws the positions of a layer together, with the layer's groups as common
            ground: the article's activation grid, many times faster than one by one. None, or
            "optimized", draws each alone. Others are added with ``compose.picture_source``.
        scale_by: "magnitude" makes an icon's area follow its number, for positions.
        colour_by: a content whose maps are laid over the pictures of positions, e.g. what each
            place said for the ``Out().groups(2)``: the article's spatial attribution.
        arrangement: "rows", an icon a line with its map and bars beside it; "tiles", icons side
            by side with their bars below; or, of what groups did to classes, "versus": a line a
            group with one bar, what it did to one answer rather than to another. The reader chooses
            both among all classes of the content, and sees what the network answers without a
            group, and with the part of the photograph blurred where it fires. Unless told, tiles
            where the icons change with a selection.
        title, caption: short name, and one sentence on how to read it.
        beside: as in ``InfoVis``.
        rivals: of "versus", the two answers that it opens with; the two most probable unless given.
        by: what makes the pictures: "optimized" unless told; ``Dataset("birds")``, crops of the
            photographs of an index, for channels, neurons and groups; or both, ``("optimized",
            Dataset("birds"))``, one beside the other.
        n, rank: of ``by`` a data set, how many crops of an atom are shown, and which: "top",
            "bottom", "quantiles" (one of each of n bands of equally many photographs), "random",
            or, of channels, "meanings": a picture drawn for each of the things that the channel
            stands for, see ``trust(..., meanings=True)``, for which the page's numbers wait some
            seconds a channel. The reader opens the others by a click.

    >>> FeatureVis(Hidden("layer3").channels[:4]).content
    Activation(Hidden('layer3').channels[[0, 1, 2, 3]])
    """

    content: Content
    sets: Selection | tuple[Selection, ...] | None = None
    highlights: Selection | None = None
    scale_by: Literal["magnitude"] | None = None
    colour_by: Content | None = None
    objective: Given | None = None
    recipe: str | None = None
    arrangement: Literal["rows", "tiles", "versus"] | None = None
    title: str = ""
    caption: str = ""
    beside: Content | None = None
    rivals: Out | None = None
    by: By | None = None
    n: int = 3
    rank: str = "top"

    def __post_init__(self) -> None:
        object.__setattr__(self, "by", checked_by(self.by))
        check_crops(self.n, self.rank)
        if self.recipe is not None and not self.is_drawn:
            raise InvalidArgument(
                f"recipe={self.recipe!r} draws pictures, and by={self.by!r} shows photographs in "
                "their place: leave one out, or say by=('optimized', ...)"
            )
        self._check_pictures()
        if isinstance(self.content, (Substrate, Hidden, Input, Out)):
            object.__setattr__(self, "content", Activation(self.content))  # type: ignore[arg-type]
        if not isinstance(self.content, Content):
            raise WrongType(f"FeatureVis draws a content or substrate, not {self.content!r}")
        self._check_links()

    def _check_pictures(self) -> None:
        if self.rivals is not None and not isinstance(self.rivals, Out):
            as_target(self.rivals)
            raise WrongType(f"rivals= takes two answers, as in Out(281, 285), not {self.rivals!r}")
        if self.rivals is not None and self.arrangement != "versus":
            raise InvalidArgument(
                "rivals= are the two answers of arrangement='versus', and of no other"
            )
        if self.arrangement not in (None, "rows", "tiles", "versus"):
            raise InvalidArgument(
                f"arrangement={self.arrangement!r} is none of 'rows', 'tiles' and 'versus'"
            )
        if self.scale_by not in (None, "magnitude"):
            raise InvalidArgument(f"scale_by={self.scale_by!r} is neither None nor 'magnitude'")
        if self.colour_by is not None and not isinstance(self.colour_by, Content):
            raise WrongType(
                f"colour_by takes a content such as Attribution(...), not {self.colour_by!r}"
            )
        if self.recipe not in (None, *RECIPE_NAMES):
            known, hint = (
                " nor ".join(map(repr, RECIPE_NAMES)),
                did_you_mean(str(self.recipe), RECIPE_NAMES),
            )
            raise InvalidArgument(f"recipe={self.recipe!r} is neither None nor {known}{hint}")
        if self.objective is not None and not isinstance(self.objective, Given):
            raise WrongType(
                "a spec holds names: objective=Given('name') with given={'name': objective}, not "
                f"{self.objective!r}"
            )

    @property
    def dataset(self) -> Dataset | None:
        """The data set whose photographs are shown.

        >>> FeatureVis(Hidden("layer3").channels, by=("optimized", Dataset("birds"))).dataset
        Dataset(name='birds')
        """
        words = self.by if isinstance(self.by, tuple) else (self.by,)
        return next((each for each in words if isinstance(each, Dataset)), None)

    @property
    def is_drawn(self) -> bool:
        """Whether pictures are optimized.

        >>> FeatureVis(Hidden("layer3").channels, by=Dataset("birds")).is_drawn
        False
        """
        words = self.by if isinstance(self.by, tuple) else (self.by,)
        return self.by is None or OPTIMIZED in words

    @property
    def is_versus(self) -> bool:
        """Whether it shows one answer rather than another.

        >>> FeatureVis(Hidden("layer3").channels).is_versus
        False
        """
        return self.arrangement == "versus"

    @property
    def switches(self) -> Selection:
        """The selection of the groups that are switched off in its rows.

        >>> FeatureVis(Hidden("layer3").channels).switches
        toggle('group')
        """
        named = [each for each in self.changes if each.gesture == "toggle"]
        return named[0] if named else toggle("group")


Element = InfoVis | FeatureVis


@word
@dataclass(frozen=True, repr=False)
class Interface(_Composable):
    """Elements and how they stand together; with a title, a chapter of the page.

    Attributes:
        parts: elements and interfaces, in reading order.
        arrangement: "beside" or "below" one another; "one" for a single part.
        title: the question it answers.
        reading: one sentence on how to read it.

    >>> icons = FeatureVis(Hidden("layer3").channels[:4])
    >>> numbers = InfoVis(Activation(Hidden("layer3").channels[:4]))
    >>> interface = icons | numbers & icons
    >>> interface.arrangement, Interface.from_json(interface.to_json()) == interface
    ('beside', True)
    """

    parts: tuple[Element | Interface, ...]
    arrangement: Arrangement = "one"
    title: str = ""
    reading: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.parts, (list, InfoVis, FeatureVis, Interface)):
            parts = tuple(self.parts) if isinstance(self.parts, list) else (self.parts,)
            object.__setattr__(self, "parts", parts)
        if not isinstance(self.parts, tuple):
            raise WrongType(f"an interface is made of InfoVis and FeatureVis, not {self.parts!r}")
        if not self.parts:
            raise InvalidArgument("an interface needs at least one element")
        if self.arrangement not in get_args(Arrangement):
            raise InvalidArgument(
                f"arrangement={self.arrangement!r} is none of {', '.join(get_args(Arrangement))}"
            )
        for part in self.parts:
            if not isinstance(part, (InfoVis, FeatureVis, Interface)):
                raise WrongType(f"an interface is made of InfoVis and FeatureVis, not {part!r}")

    def titled(self, title: str, reading: str = "") -> Interface:
        """The same under a question, with a sentence on how to read it."""
        return replace(self, title=title, reading=reading)

    def to_json(self) -> str:
        """Versioned JSON; ``Interface.from_json`` gives an equal interface back."""
        return to_json(self)

    @staticmethod
    def from_json(text: str) -> Interface:
        """The interface in a JSON text; nothing is imported or executed.

        Raises:
            InvalidArgument, UnknownName: the text holds no interface of this version.
        """
        made = from_json(text)
        if not isinstance(made, Interface):
            raise WrongType(f"this JSON holds a {type(made).__name__}, not an Interface")
        return made


def as_interface(given: Element | Interface | Content) -> Interface:
    """A single element as an interface of one part.

    >>> as_interface(FeatureVis(Hidden("layer3").channels)).arrangement
    'one'
    """
    if isinstance(given, Interface):
        return given
    if isinstance(given, (InfoVis, FeatureVis)):
        return Interface((given,))
    raise WrongType(
        f"{given!r} is not an interface; show a content with InfoVis(...) or FeatureVis(...)"
    )


def _join(left: object, right: object, arrangement: Literal["beside", "below"]) -> Interface:
    parts: list[Element | Interface] = []
    for side in (left, right):
        if not isinstance(side, (InfoVis, FeatureVis, Interface)):
            raise WrongType(f"only interfaces and elements stand together, not {side!r}")
        same = isinstance(side, Interface) and side.arrangement == arrangement and not side.title
        parts.extend(side.parts if same and isinstance(side, Interface) else (side,))
    return Interface(tuple(parts), arrangement)
