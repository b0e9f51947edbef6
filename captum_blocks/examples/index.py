"""An index of the reader's own photographs: what excites each unit, and any direction."""

from __future__ import annotations

import copy
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from captum_blocks._paths import absolute, as_path
from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.examples.answering import Answerer
from captum_blocks.examples.asking import asked, check_rank
from captum_blocks.examples.building import build
from captum_blocks.examples.disk import said_where
from captum_blocks.examples.example import Example
from captum_blocks.examples.identity import check_same
from captum_blocks.examples.items import Pictures
from captum_blocks.examples.known import TEMPORARY, Known
from captum_blocks.examples.recipe import INDEX, Options
from captum_blocks.examples.sources import Sources, found_again, pictures_of
from captum_blocks.examples.stored import Stored
from captum_blocks.examples.typical import Extents
from captum_blocks.network import Network

Array = np.ndarray[Any, np.dtype[Any]]


class ExampleIndex(Known):
    """What excites each unit of some layers, among the reader's own photographs.

    Made by ``build`` or ``load``. It is on disk; what is asked of it is read from there.

    Attributes:
        layers: names of the layers, in the order they were given.
        count: how many photographs are in it.
        sources: how many different photographs those were cut from.
        skipped: those that are not in it, each with the reason.

    >>> import torch
    >>> from torch import nn
    >>> net = Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    >>> pictures = [torch.rand(3, 8, 8) for _ in range(6)]
    >>> index = ExampleIndex.build(net, pictures, ["1"], progress=False)
    >>> index.count, [len(examples) for examples in index.top(("1", [0, 2]), k=3)]
    (6, [3, 3])
    """

    def __init__(
        self,
        folder: Path,
        net: Network | None = None,
        pictures: Pictures | None = None,
        temporary: tempfile.TemporaryDirectory[str] | None = None,
    ) -> None:
        self._stored, self._pictures, self._temporary = Stored(folder), pictures, temporary
        self._net = net
        self._extents = Extents(self._stored)

    @classmethod
    def build(
        cls,
        net: Network,
        images: Any,
        layers: Sequence[str] | str | None = None,
        path: str | PathLike[str] | None = None,
        workers: int = 1,
        *,
        keep: str = "activations",
        budget: float = 2e9,
        sources: Sources | None = None,
        thumbnails: bool = False,
        batch_size: int = 16,
        vectors: int = 4096,
        seed: int = 0,
        progress: bool = True,
    ) -> ExampleIndex:
        """Look at photographs once, at all layers, and keep what excites each unit.

        What cannot be read is skipped, and told by ``skipped``. With ``path`` every batch is on
        disk before the next: a build that was stopped, however, goes on with the same call, and
        comes out the same, bit for bit, with equal batches, threads and processor.

        Args:
            net: the network.
            images: a folder, whose subfolders are labels; a list of paths; a torch ``Dataset`` or
                ``DataLoader`` of pictures or (picture, label); WebDataset tars; an fsspec URL.
            layers: their names; those of ``net.recommended()`` unless given.
            path: a folder for the index; a temporary one, gone with the index, unless given.
            workers: 1: more processes cannot be used yet.
            keep: "activations": those of all places, in 8 bits, of as many layers as fit the
                budget, the small ones first, so that directions are found without looking at all
                photographs again; "extremes": each photograph's maximum, minimum and mean alone.
            budget: bytes that activations may take, in all layers together.
            sources: which photographs pictures were cut from: "folder", or a function of the path
                (of the number where there is no path); each is its own unless given.
            thumbnails: whether small pictures are kept in the index; none is otherwise.
            batch_size: pictures that are looked at together.
            vectors: of so many photographs, drawn at random, the activations of all channels at one
                place are kept: the same place in all layers, away from the padding.
            seed: of what is drawn.
            progress: whether a bar is shown.

        Raises:
            WrongType, InvalidArgument: no such pictures, none that can be read, a DataLoader that
                shuffles, transforms that augment, a folder that holds something else.
            LayerNotFound: there is no such layer.
            NotWritten: the disk is full; what was looked at is kept.
        """
        if not isinstance(net, Network):
            raise WrongType(f"an index is of a Network(module, ...), not of {type(net).__name__}")
        _check_workers(workers)
        options = Options(
            keep, budget, batch_size, vectors, thumbnails, sources or "picture", seed
        ).checked()
        pictures = pictures_of(images)
        names = _names(net, layers)
        temporary = None
        if path is None:
            temporary = tempfile.TemporaryDirectory(prefix=TEMPORARY)
            folder = Path(temporary.name)
        else:
            folder = absolute(as_path(path, said="no such folder:"))
        build(net, pictures, names, folder, options, progress)
        made = cls(folder, net, pictures, temporary)
        for said in made.missing:
            warnings.warn(said, stacklevel=2)
        return made

    @classmethod
    def load(
        cls, path: str | PathLike[str], photos: Any = None, net: Network | None = None
    ) -> ExampleIndex:
        """An index that was saved, or built with ``path``.

        Args:
            path: its folder.
            photos: where the photographs are now: the folder or URL that their paths are relative
                to, which of a list is the folder that holds all of them; or what it was built of.
                Needed to look at some of them again.
            net: the network that it is of. Needed for the same.

        Raises:
            InvalidArgument: no index, one that is damaged or not finished, of another network or
                preprocessing; photographs that are not there.
        """
        made = cls(Path(as_path(path, said="no such index:")))
        if net is not None:
            made.check(net)
            made._net = net
        if photos is not None:
            made._pictures = made._found_again(photos)
        return made

    def save(self, path: str | PathLike[str]) -> Path:
        """Copy the index to a folder of its own.

        Raises:
            InvalidArgument: there is something else.
            NotWritten: the disk is full.
        """
        folder = absolute(as_path(path, said="no such folder:"))
        if folder == absolute(self.folder):
            return folder
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InvalidArgument(f"{folder} is there already: give another path, or remove it")
        with said_where(folder, "the copy is not whole"):
            shutil.copytree(
                self.folder, folder, ignore=shutil.ignore_patterns(INDEX), dirs_exist_ok=True
            )
            shutil.copy(self.folder / INDEX, folder / INDEX)
        return folder

    def top(
        self,
        units: Any,
        k: int = 9,
        rank: str = "top",
        *,
        layer: str | None = None,
        label: str | None = None,
        boxes: bool = False,
        exact: bool = True,
        seed: int = 0,
        progress: bool = False,
    ) -> list[list[Example]]:
        """The photographs that excite units or directions most.

        One example is shown of each photograph, and of near duplicates the first, which tells how
        many are ``like`` it. Of equal values the smaller number is first.

        Args:
            units: channels, as ``Hidden("layer3").channels[[7, 9]]`` or ``("layer3", [7, 9])``; or
                a direction (channel,), or several (direction, channel), of whatever length: values
                are products with it, and are compared with those of the same direction alone.
            k: how many of each; all there are where there are fewer.
            rank: "top"; "bottom": the smallest values first; "quantiles": one drawn from each of k
                bands of as many photographs, from the largest values to the smallest; "random".
            layer: of directions.
            label: among the photographs of this label alone.
            boxes: whether the part of each photograph that matters is found, the smallest that
                alone keeps 80 % of the activation: some fourteen passes an example, as far as the
                layer.
            exact: whether photographs are looked at again until values along a direction, and the
                order of the highest, are exact. Else both are those of the activations that are
                kept, each with its ``error``; so are the values of channels that are drawn, in half
                precision. Without photographs, too, what is exact is what was kept so.
            seed: of what is drawn.
            progress: whether a bar is shown where photographs are looked at again.

        Returns:
            For each unit or direction a list of examples.

        Raises:
            LayerNotFound: the layer is not in the index.
            InvalidArgument: there is no such channel, rank or label; photographs have to be looked
                at again, and they or the network are not there.
        """
        check_rank(rank, k)
        question = asked(units, layer, self._stored.widths, self._order)
        rows = self._labelled(label)
        if k > rows.sum():
            warnings.warn(
                f"k={k}, and there are {int(rows.sum())} photographs: all of them are given",
                stacklevel=2,
            )
        answerer = self._answerer(rows, progress, exact)
        found = answerer.answer(question, k, rank, seed)
        return answerer.boxed(found, question, rank) if boxes else found

    def cut(
        self,
        examples: Sequence[Any],
        layer: str | Sequence[str],
        *,
        side: int = 64,
        longest: int = 192,
    ) -> list[Any]:
        """What examples look like: the part that is shown of each photograph, and all of it.

        Of an example without a box the part about its place is shown. That is as large as holds, in
        most of eight examples of the layer, the smallest part that alone keeps 80 % of an
        activation; it is found once for a layer, and kept with the index.

        Args:
            examples: all that ``top`` gave, or one of its lists.
            layer: that they are of; or one for each of them.
            side: of a crop, in pixels.
            longest: the longer side of a photograph, in pixels, at most.

        Returns:
            A ``Cut`` for each example, in lists where lists were given.

        Raises:
            LayerNotFound: the layer is not in the index.
            WrongType: these are no examples.
            InvalidArgument: photographs or the network are not there, or are other ones.
        """
        if examples and all(isinstance(each, (list, tuple)) for each in examples):
            flat = self.cut(
                [e for each in examples for e in each], layer, side=side, longest=longest
            )
            remaining = iter(flat)
            return [[next(remaining) for _ in each] for each in examples]
        if wrong := [each for each in examples if not isinstance(each, Example)]:
            raise WrongType(f"index.cut takes examples of index.top, not {type(wrong[0]).__name__}")
        names = [layer] * len(examples) if isinstance(layer, str) else list(layer)
        orders = [self._order(name) for name in names]
        wanted = list(zip(orders, examples, strict=True))
        return self._answerer().cut(wanted, self._extents, side, longest)

    def read(self, examples: Sequence[Example], net: Network | None = None) -> Any:
        """The photographs of examples, as a network takes them.

        Args:
            examples: of one list that ``top`` gave.
            net: the network; the one that the index is of unless given.

        Returns:
            A tensor (example, channel, y, x).

        Raises:
            InvalidArgument: photographs or the network are not there, or are other ones.
        """
        return self._answerer().read(examples, net)

    def bound(self, net: Network) -> ExampleIndex:
        """The same index, of a network that its photographs can be looked at again with.

        Raises:
            InvalidArgument: the network is another one; the photographs are not there.
        """
        self.check(net)
        made = copy.copy(self)
        made._net = net
        made._answerer().look_there()
        return made

    def check(self, net: Network) -> None:
        """Whether a network is the one that this index is of.

        Raises:
            InvalidArgument: it has other weights or another preprocessing.
        """
        check_same(self._stored.content["of"], net, f"the index in {self.folder}")

    def _answerer(
        self, rows: Array | None = None, progress: bool = False, exact: bool = True
    ) -> Answerer:
        """What answers questions, of some photographs or of all."""
        allowed = np.ones(self.count, bool) if rows is None else rows
        return Answerer(self._stored, self._net, self._pictures, allowed, progress, exact)

    def _labelled(self, label: str | None) -> Array:
        """(row,) which photographs are of a label."""
        if label is None:
            return np.ones(self.count, bool)
        if label not in self.labels:
            known = ", ".join(self.labels[:8]) or "none"
            raise InvalidArgument(f"no photograph has the label {label!r}; labels: {known}")
        found: Array = self._stored.pictures["labels"] == self.labels.index(label)
        return found

    def _found_again(self, photos: Any) -> Pictures:
        told = self._stored.content["pictures"]
        made = found_again(photos, told["kind"], self._all_paths())
        if told["size"] is not None and made.size not in (None, told["size"]):
            raise InvalidArgument(
                f"photos= holds {made.size} pictures, and the index is of {told['size']}"
            )
        return made

    def _all_paths(self) -> list[str]:
        """By number; empty for those that were skipped before they had a path."""
        paths = [""] * int(self._stored.content["met"])
        table = self._stored.table
        for image, path in zip(table["image"].to_pylist(), table["path"].to_pylist(), strict=True):
            paths[image] = path
        for each in self.skipped:
            paths[each.image] = each.path
        return paths


def _check_workers(workers: int) -> None:
    if workers != 1:
        raise InvalidArgument(
            f"workers={workers!r}: an index is built by one process so far, workers=1"
        )


def _names(net: Network, layers: Sequence[str] | str | None) -> list[str]:
    wanted = [layers] if isinstance(layers, str) else layers
    names = [net.name_of(layer) for layer in (net.recommended() if wanted is None else wanted)]
    if not names:
        raise InvalidArgument("no layer is asked for: name some, or leave layers= out")
    return list(dict.fromkeys(names))
