"""Engines for a network that stays as it is while many questions are asked of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks.attr._ablating import Looked
from captum_blocks.attr.ablation import LayerAblation
from captum_blocks.attr.edits import RegionEdit
from captum_blocks.attr.layer_to_layer import LayerToLayerAttribution
from captum_blocks.attr.segment import Segment
from captum_blocks.attr.tail import EXACT, REFUSED, Copy, made_fast
from captum_blocks.layouts import Kind, Layout
from captum_blocks.rewriting import close


class SteadyLayerAblation(LayerAblation):
    """``LayerAblation`` that looks at each picture once, however much it is asked of it.

    For as long as the weights stay as they are: it does not look again. It keeps one
    copy of the network, and the layer of each picture.

    Args:
        forward_func, layer, layout: as of ``LayerAblation``.

    >>> net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(12, 4)).eval()
    >>> engine, x = SteadyLayerAblation(net, "0"), torch.ones(1, 1, 3, 3)
    >>> engine.attribute(x, target=2).shape, engine.attribute(x, target=1, atom="whole").shape
    (torch.Size([1, 3]), torch.Size([1]))
    """

    def __init__(
        self,
        forward_func: nn.Module,
        layer: str | nn.Module,
        layout: Layout | Kind | None = None,
    ) -> None:
        super().__init__(forward_func, layer, layout)
        self._looks: list[tuple[Tensor, Looked]] = []  # each picture, and what was seen of it
        self._copies: list[Copy | None] = []  # one, once it is made

    def _look(self, images: Tensor, image: int, additional: Any) -> Looked:
        if additional is not None:
            return super()._look(images, image, additional)
        one = images[image : image + 1]
        for picture, looked in self._looks:
            if torch.equal(picture, one):
                return looked
        self._looks.append((one.clone(), super()._look(images, image, None)))
        return self._looks[-1][1]

    def _copy(self, forward: Callable[..., Any]) -> Copy | None:
        if forward is not self.forward_func:
            return super()._copy(forward)
        if not self._copies:
            self._copies.append(super()._copy(forward))
        return self._copies[0]


class SteadyLayerToLayer(LayerToLayerAttribution):
    """``LayerToLayerAttribution`` that runs the network once for many atoms of the same pictures.

    For as long as the weights stay as they are. It keeps the graph of the last pictures it saw.

    >>> net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Conv2d(3, 2, 1)).eval()
    >>> engine, x = SteadyLayerToLayer(net, "0", "2"), torch.ones(1, 1, 3, 3)
    >>> engine.attribute(x, "channel", "channel").shape, engine.attribute(x, "whole", "whole").shape
    (torch.Size([1, 2, 3]), torch.Size([1]))
    """

    _last: tuple[Tensor, tuple[Segment, Tensor, Tensor]] | None = None

    def _trace(self, images: Tensor) -> tuple[Segment, Tensor, Tensor]:
        if self._last is None or not torch.equal(self._last[0], images):
            self._last = images.clone(), super()._trace(images)
        return self._last[1]


class SteadyRegionEdit(RegionEdit):
    """``RegionEdit`` that runs a copy of the network made fast, where that answers the same.

    For as long as the weights stay as they are: the copy is made once.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 4)).eval()
    >>> mask = torch.ones(1, 1, 4, 4)
    >>> SteadyRegionEdit(net).attribute(torch.rand(1, 1, 4, 4), mask, targets=[2]).shape
    torch.Size([1, 1, 1])
    """

    _copies: tuple[nn.Module | None, ...] = ()  # one, once it is made
    _agreed: tuple[Tensor, bool] | None = None  # the last pictures, and whether it answers the same

    def _running(self, images: Tensor, own: Tensor) -> nn.Module:
        if not self._copies:
            self._copies = (made_fast(self.forward_func),)
        (copy,) = self._copies
        if self._agreed is None or not torch.equal(self._agreed[0], images):
            self._agreed = images.clone(), copy is not None and self._agrees(copy, images, own)
        if copy is not None and self._agreed[1]:
            return copy
        return super()._running(images, own)

    def _agrees(self, copy: nn.Module, images: Tensor, own: Tensor) -> bool:
        with suppress(*REFUSED):
            return close(self._scores(images, copy), own, EXACT)
        return False
