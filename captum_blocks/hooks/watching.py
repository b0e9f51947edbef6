"""Looking at layers while a network runs: what they return, how often, or something else.

Every hook is for the passes of the thread that registers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as modules

from captum_blocks._interrupts import uninterrupted
from captum_blocks.errors import UnusableLayer
from captum_blocks.hooks.claims import in_this_thread
from captum_blocks.hooks.structures import (
    element,
    exchanged,
    first_tensor,
    tensors_in,
    with_first_tensor,
)


@uninterrupted
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
            output = exchanged(output, path, tap(tensor))
        return output

    handle = layer.register_forward_hook(in_this_thread(hook))
    try:
        yield
    finally:
        handle.remove()


@uninterrupted
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
            return with_first_tensor(output, seen[name].clone())

        return hook

    with ExitStack() as undo:
        for name, module in layers.items():
            undo.callback(module.register_forward_hook(in_this_thread(record(name))).remove)
        yield seen


@uninterrupted
def noted(layers: Mapping[str, nn.Module], note: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Show what layers return as they return it, and let the network go on with that, uncopied.

    Args:
        layers: the modules to watch, by the name they are shown under.
        note: gets a name and a tensor at every call; of a layer that returns several, every tensor,
            those behind the first as ``"name:element"``. What it keeps of them has to be a copy, as
            an in-place operation behind the layer may write to them. A layer that returns no
            tensor, or quantized numbers, is passed over.

    >>> import torch
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    >>> with noted({"0": net[0]}, lambda name, output: print(name, tuple(output.shape))):
    ...     _ = net(torch.ones(1, 2))
    0 (1, 3)
    """

    def record(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            for number, (path, tensor) in enumerate(tensors_in(output).items()):
                if not number and tensor.is_quantized:
                    return
                note(f"{name}:{'.'.join(path)}" if number else name, tensor)

        return hook

    with ExitStack() as undo:
        for name, module in layers.items():
            undo.callback(module.register_forward_hook(in_this_thread(record(name))).remove)
        yield


@uninterrupted
def returned(
    layers: Iterable[nn.Module], keep: Callable[[Any], Any]
) -> Iterator[list[tuple[nn.Module, Any]]]:
    """What each layer returns while the context is open, whatever that is, call by call.

    Args:
        layers: the modules to watch.
        keep: makes of what was returned what is kept of it: a copy, as an in-place operation behind
            the layer may write to it.

    >>> import torch
    >>> net = nn.Sequential(nn.ReLU(), nn.Softmax(-1))
    >>> with returned(net, torch.clone) as seen:
    ...     _ = net(torch.zeros(1, 2))
    >>> seen
    [(ReLU(), tensor([[0., 0.]])), (Softmax(dim=-1), tensor([[0.5000, 0.5000]]))]
    """
    seen: list[tuple[nn.Module, Any]] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        seen.append((module, keep(output)))

    with ExitStack() as undo:
        for module in layers:
            undo.callback(module.register_forward_hook(in_this_thread(note)).remove)
        yield seen


@uninterrupted
def replace(layer: nn.Module, function: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Exchange what a layer returns for ``function(what it returned)`` while the context is open.

    >>> import torch
    >>> relu = nn.ReLU()
    >>> with replace(relu, lambda a: a + 1):
    ...     relu(torch.zeros(1))
    tensor([1.])
    """

    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        return with_first_tensor(output, function(first_tensor(output, type(module).__name__)))

    handle = layer.register_forward_hook(in_this_thread(hook))
    try:
        yield
    finally:
        handle.remove()


@uninterrupted
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
            undo.callback(module.register_forward_hook(in_this_thread(add(name))).remove)
        yield counts


@uninterrupted
def called() -> Iterator[list[nn.Module]]:
    """The modules that are called in this thread while the context is open, whoever calls them.

    >>> import torch
    >>> net = nn.Sequential(nn.ReLU(), nn.ReLU())
    >>> with called() as met:
    ...     _ = net(torch.ones(1))
    >>> met == [net, *net]
    True
    """
    met: dict[nn.Module, None] = {}

    def note(module: nn.Module, _: Any) -> None:
        met[module] = None

    handle = modules.register_module_forward_pre_hook(in_this_thread(note))
    found: list[nn.Module] = []
    try:
        yield found
    finally:
        handle.remove()
        found.extend(met)


class _Stop(BaseException):
    """Leaves a forward pass early; a BaseException so that no ``except Exception`` swallows it."""


def run_until(
    model: Callable[..., Any],
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
            return with_first_tensor(output, seen[name].clone())

        return hook

    with ExitStack() as undo:
        for name, module in layers.items():
            undo.callback(module.register_forward_hook(in_this_thread(record(name))).remove)
        try:
            model(*inputs)
        except _Stop:
            return seen
    never = [name for name in layers if counts[name] < wanted[name]]
    raise UnusableLayer(f"the network ran to its end without calling layer {never[0]!r}")
