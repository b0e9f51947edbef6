"""What a layer is called: dotted names, and two words that mean no module.

``"output"`` is what the network returns and ``"input"`` are the pixels. A module that happens to
have one of these names is written with a dot before it, ``".output"``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from torch import nn

from captum_blocks.errors import InvalidArgument
from captum_blocks.hooks import find_layer
from captum_blocks.optim.objectives import INPUT, Function, Objective, all_parts
from captum_blocks.wrappers import check_runs_itself

OUTPUT = "output"
MEANINGS = {OUTPUT: "what {} returns", INPUT: "the pixels that {} is given"}


def layer_name(network: nn.Module, layer: str | nn.Module) -> str:
    """What objectives call a layer that is given by name or as a module.

    Args:
        network: that has it.
        layer: a module always means that module, and the network itself what it returns.

    Raises:
        LayerNotFound: the network has no such layer.
        InvalidArgument: a name with two meanings.

    >>> net = nn.ModuleDict({"output": nn.ReLU(), "head": nn.Linear(1, 1)})
    >>> layer_name(net, net.output), layer_name(net, net.head), layer_name(net, net)
    ('.output', 'head', 'output')
    """
    if isinstance(layer, str) and layer in MEANINGS:
        _refuse_if_taken(network, layer)
        if layer == OUTPUT:
            check_runs_itself(network, "")
            return OUTPUT
    name = find_layer(network, layer.removeprefix(".") if isinstance(layer, str) else layer)[0]
    return f".{name}" if name in MEANINGS else name or OUTPUT


def module_called(network: nn.Module, name: str) -> nn.Module:
    """The module of a layer by the name that objectives call it.

    Raises:
        LayerNotFound: the network has no such layer.
    """
    return network if name == OUTPUT else find_layer(network, name.removeprefix("."))[1]


def check_names(network: nn.Module, objectives: Iterable[Objective]) -> None:
    """Refuse objectives whose layer, as it was written, has two meanings in this network.

    Raises:
        InvalidArgument: with how to write what is meant.
    """
    taken = MEANINGS.keys() & dict(network.named_children()).keys()
    for part in (part for one in objectives for part in all_parts(one)) if taken else ():
        layer = getattr(part, "layer", None)
        own = {field.default for field in fields(part) if field.name == "layer"}  # type: ignore[arg-type]
        # What an objective looks at unless told is no name that somebody wrote; and functions of
        # one's own have no other word for the pixels.
        meant = layer in own or (isinstance(part, Function) and layer == INPUT)
        if layer in taken and not meant:
            _refuse_if_taken(network, str(layer))


def _refuse_if_taken(network: nn.Module, name: str) -> None:
    if name not in dict(network.named_children()):
        return
    owner = type(network).__name__
    raise InvalidArgument(
        f"layer {name!r} is both {MEANINGS[name].format(owner)} and a module of it; "
        f"write '.{name}' for the module"
        + (f", or give the {owner} itself as the layer for what it returns" * (name == OUTPUT))
    )
