"""From a question to photographs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_blocks._pictures import ADDRESS
from captum_blocks.errors import InvalidArgument
from captum_blocks.examples.again import Again
from captum_blocks.examples.asking import Question
from captum_blocks.examples.bounds import Bounds, bounds_of, bounds_of_channel
from captum_blocks.examples.boxed import boxed
from captum_blocks.examples.choosing import choose, spread
from captum_blocks.examples.cutting import Cut, cut
from captum_blocks.examples.example import Example
from captum_blocks.examples.items import Pictures
from captum_blocks.examples.search import Search
from captum_blocks.examples.stored import Stored, column
from captum_blocks.examples.typical import Extents
from captum_blocks.network import Network

Array = np.ndarray[Any, np.dtype[Any]]


class Answerer:
    """Answers questions of an index.

    Args:
        stored: the index.
        net: the network that it is of, where there is one.
        pictures: its photographs, where they are.
        allowed: (row,) which of them may be shown.
        progress: whether bars are shown.
        exact: whether photographs that are drawn are looked at again for exact values.
    """

    def __init__(
        self,
        stored: Stored,
        net: Network | None,
        pictures: Pictures | None,
        allowed: Array,
        progress: bool,
        exact: bool = True,
    ) -> None:
        self._exact = exact
        self._stored, self._net, self._pictures = stored, net, pictures
        self._allowed, self._progress = allowed, progress

    def answer(self, question: Question, k: int, rank: str, seed: int) -> list[list[Example]]:
        """Examples for each channel or direction that was asked for."""
        if question.channels is not None:
            return [
                self._of_channel(question.layer, channel, k, rank, seed)
                for channel in question.channels
            ]
        assert question.directions is not None
        return self._of_directions(question.layer, question.directions, k, rank, seed)

    def _of_channel(self, layer: int, channel: int, k: int, rank: str, seed: int) -> list[Example]:
        table = self._stored.layer(layer)
        at = table["at"]
        if rank in ("top", "bottom"):
            rows, values = (np.array(table[f"{rank}{end}"][:, channel]) for end in ("_rows", ""))
            inside = self._allowed[rows]
            chosen = choose(rows[inside], self._stored.looks, k)
            if len(chosen) == k or len(rows) == self._stored.rows:
                known = dict(zip(rows.tolist(), values.tolist(), strict=True))
                found = [(known[row], int(at[row, channel])) for row in chosen]
                return self._examples(layer, chosen, found)
            if self._can_look:
                return self._one(layer, channel, k, rank)
        bounds = bounds_of_channel(self._stored, layer, channel)
        chosen = self._drawn(bounds.estimate[:, 0], k, rank, seed)
        if self._can_look and not np.isfinite(bounds.estimate[chosen]).all():
            search = self._search(layer, self._alone(layer, channel), bounds)
            search.look_at(sorted(chosen))
            return self._told(layer, search, [chosen], sign=1)[0]
        return self._about(layer, bounds, 0, chosen)

    @property
    def _can_look(self) -> bool:
        """Whether photographs can be looked at again."""
        return self._net is not None and self._pictures is not None

    def _alone(self, layer: int, channel: int) -> Array:
        """A channel as a direction."""
        one = np.zeros((1, self._stored.widths[layer]))
        one[0, channel] = 1
        return one

    def _one(self, layer: int, channel: int, k: int, rank: str) -> list[Example]:
        bounds = bounds_of_channel(self._stored, layer, channel)
        return self._exactly(layer, self._alone(layer, channel), bounds, k, rank)[0]

    def _drawn(self, values: Array, k: int, rank: str, seed: int) -> list[int]:
        """Rows by values that are known for all of them."""
        rows = np.flatnonzero(self._allowed)
        if rank == "random":
            order = np.random.default_rng((seed, 2)).permutation(rows)
            return choose(order, self._stored.looks, k)
        sign = 1 if rank == "bottom" else -1
        order = rows[np.argsort(sign * values[rows], kind="stable")]
        if rank == "quantiles":
            return spread(order, self._stored.looks, k, seed)
        return choose(order, self._stored.looks, k)

    def _of_directions(
        self, layer: int, directions: Array, k: int, rank: str, seed: int
    ) -> list[list[Example]]:
        bounds = bounds_of(self._stored, layer, directions)
        kept = not self._exact and bool((bounds.places >= 0).all())
        if rank in ("top", "bottom") and not kept:
            return self._exactly(layer, directions, bounds, k, rank)
        values, search = bounds.estimate, None
        if rank == "quantiles" and (bounds.places < 0).any():  # bounds are too wide for bands
            search = self._search(layer, directions, bounds)
            search.look_at(np.flatnonzero(self._allowed).tolist())
            values = search.found.values
        drawn = [self._drawn(values[:, each], k, rank, seed) for each in range(len(directions))]
        placed = all((bounds.places[each] >= 0).all() for each in drawn)
        if search is None and placed and not self._exact:
            return [self._about(layer, bounds, d, rows) for d, rows in enumerate(drawn)]
        search = search or self._search(layer, directions, bounds)
        wanted = {row for each in drawn for row in each if search.found.places[row, 0] < 0}
        if wanted:
            search.look_at(sorted(wanted))
        return self._told(layer, search, drawn, sign=1)

    def _about(self, layer: int, bounds: Bounds, direction: int, rows: list[int]) -> list[Example]:
        """Examples by what is kept of them, each with how far its value may be off."""
        values, at = bounds.estimate[rows, direction], bounds.places[rows, direction]
        off = np.maximum(
            bounds.upper[rows, direction] - values, values - bounds.lower[rows, direction]
        )
        found = list(zip(values.tolist(), at.tolist(), strict=True))
        pairs = zip(self._examples(layer, rows, found), off.tolist(), strict=True)
        return [replace(example, error=error) for example, error in pairs]

    def _exactly(
        self, layer: int, directions: Array, bounds: Bounds, k: int, rank: str
    ) -> list[list[Example]]:
        sign = 1 if rank == "top" else -1
        search = self._search(layer, directions, bounds if sign == 1 else bounds.turned(), sign)
        return self._told(layer, search, search.best(k), sign)

    def _search(self, layer: int, directions: Array, bounds: Bounds, sign: int = 1) -> Search:
        again = self._again(layer)

        def look(rows: Sequence[int], progress: bool) -> tuple[Array, Array]:
            values, places = again.values(rows, directions, progress and self._progress)
            return sign * values, places

        return Search(bounds, self._stored.looks, look, self._allowed, self._stored.same)

    def boxed(self, found: list[list[Example]], question: Question, rank: str) -> Any:
        """Examples with their boxes, each of which is found."""
        sign = {"top": 1, "bottom": -1}.get(rank)
        again = self._again(question.layer, "the part of each photograph that matters")
        assert self._net is not None
        return boxed(found, question, again, self._net, sign)

    def cut(
        self, examples: Sequence[tuple[int, Example]], extents: Extents, side: int, longest: int
    ) -> list[Cut]:
        """The pictures of examples, each of a layer."""
        layers = {layer for layer, _ in examples}
        again = {layer: self._again(layer, "pictures of examples") for layer in sorted(layers)}
        assert self._net is not None
        frames = {layer: extents.frame(layer, again[layer], self._net) for layer in again}
        wanted = [(example, frames[layer]) for layer, example in examples]
        return cut(wanted, next(iter(again.values())), side, longest) if wanted else []

    def read(self, examples: Sequence[Example], net: Network | None) -> Tensor:
        """Photographs of examples, as the index's own network or another one takes them."""
        images = sorted({example.image for example in examples})
        batch = self._again(0, "reading photographs").read(images, lambda shown, x: (shown, x))
        read = [x if net is None else _of(net, shown, x) for shown, x in batch.made]
        return torch.cat([read[images.index(example.image)] for example in examples])

    def look_there(self) -> None:
        """Look at one photograph.

        Raises:
            InvalidArgument: it is not where it was, or is another one.
        """
        self._again(0, "pictures of examples").read([int(self._stored.pictures["images"][0])])

    def _again(self, layer: int, why: str = "the exact answer") -> Again:
        if self._net is None or self._pictures is None:
            missing = [
                said
                for said, there in (("net=", self._net), ("photos=", self._pictures))
                if there is None
            ]
            raise InvalidArgument(
                f"for {why}, photographs have to be looked at again: give "
                f"{' and '.join(missing)} to ExampleIndex.load"
            )
        return Again(self._stored, self._net, self._pictures, layer)

    def _told(
        self, layer: int, search: Search, chosen: Sequence[list[int]], sign: int
    ) -> list[list[Example]]:
        values, places = sign * search.found.values, search.found.places
        return [
            self._examples(layer, each, [(float(values[r, d]), int(places[r, d])) for r in each])
            for d, each in enumerate(chosen)
        ]

    def _examples(
        self, layer: int, chosen: list[int], found: Sequence[tuple[float, int]]
    ) -> list[Example]:
        """What is shown of rows, with the value and place of each."""
        columns = self._stored.grid(layer)[1]
        table = self._stored.table
        everything = np.flatnonzero(self._allowed)
        like = [self._stored.looks.count_like(row, everything) for row in chosen]
        told = [column(table[name], chosen) for name in ("path", "label", "image", "source")]
        return [
            Example(
                value,
                self._where(path),
                label,
                image,
                source,
                divmod(place, columns),
                like=more,
            )
            for (value, place), more, path, label, image, source in zip(
                found, like, *told, strict=True
            )
        ]

    def _where(self, path: str) -> str:
        """The path of a photograph, complete where the root is known."""
        root = "" if self._pictures is None else self._pictures.root
        if not path or not root or ADDRESS.match(root):
            return path
        return os.path.join(root, path)


def _of(net: Network, shown: Any, x: Tensor) -> Tensor:
    """A photograph as another network takes it; where it came ready, as it came."""
    return net.read(x if shown is None else shown)
