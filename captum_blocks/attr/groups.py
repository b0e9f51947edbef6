"""``LayerGroupAttribution``: a layer attribution of Captum, shared out among neuron groups."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from captum.attr import Attribution, LayerAttribution
from captum.log import log_usage
from torch import Tensor

from captum_blocks import hooks
from captum_blocks.attr import _building, _calling, catalogue
from captum_blocks.attr._reasons import moves
from captum_blocks.attr._visit import quiet
from captum_blocks.attr.head import Look, look, no_such_class, rows
from captum_blocks.attr.reducers import Reducer, check_width, fitted_components, group_scores
from captum_blocks.attr.regrouping import regroup
from captum_blocks.behaviour import of_last_call, warn_of
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, WrongType, did_you_mean
from captum_blocks.layouts import Kind, Layout, picture_size, resolve
from captum_blocks.scores import choice, chosen, counted, table
from captum_blocks.wrappers import check_runs_itself, check_takes_a_picture, plain


class LayerGroupAttribution(LayerAttribution):
    """A Captum layer attribution whose channels are a reducer's groups.

    Itself a ``LayerAttribution``: ``attribute`` takes the keywords of the wrapped method, and
    ``NoiseTunnel`` composes. ``LayerGroupAttribution(NoiseTunnel(method), reducer)`` smooths the
    attribution and then groups it (recommended); ``NoiseTunnel(LayerGroupAttribution(...))`` groups
    each noisy activation, which gives other numbers.

    The types ``smoothgrad_sq`` and ``vargrad`` square attributions, so groups and residual add up
    to nothing any more. Inside, ``return_residual`` is refused for them. Around, Captum does not
    tell the wrapped method which type is asked for, so nothing can be refused: what
    ``NoiseTunnel(LayerGroupAttribution(...))`` answers with for a squared type is the mean square
    or the variance of each group's (and the residual's) own contribution, to be read one by one and
    not to be summed.

    Groups plus residual are the wrapped attribution summed over channels, at every position; see
    ``regroup`` for how a channel's attribution is shared out.

    Args:
        layer_attribution: a configured layer method that yields contributions per channel, or a
            ``NoiseTunnel`` around one.
        reducer: fitted on the layer, with ``components_`` (group, channel) and ``transform``.
        layout: where the layer keeps channels and positions; detected when None.

    Raises:
        WrongType: something that is not a configured layer attribution of a module.
        UnsupportedMethod: a method that yields weights or collapses the channels.
        InvalidArgument: the reducer is not fitted.

    >>> from captum.attr import LayerGradientXActivation
    >>> import torch
    >>> from torch import nn
    >>> class Halves:
    ...     components_ = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    ...     def transform(self, acts):
    ...         return torch.stack([acts[:, :2].mean(1), acts[:, 2]], 1)
    >>> net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(12, 4)).eval()
    >>> lga = LayerGroupAttribution(LayerGradientXActivation(net, net[0]), Halves())
    >>> attr, residual = lga.attribute(torch.ones(1, 1, 3, 3), target=2, return_residual=True)
    >>> attr.shape, residual.shape
    (torch.Size([1, 2, 2, 2]), torch.Size([1, 1, 2, 2]))
    """

    def __init__(
        self,
        layer_attribution: Attribution,
        reducer: Reducer,
        layout: Layout | Kind | None = None,
    ) -> None:
        inner = _inner_layer_method(layer_attribution)
        LayerAttribution.__init__(
            self, inner.forward_func, inner.layer, getattr(inner, "device_ids", None)
        )
        self.layer_attribution = layer_attribution
        self.reducer = reducer
        self.layout = layout
        self._name = catalogue.fact_name(type(inner))
        fitted_components(reducer)

    @log_usage()
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        return_residual: bool = False,
        return_convergence_delta: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Attribute to the groups of the layer.

        Args:
            inputs: as for the wrapped method.
            target: as for the wrapped method.
            additional_forward_args: as for the wrapped method.
            return_residual: also return what the groups do not explain.
            return_convergence_delta: also return the wrapped method's convergence delta.
            kwargs: further arguments of the wrapped method, e.g. ``baselines`` or ``n_steps``.

        Returns:
            ``attr[, residual][, delta]``, detached, in the layer's layout: (image, group, y, x)
            and (image, 1, y, x) for maps, (image, token, group) and (image, token, 1) for tokens.
            Prefix tokens belong to no group: they are all residual.

        Raises:
            InvalidArgument: an argument the wrapped method does not have, a target out of range,
                a reducer of another width, activations that are not finite.
            UnusableLayer: the layer never runs, or returns nothing to attribute to.
            UnsupportedMethod: the wrapped method cannot do this layer, or does not add up as asked.
        """
        kwargs = self._checked(kwargs, return_residual, return_convergence_delta)
        method = _building.on_copies(self.layer_attribution)
        inner = _building.innermost(method)
        call = {**kwargs, "target": target, "additional_forward_args": additional_forward_args}
        call = {name: value for name, value in call.items() if value is not None}
        _check_network(inner, _arguments(inputs, additional_forward_args))
        with quiet(self.layer, self.forward_func):
            inputs = _private(inputs)
            seen = self._look(inner.forward_func, inputs, additional_forward_args)
            _check_target(target, seen.output, rows(inputs))
            activation = seen.activation
            layout = resolve(self.layout, activation.shape, picture_size(inputs), self.layer)
            components = fitted_components(self.reducer).to(activation)
            check_width(components, activation, layout)
            scores = group_scores(self.reducer, activation, layout)
            value, delta = self._asked(method, inputs, seen, call, return_convergence_delta)
            weights = None
            if _building.is_linear(self.layer_attribution):
                twin = _building.weights_twin(inner)
                weights = self._asked(twin, inputs, seen, call, False)[0]
        warn_of(
            [
                seen.behaviour.drifts,
                *_calling.side_by_side(seen.behaviour, self._name),
                *of_last_call(type(self.layer).__name__, seen.calls),
            ],
            stacklevel=3,  # Captum's wrapper is between this and the caller
        )
        groups, residual = self._shared(activation, value, weights, scores, components, layout)
        extra = (residual,) * return_residual + (delta,) * return_convergence_delta
        return (groups, *extra) if extra else groups

    def has_convergence_delta(self) -> bool:
        """Whether the wrapped method has one."""
        return bool(self.layer_attribution.has_convergence_delta())

    def compute_convergence_delta(self, *args: Any, **kwargs: Any) -> Any:
        """The wrapped method's."""
        return self.layer_attribution.compute_convergence_delta(*args, **kwargs)

    @property
    def multiplies_by_inputs(self) -> bool:
        """Always: groups are contributions."""
        return True

    def _checked(
        self, kwargs: dict[str, Any], with_residual: bool, with_delta: bool
    ) -> dict[str, Any]:
        valid = _building.call_defaults(self.layer_attribution)
        for name in kwargs:
            if name not in valid:
                raise InvalidArgument(
                    f"{self._name} has no argument {name!r}{did_you_mean(name, valid)}; "
                    f"it has: {', '.join(sorted(valid)) or 'none'}"
                )
        if with_residual and kwargs.get("nt_type") in _building.SQUARED:
            raise UnsupportedMethod(f"{_building.spoils_sum(kwargs)}, or leave return_residual out")
        if with_delta and not self.has_convergence_delta():
            raise UnsupportedMethod(
                f"{self._name} has no convergence delta; leave return_convergence_delta out"
            )
        return _building.check_options(self.layer_attribution, kwargs, self._name)

    def _look(self, forward: Callable[..., Any], inputs: Any, additional: Any) -> Look:
        name = type(self.layer).__name__
        return look(forward, self.layer, name, *_arguments(inputs, additional))

    def _asked(
        self,
        method: Attribution,
        inputs: Any,
        seen: Look,
        call: dict[str, Any],
        delta: bool,
    ) -> tuple[Tensor, Any]:
        forward, place = _building.innermost(method).forward_func, type(self.layer).__name__
        given = _arguments(inputs, call.get("additional_forward_args"))
        moving = partial(moves, forward, self.layer, given)
        with _calling.explained(method, self._name, place, moving):
            arguments = {**call, "return_convergence_delta": True} if delta else call
            answer = _calling.ask(method, self.layer, inputs, seen, arguments)
        answer, found = answer if delta else (answer, None)
        while isinstance(answer, (tuple, list)):
            answer = answer[0]
        if answer.shape != seen.activation.shape:
            raise UnsupportedMethod(
                f"{self._name} answered with shape {tuple(answer.shape)} for a layer of shape "
                f"{tuple(seen.activation.shape)}; only a number per channel can be shared out"
            )
        return answer.detach(), found.detach() if isinstance(found, Tensor) else found

    def _shared(
        self,
        activation: Tensor,
        value: Tensor,
        weights: Tensor | None,
        scores: Tensor,
        components: Tensor,
        layout: Layout,
    ) -> tuple[Tensor, Tensor]:
        groups, residual = regroup(
            layout.to_maps(activation),
            layout.to_maps(value)[:, None],
            None if weights is None else layout.to_maps(weights)[:, None],
            scores,
            components,
        )
        tokens = layout.tokens(value).sum(-1, keepdim=True)
        ndim = activation.ndim
        return layout.from_maps(groups[:, 0], ndim=ndim), layout.from_maps(residual, tokens, ndim)


