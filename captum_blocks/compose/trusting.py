"""How far icons deserve belief: what they do in the network, beside what photographs do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from captum_blocks.compose.pictures.plan import Wanted, plan_pictures
from captum_blocks.compose.pictures.progress import Progress
from captum_blocks.compose.pictures.quality import Quality, quality_named
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import channel_subject
from captum_blocks.compose.trusted import Trust, Trusted
from captum_blocks.compose.walking import Walk
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, WrongType
from captum_blocks.examples import Example, ExampleIndex
from captum_blocks.grammar import Hidden, Substrate
from captum_blocks.network import Network
from captum_blocks.reliability import (
    FEWEST,
    Along,
    PathSimilarity,
    path_similarity,
    standing,
    too_few,
    verdict,
)
from captum_blocks.reliability.places import Place, middle, peaks
from captum_blocks.store import Store

# Photographs of the unit; units that photographs to compare them with are of, and how many of each.
PHOTOGRAPHS, UNITS, EACH = 16, 32, 3
# Shifted copies of an icon, and by how much of its side at most.
COPIES, SHIFT = 8, 1 / 12


def trust(
    units: Substrate,
    net: Network,
    index: ExampleIndex,
    other: Network | None = None,
    meanings: bool = False,
    *,
    quality: str | Quality = "standard",
    store: Store | None = None,
    progress: bool = False,
) -> Trust:
    """How far the icons of channels deserve belief.

    An icon is optimized from noise, and a network can be made to show anything there while it
    answers photographs as before (Geirhos et al., "Don't trust your eyes", ICML 2024). So what the
    icon does in the layers on the way to its unit is compared with what the photographs do that
    excite the unit most, each where the unit stands; see ``reliability.path_similarity``. Levels
    end where ``reliability.THRESHOLDS`` says. No sign of forgery is not validity: of forgeries of
    EfficientNet-Lite1, those that react to optimized pictures are told from the honest network
    (area under the curve .98), and those with a small trained part that pulls icons elsewhere are
    not (``python -m tests.benchmarks.trust``).

    Args:
        units: channels, as ``Hidden("layer3").channels[[7, 9]]``.
        net: the network.
        index: of photographs, that has looked at the layer.
        other: a second network that sees the same pictures: where it finds icon and photographs
            unlike, an icon that the first one passes is doubted.
        meanings: not counted yet.
        quality: of the icons, and their seed, as in ``explain``.
        store: where finished icons are kept; the user's cache folder unless given.
        progress: whether bars are shown.

    Raises:
        WrongType: what is no channels, network or index.
        LayerNotFound: the index has not looked at the layer.
        InvalidArgument: atoms that are no channels; an index of another network, or whose
            photographs are not there; a layer without places.
        UnsupportedMethod: ``meanings`` are asked for.

    >>> from torch import nn
    >>> from captum_blocks.network import Preprocess
    >>> net = Network(nn.Sequential(nn.Conv2d(3, 9, 3, 2), nn.ReLU()), Preprocess(size=8))
    >>> index = ExampleIndex.build(net, list(torch.rand(9, 3, 8, 8)), ["1"], progress=False)
    >>> found = trust(Hidden("1").channels[[4]], net, index)
    >>> found[0].level, found[0].why[:50]
    ('unknown', 'the index is of 9 different photographs, and with ')
    """
    layer, channels = _asked(units, net, index)
    if meanings:
        raise UnsupportedMethod("meanings of units are not counted yet: leave meanings= out")
    if other is not None and not isinstance(other, Network):
        raise WrongType(f"other= is a Network(module, ...), not a {type(other).__name__}")
    chosen = quality_named(quality)
    renderer = PictureRenderer(net, chosen, store or Store(), Progress(progress))
    judging = _Judging(layer, index.bound(net), renderer, other)
    return Trust(tuple(judging.judged(channels)), _measured_by(index, chosen))


def _asked(units: Any, net: Any, index: Any) -> tuple[str, list[int]]:
    """Layer and channels, before any work."""
    if not isinstance(net, Network):
        raise WrongType(f"trust takes a Network(module, ...), not a {type(net).__name__}")
    if not isinstance(index, ExampleIndex):
        raise WrongType(f"trust takes an ExampleIndex, not a {type(index).__name__}")
    if not isinstance(units, Substrate):
        raise WrongType(
            f"trust takes channels, as Hidden('layer3').channels[[7, 9]], not {units!r}"
        )
    if units.atom != "channel" or not isinstance(units.layer, Hidden):
        raise InvalidArgument(
            f"{units!r}: icons of channels of hidden layers are judged, so far; "
            "ask for Hidden(layer).channels"
        )
    layer = net.name_of(units.layer.layer)
    width = index.tables(layer)["maximum"].shape[1]
    channels = list(range(width) if units.only is None else units.only)
    if wrong := [each for each in channels if not 0 <= each < width]:
        raise InvalidArgument(f"{layer!r} has channels 0 to {width - 1}, no {wrong[0]}")
    return layer, channels


def _measured_by(index: ExampleIndex, quality: Quality) -> str:
    return (
        f"icons optimized from noise at {quality.size} pixels in {quality.n_steps} steps, seed "
        f"{quality.seed}; {index.said}, of which {PHOTOGRAPHS} a unit at most"
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """What some pictures do on the way to a unit.

    Attributes:
        vectors: (picture, feature) of each layer.
        sources: (picture,) a number of the photograph that each was cut from.
    """

    vectors: Sequence[Tensor]
    sources: Sequence[int]


@dataclass(frozen=True, eq=False)
class _Looker:
    """A network that looks at icons and photographs.

    Attributes:
        walk: the way to a layer of it.
        index: of photographs.
        renderer: of this network.
        own: whether the index is of it.
    """

    walk: Walk
    index: ExampleIndex
    renderer: PictureRenderer
    own: bool

    @staticmethod
    def at(layer: str, index: ExampleIndex, renderer: PictureRenderer, own: bool) -> _Looker:
        """On the way to a layer."""
        (first, *_), *_ = index.top((index.layers[0], [0]), k=1)
        x = index.read([first], None if own else renderer.net)
        return _Looker(Walk.to(renderer.net, layer, x), index, renderer, own)

    def as_taken(self, pictures: Tensor) -> Tensor:
        """Pictures in [0, 1] as the network takes them: no larger than they are, where it can."""
        prepare = self.renderer.visualizer(self.walk.layers[-1], pictures.shape[-1]).preprocess
        return pictures if prepare is None else prepare(pictures)

    def photographs(self, examples: Sequence[Example], places: Sequence[Place]) -> _Seen:
        """What photographs do at places of theirs."""
        source_of, found = _sources_of(self.index), list[list[Tensor]]()
        for start in range(0, len(examples), PHOTOGRAPHS):
            some = slice(start, start + PHOTOGRAPHS)
            x = self.index.read(examples[some], None if self.own else self.renderer.net)
            found.append(self.walk.vectors(x, places[some]))
        vectors = [torch.cat(each) for each in zip(*found, strict=True)]
        return _Seen(vectors, [source_of[each.image] for each in examples])


@dataclass(frozen=True, eq=False)
class _Judging:
    """Icons of one layer beside photographs.

    Attributes:
        layer: its full name.
        index: of photographs.
        renderer: makes the icons.
        other: a second network, or None.
    """

    layer: str
    index: ExampleIndex
    renderer: PictureRenderer
    other: Network | None

    def judged(self, channels: Sequence[int]) -> Iterator[Trusted]:
        """Each in turn; icons of what cannot be judged are not drawn."""
        missing = {channel: self._missing(channel) for channel in channels}
        able = [channel for channel in channels if not missing[channel]]
        icons = dict(zip(able, self._icons(able), strict=True))
        shown = dict(zip(able, self._examples(able), strict=True))
        for channel in channels:
            if why := missing[channel]:
                unknown = PathSimilarity.unknown(why, self._sources(channel))
                yield Trusted(self.layer, channel, "unknown", why, unknown)
            else:
                yield self._one(channel, icons[channel], shown[channel])

    def _one(self, channel: int, icon: Tensor, examples: Sequence[Example]) -> Trusted:
        """A unit, its icon (1, channel, y, x) in [0, 1] and the photographs that excite it."""
        copies = shifted(icon, self.renderer.quality.seed)
        maps = self._lookers[0].walk.maps(self._lookers[0].as_taken(copies))[-1][:, channel]
        values, places = peaks(maps)
        side = (1 / maps.shape[-2], 1 / maps.shape[-1])
        path, *second = (
            self._path(number, copies, (places, side), examples)
            for number in range(len(self._lookers))
        )
        photographs = torch.from_numpy(np.array(self._maxima[:, channel], np.float32))
        # As the table has them: a ceiling that icon and photographs reach is the same number.
        rounded = values.half().float()
        stands = standing(rounded[0], rounded[1:], photographs)
        seen_by_other = second[0] if second else None
        level, why = verdict(path, stands, seen_by_other)
        return Trusted(self.layer, channel, level, why, path, stands, seen_by_other)

    def _path(
        self,
        number: int,
        copies: Tensor,
        where: tuple[list[Place], Place],
        examples: Sequence[Example],
    ) -> PathSimilarity:
        """The way that an icon's copies take through a network, beside the photographs'."""
        looker, others = self._lookers[number], self._others[number]
        own = looker.photographs(examples, self._places(examples))
        made = looker.walk.vectors(looker.as_taken(copies), *where)
        layers = zip(looker.walk.layers, made, own.vectors, others.vectors, strict=True)
        return path_similarity([Along(*each) for each in layers], own.sources, others.sources)

    @cached_property
    def _lookers(self) -> tuple[_Looker, ...]:
        """The network itself and, where there is one, the second at what it recommends last."""
        lookers = [_Looker.at(self.layer, self.index, self.renderer, True)]
        if self.other is not None:
            renderer = replace(self.renderer, net=self.other, store=None)
            last = self.other.recommended()[-1]
            lookers.append(_Looker.at(last, self.index, renderer, False))
        return tuple(lookers)

    @cached_property
    def _others(self) -> tuple[_Seen, ...]:
        """By each network: photographs that excite other units of the layer, where those stand."""
        excited = np.flatnonzero((self._maxima > 0).sum(0) >= FEWEST)
        drawn = np.random.default_rng(0).permutation(excited)[:UNITS].tolist()
        lists = self.index.top((self.layer, drawn), k=min(EACH, self.index.count))
        examples = [example for each in lists for example in each if example.value > 0]
        places = self._places(examples)
        return tuple(each.photographs(examples, places) for each in self._lookers)

    def _places(self, examples: Sequence[Example]) -> list[Place]:
        side = self._lookers[0].walk.side
        grid = (round(1 / side[0]), round(1 / side[1]))
        return [middle(each.position, grid) for each in examples]

    @cached_property
    def _maxima(self) -> np.ndarray:
        """(photograph, channel)."""
        return np.array(self.index.tables(self.layer)["maximum"])

    def _sources(self, channel: int) -> int:
        """How many different photographs excite it at all."""
        sources = self.index.pictures()["source"]
        return len(np.unique(sources[self._maxima[:, channel] > 0]))

    def _missing(self, channel: int) -> str:
        """Why nothing can be said of a unit, before its icon is drawn; empty where it can."""
        if self.index.too_few:
            return self.index.too_few
        excited = self._sources(channel)
        if not excited:
            return "no photograph excites it: the unit is dead as far as they tell"
        return "" if excited >= FEWEST else too_few(excited)

    def _examples(self, channels: Sequence[int]) -> list[list[Example]]:
        if not channels:
            return []
        k = min(PHOTOGRAPHS, self.index.count)
        found = self.index.top((self.layer, list(channels)), k=k)
        return [[example for example in each if example.value > 0] for each in found]

    def _icons(self, channels: Sequence[int]) -> list[Tensor]:
        """(1, channel, y, x) in [0, 1], from the store where it has them."""
        subjects = tuple(channel_subject(self.layer, channel) for channel in channels)
        drawn = self.renderer.draw(plan_pictures([Wanted(subjects)], len(subjects) or 1))
        pixels = [np.array(drawn[each.key].pixels) for each in subjects]  # type: ignore[union-attr]
        pictures = [torch.from_numpy(each).permute(2, 0, 1)[None].float() / 255 for each in pixels]
        return [each[:, : self.renderer.channels] for each in pictures]


def _sources_of(index: ExampleIndex) -> dict[int, int]:
    """By the number of a picture, that of the photograph that it was cut from."""
    known = index.pictures()
    return dict(zip(known["image"].tolist(), known["source"].tolist(), strict=True))


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
