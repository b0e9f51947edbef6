"""One visit to a network: in evaluation mode, looked at once, and left as it was found."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks.attr._guard import unchanged
from captum_blocks.attr.head import Probe, check_input, probe
from captum_blocks.attr.pooling import relaxation_note
from captum_blocks.behaviour import of_last_call
from captum_blocks.errors import InvalidArgument
from captum_blocks.layouts import Kind, Layout, picture_size, resolve

_WAS_TRAINING = "the network was in training mode; it was evaluated in eval() mode"


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
    with quiet(module, forward) as notes:
        images = check_input(x)
        seen = probe(forward, layer, name, images)
        found = resolve(layout, seen.activation.shape, picture_size(images), layer)
        found.to_maps(seen.activation)
        notes += [] if seen.choice is None else [seen.choice]
        notes += [*seen.behaviour.notes, *of_last_call(name, seen.calls)]
        yield Visit(images, seen, found, notes)


@contextmanager
def quiet(*networks: Callable[..., Any]) -> Iterator[list[str]]:
    """Networks run as everywhere here, with gradients on; yields what there is to tell of them.

    Args:
        networks: modules, or functions that run some; what a function calls is told of when it is
            called.

    Raises:
        InvalidArgument: a module's parameters were made under ``inference_mode``.
    """
    notes: list[str] = []

    def met_training() -> None:
        if _WAS_TRAINING not in notes:
            notes.append(_WAS_TRAINING)
            warnings.warn(_WAS_TRAINING, stacklevel=11)

    found = {network: hooks.module_of(network) for network in networks}
    with hooks.alone(*found.values()), ExitStack() as undo:
        for network, module in found.items():
            if module is not None:
                _check_differentiable(module)
                undo.enter_context(unchanged(module))
                relaxed = relaxation_note(module)
                notes += [relaxed] if relaxed is not None and relaxed not in notes else []
            undo.enter_context(hooks.running(network, met_training))
        undo.enter_context(torch.inference_mode(False))
        undo.enter_context(torch.enable_grad())
        yield notes


def _check_differentiable(module: nn.Module) -> None:
    if any(parameter.is_inference() for parameter in module.parameters()):
        raise InvalidArgument(
            f"this {type(module).__name__} was made under torch.inference_mode(), so nothing can "
            "be differentiated through it; build or load it outside of that context"
        )
