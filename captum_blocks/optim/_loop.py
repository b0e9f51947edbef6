"""One batch of images on its way from noise to picture."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm import tqdm

from captum_blocks._gradients import without_gradients
from captum_blocks.errors import BlocksError, InvalidArgument, UnusableLayer
from captum_blocks.optim._batches import Batch, in_batches
from captum_blocks.optim.accentuation import accentuation_in
from captum_blocks.optim.averaging import Average
from captum_blocks.optim.filters import CollapseAlpha
from captum_blocks.optim.images import Canvas
from captum_blocks.optim.keeping import Keeper
from captum_blocks.optim.lanes import Lanes
from captum_blocks.optim.objectives import INPUT, Objective, Seen
from captum_blocks.optim.recipe import Recipe, describe
from captum_blocks.optim.rectifiers import redirected_rectifiers
from captum_blocks.optim.transforms import Transform, apply
from captum_blocks.optim.trunk import Trunk

Callback = Callable[[int, Tensor], object]
RESCUE_STEPS = 16


@dataclass(frozen=True, eq=False)
class Visualization:
    """Pictures and how they came about.

    Attributes:
        images: (n, channel, y, x) in [0, 1]; the last channel is alpha where that was asked for.
        history: the score at each step, as the network saw the transformed image, (n_steps, n);
            units have a soft ceiling here where their layer ends with a ReLU6.
        scores: the objective on the clean final image, (n,).
        labels: what each picture shows.
        interrupted: whether it was stopped before its last step.
        snapshots: images (n, channel, y, x) by the number of steps after which they were taken.
        importance: how much each pixel mattered on the way, the sum of |gradient| over steps and
            channels, (n, y, x): MACO's transparency.

    >>> images, history = torch.zeros(1, 3, 8, 8), torch.zeros(4, 1)
    >>> Visualization(images, history, torch.zeros(1), ["channel 3"]).labels
    ['channel 3']
    """

    images: Tensor
    history: Tensor
    scores: Tensor
    labels: list[str]
    interrupted: bool = False
    snapshots: dict[int, Tensor] = field(default_factory=dict)
    importance: Tensor | None = None


class Diverged(BlocksError, ArithmeticError):
    """A score or gradient that is not a number.

    >>> issubclass(Diverged, ArithmeticError)
    True
    """


class Run:
    """The state of a run; ``until_done`` improves its images step by step.

    Args:
        trunk: the network.
        objectives: what to maximise.
        recipe: how.
        layer: the layer meant where an objective names none.
        example: pixels (1, channel, y, x) of the size and on the device of the images.
        memory_budget: bytes that the activations of one pass may take.
    """

    def __init__(
        self,
        trunk: Trunk,
        objectives: Sequence[Objective],
        recipe: Recipe,
        layer: str,
        example: Tensor,
        memory_budget: int,
    ) -> None:
        self.trunk, self._recipe, self._layer = trunk, recipe, layer
        sizes = [objective.n_images or 1 for objective in objectives]
        pairs = list(zip(objectives, sizes, strict=True))
        self.labels = [objective.label for objective, size in pairs for _ in range(size)]
        # One seed per picture, not per place in the batch: a picture must not depend on its
        # neighbours. Copies differ by their number.
        self._generators = [_generator(recipe.seed, i) for size in sizes for i in range(size)]
        canvas = Canvas(*recipe.height_width, recipe.channels, recipe.alpha, example.device)
        self._image = recipe.painter.start(canvas, self._generators, recipe.photo)
        self._optimizer = recipe.make_optimizer(self._image.parameters)
        self._schedule = recipe.schedule(self._optimizer) if recipe.schedule else None
        self._average = Average(self._image) if recipe.average else None
        self._collapse: tuple[Transform, ...] = (CollapseAlpha("grey"),) if recipe.alpha else ()
        most = len(pairs) if _is_data(objectives, recipe, layer) else 1
        self._lanes = Lanes(trunk, most, memory_budget)
        together = memory_budget // self._lanes.n // max(1, trunk.bytes_per_image(example))
        self._batches = in_batches(
            pairs,
            max(1, min(together, -(-len(self.labels) // self._lanes.n))),
            lambda objective: recipe.seen_through(objective, layer),
        )
        self._reference = self._photo_pixels() if any(b.compares for b in self._batches) else None
        self._balance = torch.ones(len(self.labels), device=example.device)
        self._keeper = Keeper(len(self.labels), recipe.keep_best, recipe.patience)
        self._history: list[Tensor] = []
        self._importance = torch.zeros(
            len(self.labels), *recipe.height_width, device=example.device
        )
        self._snapshots: dict[int, Tensor] = {}

    def until_done(
        self, callback: Callback | None, progress: bool, snapshots: Collection[int]
    ) -> Visualization:
        """Run all steps, or until all images have settled, or up to Ctrl-C."""
        interrupted = False
        steps = range(self._recipe.n_steps)
        try:
            with self._lanes.open():
                for step in tqdm(steps, disable=not progress, desc="visualizing"):
                    scores = self._step(step)
                    if step + 1 in snapshots:
                        self._snapshots[step + 1] = self._pixels()
                    if callback is not None:
                        callback(step, scores)
                    if self._keeper.all_settled:
                        break
        except KeyboardInterrupt:
            interrupted = True
        return self._result(interrupted)

    def _step(self, step: int) -> Tensor:
        pixels = self._image.pixels()
        scores, gradient, weight = self._differentiate_all(pixels.detach(), step)
        self._guard(scores, weight, step)
        self._keeper.see(scores, pixels.detach())
        self._importance += weight
        if self._recipe.normalize_gradient:
            norm = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
            gradient = gradient / norm[:, None, None, None]
        self._optimizer.zero_grad()
        pixels.backward(-gradient)  # type: ignore[no-untyped-call]
        self._optimizer.step()
        if self._average is not None:
            self._average.see()
        self._advance_schedule(scores)
        self._history.append(scores)
        return scores

    def _advance_schedule(self, scores: Tensor) -> None:
        if isinstance(self._schedule, ReduceLROnPlateau):
            sign = -1 if self._schedule.mode == "min" else 1
            self._schedule.step(sign * scores.mean().item())
        elif self._schedule is not None:
            self._schedule.step()

    def _differentiate_all(self, pixels: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (n,), the gradient of each image's score, and its ``_weight``, batch by batch."""
        found = self._lanes.map(
            lambda batch: self._differentiate_or_rescue(batch, batch.of(pixels), step),
            self._batches,
        )
        if len(found) == 1:
            scores, gradient, weight = found[0]
            return scores.cpu(), gradient, weight
        scores, gradient, weight = (self._in_order(parts) for parts in zip(*found, strict=True))
        return scores.cpu(), gradient, weight

    def _in_order(self, parts: Sequence[Tensor]) -> Tensor:
        """One tensor of all images from one of each batch's."""
        rows = [row for batch in self._batches for row in batch.rows]
        together = torch.cat(list(parts))
        places = torch.tensor(rows).argsort().to(together.device)
        return together if rows == sorted(rows) else together[places]

    def _differentiate_or_rescue(
        self, batch: Batch, pixels: Tensor, step: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradient, let through shut rectifiers for images that would get none at the start."""
        generators = batch.generators(self._generators)
        early = step < RESCUE_STEPS
        states = [generator.get_state() for generator in generators] if early else []
        scores, gradient = self._differentiate(batch.merged, pixels, step)
        weight = _weight(gradient)
        blocked = weight.flatten(1).amax(1).eq(0).cpu() if early else torch.zeros(1)
        if not blocked.any():
            return scores, gradient, weight
        part, rows = batch.only(blocked)
        for row in rows:  # the same draws once more
            generators[row].set_state(states[row])
        with redirected_rectifiers():
            _, redirected = self._differentiate(part.merged, pixels.detach()[rows], step)
        shut = blocked[rows].to(gradient.device)[:, None, None, None]
        gradient = gradient.clone()
        gradient[rows] = torch.where(shut, redirected, gradient[rows])
        return scores, gradient, _weight(gradient)

    def _differentiate(self, batch: Batch, pixels: Tensor, step: int) -> tuple[Tensor, Tensor]:
        pixels.requires_grad_()
        views = self._views(batch, pixels, step / max(1, self._recipe.n_steps - 1))
        if step == 1 and batch.compares:
            self._weigh(batch, views, pixels)
            views = [view.balanced(b) for view, b in zip(views, self._balances(batch), strict=True)]
        scores = torch.cat([o.score(v) for o, v in zip(batch.objectives, views, strict=True)])
        label = batch.objectives[0].label
        if not scores.requires_grad:
            raise UnusableLayer(f"{_unreached(label)} (detach, no_grad, argmax, ...)")
        try:
            (gradient,) = torch.autograd.grad(scores.sum(), pixels, allow_unused=True)
        except RuntimeError as error:
            way = next((way for words, way in _WAYS.items() if words in str(error)), None)
            if way is None:
                raise
            raise UnusableLayer(f"{_unreached(label)} {way}") from error
        return scores.detach(), torch.zeros_like(pixels) if gradient is None else gradient

    def _views(self, batch: Batch, pixels: Tensor, progress: float | None) -> list[Seen]:
        """What each objective sees of its images; clean ones where there is no progress."""
        generators = batch.generators(self._generators)
        seen, reference = pixels, None
        if self._reference is not None and batch.compares:
            reference = batch.of(self._reference)
            seen = torch.cat([pixels, reference], 1)  # side by side, so both move alike
        if progress is not None:
            members = [transform.at(progress) for transform in batch.transforms]
            chosen = any(isinstance(member, CollapseAlpha) for member in members)
            behind = () if chosen or not self._recipe.alpha else (CollapseAlpha(),)
            seen = apply([*behind, *members], seen, generators)
        elif self._collapse:
            seen = apply(self._collapse, seen, generators)
        own = seen if reference is None else seen[:, : pixels.shape[1]]
        # Each objective takes off or keeps the ceiling for itself: one pass serves both kinds.
        lifted = progress is not None
        trunk = self._lanes.trunk
        ceilings = trunk.ceilings if lifted else {}
        maps = trunk(own, lifted)
        parts = {name: _parts(output, batch.sizes) for name, output in maps.items()}
        beside = {}
        if reference is not None:
            beside = self._beside(reference, seen[:, pixels.shape[1] :], batch)
        images = pixels.split(batch.sizes)
        balances = self._balances(batch)
        return [
            Seen(
                {name: part[i] for name, part in parts.items()},
                images[i],
                self._layer,
                {name: part[i] for name, part in beside.items()},
                balances[i],
                ceilings,
            )
            for i in range(len(batch.sizes))
        ]

    def _beside(
        self, reference: Tensor, moved: Tensor, batch: Batch
    ) -> dict[str, tuple[Tensor, ...]]:
        """Pixels and maps of the photographs, for each objective of the batch."""
        with without_gradients():
            maps = {**self._lanes.trunk(moved), INPUT: reference}
        return {name: output.split(batch.sizes) for name, output in maps.items()}

    def _balances(self, batch: Batch) -> tuple[Tensor, ...]:
        made: tuple[Tensor, ...] = batch.of(self._balance).split(batch.sizes)
        return made

    def _weigh(self, batch: Batch, views: Sequence[Seen], pixels: Tensor) -> None:
        """Set each accentuation's two gradients to one length, once, when both exist."""
        accentuations = [accentuation_in(objective) for objective in batch.objectives]
        terms = [one.terms(view) for one, view in zip(accentuations, views, strict=True) if one]
        pull = torch.autograd.grad(sum(p.sum() for p, _ in terms), pixels, retain_graph=True)[0]  # type: ignore[union-attr, arg-type]
        hold = torch.autograd.grad(sum(d.sum() for _, d in terms), pixels, retain_graph=True)[0]  # type: ignore[union-attr, arg-type]
        lengths = [g.flatten(1).norm(dim=1) for g in (pull, hold)]
        ratio = lengths[0] / lengths[1].clamp_min(1e-12)
        self._balance[batch.rows] = torch.where(lengths[1] > 0, ratio, 1.0)

    def _guard(self, scores: Tensor, weight: Tensor, step: int) -> None:
        bad = ~scores.isfinite() | ~weight.sum((1, 2)).isfinite().cpu()
        if bad.any():
            index = int(bad.nonzero()[0])
            raise Diverged(
                f"{self.labels[index]!r} (image {index}) is not a finite number at step {step}: "
                f"score {scores[index]:g}; lower the learning rate or look for a division by zero"
            )

    def _guard_pixels(self, pixels: Tensor) -> None:
        """No step has looked at what the last one made."""
        bad = ~pixels.flatten(1).isfinite().all(1)
        if bad.any():
            index = int(bad.nonzero()[0])
            raise Diverged(
                f"{self.labels[index]!r} (image {index}) is not a finite picture after step "
                f"{len(self._history) - 1}; lower the learning rate"
            )

    def _pixels(self) -> Tensor:
        if self._average is not None:
            return self._average.pixels()
        with without_gradients():
            return self._image.pixels().detach()

    def _photo_pixels(self) -> Tensor:
        if self._recipe.photo is None:
            raise InvalidArgument("Accentuation changes a photograph: give visualize(..., photo=x)")
        if self._recipe.alpha:
            raise InvalidArgument("Accentuation has no use for alpha; leave it out")
        return self._pixels().clone()

    def _clean_scores(self, pixels: Tensor) -> Tensor:
        scores = []
        with without_gradients():
            for batch in self._batches:
                together = batch.merged
                views = self._views(together, together.of(pixels), None)
                scores += [o.score(v) for o, v in zip(together.objectives, views, strict=True)]
        return self._in_order(scores).cpu()

    def _result(self, interrupted: bool) -> Visualization:
        pixels = self._keeper.choose(self._pixels())
        self._guard_pixels(pixels)
        self._warn_of_dead()
        history = torch.stack(self._history) if self._history else torch.zeros(0, len(self.labels))
        return Visualization(
            pixels,
            history,
            self._clean_scores(pixels),
            self.labels,
            interrupted,
            self._snapshots,
            self._importance,
        )

    def _warn_of_dead(self) -> None:
        dead = self._importance.flatten(1).eq(0).all(1).nonzero().flatten().tolist()
        if dead and self._history:
            names = ", ".join(repr(self.labels[i]) for i in dead[:3])
            warnings.warn(
                f"no gradient ever reached {len(dead)} of {len(self.labels)} images "
                f"({names}): the units are dead, and these pictures are noise",
                stacklevel=5,
            )


# What PyTorch says of a graph that cannot be asked, and what is to be done.
_WAYS = {
    "use_reentrant": "with a reentrant checkpoint; write checkpoint(..., use_reentrant=False)",
    "modified by an inplace operation": (
        "where it writes over numbers that its own gradient needs, e.g. x.relu().mul_(2); write "
        "x.relu().mul(2)"
    ),
}


def _unreached(label: str) -> str:
    return (
        f"no gradient reaches the image from {label!r}; the layer or the objective cuts the graph"
    )


def _is_data(objectives: Sequence[Objective], recipe: Recipe, layer: str) -> bool:
    """Whether no code of the user's runs in a step, which may keep what it sees."""
    seen_through = [t for each in objectives for t in recipe.seen_through(each, layer)]
    return all(describe(transform) is not None for transform in seen_through) and all(
        objective.to_data() is not None for objective in objectives
    )


def _generator(seed: int, copy: int) -> torch.Generator:
    # Distances between seeds are large, so that seed 0 copy 1 is not seed 1 copy 0.
    return torch.Generator().manual_seed((seed * 1_000_003 + copy) % 2**63)


def _weight(gradient: Tensor) -> Tensor:
    """How much each pixel matters, (n, y, x): the sum of |gradient| over channels."""
    return gradient.abs().sum(1)


def _parts(maps: Tensor, sizes: list[int]) -> Sequence[Tensor]:
    # Splitting copies all gradients on the way back, even into one part.
    return [maps] if len(sizes) == 1 else maps.split(sizes)
