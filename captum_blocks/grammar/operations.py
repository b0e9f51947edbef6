"""Content, and what turns content into other content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.grammar.datasets import Dataset, check_stands
from captum_blocks.grammar.selections import Selection
from captum_blocks.grammar.spec import call, is_word, word
from captum_blocks.grammar.substrates import Substrate

Where = int | str | tuple[int, ...] | Selection
Count = int | Selection
Region = tuple[float, float, float, float]
COUNTS = ("top", "bottom", "strongest")


class Content:
    """What has numbers: an activation, an attribution, or something made of them.

    >>> from captum_blocks.grammar import Activation, Hidden
    >>> isinstance(Activation(Hidden("layer3").channels).filter(top=5), Content)
    True
    """

    def __repr__(self) -> str:
        """The call that makes it; what is as usual is left out."""
        return call(self)

    def filter(
        self,
        *,
        at: Where | list[int] | None = None,
        to: Where | None = None,
        image: int | str | Selection | None = None,
        within: Region | list[float] | None = None,
        top: Count | None = None,
        bottom: Count | None = None,
        strongest: Count | None = None,
        above: float | None = None,
        by: Content | None = None,
    ) -> Filter:
        """Some of the atoms; what is left out is said wherever the content is shown.

        Args:
            at: source atoms: an index, a (y, x) position, or a selection.
            to: target atoms: a class by name or by its place among those of the content, a (y, x)
                position, or a selection.
            image: one of the photographs, by place or name, or ``choose("image")``.
            within: (top, left, bottom, right) of a region, as fractions of what the network saw:
                only what lies there counts.
            top: as many atoms with the largest values. With several classes, an atom's largest
                value over the classes decides.
            bottom: as many atoms with the smallest values.
            strongest: as many atoms with the largest magnitudes.
            above: atoms whose value is larger.
            by: a content of the same atoms whose numbers decide, instead of this content's own.
        """
        place = tuple(at) if isinstance(at, list) else at
        region = tuple(within) if isinstance(within, list) else within
        return Filter(self, place, to, image, region, top, bottom, strongest, above, by)  # type: ignore[arg-type]

    def project(self, groups: Substrate) -> Project:
        """The same numbers per group of channels; what the groups leave becomes a remainder.

        Args:
            groups: groups of the same layer.
        """
        return Project(self, groups)

    def aggregate(self, axis: str, how: str = "mean") -> Aggregate:
        """One number along an axis: over images, classes or atoms.

        Args:
            axis: "image", "class", or an axis of the source.
            how: "mean", "sum" or "max".
        """
        return Aggregate(self, axis, how)

    def normalise(self, by: str = "max") -> Normalise:
        """Divided, for each image and target, by the largest magnitude or the sum of magnitudes.

        Args:
            by: "max" or "sum".
        """
        return Normalise(self, by)

    def without(self, off: Selection | Sequence[int], of: Substrate) -> Without:
        """What the network answers with some groups of a layer taken away, computed exactly.

        Zero stands in the groups' place, and what is in none of them stays; what lies behind the
        layer runs again.

        Args:
            off: the groups that are taken away, or ``toggle("group")``: those that the reader
                switches off.
            of: groups of a hidden layer. Of more than eight the strongest eight can be taken away.
        """
        return Without(self, tuple(off) if isinstance(off, (list, range)) else off, of)  # type: ignore[arg-type]

    def difference(self, other: Content) -> Difference:
        """This minus another content of the same axes and unit.

        A class or image axis of length one may differ: one class against another.
        """
        return Difference(self, other)

    def percentile(self, among: Dataset) -> Percentile:
        """Where each number stands among those of a data set, in percent, and how sure that is.

        The mean of a channel among its means; a neuron's activation among its channel's at one
        place of each photograph.

        Args:
            among: the data set, whose index is given when the content is evaluated.
        """
        return Percentile(self, among)


@word
@dataclass(frozen=True)
class Filter(Content):
    """Some of a content's atoms; see ``Content.filter``.

    >>> from captum_blocks.grammar import Activation, Hidden
    >>> Activation(Hidden("layer3").neurons).filter(at=(3, 4), top=5).at
    (3, 4)
    """

    content: Content
    at: Where | None = None
    to: Where | None = None
    image: int | str | Selection | None = None
    within: Region | None = None
    top: Count | None = None
    bottom: Count | None = None
    strongest: Count | None = None
    above: float | None = None
    by: Content | None = None

    def __post_init__(self) -> None:
        for content in (self.content, self.by):
            if content is not None and not isinstance(content, Content):
                raise WrongType(f"a filter needs a content, not {content!r}")
        for name in COUNTS:
            _check_count(name, getattr(self, name))
        if self.within is not None:
            _check_region(self.within)
        if all(getattr(self, item.name) is None for item in fields(self)[1:-1]):
            names = ", ".join(item.name for item in fields(self)[1:-1])
            raise InvalidArgument(f"a filter needs one of {names}")

    @property
    def ranks(self) -> bool:
        """Whether it keeps some atoms by their numbers."""
        return any(getattr(self, name) is not None for name in (*COUNTS, "above"))

    def __repr__(self) -> str:
        """The call that makes it."""
        held = ((item.name, getattr(self, item.name)) for item in fields(self)[1:])
        words = ", ".join(f"{name}={value!r}" for name, value in held if value is not None)
        return f"{self.content!r}.filter({words})"


def _check_count(name: str, count: Any) -> None:
    if isinstance(count, Selection):
        if count.gesture != "slider":
            raise WrongType(f"{name}= takes a number or a slider, not {count!r}")
    elif count is not None and (isinstance(count, bool) or not isinstance(count, int)):
        raise WrongType(f"{name}= counts atoms: a whole number or a slider, not {count!r}")
    elif count is not None and count < 1:
        raise InvalidArgument(f"{name}={count}: at least one atom is needed")


def _check_region(region: Region) -> None:
    if len(region) != 4 or not (
        0 <= region[0] < region[2] <= 1 and 0 <= region[1] < region[3] <= 1
    ):
        raise InvalidArgument(
            f"within={region}: a region is (top, left, bottom, right) in fractions of what the "
            "network saw, e.g. (0, 0, 0.5, 1) for its upper half"
        )


@word
@dataclass(frozen=True, repr=False)
class Project(Content):
    """A content per group of channels; see ``Content.project``.

    >>> from captum_blocks.grammar import Activation, Hidden
    >>> layer = Hidden("layer3")
    >>> Activation(layer.channels).project(layer.groups(6)).groups
    Hidden('layer3').groups(6)
    """

    content: Content
    groups: Substrate

    def __post_init__(self) -> None:
        if not isinstance(self.groups, Substrate) or self.groups.atom != "group":
            raise WrongType(f"a projection needs groups, e.g. layer.groups(6), not {self.groups!r}")

    def __repr__(self) -> str:
        return f"{self.content!r}.project({self.groups!r})"


@word
@dataclass(frozen=True, repr=False)
class Aggregate(Content):
    """One number along an axis; see ``Content.aggregate``.

    >>> from captum_blocks.grammar import Activation, Hidden
    >>> Activation(Hidden("layer3").channels).aggregate("image", "mean").how
    'mean'
    """

    content: Content
    axis: str
    how: str = "mean"

    def __post_init__(self) -> None:
        if self.how not in ("mean", "sum", "max"):
            raise InvalidArgument(f"how={self.how!r} is none of mean, sum, max")

    def __repr__(self) -> str:
        return f"{self.content!r}.aggregate({self.axis!r}, {self.how!r})"


@word
@dataclass(frozen=True, repr=False)
class Normalise(Content):
    """Magnitudes relative to the largest or to their sum; see ``Content.normalise``.

    >>> from captum_blocks.grammar import Activation, Hidden
    >>> Activation(Hidden("layer3").channels).normalise(by="max").by
    'max'
    """

    content: Content
    by: str = "max"

    def __post_init__(self) -> None:
        if self.by not in ("max", "sum"):
            raise InvalidArgument(f"by={self.by!r} is neither max nor sum")

    def __repr__(self) -> str:
        return f"{self.content!r}.normalise({self.by!r})"


@word
@dataclass(frozen=True, repr=False)
class Difference(Content):
    """One content minus another; see ``Content.difference``.

    >>> from captum_blocks.grammar import Attribution, Hidden, Out
    >>> dog, cat = (Attribution(Hidden("layer3").channels, Out(index)) for index in (207, 282))
    >>> dog.difference(cat).other == cat
    True
    """

    content: Content
    other: Content

    def __post_init__(self) -> None:
        if not isinstance(self.other, Content):
            raise WrongType(f"a difference needs two contents, not {self.other!r}")

    def __repr__(self) -> str:
        return f"{self.content!r}.difference({self.other!r})"


@word
@dataclass(frozen=True, repr=False)
class Without(Content):
    """Answers with groups taken away; see ``Content.without``.

    >>> from captum_blocks.grammar import Activation, Hidden, Out
    >>> Activation(Out(top=5)).without([0, 2], of=Hidden("layer4").groups(6)).off
    (0, 2)
    """

    content: Content
    off: tuple[int, ...] | Selection
    of: Substrate

    def __post_init__(self) -> None:
        if not isinstance(self.content, Content):
            raise WrongType(f"without needs a content, not {self.content!r}")
        source = getattr(self.content, "source", None)
        if not isinstance(source, Substrate) or (source.atom, source.grouping) != ("class", None):
            raise InvalidArgument(
                f"{self.content!r}.without(): the answers of the network change without groups, as "
                "in Activation(Out(top=5)).without(...)"
            )
        if not isinstance(self.of, Substrate) or self.of.atom != "group":
            raise WrongType(f"of= takes groups, e.g. layer.groups(6), not {self.of!r}")
        if isinstance(self.off, Selection):
            if self.off.gesture != "toggle":
                raise WrongType(f"groups are switched off by toggle('group'), not {self.off!r}")
        elif not isinstance(self.off, tuple) or any(type(each) is not int for each in self.off):
            raise WrongType(f"off= takes numbers of groups or toggle('group'), not {self.off!r}")

    def __repr__(self) -> str:
        off = list(self.off) if isinstance(self.off, tuple) else self.off
        return f"{self.content!r}.without({off!r}, of={self.of!r})"


@word
@dataclass(frozen=True, repr=False)
class Percentile(Content):
    """Where numbers stand among those of a data set; see ``Content.percentile``.

    >>> from captum_blocks.grammar import Activation, Hidden
    >>> Activation(Hidden("layer3").channels).percentile(Dataset("birds")).among
    Dataset(name='birds')
    """

    content: Content
    among: Dataset

    def __post_init__(self) -> None:
        if not isinstance(self.among, Dataset):
            raise WrongType(
                f"a percentile is among a data set, Dataset('birds'), not {self.among!r}"
            )
        base = unfiltered(self.content)
        if not isinstance(base, Content) or not hasattr(base, "over"):
            raise InvalidArgument(
                "activations of channels or neurons, all or filtered, stand among those of other "
                f"photographs, not {self.content!r}"
            )
        check_stands(base.source)  # type: ignore[attr-defined]
        if base.over is not None:
            raise InvalidArgument(f"{base!r} names a data set already: leave over= out")

    def __repr__(self) -> str:
        return f"{self.content!r}.percentile({self.among!r})"


def unfiltered(content: Any) -> Any:
    """What filters are of.

    >>> from captum_blocks.grammar import Activation, Hidden
    >>> unfiltered(Activation(Hidden("layer3").neurons).filter(at=(3, 4)).filter(top=5))
    Activation(Hidden('layer3').neurons)
    """
    while isinstance(content, Filter):
        content = content.content
    return content


def parts_of(spec: Any) -> Iterator[Any]:
    """A word and every word inside it, outermost first.

    >>> from captum_blocks.grammar import Activation, Hidden
    >>> [type(part).__name__ for part in parts_of(Activation(Hidden("layer3").channels))]
    ['Activation', 'Substrate', 'Hidden']
    """
    if isinstance(spec, tuple):
        for item in spec:
            yield from parts_of(item)
    elif is_word(spec):
        yield spec
        for item in fields(spec):
            yield from parts_of(getattr(spec, item.name))


def rewritten(spec: Any, change: Callable[[Any], Any]) -> Any:
    """A word with a change made to every word in it, inside first; selections are changed whole.

    >>> from captum_blocks.grammar import Activation, Hidden
    >>> def later(part):
    ...     return Hidden("layer4") if isinstance(part, Hidden) else part
    >>> rewritten(Activation(Hidden("layer3").channels), later)
    Activation(Hidden('layer4').channels)
    """
    if isinstance(spec, tuple):
        return tuple(rewritten(item, change) for item in spec)
    if not is_word(spec):
        return spec
    if isinstance(spec, Selection):
        return change(spec)
    held = {item.name: getattr(spec, item.name) for item in fields(spec)}
    new = {name: rewritten(value, change) for name, value in held.items()}
    same = all(new[name] == value for name, value in held.items())
    return change(spec if same else replace(spec, **new))
