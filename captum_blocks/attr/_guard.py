"""The user's module comes back as it was, whatever Captum did to it or stopped in the middle of."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from captum.attr import Attribution
from torch import nn

from captum_blocks import hooks
from captum_blocks._interrupts import uninterrupted

_FUNCTIONS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_HOOKS = (
    *_FUNCTIONS,
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_always_called",
)
# What Captum sets on modules or deletes from them: LRP the first three ("activation" it deletes
# from whoever has one), DeepLift the others. Nothing else is undone: what a network builds on its
# first run is its own.
_ATTRIBUTES = ("rule", "activations", "activation", "input", "output", "input_ref")
_ABSENT = object()


@uninterrupted
def unchanged(model: nn.Module) -> Iterator[None]:
    """The hooks that attributions add to submodules are gone when the context closes.

    No other hook is: another thread may register and remove its own meanwhile.
    """
    before = [(module, frozenset(_hooks_of(module))) for module in model.modules()]
    try:
        yield
    finally:
        for module, kept in before:
            for number, hook in _hooks_of(module).items():
                if number not in kept and _is_of_an_attribution(hook):
                    for name in _HOOKS:
                        getattr(module, name, {}).pop(number, None)


@uninterrupted
def untouched(model: nn.Module) -> Iterator[None]:
    """What one call of Captum writes on modules is undone: LRP deletes the caller's rules.

    To be opened for each call, so that the second one finds what the first one found.
    """
    attributes = [(vars(module), _attributes_of(module)) for module in model.modules()]
    rules = [held["rule"] for _, held in attributes if hasattr(held["rule"], "__dict__")]
    states = [(vars(rule), dict(vars(rule))) for rule in rules]
    # LRP exchanges the storage of weights and copies their values into the new one.
    storage = [(parameter, parameter.data) for parameter in model.parameters()]
    with hooks.own_weights_change():
        try:
            yield
        finally:
            for current, kept in attributes:
                for name, value in kept.items():
                    _set_back(current, name, value)
            for current, kept in states:
                _put_back(current, kept)
            for parameter, data in storage:
                if parameter.data_ptr() != data.data_ptr():
                    parameter.data = data


def _hooks_of(module: nn.Module) -> dict[int, Any]:
    """By their numbers, which no two hooks of a process share."""
    found: dict[int, Any] = {}
    for name in _FUNCTIONS:
        if held := getattr(module, name, None):  # mostly there are none
            found.update(held)
    return found


def _is_of_an_attribution(hook: Any) -> bool:
    while isinstance(hook, partial):
        hook = hook.func
    owner = getattr(hook, "__self__", None)
    made_in = getattr(hook, "__module__", None) or ""
    return isinstance(owner, Attribution) or made_in.startswith("captum.")


def _attributes_of(module: nn.Module) -> dict[str, Any]:
    return {name: vars(module).get(name, _ABSENT) for name in _ATTRIBUTES}


def _set_back(current: dict[str, Any], name: str, kept: Any) -> None:
    """Past ``nn.Module``'s own setter: these are no parameters, buffers or submodules."""
    if kept is _ABSENT:
        current.pop(name, None)
    else:
        current[name] = kept


def _put_back(current: dict[Any, Any], kept: dict[Any, Any]) -> None:
    if current.keys() != kept.keys() or any(current[name] is not kept[name] for name in kept):
        current.clear()
        current.update(kept)
