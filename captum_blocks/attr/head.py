"""The network as functions: image to scores, and layer activation to scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients
from captum_blocks.attr._reasons import cut, gradients_explained, moves
from captum_blocks.behaviour import STEADY, Behaviour, observed
from captum_blocks.errors import InvalidArgument, UnusableLayer, WrongType
from captum_blocks.scores import choice, class_scores
from captum_blocks.wrappers import taking_a_picture


def rows(arguments: Any) -> int:
    """How many pictures a network is given: the rows of its first argument.

    >>> rows((torch.zeros(3, 2), 0.5))
    3
    """
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return len(first) if isinstance(first, Tensor) and first.ndim else 1


class Head(nn.Module):
    """The rest of a network, as a function of one layer's activation.

    The images are an argument of the call, so that Captum repeats them in the order it repeats the
    activation in, whatever that order is.

    Args:
        forward: the network, or any function of the image that runs it.
        layer: the layer whose activation is put in.
        whole_graph: also record the part before the layer, for methods that hook every module.
        apart: run rows one by one, of a network in which they change each other.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1, bias=False))
    >>> Head(net, net[0])(torch.zeros(4, 3), torch.ones(4, 2)).shape
    torch.Size([4, 1])
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        layer: nn.Module,
        whole_graph: bool = False,
        apart: bool = False,
    ) -> None:
        super().__init__()
        self._whole_graph, self._apart = whole_graph, apart
        # Registered when it is a module, so that Captum's DeepLift finds the layers inside.
        self.network = forward
        self._layer = (layer,)
        self._one_image = self._disposable = False

    def forward(self, activation: Tensor, x: Tensor) -> Tensor:
        """Layer activation (row, ...) and the image of each row -> scores (row, class)."""
        if not self._apart:
            return self._scores(activation, x)
        rows = zip(activation.split(1), x.split(1), strict=True)
        return torch.cat([self._scores(its, image) for its, image in rows])

    def _scores(self, activation: Tensor, x: Tensor) -> Tensor:
        grad = torch.is_grad_enabled()

        def put_in(_: Tensor) -> Tensor:
            # Only what is behind the layer needs a graph; the context restores the caller's mode.
            torch.set_grad_enabled(grad)
            return activation if self._disposable else activation.clone()

        record = grad and self._whole_graph
        with torch.set_grad_enabled(record), hooks.replace(self._layer[0], put_in):
            answer = self.network(x[:1] if self._one_image else x)
            scores = class_scores(answer, len(activation))
        if grad and not record and activation.requires_grad and not scores.requires_grad:
            # The layer is in a block under no_grad, whose end has switched gradients off again.
            self._whole_graph = True
            return self._scores(activation, x)
        return scores

    def of_one_image(self, x: Tensor, seen: Probe) -> Head:
        """The same head, running the part before the layer once for all rows where that works.

        Captum repeats the image for every step and sample. When there is only one, and the network
        stands for more activations than images (its own answer is compared), once is enough.
        """
        if len(x) == 1 and not self._one_image and not self._apart:
            self._one_image = True
            self._one_image = _injects(self, x, seen)
        return self

    def of_any_rows(self) -> Head:
        """The same head, given one image for all rows; whether that works is for the caller.

        Activations are not copied: the network may write to them.
        """
        self._one_image = self._disposable = True
        return self


@dataclass(frozen=True)
class Probe:
    """One plain forward pass: what the layer and the network answered.

    Attributes:
        activation: the layer's output in its own layout.
        scores: (image, class).
        calls: how often the layer ran; the activation is that of its last call.
        behaviour: of the network, from pass to pass.
        choice: which of several tensors was taken for the scores, in words; None for the only one.
    """

    activation: Tensor
    scores: Tensor
    calls: int = 1
    behaviour: Behaviour = STEADY
    choice: str | None = None

    def one(self, image: int) -> Probe:
        """What one image of the batch gave, still as a batch."""
        one = slice(image, image + 1)
        return replace(self, activation=self.activation[one], scores=self.scores[one])


@dataclass(frozen=True)
class Look:
    """What a layer and the network answered to any arguments.

    Attributes:
        activation: the layer's output on its last call, in its own layout.
        output: what the network returned.
        calls: how often the layer ran.
        behaviour: of the network, from pass to pass.
    """

    activation: Tensor
    output: Any
    calls: int
    behaviour: Behaviour = STEADY


