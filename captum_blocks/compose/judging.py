"""Icons of a layer beside photographs: what each does on the way to its unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from captum_blocks.compose.evaluation.trusted import Trusted
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import Subject
from captum_blocks.compose.walking import Walk
from captum_blocks.examples import Example, ExampleIndex
from captum_blocks.network import Network
from captum_blocks.reliability import (
    FEWEST,
    Along,
    PathSimilarity,
    Standing,
    path_similarity,
    ranked,
    standing,
    too_few,
    verdict,
)
from captum_blocks.reliability.places import active, spots

# Photographs of the unit; units that photographs to compare them with are of, and how many of each.
PHOTOGRAPHS, UNITS, EACH = 16, 32, 3
# Shifted copies of an icon, and by how much of its side at most.
COPIES, SHIFT = 8, 1 / 12
# The position of an example: row and column on the layer's grid.
Cell = tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Seen:
    """What some pictures do on the way to a unit.

    Attributes:
        vectors: (picture, feature) of each layer.
        sources: (picture,) a number of the photograph that each was cut from.
    """

    vectors: Sequence[Tensor]
    sources: Sequence[int]


class _Looker:
    """A network that looks at icons and photographs.

    A photograph is looked at once for all places that are known when it is.

    Args:
        layer: of it, to which the way leads.
        index: of photographs.
        renderer: of this network.
        cells: (rows, columns) of the layer that examples are of; of this network's unless given.
    """

    def __init__(
        self,
        layer: str,
        index: ExampleIndex,
        renderer: PictureRenderer,
        cells: Cell | None = None,
    ) -> None:
        self.index, self.renderer = index, renderer
        self._net = None if cells is None else renderer.net
        (first, *_), *_ = index.top((index.layers[0], [0]), k=1)
        self.walk = Walk.to(renderer.net, layer, index.read([first], self._net))
        self.cells = cells or self.walk.cells
        known = index.pictures()
        self._source = dict(zip(known["image"].tolist(), known["source"].tolist(), strict=True))
        self._seen: dict[tuple[int, Cell], Sequence[Tensor]] = {}

    def as_taken(self, pictures: Tensor) -> Tensor:
        """Pictures in [0, 1] as the network takes them: no larger than they are, where it can."""
        return pictures if self._preparation is None else self._preparation(pictures)

    @cached_property
    def _preparation(self) -> Callable[[Tensor], Tensor] | None:
        """Icons are all of one side."""
        return self.renderer.visualizer(self.walk.layers[-1], self.renderer.quality.size).preprocess

    def look(self, examples: Sequence[Example]) -> None:
        """Look at those that were not looked at yet, each photograph once."""
        new = dict.fromkeys(
            (each.image, each.position) for each in examples if _at(each) not in self._seen
        )
        places: dict[int, list[Cell]] = {}
        for image, position in new:
            places.setdefault(image, []).append(position)
        first = {each.image: each for each in examples}
        images = list(places)
        for start in range(0, len(images), PHOTOGRAPHS):
            some = images[start : start + PHOTOGRAPHS]
            maps = self.walk.maps(self.index.read([first[each] for each in some], self._net))
            for row, image in enumerate(some):
                for position in places[image]:
                    one = [each[row : row + 1] for each in maps]
                    there = spots([position], self.cells)
                    self._seen[image, position] = self.walk.cut(one, there)

    def photographs(self, examples: Sequence[Example]) -> _Seen:
        """What photographs do where the examples are."""
        self.look(examples)
        rows = [self._seen[_at(each)] for each in examples]
        vectors = [torch.cat(each) for each in zip(*rows, strict=True)]
        return _Seen(vectors, [self._source[each.image] for each in examples])


def _at(example: Example) -> tuple[int, Cell]:
    return example.image, example.position


class Judging:
    """Icons of one layer beside photographs, after ``reliability``.

    Args:
        layer: its full name.
        index: of photographs, of the network, which can be looked at again.
        renderer: of the network; icons are as large as it makes them.
        other: a second network that looks, too, or None.
    """

    def __init__(
        self,
        layer: str,
        index: ExampleIndex,
        renderer: PictureRenderer,
        other: Network | None = None,
    ) -> None:
        self.layer, self.index, self.renderer, self.other = layer, index, renderer, other
        self._ranked: dict[Subject, list[Example]] = {}

    @property
    def _lacking(self) -> str:
        """Why nothing can be said of any unit; empty where something can."""
        if not self.index.knows(self.layer):
            return f"the index of photographs has not looked at {self.layer}"
        return self.index.too_few

    def _missing(self, subject: Subject) -> str:
        """Why nothing can be said of a unit, before its icon is drawn; empty where it can."""
        if self._lacking:
            return self._lacking
        excited = self._excited(subject)
        if not excited:
            return "no photograph excites it: the unit is dead as far as they tell"
        return "" if excited >= FEWEST else too_few(excited)

    def unknown(self, subject: Subject, why: str) -> Trusted:
        """Nothing is said of a unit, as something is missing."""
        known = PathSimilarity.unknown(why, 0 if self._lacking else self._excited(subject))
        return Trusted(self.layer, subject.index, "unknown", why, known, name=subject.label)

    def _excited(self, subject: Subject) -> int:
        """How many different photographs excite a unit at all."""
        if subject.direction is not None:
            return len({each.source for each in self._ranked[subject] if each.value > 0})
        sources = self.index.pictures()["source"]
        return len(np.unique(sources[self._maxima[:, subject.index] > 0]))

    def judged(
        self,
        subjects: Sequence[Subject],
        drawn: Callable[[list[Subject]], Mapping[Subject, np.ndarray]],
    ) -> Iterator[Trusted]:
        """Each in turn.

        Args:
            subjects: the units.
            drawn: gives the icons, (y, x, 3) bytes, of those of which something can be said.

        Raises:
            InvalidArgument: the layer has no places; the photographs are not there.
        """
        self._rank([] if self._lacking else subjects)
        missing = {each: self._missing(each) for each in subjects}
        able = [each for each, why in missing.items() if not why]
        found = self._compared(drawn(able)) if able else iter(())
        for subject, why in missing.items():
            yield self.unknown(subject, why) if why else next(found)

    def _compared(self, icons: Mapping[Subject, np.ndarray]) -> Iterator[Trusted]:
        """Those of which something can be said."""
        shown = dict(zip(icons, self._examples(list(icons)), strict=True))
        for looker in self._lookers:
            looker.look([example for each in shown.values() for example in each])
        for subject, pixels in icons.items():
            picture = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255
            yield self._one(subject, picture[:, : self.renderer.channels], shown[subject])

    def _one(self, subject: Subject, icon: Tensor, examples: Sequence[Example]) -> Trusted:
        """A unit, its icon (1, channel, y, x) in [0, 1] and the photographs that excite it."""
        copies = shifted(icon, self.renderer.quality.seed)
        done = [looker.walk.maps(looker.as_taken(copies)) for looker in self._lookers]
        own = _along(done[0][-1], subject)
        counts = active(own)
        path, *second = (
            self._path(number, maps, counts, examples) for number, maps in enumerate(done)
        )
        stands = self._standing(subject, own.amax((1, 2)))
        seen_by_other = second[0] if second else None
        level, why = verdict(path, stands, seen_by_other)
        return Trusted(
            self.layer, subject.index, level, why, path, stands, seen_by_other, name=subject.label
        )

    def _standing(self, subject: Subject, values: Tensor) -> Standing | None:
        """Where the icon and its shifted copies, (1 + copy,), stand among photographs."""
        if subject.direction is None:
            photographs = torch.from_numpy(np.array(self._maxima[:, subject.index], np.float32))
            # As the table has them: a ceiling that icon and photographs reach is the same number.
            values = values.half().float()
        elif self.index.keeps(self.layer):
            photographs = torch.tensor([each.value for each in self._ranked[subject]])
        else:
            return None
        return standing(values[0], values[1:], photographs)

    def _path(
        self, number: int, maps: Sequence[Tensor], counts: Tensor, examples: Sequence[Example]
    ) -> PathSimilarity:
        """The way that an icon's copies take through a network, beside the photographs'.

        Args:
            number: of the network.
            maps: (copy, channel, y, x) of each layer.
            counts: (copy, row, column) how often each place counts.
            examples: those photographs.
        """
        looker, others = self._lookers[number], self._others[number]
        own = looker.photographs(examples)
        made = looker.walk.cut(maps, counts)
        layers = zip(looker.walk.layers, made, own.vectors, others.vectors, strict=True)
        along = [
            Along(name, ranked(icon), ranked(photographs), others)
            for name, icon, photographs, others in layers
        ]
        return path_similarity(along, own.sources, others.sources, self._units)

    @property
    def looker(self) -> _Looker:
        """The network itself, which looks at icons and photographs."""
        return self._lookers[0]

    @cached_property
    def _lookers(self) -> tuple[_Looker, ...]:
        """The network itself and, where there is one, the second at what it recommends last."""
        own = _Looker(self.layer, self.index, self.renderer)
        if self.other is None:
            return (own,)
        renderer = replace(self.renderer, net=self.other, store=None)
        last = self.other.recommended()[-1]
        return own, _Looker(last, self.index, renderer, own.cells)

    @cached_property
    def _others(self) -> tuple[_Seen, ...]:
        """By each network: photographs that excite other units, where those stand, as ranks."""
        examples = [example for each in self._lists for example in each]
        seen = [each.photographs(examples) for each in self._lookers]
        return tuple(_Seen([ranked(each) for each in one.vectors], one.sources) for one in seen)

    @property
    def _units(self) -> list[int]:
        """The unit that each of those excites, as a number."""
        return [number for number, each in enumerate(self._lists) for _ in each]

    @cached_property
    def _lists(self) -> list[list[Example]]:
        """Of some units the photographs that excite them most."""
        excited = np.flatnonzero((self._maxima > 0).sum(0) >= FEWEST)
        drawn = np.random.default_rng(0).permutation(excited)[:UNITS].tolist()
        lists = self.index.top((self.layer, drawn), k=min(EACH, self.index.count))
        return [[example for example in each if example.value > 0] for each in lists]

    @cached_property
    def _maxima(self) -> np.ndarray:
        """(photograph, channel)."""
        return np.array(self.index.tables(self.layer)["maximum"])

    def _rank(self, subjects: Sequence[Subject]) -> None:
        """All photographs by what they are to directions, as far as activations are kept.

        Where they are not, those that excite each most.
        """
        new = {each: each.direction for each in subjects if each.direction is not None}
        if not new:
            return
        k = self.index.count if self.index.keeps(self.layer) else PHOTOGRAPHS
        units = functional.normalize(torch.stack(list(new.values())).double(), dim=1)
        found = self.index.top(units, min(k, self.index.count), layer=self.layer, exact=False)
        self._ranked |= dict(zip(new, found, strict=True))

    def _examples(self, subjects: Sequence[Subject]) -> list[list[Example]]:
        """The photographs that excite each unit most."""
        channels = [each.index for each in subjects if each.direction is None]
        k = min(PHOTOGRAPHS, self.index.count)
        found = iter(self.index.top((self.layer, channels), k=k) if channels else [])
        lists = [
            next(found) if each.direction is None else self._ranked[each][:PHOTOGRAPHS]
            for each in subjects
        ]
        return [[example for example in each if example.value > 0] for each in lists]


def _along(maps: Tensor, subject: Subject) -> Tensor:
    """(picture, y, x) what a layer's maps are to a channel, or along a direction."""
    if subject.direction is None:
        return maps[:, subject.index]
    unit = functional.normalize(subject.direction.float(), dim=0)
    return torch.einsum("ncyx,c->nyx", maps, unit)


def shifted(picture: Tensor, seed: int) -> Tensor:
    """A picture and copies of it, moved by some pixels, what is beside it mirrored.

    Args:
        picture: (1, channel, y, x).
        seed: of the shifts.

    Returns:
        (1 + copies, channel, y, x), the first as it is.

    >>> shifted(torch.rand(1, 3, 24, 24), 0).shape
    torch.Size([9, 3, 24, 24])
    """
    height, width = picture.shape[-2:]
    most = max(1, round(SHIFT * min(height, width)))
    larger = functional.pad(picture, (most,) * 4, "reflect")
    drawn = torch.randint(2 * most + 1, (COPIES, 2), generator=torch.Generator().manual_seed(seed))
    moved = [larger[..., y : y + height, x : x + width] for y, x in drawn.tolist()]
    return torch.cat([picture, *moved])
