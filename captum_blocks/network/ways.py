"""How the answer depends on layers: by gradients, and by the ways through the graph of one pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks.errors import UnusableLayer
from captum_blocks.hooks import replace, running, tapped
from captum_blocks.network.readout import as_scores

# No layer has this name.
PICTURE = ""


@dataclass(frozen=True)
class Ways:
    """What one pass and its gradient tell of layers.

    Attributes:
        beside: layers whose output the scores do not depend on; empty where that is not known.
        cuts: layers that every differentiable way from the picture to the scores leads through;
            None where no way is known. A hint only: autograd does not see every way.
    """

    beside: frozenset[str] = frozenset()
    cuts: frozenset[str] | None = None

    def may_cut(self, name: str) -> bool:
        """Whether a layer that was asked about is a cut, as far as the graph tells.

        >>> Ways(cuts=frozenset({"layer4"})).may_cut("layer3"), Ways().may_cut("layer3")
        (False, True)
        """
        return self.cuts is None or name in self.cuts


def ways(
    network: nn.Module, layers: Mapping[str, nn.Module], noise: Tensor, names: Iterable[str]
) -> Ways:
    """How the scores of a picture depend on layers.

    Args:
        network: returns (image, class); run once, in evaluation mode, and differentiated.
        layers: the modules by name, elements by the name of their module.
        noise: (image, ...), what it is run on.
        names: of the layers asked about.

    Returns:
        Nothing where nothing can be said: the network cannot be differentiated, or its answer is
        no table of scores.

    >>> class Two(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.first, self.used = nn.Linear(2, 2), nn.Linear(2, 2)
    ...         self.beside = nn.Linear(2, 2)
    ...     def forward(self, x):
    ...         x = self.first(x)
    ...         return {"logits": x + self.used(x), "more": self.beside(x)}
    >>> both = Two()
    >>> names = ["first", "used", "beside"]
    >>> told = ways(both, dict(both.named_modules()), torch.ones(1, 2), names)
    >>> set(told.beside), set(told.cuts)
    ({'beside'}, {'first'})
    """
    wanted = list(names)
    modules = {name: layers[name.partition(":")[0]] for name in wanted}
    with (
        suppress(RuntimeError, NotImplementedError, UnusableLayer),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        score, outputs = _handed(network, modules, noise)
        if score.grad_fn is None:
            return Ways()
        cuts = on_every_way(score, {n: one.grad_fn for n, one in outputs.items()})
        found = torch.autograd.grad(score, list(outputs.values()), allow_unused=True)
        gradients = zip(outputs, found, strict=True)
        reached = {name for name, g in gradients if g is not None and bool(g.any())}
        return Ways(
            # Where nothing reaches the picture itself, gradients tell nothing.
            frozenset(wanted) - reached if PICTURE in reached else frozenset(),
            frozenset(cuts - {PICTURE}) if cuts else None,
        )
    return Ways()


class _HandedOn(nn.Module):
    """Hands on a copy, whose gradient is what the rest of the network makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.last: Tensor | None = None

    def forward(self, tensor: Tensor) -> Tensor:
        copied = tensor.clone()
        self.last = copied if copied.requires_grad else None
        return copied


def _handed(
    network: nn.Module, modules: Mapping[str, nn.Module], noise: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """A mixture of the scores, and what each layer hands on, where that has a gradient.

    Gradients are to be on.
    """
    # A copy, so that the picture has a node of its own in the graph.
    given = noise.detach().clone().requires_grad_().clone()
    handed = {name: _HandedOn() for name in modules}
    with ExitStack() as opened, running(network):
        for name, module in modules.items():
            base, _, wanted = name.partition(":")
            looking = tapped(module, {wanted: handed[name]}, base) if wanted else None
            opened.enter_context(looking or replace(module, handed[name]))
        scores = as_scores(network(given), len(given), type(network).__name__)
    weights = torch.randn(scores.shape, generator=torch.Generator().manual_seed(0)).to(scores)
    outputs = {n: one.last for n, one in handed.items() if one.last is not None}
    return (scores * weights).sum(), {**outputs, PICTURE: given}


def on_every_way(score: Tensor, nodes: Mapping[str, Any]) -> set[str]:
    """Which nodes of a graph of autograd lie on all ways from the score to the one ``PICTURE``.

    As many ways lead through such a node, those before it times those behind it, as there are.

    >>> x = torch.ones(1, requires_grad=True).clone()
    >>> y = x * 2
    >>> z = y.exp() + y
    >>> fns = {PICTURE: x.grad_fn, "y": y.grad_fn, "exp": z.grad_fn.next_functions[0][0]}
    >>> sorted(on_every_way(z, fns))
    ['', 'y']
    """
    order = _from_the_end(score.grad_fn)
    picture = nodes[PICTURE]
    before, behind = dict.fromkeys(order, 0), dict.fromkeys(order, 0)
    if picture not in before:
        return set()
    before[order[0]], behind[picture] = 1, 1
    for node in order:
        for following in _next(node):
            before[following] += before[node]
    for node in reversed(order):
        if node is not picture:
            behind[node] = sum(behind[following] for following in _next(node))
    total = behind[order[0]]
    return {n for n, node in nodes.items() if before.get(node, 0) * behind.get(node, 0) == total}


def _next(node: Any) -> Sequence[Any]:
    return [following for following, _ in node.next_functions if following is not None]


def _from_the_end(root: Any) -> list[Any]:
    """All nodes, each before those that it leads to."""
    done: dict[Any, None] = {}
    seen, stack = {root}, [(root, iter(_next(root)))]
    while stack:
        node, left = stack[-1]
        following = next((each for each in left if each not in seen), None)
        if following is None:
            done[node] = None
            stack.pop()
        else:
            seen.add(following)
            stack.append((following, iter(_next(following))))
    return list(done)[::-1]
