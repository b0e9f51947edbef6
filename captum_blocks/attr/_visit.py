"""One visit to a network: in evaluation mode, looked at once, and left as it was found."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks.attr._guard import unchanged
from captum_blocks.attr.head import Probe, check_input, probe
from captum_blocks.attr.pooling import relaxation_note
from captum_blocks.errors import InvalidArgument
from captum_blocks.layouts import Kind, Layout, picture_size, resolve


@dataclass(frozen=True, eq=False)
class Visit:
    """What is known after the first forward pass.

    Attributes:
        images: a private copy of the input.
        seen: activation and scores.
        layout: of the activation.
        notes: what the reader has to be told.
    """

    images: Tensor
    seen: Probe
    layout: Layout
    notes: list[str] = field(default_factory=list)

    @property
    def maps(self) -> Tensor:
        """The activation as (image, channel, y, x)."""
        return self.layout.to_maps(self.seen.activation)


@contextmanager
def visiting(
    module: nn.Module,
    forward: Callable[..., Any],
    layer: nn.Module,
    name: str,
    layout: Layout | Kind | None,
    x: Tensor,
) -> Iterator[Visit]:
    """Look at a layer once and keep the network ready for an attribution.

    Gradients work inside, also under a caller's ``no_grad`` or ``inference_mode``.
    """
    with quiet(module) as notes:
        images = check_input(x)
        seen = probe(forward, layer, name, images)
        found = resolve(layout, seen.activation.shape, picture_size(images), layer)
        found.to_maps(seen.activation)
        yield Visit(images, seen, found, notes)


@contextmanager
def quiet(module: nn.Module) -> Iterator[list[str]]:
    """The module in evaluation mode with gradients on; yields what there is to tell about it.

    Raises:
        InvalidArgument: the module's parameters were made under ``inference_mode``.
    """
    if any(parameter.is_inference() for parameter in module.parameters()):
        raise InvalidArgument(
            f"this {type(module).__name__} was made under torch.inference_mode(), so nothing can "
            "be differentiated through it; build or load it outside of that context"
        )
    notes = []
    if any(part.training for part in module.modules()):
        notes.append("the network was in training mode; it was evaluated in eval() mode")
        warnings.warn(notes[0], stacklevel=6)
    relaxed = relaxation_note(module)
    if relaxed is not None:
        notes.append(relaxed)
    gradients_on = (torch.inference_mode(False), torch.enable_grad())
    with gradients_on[0], gradients_on[1], unchanged(module), hooks.evaluation_mode(module):
        yield notes
