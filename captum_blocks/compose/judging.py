"""Icons of a layer beside photographs: what each does on the way to its unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from captum_blocks.compose.evaluation.trusted import Trusted
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import Subject
from captum_blocks.compose.seen import Seen, SeenPhotographs
from captum_blocks.compose.walking import Walk
from captum_blocks.examples import Example
from captum_blocks.network import Network
from captum_blocks.optim.lanes import Lanes
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
from captum_blocks.reliability.places import active

# Photographs of the unit; units that photographs to compare them with are of, and how many of each.
PHOTOGRAPHS, UNITS, EACH = 16, 32, 3
# Pixels of the icons that are looked at together.
AT_ONCE = 4 * 128**2
# Shifted copies of an icon, and by how much of its side at most.
COPIES, SHIFT = 8, 1 / 12


class Looker:
    """A network that looks at icons and photographs on the way to a unit.

    Args:
        layer: of it, to which the way leads.
        renderer: of this network.
        photographs: as it sees them.
        example: one of them.
        cells: rows and columns of the layer that examples are of; of this one unless given.
    """

    def __init__(
        self,
        layer: str,
        renderer: PictureRenderer,
        photographs: SeenPhotographs,
        example: Example,
        cells: tuple[int, int] | None = None,
    ) -> None:
        self.renderer, self.seen = renderer, photographs
        walk = Walk.to(renderer.net, layer, photographs.read([example]))
        self.walk = replace(walk, cells=cells or walk.cells)

    def as_taken(self, pictures: Tensor) -> Tensor:
        """Pictures in [0, 1] as the network takes them: no larger than they are, where it can."""
        return pictures if self._preparation is None else self._preparation(pictures)

    @cached_property
    def _preparation(self) -> Callable[[Tensor], Tensor] | None:
        """Icons are all of one side."""
        return self.renderer.visualizer(self.walk.layers[-1], self.renderer.quality.size).preprocess

    @property
    def lanes(self) -> Lanes:
        """Threads that look at icons side by side."""
        side = self.renderer.quality.size
        return self.walk.passes.lanes(
            self.as_taken(torch.zeros(1, self.renderer.channels, side, side))
        )

    def look(self, examples: Iterable[Example]) -> None:
        """Look at those that were not looked at yet."""
        self.seen.look({self.walk: examples})

    def photographs(self, examples: Sequence[Example]) -> Seen:
        """What photographs do where the examples are."""
        return self.seen.along(self.walk, examples)


class Judging:
    """Icons of one layer beside photographs, after ``reliability``.

    Args:
        layer: its full name.
        subjects: the units.
        photographs: of an index of the network; what it sees of them, layers share.
        renderer: of the network; icons are as large as it makes them.
        other: a second network that looks, too, or None.

    Raises:
        InvalidArgument: the layer has no places; the photographs are not there.
    """

    def __init__(
        self,
        layer: str,
        subjects: Sequence[Subject],
        photographs: SeenPhotographs,
        renderer: PictureRenderer,
        other: Network | None = None,
    ) -> None:
        self.layer, self.subjects = layer, subjects
        self.index, self._photographs = photographs.index, photographs
        self.renderer, self.other = renderer, other
        if self.able:
            _ = self._lookers  # what they cannot look at is refused before icons are drawn

    @cached_property
    def _lookers(self) -> tuple[Looker, ...]:
        """The network itself and, where there is one, the second at what it recommends last."""
        (example, *_), *_ = self.index.top((self.index.layers[0], [0]), k=1)
        own = Looker(self.layer, self.renderer, self._photographs, example)
        if self.other is None:
            return (own,)
        renderer = replace(self.renderer, net=self.other, store=None)
        by_other = SeenPhotographs(self.index, self.other)
        last = self.other.recommended()[-1]
        return own, Looker(last, renderer, by_other, example, own.walk.cells)

    @property
    def looker(self) -> Looker:
        """The network itself, which looks at icons and photographs."""
        return self._lookers[0]

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

    def _excited(self, subject: Subject) -> int:
        """How many different photographs excite a unit at all."""
        if subject.direction is not None:
            return len({each.source for each in self._ranked[subject] if each.value > 0})
        sources = self.index.pictures()["source"]
        return len(np.unique(sources[self._maxima[:, subject.index] > 0]))

    @property
    def able(self) -> list[Subject]:
        """The units of which something can be said."""
        return list(self._shown)

    def judged(self, icons: Mapping[Subject, np.ndarray]) -> Iterator[Trusted]:
        """Each unit in turn.

        Args:
            icons: (y, x, 3) bytes of each that is able.
        """
        found = self._compared(icons)
        for subject in self.subjects:
            if subject in self._shown:
                yield next(found)
            else:
                count = 0 if self._lacking else self._excited(subject)
                yield not_judged(subject, self._missing(subject), count)

    @staticmethod
    def look_together(judgings: Sequence[Judging]) -> None:
        """Look at the photographs of several layers of one network, each of them once."""
        able = [each for each in judgings if each._shown]
        for lookers in zip(*(each._lookers for each in able), strict=True):
            wanted = {
                looker.walk: chain(*each._shown.values(), *each._lists)
                for looker, each in zip(lookers, able, strict=True)
            }
            lookers[0].seen.look(wanted, lookers[0].renderer.reader.check)

    def _compared(self, icons: Mapping[Subject, np.ndarray]) -> Iterator[Trusted]:
        """Those that are able, some in each of several threads."""
        Judging.look_together([self])
        _ = self._others  # before threads ask for it
        able, at_once = self.able, max(1, round(AT_ONCE / self.renderer.quality.size**2))
        parts = [able[start : start + at_once] for start in range(0, len(able), at_once)]
        lanes = self.looker.lanes
        with lanes.open():
            for start in range(0, len(parts), lanes.n):
                some = parts[start : start + lanes.n]
                for found in lanes.map(lambda each: self._together(each, icons), some):
                    yield from found

    def _together(
        self, subjects: Sequence[Subject], icons: Mapping[Subject, np.ndarray]
    ) -> list[Trusted]:
        """What is said of some units, whose icons are looked at together."""
        pictures = torch.from_numpy(np.stack([icons[each] for each in subjects]))
        pictures = pictures.permute(0, 3, 1, 2)[:, : self.renderer.channels] / 255
        copies = [shifted(each, self.renderer.quality.seed) for each in pictures.split(1)]
        maps = [each.walk.maps(each.as_taken(torch.cat(copies))) for each in self._lookers]
        rows = [slice(start, start + 1 + COPIES) for start in range(0, len(maps[0][0]), 1 + COPIES)]
        return [
            self._one(subject, [[layer[own] for layer in each] for each in maps])
            for subject, own in zip(subjects, rows, strict=True)
        ]

    def _one(self, subject: Subject, done: Sequence[Sequence[Tensor]]) -> Trusted:
        """What is said of a unit by what its icon and the copies of that do.

        Args:
            subject: the unit.
            done: by each network (copy, channel, y, x) of each layer.
        """
        own = _along(done[0][-1], subject)
        counts = active(own)
        path, *second = (
            self._path(number, maps, counts, self._shown[subject])
            for number, maps in enumerate(done)
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

    @cached_property
    def _others(self) -> tuple[Seen, ...]:
        """By each network: photographs that excite other units, where those stand, as ranks."""
        examples = [example for each in self._lists for example in each]
        seen = [each.photographs(examples) for each in self._lookers]
        return tuple(Seen([ranked(each) for each in one.vectors], one.sources) for one in seen)

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

    @cached_property
    def _ranked(self) -> dict[Subject, list[Example]]:
        """By each direction all photographs, by what they are to it, where activations are kept.

        Where they are not, those that excite it most.
        """
        units = {each: each.direction for each in self.subjects if each.direction is not None}
        if not units:
            return {}
        k = self.index.count if self.index.keeps(self.layer) else PHOTOGRAPHS
        rows = functional.normalize(torch.stack(list(units.values())).double(), dim=1)
        found = self.index.top(rows, min(k, self.index.count), layer=self.layer, exact=False)
        return dict(zip(units, found, strict=True))

    @cached_property
    def _shown(self) -> dict[Subject, list[Example]]:
        """By each unit of which something can be said the photographs that excite it most."""
        able = [each for each in self.subjects if not self._missing(each)]
        channels = [each.index for each in able if each.direction is None]
        k = min(PHOTOGRAPHS, self.index.count)
        found = iter(self.index.top((self.layer, channels), k=k) if channels else [])
        lists = {
            each: next(found) if each.direction is None else self._ranked[each][:PHOTOGRAPHS]
            for each in able
        }
        return {
            each: [example for example in shown if example.value > 0]
            for each, shown in lists.items()
        }


def not_judged(subject: Subject, why: str, photographs: int = 0) -> Trusted:
    """Nothing is said of a unit, as something is missing.

    >>> from captum_blocks.compose.pictures.requests import channel_subject
    >>> not_judged(channel_subject("layer3", 7), "no photographs are there").level
    'unknown'
    """
    known = PathSimilarity.unknown(why, photographs)
    return Trusted(subject.layer, subject.index, "unknown", why, known, name=subject.label)


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
