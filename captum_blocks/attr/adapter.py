"""Any attribution method of Captum on any layer, behind one call with one kind of answer."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from captum.attr import (
    Attribution,
    LayerAttribution,
    LayerGradientXActivation,
    NoiseTunnel,
)
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks.attr import _captum, catalogue
from captum_blocks.attr._guard import unchanged
from captum_blocks.attr.head import Probe, check_input, check_targets, gradients, probe
from captum_blocks.attr.regrouping import regroup
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, WrongType
from captum_blocks.layouts import Kind, Layout, resolve

Method: TypeAlias = "str | type | Attribution | Callable[[nn.Module, nn.Module], Attribution]"


@dataclass(frozen=True, eq=False)
class LayerResult:
    """The attribution of class scores to the neurons of a layer.

    Attributes:
        maps: (image, class, channel, y, x), detached.
        tokens: (image, class, token, channel): class and register tokens, possibly none.
        delta: (image, class), Captum's convergence delta, where the method has one.
        contributes: whether the numbers add up to a change of the score; weights do not.
        notes: what was repaired, defaulted or approximated, in words for the reader.
        activation: (image, channel, y, x), the layer's activation itself.
    """

    maps: Tensor
    tokens: Tensor
    delta: Tensor | None
    contributes: bool
    notes: tuple[str, ...]
    activation: Tensor


@dataclass(frozen=True, eq=False)
class GroupResult:
    """The attribution of class scores to groups of a layer.

    Attributes:
        maps: (image, class, group, y, x), detached.
        residual: (image, class, y, x): what the groups do not explain. Groups and residual add up
            to the layer's attribution at every position.
        tokens: (image, class, token): what class and register tokens hold, as a remainder.
        delta: as in ``LayerResult``.
        notes: as in ``LayerResult``.
    """

    maps: Tensor
    residual: Tensor
    tokens: Tensor
    delta: Tensor | None
    notes: tuple[str, ...]


class LayerMethod:
    """One attribution method on one layer.

    Args:
        module: the network.
        layer: the layer, by dotted name or as a submodule.
        method: the name of a Captum class, the class, a configured instance (also a ``NoiseTunnel``
            around one) or a factory ``(module, layer) -> LayerAttribution``. A method for inputs
            runs on the head: the rest of the network as a function of the layer's activation.
        layout: where the layer keeps channels and positions; detected when None.
        noise: arguments for a ``NoiseTunnel`` around the method, e.g. ``dict(nt_samples=8)``.
        options: keyword arguments of the method's ``__init__`` and ``attribute``.

    Raises:
        UnknownName, LayerNotFound: with the nearest names.
        InvalidArgument: an option the method does not have, naming those it has.
        UnsupportedMethod: a method that cannot be used on a layer.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 5))
    >>> method = LayerMethod(net, "0", "LayerIntegratedGradients", n_steps=4)
    >>> method.attribute(torch.ones(2, 3, 6, 6), targets=[3, 1]).maps.shape
    torch.Size([2, 2, 4, 4, 4])
    """

    def __init__(
        self,
        module: nn.Module,
        layer: str | nn.Module,
        method: Method = "LayerGradientXActivation",
        layout: Layout | Kind | None = None,
        *,
        noise: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.module = module
        self.layer_name, self.layer = hooks.find_layer(module, layer)
        self.layout = layout
        self.notes: tuple[str, ...] = ()
        instance, options = _instance(module, self.layer, method, options)
        if noise is not None:
            if isinstance(instance, NoiseTunnel):
                raise InvalidArgument("noise= was given and the method is a NoiseTunnel already")
            instance, options = NoiseTunnel(instance), {**noise, **options}
        self.captum = instance
        self._forward = _captum.innermost(instance).forward_func
        self.inner = _captum.innermost(instance)
        self.kind = type(self.inner)
        self.name = catalogue.fact_name(self.kind)
        _check_place(self.inner, self.layer, self.layer_name)
        self.options = _captum.check_options(instance, options, self.name)
        self.contributes = catalogue.contributes(self.inner) and self._adds_up()

    def _adds_up(self) -> bool:
        squares = self.options.get("nt_type", "smoothgrad") in ("smoothgrad_sq", "vargrad")
        return not squares and not self.options.get("relu_attributions", False)

    @property
    def on_head(self) -> bool:
        """Whether the method runs on the rest of the network instead of looking at the layer."""
        return catalogue.runs_on_head(self.kind)

    @property
    def _plain_gradient(self) -> bool:
        return (
            self.kind is LayerGradientXActivation and self.captum is self.inner and not self.options
        )

    @property
    def linear(self) -> bool:
        """Whether the attribution is W * (a - a0), with W to be had from the same class."""
        return (
            self.captum is self.inner
            and self.name in _captum.LINEAR
            and self.kind.__name__ == self.name
            and self.contributes
        )

    def forward_passes(self, x: Tensor, n_targets: int) -> int:
        """How many forward passes of the batch ``x`` an attribution to ``n_targets`` classes costs.

        Runs the network once, as far as the layer, to see how large it is.
        """
        with hooks.evaluation_mode(self.module), torch.no_grad():
            seen = hooks.run_until(self.module, {self.layer_name: self.layer}, check_input(x))
        return self._passes(seen[self.layer_name], n_targets)

    def _passes(self, activation: Tensor, n_targets: int) -> int:
        if self._plain_gradient:
            return 1
        each = catalogue.passes_per_class(
            self.kind, _captum.cost(self.inner, self.options, activation)
        )
        if isinstance(self.captum, NoiseTunnel):
            each *= int(self.options.get("nt_samples", 5))
        return each * n_targets

    def attribute(self, x: Tensor, targets: Sequence[int]) -> LayerResult:
        """Attribute each target's score to the layer.

        Args:
            x: (image, ...), what the network takes.
            targets: class indices; the axis "class" of the result keeps their order.

        Returns:
            The attribution, in the unit of the network's scores.

        Raises:
            UnsupportedMethod: the method cannot do this layer, or would need more than
                ``MOST_FORWARD_PASSES`` forward passes.
            InvalidArgument: targets out of range, activations that are not finite.
        """
        run = self._run(x, targets)
        return LayerResult(
            run.maps(run.attributions),
            run.tokens(run.attributions),
            run.delta,
            self.contributes,
            run.notes,
            run.layout.to_maps(run.probe.activation),
        )

    def attribute_groups(self, x: Tensor, targets: Sequence[int], reducer: Any) -> GroupResult:
        """Attribute each target's score to groups of the layer's channels.

        Args:
            x: (image, ...), what the network takes.
            targets: class indices.
            reducer: fitted, with ``components_`` (group, channel) and ``transform``.

        Returns:
            Groups and residual; together they are what ``attribute`` gives, position by position.

        Raises:
            UnsupportedMethod: the method yields weights, which cannot be shared out.
            InvalidArgument: the reducer is not fitted, or was fitted on another width.
        """
        if not self.contributes:
            raise UnsupportedMethod(
                f"{self.name} as configured yields weights, not contributions: their sum means "
                "nothing, so they cannot be shared out among groups; use a method that "
                "contributes, e.g. LayerIntegratedGradients"
            )
        components = fitted_components(reducer)
        run = self._run(x, targets, with_weights=self.linear)
        activation = run.probe.activation
        scores = group_scores(reducer, activation, run.layout)
        attribution = run.maps(run.attributions)
        weights = None if run.weights is None else run.maps(run.weights)
        maps = run.layout.to_maps(activation)
        groups, residual = regroup(maps, attribution, weights, scores, components)
        tokens = run.tokens(run.attributions).sum(-1)
        return GroupResult(groups, residual, tokens, run.delta, run.notes)

    def _run(self, x: Tensor, targets: Sequence[int], with_weights: bool = False) -> _Run:
        images = check_input(x)
        if images.is_inference():
            images = images.clone()
        with torch.inference_mode(False), torch.enable_grad(), self._undisturbed() as notes:
            seen = probe(self._forward, self.layer, self.layer_name, images)
            layout = resolve(self.layout, seen.activation.shape)
            layout.to_maps(seen.activation)
            wanted = check_targets(targets, seen.scores.shape[1])
            self._check_possible(seen, layout, images, len(wanted), with_weights)
            if self._plain_gradient:
                activation, grads = gradients(self._forward, self.layer, images, wanted)
                found = grads * activation if self.contributes else grads
                return _Run(seen, layout, found, grads, None, (*notes, *self.notes))
            return self._run_captum(images, wanted, seen, layout, with_weights, notes)

    def _run_captum(
        self,
        images: Tensor,
        targets: list[int],
        seen: Probe,
        layout: Layout,
        with_weights: bool,
        notes: list[str],
    ) -> _Run:
        place = seen.activation if self.on_head else images
        extra, told = _captum.default_baselines(self.captum, self.options, place, self.on_head)
        options = {**self.options, **extra}
        delta = self.contributes and self.inner.has_convergence_delta()

        def each(method: Attribution, with_delta: bool) -> tuple[Tensor, Tensor | None]:
            with _captum.explained(self.name, self.layer_name):
                answers = [
                    _captum.call(
                        method, self._forward, self.layer, images, seen, target, options, with_delta
                    )
                    for target in targets
                ]
            for attribution, _ in answers:
                _check_shape(attribution, seen.activation, self.name)
            deltas = [d for _, d in answers if d is not None]
            return torch.stack([a for a, _ in answers]), torch.stack(deltas, 1) if deltas else None

        attributions, deltas = each(self.captum, delta)
        weights = None
        if with_weights:
            twin = _captum.weights_twin(self.inner, self._forward, self.layer)
            weights, _ = each(twin, False)
        return _Run(seen, layout, attributions, weights, deltas, (*notes, *self.notes, *told))

    @contextmanager
    def _undisturbed(self) -> Iterator[list[str]]:
        """The module in evaluation mode, and as it was afterwards; yields what to tell about it."""
        notes = []
        if any(part.training for part in self.module.modules()):
            notes.append("the network was in training mode; it was evaluated in eval() mode")
            warnings.warn(notes[0], stacklevel=5)
        with unchanged(self.module), hooks.evaluation_mode(self.module):
            yield notes

    def _check_possible(
        self, seen: Probe, layout: Layout, images: Tensor, n_targets: int, with_weights: bool
    ) -> None:
        if self.name == "LayerGradCam" and layout.kind != "NCHW":
            raise UnsupportedMethod(
                f"LayerGradCam averages over axes that are not positions in the layout {layout}; "
                "use LayerGradientXActivation"
            )
        if "Permutation" in self.name and images.shape[0] < 2:
            raise UnsupportedMethod(
                f"{self.name} exchanges activations between the images of a batch, and one image "
                "has nothing to exchange with; give several images, or use LayerFeatureAblation"
            )
        passes = self._passes(seen.activation, n_targets)
        passes *= 2 if with_weights and not self._plain_gradient else 1
        if passes > catalogue.MOST_FORWARD_PASSES:
            raise UnsupportedMethod(
                f"{self.name} at layer {self.layer_name!r} would need {_counted(passes)} forward "
                f"passes for {n_targets} classes; more than {catalogue.MOST_FORWARD_PASSES:,} are "
                "not started. Ask for fewer classes or steps, or attribute to the groups of a "
                "reducer with GroupAttribution, or use LayerGradientXActivation (one pass)"
            )


@dataclass(frozen=True, eq=False)
class _Run:
    """What a method answered, in the layer's own layout; attributions are (class, image, ...)."""

    probe: Probe
    layout: Layout
    attributions: Tensor
    weights: Tensor | None
    delta: Tensor | None
    notes: tuple[str, ...]

    def maps(self, values: Tensor) -> Tensor:
        return torch.stack([self.layout.to_maps(value) for value in values], 1)

    def tokens(self, values: Tensor) -> Tensor:
        return torch.stack([self.layout.tokens(value) for value in values], 1)


