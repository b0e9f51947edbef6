"""The marks on icons: how far each deserves belief, judged when all are drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from captum_blocks.compose.judging import Judging
from captum_blocks.compose.pictures.gallery import Gallery
from captum_blocks.compose.pictures.plan import Plan
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import USUAL, Request, Subject
from captum_blocks.compose.pictures.sources import Icon
from captum_blocks.compose.trusted import NO_GUARANTEE, Trusted
from captum_blocks.errors import InvalidArgument
from captum_blocks.scene import Pairs, Sign

NO_INDEX = (
    "photographs are needed to judge it by: give an index of some as examples= "
    "(--examples on the command line)"
)
OTHERS = "icons of channels and groups are judged, each drawn alone from noise"
NOT_YET = "it is judged when all icons are drawn"


@dataclass(frozen=True, eq=False)
class Signing:
    """What is said of the icons of a page.

    Attributes:
        plan: its pictures.
        renderer: of the network, with the data sets that are shown.
    """

    plan: Plan
    renderer: PictureRenderer
    _judging: dict[str, Judging] = field(default_factory=dict)

    @cached_property
    def missing(self) -> dict[str, str]:
        """By icon, why nothing can be said of it; empty where it can."""
        alone = {r.keys[0]: r for r in self.plan.requests if _is_judged(r)}
        icons = (r for r in self.plan.requests if r.order is None)
        return {
            key: self._lacks(alone[key].subjects[0]) if key in alone else OTHERS
            for request in icons
            for key in request.keys
        }

    @property
    def at_first(self) -> dict[str, Sign]:
        """The marks before the first icon is drawn."""
        return {key: _unknown(why or NOT_YET) for key, why in self.missing.items()}

    @property
    def told(self) -> Pairs:
        """What a page's footer says of marks, once."""
        if not self.missing:
            return ()
        return (("marks on icons", f"○ no sign of forgery, ◐ doubtful, × refuted; {NO_GUARANTEE}"),)

    def judged(
        self, drawn: Mapping[str, Icon | Gallery]
    ) -> Iterator[tuple[dict[str, Sign], list[Trusted]]]:
        """Layer after layer: marks by icon, and the evidence."""
        by_layer: dict[str, list[Subject]] = defaultdict(list)
        for request in self.plan.requests:
            if not self.missing.get(request.keys[0], OTHERS) and request.keys[0] in drawn:
                by_layer[request.layer].append(request.subjects[0])
        if not by_layer:
            return
        count = sum(map(len, by_layer.values()))
        with self.renderer.progress.stage(f"judging {count} icons", count, "icons") as advance:
            for layer, subjects in by_layer.items():
                icons = {each: drawn[each.key].pixels for each in subjects}  # type: ignore[union-attr]
                found = []
                for trusted in self._of(layer).judged(icons):
                    self.renderer.reader.check()
                    advance(1)
                    found.append(trusted)
                signs = map(signed, found)
                yield dict(zip((each.key for each in subjects), signs, strict=True)), found

    def _lacks(self, subject: Subject) -> str:
        if not self.renderer.indexes:
            return NO_INDEX
        try:
            return self._of(subject.layer).missing(subject)
        except InvalidArgument as error:  # the layer has no places
            return str(error)

    def _of(self, layer: str) -> Judging:
        if layer not in self._judging:
            index = next(iter(self.renderer.indexes.values()))
            self._judging[layer] = Judging(layer, index, self.renderer)
        return self._judging[layer]


def signed(trusted: Trusted) -> Sign:
    """The mark of what is said of an icon.

    >>> from captum_blocks.reliability import PathSimilarity
    >>> path = PathSimilarity.unknown("3 photographs excite it")
    >>> signed(Trusted("layer3", 7, "unknown", path.missing, path)).told
    'unknown: 3 photographs excite it'
    """
    level = "clear" if trusted.level == "no sign of forgery" else trusted.level
    return Sign(level, trusted.level, trusted.why)


def _unknown(why: str) -> Sign:
    return Sign("unknown", "unknown", why)


def _is_judged(request: Request) -> bool:
    """Whether it is an icon of one channel or group, and of nothing else besides."""
    if request.source != USUAL or len(request.subjects) != 1:
        return False
    (subject,) = request.subjects
    return subject.kind in ("channel", "group") and subject.extra is None
