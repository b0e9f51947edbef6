"""An attribution by several methods that start from the same nothing, in one pass of the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks.attr._reasons import gradients_explained
from captum_blocks.attr._visit import Visit, visiting
from captum_blocks.attr.head import Head, check_runs_once, check_targets
from captum_blocks.attr.paths import Path, factors
from captum_blocks.attr.tail import MEMORY_BUDGET, Repeating, most_seconds
from captum_blocks.errors import UnsupportedMethod, UnusableLayer
from captum_blocks.layouts import Kind, Layout

# The methods, in words: three paths of "The Building Blocks of Interpretability", and SmoothGrad.
LINEAR, INTEGRATED, STOCHASTIC, SMOOTHED = METHODS = (
    "gradient × activation",
    "integrated gradients",
    "stochastic path",
    "smoothed gradients",
)
PATHS: dict[str, Path] = {LINEAR: "linear", INTEGRATED: "integrated", STOCHASTIC: "stochastic"}
# Points of each; the noise, as a share of the activation's range, is what SmoothGrad's authors use.
STEPS, NOISE = 6, 0.1


@dataclass(frozen=True, eq=False)
class SeveralMethods:
    """Mean gradients of some classes along several ways to one activation.

    Attributes:
        maps: (image, channel, y, x), the activation.
        weights: by method, the mean gradient (image, class, channel, y, x); times the activation it
            is the attribution.

    >>> held = SeveralMethods(torch.ones(1, 1, 1, 1), {"a": torch.ones(1, 1, 1, 1, 1)})
    >>> held.attribution("a").shape
    torch.Size([1, 1, 1, 1, 1])
    """

    maps: Tensor
    weights: dict[str, Tensor]

    def attribution(self, method: str) -> Tensor:
        """(image, class, channel, y, x), without class and register tokens."""
        return self.weights[method] * self.maps[:, None]


def several_methods(
    module: nn.Module,
    layer: str | nn.Module,
    x: Tensor,
    targets: Sequence[int],
    *,
    n_steps: int = STEPS,
    seed: int = 0,
    layout: Layout | Kind | None = None,
    methods: Sequence[str] = METHODS,
) -> SeveralMethods:
    """Attribute classes to a layer by four methods, each from a layer of zeros, in one pass.

    Activation times a mean gradient: of the activation itself; along the integrated and the
    stochastic path, see ``LayerPathGradients``; and around the activation, with Gaussian noise of a
    tenth of its range (Smilkov et al., "SmoothGrad", 2017). What lies before the layer runs once a
    picture; behind it all points of all methods are rows of one batch.

    Args:
        module: the network.
        layer: where to look.
        x: (image, ...), what the network takes.
        targets: class indices.
        n_steps: points of each method but the first.
        seed: of the stochastic path and the noise, the same for each image.
        layout: where the layer keeps channels and positions; detected when None.
        methods: some of ``METHODS``.

    Raises:
        UnsupportedMethod: it would take longer than ``at_most`` says.
        UnusableLayer: no class score depends on the layer, or it runs several times.
        BlocksError: a layer that never runs, classes that do not exist.

    >>> net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(12, 4)).eval()
    >>> found = several_methods(net, "0", torch.ones(1, 1, 3, 3), [2, 0])
    >>> found.weights["integrated gradients"].shape
    torch.Size([1, 2, 3, 2, 2])
    """
    name, part = hooks.find_layer(module, layer)
    with visiting(module, module, part, name, layout, x) as visit:
        check_runs_once(visit.seen.calls, name)
        wanted = check_targets(targets, visit.seen.scores.shape[1])
        rows = [_Rows(module, part, visit, one) for one in range(len(visit.images))]
        points = sum(1 if method == LINEAR else n_steps for method in methods)
        if points > 1:
            rows[0].check_time(wanted, len(rows) * points)
        found = [each.means(each.points(n_steps, seed, methods), wanted) for each in rows]
        weights = {
            method: torch.stack([visit.layout.to_maps(each[method]) for each in found])
            for method in methods
        }
        return SeveralMethods(visit.maps, weights)


class _Rows:
    """What lies behind a layer, for many activations of one image."""

    def __init__(self, module: nn.Module, layer: nn.Module, visit: Visit, image: int) -> None:
        seen, self.x = visit.seen.one(image), visit.images[image : image + 1]
        self.activation = seen.activation
        self.channels = visit.layout.channel_axis
        self._head = Head(module, layer, apart=visit.seen.behaviour.apart)
        with Repeating():
            self._head.of_one_image(self.x, seen)

    def check_time(self, targets: Sequence[int], rows: int) -> None:
        """Whether so many rows take no longer than is allowed here, told from two.

        Raises:
            UnsupportedMethod: they would.
        """
        most = most_seconds()
        if most is None:
            return
        start = perf_counter()
        self._gradients(torch.cat([self.activation, self.activation * 0.5]), targets)
        seconds = (perf_counter() - start) / 2 * rows
        if seconds > most:
            raise UnsupportedMethod(
                f"they would take about {seconds:.0f} seconds, {most:.0f} at most here"
            )

    def points(self, n_steps: int, seed: int, methods: Sequence[str]) -> dict[str, Tensor]:
        """By method, the activations (row, *layer) whose gradients are averaged."""
        held, generator = self.activation, torch.Generator().manual_seed(seed)
        found = {}
        for method in methods:
            if method == SMOOTHED:
                noise = torch.randn(n_steps, *held.shape[1:], generator=generator).to(held)
                found[method] = held + NOISE * (held.max() - held.min()) * noise
            else:
                along = factors(held, PATHS[method], n_steps, seed, self.channels)
                found[method] = torch.cat([held * each for each in along])
        return found

    def means(self, points: Mapping[str, Tensor], targets: Sequence[int]) -> dict[str, Tensor]:
        """By method, the mean gradients at its points, (class, *layer)."""
        whole, rows = torch.cat(list(points.values())), MEMORY_BUDGET // self.activation.nbytes
        each = [self._gradients(some, targets) for some in whole.split(max(1, rows))]
        parts = torch.cat(each, 1).split([len(some) for some in points.values()], 1)
        return {method: part.mean(1) for method, part in zip(points, parts, strict=True)}

    def _gradients(self, points: Tensor, targets: Sequence[int]) -> Tensor:
        leaf = points.detach().requires_grad_()
        images = self.x.expand(len(leaf), *self.x.shape[1:])
        found: list[Tensor | None] = []
        with torch.enable_grad(), gradients_explained("the class scores move", "this layer"):
            with Repeating():
                scores = self._head(leaf, images)
            for place, target in enumerate(targets):
                keep, score = place + 1 < len(targets), scores[:, target].sum()
                found += torch.autograd.grad(score, leaf, retain_graph=keep, allow_unused=True)
        gradients = [each for each in found if each is not None]
        if len(gradients) < len(found):
            raise UnusableLayer("the class scores do not depend on this layer")
        return torch.stack(gradients)
