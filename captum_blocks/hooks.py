"""Looking into a module while it runs, and leaving no trace.

The only place in the package that registers hooks. Everything is a context manager, so hooks are
gone after success, an error and Ctrl-C alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor, nn

from captum_blocks.errors import LayerNotFound, UnusableLayer, did_you_mean

Path = tuple[str, ...]


def find_layer(model: nn.Module, layer: str | nn.Module) -> tuple[str, nn.Module]:
    """The dotted name and the module of a layer given either way.

    The end of a name is enough where only one layer's name ends so: ``"3.conv1"`` for
    ``"layer4.3.conv1"``.

    Raises:
        LayerNotFound: the model has no such submodule, or the ending fits several; the nearest
            names are in the message.

    >>> find_layer(nn.Sequential(nn.ReLU()), "0")
    ('0', ReLU())
    """
    modules = dict(model.named_modules())
    if isinstance(layer, nn.Module):
        for name, module in modules.items():
            if module is layer:
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
    raise LayerNotFound(f"no layer {layer!r} in {model._get_name()}{hint}")


def _some(names: list[str], most: int = 6) -> str:
    """The first names of a list, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def tensors_in(output: Any) -> dict[Path, Tensor]:
    """The tensors in what a module returned, by the way to them.

    Tuples and lists count their elements, mappings and dataclasses name them.

    >>> import torch
    >>> list(tensors_in({"map": torch.ones(1), "pair": (None, torch.ones(2))}))
    [('map',), ('pair', '1')]
    """
    if isinstance(output, Tensor):
        return {(): output}
    found = {}
    for key, part in _parts(output):
        for path, tensor in tensors_in(part).items():
            deeper = (str(key), *path)
            found[deeper] = tensor
    return found


def _parts(output: Any) -> Iterable[tuple[Any, Any]]:
    """The named or numbered elements of a structure; none of anything else."""
    if isinstance(output, Mapping):
        return list(output.items())
    if is_dataclass(output) and not isinstance(output, type):
        return [(field.name, getattr(output, field.name)) for field in fields(output)]
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return list(zip(output._fields, output, strict=True))
    return list(enumerate(output)) if isinstance(output, (tuple, list)) else []


def element(output: Any, name: str | int, owner: str) -> tuple[Path, Tensor]:
    """One tensor of what a module returned, by name or index, dotted where it lies deeper.

    Raises:
        UnusableLayer: there is no such tensor; those there are, with their shapes, are named.

    >>> import torch
    >>> element((torch.ones(2), {"x": torch.ones(3)}), "1.x", "the layer")[1].shape
    torch.Size([3])
    """
    found = tensors_in(output)
    for path, tensor in found.items():
        if path and ".".join(path) == str(name):
            return path, tensor
    raise UnusableLayer(f"{owner} returns no element {str(name)!r}; it returns {described(output)}")


def described(output: Any) -> str:
    """What a module returned, in words: the shapes of its tensors and what they are called.

    >>> import torch
    >>> described({"logits": torch.ones(1, 3)})
    "dict with 'logits' (1, 3)"
    """
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    named = [f"{'.'.join(path)!r} {tuple(t.shape)}" for path, t in tensors_in(output).items()]
    return type(output).__name__ + (f" with {', '.join(named)}" if named else "")


def first_tensor(output: Any, name: str) -> Tensor:
    """The tensor a layer returned, or the first one of a tuple, list, mapping or dataclass.

    Raises:
        UnusableLayer: there is no tensor in the output.
    """
    for tensor in tensors_in(output).values():
        return tensor
    raise UnusableLayer(f"layer {name!r} returns {type(output).__name__}, not a tensor")


def _with_first_tensor(output: Any, tensor: Tensor) -> Any:
    """``output`` with its first tensor exchanged for ``tensor``."""
    return _with(output, next(iter(tensors_in(output))), tensor)


def _with(output: Any, path: Path, tensor: Tensor) -> Any:
    """``output`` with the tensor at a path exchanged; the structure given is left alone."""
    if not path:
        return tensor
    key, part = next((key, part) for key, part in _parts(output) if str(key) == path[0])
    changed = _with(part, path[1:], tensor)
    if isinstance(output, MutableMapping) or is_dataclass(output):
        made = copy(output)
        if isinstance(made, MutableMapping):
            made[key] = changed
        else:
            object.__setattr__(made, key, changed)
        return made
    if isinstance(output, Mapping):
        return type(output)({**output, key: changed})  # type: ignore[call-arg]
    if hasattr(output, "_fields"):
        return output._replace(**{key: changed})
    items = list(output)
    items[key] = changed
    return type(output)(items)


@contextmanager
def tapped(layer: nn.Module, taps: Mapping[str, nn.Module], name: str) -> Iterator[None]:
    """Lead elements of what a layer returns through modules of their own while the context is open.

    Whatever looks at a module, Captum included, can then look at one element of a tuple or dict.

    Args:
        layer: returns several tensors.
        taps: a module that returns its input, by the name of the element.
        name: of the layer, for the message.

    >>> import torch
    >>> lstm, tap = nn.LSTM(2, 3), nn.Identity()
    >>> with tapped(lstm, {"1.0": tap}, "lstm"), capture({"hidden": tap}) as seen:
    ...     _ = lstm(torch.ones(4, 2))
    >>> seen["hidden"].shape
    torch.Size([1, 3])
    """

    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        for wanted, tap in taps.items():
            path, tensor = element(output, wanted, f"layer {name!r}")
            output = _with(output, path, tap(tensor))
        return output

    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def capture(layers: Mapping[str, nn.Module], lenient: bool = False) -> Iterator[dict[str, Tensor]]:
    """Record what each layer returns while the context is open.

    The rest of the network receives a copy, so that an in-place operation behind the layer cannot
    change what was recorded; gradients reach the recorded tensor. A layer that runs several times
    leaves its last output, as in Captum.

    Args:
        layers: the modules to watch, by the name they are recorded under.
        lenient: pass over a layer that returns no tensor, instead of raising; of one that returns
            several, also record the others, as ``"name:element"``.

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
            if lenient:
                others = list(tensors_in(output).items())[1:]
                seen.update({f"{name}:{'.'.join(path)}": other for path, other in others})
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
        try:
            _train(training)
        except KeyboardInterrupt:
            _train(training)  # what was left when Ctrl-C came in here
            raise


def _train(modules: list[nn.Module]) -> None:
    for module in modules:
        module.training = True
