"""What drawing needs at hand: the network, how good pictures are to be, where they are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor
from torch.nn import functional

from captum_blocks._memory import give_back
from captum_blocks.compose.pictures.gallery import Gallery
from captum_blocks.compose.pictures.kept import Entry, description
from captum_blocks.compose.pictures.progress import Progress
from captum_blocks.compose.pictures.quality import Quality
from captum_blocks.compose.pictures.reader import Reader
from captum_blocks.compose.pictures.requests import ANSWER
from captum_blocks.compose.pictures.sources import SOURCES, Icon, Pairs, PictureSource
from captum_blocks.errors import InvalidArgument
from captum_blocks.examples import ExampleIndex
from captum_blocks.hooks import find_layer
from captum_blocks.layouts import Layout
from captum_blocks.network import Network
from captum_blocks.optim import FeatureVisualizer
from captum_blocks.store import Store

if TYPE_CHECKING:
    from captum_blocks.compose.pictures.plan import Plan


# Bytes that the activations of pictures drawn together take: about those of a batch of icons, which
# the pictures of all positions of a layer, drawn together, are not to exceed by much.
# Networks that halve a picture five times, and put it together again, take multiples of this.
WHOLE = 32
MEMORY_BUDGET = 2**28


@dataclass(frozen=True, eq=False)
class PictureRenderer:
    """Draws what is planned, each picture by its source.

    Attributes:
        net: the network.
        quality: how pictures are made.
        store: where finished ones are kept; None keeps none.
        progress: named stages.
        input_shape: (channel, height, width) that the network is known to take, for networks that
            take no other; that of its preprocessing unless given.
        indexes: of data sets, by name.
        reader: what is drawn first, for somebody who waits for it.

    >>> from torch import nn
    >>> from captum_blocks.compose.pictures.plan import plan_pictures
    >>> net = Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval())
    >>> few = Quality(size=16, n_steps=1, budget=1)
    >>> PictureRenderer(net, few, None, Progress(False)).draw(plan_pictures([], few.budget))
    {}
    """

    net: Network
    quality: Quality
    store: Store | None
    progress: Progress
    input_shape: tuple[int, ...] | None = None
    indexes: Mapping[str, ExampleIndex] = field(default_factory=dict)
    reader: Reader = field(default_factory=Reader)

    def draw(self, plan: Plan) -> dict[str, Icon | Gallery]:
        """All pictures of a plan, by key: from the store where it has them, else drawn and kept.

        Ctrl-C passes through; what was finished before it is in the store.

        Raises:
            InvalidArgument: a source has not drawn what it planned: the page has room for it.
        """
        made = self.at_once(plan)
        for some in self.finished(plan):
            made |= some
        return made

    def at_once(self, plan: Plan) -> dict[str, Icon | Gallery]:
        """The pictures of a plan that are made in no time, by key."""
        made: dict[str, Icon | Gallery] = {}
        for source in self._sources(plan, at_once=True):
            made |= _whole(source.name, plan, source.draw(plan.of(source.name), self))
        return made

    def finished(self, plan: Plan) -> Iterator[Mapping[str, Icon | Gallery]]:
        """All others bit by bit: what ``reader`` points at first, then source after source."""
        work = [(each.name, self._drawing(each, plan)) for each in self._sources(plan)]
        while work:
            self.reader.check()
            turn = self.reader.first(work, lambda each: plan.keys_of(each[0]))
            made = next(turn[1], None)
            if made is None:
                work.remove(turn)
                continue
            self.reader.gets(made)
            yield made
        give_back()

    def _sources(self, plan: Plan, at_once: bool = False) -> list[PictureSource]:
        """Those that a plan has pictures of."""
        there = [each for each in SOURCES.values() if plan.of(each.name)]
        return [each for each in there if each.at_once == at_once]

    def _drawing(self, source: PictureSource, plan: Plan) -> Iterator[Mapping[str, Icon | Gallery]]:
        give_back()  # of the numbers, or of another source's pictures
        drawn: dict[str, Icon | Gallery] = {}
        for made in source.finished(plan.of(source.name), self):
            drawn |= made
            yield made
        _whole(source.name, plan, drawn)

    def told(self, plan: Plan) -> Pairs:
        """What the page's footer says of a plan's pictures: a line for each source."""
        return tuple(
            source.told(plan.count(name), plan.wanted[name], source.quality(self))
            for name, source in SOURCES.items()
            if plan.wanted.get(name)
        )

    def shows(self, side: int) -> bool:
        """Whether the network gets to see pictures of a side as they are, and not enlarged."""
        return self._seen_at(side) in (None, (self.channels, side, side))

    @property
    def channels(self) -> int:
        """Colour channels of the pictures."""
        return self.input_shape[0] if self.input_shape else self.net.channels

    def visualizer(self, layer: str, size: int) -> FeatureVisualizer:
        """What optimizes pictures of some side for a layer; for the answer at ``ANSWER``."""
        module = self.net.module
        place = module if layer == ANSWER else find_layer(module, layer)[1]
        return FeatureVisualizer(
            module,
            place,
            self._preparation(size),
            self._layout(layer, size),
            memory_budget=MEMORY_BUDGET,
        )

    def taken(self, entry: Entry | None) -> tuple[np.ndarray, list[float]] | None:
        """Pixels (y, x, 3) and numbers that the store has; None where it has none."""
        return None if entry is None or self.store is None else entry.taken(self.store)

    def keep(self, entry: Entry | None, pixels: np.ndarray, **about: Any) -> None:
        """Write a finished picture, where there is a store and a key to find it by.

        Args:
            entry: where it is kept.
            pixels: (y, x, 3) bytes.
            about: ``label``, ``objective`` and numbers, as ``description`` takes them.
        """
        if entry is not None and self.store is not None:
            entry.keep(self.store, pixels, description(self.net, entry.key, **about))

    @property
    def _known_shape(self) -> tuple[int, ...] | None:
        """(channel, height, width) that the network takes for certain, where that is known."""
        if self.input_shape is None and self.net.preprocess is not None:
            return (self.net.channels, *self.net.preprocess.shape)
        return self.input_shape

    def _seen_at(self, size: int) -> tuple[int, ...] | None:
        """(channel, height, width) at which the network gets to see pictures of a side.

        That side, else the next whole one, else the size that it is known to take; None where
        nothing is known of what it takes.
        """
        known = self._known_shape
        if known is None:
            return None
        whole = -(-size // WHOLE) * WHOLE
        shapes = ((known[0], side, side) for side in dict.fromkeys((size, whole)))
        return next(filter(self.net.takes, shapes), known)

    def _preparation(self, size: int) -> Callable[[Tensor], Tensor] | None:
        """Pictures in [0, 1] -> what the network takes; enlarged where it takes no such side."""
        normalise = self.net.preprocess.normalise if self.net.preprocess else None
        shape = self._seen_at(size)
        if shape is None or shape[1:] == (size, size):
            return normalise

        def enlarge(pixels: Tensor) -> Tensor:
            pixels = functional.interpolate(
                pixels, shape[1:], mode="bilinear", align_corners=False, antialias=True
            )
            return pixels if normalise is None else normalise(pixels)

        return enlarge

    def _layout(self, layer: str, size: int) -> Layout | None:
        """The layout of a layer, at the size at which the network gets to see pictures."""
        if layer == ANSWER:
            return None
        shape = self._seen_at(size)
        if shape is None and self.net.takes(own := (self.net.channels, size, size)):
            shape = own
        return None if shape is None else self.net.layout_at(layer, shape)


def _whole(
    name: str, plan: Plan, made: Mapping[str, Icon | Gallery]
) -> Mapping[str, Icon | Gallery]:
    """What a source has drawn, where that is all it planned: the page has room for it."""
    if missing := [key for each in plan.of(name) for key in each.keys if key not in made]:
        raise InvalidArgument(
            f"the picture source {name!r} planned a picture of {missing[0]!r} and has not "
            "drawn it: leave out of plan what has no picture"
        )
    return made
