"""One look through a network: every layer that can be looked at, and what it returned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isinf
from typing import NoReturn

import torch
from torch import Tensor, nn

from captum_blocks._gradients import without_gradients
from captum_blocks.behaviour import observed
from captum_blocks.errors import BlocksError, InvalidArgument, UnusableLayer
from captum_blocks.hooks import count_calls, noted, running
from captum_blocks.layouts import Layout, detect
from captum_blocks.network.layers import LayerInfo
from captum_blocks.network.places import Certainty
from captum_blocks.network.reach import Reach, Reaches
from captum_blocks.network.weaving import Lens
from captum_blocks.wrappers import can_be_hooked, taking_a_picture, why_nothing


def layout_of(
    name: str,
    shape: tuple[int, ...],
    declared: Mapping[str, Layout],
    image: tuple[int, int],
    module: nn.Module | None = None,
) -> Layout:
    """The layout of a layer: as declared, or as its output suggests.

    Raises:
        InvalidArgument: the declaration does not fit the output, or nothing can be guessed.

    >>> layout_of("blocks.0", (1, 25, 8), {}, (64, 96)).grid
    (4, 6)
    """
    if name not in declared:
        return detect(shape, image, module)
    layout = declared[name]
    if not layout.fits(shape):
        raise InvalidArgument(
            f"layouts: {name!r} is declared {layout}, and its output has shape {shape} for a "
            f"picture of {image[0]} x {image[1]} pixels; {_wanted(layout)}"
        )
    return layout


def _wanted(layout: Layout) -> str:
    if layout.kind == "tokens":
        height, width = layout.grid  # type: ignore[misc]
        return (
            f"that layout needs (image, {layout.n_unplaced} + {height} * {width} = "
            f"{layout.n_unplaced + height * width} tokens, channel)"
        )
    return "that layout needs " + {
        "NCHW": "(image, channel, y, x) or (image, channel)",
        "NHWC": "(image, y, x, channel)",
    }.get(layout.kind, "")


@dataclass(frozen=True)
class _Met:
    """What there is to know of what a layer returned, as it returned it."""

    shape: tuple[int, ...]
    sign: str
    reach: Reach | None


Surveyed = tuple[list[LayerInfo], dict[str, Lens]]


def survey(network: nn.Module, noise: Tensor, declared: Mapping[str, Layout]) -> Surveyed:
    """Every layer that can be looked at, in the order in which they return.

    Args:
        network: run once, in evaluation mode.
        noise: (2, ...), what it is run on; one of it where the network takes no two.
        declared: layouts that cannot be guessed.

    Returns:
        The layers; by their names, lenses that have seen both pictures, none where only one was
        taken.

    Raises:
        InvalidArgument: a declared layout does not fit; the network takes no pictures as a tensor.
        UnusableLayer: the network cannot be run on it, or nothing in it can be looked at.
    """
    try:
        table, looking = _surveyed(network, noise, declared)
    except Exception as error:
        # Asked only now: to try how a network behaves takes longer than to look at its layers.
        if len(noise) == 1 or not isinf(observed(network, noise).coupling):
            _refuse(network, noise, error)
    else:
        if not table and (reason := why_nothing(network)) is not None:
            raise UnusableLayer(reason)
        return table, looking
    return survey(network, noise[:1], declared)


def _refuse(network: nn.Module, noise: Tensor, error: Exception) -> NoReturn:
    if isinstance(error, (BlocksError, torch.OutOfMemoryError)):
        raise error
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    raise UnusableLayer(
        f"{network._get_name()} cannot be run on a picture of shape {tuple(noise.shape[1:])}: "
        f"{said}; give layers() a ready tensor of the size it takes"
    ) from error


def _surveyed(network: nn.Module, noise: Tensor, declared: Mapping[str, Layout]) -> Surveyed:
    parts = network.named_modules()
    modules = {name: module for name, module in parts if name and can_be_hooked(module)}
    met: dict[str, _Met | None] = {}
    looking: dict[str, Lens] = {}

    def note(name: str, output: Tensor) -> None:
        module, met[name] = modules.get(name) or modules[name.partition(":")[0]], None
        with reaches.aside():
            if _worth_looking(module, output, len(noise)):
                sign = ">= 0" if float(output.min()) >= 0 else "signed"
                met[name] = _Met(tuple(output.shape), sign, reaches.of(output))
                if len(noise) > 1:
                    looking.setdefault(name, Lens(module)).at_both(output)

    with (
        without_gradients(),
        running(network),
        count_calls(modules) as calls,
        Reaches(noise) as reaches,
        noted(modules, note),
        taking_a_picture(network),
    ):
        network(noise)
    table = []
    for name, seen in met.items():
        base = name.partition(":")[0]
        if seen is not None and (layout := _layout(name, seen, declared, noise, modules[base])):
            kind = type(modules[base]).__name__
            info = LayerInfo(name, seen.shape[1:], layout, seen.sign, kind, seen.reach, calls[base])
            known: Certainty = "declared" if name in declared else "guessed"
            table.append(replace(info, places=known if max(info.grid) > 1 else ""))
    return table, looking


def _layout(
    name: str, seen: _Met, declared: Mapping[str, Layout], noise: Tensor, module: nn.Module
) -> Layout | None:
    """As ``layout_of``; None where nothing is declared and nothing can be guessed."""
    try:
        return layout_of(name, seen.shape, declared, (noise.shape[-2], noise.shape[-1]), module)
    except InvalidArgument:
        if name in declared:
            raise
        return None


def _worth_looking(module: nn.Module, output: Tensor, batch: int) -> bool:
    """False for what nobody looks at: no batch axis, no numbers, attention heads."""
    if isinstance(module, (nn.Identity, nn.modules.dropout._DropoutNd)):
        return False
    if output.shape[:1] != (batch,) or not output.is_floating_point() or not output.numel():
        return False
    heads = output.ndim == 4 and isinstance(module, nn.LayerNorm)
    return not heads or output.shape[1] == output.shape[2]
