"""Layers by name or as modules."""

from __future__ import annotations

from torch import nn

from captum_blocks.errors import LayerNotFound, did_you_mean
from captum_blocks.wrappers import check_runs_itself, uncompiled, why_nothing


def find_layer(model: nn.Module, layer: str | nn.Module) -> tuple[str, nn.Module]:
    """The dotted name and the module of a layer given either way.

    The end of a name is enough where only one layer's name ends so: ``"3.conv1"`` for
    ``"layer4.3.conv1"``. A module with two names has the first of them, whichever is given.

    Raises:
        LayerNotFound: the model has no such submodule, or the ending fits several; the nearest
            names are in the message.
        UnusableLayer: it lies inside a scripted or exported module, where it never runs itself.

    >>> find_layer(nn.Sequential(nn.ReLU()), "0")
    ('0', ReLU())
    """
    name, module = _found(model, layer)
    check_runs_itself(model, name)
    return name, module


def _found(model: nn.Module, layer: str | nn.Module) -> tuple[str, nn.Module]:
    modules = dict(model.named_modules())
    if isinstance(layer, str) and layer and layer not in modules:
        layer = _by_another_name(model, layer)
    if isinstance(layer, nn.Module):
        for name, module in modules.items():
            if module is layer or module is uncompiled(layer):
                return name, module
        raise LayerNotFound(
            f"the {type(layer).__name__} given is not a submodule of this {model._get_name()}"
        )
    if layer in modules and layer:
        return layer, modules[layer]
    ending = [name for name in modules if layer and name.endswith(f".{layer}")]
    if len(ending) == 1:
        return ending[0], modules[ending[0]]
    if ending:
        raise LayerNotFound(
            f"layer {layer!r} is ambiguous in {model._get_name()}: {_some(ending)} end so"
        )
    hint = did_you_mean(str(layer), modules)
    reason = f"; {why}" if (why := why_nothing(model)) is not None else ""
    raise LayerNotFound(f"no layer {layer!r} in {model._get_name()}{hint}{reason}")


def _by_another_name(model: nn.Module, layer: str) -> str | nn.Module:
    """The module of a name that is not its first one, or that leaves out that it is compiled."""
    try:
        return model.get_submodule(layer.removeprefix("_orig_mod."))
    except (AttributeError, RuntimeError):  # ScriptModules do not answer
        return layer


def _some(names: list[str], most: int = 6) -> str:
    """The first names of a list, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
