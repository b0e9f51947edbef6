"""Images that get no gradient at the start: woken, and nobody else disturbed."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from captum_blocks.optim import Channel, FeatureVisualizer, Jitter
from captum_blocks.optim._batches import Batch, in_batches
from tests.optim.conftest import seeded

SEEN: list[int] = []


class HalfSilent(nn.Module):
    """Units 0 and 1 are silent on noise, 2 and 3 are not; writes down how many images came."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        with torch.random.fork_rng():
            torch.manual_seed(5)
            nn.init.normal_(self.conv.weight, std=1.0)
        self.conv.bias.data = torch.tensor([-1.0, -1.0, 1.0, 1.0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        SEEN.append(len(x))
        return (self.conv(x - 0.5)).relu()


@pytest.fixture
def visualizer() -> Iterator[FeatureVisualizer]:
    # The rectifier is inside the layer: its output is what is looked at.
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # passes are counted: all images go together
    yield FeatureVisualizer(nn.Sequential(HalfSilent()), "0")
    torch.set_num_threads(before)


def history(visualizer, units, n_steps=20):
    objectives = [Channel(u) for u in units]
    made = visualizer.visualize(objectives, size=12, n_steps=n_steps, transforms=Jitter(1))
    return made.history, made.images


def test_only_the_blocked_images_are_seen_twice(visualizer):
    history(visualizer, [0, 2, 3], 1)
    SEEN.clear()
    history(visualizer, [0, 2, 3], 1)
    assert SEEN[-3:] == [3, 1, 3]  # all, the silent one again, the clean scores


def test_nothing_is_seen_twice_where_nothing_is_blocked(visualizer):
    history(visualizer, [2, 3], 1)
    SEEN.clear()
    history(visualizer, [2, 3], 2)
    assert SEEN[-3:] == [2, 2, 2]


def test_the_rescue_is_for_the_first_steps(visualizer):
    """A unit that never wakes is seen twice a step sixteen times, then once."""
    recipe = {"size": 12, "transforms": "none", "optimizer": "sgd", "learning_rate": 0.0}
    visualizer.visualize(Channel(0), **recipe, n_steps=1)
    SEEN.clear()
    visualizer.visualize(Channel(0), **recipe, n_steps=20)
    shapes_memory_scores_and_still_the_same = 4
    assert len(SEEN) == 20 + 16 + shapes_memory_scores_and_still_the_same


@pytest.mark.parametrize("unit", [0, 1, 2, 3])
def test_a_picture_does_not_depend_on_blocked_neighbours(visualizer, unit):
    alone, picture = history(visualizer, [unit])
    together, pictures = history(visualizer, [0, 2, 1, 3])
    place = [0, 2, 1, 3].index(unit)
    torch.testing.assert_close(together[:, place], alone[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(pictures[place], picture[0], atol=1e-4, rtol=0)
    assert alone[0, 0] == 0 if unit < 2 else alone[0, 0] > 0


def test_the_silent_wake_among_the_awake(visualizer):
    scores, _ = history(visualizer, [3, 0, 2], 60)
    assert scores[0, 1] == 0
    assert (scores[-1] > 0).all()


class Silent(nn.Module):
    """A unit that noise does not reach: shut below (or above) for any grey picture."""

    def __init__(self, bias: float, act: nn.Module) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 2, 3), act
        nn.init.constant_(self.conv.bias, bias)
        nn.init.normal_(self.conv.weight, std=1.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv(x - 0.5)) * 2


@pytest.mark.parametrize("act", [nn.ReLU(), nn.ReLU6(inplace=True)])
def test_silent_units_are_woken(act):
    net = seeded(lambda: Silent(-2.0, act))
    made = FeatureVisualizer(net, "act").visualize(
        [Channel(0), Channel(1)], size=12, n_steps=60, transforms="none"
    )
    assert (made.history[0] == 0).all()
    assert (made.scores > 0).all()


def test_a_dead_layer_warns_and_gives_its_picture():
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Threshold(100.0, 0.0))
    with pytest.warns(UserWarning, match=r"no gradient ever reached 1 of 1 images \('channel 0'\)"):
        made = FeatureVisualizer(net, "1").visualize(Channel(0), size=12, n_steps=20)
    assert made.images.isfinite().all()


def test_saturated_units_still_improve(stem):
    made = FeatureVisualizer(stem, "act").visualize(20 * Channel(0), size=16, n_steps=5)
    assert made.scores.isfinite().all()


def test_the_part_of_a_batch_keeps_compared_images_together():
    first, pair, last = Channel(0), Channel(1).copies(2), Channel(2)
    batch = Batch([first, pair, last], [1, 2, 1], [4, 5, 6, 7])
    part, inside = batch.only(torch.tensor([False, False, True, False]))
    assert (part.objectives, part.sizes, part.rows, inside) == ([pair], [2], [5, 6], [1, 2])


def test_parts_of_a_part_are_rows_of_the_run():
    batch = Batch([Channel(i) for i in range(4)], [1, 1, 1, 1], [2, 3, 4, 5])
    part, _ = batch.only(torch.tensor([True, False, True, True]))
    assert part.rows == [2, 4, 5]
    assert part.of(torch.arange(10)).tolist() == [2, 4, 5]
    deeper, inside = part.only(torch.tensor([False, True, True]))
    assert (deeper.rows, inside) == ([4, 5], [1, 2])


def test_batches_hold_what_is_seen_alike():
    through = {0: (), 1: (Jitter(1),)}
    pairs = [(Channel(i), 1 + (i == 2)) for i in (0, 1, 2, 3, 4)]
    batches = in_batches(pairs, 3, lambda one: through[one.channel % 2])
    assert [batch.rows for batch in batches] == [[0, 2, 3], [5], [1, 4]]
    assert [batch.transforms for batch in batches] == [(), (), (Jitter(1),)]
    batches.pop(0)
    part, _ = batches[1].only(torch.tensor([False, True]))
    assert part.transforms == batches[1].merged.transforms == (Jitter(1),)


def test_transforms_without_a_hash_are_taken(visualizer):
    class Bare(Jitter):
        __hash__ = None

    made = visualizer.visualize([Channel(0), Channel(1)], size=12, n_steps=2, transforms=Bare(1))
    plain = visualizer.visualize([Channel(0), Channel(1)], size=12, n_steps=2, transforms=Jitter(1))
    assert torch.equal(made.images, plain.images)


def test_batches_hold_neighbours_up_to_a_size():
    pairs = [(Channel(i), size) for i, size in enumerate([1, 1, 3, 1, 5])]
    assert [batch.rows for batch in in_batches(pairs, 3)] == [
        [0, 1],
        [2, 3, 4],
        [5],
        [6, 7, 8, 9, 10],
    ]
