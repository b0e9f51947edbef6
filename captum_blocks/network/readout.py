"""The same network, giving (image, class): one element of its output, a region of a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_blocks.errors import InvalidArgument, UnusableLayer, WrongType
from captum_blocks.hooks import tapped
from captum_blocks.network.squashing import LastSquash
from captum_blocks.scores import chosen, squash_between, table

Box = tuple[float, float, float, float]


class Region:
    """A part of the picture over which a map of class scores is averaged.

    Args:
        where: a box (top, left, bottom, right) in fractions of the network's input, or a mask
            (y, x), whose entries are weights.

    Raises:
        InvalidArgument: an empty box or mask.

    >>> Region((0.0, 0.0, 0.5, 1.0)).weights((2, 2)).tolist()
    [[0.5, 0.5], [0.0, 0.0]]
    """

    def __init__(self, where: Sequence[float] | Tensor | np.ndarray) -> None:
        if isinstance(where, (Tensor, np.ndarray)) and where.ndim == 2:
            self._mask: Tensor | None = torch.as_tensor(where).float()
            if not bool((self._mask >= 0).all()) or float(self._mask.sum()) <= 0:
                raise InvalidArgument("a region's mask needs at least one entry above zero")
            self._box: Box = (0.0, 0.0, 1.0, 1.0)
        else:
            self._mask, self._box = None, _box(where)

    def weights(self, grid: tuple[int, int]) -> Tensor:
        """How much each cell of a (rows, columns) map counts; they sum to one."""
        if self._mask is not None:
            made = functional.adaptive_avg_pool2d(self._mask[None, None], grid)[0, 0]
        else:
            top, left, bottom, right = self._box
            made = torch.outer(_covered(grid[0], top, bottom), _covered(grid[1], left, right))
        return made / made.sum()

    def mean(self, maps: Tensor) -> Tensor:
        """(image, class, y, x) -> (image, class)."""
        rows, columns = maps.shape[-2:]
        return (maps * self.weights((rows, columns)).to(maps)).sum((-2, -1))

    def __str__(self) -> str:
        if self._mask is not None:
            share = float((self._mask > 0).float().mean())
            return f"a mask of {share:.0%} of the picture"
        if self._box == (0.0, 0.0, 1.0, 1.0):
            return "the whole picture"
        top, left, bottom, right = self._box
        return f"rows {top:.0%} to {bottom:.0%}, columns {left:.0%} to {right:.0%} of the picture"


def _box(where: Any) -> Box:
    try:
        top, left, bottom, right = (float(edge) for edge in where)
    except (TypeError, ValueError):
        raise WrongType(
            f"a region is a box (top, left, bottom, right) in fractions of the picture, or a mask "
            f"(y, x), not {where!r}"
        ) from None
    if not (0 <= top < bottom <= 1 and 0 <= left < right <= 1):
        raise InvalidArgument(
            f"region ({top:g}, {left:g}, {bottom:g}, {right:g}): give top < bottom and "
            "left < right, in fractions of the picture between 0 and 1"
        )
    return (top, left, bottom, right)


def _covered(cells: int, low: float, high: float) -> Tensor:
    """How much of each of so many equal cells of [0, 1] lies between two places."""
    edges = torch.linspace(0, 1, cells + 1)
    return (edges[1:].clamp(max=high) - edges[:-1].clamp(min=low)).clamp(min=0)


class Readout(nn.Module):
    """A network under another reading: the same layers by the same names, (image, class) out.

    It shares the network's parameters and layers and registers nothing with it: the network is
    what it was, also while the readout is in use.

    Args:
        network: the network.
        output: which element of what it returns holds the scores, by name or index.
        region: where a map of scores is averaged.
        elements: of layers that return several tensors: ``{layer name: (element, ...)}``; each one
            becomes a layer ``"name:element"``.
        logits: of a table of probabilities that a last softmax or sigmoid makes, give what that
            was given.

    Attributes:
        squash: "softmax" or "sigmoid", where its scores are the logits in front of it, as the last
            pass showed.

    >>> net = nn.Conv2d(3, 5, 1)
    >>> Readout(net, region=Region((0, 0, 1, 1)))(torch.zeros(2, 3, 4, 4)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        network: nn.Module,
        output: str | int | None = None,
        region: Region | None = None,
        elements: Mapping[str, Sequence[str]] | None = None,
        logits: bool = False,
    ) -> None:
        super().__init__()
        self.squash: str | None = None
        self._logits = logits
        # In a tuple, so that it does not become a layer of its own and rename all the others.
        self._network = (network,)
        self._output, self._region = output, region
        self._parameters, self._buffers = network._parameters, network._buffers
        self._modules = network._modules
        self._taps: list[tuple[str, nn.Module, dict[str, nn.Module]]] = []
        if elements:
            self._modules = dict(network._modules)
            for name, wanted in elements.items():
                taps: dict[str, nn.Module] = {each: nn.Identity().eval() for each in wanted}
                self._taps.append((name, network.get_submodule(name), taps))
                self._modules |= {f"{name}:{each}": tap for each, tap in taps.items()}

    @property
    def stands_for(self) -> nn.Module:
        """The network, which may be known already."""
        return self._network[0]

    @property
    def training(self) -> bool:  # type: ignore[override]
        """The network's own flag: it decides what the forward pass does."""
        network = self.__dict__.get("_network")
        return network[0].training if network else True

    @training.setter
    def training(self, training: bool) -> None:
        if "_network" in self.__dict__:
            self._network[0].training = training

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """What the network takes -> (image, class)."""
        with ExitStack() as undo:
            for name, layer, taps in self._taps:
                undo.enter_context(tapped(layer, taps, name))
            squashes = undo.enter_context(LastSquash()) if self._logits else None
            output = self._network[0](*inputs, **named)
        images, name = pictures_in(inputs, named), self._get_name()
        if squashes is None:
            self.squash = None if self._output is not None else squash_between(output, images)
            return as_scores(output, images, name, self._output, self._region)
        return self._unsquashed(output, squashes, images)

    def _unsquashed(self, output: Any, squashes: LastSquash, images: int) -> Tensor:
        """The logits where a last softmax or sigmoid made the scores, or the scores themselves."""
        name = self._get_name()
        scores = chosen(output, images, name, self._output)
        found = squashes.behind(scores)
        both = None if self._output is not None else squash_between(output, images)
        self.squash = both if found is None else found[0]
        return as_scores(scores if found is None else found[1], images, name, None, self._region)

    def _get_name(self) -> str:
        return str(self._network[0]._get_name())


def as_scores(
    output: Any,
    images: int,
    name: str,
    wanted: str | int | None = None,
    region: Region | None = None,
) -> Tensor:
    """What a network returned as a table of scores; a map of scores by its mean over a region.

    Raises:
        UnusableLayer: it is neither a table of scores nor a map with a region.

    >>> as_scores({"age": torch.zeros(2)}, 2, "AgeNet").shape
    torch.Size([2, 1])
    """
    found = chosen(output, images, name, wanted)
    if region is None:
        return table(found, images, name)
    if found.ndim == 4:
        return region.mean(found)
    raise UnusableLayer(
        f"{name} returns a tensor of shape {tuple(found.shape)}, which has no positions to "
        "take a region of; leave region= out"
    )


def pictures_in(inputs: Sequence[Any], named: Mapping[str, Any]) -> int:
    """How many pictures a network is given: the rows of its first tensor.

    >>> pictures_in((torch.zeros(3, 8),), {})
    3
    """
    given = (part for part in (*inputs, *named.values()) if isinstance(part, Tensor) and part.ndim)
    return next((len(part) for part in given), 1)
