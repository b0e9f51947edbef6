"""Modules that stand for a network: compiled, scripted, exported, quantized, not filled yet.

The one entrance for what a user hands over as a network. What can be looked into comes out as the
module that it is; what cannot is answered in words that say what to give instead.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from threading import Lock
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.jit import ScriptModule
from torch.jit._trace import TopLevelTracedModule
from torch.nn.parameter import is_lazy

from captum_blocks._interrupts import uninterrupted
from captum_blocks.errors import BlocksError, InvalidArgument, UnusableLayer, WrongType

INSIDE_COMPILED = "_orig_mod"
SCRIPTED = (
    "{} is a ScriptModule (torch.jit.script or trace): what runs inside it cannot be looked at; "
    "give the module that it was made from"
)
EXPORTED = (
    "{} is an exported program, in which layers are places for weights that never run themselves; "
    "give the module that it was exported from, or torch.export.unflatten(exported_program)"
)
QUANTIZED = (
    "{} is quantized (torch.ao): it computes with whole numbers, through which no gradient goes; "
    "give the float network that it was converted from"
)
_QUANTIZED_ROOMS = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized")


def plain(module: nn.Module) -> nn.Module:
    """The module that a user means: of a compiled one the module inside; others are themselves.

    Raises:
        WrongType: it is no module: a function, an exported program.
        InvalidArgument: it has no numbers yet: lazy layers that never ran, the meta device; or a
            part of it is compiled and this version of PyTorch cannot run it as it was before.

    >>> plain(nn.ReLU())
    ReLU()
    """
    if not isinstance(module, nn.Module):
        raise WrongType(f"a network is an nn.Module, not {type(module).__name__}{_instead(module)}")
    module = uncompiled(module)
    parts = dict(module.named_modules())
    _check_filled(module, parts)
    compiled = [name for name, part in parts.items() if is_compiled(part)]
    if compiled and not hasattr(torch.compiler, "set_stance"):
        raise InvalidArgument(
            f"{_named(module)}: {compiled[0]!r} was made by torch.compile, and PyTorch "
            f"{torch.__version__} cannot look inside it; give the network as it was before, or "
            "use PyTorch 2.6"
        )
    return module


def _instead(given: Any) -> str:
    """What to give instead of what is no module, where that is known."""
    if type(given).__name__ == "ExportedProgram":
        return (
            "; give the module that it was exported from, or "
            "torch.export.unflatten(exported_program)"
        )
    if hasattr(given, "_torchdynamo_orig_callable"):
        return (
            ": torch.compile makes one of a function, and of a module that is compiled already; "
            "give the module as it was before"
        )
    if isinstance(given, type) and issubclass(given, nn.Module):
        return f": this is the class; give a module made of it, {given.__name__}(...)"
    return ""


def uncompiled(module: nn.Module) -> nn.Module:
    """The module inside ``torch.compile(module)``; any other module itself."""
    while is_compiled(module):
        module = module._modules[INSIDE_COMPILED]  # type: ignore[assignment]
    return module


def is_compiled(module: nn.Module) -> bool:
    """Whether a module is what ``torch.compile`` returned."""
    return type(module).__name__ == "OptimizedModule" and INSIDE_COMPILED in module._modules


class Shared:
    """A state of the whole process: opened by the first thread in it, closed by the last to leave.

    One by one, each would put back what it found, which may be another's.

    Args:
        make: a context manager that opens and closes it.

    >>> from contextlib import redirect_stdout
    >>> shared, out = Shared(lambda: redirect_stdout(None)), sys.stdout
    >>> with shared, shared:
    ...     pass
    >>> sys.stdout is out
    True
    """

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self._make, self._inside = make, 0
        self._lock, self._open = Lock(), ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._open.enter_context(self._make())
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._open.close()


_EAGER = Shared(lambda: torch.compiler.set_stance("force_eager"))


@uninterrupted
def eagerly() -> Iterator[None]:
    """Whatever is compiled runs as it was written while the context is open, so that hooks fire.

    Code that was compiled and run before knows nothing of hooks that came later.
    """
    # Nothing can be compiled before this is imported, which takes a second.
    needed = hasattr(torch.compiler, "set_stance") and "torch._dynamo" in sys.modules
    with _EAGER if needed else nullcontext():
        yield


def _check_filled(module: nn.Module, parts: dict[str, nn.Module]) -> None:
    lazy, empty, offloaded = [], [], False
    for name, part in parts.items():
        own = [*part._parameters.values(), *part._buffers.values()]
        held = [tensor for tensor in own if tensor is not None]
        lazy += [name] * any(is_lazy(tensor) for tensor in held)
        empty += [name] * any(tensor.is_meta for tensor in held)
        offloaded = offloaded or hasattr(part, "_hf_hook")  # brings its weights when it runs
    if lazy:
        raise InvalidArgument(
            f"{_named(module)}: layer {lazy[0]!r} is lazy and has never run, so it has no weights "
            "yet; run the network once on a picture, network(x), and give it then"
        )
    if empty and not offloaded:
        raise InvalidArgument(
            f"{_named(module)}: layer {empty[0]!r} is on the meta device, which knows shapes and "
            "no numbers; fill it first, with network.to_empty(device='cpu') and "
            "network.load_state_dict(...)"
        )


def check_takes_a_picture(network: Any, given: int = 1) -> None:
    """Whether what a network is given, as a rule a picture alone, is all that it needs.

    Args:
        network: the network; of a function nothing is known.
        given: how many inputs it is given, by their places.

    Raises:
        InvalidArgument: it needs other inputs too, or takes its picture by name; the message holds
            the wrapper to write.

    >>> check_takes_a_picture(nn.ReLU())
    """
    taken = _taken(network)
    if not taken:  # it cannot be told
        return
    needed = [one for one in taken if one.default is one.empty and one.kind not in _ANY]
    by_place = [one.name for one in needed if one.kind is not one.KEYWORD_ONLY]
    by_name = [one.name for one in needed if one.kind is one.KEYWORD_ONLY]
    takes_one = any(one.kind not in (one.KEYWORD_ONLY, one.VAR_KEYWORD) for one in taken)
    if takes_one and len(by_place) <= given and not by_name:
        return
    owner, names = _named(network), ", ".join(one.name for one in needed) or "no picture"
    held = "a picture alone, in the first place" if given == 1 else f"{given} inputs by their place"
    raise InvalidArgument(
        f"{owner}.forward needs {names}, and is given {held}; wrap it:\n\n"
        f"{_wrapper(by_place, by_name)}"
    )


@contextmanager
def taking_a_picture(network: Any) -> Iterator[None]:
    """What a network raises that takes no plain tensor in its first place, in words.

    A signature does not tell that the first of several inputs is text, that a picture is wanted in
    a dict or a list, or which of ``*inputs`` are used: the first run does.

    Raises:
        InvalidArgument: it cannot run on a tensor in its first place; the message holds the wrapper
            to write.
    """
    try:
        yield
    except (BlocksError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        place = _place_of_pictures(network)
        # Other errors say as often that the tensor has another size than the network takes.
        of_another_kind = isinstance(error, (TypeError, AttributeError, LookupError))
        if not isinstance(network, nn.Module) or not (place or of_another_kind):
            raise
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        wanted = f"{place}=x)" if place else "x)  # as it wants it: [*x], {'image': x}, image=x"
        raise InvalidArgument(
            f"{_named(network)}.forward cannot run on a tensor of pictures in its first place "
            f"({type(error).__name__}: {said}); wrap it:\n\n{_WRAPPER.format(wanted)}"
        ) from error


_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_PICTURES = ("pixel_values", "images", "image", "imgs", "img", "pictures", "picture")
_WRAPPER = """class Wrapped(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network({}
"""


def _taken(network: Any) -> list[inspect.Parameter]:
    """What a module takes; nothing where that is not known."""
    if not isinstance(network, nn.Module):
        return []
    try:
        return list(inspect.signature(network.forward).parameters.values())
    except (TypeError, ValueError):
        return []


def _place_of_pictures(network: Any) -> str | None:
    """The name of the input that is for pictures, where it is not the first."""
    first, *others = [one.name for one in _taken(network)] or [""]
    return next((name for name in _PICTURES if name in others and first not in _PICTURES), None)


def _wrapper(by_place: list[str], by_name: list[str]) -> str:
    """A module that takes a picture and has the rest, to be pasted."""
    picture, *others = [*by_place, *by_name] or ["x"]
    first = picture if by_place else f"{picture}={picture}"
    # In a dict: as attributes of a module, names such as "train" would hide what it has.
    held = "{" + ", ".join(f'"{name}": {name}' for name in others) + "}"
    own = f"        self.rest = {held}\n" if others else ""
    rest = ["**self.rest"] if others else []
    return (
        "class Wrapped(torch.nn.Module):\n"
        f"    def __init__(self, {', '.join(['wrapped', *others])}):\n"
        "        super().__init__()\n"
        "        self.wrapped = wrapped\n"
        f"{own}\n"
        f"    def forward(self, {picture}):"
        f"{'  # several pictures: as many rows of the rest' if others else ''}\n"
        f"        return self.wrapped({', '.join([first, *rest])})\n"
    )


def can_be_hooked(module: nn.Module) -> bool:
    """Whether hooks can be registered on a module."""
    return not isinstance(module, ScriptModule) or isinstance(module, TopLevelTracedModule)


def check_runs_itself(model: nn.Module, name: str) -> None:
    """Whether a layer is called when the model runs, as far as that can be told without running it.

    Args:
        model: the network.
        name: full dotted name of the layer; empty for the network itself.

    Raises:
        UnusableLayer: it lies inside a scripted, traced or exported module.
    """
    above, module = model, model
    for depth, piece in enumerate(pieces := name.split(".") if name else []):
        above, module = module, module._modules[piece]  # type: ignore[assignment]
        if isinstance(above, ScriptModule):
            raise UnusableLayer(f"layer {name!r}: {SCRIPTED.format(_named(above))}")
        if isinstance(above, fx.GraphModule):
            _check_called(above, ".".join(pieces[depth:]), name)
    # A copy of a traced network cannot be hooked either, which the network itself can.
    if not can_be_hooked(module) or (not name and isinstance(module, ScriptModule)):
        raise UnusableLayer(SCRIPTED.format(_named(module)))


def _check_called(graph: fx.GraphModule, inner: str, name: str) -> None:
    called = [str(node.target) for node in graph.graph.nodes if node.op == "call_module"]
    if any(inner == each or inner.startswith(f"{each}.") for each in called):
        return
    within = [each for each in called if each.startswith(f"{inner}.")]
    if within:
        last = name.removesuffix(inner) + within[-1]
        raise UnusableLayer(
            f"layer {name!r} is no more than a name in this graph, which calls what is inside it; "
            f"take one of those, e.g. {last!r}"
        )
    raise UnusableLayer(f"layer {name!r} never runs: {EXPORTED.format(_named(graph))}")


def why_nothing(model: nn.Module) -> str | None:
    """Why no layer of a network can be looked at, where that is known."""
    parts = list(model.modules())
    for part in parts:
        if isinstance(part, ScriptModule):
            return SCRIPTED.format(_named(part))
    for part in parts:
        if isinstance(part, fx.GraphModule) and not any(map(_calls_a_layer, part.graph.nodes)):
            return EXPORTED.format(_named(part))
    return QUANTIZED.format(_named(model)) if any(map(is_quantized, parts)) else None


def is_quantized(module: nn.Module) -> bool:
    """Whether a module computes with whole numbers, through which no gradient goes."""
    return type(module).__module__.startswith(_QUANTIZED_ROOMS)


def check_differentiable(model: nn.Module, parts: Iterable[nn.Module]) -> None:
    """Whether gradients go through the parts of a network that have run.

    Raises:
        UnusableLayer: one of them is quantized.
    """
    if any(map(is_quantized, parts)):
        raise UnusableLayer(QUANTIZED.format(_named(model)))


def _calls_a_layer(node: fx.Node) -> bool:
    # What checks the sizes of an exported program is a module of it, too.
    return node.op == "call_module" and not str(node.target).startswith("_guards")


def stored(tensor: Tensor) -> list[Tensor]:
    """The plain tensors that a tensor is made of: several where it is a quantized one of torchao.

    >>> len(stored(torch.ones(2)))
    1
    """
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        return [tensor]
    names, _ = flatten()
    held = [getattr(tensor, name) for name in names]
    return [part for each in held if isinstance(each, Tensor) for part in stored(each)]


def _named(module: nn.Module) -> str:
    return str(module._get_name())
