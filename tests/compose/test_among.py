"""What numbers of a photograph stand among: those of other photographs, computed by plain torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.compose.evaluation.tables import LOW, UP
from captum_blocks.errors import InvalidArgument, LayerNotFound, UnknownName, WrongType
from captum_blocks.examples.standing import effective, standing, wilson
from captum_blocks.grammar import from_json, rewritten
from captum_blocks.scene import Histogram

BIRDS = cb.Dataset("birds")
EARLY, LATE = cb.Hidden("early"), cb.Hidden("late")
PLACE = (1, 2)
COUNT = 70


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return torch.randn(COUNT, 3, 16, 16, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def index(small: cb.Network, pictures: Tensor) -> cb.ExampleIndex:
    return cb.ExampleIndex.build(
        small, list(pictures), ["early", "late"], batch_size=8, progress=False
    )


def late(small: cb.Network, x: Tensor) -> Tensor:
    """(image, channel, y, x) of the layer, by calling its modules."""
    with torch.no_grad():
        return small.module.late(small.module.early(x))


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def number(content, small, small_x, index):
    return cb.evaluate(content, small, small_x, {"birds": index})


def share_below(own: Tensor, kept: Tensor) -> Tensor:
    """(atom,) in percent, of numbers (atom,) among (example, atom) none of which are equal."""
    return 100 * torch.stack([(kept[:, i] < own[i]).float().mean() for i in range(len(own))])


def test_numbers_stay_and_means_stand_among_means(small, small_x, index, pictures) -> None:
    plain = cb.evaluate(cb.Activation(LATE.channels), small, small_x)
    value = number(cb.Activation(LATE.channels, over=BIRDS), small, small_x, index)
    assert torch.equal(value.data, plain.data)
    close(value.among.numbers, late(small, pictures).mean((2, 3)))
    assert value.among.sources == COUNT
    assert value.sentences == (f"among the channel means of {COUNT} photographs",)


@pytest.mark.parametrize(
    ("content", "channels"),
    [
        (cb.Activation(LATE.channels[[7, 2]], over=BIRDS), [7, 2]),
        (cb.Activation(LATE.channels, over=BIRDS).filter(at=7), [7]),
        (cb.Activation(LATE.channels[[4, 7, 2]], over=BIRDS).filter(bottom=1), None),
        (cb.Activation(LATE.channels, over=BIRDS).filter(top=3).filter(top=2), None),
        (cb.Activation(LATE.channels, over=BIRDS).filter(image=0), list(range(10))),
    ],
)
def test_filtered_channels_keep_their_columns(
    content, channels, small, small_x, index, pictures
) -> None:
    value = number(content, small, small_x, index)
    kept = list(value.coords.get("channel", ())) if channels is None else channels
    assert kept
    close(value.among.numbers, late(small, pictures).mean((2, 3))[:, kept])


def vectors(small: cb.Network, index: cb.ExampleIndex, pictures: Tensor) -> Tensor:
    """(photograph, channel) of the layer at the place that the index names for each photograph."""
    _, images, places = index.vectors("late")
    maps = late(small, pictures[torch.from_numpy(images)])
    cells = (places * np.array(maps.shape[2:])).astype(int)
    return torch.stack([maps[i, :, y, x] for i, (y, x) in enumerate(cells)])


@pytest.mark.parametrize(
    "content",
    [
        cb.Activation(LATE.neurons, over=BIRDS).filter(at=PLACE, top=3),
        cb.Activation(LATE.neurons, over=BIRDS).filter(at=PLACE).filter(strongest=4),
    ],
)
def test_positions_stand_among_positions(content, small, small_x, index, pictures) -> None:
    value = number(content, small, small_x, index)
    kept = list(value.coords["channel"])
    close(value.data[0], late(small, small_x)[0, kept, 1, 2])
    close(value.among.numbers, vectors(small, index, pictures)[:, kept])
    assert "at one place, away from the border, of each of 70 photographs" in value.among.told


def test_the_strongest_of_all_neurons_keep_their_channels(small, small_x, index, pictures) -> None:
    value = number(cb.Activation(LATE.neurons, over=BIRDS).filter(top=5), small, small_x, index)
    flat = late(small, small_x)[0].flatten()
    channels = flat.topk(5).indices // 16
    assert value.axes == ("image", "neuron")
    close(value.among.numbers, vectors(small, index, pictures)[:, channels])
    regional = cb.Activation(LATE.neurons, over=BIRDS).filter(within=(0, 0, 0.5, 1)).filter(top=5)
    value = number(regional, small, small_x, index)
    upper = late(small, small_x)[0, :, :2]
    close(value.data[0], upper.flatten().topk(5).values)
    channels = upper.flatten().topk(5).indices // 8
    close(value.among.numbers, vectors(small, index, pictures)[:, channels])


def test_percentiles_of_means(small, small_x, index, pictures) -> None:
    value = number(cb.Activation(LATE.channels).percentile(BIRDS), small, small_x, index)
    own, kept = late(small, small_x).mean((2, 3))[0], late(small, pictures).mean((2, 3))
    close(value.data[0], share_below(own, kept))
    assert (value.axes, value.unit, value.remainder) == (("image", "channel"), "percentile", {})
    n, z = COUNT, 1.959964
    for share, low, high in zip(
        (value.data[0] / 100).tolist(), *(value.also[end][0].tolist() for end in (LOW, UP)),
        strict=True,
    ):  # fmt: skip
        middle = (share + z * z / 2 / n) / (1 + z * z / n)
        half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / 4 / n**2) ** 0.5
        assert (low, high) == pytest.approx(
            (100 * (middle - half), 100 * (middle + half)), abs=1e-3
        )


@pytest.mark.parametrize("top", [None, 4])
def test_percentiles_of_a_place_before_and_after_a_filter(
    top, small, small_x, index, pictures
) -> None:
    own, kept = late(small, small_x)[0, :, 1, 2], vectors(small, index, pictures)
    expected = 100 * ((kept < own).float() + (kept == own).float() / 2).mean(0)
    activation = cb.Activation(LATE.neurons)
    for content in (
        activation.filter(at=PLACE, top=top).percentile(BIRDS),
        activation.percentile(BIRDS).filter(at=PLACE, top=top),
    ):
        value = number(content, small, small_x, index)
        close(value.data[0], expected[list(value.coords["channel"])])
        assert all(held.shape == value.data.shape for held in value.also.values())
        assert bool((value.also[LOW] <= value.data).all() & (value.data <= value.also[UP]).all())
        assert value.sentences[-1].startswith("among the activations at one place")


class Dark(nn.Module):
    """One by one: the red of a place less a half, cut at zero and one; and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Hardtanh(0.0, 1.0))
        with torch.no_grad():
            self.layer[0].weight.zero_()
            self.layer[0].weight[0, 0] = 1.0
            self.layer[0].bias.copy_(torch.tensor([-0.5, 0.1]))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).mean((2, 3))


