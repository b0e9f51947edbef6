"""Making a private network faster without changing what it computes.

Every rewrite is an ``Edit`` that can be taken back; ``keep_equivalent`` keeps those that leave the
outputs alone, which is checked by running the network, not by trusting its structure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


@dataclass(frozen=True, eq=False)
class Edit:
    """Children of one module and what to put in their place."""

    parent: nn.Module
    replacements: dict[str, nn.Module]

    def apply(self) -> Edit:
        """Make the exchange; returns the edit that takes it back."""
        before = {name: getattr(self.parent, name) for name in self.replacements}
        for name, module in self.replacements.items():
            setattr(self.parent, name, module)
        return Edit(self.parent, before)


def keep_equivalent(edits: Sequence[Edit], equivalent: Callable[[], bool]) -> None:
    """Apply all edits; where that changes the network, only those that each do not.

    Args:
        edits: what to try.
        equivalent: whether the network still computes what it should.
    """
    undo = [edit.apply() for edit in edits]
    if equivalent():
        return
    for edit in reversed(undo):
        edit.apply()
    for edit in edits:
        back = edit.apply()
        if not equivalent():
            back.apply()


def private_copy(module: nn.Module) -> nn.Module:
    """A frozen copy in evaluation mode that shares no tensor with the original.

    Hooks are copied too: whether one changes what the network computes, as weight and spectral
    norms and users' own do, cannot be told from one run.

    Tensors that a module holds inside a graph (old weight_norm, a state, an activation that a
    forward pass left there) cannot be deep-copied; they are detached.
    """
    return deepcopy(module, _detached(module)).eval().requires_grad_(False)


def passing_copy(module: nn.Module) -> nn.Module:
    """A copy for one pass without gradients: the weights stay where they are, all else is its own.

    A pass may write to buffers and attributes, and a user's hooks may count it.
    """
    weights = [weight for weight in module.parameters() if type(weight) is nn.Parameter]
    shared = {id(weight): nn.Parameter(weight.detach(), False) for weight in weights}
    return deepcopy(module, {**_detached(module), **shared}).eval()


def _detached(module: nn.Module) -> dict[int, Any]:
    """Copies of the tensors that cannot be deep-copied, by the ``id`` of the original."""
    memo: dict[int, Any] = {}
    for tensor in _held_by(module, set()):
        if not tensor.is_leaf:
            memo[id(tensor)] = tensor.detach().clone()
    return memo


def _held_by(holder: Any, seen: set[int]) -> Iterator[Tensor]:
    """Every tensor that a deep copy of something would come across."""
    if isinstance(holder, Tensor):
        yield holder
    if id(holder) in seen or isinstance(holder, (Tensor, type, FunctionType, ModuleType)):
        return
    seen.add(id(holder))
    if isinstance(holder, Mapping):
        inside = [*holder.keys(), *holder.values()]
    elif isinstance(holder, (list, tuple, set, frozenset, deque)):
        inside = list(holder)
    else:
        inside = [getattr(holder, "__self__", None)] if isinstance(holder, MethodType) else []
    for part in (*inside, *getattr(holder, "__dict__", {}).values()):
        yield from _held_by(part, seen)


def foldings(network: nn.Module, kept: Iterable[nn.Module]) -> list[Edit]:
    """Edits that fold each batch-norm into the convolution registered just before it.

    Args:
        network: in evaluation mode.
        kept: modules whose output is looked at and must stay what it is.
    """
    untouchable = set(kept)
    return [
        Edit(parent, {conv_name: _fused(conv, norm), norm_name: _without_normalisation(norm)})
        for parent in network.modules()
        for (conv_name, conv), (norm_name, norm) in pairwise(parent.named_children())
        if isinstance(conv, nn.Conv2d)
        and isinstance(norm, nn.BatchNorm2d)
        and norm.num_features == conv.out_channels
        and norm.track_running_stats
        and conv not in untouchable
        and not _is_hooked(conv)
        and not _is_hooked(norm)
        and (type(norm) is nn.BatchNorm2d or _is_followed_by_activation(norm))
    ]


def keep_inputs(network: nn.Module) -> None:
    """Stop ReLU6 and its like from working in place.

    Autograd clones the input of an in-place hardtanh; a plain one writes each value once.
    """
    for module in network.modules():
        if isinstance(module, nn.Hardtanh):
            module.inplace = False


def final_ceiling(network: nn.Module, layer: nn.Module) -> tuple[list[Edit], float] | None:
    """Edits that lift the ceiling of the ReLU6 a layer may end with, and how high it was.

    A unit at its ceiling gives no gradient, so a picture stops improving as soon as it is weakly
    recognised everywhere. Whether the rectifier really comes last is for the caller to check.
    """
    last = list(layer.modules())[-1]
    if not isinstance(last, nn.Hardtanh) or last.min_val != 0 or _is_hooked(last):
        return None
    holders = [
        Edit(parent, {name: nn.ReLU()})
        for parent in network.modules()
        for name, child in parent.named_children()
        if child is last
    ]
    return holders, float(last.max_val)


def around(network: nn.Module, layers: Iterable[nn.Module]) -> list[nn.Module]:
    """The largest parts of a network that neither are nor contain one of the layers.

    >>> net = nn.Sequential(nn.Sequential(nn.Linear(1, 1), nn.ReLU()), nn.Tanh())
    >>> around(net, [net[0][0]])
    [ReLU(), Tanh()]
    """
    watched = set(layers)
    parts: list[nn.Module] = []
    for child in network.children():
        if child in watched:
            continue
        inside = not watched.isdisjoint(child.modules())
        parts += around(child, watched) if inside else [child]
    return parts


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-3) -> bool:
    """Whether two outputs are the same up to rounding, relative to the largest value."""
    if found.shape != expected.shape:
        return False
    scale = expected.abs().max().clamp_min(1e-6)
    return bool((found - expected).abs().max() <= tolerance * scale)


def _is_hooked(module: nn.Module) -> bool:
    """Whether code of others runs at a module, which may do something on another picture only."""
    forward = (module._forward_pre_hooks, module._forward_hooks)
    return any((*forward, module._backward_pre_hooks, module._backward_hooks))


def _fused(conv: nn.Module, norm: nn.Module) -> nn.Module:
    fused: nn.Module = fuse_conv_bn_eval(conv, norm)  # type: ignore[type-var, arg-type]
    return fused.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def _is_followed_by_activation(norm: nn.Module) -> bool:
    """Whether a batch-norm is timm's, which drops and activates what it has normalised."""
    return isinstance(getattr(norm, "act", None), nn.Module) and hasattr(norm, "drop")


def _without_normalisation(norm: nn.Module) -> nn.Module:
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    return nn.Sequential(norm.drop, norm.act)  # type: ignore[arg-type]
