"""Networks that write, remember, draw at random or couple the rows of a batch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_blocks.optim import Channel, Diversity, FeatureVisualizer

FAST = {"size": 12, "n_steps": 3, "seed": 0, "transforms": "none"}


@pytest.fixture(autouse=True)
def _same_weights_every_time() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Writing(nn.Module):
    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.in_place, self.conv = in_place, nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.sub_(0.5).div_(0.25) if self.in_place else (x - 0.5) / 0.25)


class Coupled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


def test_a_network_that_writes_to_its_input() -> None:
    writing, pure = Writing(True), Writing(False)
    pure.load_state_dict(writing.state_dict())
    found, expected = (FeatureVisualizer(net, "conv") for net in (writing, pure))
    one, other = (each.visualize(Channel(1), **FAST) for each in (found, expected))
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.scores, other.scores)


def test_a_preprocessing_that_writes_to_its_input() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    one = FeatureVisualizer(net, "0", lambda x: x.mul_(2)).visualize(Channel(1), **FAST)
    other = FeatureVisualizer(net, "0", lambda x: x * 2).visualize(Channel(1), **FAST)
    assert torch.equal(one.images, other.images)


def test_pictures_of_a_network_of_coupled_rows_are_those_of_each_alone() -> None:
    visualizer = FeatureVisualizer(Coupled(), "act")
    objectives = [Channel(0), Channel(3), Channel(1)]
    together = visualizer.visualize(objectives, **FAST)
    alone = [visualizer.visualize(objective, **FAST) for objective in objectives]
    torch.testing.assert_close(together.images, torch.cat([one.images for one in alone]))
    torch.testing.assert_close(together.scores, torch.cat([one.scores for one in alone]))


def test_the_score_of_a_coupled_network_is_that_of_the_picture_itself() -> None:
    net = Coupled().eval()
    together = FeatureVisualizer(net, "act").visualize([Channel(0), Channel(3)], **FAST)
    with torch.no_grad():
        own = [net(image[None]).mean((2, 3))[0] for image in together.images]
    expected = torch.stack([own[0][0], own[1][3]])
    torch.testing.assert_close(together.scores, expected, rtol=1e-4, atol=1e-5)


def test_what_is_in_front_of_the_coupling_goes_together() -> None:
    visualizer = FeatureVisualizer(Coupled(), "conv")
    sizes: list[int] = []
    visualizer.module.conv.register_forward_hook(lambda m, i, o: sizes.append(len(o)))
    visualizer.visualize([Channel(0), Channel(1)], **FAST)
    assert sizes[-1] == 2


def test_images_that_are_coupled_on_purpose_stay_so() -> None:
    visualizer = FeatureVisualizer(Coupled(), "act")
    apart = visualizer.visualize(Channel(0).copies(2), **FAST)
    diverse = visualizer.visualize(Channel(0).copies(2) + Diversity(), **FAST)
    assert not torch.allclose(apart.images, diverse.images)


def test_pictures_that_do_not_come_out_the_same_twice_are_warned_of() -> None:
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(functional.dropout(x, 0.5))

    visualizer = FeatureVisualizer(Dropping(), "conv")
    with pytest.warns(UserWarning, match="do not come out the same twice"):
        visualizer.visualize(Channel(0), **FAST)


class Recorder:
    """What a user's hook keeps of a pass."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []

    def __call__(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.kept.append(output)

    def also(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.kept.append(output * 2)


class Keeping(nn.Module):
    """Leaves tensors of its graph in all sorts of places."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.states: dict[str, list[Tensor]] = {"all": []}
        self.register_buffer("charge", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.last = self.conv(x)
        self.states["all"] = [self.last, self.last * 2]
        self.charge = self.last.mean((1, 2, 3))
        return self.last.relu()


def test_tensors_that_a_pass_of_ones_own_has_left_behind() -> None:
    net, recorder = Keeping(), Recorder()
    net.conv.register_forward_hook(recorder)
    net.conv.register_forward_hook(recorder.also)
    net(torch.rand(1, 3, 8, 8)).sum().backward()
    last, charge = net.last, net.charge
    assert not last.is_leaf
    found = FeatureVisualizer(net, "conv").visualize(Channel(1), **FAST)
    plain = Keeping()
    plain.conv.load_state_dict(net.conv.state_dict())
    expected = FeatureVisualizer(plain, "conv").visualize(Channel(1), **FAST)
    assert torch.equal(found.images, expected.images)
    assert net.last is last
    assert net.charge is charge
    assert len(recorder.kept) == 2
