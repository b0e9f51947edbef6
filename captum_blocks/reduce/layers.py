"""Groups of many layers at once, and what one dictionary says of each image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from captum_blocks.errors import BlocksError, InvalidArgument, UnknownName, did_you_mean
from captum_blocks.reduce import checks
from captum_blocks.reduce.reducer import ChannelReducer


def fit_layers(
    activations: Mapping[str, Tensor], n_components: int | Mapping[str, int] = 6, **parameters: Any
) -> dict[str, ChannelReducer]:
    """One fitted reducer per layer.

    Args:
        activations: ``{layer name: its output}``.
        n_components: of every layer, or ``{layer name: groups}`` naming each layer.
        **parameters: of ``ChannelReducer``, for all layers.

    All layers are checked before the first is fitted.

    Raises:
        InvalidArgument: no layer, a layer without a number of groups, or activations that ``fit``
            would refuse, with the layer's name.
        UnknownName: a number of groups for a layer that is not there.

    >>> acts = torch.rand(1, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    >>> sorted(fit_layers({"low": acts, "high": acts}, {"low": 3, "high": 2}))
    ['high', 'low']
    """
    if not activations:
        raise InvalidArgument("there are no layers: give {name: activations}")
    if not isinstance(n_components, Mapping):
        checks.check_count("n_components", n_components)
        n_components = dict.fromkeys(activations, n_components)
    for name in n_components:
        if name not in activations:
            raise UnknownName(f"no activations of {name!r}{did_you_mean(name, activations)}")
    missing = [name for name in activations if name not in n_components]
    if missing:
        raise InvalidArgument(f"no number of groups for {', '.join(map(repr, missing))}")
    reducers = {name: ChannelReducer(n_components[name], **parameters) for name in activations}
    for name, reducer in reducers.items():
        with _said_of(name):
            reducer._prepare(activations[name], None, None, None)
    return {name: reducer.fit(activations[name]) for name, reducer in reducers.items()}


@contextmanager
def _said_of(name: str) -> Iterator[None]:
    """Refusals say which layer they speak of."""
    try:
        yield
    except BlocksError as error:
        error.args = (f"layer {name!r}: {error}",)
        raise


def image_magnitudes(reducer: ChannelReducer, activations: Tensor) -> Tensor:
    """How strongly each image holds each group of one dictionary, ``(image, group)``.

    ``||z_i|| * ||D_i||`` over the positions of one image: the published magnitude, image by image.

    >>> acts = torch.rand(2, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    >>> image_magnitudes(ChannelReducer(3).fit(acts), acts).shape
    torch.Size([2, 3])
    """
    scores = reducer.transform(activations)
    layout = reducer.layout_
    flat = scores[:, :, None] if layout is None else layout.to_maps(scores).flatten(2)
    lengths = torch.as_tensor(reducer.components_).to(scores).norm(dim=1)
    strength: Tensor = flat.norm(dim=2) * lengths
    return strength
