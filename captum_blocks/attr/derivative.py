"""The derivative of a recorded computation, as one linear map for many rows at once.

PyTorch's own batched derivatives send every operation through ``vmap``, which lays the maps of a
convolution out badly and differentiates masks and scales again for every row. Here the recorded
graph is walked once: what an operation multiplies by is worked out beforehand, and rows go through
as an ordinary batch, stored the way convolutions read fastest. In either direction: gradients
backwards, and changes forwards, which is the same map transposed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from captum_blocks._gradients import without_gradients
from captum_blocks.attr._crops import Rows, channels_last, cropped
from captum_blocks.attr._steps import Node, Scaled, Step, Unsuited, output_shape, step_of

_LEAF = -1
_EXACT = 1e-4


class Derivative:
    """What was computed from ``leaf`` to ``output``, linearised there.

    Args:
        leaf: the source, a leaf of the recorded graph.
        output: what was computed from it; its graph has to stay alive.

    Raises:
        Unsuited: the graph holds something that only PyTorch's own engine can follow.
    """

    def __init__(self, leaf: Tensor, output: Tensor) -> None:
        self.leaf, self.output = leaf, output
        nodes = _ordered(output.grad_fn, leaf)
        place = {node: number for number, node in enumerate(nodes)}
        self._edges: dict[int, list[int]] = {}
        self._steps: dict[int, Step] = {}
        for number, node in enumerate(nodes):
            befores = [(i, b) for i, (b, _) in enumerate(node.next_functions)]
            led = [(i, b) for i, b in befores if b in place or _is(b, leaf)]
            self._edges[number] = [place.get(b, _LEAF) for _, b in led]
            self._steps[number] = step_of(
                node, [i for i, _ in led], [_shape(b, leaf) for _, b in led]
            )
        self._join_factors()

    def _join_factors(self) -> None:
        """Factors one after the other become one: a mask and the scale of a batch norm."""
        for number in sorted(self._steps, reverse=True):
            step, uses = self._steps[number], self._uses(number)
            if not isinstance(step, Scaled) or len(step.factors) > 1 or len(uses) != 1:
                continue
            ((user, edge),) = uses
            behind = self._steps[user]
            if isinstance(behind, Scaled):
                behind.join(edge, step)
                self._edges[user][edge] = self._edges.pop(number)[0]
                del self._steps[number]

    def _uses(self, number: int) -> list[tuple[int, int]]:
        return [
            (user, edge)
            for user, befores in self._edges.items()
            for edge, before in enumerate(befores)
            if before == number
        ]

    def pull(self, rows: Tensor) -> Tensor:
        """Gradients at the output (row, ...) -> gradients at the leaf (row, ...)."""
        return self.pulled(cropped(rows)).whole()

    def pulled(self, rows: Rows) -> Rows:
        """The same of rows that may be windows of what they are part of."""
        found: dict[int, Rows] = {0: rows}
        for number, step in self._steps.items():
            parts = step.pull(found.pop(number))
            for before, part in zip(self._edges[number], parts, strict=True):
                found[before] = found[before].plus(part) if before in found else part
        return found[_LEAF]

    def push(self, rows: Tensor) -> Tensor:
        """Changes of the leaf (row, ...) -> changes of the output (row, ...)."""
        found: dict[int, Tensor] = {_LEAF: channels_last(rows)}
        # Users run from the source on, so the first one in the list is the last to run.
        last = {
            before: number for number, edges in reversed(self._edges.items()) for before in edges
        }
        for number in sorted(self._steps, reverse=True):
            edges = self._edges[number]
            found[number] = self._steps[number].push([found[before] for before in edges])
            for before in set(edges):
                if last[before] == number:
                    del found[before]
        return found[0]


def linearised(leaf: Tensor, output: Tensor) -> Derivative | None:
    """The derivative as one map, or None where only PyTorch's own engine can follow the graph.

    Args:
        leaf: the source, a leaf of the recorded graph.
        output: what was computed from it.
    """
    try:
        with without_gradients():
            return Derivative(leaf, output)
    except (Unsuited, RuntimeError):
        return None


def agree(leaf: Tensor, output: Tensor, below: Tensor, above: Tensor, forwards: bool) -> bool:
    """Whether rows that went through the map are what PyTorch's own engine says.

    The map is linear, so one gradient by the engine checks a mixture of all the rows.

    Args:
        leaf: the source.
        output: what was computed from it.
        below: (row, *leaf).
        above: (row, *output).
        forwards: whether the rows above were made from those below; else the other way round.
    """
    generator = torch.Generator().manual_seed(0)
    mixture = torch.randn(len(above), generator=generator).to(above)
    low, high = _mixed(below, mixture), _mixed(above, mixture)
    exact = max(_EXACT, 8 * torch.finfo(output.dtype).eps)
    if not forwards:
        (expected,) = torch.autograd.grad(output, leaf, high, retain_graph=True)
        return bool((low - expected).abs().max() <= exact * expected.abs().max())
    seed = torch.randn(output.shape, generator=generator).to(output)
    (gradient,) = torch.autograd.grad(output, leaf, seed, retain_graph=True)
    apart = ((high * seed).sum() - (low * gradient).sum()).abs()
    return bool(apart <= exact * high.norm() * seed.norm())


def _mixed(rows: Tensor, mixture: Tensor) -> Tensor:
    # Read in the order that maps are stored in.
    last = rows.movedim(2, -1) if rows.ndim == 5 else rows
    mixed: Tensor = (mixture @ last.flatten(1)).unflatten(0, last.shape[1:])
    return mixed.movedim(-1, 1) if rows.ndim == 5 else mixed


def _is(node: Node, leaf: Tensor) -> bool:
    return getattr(node, "variable", None) is leaf


def _shape(node: Node, leaf: Tensor) -> torch.Size:
    return leaf.shape if _is(node, leaf) else output_shape(node)


def _ordered(output: Node, leaf: Tensor) -> list[Node]:
    """The nodes between output and leaf, each one before those that it was computed from."""
    leads: dict[Node, bool] = {}
    done: list[Node] = []
    stack: list[tuple[Node, bool]] = [(output, False)]
    while stack:
        node, seen = stack.pop()
        befores = [before for before, _ in node.next_functions if before is not None]
        if seen:
            leads[node] = any(_is(b, leaf) or leads.get(b, False) for b in befores)
            if leads[node]:
                done.append(node)
        elif node not in leads:
            leads[node] = False
            stack.append((node, True))
            stack.extend((before, False) for before in befores if before not in leads)
    return done[::-1]
