"""Probabilities that a network makes by itself, and the logits they are made from."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from captum_blocks._gradients import without_gradients
from captum_blocks.network.answers import Head, between_zero_and_one, sum_to_one
from captum_blocks.scores import choice, squash_between

SQUASHES = {"softmax": "softmax", "sigmoid": "sigmoid", "special_expit": "sigmoid"}
# Operations that hand a tensor on as it is.
_HANDS_ON = ("clone", "contiguous", "detach", "float", "to")
HEADS: dict[str, Head] = {"softmax": "classes", "sigmoid": "labels"}
# Names of recorded operations: what makes probabilities, and what makes numbers of any size.
_BOUNDED = ("SigmoidBackward", "SoftmaxBackward", "HardsigmoidBackward")
# Of fewer outputs than this, logits may all be between 0 and 1 by chance.
FEW = 4
STRENGTHS = (1.0, -1.0, 4.0, -16.0)
# Numbers that never come near this are small, and no probabilities.
LARGE = 0.1
_WEIGHTED = ("AddmmBackward", "MmBackward", "BmmBackward", "ConvolutionBackward", "MvBackward")


class LastSquash(TorchFunctionMode):
    """Remembers the last softmax or sigmoid that runs inside, and what it was given.

    >>> with LastSquash() as last:
    ...     p = torch.zeros(1, 2).softmax(1)
    >>> last.behind(p)
    ('softmax', tensor([[0., 0.]]))
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[Tensor, str, Tensor] | None = None

    def behind(self, made: Tensor) -> tuple[str, Tensor] | None:
        """Which of the two made a (image, class) table, and from what; None for neither."""
        if self._last is None or self._last[0] is not made or made.ndim != 2:
            return None
        return self._last[1:]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if not isinstance(output, Tensor) or not args:
            return output
        name, given = getattr(func, "__name__", ""), args[0]
        if name in SQUASHES and output is not given:
            self._last = (output, SQUASHES[name], given)
        elif name in _HANDS_ON and self._last is not None and self._last[0] is given:
            self._last = (output, *self._last[1:])
        return output


@dataclass(frozen=True)
class Noticed:
    """What a network's first answer showed.

    Attributes:
        head: what its outputs are, where that is not what was declared; None where nothing
            speaks against it.
        choice: which of several tensors was taken for the scores, in words; None for the only one.
    """

    head: Head | None = None
    choice: str | None = None


def notice(
    run: Callable[[Tensor], Tensor],
    output: Any,
    scores: Tensor,
    x: Tensor,
    declared: Head | None,
    name: str,
) -> Noticed:
    """Look at a network's first answer, and warn of what is not as it is taken to be.

    Args:
        run: pictures -> (image, class), as scores are taken.
        output: what the network returned.
        scores: what was taken from it.
        x: the pictures it was given.
        declared: what the scores were said to be.
        name: of the network.
    """
    taken = choice(output, len(x), name)
    if taken is not None:
        warnings.warn(f"{taken}; Network(module, output=...) takes another", stacklevel=5)
    if declared in ("values", "probabilities"):
        return Noticed(choice=taken)
    squash = squash_between(output, len(x))
    if squash is not None:
        return Noticed(HEADS[squash], taken)
    how = _probabilities(run, scores, x, single=declared == "labels")
    if how is None:
        return Noticed(choice=taken)
    warnings.warn(
        f"{name} answers with probabilities already ({how}): they are shown, and attributed to, "
        "as they are. head='probabilities' says so, and attributes to the logits in front of a "
        "last softmax or sigmoid; head='values' takes them for plain numbers",
        stacklevel=5,
    )
    return Noticed("probabilities", taken)


def _probabilities(
    run: Callable[[Tensor], Tensor], scores: Tensor, x: Tensor, single: bool
) -> str | None:
    """Why scores are taken for probabilities; None where they are not."""
    if sum_to_one(scores):
        return "each row adds up to 1"
    if not between_zero_and_one(scores) or (scores.shape[1] == 1 and not single):
        return None
    if _recorded(run, x):
        return "they come out of a sigmoid or softmax"
    if scores.shape[1] >= FEW and _bounded_for_noise(run, x):
        return "they are between 0 and 1, also for noise"
    return None


def _recorded(run: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether autograd has seen a squashing function behind the last layer with weights."""
    try:
        with torch.inference_mode(False), torch.enable_grad():
            return _is_bounded(run(x.detach().clone().requires_grad_()))
    except RuntimeError:  # nothing can be differentiated here, so nothing can be told
        return False


def _bounded_for_noise(run: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether noise of several strengths makes nothing outside of [0, 1] either.

    One picture at a time: a network may take no more.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(STRENGTHS), *x.shape[1:], generator=generator).to(x)
    try:
        with without_gradients():
            rows = zip(STRENGTHS, noise, strict=True)
            told = torch.cat([run(strength * each[None]) for strength, each in rows])
    except RuntimeError:
        return False
    return between_zero_and_one(told) and float(told.max()) > LARGE


def _is_bounded(scores: Tensor) -> bool:
    """Whether a squashing function runs behind the last layer with weights."""
    nodes, known = [scores.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in known:
            continue
        known.add(node)
        if node.name().startswith(_BOUNDED):
            return True
        if not node.name().startswith(_WEIGHTED):
            nodes.extend(before for before, _ in node.next_functions)
    return False
