"""Looking at some photographs of an index again."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from captum_blocks._gradients import without_gradients
from captum_blocks.behaviour import observed
from captum_blocks.errors import InvalidArgument
from captum_blocks.examples.identity import read_by
from captum_blocks.examples.items import Pictures
from captum_blocks.examples.likeness import FEW_BITS, NEAR_COLOUR, bits_apart, digests, signatures
from captum_blocks.examples.reading import Batch, Make, read_batch
from captum_blocks.examples.stored import Stored
from captum_blocks.hooks import find_layer, run_until, running, together
from captum_blocks.layouts import Layout
from captum_blocks.network import Network

Array = np.ndarray[Any, np.dtype[Any]]
BATCH = 16


class Again:
    """Runs photographs of an index once more, as far as a layer.

    Args:
        stored: the index.
        net: the network that it is of.
        pictures: its photographs.
        order: the layer's number.
    """

    def __init__(self, stored: Stored, net: Network, pictures: Pictures, order: int) -> None:
        self._stored, self._net, self._pictures = stored, net, pictures
        self._name: str = stored.names[order]
        self._calls = {self._name: int(stored.content["layers"][order]["calls"])}
        self._shape = tuple(stored.content["pictures"]["shape"])

    @property
    def layer(self) -> str:
        """Its name."""
        return self._name

    @property
    def apart(self) -> bool:
        """Whether photographs can be read by several at the same time: files can."""
        return self._pictures.kind == "files"

    def layout(self, x: Tensor) -> Layout:
        """Where the layer keeps channels and places for some pictures."""
        one, layer = x[:1], {self._name: find_layer(self._net.module, self._name)[1]}
        with without_gradients(), running(self._net.module):
            output = run_until(self._net.module, layer, one, calls=self._calls)[self._name]
        return self._net.layout_of(self._name, output, tuple(x.shape[1:]))

    def read(self, images: Sequence[int], make: Make | None = None) -> Batch:
        """Pictures by their ascending numbers, if they are those that the index was built of.

        Args:
            images: their numbers.
            make: what else is made of each, as ``read_batch`` does.

        Raises:
            InvalidArgument: they are not where they were, or other ones.
        """
        rows = np.searchsorted(self._stored.pictures["images"], images).tolist()
        batch = self._read(rows, make)
        self._checked(batch, rows)
        return batch

    def values(
        self, rows: Sequence[int], directions: Array, progress: bool = False
    ) -> tuple[Array, Array]:
        """The largest activation along directions, exactly.

        Args:
            rows: of the index, ascending.
            directions: (direction, channel).
            progress: whether a bar is shown.

        Returns:
            (row, direction) values, and the places, row by row of the grid, where they are.

        Raises:
            InvalidArgument: photographs are not where they were, or other ones.
        """
        values, places = list[Array](), list[Array]()
        pieces = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        with (
            ThreadPoolExecutor(1, "photographs") as reader,
            tqdm(total=len(rows), desc="looked at again", disable=not progress) as bar,
        ):
            waiting = [reader.submit(self._read, piece) for piece in pieces[:1]]
            for place, piece in enumerate(pieces):
                batch = waiting.pop().result()
                waiting += [reader.submit(self._read, n) for n in pieces[place + 1 : place + 2]]
                found = self._maps(self._checked(batch, piece)).flatten(2).double()
                best = torch.matmul(torch.from_numpy(directions), found.cpu()).max(2)
                values.append(best.values.numpy())
                places.append(best.indices.numpy())
                bar.update(len(piece))
        return np.concatenate(values), np.concatenate(places)

    def _read(self, rows: Sequence[int], make: Make | None = None) -> Batch:
        images = [int(self._stored.pictures["images"][row]) for row in rows]
        return read_batch(self._net, self._pictures, images, self._shape, make)

    def _checked(self, batch: Batch, rows: Sequence[int]) -> Tensor:
        """The pictures, if they are those that the index was built of."""
        if batch.x is None or batch.skipped or len(batch.images) != len(rows):
            missing = batch.skipped[0] if batch.skipped else None
            said = f"{missing.path} {missing.reason}" if missing else "the pictures end before"
            raise InvalidArgument(
                f"{len(rows) - len(batch.images)} of {len(rows)} photographs that have to be "
                f"looked at again cannot be: {said}; if they have moved, give their folder: "
                "ExampleIndex.load(path, photos=...)"
            )
        other = self._others(batch.x, rows)
        if other.any():
            item = batch.items[int(other.argmax())]
            called = item.path or f"picture {batch.images[int(other.argmax())]}"
            raise InvalidArgument(
                f"{called} is another photograph than the one that the index was built of; build "
                "it again, or give the photographs that it is of"
            )
        return batch.x

    def _others(self, x: Tensor, rows: Sequence[int]) -> Array:
        """(picture,) whether each is another one than the index was built of.

        With the same libraries it is the same bit for bit. Others read and resize a little
        otherwise: then it is nearly the same.
        """
        known = self._stored.pictures
        if self._stored.content.get("read_by") == read_by():
            return np.asarray(digests(x) != known["digests"][rows])
        hashes, colours = signatures(x)
        apart = np.abs(colours.astype(np.float32) - known["colours"][rows].astype(np.float32))
        far = apart.max(1) > NEAR_COLOUR
        return np.asarray((bits_apart(hashes, known["hashes"][rows]) > FEW_BITS) | far)

    def _maps(self, x: Tensor) -> Tensor:
        """(picture, channel, y, x) of the layer."""
        net, layer = self._net, {self._name: find_layer(self._net.module, self._name)[1]}
        apart = len(x) > 1 and observed(net.module, x).apart
        with without_gradients(), running(net.module):
            outputs = [
                run_until(net.module, layer, rows, calls=self._calls)[self._name]
                for rows in x.split(1 if apart else len(x))
            ]
        output = together(outputs)
        return net.layout_of(self._name, output, tuple(x.shape[1:])).to_maps(output)
