"""The user's module comes back as it was, whatever Captum did to it or stopped in the middle of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_always_called",
)
# What Captum sets on modules or deletes from them: LRP the first three ("activation" it deletes
# from whoever has one), DeepLift the others. Nothing else is undone: what a network builds on its
# first run is its own.
_ATTRIBUTES = ("rule", "activations", "activation", "input", "output", "input_ref")
_ABSENT = object()


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Hooks and flags of every submodule are as before when the context closes."""
    before = [(m, m.training, _hooks_of(m)) for m in model.modules()]
    trainable = [(p, p.requires_grad) for p in model.parameters()]
    try:
        yield
    finally:
        for module, training, hooks in before:
            module.training = training
            for name, kept in hooks.items():
                _put_back(getattr(module, name), kept)
        for parameter, wanted in trainable:
            if parameter.requires_grad != wanted:
                parameter.requires_grad_(wanted)


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """What one call of Captum writes on modules is undone: LRP deletes the caller's rules.

    To be opened for each call, so that the second one finds what the first one found.
    """
    attributes = [(vars(module), _attributes_of(module)) for module in model.modules()]
    rules = [held["rule"] for _, held in attributes if hasattr(held["rule"], "__dict__")]
    states = [(vars(rule), dict(vars(rule))) for rule in rules]
    # LRP exchanges the storage of weights and copies their values into the new one.
    storage = [(parameter, parameter.data) for parameter in model.parameters()]
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


def _hooks_of(module: nn.Module) -> dict[str, dict[Any, Any]]:
    return {name: dict(getattr(module, name)) for name in _HOOKS if hasattr(module, name)}


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