@pytest.fixture(scope="module")
def dark() -> cb.Network:
    return cb.Network(Dark().eval(), name="Dark")


@pytest.fixture(scope="module")
def reds() -> list[Tensor]:
    """A third is dark, a third is at the ceiling, a third lies between."""
    levels = [*[0.2] * 20, *[0.6 + k / 100 for k in range(20)], *[2.0] * 20]
    return [torch.full((3, 5, 7), level) for level in levels]


@pytest.fixture(scope="module")
def steps(dark: cb.Network, reds: list[Tensor]) -> cb.ExampleIndex:
    return cb.ExampleIndex.build(dark, reds, ["layer"], batch_size=7, progress=False)


@pytest.mark.parametrize("atom", ["channels", "neurons"])
@pytest.mark.parametrize(
    ("red", "below", "upto"), [(0.0, 0.0, 1 / 3), (5.0, 2 / 3, 1.0), (0.695, 0.5, 0.5)]
)
def test_at_a_point_mass_it_is_the_whole_step(dark, steps, atom, red, below, upto) -> None:
    content = cb.Activation(getattr(cb.Hidden("layer"), atom))
    if atom == "neurons":
        content = content.filter(at=(0, 0))
    value = cb.evaluate(
        content.percentile(BIRDS), dark, torch.full((1, 3, 5, 7), red), {"birds": steps}
    )
    assert value.data[0, 0] == pytest.approx(50 * (below + upto))
    expected = 100 * wilson(np.array(below), 60)[0], 100 * wilson(np.array(upto), 60)[1]
    assert [float(value.also[end][0, 0]) for end in (LOW, UP)] == pytest.approx(expected, abs=1e-3)
    # A channel that is the same everywhere stands anywhere.
    assert value.data[0, 1] == 50
    assert [float(value.also[end][0, 1]) for end in (LOW, UP)] == [0.0, 100.0]


