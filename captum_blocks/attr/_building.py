"""How Captum's classes are built, and which options they take."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from captum.attr import Attribution, LayerAttribution, NoiseTunnel
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients
from captum_blocks.attr import catalogue
from captum_blocks.errors import (
    InvalidArgument,
    UnsupportedMethod,
    UnusableOutput,
    WrongType,
    did_you_mean,
)
from captum_blocks.scores import class_scores

Method: TypeAlias = (
    "str | type | Attribution | WithOptions | Callable[[nn.Module, nn.Module], Attribution]"
)

REQUIRED = inspect.Parameter.empty
_LINEAR = (
    "LayerDeepLift",
    "LayerGradientXActivation",
    "LayerIntegratedGradients",
    "LayerPathGradients",
)
SQUARED = ("smoothgrad_sq", "vargrad")
_MASKS = ("layer_mask", "feature_mask")
_OURS_AT_INIT = {"self", "forward_func", "model", "layer", "device_ids", "kwargs", "args"}
_OURS_AT_CALL = {
    "self",
    "inputs",
    "target",
    "additional_forward_args",
    "attribute_to_layer_input",
    "return_convergence_delta",
    "kwargs",
}


@dataclass(frozen=True, eq=False)
class WithOptions:
    """A method together with keyword arguments of its own, whatever they are called.

    Captum's ``method=`` of path methods is also the name of an argument here: this passes it on.

    Attributes:
        method: a name, a class, an instance or a factory.
        options: keyword arguments of its ``__init__`` and ``attribute``.

    >>> WithOptions("LayerConductance", {"method": "riemann_left"}).options["method"]
    'riemann_left'
    """

    method: Method
    options: Mapping[str, Any]


def innermost(method: Attribution) -> Attribution:
    """The method itself, out of all the noise tunnels around it."""
    while isinstance(method, NoiseTunnel):
        method = method.attribution_method
    return method


def _parameters(function: Callable[..., Any], without: set[str]) -> dict[str, Any]:
    signature = inspect.signature(function)
    return {n: p.default for n, p in signature.parameters.items() if n not in without}


def call_defaults(method: Attribution) -> dict[str, Any]:
    """The keyword arguments of ``attribute`` that are the caller's, with their defaults."""
    found = _parameters(type(innermost(method)).attribute, _OURS_AT_CALL)
    if isinstance(method, NoiseTunnel):
        found.update(_parameters(NoiseTunnel.attribute, _OURS_AT_CALL))
    return found


def build(
    kind: type, forward: Callable[..., Any], layer: nn.Module, options: Mapping[str, Any]
) -> tuple[Attribution, dict[str, Any]]:
    """An instance of a class of Captum, and the options left for its ``attribute``."""
    at_init = _parameters(kind.__init__, _OURS_AT_INIT)  # type: ignore[misc]
    mine = {name: value for name, value in options.items() if name in at_init}
    rest = {name: value for name, value in options.items() if name not in at_init}
    place = () if catalogue.runs_on_head(kind) else (layer,)
    return kind(forward, *place, **mine), rest


def with_forward(method: Attribution, forward: Callable[..., Any]) -> Attribution:
    """A copy of a method for inputs that runs on another function."""
    copied = copy.copy(method)
    copied.forward_func = forward
    if hasattr(copied, "model"):
        copied.model = forward
    return copied


def aimed(method: Attribution, module: nn.Module) -> Attribution:
    """A method made on a network, aimed at the scores that another reading of it gives.

    A method made on the module itself says nothing of which of its answers is meant; the reading
    of the network does. A method made on a function of the user's own is left as it is.
    """
    if isinstance(method, NoiseTunnel):
        copied = copy.copy(method)
        copied.attribution_method = aimed(method.attribution_method, module)
        return copied
    made_on = method.forward_func
    if not isinstance(made_on, nn.Module) or made_on is module:
        return method
    own, layers = ({id(part) for part in each.modules()} for each in (made_on, module))
    return with_forward(method, module) if own - {id(made_on)} <= layers else method


