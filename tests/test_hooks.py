from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import pytest
import torch
from torch import nn

from captum_blocks.errors import LayerNotFound, UnusableLayer
from captum_blocks.hooks import (
    capture,
    evaluation_mode,
    find_layer,
    noted,
    replace,
    run_until,
    running,
)


def hooks_left(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_capture_keeps_the_output_from_a_later_in_place_operation() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True))
    with torch.no_grad():
        net[0].weight.fill_(-1.0)
    x = torch.ones(1, 1, 2, 2)
    with capture({"conv": net[0]}) as seen:
        net(x)
    assert torch.equal(seen["conv"], net[0](x))
    assert (seen["conv"] < 0).all()


def test_what_is_noted_is_every_tensor_of_every_call_as_it_was_returned() -> None:
    class Several(nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"map": x - 2, "rest": x + 1}

    several, words, seen = Several(), nn.Module(), []
    words.forward = lambda x: "no tensor"  # type: ignore[method-assign]
    layers = {"several": several, "words": words}
    with noted(layers, lambda name, output: seen.append((name, output.item()))):
        first = several(torch.ones(()))["map"]
        several(first.relu_())
        words(first)
    assert seen == [
        ("several", -1.0),
        ("several:rest", 2.0),
        ("several", -2.0),
        ("several:rest", 1.0),
    ]


def test_gradient_reaches_what_was_captured() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    with capture({"0": net[0]}) as seen:
        out = net(torch.ones(1, 3))
    (grad,) = torch.autograd.grad(out[0, 1], seen["0"])
    expected = net[2].weight[1] * (1 - seen["0"].tanh() ** 2)
    torch.testing.assert_close(grad, expected)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_no_hook_survives_an_error(error: type[BaseException]) -> None:
    net = nn.Sequential(nn.ReLU())

    def fail() -> None:
        layer = {"0": net[0]}
        with capture(layer), noted(layer, lambda *_: None), replace(net[0], lambda a: a):
            raise error

    with pytest.raises(error):
        fail()
    assert hooks_left(net) == 0


def test_replace_inside_a_tuple() -> None:
    class Pair(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, str]:
            return x, "rest"

    pair = Pair()
    with replace(pair, lambda a: a * 3):
        out = pair(torch.ones(1))
    assert out == (torch.tensor([3.0]), "rest")


def test_run_until_stops_behind_the_deepest_layer() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(77, 1))
    seen = run_until(net, {"0": net[0], "1": net[1]}, torch.ones(1, 2))
    assert torch.equal(seen["1"], seen["0"].relu())
    assert hooks_left(net) == 0


def test_run_until_waits_for_the_last_call_of_a_reused_layer() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.step = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.step(self.step(x))

    net, x = Twice(), torch.ones(1, 2)
    seen = run_until(net, {"step": net.step}, x, calls={"step": 2})
    assert torch.equal(seen["step"], net(x))


def test_a_layer_that_never_runs() -> None:
    net = nn.Module()
    net.used, net.unused = nn.ReLU(), nn.ReLU()
    net.forward = lambda x: net.used(x)  # type: ignore[method-assign]
    with pytest.raises(UnusableLayer, match="without calling layer 'unused'"):
        run_until(net, {"unused": net.unused}, torch.ones(1))


def test_a_layer_without_a_tensor() -> None:
    class Nothing(nn.Module):
        def forward(self, x: torch.Tensor) -> None:
            return None

    net = Nothing()
    with (
        pytest.raises(UnusableLayer, match="layer 'n' returns NoneType, not a tensor"),
        capture({"n": net}),
    ):
        net(torch.ones(1))
    with capture({"n": net}, lenient=True) as seen:
        net(torch.ones(1))
    assert seen == {}


def test_unknown_layer_names_the_nearest() -> None:
    net = nn.ModuleDict({"layer1": nn.ReLU(), "layer2": nn.ReLU()})
    with pytest.raises(LayerNotFound) as caught:
        find_layer(net, "layr1")
    assert str(caught.value) == (
        "no layer 'layr1' in ModuleDict; did you mean 'layer1' or 'layer2'?"
    )


def test_evaluation_mode_restores_each_module() -> None:
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    net.train()
    net[1].eval()
    with evaluation_mode(net):
        assert not any(module.training for module in net.modules())
    assert [module.training for module in net.modules()] == [True, True, False, False]


def test_a_network_may_write_to_what_it_is_given_by_name_or_inside_a_dict() -> None:
    class Writing(nn.Module):
        def forward(self, x: torch.Tensor, *, more: dict[str, torch.Tensor]) -> torch.Tensor:
            return x.mul_(2) + more["y"].add_(1)

    net, x, y = Writing(), torch.ones(2, requires_grad=True), torch.ones(2)
    with running(net):
        out = net(x, more={"y": y})
    out.sum().backward()
    assert torch.equal(out.detach(), torch.full((2,), 4.0))
    assert torch.equal(x.grad, torch.full((2,), 2.0))
    assert torch.equal(y, torch.ones(2))
    assert not net._forward_pre_hooks
    assert not net._forward_pre_hooks_with_kwargs


def test_what_a_function_calls_is_in_evaluation_mode_and_nothing_else() -> None:
    used, unused = nn.Dropout(), nn.Dropout()
    met: list[str] = []
    with running(lambda x: used(x), lambda: met.append("training")):
        assert used.training
        used(torch.ones(1))
        assert not used.training
        assert unused.training
    assert used.training
    assert met == ["training"]


def test_another_thread_goes_on_training() -> None:
    theirs, modes = nn.Sequential(nn.Dropout()), []
    theirs[0].register_forward_hook(lambda module, inputs, output: modes.append(module.training))
    with running(lambda x: x):
        thread = Thread(target=theirs, args=(torch.ones(1),))
        thread.start()
        thread.join()
    assert modes == [True]


class Scaled(nn.Module):
    """Writes to its input; can be compiled to TorchScript."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(x.mul_(2))


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize(
    "make", [torch.jit.script, lambda net: torch.jit.trace(net, torch.ones(2))]
)
def test_a_scripted_network_gets_copies_too(make: Callable[[nn.Module], nn.Module]) -> None:
    net, x = make(Scaled().eval()), torch.ones(2)
    with running(net):
        assert torch.equal(net(x), torch.full((2,), 2.0))
    assert torch.equal(x, torch.ones(2))
    net(x)
    assert torch.equal(x, torch.full((2,), 2.0))


class _Interrupting(nn.Module):
    """Ctrl-C comes while it is put back into training mode."""

    pressed = False

    def __setattr__(self, name, value):
        if name == "training" and value and self.__dict__.get("ready") and not self.pressed:
            type(self).pressed = True
            raise KeyboardInterrupt
        super().__setattr__(name, value)


def test_an_interrupt_while_modes_are_restored_leaves_none_behind():
    net = nn.Sequential(nn.Dropout(), _Interrupting(), nn.Dropout()).train()
    net[1].__dict__["ready"] = True
    with pytest.raises(KeyboardInterrupt), evaluation_mode(net):
        assert not any(module.training for module in net.modules())
    assert all(module.training for module in net.modules())
