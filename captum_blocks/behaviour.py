"""How a network behaves from pass to pass: whether it repeats itself, whether rows stay apart.

What is computed here takes two things for granted: that a network answers the same picture the
same way twice, and that a picture's answer does not depend on what is beside it in the batch. A
dropout that is always on or a state kept between calls breaks the first, statistics of the batch
break the second. Both are tried once, when a network is met.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients

Network = Callable[..., Any]

# Below these shares of the largest output, differences are rounding: sums over rows are ordered by
# how many there are.
_SAME = 1e-5
_APART = 5e-3


@dataclass(frozen=True)
class Behaviour:
    """What was seen of a network.

    Attributes:
        drift: how far a second identical pass is from the first, as a share of the largest output;
            0 where it repeats itself.
        coupling: how far a picture's output moves with another picture beside it, as such a share;
            0 where rows stay apart, infinite where the network takes one picture at a time.

    >>> Behaviour(coupling=0.25).apart, Behaviour().notes
    (True, ())
    """

    drift: float = 0.0
    coupling: float = 0.0

    @property
    def apart(self) -> bool:
        """Whether pictures have to be run one by one."""
        return self.coupling > 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader has to know, in words."""
        return tuple(note for note in (self.drifts, self._couples) if note)

    @property
    def drifts(self) -> str:
        """That nothing comes out the same twice; empty where it does."""
        if not self.drift:
            return ""
        return (
            f"two identical passes of this network differ by up to {self.drift:.2g} of its largest "
            "output (a dropout that is always on, or a state kept between calls): these numbers "
            "do not come out the same twice"
        )

    @property
    def _couples(self) -> str:
        if math.isinf(self.coupling):
            return "this network takes one picture at a time: each row was run by itself"
        if not self.coupling:
            return ""
        return f"{self._beside}: each row was run by itself"

    @property
    def _beside(self) -> str:
        return (
            "what else is in the batch moves this network's answer to a picture, by up to "
            f"{self.coupling:.2g} of its largest output"
        )

    def together(self, method: str) -> str:
        """The note of a method that cannot run a picture by itself."""
        one_batch = f"{method} runs a picture and its baseline in one batch"
        if math.isinf(self.coupling):
            return f"{one_batch}, and this network takes one picture at a time"
        return f"{self._beside}, and {one_batch}"


def warn_of(notes: Iterable[str], stacklevel: int = 2) -> None:
    """Say what there is to tell beside plain tensors, which carry no notes.

    >>> warn_of(())
    """
    for note in notes:
        if note:
            warnings.warn(note, stacklevel=stacklevel + 1)


STEADY = Behaviour()


def of_last_call(layer: str, calls: int) -> tuple[str, ...]:
    """What the reader has to know of a layer that runs several times in one pass.

    >>> of_last_call("relu", 1)
    ()
    """
    if calls < 2:
        return ()
    return (f"layer {layer!r} runs {calls} times in one pass: these are numbers of its last call",)


def observed(network: Network, *arguments: Any) -> Behaviour:
    """How a network behaves, tried once and kept until its parameters change or are exchanged.

    Four passes, on five rows in all, the first time, and up to three more where rows seem to change
    each other; they draw nothing from the global random numbers. Nothing is tried where the network
    cannot take the arguments: its next pass will say.

    Args:
        network: a module, or a function that runs some.
        arguments: of the network, for one image or several; the first one is tried.

    >>> net = nn.BatchNorm1d(3, track_running_stats=False)
    >>> observed(net, torch.rand(1, 3, 4)).apart, observed(nn.Tanh(), torch.rand(1, 3)).apart
    (True, False)
    """
    network = stood_for(network)
    known, name = _place(network)
    kept = known.get(name)
    if kept is not None and kept.fits():
        return kept.behaviour
    module = hooks.module_of(network)
    with hooks.running(network), hooks.called() as met:
        found = tried(hooks.on_copies(network), *arguments)
    if found is None:
        return STEADY
    known[name] = _Kept(found, met if module is None else [module])
    return found


def tried(network: Network, *arguments: Any) -> Behaviour | None:
    """How a network behaves now, or None where it cannot take the arguments.

    >>> tried(lambda x: x - x.mean(0), torch.rand(1, 3)).apart
    True
    """
    first = hooks.rows_of(arguments)[0]
    beside = _others(first)
    with without_gradients(), torch.random.fork_rng(_devices(first)):
        try:
            alone, again = network(*beside), network(*beside)
        except torch.OutOfMemoryError:
            raise
        except Exception:
            return None
        if drift := _drift(alone, again):
            return Behaviour(drift=drift)
        both = _paired(first, beside)
        try:
            pair = network(*both)
        except Exception:
            return Behaviour(coupling=math.inf)
        seen, rounding = [(beside, alone), (both, pair)], max(_APART, 8 * _rounding(alone))
        coupling = _distance(alone, _row(pair, 1, alone))
        if coupling <= rounding:
            # A minimum, a median or a look at the next row may move the first one alone.
            seen.append((first, own := network(*first)))
            coupling = _distance(own, _row(pair, 0, own), alone)
        if coupling <= rounding:
            return STEADY
        # What draws at random now and then, or counts its passes, may have come out the same twice.
        for given, output in seen:
            if drift := _drift(output, network(*given)):
                return Behaviour(drift=drift)
    return Behaviour(coupling=coupling)


