"""How Captum is called, and what it answers and complains of."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from captum.attr import Attribution, LayerFeaturePermutation, NoiseTunnel
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks.attr import catalogue
from captum_blocks.attr._building import innermost, with_forward
from captum_blocks.attr.head import Head, Probe
from captum_blocks.errors import BlocksError, UnsupportedMethod

# Bytes that the passes of a path method may keep for their gradients, and how many times its input
# a network keeps.
MEMORY_BUDGET = 2**30
KEPT = 128


def _prepared(method: Attribution, layer: nn.Module, only: int | None) -> Attribution:
    """A copy of the method that looks at ``layer``; the caller's instance is left as it was."""
    copied = copy.copy(method)
    if isinstance(copied, NoiseTunnel):
        copied.attribution_method = _prepared(copied.attribution_method, layer, only)
        return copied
    kind = type(method)
    if catalogue.runs_on_head(kind):
        whole = catalogue.needs_module(kind)
        return with_forward(method, Head(method.forward_func, layer, whole))
    if not catalogue.needs_module(kind):
        copied.layer = layer
        copied.forward_func = _scores_of(method.forward_func, only)
    return copied


def _scores_of(forward: Callable[..., Any], only: int | None) -> Callable[..., Tensor]:
    def scores(*inputs: Any) -> Tensor:
        found = hooks.first_tensor(forward(*inputs), "the network")
        found = found[:, None] if found.ndim == 1 else found
        return found if only is None else found[:, only]

    return scores


def ask(
    method: Attribution,
    layer: nn.Module,
    inputs: Any,
    activation: Tensor,
    arguments: Mapping[str, Any],
    calls: int = 1,
) -> Any:
    """Captum's own answer, by whatever way round the method needs.

    Args:
        method: a configured instance.
        layer: the layer it was made for.
        inputs: what the network takes, a tensor or a tuple.
        activation: of the layer, in its own layout; a method for inputs attributes to it.
        arguments: keyword arguments of ``attribute``.
        calls: how often the layer runs in one forward pass; its last call is looked at.
    """
    kind, arguments = type(innermost(method)), dict(arguments)
    if catalogue.runs_on_head(kind):
        mine = _prepared(method, layer, None)
        head = innermost(mine).forward_func
        if not catalogue.needs_module(kind):
            head.of_one_image(inputs, Probe(activation, head(activation, inputs).detach()))
        return mine.attribute(activation.clone(), additional_forward_args=(inputs,), **arguments)
    if catalogue.needs_module(kind):
        return method.attribute(inputs, **arguments)
    # LayerFeaturePermutation applies its target twice, so the class is chosen beforehand.
    only = arguments.pop("target", None) if issubclass(kind, LayerFeaturePermutation) else None
    # Captum looks at a stand-in behind the layer. It returns one tensor whatever the layer
    # returns, and the copy keeps an in-place operation off the leaf that Captum puts there.
    stand_in = nn.Identity().eval()
    mine = _prepared(method, stand_in, only)
    with hooks.replace(layer, _on_last_call(lambda output: stand_in(output).clone(), calls)):
        return mine.attribute(inputs, **arguments)


def _on_last_call(function: Callable[[Tensor], Tensor], calls: int) -> Callable[[Tensor], Tensor]:
    """``function`` on the last of a layer's calls in a forward pass, and nothing on the others.

    Some of Captum's methods exchange every output of their layer; the activation that they start
    from is the last one.
    """
    count = 0

    def exchange(output: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return output if count % calls else function(output)

    return exchange


def call(
    method: Attribution,
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
    arguments = dict(options)
    accepted = inspect.signature(type(innermost(method)).attribute).parameters
    if "target" in accepted:
        arguments["target"] = target
    if delta and "return_convergence_delta" in accepted:
        arguments["return_convergence_delta"] = True
    if "internal_batch_size" in accepted and not isinstance(method, NoiseTunnel):
        arguments.setdefault("internal_batch_size", max(len(x), _at_once(x)))
    answer = ask(method, layer, x, seen.activation, arguments, seen.calls)
    return tidied(answer, "return_convergence_delta" in arguments, seen.scores.shape[0])


def _at_once(x: Tensor) -> int:
    """How many steps of a path go through together: Captum's own choice is all of them."""
    return max(1, MEMORY_BUDGET // max(1, KEPT * x[:1].numel() * x.element_size()))


def tidied(answer: Any, has_delta: bool, images: int) -> tuple[Tensor, Tensor | None]:
    """One tensor and one delta per image, detached, out of what Captum returned."""
    parts, delta = parted(answer, has_delta, images)
    return parts[0], delta


def parted(answer: Any, has_delta: bool, images: int) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """All the tensors Captum returned and one delta per image, detached."""
    answer, delta = answer if has_delta else (answer, None)
    if delta is not None:
        # Stochastic methods answer with one delta per image and sample.
        delta = delta.detach().reshape(images, -1).mean(1)
    while isinstance(answer, list):
        answer = answer[0]
    parts = answer if isinstance(answer, tuple) else (answer,)
    return tuple(part.detach() for part in parts), delta


@contextmanager
def explained(name: str, layer: str) -> Iterator[None]:
    """Errors from inside Captum come out as ``UnsupportedMethod``, with a way round in words."""
    try:
        with warnings.catch_warnings():
            # What Captum announces here is undone before anybody sees it.
            warnings.filterwarnings("ignore", message=".*(required_grads|[Ss]etting .*hooks)")
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
    if "Cannot choose target column" in message:
        return "wrap the network so that it returns (image, class), also for a single class"
    if "Target not provided" in message:
        return "give target=, the index of a class"
    if "Target " in message:
        return "give one class index, or one per image"
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