def test_the_step_before_it_is_widened_is_exact(dark, steps) -> None:
    kept = steps.tables("layer")["mean"][:, :1]
    found = standing(np.zeros(1), kept, steps.pictures()["source"])
    assert (found.below.tolist(), found.upto.tolist()) == ([0.0], [20 / 60])
    assert (found.low[0], found.high[0]) == (0.0, wilson(np.array(1 / 3), 60)[1])


def test_sums_of_other_roundings_are_equal() -> None:
    third = np.float32(1) / np.float32(3)
    found = standing(
        np.array([np.nextafter(third, np.float32(1))]), np.full((50, 1), third), range(50)
    )
    assert (found.below.tolist(), found.upto.tolist()) == ([0.0], [1.0])


def test_tiles_of_one_photograph_are_one_sample(dark, reds) -> None:
    """Six hundred tiles of sixty photographs are as sure as sixty photographs."""
    tiles = [red for red in reds for _ in range(10)]
    index = cb.ExampleIndex.build(
        dark, tiles, ["layer"], sources=lambda number: str(number // 10), progress=False
    )
    x = torch.full((1, 3, 5, 7), 0.695)
    content = cb.Activation(cb.Hidden("layer").channels[[0]])
    value = cb.evaluate(content.percentile(BIRDS), dark, x, {"birds": index})
    low, high = wilson(np.array(0.5), 60)
    assert value.data.tolist() == [[50.0]]
    assert value.also[LOW].item() == pytest.approx(100 * low, abs=1e-3)
    assert value.also[UP].item() == pytest.approx(100 * high, abs=1e-3)
    told = "among the channel means of 600 pictures cut from 60 photographs"
    assert value.sentences == (told,)
    counts = shown(cb.Activation(content.source, over=BIRDS), dark, x, index)
    assert counts.counted == "pictures"
    assert (
        cb.evaluate(cb.Activation(content.source, over=BIRDS), dark, x, {"birds": index}).among.told
        == told
    )


def test_a_photograph_of_most_tiles_is_no_more_than_one() -> None:
    assert effective([0] * 500 + list(range(1, 101))) == pytest.approx(600**2 / (500**2 + 100))


def test_words_survive_json_and_older_texts_are_read() -> None:
    over = cb.Activation(LATE.channels[[7]], over=BIRDS)
    here = cb.hover("spatial")
    percentile = cb.Activation(LATE.neurons).filter(at=here, top=6).percentile(BIRDS)
    for content in (over, percentile, percentile.filter(top=2)):
        element = cb.InfoVis(content, "histogram") | cb.InfoVis(content)
        assert cb.Interface.from_json(element.to_json()) == element
    assert repr(over) == ("Activation(Hidden('late').channels[[7]], over=Dataset(name='birds'))")
    assert repr(cb.Activation(LATE.channels)) == "Activation(Hidden('late').channels)"
    older = {
        "word": "Activation",
        "source": {
            "word": "Substrate",
            "layer": {"word": "Hidden", "layer": "late"},
            "atom": "channel",
        },
    }
    read = from_json(json.dumps({"captum_blocks": 1, "spec": older}))
    assert read == cb.Activation(LATE.channels)
    renamed = rewritten(percentile, lambda part: cb.Dataset("cats") if part == BIRDS else part)
    assert renamed.among == cb.Dataset("cats")


CHANNELS = cb.Activation(LATE.channels, over=BIRDS)
PLAIN = cb.Activation(LATE.channels)
NOTHING, OTHERS = "stands among nothing", "activations of channels or neurons"


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: cb.Activation(LATE.channels, over="birds"), WrongType, "over= takes a data set"),
        (lambda: PLAIN.percentile("birds"), WrongType, "among a data set"),
        (lambda: cb.Activation(LATE.spatial).percentile(BIRDS), InvalidArgument, NOTHING),
        (lambda: cb.Activation(LATE.groups(2)).percentile(BIRDS), InvalidArgument, NOTHING),
        (lambda: cb.Activation(cb.Input().channels).percentile(BIRDS), InvalidArgument, NOTHING),
        (lambda: cb.Activation(cb.Out(1)).percentile(BIRDS), InvalidArgument, NOTHING),
        (lambda: PLAIN.normalise().percentile(BIRDS), InvalidArgument, OTHERS),
        (
            lambda: cb.Attribution(LATE.channels, cb.Out(1)).percentile(BIRDS),
            InvalidArgument,
            OTHERS,
        ),
        (lambda: CHANNELS.percentile(BIRDS), InvalidArgument, "leave over= out"),
    ],
)
def test_words_that_mean_nothing_are_refused_when_they_are_made(make, kind, message) -> None:
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *[(cb.Activation(source, over=BIRDS), "stands among nothing") for source in (
            LATE.spatial, LATE.whole, LATE.groups(2), cb.Input().neurons, cb.Out(1))],
        (CHANNELS.normalise(), "other numbers"),
        (CHANNELS.aggregate("channel"), "other numbers"),
        (CHANNELS.filter(top=2).aggregate("image"), "other numbers"),
        (CHANNELS.project(LATE.groups(2)), "other numbers"),
        (cb.Activation(LATE.channels).difference(CHANNELS), "other numbers"),
        (CHANNELS.filter(within=(0, 0, 0.5, 1)), "a region stands among nothing"),
        (CHANNELS.filter(within=(0, 0, 0.5, 1)).filter(top=2), "a region stands among nothing"),
        (cb.Activation(LATE.channels).filter(within=(0, 0, 1, 0.5)).percentile(BIRDS), "a region"),
    ],
)  # fmt: skip
def test_what_stands_among_nothing_is_refused(content, message, small, small_x, index) -> None:
    with unrun(small), pytest.raises(InvalidArgument, match=message):
        number(content, small, small_x, index)


