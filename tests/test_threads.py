"""One network in several threads: everybody's numbers are right, and it is left as it was."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy

import pytest
import torch
from captum.attr import LayerIntegratedGradients
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.attr import LayerMethod
from captum_blocks.hooks import alone, capture, replace, running
from captum_blocks.wrappers import Shared

Job = Callable[[], Tensor]
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@pytest.fixture(autouse=True)
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Classifier(nn.Sequential):
    """All its layers have a rule in LRP."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten(1)


def network() -> nn.Module:
    torch.manual_seed(0)
    return Classifier(
        *(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Conv2d(6, 6, 3), nn.ReLU(inplace=True), nn.Dropout(0.5)),
        *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 4, 1)),
    )


@pytest.fixture
def model() -> nn.Module:
    """Some of it in training mode, some not."""
    made = network()
    made[1].eval()
    return made


@pytest.fixture
def x() -> Tensor:
    return torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def hooks_of(model: nn.Module) -> int:
    return sum(len(getattr(part, name)) for part in model.modules() for name in HOOKS)


def modes_of(model: nn.Module) -> list[bool]:
    return [part.training for part in model.modules()]


def at_once(works: Sequence[Callable[[], object]]) -> list[list[object]]:
    """What each of some works gives, all of them done at the same time.

    Raises:
        AssertionError: one of them has not come to an end.
        Exception: what one of them has raised.
    """
    made: list[list[object]] = [[] for _ in works]
    failed: list[BaseException] = []
    ready = threading.Barrier(len(works))

    def work(one: Callable[[], object], into: list[object]) -> None:
        try:
            ready.wait(20)
            into.append(one())
        except BaseException as error:
            failed.append(error)

    pairs = zip(works, made, strict=True)
    threads = [threading.Thread(target=work, args=pair, daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if failed:
        raise failed[0]
    return made


class Groups:
    """Two groups of six channels."""

    components_ = torch.tensor([[1.0, 2, 0, 0, 1, 0], [0, 0, 1, 3, 0, 1]])

    def transform(self, activations: Tensor) -> Tensor:
        return torch.einsum("bchw,kc->bkhw", activations, self.components_)


def jobs(model: nn.Module, x: Tensor) -> dict[str, Job]:
    """The same questions of one network, at its two layers and behind them."""
    net = cb.Network(model)
    path = {"n_steps": 4}

    def evaluated(layer: str, word: str) -> Job:
        substrate = getattr(cb.Hidden(layer), word)
        return lambda: cb.evaluate(cb.Attribution(substrate, cb.Out(1)), net, x).data

    def attributed(layer: str, method: str, **options: object) -> Job:
        run = LayerMethod(model, layer, method, **options)
        return lambda: run.attribute(x, [0, 2]).maps

    def grouped() -> Tensor:
        inner = LayerIntegratedGradients(model, model[5])
        return cb.LayerGroupAttribution(inner, Groups()).attribute(x, target=1, **path)

    def between() -> Tensor:
        run = cb.LayerToLayerAttribution(model, "2", "5")
        return run.attribute(x, target_atom="channel", source_atom="channel")

    return {
        "evaluated early": evaluated("2", "channels"),
        "evaluated late": evaluated("5", "spatial"),
        "path": attributed("2", "LayerIntegratedGradients", **path),
        "rescale": attributed("5", "LayerDeepLift"),
        "relevance": attributed("4", "LayerLRP"),
        "groups": grouped,
        "between": between,
        "logits": lambda: net.logits(x),
        "activations": lambda: next(net.activations("5", [x])),
    }


def again(job: Job, times: int) -> Callable[[], list[Tensor]]:
    return lambda: [job() for _ in range(times)]


@pytest.mark.parametrize("n_threads", [2, 8])
@pytest.mark.filterwarnings("error", "ignore:the network was in training mode")
def test_every_number_is_as_in_one_thread(model: nn.Module, x: Tensor, n_threads: int) -> None:
    alike, modes = jobs(model, x), modes_of(model)
    expected = {name: job() for name, job in alike.items()}
    names = list(alike)

    def work(start: int) -> Callable[[], dict[str, list[Tensor]]]:
        turned = names[start:] + names[:start]
        times = 12 // n_threads + 1
        return lambda: {name: again(alike[name], times)() for name in turned}

    for (found,) in at_once([work(i % len(names)) for i in range(n_threads)]):
        for name, numbers in found.items():
            for number in numbers:
                torch.testing.assert_close(number, expected[name])
    assert hooks_of(model) == 0
    assert modes_of(model) == modes


def test_the_same_layer_fifty_times_in_two_threads(model: nn.Module, x: Tensor) -> None:
    net, modes = cb.Network(model), modes_of(model)
    seen = cb.Activation(cb.Hidden("2").neurons)
    reference = deepcopy(model).eval()
    expected = reference[2](reference[1](reference[0](x)))

    def work() -> list[Tensor]:
        return [cb.evaluate(seen, net, x).data for _ in range(50)]

    for (found,) in at_once([work, work]):
        for number in found:
            torch.testing.assert_close(number, expected.detach())
    assert hooks_of(model) == 0
    assert modes_of(model) == modes


def test_one_visualizer_in_two_threads_draws_the_same_pictures(model: nn.Module) -> None:
    fv = cb.FeatureVisualizer(model, "2")
    wanted = [[cb.optim.Channel(0)], [cb.optim.Channel(1, layer="5")]]

    def drawn(objectives: list[cb.optim.Channel]) -> Tensor:
        return fv.visualize(objectives, size=8, n_steps=3, transforms="none").images

    expected = [drawn(objectives) for objectives in wanted]
    works = [lambda each=each: [drawn(each) for _ in range(3)] for each in wanted]
    for (found,), picture in zip(at_once(works), expected, strict=True):
        assert all(torch.equal(one, picture) for one in found)
    assert hooks_of(model) == 0


def test_a_function_and_the_module_it_runs_take_turns(model: nn.Module, x: Tensor) -> None:
    model.eval()
    run = LayerIntegratedGradients(lambda picture: model(picture), model[2])
    by_function = cb.LayerGroupAttribution(run, Groups())

    def function() -> list[Tensor]:
        return [by_function.attribute(x, target=1, n_steps=4) for _ in range(10)]

    by_module = again(jobs(model, x)["path"], 10)
    ones, others = function()[0], by_module()[0]
    for found, expected in zip(at_once([function, by_module]), (ones, others), strict=True):
        for number in found[0]:
            torch.testing.assert_close(number, expected)
    assert hooks_of(model) == 0


def test_networks_that_share_a_part_take_turns_and_others_do_not() -> None:
    shared = nn.Linear(2, 2)
    one, other, apart = nn.Sequential(shared), nn.Sequential(nn.ReLU(), shared), nn.Tanh()
    tied = nn.Linear(2, 2)
    tied.weight = shared.weight
    inside: list[str] = []

    def enter(name: str, module: nn.Module) -> None:
        with alone(module):
            inside.append(name)

    with alone(one):
        pairs = {"other": other, "tied": tied, "apart": apart}.items()
        threads = [threading.Thread(target=enter, args=pair, daemon=True) for pair in pairs]
        for thread in threads:
            thread.start()
        threads[2].join(20)
        assert inside == ["apart"]
    for thread in threads:
        thread.join(20)
    assert sorted(inside) == ["apart", "other", "tied"]


def test_two_threads_that_want_each_others_modules_go_on() -> None:
    one, other = nn.ReLU(), nn.Tanh()
    both = threading.Barrier(2)

    def work(first: nn.Module, second: nn.Module) -> Callable[[], str]:
        def done() -> str:
            with alone(first):
                both.wait(20)
                with alone(second):
                    return "done"

        return done

    assert at_once([work(one, other), work(other, one)]) == [["done"], ["done"]]


def test_hooks_are_for_the_passes_of_their_own_thread() -> None:
    net, x = nn.Sequential(nn.ReLU()), torch.ones(1)
    with running(net), replace(net[0], lambda a: a + 1), capture({"0": net[0]}) as seen:
        ((other,),) = at_once([lambda: net(x)])
        assert not seen
        assert torch.equal(net(x), torch.full((1,), 2.0))
    assert torch.equal(other, x)


def training(model: nn.Module, stop: threading.Event) -> Callable[[], None]:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def train() -> None:
        while not stop.is_set():
            model.train()
            optimizer.zero_grad()
            model(torch.rand(2, 3, 8, 8)).square().mean().backward()
            optimizer.step()

    return train


def test_beside_a_training_thread_it_says_so_and_leaves_training_mode() -> None:
    model, x, stop = network(), torch.rand(1, 3, 8, 8), threading.Event()

    def explain() -> None:
        try:
            net, method = cb.Network(model), LayerMethod(model, "2")
            for _ in range(20):
                with suppress(cb.BlocksError):
                    method.attribute(x, [1])
                with suppress(cb.BlocksError):
                    net.logits(x)
        finally:
            stop.set()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        at_once([training(model, stop), explain])
    told = [str(one.message) for one in said]
    assert any("got other weights while it was being looked at" in one for one in told)
    assert any("copy.deepcopy(model)" in one for one in told)
    assert all(modes_of(model))
    assert hooks_of(model) == 0


def test_what_another_thread_switches_to_training_mode_stays_so_and_is_said() -> None:
    model = network().eval()
    with pytest.warns(UserWarning, match="Classifier was put in training mode"), running(model):
        at_once([model.train])
    assert all(modes_of(model))


def test_a_hook_that_another_thread_adds_or_removes_meanwhile_is_its_own_affair(x: Tensor) -> None:
    model, calls = network().eval(), list[int]()
    handles = [model[0].register_forward_hook(lambda *_: calls.append(0))]

    def change(*_: object) -> None:
        if len(handles) == 1:
            handles[0].remove()
            handles.append(model[4].register_forward_hook(lambda *_: calls.append(1)))

    looking = model[2].register_forward_hook(lambda *_: (at_once([change]), None)[1])
    LayerMethod(model, "5", "LayerDeepLift").attribute(x, [0])
    looking.remove()
    assert not model[0]._forward_hooks
    assert list(model[4]._forward_hooks) == [handles[1].id]
    assert hooks_of(model) == 1


def test_the_modes_of_the_parts_are_not_touched_by_a_look_at_the_picture(
    model: nn.Module, x: Tensor
) -> None:
    modes = modes_of(model)
    with pytest.warns(UserWarning, match="training mode"):
        cb.evaluate(cb.Attribution(cb.Input().channels, cb.Out(0)), model, x)
    assert modes_of(model) == modes


def test_a_state_of_the_process_is_closed_by_the_last_to_leave() -> None:
    states: list[str] = []

    class State:
        def __enter__(self) -> None:
            states.append("open")

        def __exit__(self, *_: object) -> None:
            states.append("closed")

    shared, first_left = Shared(State), threading.Event()

    def longer() -> None:
        with shared:
            inside.set()
            first_left.wait(20)

    inside = threading.Event()
    thread = threading.Thread(target=longer, daemon=True)
    with shared:
        thread.start()
        inside.wait(20)
    assert states == ["open"]
    first_left.set()
    thread.join(20)
    assert states == ["open", "closed"]


def test_different_networks_in_different_threads(x: Tensor) -> None:
    models = [network().eval() for _ in range(3)]
    for number, model in enumerate(models):
        model[0].weight.data *= number + 1
    each = [jobs(model, x) for model in models]
    expected = [{name: job() for name, job in alike.items()} for alike in each]

    def work(alike: dict[str, Job]) -> Callable[[], dict[str, Tensor]]:
        return lambda: {name: job() for _ in range(3) for name, job in alike.items()}

    for (found,), wanted in zip(at_once(list(map(work, each))), expected, strict=True):
        for name, number in found.items():
            torch.testing.assert_close(number, wanted[name])


def test_activations_that_wait_for_their_reader_are_in_nobodys_way(
    model: nn.Module, x: Tensor
) -> None:
    """Between two batches nothing is held, also where the thread that began has ended."""
    net, begun = cb.Network(model), list[Iterator[Tensor]]()

    def begin() -> None:
        begun.append(net.activations("1", [x, x, x], batch_size=1))
        next(begun[-1])

    begin()
    at_once([begin])
    done, other = list[Tensor](), cb.Network(model)
    thread = threading.Thread(target=lambda: done.append(other.logits(x)), daemon=True)
    thread.start()
    thread.join(30)
    assert len(done) == 1
    assert [len(list(each)) for each in begun] == [2, 2]
