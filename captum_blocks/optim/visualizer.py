"""The loop: pictures that make a network's parts respond."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks._gradients import without_gradients
from captum_blocks.behaviour import warn_of
from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.hooks import alone
from captum_blocks.layouts import Kind, Layout
from captum_blocks.optim._loop import Callback, Run, Visualization
from captum_blocks.optim._state import State, state_of
from captum_blocks.optim.accentuation import accentuation_in
from captum_blocks.optim.filters import Given
from captum_blocks.optim.images import Parameterization
from captum_blocks.optim.naming import check_names, layer_name, module_called
from captum_blocks.optim.objectives import ALPHA, INPUT, Objective
from captum_blocks.optim.recipe import Optimizer, Recipe, Schedule, describe, snapshot_steps
from captum_blocks.optim.trunk import Preprocess, Trunk
from captum_blocks.wrappers import check_takes_a_picture, plain

DEFAULT_MEMORY_BUDGET = 2**30
MOST_TRUNKS = 4


class FeatureVisualizer:
    """Makes images that maximise objectives of a network's layers.

    The network is copied up to the layer when the first picture is asked for, and never changed.
    Hooks registered on it come along, since they may be a part of what it computes: one that
    records will record these passes too.

    Args:
        module: the network; any ``nn.Module`` that takes images.
        layer: the layer that objectives mean where they name none; a module or its dotted name;
            ``"output"`` or the network itself: what it returns. A module that is itself called
            "output" or "input" is written ``".output"`` where it is named.
        preprocess: images in [0, 1] -> what the module takes, differentiable; None: the module
            takes images in [0, 1].
        layout: how the layer's output is laid out; found from its shape unless given.
        memory_budget: bytes the activations of one pass may take; larger batches are split, which
            changes no picture.
        autocast: run the network in this type, e.g. ``torch.bfloat16``; None: as it is.
        compiler: a backend of ``torch.compile`` for the parts around the layer, e.g.
            ``"inductor"``; worth its start-up time for long runs only.

    Raises:
        LayerNotFound: the module has no such layer.
        InvalidArgument: ``layer`` is "output" and the module has one of that name too.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    >>> from captum_blocks.optim import Channel
    >>> out = FeatureVisualizer(net, "1").visualize([Channel(0), Channel(1)], size=16, n_steps=2)
    >>> out.images.shape, out.labels
    (torch.Size([2, 3, 16, 16]), ['channel 0', 'channel 1'])
    """

    def __init__(
        self,
        module: nn.Module,
        layer: str | nn.Module,
        preprocess: Preprocess | None = None,
        layout: Layout | Kind | None = None,
        *,
        memory_budget: int = DEFAULT_MEMORY_BUDGET,
        autocast: torch.dtype | None = None,
        compiler: str | None = None,
    ) -> None:
        check_takes_a_picture(module := plain(module))
        self.module = module
        self.layer = layer_name(module, layer)
        self.preprocess = preprocess
        self.layout = layout
        self.memory_budget = memory_budget
        self.autocast = autocast
        self.compiler = compiler
        self._trunks: dict[frozenset[str], Trunk] = {}
        self._seen_state: State = ()

    def visualize(
        self,
        objectives: Objective | Sequence[Objective],
        *,
        size: int | tuple[int, int] = 128,
        n_steps: int = 256,
        seed: int = 0,
        parameterization: str | Parameterization = "fourier",
        transforms: Given = "robust",
        optimizer: str | Optimizer | None = None,
        learning_rate: float | None = None,
        schedule: Schedule | None = None,
        channels: int = 3,
        alpha: bool = False,
        photo: Tensor | None = None,
        normalize_gradient: bool = False,
        average: bool = True,
        keep_best: bool = False,
        patience: int | None = None,
        snapshots: Collection[int] = (),
        callback: Callback | None = None,
        progress: bool = False,
    ) -> Visualization:
        """Optimize one image per objective (several where an objective is for several).

        Where a layer ends with a ReLU6, objectives of units (channels, neurons, directions, groups,
        classes, dreams) see it with a soft ceiling on the way, above which a quarter of what is
        more counts, since a unit at its ceiling gives no gradient; functions of one's own, targets,
        comparisons and penalties see the layer's own values, and so do the ``scores`` of the final
        images.

        Args:
            objectives: what each image is to maximise; they do not disturb each other.
            size: pixels, or (height, width).
            n_steps: how often each image is improved.
            seed: equal seeds give equal pictures, whatever else is in the batch.
            parameterization: how images are held, by name or as data.
            transforms: what happens to an image before the network sees it: the name of a set, one
                transform, or a sequence of them, those of ``torchvision.transforms.v2`` included.
                ``"narrow"`` are shifts, turns and Lucid's scales of .9 to 1.1, ``"wide"`` the same
                with scales of .63 to 1.17 and colours shifted by up to a tenth; ``"robust"`` is the
                first for parts of the network and the second for its answer, since a class is the
                same at any size and in any light; or ``"none"``.
            optimizer: a name, or ``(parameters, lr=...)`` -> torch optimizer; NAdam unless told.
            learning_rate: the parameterization's own unless told.
            schedule: optimizer -> learning-rate scheduler, stepped after each step;
                ``ReduceLROnPlateau`` watches the mean score, which is to rise.
            channels: colour channels the network takes.
            alpha: whether the image may be transparent; it is then seen on random backgrounds.
            photo: start from this picture, a float tensor (channel, y, x) in [0, 1].
            normalize_gradient: give the gradient of each image length 1.
            average: hand back the mean of the last fifth of the way, which is calmer and excites
                the unit more than the last step itself; False: the last step.
            keep_best: hand back each image as it scored best, not as it was last.
            patience: an image has settled, and is kept, when the mean score of so many steps is not
                larger than that of as many before; the run ends when all have.
            snapshots: after which steps to keep a copy of the images.
            callback: called as ``callback(step, scores)`` after each step.
            progress: show a progress bar.

        Returns:
            Images in [0, 1] with their history, scores and labels.

        Raises:
            InvalidArgument: an objective that the layer cannot have, or a recipe that cannot be.
            WrongType: an argument that is not of the kind described.
            UnusableLayer: the network cannot take the size, never calls the layer, or gives no
                gradient.
            Diverged: a score or gradient is not a finite number.
        """
        recipe = Recipe(
            size=size,
            n_steps=n_steps,
            seed=seed,
            parameterization=parameterization,
            transforms=transforms,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            channels=channels,
            alpha=alpha,
            photo=photo,
            normalize_gradient=normalize_gradient,
            average=average,
            keep_best=keep_best,
            patience=patience,
        )
        kept = snapshot_steps(snapshots, recipe.n_steps)
        with torch.inference_mode(False), torch.enable_grad():
            run = self._run(_as_list(objectives), recipe)
            warn_of([run.trunk.behaviour.drifts, run.trunk.choice])
            return run.until_done(callback, progress, kept)

    def key(self, objective: Objective, **recipe: Any) -> str | None:
        """Canonical JSON of all that determines a picture.

        Args:
            objective: what the picture maximises.
            recipe: the same recipe arguments as for ``visualize``.

        Returns:
            The key, or None where a callable or a class of one's own decides part of the picture.
        """
        return self.keys([objective], **recipe)[0]

    def keys(self, objectives: Sequence[Objective], **recipe: Any) -> list[str | None]:
        """The keys of several pictures; the network is asked once whether it is as it was.

        Args:
            objectives: what each picture maximises.
            recipe: the same recipe arguments as for ``visualize``.

        Returns:
            A key for each, or None, as ``key`` says.

        >>> from captum_blocks.optim import Channel
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> a, b = FeatureVisualizer(net, "1").keys([Channel(0), Channel(1)], size=16)
        >>> a == b
        False
        """
        made = Recipe(**recipe)
        told = isinstance(self.layout, Layout)
        layout = describe(self.layout) if told else self.layout
        if told and layout is None:
            return [None] * len(objectives)
        looked_at: dict[frozenset[str], dict[str, Any]] = {}
        return [self._key(one, made, layout, looked_at) for one in objectives]

    def _key(
        self,
        objective: Objective,
        recipe: Recipe,
        layout: Any,
        looked_at: dict[frozenset[str], dict[str, Any]],
    ) -> str | None:
        how = recipe.to_data(recipe.seen_through(objective, self.layer))
        what = objective.to_data()
        if how is None or what is None:
            return None
        names = self._names([objective])
        if names not in looked_at:
            looked_at[names] = self._looked_at(objective, recipe)
        data = {**looked_at[names], "layout": layout, "objective": what, "recipe": how}
        return json.dumps(data, sort_keys=True, separators=(",", ":"))

    def _looked_at(self, objective: Objective, recipe: Recipe) -> dict[str, Any]:
        """What a key says of the network."""
        with torch.inference_mode(False):  # a trunk made here is to be used for pictures too
            trunk = self._trunk([objective], recipe)
            answer = trunk.answers(self.module, self._example(recipe))
        return {
            "network": trunk.fingerprint,
            "behaviour": sha256(answer.encode()).hexdigest(),
            "preprocess": self._preprocess_fingerprint(recipe.channels),
            "autocast": str(self.autocast),
            "layer": self.layer,
        }

    def _run(self, objectives: list[Objective], recipe: Recipe) -> Run:
        """Everything that can be wrong is found out here, before the first step."""
        trunk = self._trunk(objectives, recipe)
        example = self._example(recipe)
        channels, *sides = example.shape[1:]
        shapes = {**trunk.shapes(example), INPUT: (channels + recipe.alpha, *sides)}
        if recipe.alpha:
            shapes[ALPHA] = (1, *sides)
        for one in objectives:
            one.check(shapes, self.layer)
        return Run(trunk, objectives, recipe, self.layer, example, self.memory_budget)

    def _trunk(self, objectives: Sequence[Objective], recipe: Recipe) -> Trunk:
        with alone(self.module):  # two threads may share this object as well as the network
            return self._kept_trunk(objectives, recipe)

    def _kept_trunk(self, objectives: Sequence[Objective], recipe: Recipe) -> Trunk:
        names = self._names(objectives)
        check_names(self.module, objectives)
        for name in names:
            module_called(self.module, name)  # raises where there is none
        state = self._state()
        if state != self._seen_state:
            self._trunks.clear()
            self._seen_state = state
        kept = self._trunks.get(names)
        if kept is not None and not kept.is_of(self.module):
            self._trunks.clear()
        if names not in self._trunks:
            layouts = {} if self.layout is None else {self.layer: self.layout}
            while len(self._trunks) >= MOST_TRUNKS:
                del self._trunks[next(iter(self._trunks))]
            self._trunks[names] = Trunk(
                self.module,
                sorted(names),
                self._example(recipe),
                self.preprocess,
                layouts,
                self.autocast,
                self.compiler,
            )
        return self._trunks[names]

    def _names(self, objectives: Sequence[Objective]) -> frozenset[str]:
        """The layers that objectives look at."""
        names = frozenset[str]().union(*(one.layers(self.layer) for one in objectives))
        return names or frozenset({self.layer})

    def _state(self) -> State:
        """Changes whenever the user trains, loads, moves or edits the module, or this object."""
        settings = (self.preprocess, self.layout, self.autocast, self.compiler)
        return (*settings, state_of(self.module))

    def _example(self, recipe: Recipe) -> Tensor:
        noise = torch.rand(
            1, recipe.channels, *recipe.height_width, generator=torch.Generator().manual_seed(0)
        )
        return noise.to(self._device())

    def _preprocess_fingerprint(self, channels: int) -> str | None:
        """Preprocessing is code; it is known by a hash of what it does to a picture.

        Asked anew for each key: a millisecond or two, and code may hold numbers that change.
        """
        if self.preprocess is None:
            return None
        ramp = torch.linspace(0, 1, channels * 16).reshape(1, channels, 4, 4)
        with without_gradients():
            done = self.preprocess(ramp.to(self._device())).to("cpu", torch.float32)
        rounded = torch.round(done, decimals=4) + 0.0  # minus zero is zero
        return sha256(f"{tuple(done.shape)}".encode() + rounded.numpy().tobytes()).hexdigest()

    def _device(self) -> torch.device:
        for tensor in (*self.module.parameters(), *self.module.buffers()):
            return tensor.device
        return torch.device("cpu")


def _as_list(objectives: Objective | Sequence[Objective]) -> list[Objective]:
    wanted = [objectives] if isinstance(objectives, Objective) else list(objectives)
    if not wanted:
        raise InvalidArgument("no objectives given; give at least one, e.g. [Channel(0)]")
    for one in wanted:
        if not isinstance(one, Objective):
            raise WrongType(
                f"an objective is an Objective, not {type(one).__name__}; "
                "wrap a function of activations with objective(function, name=...)"
            )
        accentuation_in(one)  # raises where one would not hold its picture back
    return wanted
