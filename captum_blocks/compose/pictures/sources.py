"""The registry of picture sources: subjects -> requests -> pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from captum_blocks.compose.pictures.gallery import Gallery
from captum_blocks.compose.pictures.quality import Quality
from captum_blocks.compose.pictures.requests import Request, Subject
from captum_blocks.errors import UnknownName, WrongType, did_you_mean

if TYPE_CHECKING:
    from captum_blocks.compose.pictures.renderer import PictureRenderer

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Icon:
    """A finished picture.

    Attributes:
        pixels: (y, x, 3) uint8.
        label: its subject's name as printed.
        details: (term, text) of how it was made, for a reader who enlarges it.
        cached: whether it came from the store.

    >>> Icon(np.zeros((64, 64, 3), np.uint8), "bn2 : 7", (("layer", "bn2"),)).cached
    False
    """

    pixels: np.ndarray
    label: str
    details: Pairs = ()
    cached: bool = False


class PictureSource(ABC):
    """Where pictures come from: ``FeatureVis(content, recipe=name)`` asks for one by its name.

    >>> class Grey(PictureSource):
    ...     def draw(self, requests, renderer):
    ...         grey = np.full((8, 8, 3), 127, np.uint8)
    ...         return {key: Icon(grey, each.label) for each in requests for key in each.keys}
    >>> Grey().draw([], None)
    {}
    """

    name: ClassVar[str]
    # Whether its pictures are made in no time: a page that fills up has them from the beginning.
    at_once: ClassVar[bool] = False

    def plan(self, subjects: Sequence[Subject]) -> list[Request]:
        """What it would draw for the subjects of one element, none of them twice.

        One request a subject, unless a source knows better: several subjects can be one request,
        and a subject that has no picture is in none. Nothing is drawn yet.
        """
        return [Request(self.name, (subject,)) for subject in subjects]

    @abstractmethod
    def draw(
        self, requests: Sequence[Request], renderer: PictureRenderer
    ) -> Mapping[str, Icon | Gallery]:
        """The pictures of all requests, by key; Ctrl-C passes through."""

    def finished(
        self, requests: Sequence[Request], renderer: PictureRenderer
    ) -> Iterator[Mapping[str, Icon | Gallery]]:
        """The same bit by bit, for a reader who sees each as soon as it is there.

        All at one go, but for a ``GradualSource``.
        """
        yield self.draw(requests, renderer)

    def quality(self, renderer: PictureRenderer) -> Quality:
        """How its pictures of one network are made: as all are, unless a source knows better."""
        return renderer.quality

    def told(self, drawn: int, wanted: int, quality: Quality) -> tuple[str, str]:
        """The page's footer says this of so many of its pictures: a term and a text."""
        return f"pictures by {self.name!r}", f"{drawn} of {wanted} wanted"


class GradualSource(PictureSource):
    """One whose pictures are finished one after the other."""

    @abstractmethod
    def finished(
        self, requests: Sequence[Request], renderer: PictureRenderer
    ) -> Iterator[Mapping[str, Icon | Gallery]]:
        """Bit by bit; ``renderer.reader`` says what comes first, and is checked at every step."""

    def draw(
        self, requests: Sequence[Request], renderer: PictureRenderer
    ) -> dict[str, Icon | Gallery]:
        """All of them, by key."""
        made: dict[str, Icon | Gallery] = {}
        for some in self.finished(requests, renderer):
            made |= some
        return made


SOURCES: dict[str, PictureSource] = {}
S = TypeVar("S", bound=type[PictureSource])


def register(name: str) -> Callable[[S], S]:
    """Register a class as a picture source: one instance draws for all.

    ``captum_blocks.compose.picture_source`` does this, and makes the name a word of the grammar.

    Raises:
        WrongType: it is no subclass of ``PictureSource``.
    """

    def registered(source: S) -> S:
        if not (isinstance(source, type) and issubclass(source, PictureSource)):
            raise WrongType(
                f"a picture source is a subclass of PictureSource with draw(requests, renderer), "
                f"not {source!r}"
            )
        source.name = name
        SOURCES[name] = source()
        return source

    return registered


def source_named(name: str) -> PictureSource:
    """The picture source of that name.

    Raises:
        UnknownName: with the names there are.

    >>> source_named("optimized").name
    'optimized'
    """
    if name not in SOURCES:
        hint = did_you_mean(name, SOURCES) or f"; there are {', '.join(SOURCES)}"
        raise UnknownName(f"no picture source {name!r}{hint}")
    return SOURCES[name]
