"""Two threads draw side by side: the same pictures, and nothing of either is left behind."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from captum_blocks.optim import Channel, Diversity, FeatureVisualizer, objective
from captum_blocks.optim.lanes import Lanes
from captum_blocks.optim.trunk import Trunk
from captum_blocks.rewriting import close
from tests.optim.conftest import Stem, seeded

X = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
RECIPE = {"size": 16, "n_steps": 3}


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


class Seeing(nn.Module):
    """Remembers which threads ran it, in a place that copies share."""

    threads: list[threading.Thread] = []  # noqa: RUF012
    n_torch: list[int] = []  # noqa: RUF012

    def forward(self, x: Tensor) -> Tensor:
        self.threads.append(threading.current_thread())
        self.n_torch.append(torch.get_num_threads())
        return x * 1


@pytest.fixture
def seeing() -> nn.Module:
    Seeing.threads.clear()
    Seeing.n_torch.clear()
    return nn.Sequential(Seeing(), seeded(lambda: nn.Conv2d(3, 5, 3)))


def lanes_of(threads: list[threading.Thread]) -> set[str]:
    return {thread.name for thread in threads if "lane" in thread.name}


def test_two_threads_draw_what_one_draws(stem):
    objectives = [Channel(c) for c in range(5)] + [Channel(0).copies(3) + Diversity()]
    side_by_side = FeatureVisualizer(stem, "second").visualize(objectives, **RECIPE)
    torch.set_num_threads(1)
    in_turn = FeatureVisualizer(stem, "second").visualize(objectives, **RECIPE)
    torch.set_num_threads(2)
    assert side_by_side.labels == in_turn.labels
    for name in ("images", "history", "scores", "importance"):
        found, expected = getattr(side_by_side, name), getattr(in_turn, name)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_each_thread_has_one_of_torchs_and_ends_with_the_run(seeing):
    FeatureVisualizer(seeing, "1").visualize([Channel(c) for c in range(4)], **RECIPE)
    assert len(lanes_of(Seeing.threads)) == 2
    in_lanes = [n for n, t in zip(Seeing.n_torch, Seeing.threads, strict=True) if "lane" in t.name]
    assert in_lanes == [1] * 6
    assert not lanes_of(threading.enumerate())
    later: list[int] = []
    begun = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    begun.start()
    begun.join()
    assert later == [2]


def test_one_picture_needs_one_thread(seeing):
    FeatureVisualizer(seeing, "1").visualize(Channel(0), **RECIPE)
    assert not lanes_of(Seeing.threads)


def test_code_of_the_users_runs_in_one_thread(seeing):
    own = objective(lambda maps: maps.mean((1, 2, 3)), name="own")
    FeatureVisualizer(seeing, "1").visualize([own, Channel(0)], **RECIPE)
    seeing[1].register_forward_hook(lambda *_: None)
    FeatureVisualizer(seeing, "1").visualize([Channel(0), Channel(1)], **RECIPE)
    assert Seeing.threads
    assert not lanes_of(Seeing.threads)


class Drifting(nn.Module):
    """Answers otherwise each time."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return x * self.count


@pytest.mark.parametrize("odd", [Drifting, lambda: nn.BatchNorm2d(5, track_running_stats=False)])
def test_a_network_that_keeps_something_runs_in_one_thread(odd):
    network = nn.Sequential(seeded(lambda: nn.Conv2d(3, 5, 3)), odd()).eval()
    assert Lanes(Trunk(network, ["1"], X[:1]), 2).n == 1
    assert Lanes(Trunk(network, ["0"], X[:1]), 2).n == 2


def test_copies_of_large_networks_are_not_made(stem):
    trunk = Trunk(stem, ["second"], X[:1])
    assert Lanes(trunk, 2, trunk.bytes_of_weights).n == 2
    assert Lanes(trunk, 2, trunk.bytes_of_weights - 1).n == 1


def test_a_copy_computes_the_same_from_weights_of_its_own():
    trunk = Trunk(seeded(Stem), ["second"], X[:1])
    other = trunk.copy()
    expected = trunk(X)["second"]
    assert close(other(X)["second"], expected, 1e-6)
    for weight in trunk._network.parameters():
        weight.data.zero_()
    assert close(other(X)["second"], expected, 1e-6)


def test_a_thread_that_cannot_begin_leaves_none_that_waits(seeing, monkeypatch):
    begun: list[threading.Thread] = []
    start = threading.Thread.start

    def first_only(thread: threading.Thread) -> None:
        if "lane" in thread.name and begun:
            raise RuntimeError("can't start new thread")
        start(thread)
        begun.extend([thread] if "lane" in thread.name else [])

    monkeypatch.setattr(threading.Thread, "start", first_only)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        FeatureVisualizer(seeing, "1").visualize([Channel(0), Channel(1)], **RECIPE)
    assert begun
    assert not any(thread.is_alive() for thread in begun)


class Failing(nn.Module):
    """Fails in one of the threads that run it, when both have and it has before."""

    calls: dict[str, int] = {}  # noqa: RUF012

    def forward(self, x: Tensor) -> Tensor:
        name = threading.current_thread().name
        self.calls[name] = self.calls.get(name, 0) + 1
        if "lane" in name and len(self.calls) == 3 and self.calls[name] >= 2:
            raise ZeroDivisionError("the sum of nothing")
        return x * 1


def test_what_a_network_raises_in_a_thread_is_raised_here():
    Failing.calls.clear()
    network = nn.Sequential(Failing(), seeded(lambda: nn.Conv2d(3, 5, 3)))
    with pytest.raises(ZeroDivisionError, match="the sum of nothing"):
        FeatureVisualizer(network, "1").visualize([Channel(0), Channel(1)], **RECIPE)
    assert not lanes_of(threading.enumerate())


class Interrupting(nn.Module):
    """Somebody presses Ctrl-C while a thread is at its second step."""

    steps = 0

    def forward(self, x: Tensor) -> Tensor:
        if "lane" in threading.current_thread().name:
            Interrupting.steps += 1
            if Interrupting.steps == 4:
                _thread.interrupt_main()
        return x * 1


def test_ctrl_c_keeps_what_both_threads_have():
    Interrupting.steps = 0
    network = nn.Sequential(Interrupting(), seeded(lambda: nn.Conv2d(3, 5, 3)))
    shown = FeatureVisualizer(network, "1").visualize(
        [Channel(0), Channel(1)], size=16, n_steps=500
    )
    assert shown.interrupted
    assert len(shown.images) == 2
    assert shown.images.isfinite().all()
    assert 1 <= len(shown.history) < 500
    assert not lanes_of(threading.enumerate())
