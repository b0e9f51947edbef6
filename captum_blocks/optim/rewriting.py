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
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized
from torch.utils._pytree import tree_leaves

from captum_blocks.hooks import alone
from captum_blocks.wrappers import stored


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
    with alone(module):  # another thread's hooks are not to come along
        memo = _detached(module)
        with torch.no_grad():  # ScriptModules would leave a graph back to the original's weights
            copied = deepcopy(module, memo)
        _bind_anew(module, memo)
    for parameter in copied.parameters():  # ScriptModules refuse requires_grad_()
        parameter.requires_grad_(False)
    return _evaluated(copied)


def passing_copy(module: nn.Module) -> nn.Module:
    """A copy for one pass without gradients: the weights stay where they are, all else is its own.

    A pass may write to buffers and attributes, and a user's hooks may count it.
    """
    with alone(module):
        weights = [weight for weight in module.parameters() if type(weight) is nn.Parameter]
        shared = {id(weight): nn.Parameter(weight.detach(), False) for weight in weights}
        memo = {**_detached(module), **shared}
        with torch.no_grad():
            copied = deepcopy(module, memo)
        _bind_anew(module, memo)
    return _evaluated(copied)


def _evaluated(module: nn.Module) -> nn.Module:
    for part in module.modules():  # exported programs refuse eval()
        part.training = False
    return module


def _bind_anew(module: nn.Module, memo: dict[int, Any]) -> None:
    """Compiled methods, which are copied with the module that they belong to, get the copy's."""
    for part in module.modules():
        for name, value in vars(part).items():
            method = getattr(value, "_torchdynamo_orig_callable", None)
            owner = memo.get(id(getattr(method, "__self__", None)))
            if isinstance(method, MethodType) and owner is not None and id(part) in memo:
                setattr(memo[id(part)], name, MethodType(method.__func__, owner))


def _detached(module: nn.Module) -> dict[int, Any]:
    """Copies of the tensors that cannot be deep-copied, by the ``id`` of the original."""
    memo: dict[int, Any] = {id(tensor): tensor for tensor in _described(module)}
    for tensor in _held_by(module, set()):
        if not tensor.is_leaf and id(tensor) not in memo:
            memo[id(tensor)] = tensor.detach().clone()
    return memo


def _described(module: nn.Module) -> Iterator[Tensor]:
    """Tensors without numbers by which exported graphs describe their values: no need to copy."""
    for part in module.modules():
        for held in vars(part).values():
            graph = held if isinstance(held, fx.Graph) else getattr(held, "graph", None)
            for node in graph.nodes if isinstance(graph, fx.Graph) else ():
                leaves = tree_leaves(dict(node.meta))
                yield from (leaf for leaf in leaves if isinstance(leaf, Tensor))


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
        and not _is_changed_by_others(conv)
        and not _is_changed_by_others(norm)
        and (type(norm) is nn.BatchNorm2d or _is_followed_by_activation(norm))
    ]


def keep_channels_last(network: nn.Module) -> None:
    """Lay the kernels of convolutions out channels last; weights of other kinds are left alone."""
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 4 and stored(tensor)[0] is tensor:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)


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


def _is_changed_by_others(module: nn.Module) -> bool:
    """Whether weights are made anew from others in each pass, or code of others runs there."""
    return _is_hooked(module) or is_parametrized(module)


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
