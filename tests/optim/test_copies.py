"""Pictures are made on a copy of the network: whatever it holds, and whatever runs it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.optim import Channel, FeatureVisualizer
from captum_blocks.rewriting import passing_copy, private_copy
from tests.optim.conftest import Stem, seeded

RECIPE = {"size": 16, "n_steps": 2}


@dataclass
class State:
    held: Any


class Slotted:
    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held


class Sealed:
    """Made anew whenever it is copied, with what cannot be."""

    def __getstate__(self) -> dict[str, object]:
        return {"lock": threading.Lock()}


class Refusing(nn.Conv2d):
    def __deepcopy__(self, memo: object) -> nn.Module:
        raise TypeError("one of a kind")


@pytest.mark.parametrize("holder", [State, Slotted, lambda held: {"deep": [State(Slotted(held))]}])
@pytest.mark.parametrize("copy", [private_copy, passing_copy])
def test_a_tensor_inside_a_graph_is_detached_wherever_it_is_held(
    holder: Callable[[Tensor], Any], copy: Callable[[nn.Module], nn.Module], stem: nn.Module
) -> None:
    made = stem(torch.rand(1, 3, 16, 16))
    stem.state = holder(made)
    found = copy(stem).state
    while not isinstance(found, Tensor):
        found = found["deep"][0] if isinstance(found, dict) else found.held
    assert torch.equal(found, made)
    assert found.grad_fn is None
    assert found.data_ptr() != made.data_ptr()


def numbers() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("make", [threading.Lock, numbers, lambda: State(threading.RLock())])
def test_what_cannot_be_copied_is_shared(make: Callable[[], object], stem: nn.Module) -> None:
    expected = FeatureVisualizer(stem, "second").visualize(Channel(1), **RECIPE).images
    stem.kept = make()
    found = FeatureVisualizer(stem, "second").visualize(Channel(1), **RECIPE).images
    assert torch.equal(found, expected)
    copied = private_copy(stem)
    held = [getattr(kept, "held", kept) for kept in (stem.kept, copied.kept)]
    assert held[0] is held[1]
    pairs = zip(stem.parameters(), copied.parameters(), strict=True)
    assert all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in pairs)


@pytest.mark.parametrize(
    ("attribute", "held", "said"),
    [
        (
            "act",
            Refusing(6, 6, 1),
            "cannot be copied, .* stops at its Refusing: one of a kind",
        ),
        ("kept", Sealed(), "cannot be copied, .* stops at its lock: cannot pickle"),
    ],
)
def test_a_network_that_refuses(attribute: str, held: object, said: str, stem: nn.Module) -> None:
    setattr(stem, attribute, held)
    with pytest.raises(cb.BlocksError, match=said):
        FeatureVisualizer(stem, "second").visualize(Channel(1), **RECIPE)


def compiled(net: nn.Module) -> None:
    net.forward = torch.compile(net.forward, backend="eager")  # type: ignore[method-assign]


def compiled_part(net: nn.Module) -> None:
    net.act.forward = torch.compile(net.act.forward, backend="eager")


def bound(net: nn.Module) -> None:
    net.forward = net.forward  # type: ignore[method-assign]


def enclosed(net: nn.Module) -> None:
    original = net.forward
    net.forward = lambda x: original(x)  # type: ignore[method-assign]


def enclosed_twice(net: nn.Module) -> None:
    enclosed(net)
    enclosed(net)


def enclosing_the_network(net: nn.Module) -> None:
    net.forward = lambda x: type(net).forward(net, x)  # type: ignore[method-assign]


def partially(net: nn.Module) -> None:
    net.forward = partial(MethodType(Stem.forward, net))  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "change",
    [compiled, compiled_part, bound, enclosed, enclosed_twice, enclosing_the_network, partially],
)
def test_a_forward_kept_as_an_attribute_runs_the_copy(
    change: Callable[[nn.Module], None], stem: nn.Module
) -> None:
    x = torch.rand(1, 3, 16, 16)
    expected = FeatureVisualizer(seeded(Stem), "second").visualize(Channel(1), **RECIPE).images
    change(stem)
    answer, kept = stem(x), dict(vars(stem))
    found = FeatureVisualizer(stem, "second").visualize(Channel(1), **RECIPE).images
    torch.testing.assert_close(found, expected)
    assert vars(stem) == kept
    copied = private_copy(stem)
    with torch.no_grad():
        stem.head.bias.add_(1)
    torch.testing.assert_close(copied(x), answer)
    torch.testing.assert_close(stem(x), answer + 1)
