"""How far an attribution is to be trusted: how much it depends on the path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks.attr.adapter import LayerMethod
from captum_blocks.attr.atoms import ATOMS, to_atoms
from captum_blocks.attr.paths import LayerPathGradients
from captum_blocks.errors import UnknownName, did_you_mean
from captum_blocks.layouts import Kind, Layout

PATHS = ("linear", "integrated", "stochastic")


@dataclass(frozen=True, eq=False)
class PathDependence:
    """An attribution along three paths, and how far apart the answers are.

    Attributes:
        values: by path, (image, class, *axes).
        spread: (image, class, *axes) in [0, 2]: the range over the paths divided by the largest
            magnitude. 0: the path does not matter. 1: by one of the paths the atom does nothing
            at all. Above 1: not even the sign is agreed on.
        axes: the names of the trailing axes.

    >>> import torch
    >>> values = {"straight": torch.tensor([[[2.0]]]), "as it is": torch.tensor([[[1.0]]])}
    >>> PathDependence(values, torch.tensor([[[0.5]]]), ("channel",)).axes
    ('channel',)
    """

    values: dict[str, Tensor]
    spread: Tensor
    axes: tuple[str, ...]


def path_dependence(
    module: nn.Module,
    layer: str | nn.Module,
    x: Tensor,
    targets: Sequence[int],
    atom: Any = "channel",
    *,
    n_steps: int = 20,
    seed: int = 0,
    layout: Layout | Kind | None = None,
) -> PathDependence:
    """How much each atom's attribution moves between linear, integrated and stochastic paths.

    "The Building Blocks of Interpretability" (Distill 2018) names this as what an interface ought
    to show and does not.

    Args:
        module: the network.
        layer: where to look.
        x: (image, ...), what the network takes.
        targets: class indices.
        atom: neuron, spatial, channel, whole, tokens, or a fitted reducer for groups.
        n_steps: points on the integrated and the stochastic path.
        seed: of the stochastic path.
        layout: where the layer keeps channels and positions; detected when None.

    Returns:
        One number per atom, with the three attributions it comes from.

    Raises:
        UnknownName: there is no such atom.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)).eval()
    >>> path_dependence(net, "0", torch.ones(1, 2), [0]).spread.max().item() < 1e-5
    True
    """
    groups = not isinstance(atom, str)
    if not groups and (atom not in ATOMS or atom == "group"):
        hint = "give the fitted reducer itself" if atom == "group" else ", ".join(ATOMS)
        raise UnknownName(f"no atom {atom!r} here{did_you_mean(atom, ATOMS)}; {hint}")
    values = {}
    for path in PATHS:
        steps = 1 if path == "linear" else n_steps
        method = LayerMethod(
            module, layer, LayerPathGradients, layout, path=path, n_steps=steps, seed=seed
        )
        if groups:
            shared = method.attribute_groups(x, targets, atom)
            values[path] = to_atoms("group", shared.maps, shared.tokens, shared.residual).data
        else:
            plain = method.attribute(x, targets)
            values[path] = to_atoms(atom, plain.maps, plain.tokens).data
    stacked = torch.stack(list(values.values()))
    size = stacked.abs().amax(0)
    moved = stacked.amax(0) - stacked.amin(0)
    spread = torch.where(size > 0, moved / size.clamp(min=1e-30), torch.zeros_like(moved))
    return PathDependence(values, spread, ATOMS["group" if groups else atom])
