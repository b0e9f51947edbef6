"""What is known of Captum's attribution classes, and where they are looked up by name.

Captum does not tell whether a method yields contributions (numbers that add up to a change of the
score) or weights (gradients, influences), nor what it costs. This module does, by class.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import factorial, prod
from typing import Any

import captum.attr as captum_attr
from captum.attr import Attribution, LayerAttribution

from captum_blocks.attr.paths import LayerPathGradients
from captum_blocks.errors import InvalidArgument, UnknownName, UnsupportedMethod, did_you_mean

MOST_FORWARD_PASSES = 2000

_HEAD_METHODS = (
    "DeepLift",
    "DeepLiftShap",
    "Deconvolution",
    "FeatureAblation",
    "FeaturePermutation",
    "GradientShap",
    "GuidedBackprop",
    "InputXGradient",
    "IntegratedGradients",
    "KernelShap",
    "Lime",
    "Occlusion",
    "Saliency",
    "ShapleyValueSampling",
    "ShapleyValues",
)
_WEIGHTS = {
    "Deconvolution",
    "GuidedBackprop",
    "InternalInfluence",
    "LayerActivation",
    "Saliency",
}
_CONTRIBUTIONS = {
    "FeatureAblation",
    "FeaturePermutation",
    "InputXGradient",
    "KernelShap",
    "LayerFeatureAblation",
    "LayerFeaturePermutation",
    "LayerGradCam",
    "LayerLRP",
    "Lime",
    "Occlusion",
    "ShapleyValueSampling",
    "ShapleyValues",
}
_STEPS = {
    "IntegratedGradients",
    "InternalInfluence",
    "LayerConductance",
    "LayerIntegratedGradients",
    "LayerPathGradients",
}
_ONE_BY_ONE = {
    "FeatureAblation",
    "FeaturePermutation",
    "LayerFeatureAblation",
    "LayerFeaturePermutation",
}
_SAMPLES = {"GradientShap", "KernelShap", "LayerGradientShap", "Lime"}
_BASELINE_SAMPLES = {"DeepLiftShap", "LayerDeepLiftShap"}
_FEW = {"DeepLift": 2, "LayerDeepLift": 2, "LayerLRP": 3}


@lru_cache(maxsize=1)
def _registry() -> dict[str, type]:
    found = {
        name: value
        for name, value in vars(captum_attr).items()
        if inspect.isclass(value)
        and issubclass(value, LayerAttribution)
        and "attribute" in dir(value)
    }
    found.pop("LayerAttribution", None)
    found[LayerPathGradients.__name__] = LayerPathGradients
    for name in _HEAD_METHODS:
        if hasattr(captum_attr, name):
            found[name] = getattr(captum_attr, name)
    return dict(sorted(found.items()))


def methods() -> dict[str, type]:
    """Every attribution class that can be used on a layer, by name: Captum's and this package's.

    The ``Layer...`` classes and ``InternalInfluence`` look at the layer themselves; the others are
    Captum's methods for inputs, which run on the head: the rest of the network as a function of the
    layer's activation.

    >>> "LayerConductance" in methods() and "ShapleyValues" in methods()
    True
    """
    return dict(_registry())


def resolve_method(name: str) -> type:
    """The attribution class of that name.

    Raises:
        UnknownName: Captum has no such method for a layer; the nearest names are in the message.

    >>> resolve_method("LayerGradCam").__name__
    'LayerGradCam'
    """
    known = _registry()
    if name in known:
        return known[name]
    hint = did_you_mean(name, known)
    raise UnknownName(
        f"no attribution method {name!r}{hint}; captum_blocks.attr.methods() lists all"
    )


def fact_name(kind: type) -> str:
    """The name of the nearest base class of Captum that facts are known of.

    >>> class Mine(captum_attr.LayerConductance): ...
    >>> fact_name(Mine)
    'LayerConductance'
    """
    known = _registry()
    for base in kind.__mro__:
        if known.get(base.__name__) is base:
            return base.__name__
    return kind.__name__


def needs_module(kind: type) -> bool:
    """Whether the class walks the submodules of the network, so that it needs the real one."""
    parameters = inspect.signature(kind.__init__).parameters  # type: ignore[misc]
    return "model" in parameters


def runs_on_head(kind: type) -> bool:
    """Whether it is a method for inputs, to be run on the rest of the network."""
    return not issubclass(kind, LayerAttribution)


def contributes(method: Attribution) -> bool:
    """Whether the numbers add up to a change of the score; weights (gradients) do not.

    >>> import torch
    >>> contributes(captum_attr.InternalInfluence(torch.nn.ReLU(), torch.nn.ReLU()))
    False
    """
    name = fact_name(type(method))
    if name in _WEIGHTS or name in _CONTRIBUTIONS:
        return name in _CONTRIBUTIONS
    if name in _registry():
        return bool(method.multiplies_by_inputs)
    # A class of somebody else's: one that has a convergence delta claims to add up.
    return bool(method.multiplies_by_inputs or method.has_convergence_delta())


@dataclass(frozen=True)
class Cost:
    """What a method is asked to do, as far as its cost depends on it.

    Attributes:
        neurons: how many numbers one image has at the layer.
        options: the keyword arguments of ``attribute``.
        defaults: those of the method's signature.
        baselines: how many baseline images there are.
        players: how many features a mask tells apart, or None where there is no mask.
    """

    neurons: int
    options: Mapping[str, Any]
    defaults: Mapping[str, Any]
    baselines: int = 1
    players: int | None = None

    def option(self, name: str, fallback: int = 1) -> int:
        """The number an option has, from the call or from the signature."""
        given = self.options.get(name, self.defaults.get(name, fallback))
        if isinstance(given, bool) or not hasattr(given, "__index__") or int(given) < 1:
            raise InvalidArgument(f"{name} counts, from 1; it is no {given!r}")
        return int(given)


def passes_per_class(kind: type, cost: Cost) -> int:
    """How many forward passes of the batch one class costs.

    >>> ask = Cost(neurons=62720, options={}, defaults={})
    >>> passes_per_class(captum_attr.LayerFeatureAblation, ask)
    62721
    """
    name = fact_name(kind)
    features = cost.neurons if cost.players is None else cost.players
    if name in _STEPS:
        return cost.option("n_steps", 50)
    if name in _SAMPLES:
        return cost.option("n_samples", 25)
    if name in _BASELINE_SAMPLES:
        return 2 * cost.baselines
    if name in _ONE_BY_ONE:
        return features + 1
    if name == "ShapleyValueSampling":
        return cost.option("n_samples", 25) * features + 1
    if name == "ShapleyValues":
        # The factorial of a large layer has more digits than anybody reads.
        return factorial(min(features, 20)) * features + 1
    if name == "Occlusion":
        return _windows(cost) + 1
    return _FEW.get(name, 1)


def _windows(cost: Cost) -> int:
    shape = cost.options.get("sliding_window_shapes", (1,))
    return max(1, cost.neurons // max(1, int(prod(shape))))


def check_passes(passes: int, name: str, layer: str, n_targets: int) -> None:
    """Refuse what would take too long, before it starts.

    Raises:
        UnsupportedMethod: with the count and what to do instead.
    """
    if passes <= MOST_FORWARD_PASSES:
        return
    counted = f"{passes:,}" if passes < 10**9 else "more than a billion"
    raise UnsupportedMethod(
        f"{name} at layer {layer!r} would need {counted} forward passes for {n_targets} "
        f"{'class' if n_targets == 1 else 'classes'}; more than {MOST_FORWARD_PASSES:,} are not "
        "started. Ask for fewer classes or steps, or attribute to the groups of a reducer with "
        "GroupAttribution, or use LayerGradientXActivation (one pass)"
    )
