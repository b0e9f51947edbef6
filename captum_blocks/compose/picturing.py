"""Which pictures a page is made of: icons that are drawn, photographs beside them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from captum_blocks import scene
from captum_blocks.compose.by_meaning import MEANINGS
from captum_blocks.compose.evaluation.question import Question
from captum_blocks.compose.marks import View, mark_of
from captum_blocks.compose.pictures.gallery import Gallery
from captum_blocks.compose.pictures.photographs import NOT_BUILT, PHOTOGRAPHS, lacking
from captum_blocks.compose.pictures.plan import Plan, Wanted, plan_pictures
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import Subject
from captum_blocks.compose.pictures.sources import Icon
from captum_blocks.errors import InvalidArgument
from captum_blocks.examples import ExampleIndex
from captum_blocks.grammar import FeatureVis, Hidden, Interface, parts_of
from captum_blocks.scene import Panel, Sprite

# What an index knows: channels, and directions in channel space; what can be sorted by meaning.
KNOWN = {PHOTOGRAPHS: ("channel", "group"), MEANINGS: ("channel",)}


def planned(views: Sequence[View], renderer: PictureRenderer) -> tuple[Plan, list[View]]:
    """The pictures of a page.

    Args:
        views: what each element is drawn from.
        renderer: how many pictures are made, and of which data sets.

    Returns:
        The plan, and the views, each with what it lacks.
    """
    subjects = [tuple(mark_of(view.element, view.base).pictures(view)) for view in views]
    asked = list(zip(views, subjects, strict=True))
    budget = renderer.quality.budget
    icons = plan_pictures([_drawn(view, some) for view, some in asked], budget)
    beside = plan_pictures([_beside(view, some, icons, renderer) for view, some in asked], budget)
    coverage = tuple(
        own if _is_drawn(view) else other
        for view, own, other in zip(views, icons.coverage, beside.coverage, strict=True)
    )
    both = replace(icons.and_then(beside), coverage=coverage)
    missing = [_lacking(view, some, renderer) for view, some in asked]
    for each in dict.fromkeys(filter(None, missing)):
        if NOT_BUILT in each:
            warnings.warn(f"{each}; build the index with these layers, too", stacklevel=2)
    return both, [replace(view, lacking=each) for view, each in zip(views, missing, strict=True)]


def indexes_of(interface: Interface, question: Question) -> dict[str, ExampleIndex]:
    """The data sets whose photographs are shown, each of the network that it is beside.

    Raises:
        InvalidArgument: an index of another network; photographs that are not there.
    """
    shown = (part for part in parts_of(interface) if isinstance(part, FeatureVis))
    found = dict[str, ExampleIndex]()
    for element in shown:
        place = next((each for each in parts_of(element.content) if isinstance(each, Hidden)), None)
        if element.dataset is None or place is None:
            continue
        net = question.networks[question.named(place)]
        name = element.dataset.name
        if name not in found:
            found[name] = question.given[name].bound(net)
    return found


def _is_drawn(view: View) -> bool:
    return view.order is None or view.is_drawn


def _drawn(view: View, subjects: tuple[Subject, ...]) -> Wanted:
    """The pictures that are optimized, and by what."""
    return Wanted(subjects, view.recipe) if _is_drawn(view) else Wanted()


def _beside(
    view: View, subjects: tuple[Subject, ...], icons: Plan, renderer: PictureRenderer
) -> Wanted:
    """Photographs beside what is drawn, or of what is most wanted where nothing is."""
    order = view.order
    if order is None:
        return Wanted()
    keys, index = icons.keys, renderer.indexes.get(order.dataset)
    if index is None:  # nothing of a hidden layer is shown
        return Wanted()
    source = MEANINGS if order.rank == MEANINGS else PHOTOGRAPHS
    there = (each for each in subjects if each.kind in KNOWN[source] and index.knows(each.layer))
    chosen = (each for each in there if each.key in keys or not view.is_drawn)
    named = tuple(replace(each, key=order.key(each.key)) for each in chosen)
    return Wanted(named, source, order)


def _lacking(view: View, subjects: tuple[Subject, ...], renderer: PictureRenderer) -> str:
    """Why some of its atoms have no photographs."""
    order = view.order
    if order is None or not subjects:
        return ""
    source = MEANINGS if order.rank == MEANINGS else PHOTOGRAPHS
    known = [each for each in subjects if each.kind in KNOWN[source]]
    if not known and not view.is_drawn:
        found = "channels, neurons and groups" if source == PHOTOGRAPHS else "channels"
        raise InvalidArgument(
            f"{view.element!r}: {source} are found for {found} of hidden layers; leave out by=, or "
            "say by=('optimized', ...)"
        )
    if not known and source == MEANINGS:
        return "no meanings: photographs are sorted for channels of hidden layers"
    if not known:
        return "no photographs: an index knows channels and groups of hidden layers"
    layers = [each.layer for each in known]
    return lacking(layers, order.dataset, renderer.indexes[order.dataset])


def said(panel: Panel, lacking: str) -> Panel:
    """A panel that says what it lacks."""
    told = "; ".join(filter(None, (panel.left_out, lacking)))
    return replace(panel, left_out=told) if lacking else panel


def blank(plan: Plan, made: Collection[str], renderer: PictureRenderer) -> dict[str, Sprite]:
    """The places of pictures that are still to be drawn."""
    side, requests = renderer.quality.size, plan.requests
    labels = {one.key: one.label for request in requests for one in request.subjects}
    return {key: Sprite.blank(side, label) for key, label in labels.items() if key not in made}


def sprites(drawn: Mapping[str, Icon | Gallery]) -> dict[str, Sprite]:
    """Pictures that are drawn, by key: photographs are none."""
    icons = ((key, icon) for key, icon in drawn.items() if isinstance(icon, Icon))
    return {key: Sprite(icon.pixels, icon.label, icon.details) for key, icon in icons}


def galleries(drawn: Mapping[str, Icon | Gallery]) -> dict[str, Any]:
    """Photographs beside atoms, and the wholes that they are cut from: fields of a scene."""
    found = {key: made for key, made in drawn.items() if isinstance(made, Gallery)}
    photographs = {n: pixels for made in found.values() for n, pixels in made.photographs.items()}
    return {
        "galleries": {key: _gallery(made) for key, made in found.items()},
        "photographs": photographs,
    }


def _gallery(made: Gallery) -> scene.Gallery:
    bands = tuple(
        scene.Band(
            band.title,
            tuple(scene.Crop(c.pixels, c.words, c.photograph, c.box, c.kind) for c in band.crops),
        )
        for band in made.bands
    )
    return scene.Gallery(made.label, made.about, bands, made.shown)
