"""Gradients along a path of the layer's activation, as the article defines them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from captum.attr import LayerAttribution
from captum.log import log_usage
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients
from captum_blocks.attr._reasons import cut, gradients_explained, moves
from captum_blocks.attr._visit import quiet
from captum_blocks.attr.head import (
    Look,
    check_runs_once,
    listed,
    look,
    no_such_class,
    rows,
    whole_number,
)
from captum_blocks.behaviour import warn_of
from captum_blocks.errors import (
    InvalidArgument,
    UnknownName,
    UnsupportedMethod,
    UnusableLayer,
    did_you_mean,
)
from captum_blocks.layouts import Kind, Layout, picture_size, resolve
from captum_blocks.scores import class_scores

Path = Literal["linear", "integrated", "stochastic"]


class LayerPathGradients(LayerAttribution):
    """Activation times the mean gradient along a path from zero to the layer's activation.

    The path is in the layer's own space, unlike that of Captum's ``LayerConductance`` or the
    baselines of ``LayerIntegratedGradients``, which start from an image. "The Building Blocks of
    Interpretability" (Distill 2018) uses three: ``linear`` is the gradient at the end of the path
    alone; ``integrated`` the mean over A n/N for n = 0 ... N-1; ``stochastic`` multiplies each of
    those points, channel by channel, by (U + U) / 1.5 with U uniform in [0, 1). How far the
    answers lie apart tells how much an attribution depends on the path, see ``path_dependence``.
    The convergence delta is what is missing to the change of the score between the ends of the
    path, a layer of zeros and the layer's activation; only ``integrated`` brings it to zero, with
    many steps.

    Args:
        forward_func: the network.
        layer: where to look.
        device_ids: accepted for Captum's sake.
        multiply_by_inputs: False gives the mean gradient itself.
        layout: where the layer keeps channels; detected when None.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    >>> LayerPathGradients(net, net[0]).attribute(torch.ones(3, 2), target=0, n_steps=4).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: nn.Module,
        device_ids: list[int] | None = None,
        multiply_by_inputs: bool = True,
        layout: Layout | Kind | None = None,
    ) -> None:
        LayerAttribution.__init__(self, hooks.on_copies(forward_func), layer, device_ids)
        self._multiply_by_inputs = multiply_by_inputs
        self.layout = layout

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether the mean gradient is multiplied by the activation."""
        return self._multiply_by_inputs

    @log_usage()
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        path: Path = "integrated",
        n_steps: int = 100,
        seed: int = 0,
        return_convergence_delta: bool = False,
    ) -> Any:
        """Attribute a score to the layer along a path.

        Args:
            inputs: what the network takes.
            target: class index, or one per image; None for a network with a single score.
            additional_forward_args: further arguments of the network.
            path: linear, integrated or stochastic.
            n_steps: points on the path; linear has one.
            seed: of the stochastic path. All images take the same draws, so that a batch equals
                its images one by one.
            return_convergence_delta: also return (image,), see ``compute_convergence_delta``.

        Returns:
            ``attr`` or ``(attr, delta)``, detached; ``attr`` in the layer's own layout.

        Raises:
            UnknownName: there is no such path.
            InvalidArgument: ``n_steps`` is no positive integer, targets do not exist, activations
                are not finite.
            UnsupportedMethod: a delta of weights, which add up to nothing.
            WrongType: a target is no integer.
            UnusableLayer: the score has no gradient at the layer, or the layer runs several times:
                a point of the path is put in at every call.
        """
        if path not in get_args(Path):
            known = get_args(Path)
            raise UnknownName(
                f"no path {path!r}{did_you_mean(str(path), known)}; known: {', '.join(known)}"
            )
        if not isinstance(n_steps, int) or n_steps < 1:
            raise InvalidArgument(f"n_steps={n_steps!r}; a path has at least one point")
        if return_convergence_delta:
            self._check_delta()
        with quiet(self.layer, self.forward_func):
            arguments = _private(inputs, additional_forward_args)
            seen = self._look(arguments)
            size = picture_size(arguments)
            factors = self._factors(seen.activation, path, n_steps, seed, size)
            found = self._along(arguments, seen, target, factors)
            warn_of([seen.behaviour.drifts], stacklevel=3)
            if not return_convergence_delta:
                return found
            return found, self._delta(found, arguments, seen, target, 0.0)

    def has_convergence_delta(self) -> bool:
        """Whether the numbers add up to something: not where they are the mean gradient itself."""
        return self._multiply_by_inputs

    def compute_convergence_delta(  # type: ignore[override]
        self,
        attributions: Tensor | tuple[Tensor, ...],
        start_point: Tensor | float | None,
        end_point: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
    ) -> Tensor:
        """How far an attribution is from the change of the score between the ends of the path.

        delta = sum of the attribution - (F(A) - F(A0)), F being the rest of the network.

        Args:
            attributions: what ``attribute`` answered with.
            start_point: A0, an activation of the layer or one number for all of it; None for zero,
                where ``attribute`` starts.
            end_point: what the network takes; A is what the layer makes of it.
            target: as for ``attribute``.
            additional_forward_args: further arguments of the network.

        Returns:
            (image,).

        Raises:
            InvalidArgument: shapes that do not fit the layer.
            UnsupportedMethod: weights add up to nothing.
        """
        self._check_delta()
        values = attributions[0] if isinstance(attributions, tuple) else attributions
        with quiet(self.layer, self.forward_func):
            arguments = _private(end_point, additional_forward_args)
            seen = self._look(arguments)
            start = 0.0 if start_point is None else start_point
            for name, part in (("attributions", values), ("start_point", start)):
                if isinstance(part, Tensor) and not _fits(part, seen.activation):
                    raise InvalidArgument(
                        f"{name} of shape {tuple(part.shape)} does not fit the layer, which has "
                        f"{tuple(seen.activation.shape)}: the path is in the layer's own space"
                    )
            return self._delta(values, arguments, seen, target, start)

    def _check_delta(self) -> None:
        if not self._multiply_by_inputs:
            raise UnsupportedMethod(
                "with multiply_by_inputs=False these are weights, which add up to nothing; leave "
                "return_convergence_delta out"
            )

    def _look(self, arguments: tuple[Any, ...]) -> Look:
        name = type(self.layer).__name__
        seen = look(self.forward_func, self.layer, name, *arguments)
        check_runs_once(seen.calls, name)
        return seen

    def _along(
        self, arguments: tuple[Any, ...], seen: Look, target: Any, factors: list[Tensor]
    ) -> Tensor:
        total = torch.zeros_like(seen.activation)
        for factor in factors:
            total += self._gradient(arguments, seen, seen.activation * factor, target)
        mean = total / len(factors)
        return mean * seen.activation if self._multiply_by_inputs else mean

    def _scores(self, arguments: tuple[Any, ...], seen: Look, put_in: Tensor) -> Tensor:
        """(image, class) scores with another activation of the layer."""
        apart = seen.behaviour.apart
        outputs = []
        for row, own in zip(
            hooks.rows_of(arguments) if apart else [arguments],
            put_in.split(1) if apart else [put_in],
            strict=True,
        ):
            with hooks.replace(self.layer, _constant(own)):
                outputs.append(self.forward_func(*row))
        return class_scores(hooks.together(outputs), rows(arguments))

    def _delta(
        self,
        values: Tensor,
        arguments: tuple[Any, ...],
        seen: Look,
        target: Any,
        start: Tensor | float,
    ) -> Tensor:
        put_in = torch.zeros_like(seen.activation) + start
        with without_gradients():
            first = _selected(self._scores(arguments, seen, put_in), target)
            change = _selected(class_scores(seen.output, rows(arguments)), target) - first
        return (values.flatten(1).sum(1) - change).detach()

    def _factors(
        self,
        activation: Tensor,
        path: Path,
        n_steps: int,
        seed: int,
        size: tuple[int, int] | None,
    ) -> list[Tensor]:
        if path != "stochastic":
            return factors(activation, path, n_steps)
        axis = resolve(self.layout, activation.shape, size, self.layer).channel_axis
        return factors(activation, path, n_steps, seed, axis)

    def _gradient(
        self, arguments: tuple[Any, ...], seen: Look, point: Tensor, target: Any
    ) -> Tensor:
        leaf, gradient = point.detach().requires_grad_(), None
        with torch.enable_grad(), gradients_explained("the score moves", "this layer"):
            score = _selected(self._scores(arguments, seen, leaf), target).sum()
            if score.requires_grad:
                (gradient,) = torch.autograd.grad(score, leaf, allow_unused=True)
        if gradient is not None:
            return gradient
        if moves(self.forward_func, self.layer, arguments):
            raise UnusableLayer(cut("the score moves", "this layer"))
        raise UnusableLayer("the score does not depend on this layer through any gradient")


def factors(
    activation: Tensor, path: Path, n_steps: int, seed: int = 0, axis: int = 1
) -> list[Tensor]:
    """What an activation is multiplied by at each point of a path.

    Args:
        activation: of the layer.
        path: linear, integrated or stochastic, see ``LayerPathGradients``.
        n_steps: points; linear has one.
        seed: of the stochastic path.
        axis: that counts channels.

    >>> [factor.item() for factor in factors(torch.ones(1, 2), "integrated", 4)]
    [0.0, 0.25, 0.5, 0.75]
    """
    if path == "linear":
        return [activation.new_ones(())]
    steps = [activation.new_tensor(step / n_steps) for step in range(n_steps)]
    if path == "integrated":
        return steps
    shape = [1] * activation.ndim
    shape[axis] = activation.shape[axis]
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(2, n_steps, shape[axis], generator=generator).sum(0) / 1.5
    return [
        step * draw.to(activation).reshape(shape) for step, draw in zip(steps, draws, strict=True)
    ]


def _constant(activation: Tensor) -> Callable[[Tensor], Tensor]:
    grad = torch.is_grad_enabled()

    def put_in(_: Tensor) -> Tensor:
        # A part that runs under no_grad is followed from here on; it restores the mode itself.
        torch.set_grad_enabled(grad)
        return activation.clone()

    return put_in


def _private(inputs: Any, additional: Any) -> tuple[Any, ...]:
    """Copies, also of what was made under ``inference_mode``: they can take part in a gradient."""
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    if additional is not None:
        arguments += additional if isinstance(additional, tuple) else (additional,)
    return tuple(a.detach().clone() if isinstance(a, Tensor) else a for a in arguments)


def _fits(part: Tensor, activation: Tensor) -> bool:
    """Whether it is one number per neuron, for each image or for all of them."""
    return part.shape[1:] == activation.shape[1:] and len(part) in (1, len(activation))


def _selected(scores: Tensor, target: Any) -> Tensor:
    """The score of each image, (image,), by any target a table of scores can have."""
    images, classes = scores.shape
    if target is None:
        if classes != 1:
            raise InvalidArgument(
                f"no target was given and the network has {classes} classes; give one"
            )
        return scores[:, 0]
    several = isinstance(target, (list, tuple)) or (isinstance(target, Tensor) and target.ndim > 0)
    chosen = [whole_number(one) for one in (listed(target) if several else [target])]
    if len(chosen) not in (1, images):
        raise InvalidArgument(
            f"{len(chosen)} targets for {images} images; give one, or one per image"
        )
    for one in chosen:
        if not 0 <= one < classes:
            raise no_such_class(one, classes)
    places = torch.tensor(chosen, device=scores.device).expand(images)
    return scores.gather(1, places[:, None])[:, 0]