def _drift(alone: Any, again: Any) -> float:
    distance = _distance(alone, again)
    return distance if distance > max(_SAME, 2 * _rounding(alone)) else 0.0


def stood_for(network: Network) -> Network:
    """The network that a wrapper of this package runs as it is; any other as it is given.

    >>> stood_for(hooks.on_copies(len)) is len
    True
    """
    while (inside := getattr(network, "stands_for", None)) is not None:
        network = inside
    return network


def _others(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Another picture within the range of the first, that shares neither its mean nor its extremes.

    So that none of the usual statistics of a batch is the same with one beside the other.
    """
    changed: Any = arguments
    for path, tensor in _rows(arguments).items():
        if tensor.is_floating_point() and tensor.numel():
            changed = hooks.exchanged(changed, path, _other(tensor.detach()))
    return changed  # type: ignore[no-any-return]


def _paired(arguments: tuple[Any, ...], others: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of two pictures, as one batch."""
    pair: Any = arguments
    beside = _rows(others)
    for path, tensor in _rows(arguments).items():
        pair = hooks.exchanged(pair, path, torch.cat([tensor, beside[path]]))
    return pair  # type: ignore[no-any-return]


def _rows(arguments: tuple[Any, ...]) -> dict[tuple[str, ...], Tensor]:
    """What one picture has a row of."""
    found = hooks.tensors_in(arguments).items()
    return {path: tensor for path, tensor in found if tensor.shape[:1] == (1,)}


def _other(tensor: Tensor) -> Tensor:
    low, high = tensor.min(), tensor.max()
    turned = tensor.flip(list(range(1, tensor.ndim))) if tensor.ndim > 1 else tensor
    if not bool(high > low):
        noise = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(0))
        return noise.to(tensor)
    return low + 0.1 * (high - low) + 0.5 * (turned - low)


def _devices(arguments: tuple[Any, ...]) -> list[int]:
    tensors = hooks.tensors_in(arguments).values()
    return sorted({t.device.index or 0 for t in tensors if t.device.type == "cuda"})


def _floats(output: Any) -> dict[tuple[str, ...], Tensor]:
    found = hooks.tensors_in(output).items()
    return {path: tensor.float() for path, tensor in found if tensor.is_floating_point()}


def _distance(output: Any, other: Any, *beside: Any) -> float:
    """The largest difference between two outputs, as a share of the largest number there is.

    Args:
        output: whose numbers are the measure.
        other: what it is compared with.
        beside: outputs whose numbers are the measure, too: one alone may be zero but for rounding.
    """
    shares = [0.0]
    others, measures = _floats(other), [_floats(each) for each in (output, *beside)]
    for path, tensor in measures[0].items():
        found = others.get(path)
        if found is not None and found.shape == tensor.shape and tensor.numel():
            numbers = [each[path].abs() for each in measures if path in each]
            largest = max(float(each.max()) for each in numbers if each.numel())
            shares.append(float((tensor - found).abs().max()) / max(largest, 1e-12))
    return max(share for share in shares if not math.isnan(share))


def _row(pair: Any, row: int, alone: Any) -> Any:
    """Of the output of two pictures, what belongs to one of them, as it has it alone."""
    ones = hooks.tensors_in(alone)
    for path, tensor in hooks.tensors_in(pair).items():
        one = ones.get(path)
        if one is not None and tensor.ndim and tensor.numel() == 2 * one.numel():
            half = tensor.tensor_split(2)[row]
            if half.numel() == one.numel():
                pair = hooks.exchanged(pair, path, half.reshape(one.shape))
    return pair


def _rounding(output: Any) -> float:
    """Of the coarsest numbers in an output."""
    kinds = (t.dtype for t in hooks.tensors_in(output).values() if t.is_floating_point())
    return max((torch.finfo(kind).eps for kind in kinds), default=0.0)


class _Kept:
    """A behaviour, and what it was seen of."""

    def __init__(self, behaviour: Behaviour, modules: Iterable[nn.Module]) -> None:
        self.behaviour = behaviour
        self._modules = [ref(module) for module in modules]
        self._stamp = self._stamped()

    def fits(self) -> bool:
        """Whether modules and parameters are those that were seen."""
        return self._stamped() == self._stamp

    def _stamped(self) -> frozenset[tuple[object, ...]]:
        parts = {part for each in self._modules for part in _parts(each())}
        parameters = (p for part in parts for p in part._parameters.values() if p is not None)
        return frozenset([*((id(part), type(part)) for part in parts), *map(_state, parameters)])


def _parts(module: nn.Module | None) -> Iterable[nn.Module]:
    return () if module is None else module.modules()


def _held(part: nn.Module) -> tuple[str, ...]:
    """The buffers there are: a batch norm without statistics couples rows."""
    return tuple(name for name, buffer in part._buffers.items() if buffer is not None)


def _state(parameter: Tensor) -> tuple[object, ...]:
    # Tensors made under inference_mode count no versions.
    version = None if parameter.is_inference() else parameter._version
    return (id(parameter), parameter.data_ptr(), version)


_KNOWN: WeakKeyDictionary[Any, dict[str, _Kept]] = WeakKeyDictionary()


def _place(network: Network) -> tuple[MutableMapping[str, _Kept], str]:
    """Where the behaviour of a network is kept; a bound method is made anew for each look."""
    owner = getattr(network, "__self__", network)
    try:
        return _KNOWN.setdefault(owner, {}), getattr(network, "__name__", "")
    except TypeError:  # nothing that can be referred to weakly
        return {}, ""