def look(forward: Callable[..., Any], layer: nn.Module, name: str, *arguments: Any) -> Look:
    """Run the network once and check that the layer can be attributed to.

    Args:
        forward: the network.
        layer: where to look.
        name: of the layer, for the messages.
        arguments: of the network; the first one counts the images.

    Raises:
        UnusableLayer: the layer never ran, or returned nothing to attribute to.
        InvalidArgument: an activation is not a number; the network takes no pictures as a tensor.
    """
    behaviour = observed(forward, *arguments)
    rows = hooks.rows_of(arguments) if behaviour.apart else [arguments]
    looks = [_look(forward, layer, name, row) for row in rows]
    activation = (
        torch.cat([each.activation for each in looks]) if looks[1:] else looks[0].activation
    )
    _check_activation(activation, name, arguments[0])
    output = hooks.together([each.output for each in looks])
    return Look(activation, output, looks[0].calls, behaviour)


def _look(
    forward: Callable[..., Any], layer: nn.Module, name: str, arguments: tuple[Any, ...]
) -> Look:
    watched = {name: layer}
    with (
        without_gradients(),
        hooks.count_calls(watched) as calls,
        hooks.capture(watched) as seen,
        taking_a_picture(hooks.module_of(forward)),
    ):
        output = forward(*arguments)
    if name not in seen:
        raise UnusableLayer(f"the network ran to its end without calling layer {name!r}")
    return Look(seen[name], output, calls[name])


def _check_activation(activation: Tensor, name: str, x: Any) -> None:
    if not activation.is_floating_point():
        raise UnusableLayer(f"layer {name!r} returns {activation.dtype}: it has no gradient")
    if isinstance(x, Tensor) and activation.shape[:1] != x.shape[:1]:
        raise UnusableLayer(
            f"layer {name!r} returns shape {tuple(activation.shape)} for {x.shape[0]} images: "
            "its first axis does not count them"
        )
    if not bool(torch.isfinite(activation).all()):
        raise InvalidArgument(f"layer {name!r} has activations that are NaN or infinite")


def probe(forward: Callable[..., Any], layer: nn.Module, name: str, x: Tensor) -> Probe:
    """Look at a layer of a network that returns a table of class scores.

    Raises:
        UnusableLayer: the layer never ran, or returned nothing to attribute to; or the network
            returns no table of scores.
        InvalidArgument: an activation is not a number.
    """
    found = look(forward, layer, name, x)
    scores, said = class_scores(found.output, len(x)), choice(found.output, len(x))
    return Probe(found.activation, scores, found.calls, found.behaviour, said)


def check_runs_once(calls: int, name: str) -> None:
    """Whether an activation put in for the layer's output stands for one place in the network.

    Raises:
        UnusableLayer: the layer runs several times, so it would be put in at every one of them.

    >>> check_runs_once(1, "relu")
    """
    if calls > 1:
        raise UnusableLayer(
            f"layer {name!r} runs {calls} times in one forward pass; choose a layer that runs "
            "once, such as the block around it, or give each use its own module"
        )


def fast_head(
    forward: Callable[..., Any], layer: nn.Module, x: Tensor, seen: Probe, rows: int = 64
) -> Callable[[Tensor, Sequence[int]], Tensor]:
    """The head of one image for many activations.

    The part of the network before the layer runs on the image once per chunk instead of once per
    activation, where the network stands for that: its own answer is compared first.

    Args:
        forward: the network.
        layer: whose activation is put in.
        x: one image, (1, ...).
        seen: what the network answered to it.
        rows: activations per pass.

    Returns:
        A function of activations (row, ...) and classes that gives scores (row, class).
    """
    head = Head(forward, layer, apart=seen.behaviour.apart).of_one_image(x, seen)

    def scores(activations: Tensor, targets: Sequence[int]) -> Tensor:
        found = []
        with without_gradients():
            for chunk in activations.split(rows):
                images = x.expand(len(chunk), *x.shape[1:])
                found.append(head(chunk, images)[:, list(targets)])
        return torch.cat(found)

    return scores


