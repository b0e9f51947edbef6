"""The walk of one photograph: values, icons, scene, each once, in that order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from captum_blocks.compose import build, sentences
from captum_blocks.compose.context import Context, check_given
from captum_blocks.compose.icons import Quality, Wanted, render_icons
from captum_blocks.compose.pools import Pools
from captum_blocks.compose.progress import Progress
from captum_blocks.compose.states import Frames, frames
from captum_blocks.compose.validation import validate
from captum_blocks.compose.values import Value
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Content, Element, Interface
from captum_blocks.network import Network, Prediction
from captum_blocks.scene import Chapter, Panel, Photo, Scene
from captum_blocks.store import Store

LARGEST_PHOTO = 760


@dataclass(frozen=True, eq=False)
class Picture:
    """The photograph as it is shown.

    Attributes:
        image: upright RGB.
        name: e.g. its file name.
        extent: what part of it the network saw.
        note: said in the footer, e.g. that the colours were rescaled for display.
    """

    image: Image.Image
    name: str
    extent: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    note: str = ""


@dataclass(frozen=True, eq=False)
class Composition:
    """A scene, the numbers behind it, keyed by content, and the most probable classes.

    >>> Composition(Scene("Why?", "Because.", None, ()), {}, ()).scene.title
    'Why?'
    """

    scene: Scene
    values: Mapping[Content, Value]
    predictions: Sequence[Prediction]


@dataclass(frozen=True, eq=False)
class _Part:
    """An element with its numbers, the icons it wants and the frame it opens on."""

    element: Element
    frames: Frames
    wanted: Wanted
    default: int

    @classmethod
    def of(cls, element: Element, pools: Pools) -> _Part:
        shown = frames(element.content, pools.context)
        default = build.telling_frame(shown)
        return cls(element, shown, build.wanted_icons(element, shown, default, pools), default)

    @property
    def values(self) -> dict[Content, Value]:
        """The numbers behind it: of a content that follows selections, those it picks from."""
        if not self.frames.followed:
            return {self.element.content: self.frames.values[0]}
        return {each.content: each.value for each in self.frames.followed}

    def panel(self, pools: Pools) -> Panel:
        opened = self.frames.defaults(self.default)
        follows = tuple(
            pools.selection(each.selection, each.value, place, each.of_target)
            for each, place in zip(self.frames.followed, opened, strict=True)
        )
        sets, highlights = (
            pools.selection(selection, self.frames.values[0]) if selection else None
            for selection in (self.element.sets, self.element.highlights)
        )
        coverage = self.wanted.coverage(pools.promised)
        return build.draw(
            build.Drawing(self.element, self.frames, pools, follows, sets, highlights, coverage)
        )


def compose(
    interface: Interface,
    net: Network,
    x: Tensor,
    picture: Picture,
    given: Mapping[str, Any],
    quality: Quality,
    store: Store | None,
    progress: Progress,
) -> Composition:
    """Evaluate an interface on one picture and lay it out as a scene.

    Everything is laid out before the first icon is drawn, so that whatever cannot be shown is said
    at once.

    Args:
        interface: what is shown.
        net: the network.
        x: (1, ...) as the module takes it.
        picture: the same as it is shown.
        given: the objects that ``Given`` words name.
        quality: of the icons.
        store: where icons are kept; None keeps none.
        progress: named stages.

    Raises:
        BlocksError: before long work, whatever cannot be shown.

    >>> import torch
    >>> from captum_blocks.grammar import Activation, InfoVis, Out
    >>> net = Network(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2)).eval())
    >>> answer, grey = Interface((InfoVis(Activation(Out())),)), Image.new("RGB", (4, 4))
    >>> x, few = torch.zeros(1, 3, 4, 4), Quality(size=16, n_steps=1, budget=1)
    >>> made = compose(answer, net, x, Picture(grey, "grey"), {}, few, None, Progress(False))
    >>> len(made.scene.chapters)
    1
    """
    _check(interface, net, x, given)
    with progress.stage("one look through the network"):
        context = Context(net, x, given, [interface])
    pools = Pools(context, picture.extent)
    with progress.stage("attribution and groups"):
        parts = [_Part.of(element, pools) for element in build.elements_of(interface)]
    everything = _joined(parts)
    requests = everything.chosen(quality.budget)
    pools.promised = {request.key for request in requests}
    chapters = _chapters(interface, [part.panel(pools) for part in parts], parts)
    pools.deliver(
        render_icons(requests, net, quality, store, progress, tuple(x.shape[1:])), quality
    )
    values = {content: value for part in parts for content, value in part.values.items()}
    footer = sentences.footer(context, interface, quality, pools.promised, everything)
    if picture.note:
        footer += (("photograph", picture.note),)
    with progress.stage("laying out the page"):
        made = Scene(
            title=sentences.title(context, picture.name),
            answer=sentences.answer(context, values.values()),
            photo=Photo(_shown(picture.image), picture.name, picture.extent),
            chapters=tuple(chapters),
            sprites=pools.sprites,
            fields=pools.fields,
            selections=tuple(pools.selections.values()),
            footer=footer,
        )
    return Composition(made, values, net.ranked(context.logits[0], 5))


def _check(interface: Interface, net: Network, x: Tensor, given: Mapping[str, Any]) -> None:
    check_given([interface], given)
    validate([interface], net)
    if len(x) != 1:
        raise InvalidArgument(f"a page shows one photograph, not {len(x)}; explain them one by one")


def _joined(parts: list[_Part]) -> Wanted:
    everything = Wanted()
    for part in parts:
        everything.join(part.wanted)
    return everything


def _shown(image: Image.Image) -> np.ndarray:
    """The photograph's pixels, no larger than a page needs."""
    scale = min(1.0, LARGEST_PHOTO / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def _chapters(interface: Interface, panels: list[Panel], parts: list[_Part]) -> list[Chapter]:
    chapters, start = [], 0
    for inner in build.chapters_of(interface):
        end = start + len(build.elements_of(inner))
        values = [part.frames.values[0] for part in parts[start:end]]
        method = sentences.method_notes(inner, values)
        chapters.append(build.chapter(inner, panels[start:end], method))
        start = end
    return chapters
