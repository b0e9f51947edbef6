"""The marks on icons: how far each deserves belief, judged when all are drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from captum_blocks.compose.evaluation.trusted import NO_GUARANTEE, Trusted
from captum_blocks.compose.judging import Judging, not_judged
from captum_blocks.compose.pictures.gallery import Gallery
from captum_blocks.compose.pictures.plan import Plan
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import USUAL, Request, Subject
from captum_blocks.compose.pictures.sources import Icon
from captum_blocks.compose.seen import SeenPhotographs
from captum_blocks.errors import InvalidArgument
from captum_blocks.scene import Pairs, Sign

NO_INDEX = (
    "photographs are needed to judge it by: give an index of some as examples= "
    "(--examples on the command line)"
)
OTHERS = "icons of channels and groups are judged, each drawn alone from noise"
NOT_YET = "it is judged when all icons are drawn"
SHAPES = "○ no sign of forgery, ◐ doubtful, × refuted, ? unknown"


@dataclass(frozen=True, eq=False)
class Signing:
    """What is said of the icons of a page.

    Attributes:
        plan: its pictures.
        renderer: of the network, with the data sets that are shown.
    """

    plan: Plan
    renderer: PictureRenderer

    @property
    def at_first(self) -> dict[str, Sign]:
        """The marks before the first icon is drawn."""
        there = NOT_YET if self.renderer.indexes else NO_INDEX
        icons = (request for request in self.plan.requests if request.order is None)
        return {
            key: _unknown(there if _is_judged(request) else OTHERS)
            for request in icons
            for key in request.keys
        }

    @property
    def told(self) -> Pairs:
        """What a page's footer says of its pictures and, once, of the marks on them."""
        pictures = self.renderer.told(self.plan)
        if not self.at_first:
            return pictures
        return (*pictures, ("marks on icons", f"{SHAPES}; {NO_GUARANTEE}"))

    def judged(
        self, drawn: Mapping[str, Icon | Gallery]
    ) -> Iterator[tuple[dict[str, Sign], list[Trusted]]]:
        """Layer after layer: marks by icon, and the evidence."""
        by_layer: dict[str, list[Subject]] = defaultdict(list)
        for request in self.plan.requests if self.renderer.indexes else ():
            if _is_judged(request) and request.keys[0] in drawn:
                by_layer[request.layer].append(request.subjects[0])
        if not by_layer:
            return
        count = sum(map(len, by_layer.values()))
        with self.renderer.progress.stage(f"judging {count} icons", count, "icons") as advance:
            for subjects, each in self._layers(by_layer, drawn):
                found, signs = [], {}
                for subject, trusted in zip(subjects, each, strict=True):
                    self.renderer.reader.check()
                    advance(1)
                    signs[subject.key] = signed(trusted)
                    found.append(trusted)
                yield signs, found

    def _layers(
        self, by_layer: Mapping[str, list[Subject]], drawn: Mapping[str, Icon | Gallery]
    ) -> Iterator[tuple[Sequence[Subject], Iterable[Trusted]]]:
        """Units of each layer, and what is said of them."""
        photographs = SeenPhotographs(next(iter(self.renderer.indexes.values())))
        judgings = list[Judging]()
        for layer, subjects in by_layer.items():
            try:
                judgings.append(Judging(layer, subjects, photographs, self.renderer))
            except InvalidArgument as error:  # the layer has no places
                yield subjects, [not_judged(each, str(error)) for each in subjects]
        Judging.look_together(judgings)
        for judging in judgings:
            icons = {each: _pixels(drawn[each.key]) for each in judging.subjects}
            yield judging.subjects, judging.judged(icons)


def signed(trusted: Trusted) -> Sign:
    """The mark of what is said of an icon.

    >>> from captum_blocks.reliability import PathSimilarity
    >>> path = PathSimilarity.unknown("3 photographs excite it")
    >>> signed(Trusted("layer3", 7, "unknown", path.missing, path)).told
    'unknown: 3 photographs excite it'
    """
    level = "clear" if trusted.level == "no sign of forgery" else trusted.level
    return Sign(level, trusted.level, "; ".join(filter(None, (trusted.why, trusted.evidence))))


def _pixels(icon: Icon | Gallery) -> np.ndarray:
    assert isinstance(icon, Icon)
    return icon.pixels


def _unknown(why: str) -> Sign:
    return Sign("unknown", "unknown", why)


def _is_judged(request: Request) -> bool:
    """Whether it is an icon of one channel or group, and of nothing else besides."""
    if request.source != USUAL or len(request.subjects) != 1:
        return False
    (subject,) = request.subjects
    return subject.kind in ("channel", "group") and subject.extra is None