def on_copies(method: Attribution) -> Attribution:
    """The method, what it runs being given copies of tensors that it may write to."""
    if isinstance(method, NoiseTunnel):
        tunnel = copy.copy(method)
        tunnel.attribution_method = on_copies(method.attribution_method)
        return tunnel
    if isinstance(method.forward_func, nn.Module):
        return method
    return with_forward(method, hooks.on_copies(method.forward_func))


def is_linear(method: Attribution) -> bool:
    """Whether it is of the form W * (a - a0), with W to be had from the same class."""
    return catalogue.fact_name(type(method)) == type(method).__name__ and (
        type(method).__name__ in _LINEAR
    )


def weights_twin(method: Attribution) -> Attribution:
    """The same method of the form W * (a - a0), set to answer with W."""
    kind = type(method)
    options: dict[str, Any] = {"multiply_by_inputs": False}
    if "eps" in _parameters(kind.__init__, set()) and hasattr(method, "eps"):
        options["eps"] = method.eps
    return build(kind, method.forward_func, method.layer, options)[0]


def weights_refused(name: str, options: Mapping[str, Any] | None = None) -> UnsupportedMethod:
    """What is said when numbers that do not add up are to be shared out."""
    broken = spoils_sum(options or {})
    if broken is not None:
        return UnsupportedMethod(f"{name} cannot be shared out among groups: {broken}")
    return UnsupportedMethod(
        f"{name} as configured yields weights, not contributions: their sum means nothing, so "
        "they cannot be shared out among groups; use a method that contributes, e.g. "
        "LayerIntegratedGradients"
    )


def spoils_sum(options: Mapping[str, Any]) -> str | None:
    """Which option keeps contributions from adding up, and what to use instead; None for none.

    >>> spoils_sum({"nt_type": "vargrad"})
    "nt_type='vargrad' squares the attributions, so nothing adds up; use nt_type='smoothgrad'"
    """
    if options.get("nt_type", "smoothgrad") in SQUARED:
        return (
            f"nt_type={options['nt_type']!r} squares the attributions, so nothing adds up; "
            "use nt_type='smoothgrad'"
        )
    if options.get("relu_attributions", False):
        return "relu_attributions=True cuts off what is negative; leave relu_attributions out"
    return None


def instance_of(
    module: nn.Module, layer: nn.Module, method: Method, options: dict[str, Any]
) -> tuple[Attribution, dict[str, Any]]:
    """The method in any of the forms it may be given in, and the options left for the call.

    Raises:
        UnknownName, UnsupportedMethod, WrongType: it is nothing of Captum that fits a layer.
    """
    if isinstance(method, WithOptions):
        return instance_of(module, layer, method.method, {**method.options, **options})
    if isinstance(method, str):
        method = catalogue.resolve_method(method)
    if inspect.isclass(method):
        if not issubclass(method, Attribution) or issubclass(method, NoiseTunnel):
            raise UnsupportedMethod(
                f"{method.__name__} is no attribution method of its own; give a method of "
                "captum_blocks.attr.methods(), or a configured NoiseTunnel"
            )
        return build(method, module, layer, options)
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


def check_place(inner: Attribution, layer: nn.Module, name: str) -> None:
    """Whether a configured instance was made for this layer.

    Raises:
        InvalidArgument: it was made for another one, or for another network.
        UnsupportedMethod: it was made for several.
        WrongType: it was made for a name.
    """
    network = inner.forward_func
    if isinstance(network, nn.Module) and all(part is not layer for part in network.modules()):
        raise InvalidArgument(
            f"the {type(inner).__name__} given was made for a network without the layer {name!r}, "
            f"a {type(network).__name__}; make it for this one, or give a factory, e.g. "
            f"lambda module, layer: {type(inner).__name__}(module)"
        )
    if not isinstance(inner, LayerAttribution):
        return
    if isinstance(inner.layer, (list, tuple)):
        raise UnsupportedMethod(
            f"{type(inner).__name__} was made for {len(inner.layer)} layers; make one per layer"
        )
    check_layer_is_module(inner)
    if inner.layer is not layer:
        raise InvalidArgument(
            f"the {type(inner).__name__} given was made for another layer than {name!r}; "
            "make it for this one"
        )


