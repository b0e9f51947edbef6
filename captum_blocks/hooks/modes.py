"""How a network is run: in evaluation mode, on copies of its own, and left as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial, wraps
from typing import Any

import torch
from torch import nn
from torch.nn import modules as modules_of_torch
from torch.nn.modules import module as modules
from torch.utils.hooks import RemovableHandle

from captum_blocks._interrupts import uninterrupted
from captum_blocks.hooks.claims import alone, in_this_thread
from captum_blocks.hooks.structures import copied
from captum_blocks.wrappers import eagerly

_TWO_MODES = (
    modules_of_torch.batchnorm._NormBase,
    modules_of_torch.dropout._DropoutNd,
    nn.RNNBase,
    nn.MultiheadAttention,
    nn.TransformerEncoderLayer,
    nn.RReLU,
)


@uninterrupted
def evaluation_mode(model: nn.Module) -> Iterator[nn.Module]:
    """Every submodule in ``eval()`` while the context is open, each as it was afterwards.

    What is compiled runs as it was written, so that hooks see it. Other threads of this package
    wait. Of one that trains the module meanwhile, the last word counts: nothing that it switched
    to training mode is switched off.

    >>> net = nn.Dropout()
    >>> with evaluation_mode(net):
    ...     net.training
    False
    >>> net.training
    True
    """
    with alone(model) as claim:
        training = [module for module in model.modules() if _is_training(module)]
        try:
            for module in training:
                module.training = False
            with eagerly():
                yield model
            claim.interfered |= any(module.training for module in training)
        finally:
            try:
                _train(training)
            except KeyboardInterrupt:
                _train(training)  # what was left when Ctrl-C came in here
                raise


def _is_training(part: nn.Module) -> bool:
    return getattr(part, "training", False)  # frozen scripts have no mode


def _is_told(module: nn.Module) -> bool:
    """Whether some of it is in training mode, and that may change what it does.

    A container made around a network in ``eval()`` is in training mode, and does the same there.
    """
    parts = list(module.modules())
    training = [part for part in parts if _is_training(part)]
    return bool(training) and (len(training) == len(parts) or any(map(_has_two_modes, training)))


def _has_two_modes(part: nn.Module) -> bool:
    """Of what torch brings only some do; of others it is not known."""
    return not type(part).__module__.startswith("torch.nn.modules.") or isinstance(part, _TWO_MODES)


def _train(parts: Iterable[nn.Module]) -> None:
    for part in parts:
        part.training = True


@uninterrupted
def running(
    network: Callable[..., Any], met_training: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """The one way in which networks are run here: in evaluation mode, on copies, by one thread.

    A network may write to what it is given (``x.sub_(mean)``), so every pass gets copies of its
    tensors; gradients reach the originals. A function is not known by its modules: whatever it
    calls in this thread is put into evaluation mode when it is called. Its copies are those of
    ``on_copies``.

    Args:
        network: a module, or a function that runs some.
        met_training: called once, when a module is found in training mode.

    >>> import torch
    >>> class Centred(nn.Module):
    ...     def forward(self, x):
    ...         return x.sub_(1)
    >>> net, x = Centred(), torch.ones(2)
    >>> with running(net):
    ...     net(x), x, net.training
    (tensor([0., 0.]), tensor([1., 1.]), False)
    """
    module = module_of(network)
    with alone(module), ExitStack() as undo:
        if module is not None:
            if _is_told(module):
                met_training()
            undo.enter_context(evaluation_mode(module))
            undo.callback(_copying(module).remove)
        if module is not network:
            undo.enter_context(eagerly())
            undo.enter_context(_evaluated_when_called(module, met_training))
        yield


def on_copies(network: Callable[..., Any]) -> Callable[..., Any]:
    """A function that gets copies of the tensors it is given; a module as it is, see ``running``.

    >>> import torch
    >>> x = torch.ones(2)
    >>> on_copies(lambda x: x.mul_(3))(x), x
    (tensor([3., 3.]), tensor([1., 1.]))
    """
    if isinstance(network, nn.Module):
        return network

    @wraps(network)
    def function(*inputs: Any, **named: Any) -> Any:
        return network(*copied(inputs), **copied(named))

    function.stands_for = network  # type: ignore[attr-defined]
    return function


def _copying(module: nn.Module) -> RemovableHandle:
    if not isinstance(module, torch.jit.ScriptModule):
        hook = in_this_thread(_copies)
        return module.register_forward_pre_hook(hook, prepend=True, with_kwargs=True)

    def copies(called: nn.Module, inputs: Any) -> Any:
        return copied(inputs) if called is module else None

    # It takes no hooks of its own.
    return modules.register_module_forward_pre_hook(in_this_thread(copies))


def _copies(_: nn.Module, inputs: Any, named: Any) -> tuple[Any, Any]:
    return copied(inputs), copied(named)


def module_of(network: Callable[..., Any]) -> nn.Module | None:
    """The module that runs: the one given, or the one whose method is given; None where unknown.

    >>> net = nn.ReLU()
    >>> module_of(net.forward) is net, module_of(lambda x: net(x))
    (True, None)
    """
    while not isinstance(network, nn.Module):
        if hasattr(network, "stands_for"):
            network = network.stands_for
        elif isinstance(network, partial):
            network = network.func
        else:
            network = getattr(network, "__self__", None)  # type: ignore[assignment]
            return network if isinstance(network, nn.Module) else None
    return network


@uninterrupted
def _evaluated_when_called(
    known: nn.Module | None, met_training: Callable[[], object]
) -> Iterator[None]:
    switched = list[nn.Module]()
    with alone(known) as claim:

        def switch(module: nn.Module, _: Any) -> None:
            if not _is_training(module):
                return
            if not switched:
                met_training()
            claim.watch(module)
            for part in module.modules():
                if _is_training(part):
                    switched.append(part)
                    part.training = False

        # The hook is everybody's: another thread may be training another network.
        hook = modules.register_module_forward_pre_hook(in_this_thread(switch))
        try:
            yield
            claim.interfered |= any(part.training for part in switched)
        finally:
            hook.remove()
            _train(switched)
