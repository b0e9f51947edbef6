"""The source "shared": pictures of all positions of a layer, drawn together and kept together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from captum_blocks._memory import give_back
from captum_blocks.compose.pictures.kept import Entry, as_bytes, details
from captum_blocks.compose.pictures.progress import Advance
from captum_blocks.compose.pictures.quality import Quality
from captum_blocks.compose.pictures.reader import Reader
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import USUAL, Request, Subject, objective_of
from captum_blocks.compose.pictures.sources import GradualSource, Icon, register, source_named
from captum_blocks.optim import FeatureVisualizer, Mosaic
from captum_blocks.optim.objectives import stored

EDGE = 4  # a mosaic is optimized so many pixels larger than it is shown


@register("shared")
class SharedGrid(GradualSource):
    """The positions of a layer in one go, with what neighbours have in common.

    >>> here = Subject("a/spatial/0,0", "a at row 1, column 1", "a", "spatial", 0, torch.ones(4))
    >>> SharedGrid().plan([here])[0].source
    'optimized'
    """

    def plan(self, subjects: Sequence[Subject]) -> list[Request]:
        """One request for the positions of a layer in a photograph; nothing where nothing fires.

        What shares nothing with neighbours is drawn as usual, each on its own.
        """
        grids: dict[tuple[str, int | None], list[Subject]] = defaultdict(list)
        others = []
        for subject in subjects:
            if subject.direction is None or subject.shares is None:
                others.append(subject)
            elif subject.direction.norm() > 0:
                grids[subject.layer, subject.image].append(subject)
        whole = [
            Request(self.name, tuple(cells), f"{layer}-mosaic")
            for (layer, _), cells in grids.items()
        ]
        return [*whole, *source_named(USUAL).plan(others)]

    def finished(
        self, requests: Sequence[Request], renderer: PictureRenderer
    ) -> Iterator[dict[str, Icon]]:
        """Mosaic after mosaic, from the store where it has it, else drawn and kept."""
        left = list(requests)
        while left:
            request = renderer.reader.first(left, lambda each: each.keys)
            left.remove(request)
            yield _drawn(request, renderer, self.quality(renderer))

    def quality(self, renderer: PictureRenderer) -> Quality:
        """None are small for a network that sees all enlarged, which takes as long for either."""
        quality = renderer.quality
        if not quality.small_cell or renderer.shows(quality.small_cell + EDGE):
            return quality
        return replace(quality, small_cell=0)

    def told(self, drawn: int, wanted: int, quality: Quality) -> tuple[str, str]:
        """How many pictures, and how they are made."""
        return "pictures of positions", (
            f"{drawn}, drawn together at {quality.cell_sides} in {quality.cell_steps} steps, seed "
            f"{quality.seed}"
        )


def _drawn(request: Request, renderer: PictureRenderer, quality: Quality) -> dict[str, Icon]:
    mosaic = _mosaic(request, quality, renderer.channels)
    maker = renderer.visualizer(request.layer, mosaic.size + EDGE)
    key, count, size = mosaic.key(maker), len(request.keys), mosaic.size
    entry = None if key is None else Entry(key, request.label, count * size, size, "scores", count)
    if (found := renderer.taken(entry)) is not None:
        sheet, scores = found
        return _icons(request, sheet.reshape(count, size, size, 3), scores, quality, cached=True)
    stage = f"drawing {count} positions"
    with renderer.progress.stage(stage, mosaic.n_steps, "steps") as advance:
        pictures, scores = _visualized(mosaic, maker, advance, renderer.reader)
        give_back()
    sheet = pictures.reshape(-1, *pictures.shape[2:])
    about = {"label": request.label, "objective": "activation vectors"}
    renderer.keep(entry, sheet, **about, size=size, scores=scores)
    return _icons(request, pictures, scores, quality, cached=False)


def _mosaic(request: Request, quality: Quality, channels: int) -> Mosaic:
    cells = request.subjects
    return Mosaic(
        stored(torch.stack([cell.direction for cell in cells])),  # type: ignore[misc]
        stored(torch.stack([cell.shares for cell in cells])),  # type: ignore[misc]
        size=quality.cell_of(len(cells)),
        n_steps=quality.cell_steps,
        seed=quality.seed,
        channels=channels,
    )


def _visualized(
    mosaic: Mosaic, maker: FeatureVisualizer, advance: Advance, reader: Reader
) -> tuple[np.ndarray, list[float]]:
    def step_done(step: int, scores: Tensor) -> None:
        reader.check()
        advance(1)

    shown = mosaic.visualize(maker, callback=step_done)
    if shown.interrupted:
        raise KeyboardInterrupt
    return as_bytes(shown.images), shown.scores.tolist()


def _icons(
    request: Request, pictures: np.ndarray, scores: list[float], quality: Quality, cached: bool
) -> dict[str, Icon]:
    icons = {}
    for cell, pixels, score in zip(request.subjects, pictures, scores, strict=True):
        objective = objective_of(cell)
        told = details(objective, cell.layer, score, quality.cell_steps, quality.seed)
        icons[cell.key] = Icon(pixels, cell.label, told, cached)
    return icons
