"""The usual source: one icon a subject, optimized from noise.

What the store has is taken, the rest is drawn in batches of one layer, and every finished batch is
kept at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from torch import Tensor

from captum_blocks._memory import give_back
from captum_blocks.compose.pictures.kept import Entry, as_bytes, details
from captum_blocks.compose.pictures.progress import Advance
from captum_blocks.compose.pictures.quality import Quality, Recipe
from captum_blocks.compose.pictures.reader import Reader
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import USUAL, Request, Subject, objective_of
from captum_blocks.compose.pictures.sources import GradualSource, Icon, register

BATCH = 12


@register(USUAL)
class OptimizedIcon(GradualSource):
    """Each subject alone, from noise, with as many steps as the quality says.

    >>> from captum_blocks.compose.pictures.requests import channel_subject
    >>> OptimizedIcon().plan([channel_subject("bn2", 7)])[0].keys
    ('bn2/channel/7',)
    """

    def plan(self, subjects: Sequence[Subject]) -> list[Request]:
        """One request a subject; a direction without a channel in it has nothing to maximise."""
        shown = [each for each in subjects if each.direction is None or each.direction.any()]
        return super().plan(shown)

    def finished(
        self, requests: Sequence[Request], renderer: PictureRenderer
    ) -> Iterator[dict[str, Icon]]:
        """What the store has, then batch after batch, first those that the reader points at."""
        work = _Work(requests, renderer)
        yield (icons := work.kept(requests))
        missing = [request for request in requests if request.keys[0] not in icons]
        if not missing:
            return
        stage, steps = f"drawing {len(missing)} icons", len(missing) * renderer.quality.n_steps
        with renderer.progress.stage(stage, steps, "steps") as advance:
            while missing:
                batch = _batch(missing, renderer.reader)
                yield work.drawn(batch, advance)
                missing = [request for request in missing if request not in batch]
                give_back()  # another layer's batch takes other sizes

    def told(self, drawn: int, wanted: int, quality: Quality) -> tuple[str, str]:
        """How many icons, and how they are made."""
        return "icons", (
            f"{drawn} of {wanted} wanted, optimized from noise at {quality.size} pixels in "
            f"{quality.n_steps} steps, seed {quality.seed}"
        )


def entries_of(requests: Sequence[Request], renderer: PictureRenderer) -> Mapping[str, Entry]:
    """Where the store keeps each icon, by its key on the page; without those that it cannot."""
    return _Work(requests, renderer).entries


class _Work:
    """What the icons of some requests are made with, and where each of them is kept."""

    def __init__(self, requests: Sequence[Request], renderer: PictureRenderer) -> None:
        self.renderer, quality = renderer, renderer.quality
        kinds = {request.subjects[0].kind for request in requests}
        self.recipes = {kind: quality.recipe(renderer.channels, kind) for kind in kinds}
        self.objectives = {each.keys[0]: objective_of(each.subjects[0]) for each in requests}
        layers = {request.layer for request in requests}
        self.makers = {layer: renderer.visualizer(layer, quality.size) for layer in layers}
        self.entries = {} if renderer.store is None else self._entries(requests)

    def _entries(self, requests: Sequence[Request]) -> Mapping[str, Entry]:
        """Where each icon is kept, by its key on the page; each layer is looked at once a kind."""
        found = {}
        for group in _alike(requests):
            maker, recipe = self.makers[group[0].layer], self.recipe(group)
            wanted = [request.keys[0] for request in group]
            keys = maker.keys([self.objectives[name] for name in wanted], **recipe)
            side = recipe["size"]
            for name, key in zip(wanted, keys, strict=True):
                if key is not None:
                    found[name] = Entry(key, name.replace("/", "-"), side, side, "score")
        return found

    def recipe(self, group: Sequence[Request]) -> Recipe:
        """How icons of one kind are made."""
        return self.recipes[group[0].subjects[0].kind]

    def kept(self, requests: Sequence[Request]) -> dict[str, Icon]:
        """The icons that the store has."""
        icons = {}
        for request in requests:
            (key,) = request.keys
            if (found := self.renderer.taken(self.entries.get(key))) is not None:
                pixels, (score,) = found
                icons[key] = self.icon(request, pixels, score, cached=True)
        return icons

    def drawn(self, batch: Sequence[Request], advance: Advance) -> dict[str, Icon]:
        """The icons of one layer's batch, written to the store."""
        objectives = [self.objectives[request.keys[0]] for request in batch]

        def step_done(step: int, scores: Tensor) -> None:
            self.renderer.reader.check()
            advance(len(objectives))

        maker = self.makers[batch[0].layer]
        shown = maker.visualize(objectives, callback=step_done, **self.recipe(batch))
        if shown.interrupted:
            raise KeyboardInterrupt
        icons: dict[str, Icon] = {}
        pictures = as_bytes(shown.images)
        for request, pixels, score in zip(batch, pictures, shown.scores.tolist(), strict=True):
            (key,) = request.keys
            about = {"label": request.label, "objective": self.objectives[key].label}
            self.renderer.keep(self.entries.get(key), pixels, **about, score=score)
            icons[key] = self.icon(request, pixels, score, cached=False)
        return icons

    def icon(self, request: Request, pixels: np.ndarray, score: float, cached: bool) -> Icon:
        """A finished icon, with how it was made."""
        objective, quality = self.objectives[request.keys[0]], self.renderer.quality
        told = details(objective, request.layer, score, quality.n_steps, quality.seed)
        return Icon(pixels, request.label, told, cached)


def _alike(requests: Sequence[Request]) -> list[list[Request]]:
    """Those that can be drawn together, in the order asked for."""
    alike: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for request in requests:
        alike[_kind(request)].append(request)
    return list(alike.values())


def _kind(request: Request) -> tuple[str, str]:
    """What is drawn together: of one layer, and one kind."""
    return request.layer, request.subjects[0].kind


def _batch(missing: Sequence[Request], reader: Reader) -> list[Request]:
    """What is drawn next, in the order asked for, first what is pointed at."""
    first = reader.first(missing, lambda request: request.keys)
    others = [each for each in missing if _kind(each) == _kind(first) and each is not first]
    return [first, *others[: BATCH - 1]]
