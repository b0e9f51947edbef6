"""Making a private network faster without changing what it computes.

Every rewrite is an ``Edit`` that can be taken back; ``keep_equivalent`` keeps those that leave the
outputs alone, which is checked by running the network, not by trusting its structure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from traceback import walk_tb
from types import CellType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from captum_blocks._gradients import without_gradients
from captum_blocks.errors import UnusableLayer
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
    forward pass left there) cannot be deep-copied; they are detached. What cannot be copied at all
    (a lock, a generator, an open file) is shared.

    Raises:
        UnusableLayer: a part of the network refuses to be copied.
    """
    with alone(module):  # another thread's hooks are not to come along
        copied = _copied(module, {})
    for parameter in copied.parameters():  # ScriptModules refuse requires_grad_()
        parameter.requires_grad_(False)
    return copied


def passing_copy(module: nn.Module) -> nn.Module:
    """A copy for one pass without gradients: the weights stay where they are, all else is its own.

    A pass may write to buffers and attributes, and a user's hooks may count it.

    Raises:
        UnusableLayer: a part of the network refuses to be copied.
    """
    weights = [weight for weight in module.parameters() if type(weight) is nn.Parameter]
    shared = {id(weight): nn.Parameter(weight.detach(), False) for weight in weights}
    with alone(module):
        return _copied(module, shared)


def _copied(module: nn.Module, known: Mapping[int, Any]) -> nn.Module:
    """A deep copy in evaluation mode, of all but what is known."""
    described = {id(tensor): tensor for tensor in _described(module)}
    try:
        memo = {**known, **described}
        copied = _deep(module, memo)
    except torch.OutOfMemoryError:
        raise
    except Exception:
        memo = {**known, **described, **_uncopyable(module)}
        copied = _deep(module, memo)
    _bind_anew(module, memo)
    for part in copied.modules():  # exported programs refuse eval()
        if getattr(part, "training", False):
            part.training = False
    return copied


def _deep(module: nn.Module, memo: dict[int, Any], numbers: bool = True) -> nn.Module:
    with (
        without_gradients(),
        _Detaching(numbers),
    ):  # ScriptModules would leave a graph to the original
        return deepcopy(module, memo)


class _Detaching(TorchFunctionMode):
    """Copies tensors, wherever they are held, as numbers of their own that belong to no graph.

    Args:
        numbers: whether to copy any; else every tensor stands for itself.
    """

    def __init__(self, numbers: bool) -> None:
        super().__init__()
        self._numbers = numbers

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not Tensor.__deepcopy__ or (self._numbers and args[0].is_leaf):
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        if id(tensor) not in memo:
            memo[id(tensor)] = tensor.detach().clone() if self._numbers else tensor
        return memo[id(tensor)]


# What is made anew for every copy is never the same thing twice.
_MOST = 1000


def _uncopyable(module: nn.Module) -> dict[int, Any]:
    """What deep copies stop at, by its ``id``: locks, generators, open files."""
    shared: dict[int, Any] = {}
    # Parameters have a way of their own to be copied.
    weights = {id(weight): weight for weight in module.parameters()}
    while True:
        try:
            _deep(module, {**weights, **shared}, numbers=False)
            return shared
        except Exception as error:
            stop = _stopped_at(error)
            if isinstance(stop, (nn.Module, Tensor)) or len(shared) == _MOST:
                raise UnusableLayer(
                    f"{module._get_name()} cannot be copied, which pictures need to leave it as it "
                    f"is: copy.deepcopy stops at its {type(stop).__name__}: {error}"
                ) from error
            shared[id(stop)] = stop


def _stopped_at(error: BaseException) -> Any:
    """What ``deepcopy`` was copying when it failed: the innermost object."""
    calls = [
        frame for frame, _ in walk_tb(error.__traceback__) if frame.f_code is deepcopy.__code__
    ]
    return calls[-1].f_locals["x"]


def _bind_anew(module: nn.Module, memo: dict[int, Any]) -> None:
    """Functions kept as attributes that run parts of the original get those of the copy."""
    for part in module.modules():
        mine = vars(memo[id(part)]) if id(part) in memo else {}
        for name, value in vars(part).items():
            if isinstance(value, FunctionType) and mine.get(name) is value:
                mine[name] = _bound(value, memo, set())


def _bound(value: Any, memo: dict[int, Any], seen: set[int]) -> Any:
    """What stands for a value in the copy: functions see parts of the copy, and are not compiled.

    Code that was compiled keeps the original.
    """
    if not isinstance(value, FunctionType):
        if isinstance(value, MethodType) and id(value.__self__) in memo:
            return MethodType(value.__func__, memo[id(value.__self__)])
        return memo.get(id(value), value) if isinstance(value, nn.Module) else value
    inside = getattr(value, "_torchdynamo_orig_callable", value)
    if inside is not value:
        return _bound(inside, memo, seen)
    if id(value) in seen:
        return value
    seen.add(id(value))
    cells = tuple(_cell(cell, memo, seen) for cell in value.__closure__ or ())
    if cells == (value.__closure__ or ()):
        return value
    made = FunctionType(
        value.__code__, value.__globals__, value.__name__, value.__defaults__, cells
    )
    made.__kwdefaults__ = value.__kwdefaults__
    made.__dict__.update(value.__dict__)
    return made


def _cell(cell: CellType, memo: dict[int, Any], seen: set[int]) -> CellType:
    try:
        held = cell.cell_contents
    except ValueError:  # nothing yet
        return cell
    bound = _bound(held, memo, seen)
    return cell if bound is held else CellType(bound)


def _described(module: nn.Module) -> Iterator[Tensor]:
    """Tensors without numbers by which exported graphs describe their values: no need to copy."""
    for part in module.modules():
        for held in vars(part).values():
            graph = held if isinstance(held, fx.Graph) else getattr(held, "graph", None)
            for node in graph.nodes if isinstance(graph, fx.Graph) else ():
                leaves = tree_leaves(dict(node.meta))
                yield from (leaf for leaf in leaves if isinstance(leaf, Tensor))


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
        and not is_changed_by_others(conv)
        and not is_changed_by_others(norm)
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
    if not isinstance(last, nn.Hardtanh) or last.min_val != 0 or is_hooked(last):
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


def is_hooked(module: nn.Module) -> bool:
    """Whether code of others runs at a module, which may do something on another picture only."""
    forward = (module._forward_pre_hooks, module._forward_hooks)
    return any((*forward, module._backward_pre_hooks, module._backward_hooks))


def is_changed_by_others(module: nn.Module) -> bool:
    """Whether weights are made anew from others in each pass, or code of others runs there."""
    return is_hooked(module) or is_parametrized(module)


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
