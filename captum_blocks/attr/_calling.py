"""How Captum is called, and what it answers and complains of."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from captum.attr import Attribution, LayerFeaturePermutation, NoiseTunnel
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks.attr import catalogue
from captum_blocks.attr._building import innermost, with_forward
from captum_blocks.attr._guard import untouched
from captum_blocks.attr._reasons import cut, speaks_of_gradients
from captum_blocks.attr.head import Head, Look, Probe, rows
from captum_blocks.behaviour import Behaviour
from captum_blocks.errors import BlocksError, UnsupportedMethod
from captum_blocks.scores import chosen, counted, table
from captum_blocks.wrappers import Shared

# Bytes that the passes of a path method may keep for their gradients, and how many times its input
# a network keeps.
MEMORY_BUDGET = 2**30
KEPT = 128


def _prepared(
    method: Attribution, layer: nn.Module, forward: Callable[..., Any], only: int | None
) -> Attribution:
    """A copy of the method that looks at ``layer`` of what ``forward`` runs.

    The caller's instance is left as it was.
    """
    copied = copy.copy(method)
    if isinstance(copied, NoiseTunnel):
        copied.attribution_method = _prepared(copied.attribution_method, layer, forward, only)
        return copied
    copied.layer = layer
    copied.forward_func = _scores_of(forward, only)
    copied.forward_func.stands_for = forward
    return copied


def _on_head(method: Attribution, layer: nn.Module, apart: bool) -> Attribution:
    """A copy of a method for inputs that runs on the rest of the network."""
    if isinstance(method, NoiseTunnel):
        copied = copy.copy(method)
        copied.attribution_method = _on_head(copied.attribution_method, layer, apart)
        return copied
    whole = catalogue.needs_module(type(method))
    return with_forward(method, Head(method.forward_func, layer, whole, apart and not whole))


def _scores_of(forward: Callable[..., Any], only: int | None) -> Callable[..., Tensor]:
    def scores(*inputs: Any) -> Tensor:
        found = chosen(forward(*inputs), images := rows(inputs))
        # Captum's own targets reach into scores of more axes than two.
        found = counted(table(found, images) if found.ndim < 3 else found, images)
        return found if only is None else found[:, only]

    return scores


def ask(
    method: Attribution,
    layer: nn.Module,
    inputs: Any,
    seen: Probe | Look,
    arguments: Mapping[str, Any],
) -> Any:
    """Captum's own answer, by whatever way round the method needs.

    Where rows change each other, what can be run row by row is: all but DeepLift, which needs a
    picture and its baseline in one batch; it answers picture by picture.

    Args:
        method: a configured instance.
        layer: the layer it was made for.
        inputs: what the network takes, a tensor or a tuple.
        seen: what the layer and the network answered to it; of several calls of a layer, the last
            one is looked at.
        arguments: keyword arguments of ``attribute``.
    """
    kind, apart = type(innermost(method)), seen.behaviour.apart
    if apart and catalogue.needs_module(kind) and isinstance(method, NoiseTunnel):
        arguments = {"nt_samples_batch_size": 1, **arguments}
    if catalogue.runs_on_head(kind):
        return _asked_of_head(method, layer, inputs, seen, arguments)
    if catalogue.needs_module(kind):
        return for_each(method.attribute, len(seen.activation) if apart else 1, inputs, arguments)
    arguments = dict(arguments)
    # LayerFeaturePermutation applies its target twice, so the class is chosen beforehand.
    only = arguments.pop("target", None) if issubclass(kind, LayerFeaturePermutation) else None
    # Captum looks at a stand-in behind the layer. It returns one tensor whatever the layer
    # returns, and the copy keeps an in-place operation off the leaf that Captum puts there.
    stand_in = nn.Identity().eval()
    network = innermost(method).forward_func
    if apart:
        forward = _row_by_row(network, layer, stand_in, seen.calls)
        return _prepared(method, stand_in, forward, only).attribute(inputs, **arguments)
    following = _Following(network)

    def look(output: Tensor) -> Tensor:
        following.go_on()
        looked_at: Tensor = stand_in(output).clone()
        return looked_at

    with hooks.replace(layer, _on_last_call(look, seen.calls)):
        return _prepared(method, stand_in, following, only).attribute(inputs, **arguments)


class _Following:
    """A network that is differentiated from a layer on, also where it runs under ``no_grad``."""

    def __init__(self, network: Callable[..., Any]) -> None:
        self.stands_for = network
        self._wanted = False

    def __call__(self, *inputs: Any) -> Any:
        self._wanted = torch.is_grad_enabled()
        return self.stands_for(*inputs)

    def go_on(self) -> None:
        """To be called at the layer; what has switched gradients off restores the mode itself."""
        torch.set_grad_enabled(self._wanted)


def _asked_of_head(
    method: Attribution,
    layer: nn.Module,
    inputs: Any,
    seen: Probe | Look,
    arguments: Mapping[str, Any],
) -> Any:
    mine = _on_head(method, layer, seen.behaviour.apart)
    head, activation = innermost(mine).forward_func, seen.activation
    whole = catalogue.needs_module(type(innermost(method)))
    if not whole:
        scores = head(activation, inputs).detach()
        head.of_one_image(inputs, Probe(activation, scores, behaviour=seen.behaviour))
    pictures = len(activation) if whole and seen.behaviour.apart else 1
    arguments = {**arguments, "additional_forward_args": (inputs,)}
    return for_each(mine.attribute, pictures, activation.clone(), arguments)


def _row_by_row(
    forward: Callable[..., Any], layer: nn.Module, stand_in: nn.Module, calls: int
) -> Callable[..., Any]:
    """The network run on each row by itself, while a stand-in sees the layer's output of them all.

    Each row goes as far as the layer; what the stand-in makes of all of them goes on, each from
    there.
    """

    def function(*inputs: Any) -> Any:
        following = _Following(forward)
        rows, place = hooks.rows_of(inputs), {"layer": layer}
        before = [hooks.run_until(forward, place, *row, calls={"layer": calls}) for row in rows]
        behind = stand_in(torch.cat([each["layer"] for each in before])).split(1)
        outputs = []
        for row, activation in zip(rows, behind, strict=True):
            put_in = _in_place_of(activation, following)
            with hooks.replace(layer, _on_last_call(put_in, calls)):
                outputs.append(following(*row))
        return hooks.together(outputs)

    return function


def _in_place_of(activation: Tensor, following: _Following) -> Callable[[Tensor], Tensor]:
    def put_in(_: Tensor) -> Tensor:
        following.go_on()
        return activation.clone()

    return put_in


def for_each(
    attribute: Callable[..., Any], pictures: int, inputs: Any, arguments: Mapping[str, Any]
) -> Any:
    """Captum's answers to each picture of a batch, as the answer to the batch.

    Args:
        attribute: of a method.
        pictures: how many there are; 1 asks for all at once.
        inputs: its first argument.
        arguments: its keyword arguments; what has one for each picture is divided.
    """
    if pictures == 1:
        return attribute(inputs, **arguments)
    answers = []
    for i in range(pictures):
        own = {name: _own(value, i, pictures) for name, value in arguments.items()}
        answers.append(attribute(_own(inputs, i, pictures), **own))
    return hooks.together(answers)


def side_by_side(behaviour: Behaviour, name: str) -> list[str]:
    """What there is to tell of a method that runs pictures and baselines in one batch."""
    return [behaviour.together(name)] if behaviour.apart and "DeepLift" in name else []


def _own(value: Any, image: int, images: int) -> Any:
    """One picture's part of an argument that has one for each."""
    if isinstance(value, Tensor) and value.shape[:1] == (images,):
        return value[image : image + 1]
    if isinstance(value, list) and len(value) == images:
        return value[image : image + 1]
    if isinstance(value, tuple):
        return tuple(_own(part, image, images) for part in value)
    return value


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
    together = not (isinstance(method, NoiseTunnel) or seen.behaviour.apart)
    if "internal_batch_size" in accepted and together:
        arguments.setdefault("internal_batch_size", max(len(x), _at_once(x)))
    answer = ask(method, layer, x, seen, arguments)
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
def _without_announcements() -> Iterator[None]:
    """What Captum announces of flags and hooks is undone before anybody sees it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(required_grads|[Ss]etting .*hooks)")
        yield


# Filters are those of the whole process.
_WITHOUT_ANNOUNCEMENTS = Shared(_without_announcements)


@contextmanager
def explained(
    method: Attribution, name: str, layer: str, moving: Callable[[], bool]
) -> Iterator[None]:
    """One call of Captum: what it writes on modules is undone, its errors are put into words.

    Args:
        method: that is called.
        name: of the method.
        layer: its name.
        moving: whether the score moves with the layer; asked where there is no gradient.

    Raises:
        UnsupportedMethod: in place of Captum's own error, with a way round.
    """
    network = innermost(method).forward_func
    writes = catalogue.needs_module(type(innermost(method)))
    try:
        with _WITHOUT_ANNOUNCEMENTS, untouched(network) if writes else nullcontext():
            yield
    except (BlocksError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if speaks_of_gradients(str(error)):
            raise UnsupportedMethod(_without_gradient(name, layer, moving(), str(error))) from error
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        advice = _advice(name, str(error))
        raise UnsupportedMethod(
            f"{name} cannot do layer {layer!r}: {first.rstrip('.')}; {advice}"
        ) from error


def _without_gradient(name: str, layer: str, moving: bool, said: str) -> str:
    why = (
        cut("the score moves", "it", said) if moving else "the score does not depend on this layer"
    )
    return f"{name} cannot do layer {layer!r}: {why}"


def _advice(name: str, message: str) -> str:
    if "Cannot choose target column" in message:
        return "wrap the network so that it returns (image, class), also for a single class"
    if "Target not provided" in message:
        return "give target=, the index of a class; of scores of more axes, a tuple of indices"
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
    return "LayerGradientXActivation works on every layer that has a gradient"
