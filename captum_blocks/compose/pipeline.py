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
    """A scene, the numbers behind it, keyed by content, and the most probable classes."""

    scene: Scene
    values: Mapping[Content, Value]
    predictions: Sequence[Prediction]


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
    """
    check_given([interface], given)
    validate([interface], net)
    if len(x) != 1:
        raise InvalidArgument(f"a page shows one photograph, not {len(x)}; explain them one by one")
    elements = build.elements_of(interface)
    with progress.stage("one look through the network"):
        context = Context(net, x, given, [interface])
    pools = Pools(context, picture.extent)
    with progress.stage("attribution and groups"):
        evaluated = [frames(element.content, context) for element in elements]
    defaults = [build.telling_frame(shown) for shown in evaluated]
    wanted = [
        build.wanted_icons(element, shown, default, pools)
        for element, shown, default in zip(elements, evaluated, defaults, strict=True)
    ]
    everything = Wanted()
    for part in wanted:
        everything.join(part)
    requests = everything.chosen(quality.budget)
    pools.icons = render_icons(requests, net, quality, store, progress, tuple(x.shape[1:]))
    with progress.stage("laying out the page"):
        panels = [
            _drawn(*parts, pools, quality)
            for parts in zip(elements, evaluated, defaults, wanted, strict=True)
        ]
        chapters = _chapters(interface, panels, evaluated)
        values = {e.content: f.values[0] for e, f in zip(elements, evaluated, strict=True)}
        made = Scene(
            title=sentences.title(context, picture.name),
            answer=sentences.answer(context, values.values()),
            photo=Photo(_shown(picture.image), picture.name, picture.extent),
            chapters=tuple(chapters),
            sprites=pools.sprites,
            fields=pools.fields,
            selections=tuple(pools.selections.values()),
            footer=sentences.footer(context, interface, quality, pools.icons, everything)
            + ((("photograph", picture.note),) if picture.note else ()),
        )
    return Composition(made, values, net.ranked(context.logits[0], 5))


def _shown(image: Image.Image) -> np.ndarray:
    """The photograph's pixels, no larger than a page needs."""
    scale = min(1.0, LARGEST_PHOTO / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def _drawn(
    element: Element, shown: Frames, default: int, wanted: Wanted, pools: Pools, quality: Quality
) -> Panel:
    follows = tuple(
        pools.selection(each.selection, each.value, place, each.of_target)
        for each, place in zip(shown.followed, shown.defaults(default), strict=True)
    )
    sets, highlights = (
        pools.selection(selection, shown.values[0]) if selection else None
        for selection in (element.sets, element.highlights)
    )
    coverage = wanted.coverage(key for key in wanted.requests if key in pools.icons)
    drawing = build.Drawing(element, shown, pools, quality, follows, sets, highlights, coverage)
    return build.draw(drawing)


def _chapters(interface: Interface, panels: list[Panel], evaluated: list[Frames]) -> list[Chapter]:
    chapters, start = [], 0
    for part in build.chapters_of(interface):
        end = start + len(build.elements_of(part))
        values = [value for shown in evaluated[start:end] for value in shown.values[:1]]
        method = sentences.method_notes(part, values)
        chapters.append(build.chapter(part, panels[start:end], method))
        start = end
    return chapters