BOTH = pytest.mark.parametrize(
    "content", [CHANNELS, cb.Activation(LATE.channels).percentile(BIRDS)]
)


@contextmanager
def unrun(net: cb.Network) -> Iterator[None]:
    """What is refused is refused before the network runs."""
    handle = net.module.register_forward_pre_hook(lambda *_: pytest.fail("it ran"))
    yield
    handle.remove()


@BOTH
def test_a_data_set_without_an_index(content, small, small_x, index) -> None:
    with unrun(small):
        with pytest.raises(UnknownName, match="nothing is given for 'birds'; did you mean 'bird'?"):
            cb.evaluate(content, small, small_x, {"bird": index})
        with pytest.raises(WrongType, match="so it is an ExampleIndex, not a dict"):
            cb.evaluate(content, small, small_x, {"birds": {}})


@BOTH
def test_an_index_of_another_network(content, small, small_x, index) -> None:
    other = nn.Sequential(small.module.early, nn.Conv2d(6, 10, 1))
    net = cb.Network(nn.ModuleDict({"early": other[0], "late": other[1]}), small.preprocess)
    with pytest.raises(InvalidArgument, match="other weights: its numbers say nothing of this"):
        cb.evaluate(content, net, small_x, {"birds": index})


@BOTH
def test_an_index_without_the_layer(content, small, small_x, pictures) -> None:
    index = cb.ExampleIndex.build(small, list(pictures), ["late.0"], progress=False)
    message = "layer 'late' is not in the index; did you mean 'late.0'?"
    with unrun(small), pytest.raises(LayerNotFound, match=message):
        number(content, small, small_x, index)


def test_of_few_photographs_no_percentile_is_claimed(small, small_x, pictures) -> None:
    few = cb.ExampleIndex.build(small, list(pictures[:49]), ["late"], progress=False)
    with unrun(small), pytest.raises(InvalidArgument) as refused:
        number(cb.Activation(LATE.channels).percentile(BIRDS), small, small_x, few)
    assert few.too_few
    assert str(refused.value).endswith(few.too_few)
    told = number(CHANNELS, small, small_x, few).sentences
    assert told == (f"among the channel means of 49 photographs; {few.too_few}",)
    sample = cb.ExampleIndex.build(small, list(pictures), ["late"], vectors=20, progress=False)
    number(cb.Activation(LATE.channels).percentile(BIRDS), small, small_x, sample)
    with pytest.raises(InvalidArgument, match="at one place of 20 photographs, 20 of them"):
        number(cb.Activation(LATE.neurons).percentile(BIRDS), small, small_x, sample)


