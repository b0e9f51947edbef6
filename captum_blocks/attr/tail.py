"""What lies behind a layer, run alone: one picture's scores for many activations of the layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cached_property
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from captum_blocks._gradients import without_gradients
from captum_blocks.attr.before import exchanged, remembered
from captum_blocks.attr.head import Head, Probe
from captum_blocks.convolutions import paddings
from captum_blocks.errors import BlocksError, UnsupportedMethod
from captum_blocks.rewriting import (
    Edit,
    close,
    foldings,
    keep_channels_last,
    keep_equivalent,
    passing_copy,
)

MEMORY_BUDGET = 24 * 2**20
MOST_ROWS = 256
MOST_SECONDS = 300.0
# The tail is another order of the same sums: scores agree to rounding, relative to the largest.
EXACT = 1e-5
# What a network may say to parts or rows that it was not made for.
REFUSED = (RuntimeError, ValueError, IndexError, TypeError, AttributeError, BlocksError)
_JOINS = (torch.cat, torch.concat, torch.concatenate)
# A network, and a layer in it.
Copy = tuple[nn.Module, nn.Module]
_AT_MOST: ContextVar[float | None] = ContextVar("the most seconds that removals take", default=None)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Within, what would take longer is refused, told from two rows before the others run.

    >>> with at_most(2.0):
    ...     pass
    """
    before = _AT_MOST.set(seconds)
    try:
        yield
    finally:
        _AT_MOST.reset(before)


def most_seconds() -> float | None:
    """How long removals and the like may take here; None for as long as anywhere.

    >>> with at_most(2.0):
    ...     most_seconds()
    2.0
    """
    return _AT_MOST.get()


