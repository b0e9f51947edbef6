"""A scene of two photographs: every kind of selection, tables, histograms, small multiples."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from skimage.data import chelsea, coffee

from captum_blocks.scene import (
    Bars,
    Below,
    Beside,
    Chapter,
    Field,
    Histogram,
    Mark,
    Matrix,
    Multiples,
    Overlay,
    Photo,
    Scene,
    Selection,
    Sprite,
)
from tests.render.sample import blob, icon

GRID = 7
CHANNELS, BELOW, BINS = 6, 4, 12
CLASSES = ("tiger cat", "Egyptian cat", "espresso")
GROUP_COUNTS = (2, 3, 4)
# What the network saw: the middle square of either photograph.
SEEN = ((0.0, 0.167, 1.0, 0.833), (0.2, 0.0, 0.8, 1.0))
PICTURES = ("cat.jpg", "cup.jpg")

Tiles = tuple[Mark, ...]


def _photos() -> tuple[Photo, Photo]:
    cup = np.ascontiguousarray(coffee()[:, 120:420])
    return Photo(chelsea(), PICTURES[0], SEEN[0]), Photo(cup, PICTURES[1], SEEN[1])


def _field(name: str, photo: int, hue: int | None = None, signed: bool = False) -> Field:
    random = np.random.default_rng(len(name) * 7 + sum(map(ord, name)) + photo)
    values = blob(GRID, GRID, *random.uniform(0.1, 0.9, 2))
    if signed:
        values = values - blob(GRID, GRID, *random.uniform(0.1, 0.9, 2))
    low = -1.0 if signed else 0.0
    return Field(values, (low, 1.0), "activation", name, hue, SEEN[photo])


def _fields() -> dict[str, Field]:
    fields = {}
    for photo, name in enumerate(PICTURES):
        for k in range(max(GROUP_COUNTS)):
            fields[f"{name}/group/{k}"] = _field(f"group {k + 1}", photo, k)
        for k in range(CHANNELS):
            fields[f"{name}/channel/{k}"] = _field(f"bn2 : {k}", photo)
        fields[f"{name}/strength"] = _field("strength", photo)
        fields[f"{name}/effect"] = _field("effect", photo, signed=True)
    return fields


def _sprites() -> dict[str, Sprite]:
    names = [f"bn2/channel/{k}" for k in range(CHANNELS)]
    names += [f"bn1/channel/{k}" for k in range(CHANNELS * BELOW)]
    names += [f"bn2/group/{k}" for k in range(max(GROUP_COUNTS))]
    return {
        name: Sprite(icon(k, 64), name.replace("/channel/", " : ")) for k, name in enumerate(names)
    }


def groups(photo: str, count: int) -> Tiles:
    """So many groups on a photograph; the last of few is another atom than the last of many."""
    return tuple(
        Mark(
            f"bn2/group/{k}",
            f"group {k + 1}",
            (round(1.6 - 0.5 * k, 2),),
            f"bn2/group/{k}",
            f"{photo}/group/{k}",
            k,
            detail=f"group {k + 1} of {count} on {photo}",
        )
        for k in range(count)
    )


def channels(photo: str) -> Tiles:
    """Channels whose numbers differ from photograph to photograph."""
    shift = 0.3 * PICTURES.index(photo)
    return tuple(
        Mark(
            f"bn2/channel/{k}",
            f"bn2 : {k}",
            (round(1.2 - 0.4 * k + shift, 2),),
            f"bn2/channel/{k}",
            f"{photo}/channel/{k}",
            detail=f"bn2 : {k} on {photo}",
        )
        for k in range(CHANNELS)
    )


def came_from(channel: int) -> Tiles:
    """The channels of the layer below that a channel came from."""
    return tuple(
        Mark(
            f"bn1/channel/{BELOW * channel + k}",
            f"bn1 : {BELOW * channel + k}",
            (round(0.9 - 0.3 * k, 2),),
            f"bn1/channel/{BELOW * channel + k}",
        )
        for k in range(BELOW)
    )


def table(photo: str) -> Tiles:
    """Groups, what they leave out, and the sum, for three classes."""
    shift = PICTURES.index(photo)
    rows = [tuple(round(0.7 * np.cos(3 * k + c + shift), 2) for c in range(3)) for k in range(3)]
    rows = [tuple(map(float, row)) for row in rows]
    marks = [
        Mark(f"bn2/group/{k}", f"group {k + 1}", row, f"bn2/group/{k}", f"{photo}/group/{k}", k)
        for k, row in enumerate(rows)
    ]
    rest = (0.05, -0.02, None)
    total = tuple(round(sum(column), 2) for column in zip(*rows, strict=True))
    marks.append(Mark("bn2/group/residual", "not explained", rest, role="remainder"))
    return (*marks, Mark("bn2/group/total", "total", total, role="total"))


def links() -> Tiles:
    """Every channel of one layer against every one of another."""
    random = np.random.default_rng(3)
    return tuple(
        Mark(f"bn1/channel/{k}", f"bn1 : {k}", tuple(map(float, random.normal(0, 0.4, 9).round(2))))
        for k in range(5)
    )


def counts(photo: str) -> tuple[tuple[int, ...], ...]:
    """How many neurons of two layers fire how much."""
    shift = PICTURES.index(photo)
    return tuple(
        tuple(int(90 * np.exp(-0.4 * abs(k - layer - shift))) for k in range(BINS))
        for layer in (0, 3)
    )


def pictured() -> Selection:
    return Selection("photo", "choose", "image", PICTURES, labels=PICTURES, title="Photograph")


def selections() -> tuple[Selection, ...]:
    """One of every kind: chosen, slid, clicked, hovered over."""
    cells = tuple(f"{y},{x}" for y in range(GRID) for x in range(GRID))
    numbers = tuple(map(str, GROUP_COUNTS))
    keys = tuple(f"bn2/channel/{k}" for k in range(CHANNELS))
    return (
        pictured(),
        Selection("k", "slider", "number", numbers, 1, labels=numbers, title="number of groups"),
        Selection("class", "choose", "class", CLASSES, title="class"),
        Selection("down", "click", "channel", keys, title="channel"),
        Selection("near", "hover", "channel", keys, default=1),
        Selection("spot", "click", "spatial", cells, 24, (GRID, GRID), SEEN[0]),
    )


def _answers(name: str) -> Tiles:
    shares = {"tiger cat": (0.7, 0.2), "Egyptian cat": (0.5, -0.3), "espresso": (-0.4, 0.6)}[name]
    return tuple(Mark(f"bn2/group/{k}", f"group {k + 1}", (v,)) for k, v in enumerate(shares))


def _first_chapter() -> Chapter:
    stage = Overlay(
        "Strength at bn2",
        unit="activation",
        follows=("photo",),
        sets=("spot",),
        highlights="spot",
        frames=tuple((f"{name}/strength",) for name in PICTURES),
        stage=True,
    )
    tiles = Bars(
        "Groups",
        "As many as you like.",
        "activation",
        follows=("photo", "k"),
        frames=tuple(groups(name, count) for name in PICTURES for count in GROUP_COUNTS),
        domain=(0.0, 2.0),
        maps=True,
    )
    for_class = Bars(
        "Effect on a class",
        unit="logit",
        follows=("class",),
        frames=tuple(_answers(name) for name in CLASSES),
        domain=(-1.0, 1.0),
    )
    return Chapter("Which groups?", "Slide for more.", Below((stage, tiles, for_class)))


def _second_chapter() -> Chapter:
    top = Bars(
        "Channels",
        "Click one to see what it came from.",
        "logit",
        follows=("photo",),
        sets=("down",),
        highlights="down",
        frames=tuple(channels(name) for name in PICTURES),
        domain=(-1.2, 1.5),
        arrangement="tiles",
    )
    came = Bars(
        "Came from",
        unit="logit",
        follows=("down",),
        frames=tuple(came_from(k) for k in range(CHANNELS)),
        domain=(0.0, 1.0),
        arrangement="tiles",
    )
    small = Multiples(
        "Where they fire",
        "One photograph a channel.",
        "logit",
        follows=("photo",),
        sets=("down",),
        frames=tuple((*channels(name), Mark("none", "no map", ())) for name in PICTURES),
    )
    return Chapter("Which channels?", "Click to go down.", Below((top, came, small)))


def _third_chapter() -> Chapter:
    numbers = Matrix(
        "Groups and classes",
        "A row adds to each class.",
        "logit",
        follows=("photo",),
        columns=CLASSES,
        frames=tuple(table(name) for name in PICTURES),
        domain=(-1.0, 1.0),
    )
    colours = Matrix(
        "Channels and channels",
        "The larger, the more.",
        "logit",
        columns=tuple(f"bn2 : {k}" for k in range(9)),
        frames=(links(),),
        domain=(-1.0, 1.0),
        style="colours",
    )
    return Chapter("In numbers?", "", Beside((numbers, colours)))


def _fourth_chapter() -> Chapter:
    spread = Histogram(
        "How much neurons fire",
        "",
        "activation",
        follows=("photo",),
        edges=tuple(0.25 * k for k in range(BINS + 1)),
        columns=("bn1", "bn2"),
        frames=tuple(counts(name) for name in PICTURES),
        counted="neurons",
    )
    heat = Overlay(
        "Effect at bn2",
        "For and against, on a sheet.",
        "activation",
        follows=("photo",),
        sets=("spot",),
        highlights="spot",
        frames=tuple((f"{name}/effect",) for name in PICTURES),
        bare=True,
    )
    size = replace(heat, title="Size at bn2", frames=tuple((f"{n}/strength",) for n in PICTURES))
    return Chapter("How is it spread?", "", Below((spread, Beside((heat, size)))))


@cache
def kinds_scene() -> Scene:
    """Four chapters: groups, channels, tables, spread."""
    first, second = _photos()
    return Scene(
        title="What do a cat and a cup share?",
        answer="Little.",
        photo=first,
        chapters=(_first_chapter(), _second_chapter(), _third_chapter(), _fourth_chapter()),
        sprites=_sprites(),
        fields=_fields(),
        selections=selections(),
        footer=(("network", "none"),),
        others=(second,),
        pictured="photo",
    )


# Of each photograph, for each of the two rows.
OWN = ((0.3, 2.9), (3.0, None))


@cache
def marked_scene() -> Scene:
    """One panel of counts, among which the photograph's own numbers are marked."""
    counted = next(each for each in kinds_scene().panels() if isinstance(each, Histogram))
    marked = replace(counted, marked=OWN, left_out="among the channel means of 90 photographs")
    return replace(kinds_scene(), chapters=(Chapter("", "", marked),))