def check_reading(inner: Attribution, module: nn.Module, images: Tensor, scores: Tensor) -> None:
    """Whether a method made on another module attributes the scores that the network gives.

    A function of the user's own says by itself which scores it gives, and a network that gives
    several tables leaves it to the method which one is meant.

    Args:
        inner: a configured instance.
        module: the network.
        images: what both are given.
        scores: (image, class), of what the instance was made on.

    Raises:
        InvalidArgument: it attributes others.
    """
    made_on = inner.forward_func
    if made_on is module or not isinstance(made_on, nn.Module):
        return
    try:
        with without_gradients():
            expected = class_scores(module(images), len(images))
    except UnusableOutput:
        return
    check_same(type(inner).__name__, scores, expected)


def check_same(name: str, scores: Tensor, expected: Tensor) -> None:
    """Whether scores that a method was made for are those that are spoken about.

    Raises:
        InvalidArgument: they are others.
    """
    if scores.shape == expected.shape and torch.allclose(scores, expected, 1e-3, 1e-4):
        return
    raise InvalidArgument(
        f"the {name} given was made for other scores, of shape {tuple(scores.shape)}, than this "
        f"network gives, of shape {tuple(expected.shape)}; make it on the module that the network "
        f"was made from, or give a factory, e.g. lambda module, layer: {name}(module, layer)"
    )


def check_layer_is_module(inner: LayerAttribution) -> None:
    """Whether a configured instance was made for a module, as Captum wants it.

    Raises:
        WrongType: it was made for a name, which Captum takes and cannot use.
    """
    if not isinstance(inner.layer, nn.Module):
        raise WrongType(
            f"the {type(inner).__name__} given was made for layer {inner.layer!r}; Captum takes "
            f"the module itself, e.g. model.get_submodule({str(inner.layer)!r})"
        )


def check_options(method: Attribution, options: dict[str, Any], name: str) -> dict[str, Any]:
    """The options, each one known to the method and harmless to the result.

    Raises:
        InvalidArgument: an option the method does not have.
        UnsupportedMethod: an option that makes it copy or collapse its numbers.
    """
    valid = call_defaults(method)
    for option in options:
        if option not in valid:
            at_init = _parameters(type(innermost(method)).__init__, _OURS_AT_INIT)  # type: ignore[misc]
            names = sorted({*valid, *at_init} - {"args"})
            raise InvalidArgument(
                f"{name} has no option {option!r}{did_you_mean(option, names)}; "
                f"it has: {', '.join(names) or 'none'}"
            )
        if option in _MASKS and options[option] is not None:
            raise UnsupportedMethod(
                f"{option} makes {name} copy one score to every neuron of a mask's group, so the "
                f"numbers no longer add up; leave {option} out, or attribute to the groups of a "
                "reducer with GroupAttribution"
            )
    if name == "LayerGradCam" and options.get("attr_dim_summation", True):
        raise UnsupportedMethod(
            "LayerGradCam sums over the channels, so nothing is left to tell them apart; "
            "pass attr_dim_summation=False, as in LayerGradCam(attr_dim_summation=False)"
        )
    return options


def cost(method: Attribution, options: Mapping[str, Any], activation: Tensor) -> catalogue.Cost:
    """What the number of forward passes depends on."""
    baselines = options.get("baselines")
    count = baselines.shape[0] if isinstance(baselines, Tensor) else 2
    return catalogue.Cost(activation[0].numel(), options, call_defaults(method), count)


def default_baselines(
    method: Attribution, options: Mapping[str, Any], place: Tensor, on_head: bool
) -> tuple[dict[str, Any], list[str]]:
    """Baselines where none were given, and what to tell the reader about it."""
    valid = call_defaults(method)
    found: dict[str, Any] = {}
    notes = []
    if "baselines" in valid and options.get("baselines") is None:
        where = "the layer's activation" if on_head else "the network's own input scale"
        notes.append(f"baseline: zeros, in {where}")
        if valid["baselines"] is REQUIRED:
            # A distribution of baselines: DeepLiftShap insists on more than one.
            found["baselines"] = torch.zeros_like(place[:1]).expand(2, *place.shape[1:])
    if "layer_baselines" in valid and options.get("layer_baselines") is None:
        notes.append("baseline: zeros, in the layer's activation")
    return found, notes
