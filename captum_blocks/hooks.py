"""Looking into a module while it runs, and leaving no trace.

The only place in the package that registers hooks. Everything is a context manager, so hooks are
gone after success, an error and Ctrl-C alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from captum_blocks.errors import LayerNotFound, UnusableLayer, did_you_mean


def find_layer(model: nn.Module, layer: str | nn.Module) -> tuple[str, nn.Module]:
    """The dotted name and the module of a layer given either way.

    Raises:
        LayerNotFound: the model has no such submodule; the nearest names are in the message.

    >>> find_layer(nn.Sequential(nn.ReLU()), "0")
    ('0', ReLU())
    """
    modules = dict(model.named_modules())
    if isinstance(layer, nn.Module):
        for name, module in modules.items():
            if module is layer:
                return name, module
        raise LayerNotFound(
            f"the {type(layer).__name__} given is not a submodule of this {type(model).__name__}"
        )
    if layer in modules and layer:
        return layer, modules[layer]
    hint = did_you_mean(str(layer), modules)
    raise LayerNotFound(f"no layer {layer!r} in {type(model).__name__}{hint}")


def first_tensor(output: Any, name: str) -> Tensor:
    """The tensor a layer returned, or the first one of a tuple, list or dict.

    Raises:
        UnusableLayer: there is no tensor in the output.
    """
    if isinstance(output, Tensor):
        return output
    values = output.values() if isinstance(output, Mapping) else output
    if isinstance(output, (tuple, list, Mapping)):
        for value in values:
            if isinstance(value, Tensor):
                return value
    raise UnusableLayer(f"layer {name!r} returns {type(output).__name__}, not a tensor")


def _with_first_tensor(output: Any, tensor: Tensor) -> Any:
    """``output`` with its first tensor exchanged for ``tensor``."""
    if isinstance(output, Tensor):
        return tensor
    if isinstance(output, Mapping):
        first = next(key for key, value in output.items() if isinstance(value, Tensor))
        return type(output)({**output, first: tensor})  # type: ignore[call-arg]
    items = list(output)
    first_index = next(i for i, value in enumerate(items) if isinstance(value, Tensor))
    items[first_index] = tensor
    return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)


@contextmanager
def capture(layers: Mapping[str, nn.Module], lenient: bool = False) -> Iterator[dict[str, Tensor]]:
    """Record what each layer returns while the context is open.

    The rest of the network receives a copy, so that an in-place operation behind the layer cannot
    change what was recorded; gradients reach the recorded tensor. A layer that runs several times
    leaves its last output, as in Captum.

    Args:
        layers: the modules to watch, by the name they are recorded under.
        lenient: pass over a layer that returns no tensor, instead of raising.

    Yields:
        A dict that fills with ``name -> output`` as the network runs.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    >>> import torch
    >>> with capture({"0": net[0]}) as seen:
    ...     _ = net(torch.ones(1, 2))
    >>> seen["0"].shape
    torch.Size([1, 3])
    """
    seen: dict[str, Tensor] = {}

    def record(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
            try:
                seen[name] = first_tensor(output, name)
            except UnusableLayer:
                if lenient:
                    return None
                raise
            return _with_first_tensor(output, seen[name].clone())

        return hook

    with ExitStack() as undo:
        for name, module in layers.items():
            undo.callback(module.register_forward_hook(record(name)).remove)
        yield seen


@contextmanager
def replace(layer: nn.Module, function: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Exchange what a layer returns for ``function(what it returned)`` while the context is open.

    >>> import torch
    >>> relu = nn.ReLU()
    >>> with replace(relu, lambda a: a + 1):
    ...     relu(torch.zeros(1))
    tensor([1.])
    """

    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        return _with_first_tensor(output, function(first_tensor(output, type(module).__name__)))

    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def count_calls(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, int]]:
    """Count how often each layer returns while the context is open.

    >>> import torch
    >>> relu = nn.ReLU()
    >>> with count_calls({"relu": relu}) as counts:
    ...     _ = relu(relu(torch.ones(1)))
    >>> counts
    {'relu': 2}
    """
    counts = dict.fromkeys(layers, 0)

    def add(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            counts[name] += 1

        return hook

    with ExitStack() as undo:
        for name, module in layers.items():
            undo.callback(module.register_forward_hook(add(name)).remove)
        yield counts


class _Stop(BaseException):
    """Leaves a forward pass early; a BaseException so that no ``except Exception`` swallows it."""


def run_until(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    *inputs: Any,
    calls: Mapping[str, int] | None = None,
) -> dict[str, Tensor]:
    """Run the model only as far as its deepest wanted layer.

    Args:
        model: the network; called as ``model(*inputs)``.
        layers: the wanted layers by name.
        inputs: the positional arguments of the forward pass.
        calls: how often each layer is to run before its output counts (1 unless told): a module
            that a network uses twice is looked at on its last call.

    Returns:
        ``name -> output``; nothing behind the last of them has run.

    Raises:
        UnusableLayer: the network ended without calling one of the layers that often.

    >>> import torch
    >>> net = nn.Sequential(nn.ReLU(), nn.Linear(9, 1))  # the Linear would fail on this input
    >>> run_until(net, {"0": net[0]}, torch.ones(1, 2))["0"]
    tensor([[1., 1.]])
    """
    wanted = {name: (calls or {}).get(name, 1) for name in layers}
    seen: dict[str, Tensor] = {}
    counts = dict.fromkeys(layers, 0)

    def record(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            counts[name] += 1
            seen[name] = first_tensor(output, name)
            if all(counts[other] >= wanted[other] for other in wanted):
                raise _Stop
            return _with_first_tensor(output, seen[name].clone())

        return hook

    with ExitStack() as undo:
        for name, module in layers.items():
            undo.callback(module.register_forward_hook(record(name)).remove)
        try:
            model(*inputs)
        except _Stop:
            return seen
    never = [name for name in layers if counts[name] < wanted[name]]
    raise UnusableLayer(f"the network ran to its end without calling layer {never[0]!r}")


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[nn.Module]:
    """Every submodule in ``eval()`` while the context is open, each as it was afterwards.

    >>> net = nn.Dropout()
    >>> with evaluation_mode(net):
    ...     net.training
    False
    >>> net.training
    True
    """
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield model
    finally:
        for module in training:
            module.training = True
