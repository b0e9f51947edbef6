"""Everything that depends on how Captum's classes are built and called."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from captum.attr import Attribution, LayerFeaturePermutation, NoiseTunnel
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks.attr import catalogue
from captum_blocks.attr.head import Head, Probe, class_scores
from captum_blocks.errors import BlocksError, InvalidArgument, UnsupportedMethod, did_you_mean

LINEAR = ("LayerGradientXActivation", "LayerIntegratedGradients", "LayerDeepLift")
_MASKS = ("layer_mask", "feature_mask")
_OURS_AT_INIT = {"self", "forward_func", "model", "layer", "device_ids"}
_OURS_AT_CALL = {
    "self",
    "inputs",
    "target",
    "additional_forward_args",
    "attribute_to_layer_input",
    "return_convergence_delta",
    "kwargs",
}


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


def weights_twin(method: Attribution, forward: Callable[..., Any], layer: nn.Module) -> Attribution:
    """The same method of the form W * (a - a0), set to answer with W."""
    kind = type(method)
    options = {"multiply_by_inputs": False}
    if "eps" in _parameters(kind.__init__, set()) and hasattr(method, "eps"):
        options["eps"] = method.eps
    return build(kind, forward, layer, options)[0]


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
            "pass attr_dim_summation=False"
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
        if valid["baselines"] is inspect.Parameter.empty:
            # A distribution of baselines: DeepLiftShap insists on more than one.
            found["baselines"] = torch.zeros_like(place[:1]).expand(2, *place.shape[1:])
    if "layer_baselines" in valid and options.get("layer_baselines") is None:
        notes.append("baseline: zeros, in the layer's activation")
    return found, notes


def prepared(
    method: Attribution, forward: Callable[..., Any], layer: nn.Module, target: int
) -> Attribution:
    """A copy of the method that looks at ``layer``; the caller's instance is left as it was."""
    copied = copy.copy(method)
    if isinstance(copied, NoiseTunnel):
        copied.attribution_method = prepared(copied.attribution_method, forward, layer, target)
        return copied
    kind = type(method)
    if catalogue.runs_on_head(kind):
        copied.forward_func = Head(forward, layer)
        if hasattr(copied, "model"):
            copied.model = copied.forward_func
    elif not catalogue.needs_module(kind):
        copied.layer = layer
        copied.forward_func = _scores_of(forward, target if _applies_target_twice(kind) else None)
    return copied


def _applies_target_twice(kind: type) -> bool:
    return issubclass(kind, LayerFeaturePermutation)


def _scores_of(forward: Callable[..., Any], only: int | None) -> Callable[..., Tensor]:
    def scores(*inputs: Any) -> Tensor:
        found = class_scores(forward(*inputs))
        return found if only is None else found[:, only]

    return scores


def call(
    method: Attribution,
    forward: Callable[..., Any],
    layer: nn.Module,
    x: Tensor,
    seen: Probe,
    target: int,
    options: Mapping[str, Any],
    delta: bool,
) -> tuple[Tensor, Tensor | None]:
    """Call Captum by keyword and bring what it answers into one form.

    Returns:
        The attribution in the layer's own layout, and the convergence delta (image,) where asked
        for; both detached.
    """
    kind = type(innermost(method))
    arguments = dict(options)
    accepted = inspect.signature(kind.attribute).parameters  # type: ignore[attr-defined]
    if "target" in accepted and not _applies_target_twice(kind):
        arguments["target"] = target
    if delta and "return_convergence_delta" in accepted:
        arguments["return_convergence_delta"] = True
    if catalogue.runs_on_head(kind):
        inputs = seen.activation.clone()
        mine = prepared(method, forward, layer, target)
        answer = mine.attribute(inputs, additional_forward_args=(x,), **arguments)
    elif catalogue.needs_module(kind):
        answer = method.attribute(x, **arguments)
    else:
        # Captum looks at a stand-in behind the layer. It returns one tensor whatever the layer
        # returns, and the copy keeps an in-place operation off the leaf that Captum puts there.
        stand_in = nn.Identity()
        mine = prepared(method, forward, stand_in, target)
        with hooks.replace(layer, lambda output: stand_in(output).clone()):
            answer = mine.attribute(x, **arguments)
    return _tidied(answer, "return_convergence_delta" in arguments, seen.scores.shape[0])


def _tidied(answer: Any, has_delta: bool, images: int) -> tuple[Tensor, Tensor | None]:
    answer, delta = answer if has_delta else (answer, None)
    if delta is not None:
        # Stochastic methods answer with one delta per image and sample.
        delta = delta.detach().reshape(images, -1).mean(1)
    while isinstance(answer, (tuple, list)):
        answer = answer[0]
    return answer.detach(), delta


@contextmanager
def explained(name: str, layer: str) -> Iterator[None]:
    """Errors from inside Captum come out as ``UnsupportedMethod``, with a way round in words."""
    try:
        yield
    except (BlocksError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        advice = _advice(name, str(error))
        raise UnsupportedMethod(
            f"{name} cannot do layer {layer!r}: {first.rstrip('.')}; {advice}"
        ) from error


def _advice(name: str, message: str) -> str:
    if "LRP" in name:
        return (
            "LRP needs a rule for every module it passes: attribute to a convolution or linear "
            "layer, set module.rule on the others, or use LayerIntegratedGradients"
        )
    if "DeepLift" in name and ("more than once" in message or "reuse" in message):
        return "give each activation function its own module, or use LayerIntegratedGradients"
    if "DeepLift" in name:
        return (
            "DeepLift needs one module per activation function, not in place and each called once; "
            "use LayerIntegratedGradients instead"
        )
    if "stdevs must be type float" in message:
        return "write stdevs as a float, e.g. stdevs=1.0"
    if "not have been used in the graph" in message:
        return "the score does not depend on this layer"
    return "LayerGradientXActivation works on every layer that has a gradient"
