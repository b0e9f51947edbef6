"""The walk of one photograph: values, icons, scene, each once, in that order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from captum_blocks.compose import build, sentences
from captum_blocks.compose.amounts import check_amount
from captum_blocks.compose.arranging import chapter, chapters_of, elements_of, has_chapters
from captum_blocks.compose.context import Context, check_given
from captum_blocks.compose.icons import Quality, render_icons
from captum_blocks.compose.mosaics import render_mosaics
from captum_blocks.compose.pictures import Picture
from captum_blocks.compose.pools import Pools
from captum_blocks.compose.progress import Progress
from captum_blocks.compose.states import Frames, frames
from captum_blocks.compose.validation import validate
from captum_blocks.compose.values import Numbers, Value
from captum_blocks.compose.wanted import IconRequest, MosaicRequest, Wanted
from captum_blocks.grammar import Content, Element, FeatureVis, Interface, Selection, Substrate
from captum_blocks.network import Network, Prediction
from captum_blocks.scene import Chapter, Pairs, Panel, Photo, Scene
from captum_blocks.store import Store


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
    """An element with its numbers in every state and the icons it wants."""

    element: Element
    frames: Frames
    wanted: Wanted
    colours: Frames | None = None

    @property
    def evaluated(self) -> tuple[Frames, ...]:
        """Everything that was evaluated for it."""
        return (self.frames,) if self.colours is None else (self.frames, self.colours)

    def panel(self, pools: Pools) -> Panel:
        opened = self.frames.places(self.frames.default)
        follows = tuple(
            pools.followed(each, place)
            for each, place in zip(self.frames.followed, opened, strict=True)
        )
        words = [each.selection for each in self.frames.followed]
        named = dict(zip(words, follows, strict=True))
        sets = tuple(self._pointed(each, named, pools) for each in self.element.changes)
        marked = self.element.highlights
        highlights = None if marked is None else self._pointed(marked, named, pools)
        return build.draw(
            build.Drawing(
                self.element,
                self.frames,
                pools,
                follows,
                sets,
                highlights,
                self.colours,
                self.wanted.coverage(pools.promised),
            )
        )

    def _pointed(self, selection: Selection, named: Mapping[Selection, str], pools: Pools) -> str:
        """The name of a selection set or marked; a place that the panel follows is that place."""
        if selection.atom == "spatial" and selection in named:
            return named[selection]
        return pools.pointed(selection, self.frames.values)


class _Parts:
    """The elements of an interface, each evaluated once; those that set a selection first.

    Args:
        elements: in reading order.
        context: what they are evaluated in.
    """

    def __init__(self, elements: Sequence[Element], context: Context) -> None:
        self.elements, self.context = elements, context
        self._frames: dict[Content, Frames] = {}
        self._under_way: set[Content] = set()

    def frames(self, content: Content) -> Frames:
        """A content in every state."""
        if content not in self._frames:
            self._under_way.add(content)
            self._frames[content] = frames(content, self.context, self._reach)
            self._under_way.discard(content)
        return self._frames[content]

    def _reach(self, selection: Selection, substrate: Substrate) -> tuple[int, ...] | None:
        """The atoms of a substrate that the elements which set a selection show."""
        shown: dict[int, None] = {}
        setters = [element for element in self.elements if selection in element.changes]
        for element in setters:
            if element.content in self._under_way:
                continue
            for value in self.frames(element.content).values:
                if _same_atoms(value.source, substrate):
                    shown |= dict.fromkeys(value.coords.get(substrate.atom, ()))
        return tuple(shown) or None


def _same_atoms(one: Substrate, other: Substrate) -> bool:
    return (one.layer, one.atom, one.grouping) == (other.layer, other.atom, other.grouping)


def compose(
    interface: Interface,
    net: Network,
    x: Tensor,
    pictures: Sequence[Picture],
    given: Mapping[str, Any],
    quality: Quality,
    store: Store | None,
    progress: Progress,
) -> Composition:
    """Evaluate an interface on some pictures and lay it out as a scene.

    Everything is laid out before the first icon is drawn, so that whatever cannot be shown is said
    at once.

    Args:
        interface: what is shown.
        net: the network.
        x: (image, ...) as the module takes it.
        pictures: the same as they are shown. Several share one extent.
        given: the objects that ``Given`` words name.
        quality: of the icons.
        store: where icons are kept; None keeps none.
        progress: named stages.

    Raises:
        BlocksError: before long work, whatever cannot be shown.

    >>> import torch
    >>> from captum_blocks.grammar import Activation, InfoVis, Out
    >>> from PIL import Image
    >>> net = Network(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2)).eval())
    >>> answer, grey = Interface((InfoVis(Activation(Out())),)), Image.new("RGB", (4, 4))
    >>> x, few = torch.zeros(1, 3, 4, 4), Quality(size=16, n_steps=1, budget=1)
    >>> made = compose(answer, net, x, [Picture(grey, "grey")], {}, few, None, Progress(False))
    >>> len(made.scene.chapters)
    1
    """
    check_given([interface], given)
    validate([interface], net)
    with progress.stage("one look through the network"):
        names = [picture.name for picture in pictures]
        context = Context(net, x, given, [interface], names)
    pools = Pools(context, pictures[0].extent)
    with progress.stage("attribution and groups"):
        parts = _evaluated(interface, context, pools)
    everything = _joined(parts)
    requests = everything.chosen(quality.budget)
    mosaics = list(everything.mosaics.values())
    pools.promised = {request.key for request in requests}
    pools.promised |= {key for mosaic in mosaics for key in mosaic.keys}
    panels = [part.panel(pools) for part in parts]
    for panel in panels:
        pools.open_alike(panel.sets)
    pools.open_on_what_is_shown(panels)
    chapters = _chapters(interface, panels, parts, given)
    _draw_icons(requests, mosaics, pools, quality, store, progress)
    every = [frames for part in parts for frames in part.evaluated]
    values = Numbers(entry for frames in every for entry in frames.numbers.items())
    with progress.stage("laying out the page"):
        photos = [_photo(picture) for picture in pictures]
        own = interface if has_chapters(interface) else Interface(interface.parts)
        answer = sentences.answer(context, values.values())
        made = Scene(
            title=own.title or sentences.title(context, values.values()),
            answer=f"{own.reading} {answer}".strip(),
            photo=photos[0],
            chapters=tuple(chapters),
            sprites=pools.sprites,
            fields=pools.fields,
            selections=tuple(pools.selections.values()),
            footer=_footer(context, interface, quality, everything, pictures, pools),
            others=tuple(photos[1:]) if pools.pictured else (),
            pictured=pools.pictured,
        )
    return Composition(made, values, net.ranked(context.logits[0], 5))


def _evaluated(interface: Interface, context: Context, pools: Pools) -> list[_Part]:
    elements = elements_of(interface)
    for element in elements:
        check_amount(element, context)
    evaluated = _Parts(elements, context)
    parts = []
    for element in elements:
        shown = evaluated.frames(element.content)
        painted = element.colour_by if isinstance(element, FeatureVis) else None
        colours = None if painted is None else evaluated.frames(painted)
        wanted = build.wanted_icons(element, shown, pools)
        parts.append(_Part(element, shown, wanted, colours))
    return parts


def _draw_icons(
    requests: list[IconRequest],
    mosaics: list[MosaicRequest],
    pools: Pools,
    quality: Quality,
    store: Store | None,
    progress: Progress,
) -> None:
    net, shape = pools.context.net, tuple(pools.context.x.shape[1:])
    icons = render_icons(requests, net, quality, store, progress, shape)
    pools.deliver(icons, quality.n_steps, quality.seed)
    cells = render_mosaics(mosaics, net, quality, store, progress, shape)
    pools.deliver(cells, quality.cell_steps, quality.seed)


def _footer(
    context: Context,
    interface: Interface,
    quality: Quality,
    everything: Wanted,
    pictures: Sequence[Picture],
    pools: Pools,
) -> Pairs:
    drawn = pools.promised & set(everything.requests)
    footer = sentences.footer(context, interface, quality, drawn, everything)
    treated = context.net.preprocess.note if context.net.preprocess else ""
    notes = [note for note in (*(picture.note for picture in pictures), treated) if note]
    return (*footer, ("photograph", "; ".join(dict.fromkeys(notes)))) if notes else footer


def _joined(parts: list[_Part]) -> Wanted:
    everything = Wanted()
    for part in parts:
        everything.join(part.wanted)
    return everything


def _photo(picture: Picture) -> Photo:
    return Photo(np.asarray(picture.image), picture.name, picture.extent)


def _chapters(
    interface: Interface, panels: list[Panel], parts: list[_Part], given: Mapping[str, Any]
) -> list[Chapter]:
    chapters, start = [], 0
    for inner in chapters_of(interface):
        end = start + len(elements_of(inner))
        values = [each.values[0] for part in parts[start:end] for each in part.evaluated]
        method = sentences.method_notes(inner, values, given)
        chapters.append(chapter(inner, panels[start:end], method))
        start = end
    return chapters
