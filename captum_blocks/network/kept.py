"""What tests told of a network, kept as long as its weights stay the same."""

from __future__ import annotations

from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor, nn

Shape = tuple[int, ...]
State = tuple[object, ...]
Key = TypeVar("Key")
Told = TypeVar("Told")


class Kept(Generic[Key, Told]):
    """Results by network, by the size of the picture, and by what was asked.

    >>> net, kept = nn.Linear(2, 1), Kept()
    >>> kept.of(net, (3, 8, 8))["weight"] = True
    >>> kept.of(net, (3, 8, 8)), kept.of(net, (3, 9, 9))
    ({'weight': True}, {})
    >>> _ = nn.init.zeros_(net.weight)
    >>> kept.of(net, (3, 8, 8))
    {}
    """

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[nn.Module, tuple[State, dict[Shape, dict[Key, Told]]]] = (
            WeakKeyDictionary()
        )

    def of(self, network: nn.Module, shape: Shape) -> dict[Key, Told]:
        """What is known; forgotten when it is trained, loaded or put together anew."""
        state = (*map(id, network.modules()), *map(_version, network.parameters()))
        if network not in self._known or self._known[network][0] != state:
            self._known[network] = (state, {})
        return self._known[network][1].setdefault(shape, {})


def _version(tensor: Tensor) -> tuple[int, int | None]:
    # Tensors made under inference_mode count no versions.
    return (tensor.data_ptr(), None if tensor.is_inference() else tensor._version)
