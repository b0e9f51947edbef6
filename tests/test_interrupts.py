"""Ctrl-C whenever it comes: modes, hooks and claims are afterwards as they were before."""

from __future__ import annotations

import _thread
import gc
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules import module as modules

import captum_blocks as cb
from captum_blocks import _interrupts
from captum_blocks.attr import LayerMethod
from captum_blocks.hooks import alone, claims, evaluation_mode

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
X = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Job = Callable[[], object]


def network() -> nn.Module:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Dropout(), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)
    ).train()
    net[1].eval()
    return net


def left(net: nn.Module) -> tuple[object, ...]:
    """All that a look at a network may leave behind."""
    hooks = sum(len(getattr(part, name)) for part in net.modules() for name in HOOKS)
    everywhere = len(modules._global_forward_pre_hooks) + len(modules._global_forward_hooks)
    held = len(claims._REGISTER._claims), len(claims._REGISTER._awaited)
    modes = [torch.is_grad_enabled(), *(part.training for part in net.modules())]
    return (modes, hooks, everywhere, *held)


def jobs(net: nn.Module) -> dict[str, Job]:
    held = cb.Network(net)
    effect = cb.Attribution(cb.Hidden("2").channels, cb.Out(1))
    return {
        "logits": lambda: held.logits(X),
        "values": lambda: cb.evaluate(effect, held, X),
        "attribution": lambda: LayerMethod(net, "2", "LayerDeepLift").attribute(X, [0]),
    }


class Pressed(dict[int, None]):
    """Looking a signal up in it is its arrival, which is noticed after the trace function."""

    __missing__ = _thread.interrupt_main  # of C: no instruction of Python is between


PLACES = (
    "blocks/hooks",
    "blocks/wrappers.py",
    "attr/_guard.py",
    "_interrupts.py",
    "_gradients.py",
    "autograd/grad_mode.py",
    "contextlib.py",
)


def traced(job: Job, when: int) -> tuple[int, bool]:
    """Run a job in which Ctrl-C comes at one line; how many lines there were, and whether it came.

    Args:
        job: what is run.
        when: at which of the lines of what opens and closes contexts.
    """
    count, pressed = 0, Pressed()

    def enter(frame: FrameType, event: str, _: Any) -> Any:
        return at_line if any(place in frame.f_code.co_filename for place in PLACES) else enter

    def at_line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if event == "line":
            count += 1
            if count == when:
                sys.settrace(None)  # an interrupt within these functions would be none of a line
                pressed[signal.SIGINT]
        return at_line

    before = sys.gettrace()
    # What is raised while garbage is collected, Python itself passes over.
    gc.collect()
    gc.disable()
    try:
        sys.settrace(enter)
        try:
            job()
        finally:
            sys.settrace(before)
        settled()
    except KeyboardInterrupt:
        return count, True
    finally:
        gc.enable()
    return count, False


def settled() -> None:
    """Time for what was put off."""
    until = time.monotonic() + 5
    while _interrupts._State.waiting and time.monotonic() < until:
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def nothing_else_to_collect() -> Iterator[None]:
    """What other tests have left is not looked through again before every line."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def pythons_own_handler() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("only the main thread gets Ctrl-C")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["logits", "values", "attribution"])
def test_at_every_line_it_leaves_nothing_and_gets_through(name: str) -> None:
    net = network()
    job = jobs(net)[name]
    job()
    before = left(net)
    lines, came = traced(job, 0)
    assert lines > 100
    assert not came
    tried = random.Random(0).sample(range(1, lines + 1), min(lines, 250))
    for when in tried:
        # The same holds of what is raised while the last reference to a generator goes.
        tries = (traced(job, when) for _ in range(3))
        assert any(came == (reached >= when) for reached, came in tries), when
        assert left(net) == before, when
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, when


@pytest.mark.filterwarnings("ignore")
def test_at_any_time_it_leaves_nothing() -> None:
    """The signal itself, after some time."""
    net, draw = network(), random.Random(0)
    job = jobs(net)["logits"]
    job()
    before, came = left(net), 0
    for _ in range(100):
        timer = threading.Timer(draw.uniform(0, 0.004), os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            while True:
                job()
        except KeyboardInterrupt:
            came += 1
        timer.join()
        assert left(net) == before
    assert came == 100


def test_who_waits_for_another_thread_can_be_interrupted() -> None:
    net, begun, go_on = network(), threading.Event(), threading.Event()

    def hold() -> None:
        with alone(net):
            begun.set()
            go_on.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(60)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt), alone(net):
            pass
        assert time.monotonic() - start < 30
    finally:
        go_on.set()
        thread.join()
    assert left(net)[-2:] == (0, 0)


def test_a_handler_of_somebody_else_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    met = []
    signal.signal(signal.SIGINT, lambda *_: met.append(1))
    try:
        with evaluation_mode(network()):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert met == [1]


def test_a_handler_set_meanwhile_stays() -> None:
    with evaluation_mode(network()):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)