def _inner_layer_method(method: Any) -> LayerAttribution:
    inner = _building.innermost(method)
    if isinstance(inner, type) or not isinstance(inner, Attribution):
        raise WrongType(
            f"LayerGroupAttribution wraps a configured Captum layer attribution, not {method!r}; "
            "e.g. LayerGroupAttribution(LayerIntegratedGradients(module, layer), reducer)"
        )
    name = catalogue.fact_name(type(inner))
    if not isinstance(inner, LayerAttribution):
        raise UnsupportedMethod(
            f"{name} attributes to inputs, not to a layer; GroupAttribution runs it on the groups"
        )
    if isinstance(inner.layer, (list, tuple)):
        raise UnsupportedMethod(f"{name} was made for several layers; make one per layer")
    _building.check_layer_is_module(inner)
    if not catalogue.contributes(inner):
        raise _building.weights_refused(name)
    return inner


def _check_network(method: LayerAttribution, given: tuple[Any, ...]) -> None:
    """Whether the network of a method can be looked into, and takes what it is given."""
    check_runs_itself(method.layer, "")
    network = hooks.module_of(method.forward_func)
    if network is None:
        return
    plain(network)
    names = (name for name, part in network.named_modules() if part is method.layer)
    if (name := next(names, None)) is not None:
        check_runs_itself(network, name)
    check_takes_a_picture(method.forward_func, len(given))


def _check_target(target: Any, output: Any, images: int) -> None:
    """Whether the classes asked for exist, where the network returns a table of them.

    Negative ones count from the end, as everywhere in Captum.

    Raises:
        InvalidArgument: one does not.
        UnusableLayer: it cannot be told which of the numbers returned are the scores.
    """
    scores = chosen(output, images)
    if (said := choice(output, images)) is not None:
        warnings.warn(said, stacklevel=4)
    if scores.ndim > 2:
        return
    classes = counted(table(scores, images), images).shape[1]
    asked = target.flatten().tolist() if isinstance(target, Tensor) else target
    for wanted in asked if isinstance(asked, list) else [asked]:
        if isinstance(wanted, int) and not -classes <= wanted < classes:
            raise no_such_class(wanted, classes)


def _arguments(inputs: Any, additional: Any) -> tuple[Any, ...]:
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    if additional is not None:
        arguments += additional if isinstance(additional, tuple) else (additional,)
    return arguments


def _private(inputs: Any) -> Any:
    """Copies that Captum may set flags on, also of tensors made under ``inference_mode``."""
    if isinstance(inputs, tuple):
        return tuple(_private(part) for part in inputs)
    return inputs.detach().clone() if isinstance(inputs, Tensor) else inputs