def test_tables_name_the_ends(small, small_x, index) -> None:
    content = cb.Activation(LATE.channels[[7]]).percentile(BIRDS)
    frame = number(content, small, small_x, index).to_frame()
    assert list(frame.columns) == ["image", "channel", "value", "95 % from", "95 % up to"]
    shown = cb.explain(cb.InfoVis(content), small, small_x, given={"birds": index}, progress=False)
    table = shown.to_frame()
    assert table["question"].tolist() == ["", "95 % from", "95 % up to"]
    (panel,) = shown.scene.panels()
    value, low, high = table["value"]
    assert panel.frames[0][0].detail == (
        f"channel 7: percentile {value:.3g}; 95 % from {low:.3g}; up to {high:.3g}"
    )
    assert "among the channel means of 70 photographs" in panel.left_out


def shown(content, small, small_x, index) -> Histogram:
    element = cb.InfoVis(content, "histogram")
    made = cb.explain(element, small, small_x, given={"birds": index}, progress=False)
    (panel,) = made.scene.panels()
    assert isinstance(panel, Histogram)
    return panel


def test_a_histogram_of_the_data_set_marks_the_photograph(small, small_x, index, pictures) -> None:
    content = cb.Activation(LATE.channels[[7, 2]], over=BIRDS)
    panel = shown(content, small, small_x, index)
    own, kept = late(small, small_x).mean((2, 3))[0], late(small, pictures).mean((2, 3))
    assert panel.columns == ("channel 7", "channel 2")
    assert panel.marked[0] == pytest.approx(own[[7, 2]].tolist(), abs=1e-6)
    every = torch.cat([kept[:, [7, 2]].flatten(), own[[7, 2]]])
    ends = float(every.min()), float(every.max())
    assert (panel.edges[0], panel.edges[-1]) == pytest.approx(ends, abs=1e-6)
    for channel, counts in zip((7, 2), panel.frames[0], strict=True):
        assert sum(counts) == COUNT
        inner = np.array(panel.edges[1:-1])
        upto = [int((kept[:, channel] < edge).sum()) for edge in inner]
        assert np.cumsum(counts)[:-1].tolist() == pytest.approx(upto, abs=1)
    assert panel.counted == "photographs"
    assert panel.left_out == "showing 2 of 10 channels; among the channel means of 70 photographs"


def test_the_mark_follows_the_place_that_is_pointed_at(small, small_x, index) -> None:
    here = cb.hover("spatial")
    activation = cb.Activation(LATE.neurons, over=BIRDS)
    panel = shown(activation.filter(at=here).filter(at=7), small, small_x, index)
    maps = late(small, small_x)[0, 7]
    assert panel.columns == ("channel 7",)
    assert np.array(panel.marked)[:, 0] == pytest.approx(maps.flatten().numpy(), abs=1e-6)
    assert len(set(panel.frames)) == 1
    panel = shown(activation.filter(top=2), small, small_x, index)
    assert panel.columns == ("channel 6 at row 3, column 4", "channel 5 at row 2, column 3")


def test_the_selected_channel_stands_among_its_own(small, small_x, index, pictures) -> None:
    content = cb.Activation(LATE.channels[[7, 2]], over=BIRDS).filter(at=cb.hover("channel"))
    panel = shown(content, small, small_x, index)
    own, kept = late(small, small_x).mean((2, 3))[0], late(small, pictures).mean((2, 3))
    assert panel.columns == ("the channel selected",)
    assert np.array(panel.marked)[:, 0] == pytest.approx(own[[7, 2]].numpy(), abs=1e-6)
    for channel, (counts,) in zip((7, 2), panel.frames, strict=True):
        expected = np.histogram(kept[:, channel].numpy(), panel.edges)[0]
        assert np.cumsum(counts) == pytest.approx(np.cumsum(expected), abs=1)


