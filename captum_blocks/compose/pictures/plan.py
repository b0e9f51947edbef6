"""Which pictures are made: decided before any panel is, from what all elements would show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from captum_blocks.compose.pictures.gallery import Order
from captum_blocks.compose.pictures.requests import USUAL, Request, Subject
from captum_blocks.compose.pictures.sources import source_named


@dataclass(frozen=True, eq=False)
class Wanted:
    """What one element of the page would show pictures of.

    Attributes:
        subjects: the atoms it would show, in all of its states; one may come again.
        source: name of what draws them.
        order: of a data set, which photographs.

    >>> Wanted().source
    'optimized'
    """

    subjects: tuple[Subject, ...] = ()
    source: str = USUAL
    order: Order | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """The pictures that will be drawn.

    Attributes:
        requests: what is seen at once first, as it is read, then the most wanted, then those of
            several subjects.
        coverage: for each element, the share of its subjects' weight that gets a picture.
        wanted: how many pictures were asked for, by source.

    >>> from captum_blocks.compose.pictures.requests import channel_subject
    >>> planned = plan_pictures([Wanted((channel_subject("bn2", 7),))], budget=4)
    >>> sorted(planned.keys), planned.coverage, planned.count("optimized")
    (['bn2/channel/7'], (1.0,), 1)
    """

    requests: tuple[Request, ...]
    coverage: tuple[float, ...] = ()
    wanted: Mapping[str, int] = field(default_factory=dict)

    @property
    def keys(self) -> frozenset[str]:
        """The atoms that will have a picture."""
        return frozenset(key for request in self.requests for key in request.keys)

    def and_then(self, other: Plan) -> Plan:
        """Both plans as one; of how much is covered, what this one says.

        >>> Plan(()).and_then(Plan((), (1.0,), {"optimized": 3})).wanted["optimized"]
        3
        """
        wanted = Counter(self.wanted) + Counter(other.wanted)
        return Plan((*self.requests, *other.requests), self.coverage, MappingProxyType(wanted))

    def of(self, source: str) -> list[Request]:
        """What one source draws, in order."""
        return [request for request in self.requests if request.source == source]

    def keys_of(self, source: str) -> list[str]:
        """The atoms that one source draws, in order."""
        return [key for request in self.of(source) for key in request.keys]

    def count(self, source: str) -> int:
        """How many pictures one source draws."""
        return len(self.keys_of(source))


def plan_pictures(elements: Sequence[Wanted], budget: int) -> Plan:
    """Plan the pictures of a page.

    Subjects that are drawn together are drawn whatever the budget. Of the others those are chosen
    that are seen at once, and then those that are seen most; every element counts the same.

    Args:
        elements: what each would show.
        budget: how many icons are made on average for each element that wants new ones.

    Raises:
        UnknownName: an element names no source that there is.
    """
    asked = [_Asked.of(element) for element in elements]
    requests = {request.keys: request for each in asked for request in each.requests}
    alone = [request for request in requests.values() if len(request.keys) == 1]
    together = [request for request in requests.values() if len(request.keys) > 1]
    rank = _Rank(asked)
    most = budget * max(_that_want_new_ones(asked), 1)
    chosen = (*sorted(sorted(alone, key=rank)[:most], key=rank.in_reading_order), *together)
    keys = {key for request in chosen for key in request.keys}
    wanted = Counter(request.source for request in requests.values() for _ in request.keys)
    coverage = tuple(each.coverage(keys) for each in asked)
    return Plan(chosen, coverage, MappingProxyType(wanted))


@dataclass(frozen=True, eq=False)
class _Asked:
    """The requests of one element, and how much each of its subjects is seen."""

    requests: tuple[Request, ...]
    weight: Mapping[str, float]

    @classmethod
    def of(cls, wanted: Wanted) -> _Asked:
        made = source_named(wanted.source).plan(_each_once(wanted.subjects))
        planned = [replace(each, order=wanted.order) for each in made] if wanted.order else made
        # What is not seen is drawn only together with what is.
        seen = tuple(each for each in planned if len(each.keys) > 1 or _weight(each) > 0)
        weight = {each.key: each.weight for request in seen for each in request.subjects}
        return cls(seen, weight)

    def coverage(self, keys: Collection[str]) -> float:
        """The share of all weight that some subjects carry."""
        total = sum(self.weight.values())
        return sum(self.weight[key] for key in self.weight if key in keys) / total if total else 1.0


class _Rank:
    """What comes first: what is seen at once, then what is seen most, then by name."""

    def __init__(self, asked: Iterable[_Asked]) -> None:
        self.at_once: set[str] = set()
        self.weight: dict[str, float] = defaultdict(float)
        self.first: dict[str, int] = {}
        for place, each in enumerate(asked):
            total = sum(each.weight.values()) or 1.0
            for key, weight in each.weight.items():
                self.weight[key] += weight / total
            subjects = [one for request in each.requests for one in request.subjects]
            self.at_once |= {one.key for one in subjects if one.at_once}
            for one in subjects:
                if one.at_once:
                    self.first.setdefault(one.key, place)

    def __call__(self, request: Request) -> tuple[bool, float, str]:
        (key,) = request.keys
        return key not in self.at_once, -self.weight[key], key

    def in_reading_order(self, request: Request) -> tuple[bool, int, float, str]:
        """Of what is seen at once, that of the page's first element is drawn first."""
        (key,) = request.keys
        return key not in self.at_once, self.first.get(key, 0), -self.weight[key], key


def _weight(request: Request) -> float:
    return sum(subject.weight for subject in request.subjects)


def _each_once(subjects: Iterable[Subject]) -> list[Subject]:
    """Subjects that come again as one, seen as much as all of them together."""
    last: dict[str, Subject] = {}
    weight: dict[str, float] = defaultdict(float)
    at_once: set[str] = set()
    for subject in subjects:
        last[subject.key] = subject
        weight[subject.key] += subject.weight
        if subject.at_once and subject.weight > 0:
            at_once.add(subject.key)
    return [
        replace(subject, weight=weight[key], at_once=key in at_once)
        for key, subject in last.items()
    ]


def _that_want_new_ones(asked: Iterable[_Asked]) -> int:
    """How many elements ask for icons that none before them has asked for."""
    known: set[str] = set()
    count = 0
    for each in asked:
        alone = {request.keys[0] for request in each.requests if len(request.keys) == 1}
        count += not known >= alone
        known |= alone
    return count