def group_scores(reducer: Any, activation: Tensor, layout: Layout) -> Tensor:
    """What a reducer makes of a layer's activation, as (image, group, y, x).

    Args:
        reducer: fitted; its ``transform`` takes a tensor of the layer's own layout. The answer of
            a token layer may leave the prefix tokens out.
        activation: in the layer's own layout.
        layout: of the activation.
    """
    scores = torch.as_tensor(reducer.transform(activation)).to(activation)
    if layout.kind == "tokens" and scores.shape[1] == activation.shape[1] - layout.prefix:
        layout = Layout("tokens", 0, layout.grid)
    return layout.to_maps(scores).detach()


def fitted_components(reducer: Any, like: Tensor | None = None) -> Tensor:
    """A reducer's components, (group, channel).

    Raises:
        InvalidArgument: the reducer is not fitted.
    """
    found = getattr(reducer, "components_", None)
    if found is None:
        raise InvalidArgument(
            f"the {type(reducer).__name__} given is not fitted (it has no components_); "
            "call fit on activations of this layer first"
        )
    return torch.as_tensor(found)


def _instance(
    module: nn.Module, layer: nn.Module, method: Method, options: dict[str, Any]
) -> tuple[Attribution, dict[str, Any]]:
    if isinstance(method, str):
        method = catalogue.resolve_method(method)
    if inspect.isclass(method):
        if not issubclass(method, Attribution) or issubclass(method, NoiseTunnel):
            raise UnsupportedMethod(
                f"{method.__name__} is no attribution method of its own; give a method of "
                "captum_blocks.attr.methods(), or a configured NoiseTunnel"
            )
        return _captum.build(method, module, layer, options)
    if isinstance(method, Attribution):
        return method, options
    if callable(method):
        made = method(module, layer)
        if isinstance(made, Attribution):
            return made, options
        raise WrongType(f"the factory returned {type(made).__name__}, not a Captum attribution")
    raise WrongType(
        f"method is a {type(method).__name__}; give a name, a Captum class or instance, or a "
        "factory (module, layer) -> LayerAttribution"
    )


def _check_place(inner: Attribution, layer: nn.Module, name: str) -> None:
    if not isinstance(inner, LayerAttribution):
        return
    if isinstance(inner.layer, (list, tuple)):
        raise UnsupportedMethod(
            f"{type(inner).__name__} was made for {len(inner.layer)} layers; make one per layer"
        )
    if inner.layer is not layer:
        raise InvalidArgument(
            f"the {type(inner).__name__} given was made for another layer than {name!r}; "
            "make it for this one"
        )


def _check_shape(attribution: Tensor, activation: Tensor, name: str) -> None:
    if attribution.shape != activation.shape:
        raise UnsupportedMethod(
            f"{name} answered with shape {tuple(attribution.shape)} for a layer of shape "
            f"{tuple(activation.shape)}; only a number per neuron can be taken apart"
        )


def _counted(passes: int) -> str:
    return f"{passes:,}" if passes < 10**9 else "more than a billion"