def _injects(head: Head, x: Tensor, seen: Probe) -> bool:
    """Whether the scores of an activation stay the same with another one beside it."""
    pair = torch.cat([seen.activation, seen.activation * 0.5])
    try:
        with without_gradients():
            scores = head(pair, x)
    except (RuntimeError, ValueError):
        return False
    if scores.shape != (2, seen.scores.shape[1]):
        return False
    return torch.allclose(scores[:1], seen.scores, rtol=1e-3, atol=1e-4)


def check_input(x: Tensor) -> Tensor:
    """A private copy of the images that Captum may set flags on."""
    if not isinstance(x, Tensor):
        raise WrongType(f"the images are a {type(x).__name__}; give a float tensor (image, ...)")
    if not x.is_floating_point():
        raise InvalidArgument(f"the images are {x.dtype}; preprocess them to a float tensor first")
    if x.ndim < 2 or x.shape[0] < 1:
        raise InvalidArgument(f"the images have shape {tuple(x.shape)}; at least one is needed")
    return x.detach().clone()


def whole_number(value: Any) -> int:
    """An index, out of whatever kind of integer it is given as.

    Raises:
        WrongType: it is no integer.

    >>> whole_number(torch.tensor(3))
    3
    """
    try:
        if not isinstance(value, bool):
            return index(value)
    except TypeError:
        pass
    raise WrongType(f"target {value!r} is not an index; give integers")


def check_targets(targets: Sequence[int], n_classes: int) -> list[int]:
    """The classes asked for, each within what the network has.

    Raises:
        InvalidArgument: there is none, or one is out of range.
        WrongType: one is not an integer, or they are not listed.

    >>> check_targets([1, 0], 2)
    [1, 0]
    """
    wanted = [whole_number(target) for target in listed(targets)]
    for target in wanted:
        if not 0 <= target < n_classes:
            raise no_such_class(target, n_classes)
    return wanted


def listed(targets: Any) -> list[Any]:
    """Targets as a list of at least one.

    Raises:
        InvalidArgument: there is none.
        WrongType: they are not listed.
    """
    try:
        wanted = list(targets)
    except TypeError:
        raise WrongType(
            f"targets={targets!r} is no list of targets; give one, e.g. targets=[207]"
        ) from None
    if not wanted:
        raise InvalidArgument("no target was given; give at least one, e.g. targets=[207]")
    return wanted


def no_such_class(target: int, n_classes: int) -> InvalidArgument:
    """What is said to a class index out of range."""
    return InvalidArgument(
        f"class {target} does not exist: this network has classes 0 to {n_classes - 1}"
    )


def gradients(
    forward: Callable[..., Any], layer: nn.Module, x: Tensor, targets: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """A layer's activation, and the gradient of each class score with respect to it.

    One forward pass, one backward pass of the head per class.

    Args:
        forward: the network.
        layer: where to look.
        x: (image, ...).
        targets: class indices.

    Returns:
        The activation (image, ...) and the gradients (class, image, ...), both detached.

    Raises:
        UnusableLayer: no class score depends on the layer, or the path has no gradient.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    >>> gradients(net, net[0], torch.zeros(1, 2), [0, 1])[1].shape
    torch.Size([2, 1, 3])
    """
    leaves: list[Tensor] = []

    def put_in(activation: Tensor) -> Tensor:
        leaves.append(activation.detach().requires_grad_())
        # A part that runs under no_grad is followed from here on; it restores the mode itself.
        torch.set_grad_enabled(True)
        # The copy keeps an in-place operation behind the layer away from the leaf.
        return leaves[-1].clone()

    with gradients_explained("the class scores move", "this layer"):
        with torch.enable_grad(), hooks.replace(layer, put_in):
            scores = class_scores(forward(x), len(x))
        found = [
            _gradient(scores[:, target].sum(), leaves[-1], keep=position + 1 < len(targets))
            for position, target in enumerate(targets)
        ]
    gradients = [gradient for gradient in found if gradient is not None]
    if len(gradients) < len(found):
        if moves(forward, layer, (x,)):
            raise UnusableLayer(cut("the class scores move", "this layer"))
        raise UnusableLayer("the class scores do not depend on this layer")
    return leaves[-1].detach(), torch.stack(gradients)


def _gradient(score: Tensor, leaf: Tensor, keep: bool) -> Tensor | None:
    if not score.requires_grad:
        return None
    return torch.autograd.grad(score, leaf, retain_graph=keep, allow_unused=True)[0]