class Repeating(TorchFunctionMode):
    """Joins what was computed of one picture with rows behind the layer: it is repeated."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _JOINS and isinstance(args[0], (list, tuple)):
            rows = max((len(part) for part in args[0] if part.ndim), default=1)
            parts = [
                part.expand(rows, *part.shape[1:]) if len(part) == 1 else part for part in args[0]
            ]
            args = (parts, *args[1:])
        return func(*args, **(kwargs or {}))


def _repeated(part: Tensor, rows: int) -> Tensor:
    return part.expand(rows, *part.shape[1:]) if len(part) == 1 else part


class Tail:
    """Layer activations (row, ...) of one picture -> class scores (row, class).

    What comes before the layer ran once for the picture; what it hands around the layer (skip
    connections) is repeated for each row. What runs is a copy with the same weights, batch norms
    folded and kernels laid out for the processor. All of that is checked against the network itself
    on the picture's own activation and on another one, and given up where they differ.

    Args:
        forward: the network.
        layer: whose activation is put in.
        x: (1, ...), the picture.
        seen: what the network answered to it.
        copy: of the network, made fast; None where there is none.

    Attributes:
        alone: whether only what lies behind the layer runs again, and not the whole network.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        layer: nn.Module,
        x: Tensor,
        seen: Probe,
        copy: Copy | None = None,
    ) -> None:
        self.x, self.seen = x, seen
        self._plain = Head(forward, layer, apart=seen.behaviour.apart)
        self._pair = torch.cat([seen.activation, seen.activation * 0.5])
        # Nothing here refers back to the tail: the copy of the network goes when the tail does.
        self._fast: Callable[[Tensor], Tensor] | None = None
        with without_gradients():
            self._expected = self._whole(self._pair)
            if not seen.behaviour.apart:
                self._fast = next(filter(self._agrees, _ways(forward, layer, x, copy)), None)

    @property
    def alone(self) -> bool:
        """Whether only what lies behind the layer runs again."""
        return self._fast is not None

    @property
    def rows(self) -> int:
        """How many activations go through at once."""
        return max(1, min(MOST_ROWS, MEMORY_BUDGET // self.seen.activation.nbytes))

    @cached_property
    def own(self) -> Tensor:
        """(class,): those of the picture's own activation, computed as those of others are."""
        return next(self.scores([self.seen.activation.clone()]))[0]

    def scores(self, chunks: Iterable[Tensor], rows: int = 0, what: str = "") -> Iterator[Tensor]:
        """The scores of each chunk of activations (row, ...), without gradients.

        Args:
            chunks: of activations, which the network may write to.
            rows: how many there are in all, where that may take long.
            what: is done, for the message.

        Raises:
            UnsupportedMethod: it would take more than five minutes, told from the first chunk; or
                longer than ``at_most`` says.
        """
        self._check_before(rows, what)
        start = perf_counter()
        for number, chunk in enumerate(chunks):
            with without_gradients():
                found = (self._fast or self._whole)(chunk)
            if not number and rows > len(chunk):
                self._check_time((perf_counter() - start) / len(chunk) * rows, rows, what)
            yield found

    def _check_before(self, rows: int, what: str) -> None:
        most = most_seconds()
        if most is None:
            return
        start = perf_counter()
        with without_gradients():
            (self._fast or self._whole)(self._pair.clone())
        seconds = (perf_counter() - start) / len(self._pair) * rows
        if seconds > most:
            raise UnsupportedMethod(f"{what}: about {seconds:.0f} seconds, {most:.0f} at most here")

    def _check_time(self, seconds: float, rows: int, what: str) -> None:
        if seconds > MOST_SECONDS:
            runs = "what lies behind the layer runs" if self.alone else "the whole network runs"
            raise UnsupportedMethod(
                f"{what}: {runs} {rows:,} times, which takes about {seconds / 60:.0f} minutes, "
                "five at most; take a later layer, or fewer atoms: channels, places or groups "
                "instead of neurons"
            )

    def _whole(self, rows: Tensor) -> Tensor:
        scores: Tensor = self._plain(rows, self.x.expand(len(rows), *self.x.shape[1:]))
        return scores

    def _agrees(self, run: Callable[[Tensor], Tensor]) -> bool:
        with suppress(*REFUSED):
            return close(run(self._pair.clone()), self._expected, EXACT)
        return False


def _ways(
    forward: Callable[..., Any], layer: nn.Module, x: Tensor, copy: Copy | None
) -> Iterator[Callable[[Tensor], Tensor]]:
    """Ways to run what lies behind a layer, the fastest first."""
    if copy is not None:
        known: list[Edit] = []
        with suppress(*REFUSED):
            known = remembered(*copy, x)
        yield _behind(*copy, x, known)
        yield _behind(*copy, x)
    yield _behind(forward, layer, x)


def _behind(
    forward: Any, layer: nn.Module, x: Tensor, known: Sequence[Edit] = ()
) -> Callable[[Tensor], Tensor]:
    """What lies behind a layer, with what comes before it run once for all rows, or known."""
    head = Head(forward, layer).of_any_rows()

    def run(rows: Tensor) -> Tensor:
        with Repeating(), exchanged(known):
            scores: Tensor = head(rows, x)
        return scores

    return run


def fast_copy(forward: Any, layer: nn.Module) -> Copy | None:
    """A copy of the network made fast, and the layer in it; None where it has none."""
    if not isinstance(forward, nn.Module):
        return None
    name = next((name for name, part in forward.named_modules() if part is layer), None)
    copy = made_fast(forward, [name]) if name else None
    return None if copy is None or not name else (copy, copy.get_submodule(name))


def made_fast(network: nn.Module, kept: Sequence[str] = ()) -> nn.Module | None:
    """A copy for passes without gradients, made fast; None where there can be none.

    Whether it computes the same is for the caller to see.

    Args:
        network: stays as it is.
        kept: dotted names of layers that are looked at.
    """
    with suppress(RuntimeError, BlocksError):
        copy = passing_copy(network)
        keep_channels_last(copy)
        for edits in (foldings, paddings):
            keep_equivalent(edits(copy, [copy.get_submodule(name) for name in kept]), lambda: True)
        return copy
    return None