def test_several_photographs_stand_among_the_same(small, small_x, index) -> None:
    content = cb.Activation(LATE.channels[[7]], over=BIRDS)
    x = torch.cat([small_x, small_x.flip(-1) * 2])
    panel = shown(content, small, x, index)
    own = late(small, x).mean((2, 3))[:, 7]
    assert np.array(panel.marked)[:, 0] == pytest.approx(own.numpy(), abs=1e-6)
    assert panel.frames[0] == panel.frames[1]


def test_each_network_has_an_index_of_its_own(small, small_x, index, pictures) -> None:
    module = type(small.module)().eval()
    other = cb.Network(module, small.preprocess, name="other")
    theirs = cb.ExampleIndex.build(other, list(pictures), ["late"], progress=False)
    nets = {"base": small, "tuned": other}
    layer = cb.Hidden("late", network="tuned").channels
    content = cb.Activation(layer).percentile(cb.Dataset("theirs"))
    with torch.no_grad():
        own, kept = (module.late(module.early(x)).mean((2, 3)) for x in (small_x, pictures))
    value = cb.evaluate(content, nets, small_x, {"theirs": theirs})
    expected = 100 * ((kept < own).float() + (kept == own).float() / 2).mean(0)
    close(value.data[0], expected)
    with pytest.raises(InvalidArgument, match="other has other weights"):
        cb.evaluate(content, nets, small_x, {"theirs": index})


def test_a_single_percentile_tells_its_ends(small, small_x, index, tmp_path) -> None:
    content = cb.Activation(LATE.neurons).filter(at=PLACE).filter(at=7).percentile(BIRDS)
    made = cb.explain(cb.InfoVis(content), small, small_x, given={"birds": index}, progress=False)
    value = number(content, small, small_x, index)
    (panel,) = made.scene.panels()
    low, high = (value.also[end].item() for end in (LOW, UP))
    ends = f"95 % from {low:.3g}; up to {high:.3g}"
    assert panel.frames[0][0].detail.endswith(f"percentile {value.data.item():.3g}; {ends}")
    made.save(tmp_path / "values.npz")
    kept = np.load(tmp_path / "values.npz")
    kinds = [row["kind"] for row in kept["keys"]]
    assert {"also: 95 % from", "also: 95 % up to"} <= set(kinds)


def test_own_numbers_beyond_all_others_lie_within_the_edges(dark, steps) -> None:
    content = cb.Activation(cb.Hidden("layer").channels[[1]], over=BIRDS)
    panel = shown(content, dark, torch.full((1, 3, 5, 7), 0.5), steps)
    assert panel.edges[0] < panel.marked[0][0] < panel.edges[-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (cb.Activation(LATE.neurons, over=BIRDS), "takes one place"),
        (
            cb.Activation(LATE.neurons, over=BIRDS).filter(at=cb.hover("spatial"), top=1),
            "a histogram's rows stay",
        ),
    ],
)
def test_histograms_that_cannot_be_drawn(content, message, small, small_x, index) -> None:
    with pytest.raises(InvalidArgument, match=message):
        shown(content, small, small_x, index)


def test_many_distributions_are_refused(pictures) -> None:
    wide = cb.Network(nn.Sequential(nn.Conv2d(3, 13, 3), nn.ReLU(), nn.Flatten()), name="wide")
    index = cb.ExampleIndex.build(wide, list(pictures), ["1"], progress=False)
    layer = cb.Hidden("1").channels
    with pytest.raises(InvalidArgument, match="13 distributions one below the other"):
        shown(cb.Activation(layer, over=BIRDS), wide, pictures[:1], index)
    twelve = cb.Activation(layer, over=BIRDS).filter(top=12)
    assert len(shown(twelve, wide, pictures[:1], index).columns) == 12


def test_a_histogram_of_percentiles_is_one_of_percentiles(small, small_x, index) -> None:
    content = cb.Activation(LATE.channels).percentile(BIRDS)
    panel = shown(content, small, small_x, index)
    assert (panel.unit, panel.counted, panel.marked) == ("percentile", "channels", ())
    assert sum(panel.frames[0][0]) == 10
