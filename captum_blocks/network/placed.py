"""What a network knows of its layers: where their places are, and which to look at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor, nn

from captum_blocks._gradients import without_gradients
from captum_blocks.behaviour import warn_of
from captum_blocks.errors import InvalidArgument, UnusableLayer
from captum_blocks.hooks import find_layer, run_until, running
from captum_blocks.layouts import Layout, resolve
from captum_blocks.network.carrying import Carrying, Part, carried
from captum_blocks.network.choosing import each_runs_again, recommended
from captum_blocks.network.kept import Shape
from captum_blocks.network.layers import (
    LayerInfo,
    LayerTable,
    marked,
    with_places,
)
from captum_blocks.network.places import Found, has_several_places, without_places
from captum_blocks.network.ready import shape_of
from captum_blocks.network.survey import layout_of, survey
from captum_blocks.network.tested import places_of, two_pictures
from captum_blocks.network.ways import ways
from captum_blocks.network.weaving import Lens
from captum_blocks.preprocessing import FromTransforms, Preprocess
from captum_blocks.wrappers import why_nothing


class Placed:
    """The layers of a network and their layouts; ``Network`` is one.

    Attributes:
        module: what is run.
        layouts: declared layouts, by the full names of the layers.
        preprocess: of pictures, whose size decides where none is told.
        name: of the network.
    """

    module: nn.Module
    layouts: dict[str, Layout]
    preprocess: Preprocess | FromTransforms | None
    name: str
    _given: nn.Module
    _recommended: tuple[str, ...]

    def layout_of(self, name: str, output: Tensor, image: tuple[int, ...] | None = None) -> Layout:
        """The layout of a layer: as declared, as pictures show, or as its output suggests.

        Args:
            name: of the layer.
            output: what it returned.
            image: (height, width) or (channel, height, width) of the picture it was returned for;
                the preprocessing's unless told.

        Raises:
            InvalidArgument: the declared layout does not fit, or nothing can be guessed.
            UnusableLayer: its numbers have no places in the picture.
        """
        shape = tuple(output.shape)
        name, module = find_layer(self.module, self.name_of(name))
        if image is None and self.preprocess is not None:
            image = self.preprocess.shape
        if image is not None and has_several_places(shape):
            picture = (*((self.channels,) if len(image) == 2 else ()), *image)
            found = self.tested([name], picture).get(name)
            if found is not None and found.layout.kind == "none":
                raise UnusableLayer(without_places(name, shape))
            if found is not None and found.layout.fits(shape):
                return found.layout
        height, width = image[-2:] if image is not None else (1, 1)
        return layout_of(name, shape, self.layouts, (height, width), module)

    def tested(
        self, names: Sequence[str], shape: Shape, looking: Mapping[str, Lens] | None = None
    ) -> dict[str, Found]:
        """Where layers keep their places, tested for pictures of a size when first asked for.

        Args:
            names: of layers; those with a declared layout are left out.
            shape: (channel, height, width).
            looking: lenses of them that have seen the two pictures that others are woven of.
        """
        listed = dict(self.module.named_modules())
        # An element that is only listed does not become a layer of its own.
        as_is = (name if name in listed or ":" in name else self.name_of(name) for name in names)
        wanted = [name for name in as_is if name not in self.layouts]
        return places_of(self._given, self.module, wanted, shape, self._like, looking)

    def layout_at(self, name: str, shape: Shape) -> Layout | None:
        """The layout of a layer for pictures of another (channel, height, width).

        None where an engine finds it by itself, as the shape says what pictures show, and where
        the network takes no square picture of that size.
        """
        square = shape[1] == shape[2]
        if square and not self.takes(shape):
            return None
        layer = {name: find_layer(self.module, name)[1]}
        with without_gradients(), running(self.module):
            picture = self._like.new_zeros(1, *shape)
            output = run_until(self.module, layer, picture)[name]
        layout = self.layout_of(name, output, shape)
        with suppress(InvalidArgument):
            if square and resolve(None, output.shape, module=layer[name]) == layout:
                return None
        return layout

    def layers(self, x: Tensor | None = None) -> LayerTable:
        """What can be looked at, from a dry run on noise images; prints as a table.

        Where positions are is tested by pictures woven of two, and kept. Which of them carry the
        whole answer, ``info.carries_all``, is tested when a row is asked, and of those that come
        into question to be recommended.

        Args:
            x: a ready tensor whose size to use; the preprocessing's size unless given.

        Raises:
            InvalidArgument: there is no size to use, or a declared layout does not fit.
        """
        noise = self._noise(x)
        table = self._surveyed(noise)
        return marked(table, self._recommended or self._chosen(table, noise))

    def recommended(self, x: Tensor | None = None) -> tuple[str, ...]:
        """Layers to look at when none are named, early to late; those marked in ``layers()``.

        An early, a middle and a late one, behind a nonlinearity where there is one; of
        transformers, blocks before the last one. Each carries the whole answer where a layer of
        the same grid, or a block of the same third, does. Where all layers with positions run
        several times in one pass, some of those, and a warning says that numbers are of their last
        call.

        Raises:
            UnusableLayer: no layer has positions.
        """
        names = self._recommended
        if not names:
            noise = self._noise(x)
            table = self._surveyed(noise)
            names = self._chosen(table, noise)
            warn_of(each_runs_again(table, names))
        if not names:
            reason = f"; {why}" if (why := why_nothing(self._given)) is not None else ""
            raise UnusableLayer(f"{self.name} has no layer with positions to look at{reason}")
        return tuple(self.name_of(name) for name in names)

    def _surveyed(self, noise: Tensor) -> list[LayerInfo]:
        """Every layer, its places tested."""
        table, looking = survey(self.module, noise, self.layouts)
        shape = tuple(noise.shape[1:])
        placed = with_places(table, lambda names: self.tested(names, shape, looking))
        carrying = Carrying(lambda parts: self.carried(parts, shape))
        return [replace(info, carrying=carrying) for info in placed]

    def carried(self, parts: Sequence[Part], shape: Shape) -> dict[Part, bool | None]:
        """Whether parts of layers carry the whole answer, tested when first asked for.

        Args:
            parts: layers, or layers but for some tokens.
            shape: (channel, height, width) of the pictures.
        """
        return carried(self.module, parts, shape, self._like)

    def _chosen(self, table: list[LayerInfo], noise: Tensor) -> tuple[str, ...]:
        """Layers to look at first: none beside the answer, and such as carry it where there are."""
        layers, shape = dict(self.module.named_modules()), tuple(noise.shape[1:])

        def carries(names: Sequence[str]) -> dict[str, bool | None]:
            told = self.carried([Part(name) for name in names], shape)
            return {part.layer: one for part, one in told.items()}

        return recommended(
            table, lambda names: ways(self.module, layers, noise[:1], names), carries
        )

    def _noise(self, x: Tensor | None) -> Tensor:
        if x is None and self.preprocess is None:
            raise InvalidArgument(f"{self.name} has no preprocessing: give layers() an input")
        size = (self.channels, *self.preprocess.shape) if self.preprocess is not None else ()
        return two_pictures(shape_of(x, size), self._like)

    @property
    def channels(self) -> int:
        """How many channels a picture has for the network; three unless its preprocessing tells."""
        return 3 if self.preprocess is None else self.preprocess.channels

    @property
    def _like(self) -> Tensor:
        """A tensor of the type, and on the device, of what the module takes."""
        # No further than needed: every picture that is read asks.
        first = next(self._given.parameters(), None)
        kinds = (p.dtype for p in self._given.parameters() if p.dtype.is_floating_point)
        device = None if first is None else first.device
        return torch.zeros((), dtype=next(kinds, torch.float32), device=device)

    def name_of(self, layer: nn.Module | str) -> str:
        """The full dotted name of a layer given as a module, a name, or the end of one."""
        raise NotImplementedError

    def takes(self, shape: Shape) -> bool:
        """Whether the module can take images of this (channel, height, width)."""
        raise NotImplementedError
