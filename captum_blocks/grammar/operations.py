"""Content, and what turns content into other content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.grammar.spec import is_word, word
from captum_blocks.grammar.substrates import Selection, Substrate

Where = int | tuple[int, ...] | Selection


class Content:
    """What has numbers: an activation, an attribution, or something made of them.

    >>> from captum_blocks.grammar import Activation, Hidden
    >>> isinstance(Activation(Hidden("layer3").channels).filter(top=5), Content)
    True
    """

    def filter(
        self,
        *,
        at: Where | list[int] | None = None,
        to: Where | None = None,
        top: int | None = None,
        bottom: int | None = None,
        strongest: int | None = None,
        above: float | None = None,
    ) -> Filter:
        """Some of the atoms; what is left out is said wherever the content is shown.

        Args:
            at: source atoms: an index, a (y, x) position, or a selection.
            to: target atoms: an index into the classes, or a selection.
            top: as many atoms with the largest values. With several classes, an atom's largest
                value over the classes decides.
            bottom: as many atoms with the smallest values.
            strongest: as many atoms with the largest magnitudes.
            above: atoms whose value is larger.
        """
        place = tuple(at) if isinstance(at, list) else at
        return Filter(self, place, to, top, bottom, strongest, above)

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

    def difference(self, other: Content) -> Difference:
        """This minus another content of the same axes and unit.

        A class or image axis of length one may differ: one class against another.
        """
        return Difference(self, other)


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
    top: int | None = None
    bottom: int | None = None
    strongest: int | None = None
    above: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.content, Content):
            raise WrongType(f"a filter needs a content, not {self.content!r}")
        for name in ("top", "bottom", "strongest"):
            count = getattr(self, name)
            if count is not None and (isinstance(count, bool) or count < 1):
                raise InvalidArgument(f"{name}={count}: at least one atom is needed")
        if all(getattr(self, item.name) is None for item in fields(self)[1:]):
            raise InvalidArgument("a filter needs one of at, to, top, bottom, strongest, above")


@word
@dataclass(frozen=True)
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


@word
@dataclass(frozen=True)
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


@word
@dataclass(frozen=True)
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


@word
@dataclass(frozen=True)
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
