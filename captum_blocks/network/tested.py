"""Tests of places, made when a layer is first asked for, and kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor, nn

from captum_blocks.errors import BlocksError
from captum_blocks.network.kept import Kept, Shape
from captum_blocks.network.places import Found
from captum_blocks.network.settling import found_by, stripes_for
from captum_blocks.network.weaving import Lens, Seen, Weave, look

# By the name of the layer; None where nothing was seen.
_KEPT: Kept[str, Found | None] = Kept()
FAILURES = (BlocksError, RuntimeError, ValueError, AssertionError, IndexError, TypeError)


def places_of(
    given: nn.Module,
    network: nn.Module,
    names: Iterable[str],
    shape: Shape,
    like: Tensor,
    looking: Mapping[str, Lens] | None = None,
) -> dict[str, Found]:
    """Where layers keep their places, tested for those for which that has not been done yet.

    Args:
        given: the module that results are kept for, as long as its weights stay the same.
        network: what is run: that module, or a readout of it.
        names: of the layers; ``"name:element"`` for one of several tensors returned.
        shape: (channel, height, width) of the pictures.
        like: a tensor of the type and on the device of the network's input.
        looking: lenses of the layers that have seen ``two_pictures`` already, if there are.

    Returns:
        By name, without those that return no map of numbers. Nothing, where the network takes no
        such pictures.
    """
    known = _KEPT.of(given, shape)
    modules = dict(network.named_modules())
    wanted = {
        name: modules.get(name) or modules[name.partition(":")[0]]
        for name in names
        if name not in known
    }
    if wanted:
        known.update(dict.fromkeys(wanted), **_tried(network, wanted, shape, like, looking))
    return {name: found for name in names if (found := known[name]) is not None}


def _tried(
    network: nn.Module,
    layers: Mapping[str, nn.Module],
    shape: Shape,
    like: Tensor,
    looking: Mapping[str, Lens] | None,
) -> dict[str, Found]:
    image = (shape[1], shape[2])
    with suppress(*FAILURES):
        weave, seen = look(
            network, layers, Weave(shape), like, lambda shapes: stripes_for(shapes, image), looking
        )

        def again(names: list[str]) -> Mapping[str, Seen]:
            """Seen with other pictures, woven alike."""
            some, others = {name: layers[name] for name in names}, replace(weave, seed=1)
            return look(network, some, others, like, lambda shapes: weave.grid)[1]

        return found_by(seen, weave, layers, again)
    return {}


def two_pictures(shape: Shape, like: Tensor) -> Tensor:
    """(2, channel, y, x): the noise that pictures are woven of.

    >>> two_pictures((3, 8, 8), torch.zeros(())).shape
    torch.Size([2, 3, 8, 8])
    """
    return torch.cat(Weave(shape).two()).to(like)
