"""The source "photographs": what excites atoms in a data set, as crops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import torch

from captum_blocks.compose.pictures.gallery import Band, Crop, Gallery, Order
from captum_blocks.compose.pictures.quality import Quality
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import Request
from captum_blocks.compose.pictures.sources import PictureSource, register
from captum_blocks.errors import legible
from captum_blocks.examples import Cut, Example, ExampleIndex
from captum_blocks.network import printable
from captum_blocks.numerals import percent, quoted

PHOTOGRAPHS = "photographs"
# How many examples of each kind a reader can open, and pixels of crops and of photographs.
HELD = {"top": 6, "quantiles": 4, "random": 4}
SIDE, LONGEST = 64, 176
TITLES = {
    "top": "highest",
    "bottom": "lowest",
    "quantiles": "one from each of {n} equally large shares, from high to low",
    "random": "random",
}
# The highest of the layer's places, of a channel or along a direction.
OF_CHANNELS = "the largest activation over the places of a photograph"
OF_DIRECTIONS = (
    "the largest activation along the group's direction over the places of a photograph, so that "
    "what excites many channels at once stands high for every group"
)
# Half of the last digit that is told of a value.
LEAST_SAID = 0.005
NOT_BUILT = "was not built at"
Found = list[list[Example]]


@register(PHOTOGRAPHS)
class Photographs(PictureSource):
    """Of channels and groups the examples of an index, each cut from its photograph."""

    at_once = True

    def draw(self, requests: Sequence[Request], renderer: PictureRenderer) -> dict[str, Gallery]:
        """Galleries by key; every photograph is read once."""
        by_index: dict[str, list[Request]] = defaultdict(list)
        for request in requests:
            assert request.order is not None
            by_index[request.order.dataset].append(request)
        found = dict[str, Gallery]()
        for name, some in by_index.items():
            with renderer.progress.stage(f"finding photographs of {len(some)} atoms"):
                found |= _Finding(name, renderer.indexes[name], some).galleries()
        return found

    def told(self, drawn: int, wanted: int, quality: Quality) -> tuple[str, str]:
        """How many atoms have photographs beside them."""
        return "photographs", f"beside {drawn} of {wanted} channels and groups that want some"


@dataclass(frozen=True)
class _Shown:
    """One band of one request: its examples."""

    key: str
    rank: str
    asked: int
    layer: str
    examples: list[Example]


class _Finding:
    """The examples of some requests in one index."""

    def __init__(self, name: str, index: ExampleIndex, requests: Sequence[Request]) -> None:
        self._name, self._index = name, index
        self._requests = {request.keys[0]: request for request in requests}

    def galleries(self) -> dict[str, Gallery]:
        """By key."""
        shown = list(self._shown())
        pairs = [(band.layer, example) for band in shown for example in band.examples]
        cuts = self._index.cut(
            [example for _, example in pairs],
            [layer for layer, _ in pairs],
            side=SIDE,
            longest=LONGEST,
        )
        remaining, bands = iter(cuts), defaultdict[str, list[tuple[_Shown, list[Cut]]]](list)
        for band in shown:
            bands[band.key].append((band, [next(remaining) for _ in band.examples]))
        return {key: self._gallery(self._requests[key], held) for key, held in bands.items()}

    def _shown(self) -> Iterator[_Shown]:
        """The bands of all requests; those of one layer and kind are asked for together."""
        alike: dict[tuple[Order, str, bool], list[Request]] = defaultdict(list)
        for request in self._requests.values():
            assert request.order is not None
            directed = request.subjects[0].direction is not None
            alike[request.order, request.layer, directed].append(request)
        for (order, layer, directed), some in alike.items():
            for rank, count in _held(order).items():
                if rank == "quantiles" != order.rank and directed and not self._index.keeps(layer):
                    continue  # all photographs would have to be looked at again
                asked = min(count, self._index.count)
                found = self._top(layer, some, asked, rank)
                for request, examples in zip(some, found, strict=True):
                    yield _Shown(request.keys[0], rank, asked, layer, examples)

    def _top(self, layer: str, requests: Sequence[Request], k: int, rank: str) -> Found:
        subjects = [request.subjects[0] for request in requests]
        directions = [each.direction for each in subjects if each.direction is not None]
        if not directions:
            return self._index.top((layer, [each.index for each in subjects]), k, rank, exact=False)
        stacked = torch.nn.functional.normalize(torch.stack(directions).double(), dim=1)
        return self._index.top(stacked, k, rank, layer=layer, exact=False)

    def _gallery(self, request: Request, held: list[tuple[_Shown, list[Cut]]]) -> Gallery:
        assert request.order is not None
        pictures = dict[str, np.ndarray]()
        bands = []
        for band, cuts in held:
            title = TITLES[band.rank].format(n=band.asked)
            made, wholes = band_of(title, self._name, band.examples, cuts)
            bands.append(made)
            pictures |= wholes
        every = [cut for _, cuts in held for cut in cuts]
        directed = request.subjects[0].direction is not None
        about = self._about(OF_DIRECTIONS if directed else OF_CHANNELS, every)
        highest = [band.examples for band, _ in held if band.rank == "top"]
        about += self._tied(request, highest[0] if highest and not directed else [])
        return Gallery(request.label, about, tuple(bands), request.order.n, pictures)

    def _tied(self, request: Request, highest: Sequence[Example]) -> str:
        """That the highest are as high as many others, which a ceiling makes them."""
        if len({example.value for example in highest}) > 1 or len(highest) < 2:
            return ""
        channel, value = request.subjects[0].index, highest[0].value
        column = self._index.tables(request.layer)["maximum"][:, channel]
        equal = int((column >= column.dtype.type(value)).sum())
        return (
            f" {equal} of them reach {_plain(value)}, the most that this channel has here: those "
            "shown as the highest are the first of these."
        )

    def _about(self, values: str, cuts: Sequence[Cut]) -> str:
        """What values are, how large crops are, and what they do not say."""
        index = self._index
        areas = [(cut.box[2] - cut.box[0]) * (cut.box[3] - cut.box[1]) for cut in cuts]
        size = percent(sorted(areas)[len(areas) // 2]) if areas else "none"
        return (
            f"From {quoted(self._name)}, {index.said}. "
            f"Values: {values}. The part shown, {size} of the photograph, is about the place of "
            "that, and so large that in most of eight examples of this layer it held what alone "
            "keeps 80% of the activation. Photographs show what goes together in this data set, "
            "not what is needed."
        )


def _held(order: Order) -> dict[str, int]:
    """How many examples of which ranks; those that are shown at first are first."""
    first = {order.rank: max(order.n, HELD.get(order.rank, 0))}
    return first | {rank: count for rank, count in HELD.items() if rank != order.rank}


def band_of(
    title: str, dataset: str, examples: Sequence[Example], cuts: Sequence[Cut]
) -> tuple[Band, dict[str, np.ndarray]]:
    """Crops of some examples, and the photographs that they are of, by name.

    >>> band_of("highest", "birds", [], [])
    (Band(title='highest', crops=()), {})
    """
    crops, wholes = [], dict[str, np.ndarray]()
    for example, cut in zip(examples, cuts, strict=True):
        name = f"{dataset}/{example.image}"
        wholes[name] = cut.photograph
        crops.append(Crop(cut.crop, _words(example), name, cut.box))
    return Band(title, tuple(crops)), wholes


def _words(example: Example) -> str:
    """What is told of a crop."""
    name = _in_a_line(PurePath(example.path).name) or f"picture {example.image}"
    labelled = "" if example.label is None else f"{_in_a_line(example.label)}, "
    like = f", and {example.like} like it" if example.like else ""
    about = "about " if example.error >= LEAST_SAID else ""
    return f"{about}{_plain(example.value)}: {labelled}{name}{like}"


def _in_a_line(name: str) -> str:
    """A name without what would break a line, or turn it round."""
    return legible(" ".join(printable(name).split()))


def _plain(value: float) -> str:
    """A value without a sign where it has none to tell.

    >>> _plain(6.0), _plain(-0.25)
    ('6.00', '−0.25')
    """
    size = abs(value)
    if size == float("inf"):
        return "more than 65504" if value > 0 else "less than −65504"
    usual = f"{size:.0f}" if size >= 100 else f"{size:.2f}"
    digits = f"{size:.1g}" if 0 < size < 0.005 else usual
    return ("−" if value < 0 else "") + digits


def lacking(layers: Sequence[str], dataset: str, index: ExampleIndex) -> str:
    """Why some layers have no photographs; empty where all have."""
    missing = [layer for layer in dict.fromkeys(layers) if not index.knows(layer)]
    if not missing:
        return ""
    return f"no photographs: {quoted(dataset)} {NOT_BUILT} {', '.join(missing)}"
