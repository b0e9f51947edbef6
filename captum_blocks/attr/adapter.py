"""Any attribution method of Captum on any layer, behind one call with one kind of answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from captum.attr import Attribution, LayerGradientXActivation, NoiseTunnel
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients
from captum_blocks.attr import _building, _calling, catalogue
from captum_blocks.attr._building import Method
from captum_blocks.attr._reasons import moves
from captum_blocks.attr._visit import Visit, quiet, visiting
from captum_blocks.attr.group_attribution import GroupAttribution
from captum_blocks.attr.head import (
    check_input,
    check_runs_once,
    check_targets,
    gradients,
    probe,
)
from captum_blocks.attr.paths import LayerPathGradients
from captum_blocks.attr.reducers import Reducer, check_width, fitted_components, group_scores
from captum_blocks.attr.regrouping import regroup
from captum_blocks.attr.results import GroupResult, LayerResult
from captum_blocks.errors import InvalidArgument, UnsupportedMethod
from captum_blocks.layouts import Kind, Layout
from captum_blocks.scores import class_scores
from captum_blocks.wrappers import check_takes_a_picture, plain

# A gap between an attribution and what it should add up to, as a share, that is worth a note.
_FAIR_GAP = 0.1


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
        options: keyword arguments of the method's ``__init__`` and ``attribute``; one that is
            called as an argument here goes into ``WithOptions(method, {"method": ...})``.

    Raises:
        UnknownName: there is no such layer or method; the nearest names are in the message.
        InvalidArgument: an option the method does not have, naming those it has.
        UnsupportedMethod: a method that cannot be used on a layer.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 5)).eval()
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
        self.module = module = plain(module)
        self.layer_name, self.layer = hooks.find_layer(module, layer)
        self.layout = layout
        instance, options = _building.instance_of(module, self.layer, method, options)
        if noise is not None:
            if isinstance(instance, NoiseTunnel):
                raise InvalidArgument("noise= was given and the method is a NoiseTunnel already")
            instance, options = NoiseTunnel(instance), {**noise, **options}
        _building.check_place(_building.innermost(instance), self.layer, self.layer_name)
        self.captum = _building.on_copies(_building.aimed(instance, module))
        self.inner = _building.innermost(self.captum)
        check_takes_a_picture(self.inner.forward_func)
        self.kind = type(self.inner)
        self.name = catalogue.fact_name(self.kind)
        self.options = _building.check_options(self.captum, options, self.name)
        spoilt = _building.spoils_sum(self.options) is not None
        self.contributes = catalogue.contributes(self.inner) and not spoilt

    @property
    def on_head(self) -> bool:
        """Whether the method runs on the rest of the network instead of looking at the layer."""
        return catalogue.runs_on_head(self.kind)

    @property
    def linear(self) -> bool:
        """Whether the attribution is W * (a - a0), with W to be had from the same class."""
        return self.contributes and _building.is_linear(self.captum)

    @property
    def _plain_gradient(self) -> bool:
        plain = self.kind is LayerGradientXActivation and self.captum is self.inner
        return plain and not self.options

    def forward_passes(self, x: Tensor, n_targets: int) -> int:
        """How many forward passes of the batch ``x`` an attribution to ``n_targets`` classes costs.

        Runs the network once, as far as the layer, to see how large it is.

        Args:
            x: (image, ...), what the network takes.
            n_targets: how many classes are asked for.

        Returns:
            Passes of the whole batch; ``attribute`` refuses more than ``MOST_FORWARD_PASSES``.

        Raises:
            UnusableLayer: the layer never runs.
            InvalidArgument, WrongType: ``x`` is no float tensor of images.
        """
        with quiet(self.module), without_gradients():
            seen = hooks.run_until(self.module, {self.layer_name: self.layer}, check_input(x))
        return self._passes(seen[self.layer_name], n_targets)

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
            UnusableLayer: the layer never runs or has no gradient; or it runs several times, and
                the method puts activations in. Methods of Captum that look at the layer itself
                take its last call.
            WrongType: ``x`` is no tensor, targets are no list of integers.
        """
        with self._visiting(x) as visit:
            answer = self._answer(visit, targets)
        maps, tokens = answer.maps(visit.layout), answer.tokens(visit.layout)
        notes = tuple(visit.notes)
        return LayerResult(maps, tokens, answer.delta, self.contributes, notes, visit.maps)

    def attribute_groups(self, x: Tensor, targets: Sequence[int], reducer: Reducer) -> GroupResult:
        """Attribute each target's score to groups of the layer's channels.

        A layer method is shared out among the groups by ``regroup``; a method for inputs runs on
        the groups themselves, as ``GroupAttribution`` does.

        Args:
            x: (image, ...), what the network takes.
            targets: class indices.
            reducer: fitted, with ``components_`` (group, channel) and ``transform``.

        Returns:
            Groups and residual. For a layer method they add up to what ``attribute`` gives, at
            every position.

        Raises:
            UnsupportedMethod: the method yields weights, which cannot be shared out.
            InvalidArgument: the reducer is not fitted, or was fitted on another width.
            UnusableLayer, WrongType: as for ``attribute``.
        """
        if not self.contributes:
            raise _building.weights_refused(self.name, self.options)
        if self.on_head:
            method = _building.WithOptions(self.captum, self.options)
            through = GroupAttribution(self.module, self.layer, reducer, method, self.layout)
            return through.attribute(x, targets)
        components = fitted_components(reducer)
        with self._visiting(x) as visit:
            activation, layout = visit.seen.activation, visit.layout
            check_width(components, activation, layout)
            scores = group_scores(reducer, activation, layout)
            answer = self._answer(visit, targets, with_weights=self.linear)
        maps = answer.maps(layout)
        weights = None if answer.weights is None else answer.maps(layout, answer.weights)
        groups, residual = regroup(visit.maps, maps, weights, scores, components)
        tokens = answer.tokens(layout).sum(-1)
        return GroupResult(groups, residual, tokens, answer.delta, tuple(visit.notes))

    def check_scores(self, x: Tensor, expected: Tensor) -> None:
        """Whether a configured instance attributes the scores that are spoken about.

        One that was made on a function of its own may read another answer of the network.

        Args:
            x: (image, ...), what the network takes.
            expected: (image, class), the scores that are spoken about.

        Raises:
            InvalidArgument: it attributes others.
        """
        forward = self.inner.forward_func
        if forward is self.module:
            return
        with quiet(forward), without_gradients():
            scores = class_scores(forward(check_input(x)), len(x)).to(expected)
        _building.check_same(self.kind.__name__, scores, expected)

    def _visiting(self, x: Tensor) -> Any:
        return visiting(
            self.module, self.inner.forward_func, self.layer, self.layer_name, self.layout, x
        )

    def _answer(self, visit: Visit, targets: Sequence[int], with_weights: bool = False) -> _Answer:
        _building.check_reading(self.inner, self.module, visit.images, visit.seen.scores)
        wanted = check_targets(targets, visit.seen.scores.shape[1])
        self._check_possible(visit, len(wanted), with_weights)
        if self._plain_gradient:
            activation, grads = self._gradients(visit, wanted)
            return _Answer(grads * activation if self.contributes else grads, grads, None)
        if self.on_head:
            visit.notes.append(f"{self.name} ran on the rest of the network, behind the layer")
        visit.notes.extend(_calling.side_by_side(visit.seen.behaviour, self.name))
        options = self._with_baselines(visit)
        has_delta = self.contributes and self.inner.has_convergence_delta()
        values, delta = self._each(self.captum, visit, wanted, options, has_delta)
        visit.notes.extend(_gap(values, delta))
        weights = None
        if with_weights:
            twin = _building.weights_twin(self.inner)
            weights, _ = self._each(twin, visit, wanted, options, False)
        return _Answer(values, weights, delta)

    def _gradients(self, visit: Visit, targets: list[int]) -> tuple[Tensor, Tensor]:
        images = visit.images.split(1) if visit.seen.behaviour.apart else [visit.images]
        forward = self.inner.forward_func
        found = [gradients(forward, self.layer, each, targets) for each in images]
        activations, grads = zip(*found, strict=True)
        return torch.cat(activations), torch.cat(grads, 1)

    def _with_baselines(self, visit: Visit) -> dict[str, Any]:
        """The options, with baselines that live where the method looks."""
        place = visit.seen.activation if self.on_head else visit.images
        extra, told = _building.default_baselines(self.captum, self.options, place, self.on_head)
        visit.notes.extend(told)
        given = self.options.get("baselines")
        if not isinstance(given, Tensor) or given.shape[1:] == place.shape[1:]:
            return {**self.options, **extra}
        if not self.on_head or given.shape[1:] != visit.images.shape[1:]:
            raise InvalidArgument(
                f"baselines of shape {tuple(given.shape)} do not fit {tuple(place.shape)}, where "
                f"{self.name} starts from"
            )
        visit.notes.append("baseline: what the layer makes of the image given as one")
        forward = self.inner.forward_func
        return {
            **self.options,
            "baselines": probe(forward, self.layer, self.layer_name, given).activation,
        }

    def _each(
        self,
        method: Attribution,
        visit: Visit,
        targets: Sequence[int],
        options: Mapping[str, Any],
        has_delta: bool,
    ) -> tuple[Tensor, Tensor | None]:
        values, deltas = [], []
        for target in targets:
            with _calling.explained(
                method, self.name, self.layer_name, partial(self._moves, visit)
            ):
                value, delta = _calling.call(
                    method, self.layer, visit.images, visit.seen, target, options, has_delta
                )
            _check_shape(value, visit.seen.activation, self.name)
            values.append(value)
            deltas += [] if delta is None else [delta]
        return torch.stack(values), torch.stack(deltas, 1) if deltas else None

    def _moves(self, visit: Visit) -> bool:
        return moves(self.inner.forward_func, self.layer, (visit.images[:1],))

    def _passes(self, activation: Tensor, n_targets: int) -> int:
        if self._plain_gradient:
            return 1
        cost = _building.cost(self.inner, self.options, activation)
        each = catalogue.passes_per_class(self.kind, cost)
        if isinstance(self.captum, NoiseTunnel):
            each *= int(self.options.get("nt_samples", 5))
        return each * n_targets

    def _check_possible(self, visit: Visit, n_targets: int, with_weights: bool) -> None:
        if self.on_head or issubclass(self.kind, LayerPathGradients):
            check_runs_once(visit.seen.calls, self.layer_name)
        if self.name == "LayerGradCam" and visit.layout.kind != "NCHW":
            raise UnsupportedMethod(
                f"LayerGradCam averages over axes that are not positions in the layout "
                f"{visit.layout.kind!r}; use LayerGradientXActivation"
            )
        if "Permutation" in self.name and visit.images.shape[0] < 2:
            raise UnsupportedMethod(
                f"{self.name} exchanges activations between the images of a batch, and one image "
                "has nothing to exchange with; give several images, or use LayerFeatureAblation"
            )
        passes = self._passes(visit.seen.activation, n_targets)
        passes *= 2 if with_weights and not self._plain_gradient else 1
        catalogue.check_passes(passes, self.name, self.layer_name, n_targets)


@dataclass(frozen=True, eq=False)
class _Answer:
    """Attributions (class, image, ...) in the layer's own layout, as they come out of Captum."""

    values: Tensor
    weights: Tensor | None
    delta: Tensor | None

    def maps(self, layout: Layout, values: Tensor | None = None) -> Tensor:
        values = self.values if values is None else values
        return torch.stack([layout.to_maps(value) for value in values], 1)

    def tokens(self, layout: Layout) -> Tensor:
        return torch.stack([layout.tokens(value) for value in self.values], 1)


def _gap(values: Tensor, delta: Tensor | None) -> list[str]:
    """A complete method that misses its total says so."""
    if delta is None:
        return []
    total = values.flatten(2).sum(2).T
    if bool((delta.abs() <= _FAIR_GAP * total.abs().clamp(min=1e-3)).all()):
        return []
    return [
        f"the attribution misses the change of the score by up to {float(delta.abs().max()):.2g}"
    ]


def _check_shape(attribution: Tensor, activation: Tensor, name: str) -> None:
    if attribution.shape != activation.shape:
        raise UnsupportedMethod(
            f"{name} answered with shape {tuple(attribution.shape)} for a layer of shape "
            f"{tuple(activation.shape)}; only a number per neuron can be taken apart"
        )
