"""The piece of a network between two layers, and its derivative in many directions at once."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from math import prod
from threading import Lock
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients
from captum_blocks.attr._crops import channels_last, cropped
from captum_blocks.attr._reasons import cut, moves
from captum_blocks.attr._steps import Unsuited
from captum_blocks.attr.derivative import Derivative, agree, linearised
from captum_blocks.attr.head import check_runs_once
from captum_blocks.errors import BlocksError, InvalidArgument, UnusableLayer
from captum_blocks.scores import choice, class_scores

_In = TypeVar("_In")
_Out = TypeVar("_Out")
# PyTorch has one level of forward derivatives and one choice of kernels in a process.
_FORWARD_MODE = Lock()


class _Affine(TorchFunctionMode):
    """Convolution and batch norm in evaluation mode, differentiated as the affine maps they are.

    Batch norm's own derivative also works out gradients of statistics that nobody asked for, and
    the forward derivative of both adds zeros of full size for parameters that do not move.
    Together that is a third of the time of many rows at once.
    """

    def __init__(self, everywhere: bool = True) -> None:
        super().__init__()
        self.on = everywhere

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.on:
            return func(*args, **(kwargs or {}))
        args = tuple(_still(value) for value in args)
        kwargs = {name: _still(value) for name, value in (kwargs or {}).items()}
        if func is functional.batch_norm:
            call = _BATCH_NORM.bind(*args, **kwargs)
            call.apply_defaults()
            if not call.arguments["training"] and call.arguments["running_mean"] is not None:
                return _batch_norm(**call.arguments)
        if func is torch.conv2d and len(args) > 2 and not kwargs:
            return _conv2d(*args)
        return func(*args, **kwargs)


def _still(value: Any) -> Any:
    """Parameters do not move: nobody asks for their gradients."""
    return value.detach() if isinstance(value, nn.Parameter) else value


_BATCH_NORM = inspect.signature(functional.batch_norm)


def _batch_norm(
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    **_: Any,
) -> Tensor:
    shape = (1, -1, *(1,) * (input.ndim - 2))
    scale = torch.rsqrt(running_var + eps)
    scale = (scale if weight is None else scale * weight).detach()
    shift = (-running_mean * scale if bias is None else bias - running_mean * scale).detach()

    def linear(values: Tensor) -> Tensor:
        return values * scale.view(shape)

    return _moved(input, linear, lambda values: linear(values) + shift.view(shape))


def _conv2d(input: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> Tensor:
    def linear(values: Tensor) -> Tensor:
        return torch.conv2d(values, weight, None, *rest)

    return _moved(input, linear, lambda values: torch.conv2d(values, weight, bias, *rest))


def _moved(
    input: Tensor, linear: Callable[[Tensor], Tensor], affine: Callable[[Tensor], Tensor]
) -> Tensor:
    """An affine map of a tensor, and its linear part of the tensor's forward tangent."""
    primal, tangent = forward_ad.unpack_dual(input)
    if tangent is None:
        return affine(input)
    moved: Tensor = forward_ad.make_dual(affine(primal), linear(tangent))
    return moved


