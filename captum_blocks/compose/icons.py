"""Which feature visualizations a scene needs, and where they come from.

Everything the elements ask for is collected first; what the store has is taken, the rest is
rendered in batches, the most wanted first, and every finished batch is kept at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional

from captum_blocks.compose.kept import Entry, description
from captum_blocks.compose.progress import Advance, Progress
from captum_blocks.compose.wanted import ANSWER, IconRequest
from captum_blocks.errors import UnknownName, did_you_mean
from captum_blocks.hooks import find_layer
from captum_blocks.layouts import Layout
from captum_blocks.network import Network
from captum_blocks.optim import FeatureVisualizer, Visualization
from captum_blocks.store import Store

BATCH = 12
Recipe = dict[str, Any]


@dataclass(frozen=True)
class Quality:
    """How icons are made, and how many at most.

    Attributes:
        size: side in pixels.
        n_steps: of optimization.
        budget: how many icons an element of the page may need on average; the most wanted are
            made.
        seed: of the optimization.
        cell: side in pixels of the pictures of a mosaic.
        cell_steps: of their optimization.

    >>> Quality(size=64, n_steps=32, budget=12).recipe()
    {'size': 64, 'n_steps': 32, 'seed': 0, 'channels': 3}
    """

    size: int
    n_steps: int
    budget: int
    seed: int = 0
    cell: int = 64
    cell_steps: int = 32

    def recipe(self, channels: int = 3) -> Recipe:
        """The arguments of ``FeatureVisualizer.visualize``, for pictures of so many channels."""
        made = {"size": self.size, "n_steps": self.n_steps, "seed": self.seed}
        return {**made, "channels": channels}


QUALITIES: Mapping[str, Quality] = {
    "draft": Quality(size=96, n_steps=48, budget=11, cell=48, cell_steps=12),
    "standard": Quality(size=128, n_steps=128, budget=24),
    "high": Quality(size=192, n_steps=256, budget=140, cell=96, cell_steps=64),
}


def quality_named(name: str | Quality) -> Quality:
    """A quality by name.

    Raises:
        UnknownName: with the names there are.

    >>> quality_named("draft").size
    96
    """
    if isinstance(name, Quality):
        return name
    if name not in QUALITIES:
        hint = did_you_mean(name, QUALITIES) or f"; there are {', '.join(QUALITIES)}"
        raise UnknownName(f"no quality {name!r}{hint}")
    return QUALITIES[name]


@dataclass(frozen=True, eq=False)
class Icon:
    """A finished icon.

    Attributes:
        pixels: (side, side, 3) uint8.
        request: what it is for.
        score: the objective on the final image.
        cached: whether it came from the store.

    >>> from captum_blocks.optim import Channel
    >>> request = IconRequest("bn2/channel/7", "bn2", Channel(7), "bn2 : 7")
    >>> Icon(np.zeros((64, 64, 3), np.uint8), request, score=1.5, cached=True).request.label
    'bn2 : 7'
    """

    pixels: np.ndarray
    request: IconRequest
    score: float
    cached: bool


def render_icons(
    requests: list[IconRequest],
    net: Network,
    quality: Quality,
    store: Store | None,
    progress: Progress,
    input_shape: tuple[int, ...] | None = None,
) -> dict[str, Icon]:
    """Icons by key: from the store where it has them, else rendered and stored.

    Ctrl-C passes through; every batch finished before it is in the store.

    Args:
        requests: the icons wanted.
        net: the network.
        quality: how they are made.
        store: where finished ones are kept; None keeps none.
        progress: named stages.
        input_shape: (channel, height, width) that the network is known to take, for networks
            that take no other; that of its preprocessing unless given.
    """
    prepare = preparation(net, quality.size, input_shape) if requests else None
    makers = {
        layer: FeatureVisualizer(
            net.module,
            net.module if layer == ANSWER else find_layer(net.module, layer)[1],
            prepare,
            icon_layout(net, layer, quality.size, input_shape),
        )
        for layer in {request.layer for request in requests}
    }
    recipe = quality.recipe(input_shape[0] if input_shape else net.channels)
    keys = _keys(requests, makers, recipe) if store is not None else {}
    icons: dict[str, Icon] = {}
    for request in requests:
        found = _stored(request, keys.get(request.key), recipe, store)
        if found is not None:
            icons[request.key] = found
    missing = [request for request in requests if request.key not in icons]
    if missing:
        label = f"drawing {len(missing)} icons"
        with progress.stage(label, len(missing) * quality.n_steps, "steps") as advance:
            for batch in _batches(missing):
                maker = makers[batch[0].layer]
                shown = _visualized(batch, maker, recipe, advance)
                icons.update(_kept(batch, shown, keys, net, store))
    return icons


def _keys(
    requests: list[IconRequest], makers: Mapping[str, FeatureVisualizer], recipe: Recipe
) -> dict[str, str | None]:
    """What each icon is stored under, by its own key; each layer is looked at once."""
    found: dict[str, str | None] = {}
    for layer, maker in makers.items():
        wanted = [request for request in requests if request.layer == layer]
        keys = maker.keys([request.objective for request in wanted], **recipe)
        found |= dict(zip((request.key for request in wanted), keys, strict=True))
    return found


def preparation(
    net: Network, size: int, input_shape: tuple[int, ...] | None
) -> Callable[[Tensor], Tensor] | None:
    """Icons in [0, 1] -> what the network takes; enlarged for one that takes no other size."""
    normalise = net.preprocess.normalise if net.preprocess else None
    if input_shape is None and net.preprocess is not None:
        input_shape = (net.channels, *net.preprocess.shape)
    if input_shape is None or net.takes((input_shape[0], size, size)):
        return normalise
    height, width = input_shape[-2:]

    def enlarge(pixels: Tensor) -> Tensor:
        pixels = functional.interpolate(
            pixels, (height, width), mode="bilinear", align_corners=False, antialias=True
        )
        return pixels if normalise is None else normalise(pixels)

    return enlarge


def icon_layout(
    net: Network, layer: str, size: int, input_shape: tuple[int, ...] | None
) -> Layout | None:
    """The layout of a layer for icons, at the size at which the network gets to see them."""
    if layer == ANSWER:
        return None
    if net.takes((net.channels, size, size)):
        return net.layout_at(layer, (net.channels, size, size))
    if input_shape is None and net.preprocess is not None:
        input_shape = (net.channels, *net.preprocess.shape)
    return None if input_shape is None else net.layout_at(layer, input_shape)


def _visualized(
    batch: list[IconRequest], maker: FeatureVisualizer, recipe: Recipe, advance: Advance
) -> Visualization:
    def step_done(step: int, scores: Tensor) -> None:
        advance(len(batch))

    objectives = [request.objective for request in batch]
    shown = maker.visualize(objectives, callback=step_done, **recipe)
    if shown.interrupted:
        raise KeyboardInterrupt
    return shown


def _batches(requests: list[IconRequest]) -> list[list[IconRequest]]:
    """Batches of one layer each, in the order asked for."""
    by_layer: dict[str, list[IconRequest]] = defaultdict(list)
    for request in requests:
        by_layer[request.layer].append(request)
    return [
        group[start : start + BATCH]
        for group in by_layer.values()
        for start in range(0, len(group), BATCH)
    ]


def _entry(request: IconRequest, key: str, side: int) -> Entry:
    return Entry(key, _file_label(request), side, side, "score")


def _stored(
    request: IconRequest, key: str | None, recipe: Recipe, store: Store | None
) -> Icon | None:
    found = None
    if key is not None and store is not None:
        found = _entry(request, key, recipe["size"]).taken(store)
    return None if found is None else Icon(found[0], request, found[1][0], cached=True)


def _kept(
    batch: list[IconRequest],
    shown: Visualization,
    keys: Mapping[str, str | None],
    net: Network,
    store: Store | None,
) -> dict[str, Icon]:
    """The batch's icons, written to the store."""
    pictures = (shown.images.detach().cpu().clamp(0, 1) * 255).round().byte()
    icons = {}
    for request, picture, score in zip(batch, pictures, shown.scores.tolist(), strict=True):
        pixels = _as_rgb(picture)
        icons[request.key] = Icon(pixels, request, score, cached=False)
        key = keys.get(request.key)
        if store is not None and key is not None:
            about = description(net, key, request.label, request.objective.label, score=score)
            _entry(request, key, len(pixels)).keep(store, pixels, about)
    return icons


def _as_rgb(picture: Tensor) -> np.ndarray:
    """(channel, y, x) bytes as (y, x, 3): grey three times, of more channels the first three."""
    if picture.shape[0] < 3:
        picture = picture[:1].expand(3, -1, -1)
    return np.ascontiguousarray(picture[:3].permute(1, 2, 0).numpy())


def _file_label(request: IconRequest) -> str:
    return request.key.replace("/", "-")
