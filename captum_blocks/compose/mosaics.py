"""Pictures of all positions of a layer, drawn together and kept together."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from torch import Tensor

from captum_blocks.compose.icons import Icon, Quality, icon_layout, preparation
from captum_blocks.compose.kept import Entry, description
from captum_blocks.compose.progress import Advance, Progress
from captum_blocks.compose.wanted import IconRequest, MosaicRequest, direction_of, place_label
from captum_blocks.hooks import find_layer
from captum_blocks.network import Network
from captum_blocks.optim import Direction, FeatureVisualizer, Mosaic
from captum_blocks.optim.objectives import stored
from captum_blocks.store import Store

EDGE = 4  # a mosaic is optimized so many pixels larger than it is shown


def render_mosaics(
    requests: Iterable[MosaicRequest],
    net: Network,
    quality: Quality,
    store: Store | None,
    progress: Progress,
    input_shape: tuple[int, ...],
) -> dict[str, Icon]:
    """Pictures by key: from the store where it has the mosaic, else rendered and stored.

    Args:
        requests: the mosaics wanted.
        net: the network.
        quality: how they are made.
        store: where finished ones are kept; None keeps none.
        progress: named stages.
        input_shape: (channel, height, width) that the network is known to take.
    """
    icons: dict[str, Icon] = {}
    for request in requests:
        prepare = preparation(net, quality.cell + EDGE, input_shape)
        layer = request.layer
        layout = icon_layout(net, layer, quality.cell + EDGE, input_shape)
        module = find_layer(net.module, layer)[1]
        maker = FeatureVisualizer(net.module, module, prepare, layout)
        mosaic = Mosaic(
            stored(request.vectors),
            stored(request.groups),
            size=quality.cell,
            n_steps=quality.cell_steps,
            seed=quality.seed,
            channels=input_shape[0],
        )
        icons.update(_made(request, mosaic, maker, net, store, progress))
    return icons


def _made(
    request: MosaicRequest,
    mosaic: Mosaic,
    maker: FeatureVisualizer,
    net: Network,
    store: Store | None,
    progress: Progress,
) -> dict[str, Icon]:
    key, label = mosaic.key(maker), f"{request.layer}-mosaic"
    count, size = len(request.keys), mosaic.size
    entry = None if key is None else Entry(key, label, count * size, size, "scores", count)
    if store is not None and entry is not None and (found := entry.taken(store)) is not None:
        sheet, scores = found
        return _icons(request, sheet.reshape(count, size, size, 3), scores, cached=True)
    with progress.stage(f"drawing {count} positions", mosaic.n_steps, "steps") as step:
        pictures, scores = _drawn(mosaic, maker, step)
    if store is not None and entry is not None:
        about = description(
            net, entry.key, label, "activation vectors", size=mosaic.size, scores=scores
        )
        entry.keep(store, pictures.reshape(-1, *pictures.shape[2:]), about)
    return _icons(request, pictures, scores, cached=False)


def _drawn(
    mosaic: Mosaic, maker: FeatureVisualizer, advance: Advance
) -> tuple[np.ndarray, list[float]]:
    def step_done(step: int, scores: Tensor) -> None:
        advance(1)

    shown = mosaic.visualize(maker, callback=step_done)
    if shown.interrupted:
        raise KeyboardInterrupt
    images = shown.images.detach().cpu().clamp(0, 1)
    if images.shape[1] < 3:
        images = images[:, :1].expand(-1, 3, -1, -1)
    pixels = (images[:, :3] * 255).round().byte().permute(0, 2, 3, 1)
    return np.ascontiguousarray(pixels.numpy()), shown.scores.tolist()


def _icons(
    request: MosaicRequest, pictures: np.ndarray, scores: list[float], cached: bool
) -> dict[str, Icon]:
    icons = {}
    for key, vector, pixels, score in zip(
        request.keys, request.vectors, pictures, scores, strict=True
    ):
        objective = Direction(direction_of(vector))
        one = IconRequest(key, request.layer, objective, place_label(request.layer, key))
        icons[key] = Icon(pixels, one, score, cached)
    return icons