class Segment:
    """Source activation -> target activation, everything else as the images make it.

    Args:
        forward: the network.
        source: the layer whose activation is put in.
        target: the layer that is read; None for the class scores.
        x: (image, ...), the images.
    """

    def __init__(
        self, forward: nn.Module, source: nn.Module, target: nn.Module | None, x: Tensor
    ) -> None:
        self.forward, self.source, self.target, self.x = forward, source, target, x
        self._derivative: tuple[Tensor, Derivative | None] | None = None

    def __call__(self, activation: Tensor) -> Tensor:
        """The target's output for another activation of the source."""
        with hooks.replace(self.source, lambda _: activation.clone()):
            return self._read()

    def _read(self) -> Tensor:
        if self.target is None:
            with _Affine():
                return class_scores(self.forward(self.x), len(self.x))
        with _Affine():
            return hooks.run_until(self.forward, {"target": self.target}, self.x)["target"]

    def derivative(self, leaf: Tensor, output: Tensor) -> Derivative | None:
        """That of what was traced last, made once; None where it cannot be followed."""
        if self._derivative is None or self._derivative[0] is not leaf:
            self._derivative = leaf, linearised(leaf, output)
        return self._derivative[1]

    def traced(self, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
        """One pass: a leaf at the source, what the target makes of it, and the graph between them.

        Args:
            names: of source and target, for the messages.

        Raises:
            InvalidArgument: the target does not depend on the source, or is not finite.
            UnusableLayer: a layer never runs, or runs several times, or leads nowhere.
        """
        leaves: list[Tensor] = []
        outputs: list[Tensor] = []

        def cut(activation: Tensor) -> Tensor:
            leaves.append(activation.detach().clone().requires_grad_())
            # Before the source and behind the target nothing needs a graph. The surrounding
            # no_grad restores the caller's mode.
            torch.set_grad_enabled(True)
            affine.on = True
            return leaves[-1].clone()

        def read(activation: Tensor) -> Tensor:
            outputs.append(activation)
            torch.set_grad_enabled(False)
            affine.on = False
            return activation.clone()

        with without_gradients(), ExitStack() as undo:
            undo.enter_context(hooks.replace(self.source, cut))
            if self.target is not None:
                undo.enter_context(hooks.replace(self.target, read))
            affine = undo.enter_context(_Affine(everywhere=False))
            answer = self.forward(self.x)
            if self.target is None:
                if (said := choice(answer, len(self.x))) is not None:
                    warnings.warn(said, stacklevel=6)
                read(class_scores(answer, len(self.x)))
        _check_once(leaves, names[0])
        _check_once(outputs, names[1])
        leaf, output = leaves[0], outputs[0]
        if not _depends(output, leaf):
            raise self._no_path(names)
        if not bool(torch.isfinite(leaf).all() and torch.isfinite(output).all()):
            raise InvalidArgument(
                f"activations at {names[0]!r} or {names[1]!r} are NaN or infinite"
            )
        return leaf, output

    def _no_path(self, names: tuple[str, str]) -> BlocksError:
        """Why the graph of the target does not reach the source."""
        if moves(self.forward, self.source, (self.x,), self.target):
            return UnusableLayer(cut(moving(names[1], self.target), f"layer {names[0]!r}"))
        if self.target is None:
            return UnusableLayer(f"the class scores do not depend on layer {names[0]!r}")
        return not_downstream()


def moving(name: str, target: nn.Module | None) -> str:
    """The target as the subject of what is said of a missing gradient.

    >>> moving("relu", nn.ReLU())
    "layer 'relu' moves"
    """
    return "the class scores move" if target is None else f"layer {name!r} moves"


def _check_once(calls: list[Tensor], name: str) -> None:
    if not calls:
        raise UnusableLayer(f"the network ran to its end without calling layer {name!r}")
    check_runs_once(len(calls), name)


def _depends(output: Tensor, leaf: Tensor) -> bool:
    """Whether the graph of ``output`` reaches the leaf; parameters may be leaves of it, too."""
    nodes, known = [output.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in known:
            continue
        if getattr(node, "variable", None) is leaf:
            return True
        known.add(node)
        nodes.extend(before for before, _ in node.next_functions)
    return False


def not_downstream() -> InvalidArgument:
    """What is said when the layers are in the wrong order."""
    return InvalidArgument(
        "the target layer does not depend on the source layer: it runs before or beside it; "
        "exchange source_layer and target_layer"
    )


def pulled_back(
    leaf: Tensor,
    output: Tensor,
    seeds: Iterable[Tensor],
    chunk: int,
    known: Derivative | None = None,
) -> Iterator[Tensor]:
    """Vector-Jacobian products, many at a time.

    Args:
        leaf: the source.
        output: what was computed from it.
        seeds: (seed, *output), in any division.
        chunk: how many go through one backward pass.
        known: the derivative of the two, where it was made before.

    Yields:
        (seed, *leaf), in the same order.
    """
    derivative, checked = known or linearised(leaf, output), False
    for rows in seeds:
        for piece in rows.split(chunk):
            found = _through(derivative.pull if derivative else None, piece)
            if found is not None and not checked:
                checked = agree(leaf, output, found, piece, forwards=False)
                found = found if checked else None
            if found is None:
                derivative = None
            yield _pull(leaf, output, piece) if found is None else found


def share_reached(derivative: Derivative | None, seed: Tensor) -> float:
    """How much of the source's maps goes through with the gradient of one target, as a share.

    Args:
        derivative: between the layers.
        seed: (1, *output), the target.

    Returns:
        1 where the gradient cannot be cut to a window.
    """
    reached = _through(None if derivative is None else derivative.pulled, cropped(seed))
    if reached is None or reached.corner is None:
        return 1.0
    return float(prod(reached.values.shape[-2:]) / prod(reached.size))


def _through(map: Callable[[_In], _Out] | None, rows: _In) -> _Out | None:
    try:
        return map(rows) if map else None
    except (Unsuited, RuntimeError):
        return None


def _pull(leaf: Tensor, output: Tensor, seeds: Tensor) -> Tensor:
    def pulled(seed: Tensor) -> Tensor:
        return torch.autograd.grad(output, leaf, seed, retain_graph=True)[0]

    try:
        found: Tensor = torch.func.vmap(pulled)(seeds)
        return found
    except RuntimeError:
        # An operation without a batching rule: one after the other gives the same numbers.
        return torch.stack([pulled(seed) for seed in seeds])


def pushed_forward(
    segment: Callable[[Tensor], Tensor],
    leaf: Tensor,
    output: Tensor,
    directions: Iterator[Tensor],
    chunk: int,
    known: Derivative | None = None,
) -> Iterator[Tensor]:
    """Jacobian-vector products, many at a time.

    Args:
        segment: from the source to the target.
        leaf: the source, where the derivative is taken.
        output: what the segment makes of it.
        directions: of the shape of ``leaf``, one by one.
        chunk: how many go through one pass.
        known: the derivative of the two, where it was made before.

    Yields:
        (direction, *output), in the same order.
    """
    derivative, checked = known or linearised(leaf, output), False
    while rows := list(islice(directions, chunk)):
        piece = torch.cat(rows).unflatten(0, (len(rows), -1))
        found = _through(derivative.push if derivative else None, piece)
        if found is not None and not checked:
            checked = agree(leaf, output, piece, found, forwards=True)
            found = found if checked else None
        if found is None:
            if not checked:
                # Forwards, what has no gradient passes for what does not move.
                torch.autograd.grad(output, leaf, torch.ones_like(output), retain_graph=True)
                checked = True
            derivative = None
            found = _push(segment, channels_last(leaf.detach()), channels_last(piece))
        yield found


def _push(function: Callable[[Tensor], Tensor], activation: Tensor, directions: Tensor) -> Tensor:
    def along(direction: Tensor) -> Tensor:
        pushed: Tensor = torch.func.jvp(function, (activation,), (direction,))[1]
        return pushed

    # The fused kernels of attention have no forward derivative; the plain one has.
    with _FORWARD_MODE, without_gradients(), sdpa_kernel(SDPBackend.MATH):
        try:
            pushed: Tensor = torch.func.vmap(along)(directions)
            return pushed
        except RuntimeError:
            return torch.stack([_dual(function, activation, one) for one in directions])


def _dual(function: Callable[[Tensor], Tensor], activation: Tensor, direction: Tensor) -> Tensor:
    with without_gradients(), forward_ad.dual_level():
        output = function(forward_ad.make_dual(activation, direction))
        tangent = forward_ad.unpack_dual(output).tangent
    if tangent is None:
        raise not_downstream()
    pushed: Tensor = tangent
    return pushed
