"""The source "meanings": the photographs of a channel sorted by what they show, with pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from captum_blocks.compose.evaluation.meant import Meaning, Meant
from captum_blocks.compose.judging import Judging
from captum_blocks.compose.pictures.gallery import Band, Crop, Gallery
from captum_blocks.compose.pictures.photographs import LONGEST, SIDE, band_of
from captum_blocks.compose.pictures.quality import Quality
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import Request
from captum_blocks.compose.pictures.sources import PictureSource, register
from captum_blocks.compose.seen import SeenPhotographs
from captum_blocks.compose.sorting import Sorting
from captum_blocks.errors import InvalidArgument
from captum_blocks.examples import Example, ExampleIndex
from captum_blocks.numerals import percent, quoted

MEANINGS = "meanings"
# How many photographs of each meaning a reader can open.
EACH = 6
PICTURES = "drawn from noise, a picture of each meaning"
HIGHEST = "highest"
WHOLE = (0.0, 0.0, 1.0, 1.0)
# What a picture that is drawn is called, where the others are photographs.
DRAWN = "Picture"


@register(MEANINGS)
class ByMeaning(PictureSource):
    """Of channels the meanings that their photographs have, a picture and photographs of each."""

    at_once = True

    def draw(self, requests: Sequence[Request], renderer: PictureRenderer) -> dict[str, Gallery]:
        """Galleries by key."""
        by_layer: dict[tuple[str, str], list[Request]] = defaultdict(list)
        for request in requests:
            assert request.order is not None
            by_layer[request.order.dataset, request.layer].append(request)
        found = dict[str, Gallery]()
        title, count = f"sorting photographs of {len(requests)} channels", len(requests)
        with renderer.progress.stage(title, count, "channels") as advance:
            for (name, layer), some in by_layer.items():
                for key, gallery in _Layer(name, layer, renderer).galleries(some):
                    advance(1)
                    found[key] = gallery
        return found

    def told(self, drawn: int, wanted: int, quality: Quality) -> tuple[str, str]:
        """How many channels were sorted."""
        return "meanings", f"asked of {drawn} of {wanted} channels"


class _Layer:
    """The channels of one layer, by one index."""

    def __init__(self, name: str, layer: str, renderer: PictureRenderer) -> None:
        self._name, self._layer, self._renderer = name, layer, renderer
        self._index: ExampleIndex = renderer.indexes[name]
        self._lacking = self._index.too_few
        if not self._lacking:
            judging = Judging(layer, [], SeenPhotographs(self._index), renderer)
            try:
                self._sorting = Sorting(judging)
            except InvalidArgument as error:  # nowhere to look at
                self._lacking = str(error)

    def galleries(self, requests: Sequence[Request]) -> Iterator[tuple[str, Gallery]]:
        """One after the other."""
        for request in requests:
            self._renderer.reader.check()
            (subject,), (key,) = request.subjects, request.keys
            assert request.order is not None
            meant = None if self._lacking else self._sorting.meant(subject)
            bands, photographs = self._bands(subject.index, meant)
            about = self._about(meant)
            shown = max(request.order.n, len(meant.each) if meant else 0)
            yield key, Gallery(request.label, about, tuple(bands), shown, photographs)

    def _bands(self, channel: int, meant: Meant | None) -> tuple[list[Band], dict[str, np.ndarray]]:
        """Pictures of all meanings, then the photographs of each; the highest where none are."""
        photographs = dict[str, np.ndarray]()
        if meant is None or not meant.each:
            (highest,) = self._index.top(
                (self._layer, [channel]), min(EACH, self._index.count), exact=False
            )
            return [self._band(HIGHEST, highest, photographs)], photographs
        named = list(enumerate(meant.each, 1))
        own = [
            self._band(
                f"meaning {number}, {percent(meaning.share)} of its photographs",
                meaning.examples[:EACH],
                photographs,
            )
            for number, meaning in named
        ]
        if len(named) == 1:  # its picture is the icon
            return own, photographs
        drawn = [self._drawn(number, meaning, channel, photographs) for number, meaning in named]
        return [Band(PICTURES, tuple(drawn)), *own], photographs

    def _band(
        self, title: str, examples: Sequence[Example], photographs: dict[str, np.ndarray]
    ) -> Band:
        """Photographs, cut about the place where they excite the channel."""
        cuts = self._index.cut(list(examples), self._layer, side=SIDE, longest=LONGEST)
        made, wholes = band_of(title, self._name, examples, cuts)
        photographs |= wholes
        return made

    def _drawn(
        self, number: int, meaning: Meaning, channel: int, photographs: dict[str, np.ndarray]
    ) -> Crop:
        """The picture of a meaning, and whose photographs it is most like."""
        assert meaning.picture is not None
        name = f"{self._name}/{self._layer}/{channel}/meaning {number}"
        photographs[name] = meaning.picture
        small = Image.fromarray(meaning.picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        nearest = int(np.argmax(meaning.likeness)) + 1
        like = "" if nearest == number else f", yet most like those of meaning {nearest}"
        told = f"drawn from noise to excite it as the photographs of meaning {number} do{like}"
        return Crop(np.asarray(small), f"{told}; not judged", name, WHOLE, DRAWN)

    def _about(self, meant: Meant | None) -> str:
        """Of what the number is, and what it is not."""
        said = f"meanings: unknown, as {self._lacking}" if meant is None else meant.told
        about = f"From {quoted(self._name)}, {self._index.said}. {said[0].upper()}{said[1:]}."
        if meant is None or meant.number is None:
            return about
        return (
            f"{about} Its photographs are sorted by what they do in the layers before; how many "
            "sorts are counted as different is a criterion, not a fact of the channel."
        )
