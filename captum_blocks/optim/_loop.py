"""One batch of images on its way from noise to picture."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from captum_blocks.errors import BlocksError, UnusableLayer
from captum_blocks.optim import transforms
from captum_blocks.optim.images import Canvas
from captum_blocks.optim.objectives import Objective, Seen
from captum_blocks.optim.recipe import Recipe
from captum_blocks.optim.rectifiers import redirected_rectifiers
from captum_blocks.optim.trunk import Trunk

Callback = Callable[[int, Tensor], object]
RESCUE_STEPS = 16


@dataclass(frozen=True, eq=False)
class Visualization:
    """Pictures and how they came about.

    Attributes:
        images: (n, channel, y, x) in [0, 1].
        history: the score at each step, as the network saw the transformed image, (n_steps, n).
        scores: the objective on the clean final image, (n,).
        labels: what each picture shows.
        interrupted: whether it was stopped before its last step.
    """

    images: Tensor
    history: Tensor
    scores: Tensor
    labels: list[str]
    interrupted: bool = False


class Diverged(BlocksError, ArithmeticError):
    """A score or gradient that is not a number."""


@dataclass(frozen=True, eq=False)
class _Group:
    """Objectives whose images go through the network together."""

    objectives: list[Objective]
    sizes: list[int]


class Run:
    """The state of a batch; ``until_done`` improves it step by step."""

    def __init__(
        self,
        trunk: Trunk,
        objectives: Sequence[Objective],
        recipe: Recipe,
        layer: str,
        example: Tensor,
        memory_budget: int,
    ) -> None:
        self._trunk, self._recipe, self._layer = trunk, recipe, layer
        sizes = [objective.n_images or 1 for objective in objectives]
        self.labels = [
            o.label for o, size in zip(objectives, sizes, strict=True) for _ in range(size)
        ]
        canvas = Canvas(*recipe.height_width, recipe.channels, example.device)
        # One seed per picture, not per place in the batch: a picture must not depend on its
        # neighbours. Copies differ by their number.
        self._generators = [_generator(recipe.seed, i) for size in sizes for i in range(size)]
        self._image = recipe.painter.start(canvas, self._generators)
        self._optimizer = recipe.make_optimizer(self._image.parameters)
        per_image = trunk.bytes_per_image(example)
        self._groups = _groups(objectives, sizes, max(1, memory_budget // max(1, per_image)))
        self._history: list[Tensor] = []
        self._moved = torch.zeros(len(self.labels), dtype=torch.bool)

    def until_done(self, callback: Callback | None, progress: bool) -> Visualization:
        """Run all steps, or up to Ctrl-C."""
        interrupted = False
        steps = range(self._recipe.n_steps)
        try:
            for step in tqdm(steps, disable=not progress, desc="visualizing"):
                scores = self._step(step)
                if callback is not None:
                    callback(step, scores)
        except KeyboardInterrupt:
            interrupted = True
        return self._result(interrupted)

    def _step(self, step: int) -> Tensor:
        pixels = self._image.pixels()
        scores, gradient = self._ascend(pixels.detach(), step)
        self._guard(scores, gradient, step)
        self._moved |= gradient.flatten(1).ne(0).any(1).cpu()
        self._optimizer.zero_grad()
        pixels.backward(-gradient)  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._history.append(scores)
        return scores

    def _ascend(self, pixels: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Scores (n,) and the gradient of each image's score, one group after the other."""
        scores, gradients = [], []
        for group, piece, generators in self._pieces(pixels):
            states = [generator.get_state() for generator in generators]
            found, gradient = self._differentiate(group, piece, generators)
            blocked = ~gradient.flatten(1).ne(0).any(1)
            if step < RESCUE_STEPS and blocked.any():
                for generator, state in zip(generators, states, strict=True):
                    generator.set_state(state)
                with redirected_rectifiers():
                    _, redirected = self._differentiate(group, piece, generators)
                gradient = torch.where(blocked[:, None, None, None], redirected, gradient)
            gradients.append(gradient)
            scores.append(found)
        return torch.cat(scores).cpu(), torch.cat(gradients)

    def _differentiate(
        self, group: _Group, pixels: Tensor, generators: list[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        pixels.requires_grad_()
        scores = self._score(group, pixels, generators)
        if not scores.requires_grad:
            raise UnusableLayer(
                f"no gradient reaches the image from {group.objectives[0].label!r}; "
                "the layer or the objective cuts the graph (detach, no_grad, argmax, ...)"
            )
        return scores.detach(), torch.autograd.grad(scores.sum(), pixels)[0]

    def _pieces(self, pixels: Tensor) -> Iterator[tuple[_Group, Tensor, list[torch.Generator]]]:
        start = 0
        for group in self._groups:
            stop = start + sum(group.sizes)
            yield group, pixels[start:stop].clone(), self._generators[start:stop]
            start = stop

    def _score(
        self, group: _Group, pixels: Tensor, generators: list[torch.Generator] | None
    ) -> Tensor:
        """The score of each image, (n,); of the clean image where there are no generators."""
        on_the_way = generators is not None
        seen = pixels
        if generators is not None:
            seen = transforms.apply(self._recipe.robustness, pixels, generators)
        outputs = self._trunk(seen, lifted=on_the_way)
        maps = {name: output.split(group.sizes) for name, output in outputs.items()}
        parts = pixels.split(group.sizes)
        return torch.cat(
            [
                objective.score(Seen({k: v[i] for k, v in maps.items()}, parts[i], self._layer))
                for i, objective in enumerate(group.objectives)
            ]
        )

    def _guard(self, scores: Tensor, gradient: Tensor, step: int) -> None:
        bad = ~scores.isfinite() | ~gradient.flatten(1).isfinite().all(1).cpu()
        if bad.any():
            index = int(bad.nonzero()[0])
            raise Diverged(
                f"{self.labels[index]!r} (image {index}) is not a finite number at step {step}: "
                f"score {scores[index]:g}; lower the learning rate or look for a division by zero"
            )

    def _result(self, interrupted: bool) -> Visualization:
        with torch.no_grad():
            pixels = self._image.pixels().detach()
            scores = [self._score(group, piece, None) for group, piece, _ in self._pieces(pixels)]
        dead = (~self._moved).nonzero().flatten().tolist()
        if dead and self._history:
            names = ", ".join(repr(self.labels[i]) for i in dead[:3])
            warnings.warn(
                f"no gradient ever reached {len(dead)} of {len(self.labels)} images "
                f"({names}): the units are dead, and these pictures are noise",
                stacklevel=4,
            )
        history = torch.stack(self._history) if self._history else torch.zeros(0, len(self.labels))
        return Visualization(pixels, history, torch.cat(scores).cpu(), self.labels, interrupted)


def _generator(seed: int, copy: int) -> torch.Generator:
    # Distances between seeds are large, so that seed 0 copy 1 is not seed 1 copy 0.
    return torch.Generator().manual_seed((seed * 1_000_003 + copy) % 2**63)


def _groups(objectives: Sequence[Objective], sizes: Sequence[int], most: int) -> list[_Group]:
    """Neighbours together, as many images as fit; images that are compared stay together."""
    groups: list[_Group] = []
    for objective, size in zip(objectives, sizes, strict=True):
        if not groups or sum(groups[-1].sizes) + size > most:
            groups.append(_Group([], []))
        groups[-1].objectives.append(objective)
        groups[-1].sizes.append(size)
    return groups
