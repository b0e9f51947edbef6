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


def _hooks_of(module: nn.Module) -> dict[str, dict[Any, Any]]:
    return {name: dict(getattr(module, name)) for name in _HOOKS if hasattr(module, name)}


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Hooks, flags and attributes of every submodule are as before when the context closes.

    Captum's LRP leaves its rules on the modules when it refuses one, DeepLift leaves its hooks.
    """
    before = [(m, m.training, set(vars(m)), _hooks_of(m)) for m in model.modules()]
    trainable = [(p, p.requires_grad) for p in model.parameters()]
    try:
        yield
    finally:
        for module, training, names, hooks in before:
            module.training = training
            for name in set(vars(module)) - names:
                delattr(module, name)
            for name, kept in hooks.items():
                _put_back(getattr(module, name), kept)
        for parameter, wanted in trainable:
            if parameter.requires_grad != wanted:
                parameter.requires_grad_(wanted)


def _put_back(current: dict[Any, Any], kept: dict[Any, Any]) -> None:
    if dict(current) != kept:
        current.clear()
        current.update(kept)
