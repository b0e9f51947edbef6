"""The smallest part of a picture that keeps what stands at a place."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks import hooks
from captum_blocks.errors import InvalidArgument, LayerNotFound, UnusableLayer
from captum_blocks.examples.boxes import LONGEST, STEP, area, ladder, on_photograph, shaved
from captum_blocks.examples.crops import KEEP, Crop, cropped
from captum_blocks.layouts import resolve
from tests.examples import planted
from tests.reference import crops as reference

SIDE, PATCH = 96, 24


@cache
def pieces() -> tuple[np.ndarray, ...]:
    """Six pieces of photographs, and two pictures of noise."""
    rng = np.random.default_rng(0)
    found = []
    for photo in (data.chelsea(), data.astronaut(), data.coffee()):
        for _ in range(2):
            y, x = (int(rng.integers(0, side - 2 * SIDE)) for side in photo.shape[:2])
            found.append(photo[y : y + 2 * SIDE : 2, x : x + 2 * SIDE : 2])
    noise = rng.integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    return (*found, *noise)


@cache
def patches() -> tuple[Tensor, tuple[planted.Box, ...]]:
    """Pictures with a magenta patch somewhere, and where it is."""
    rng = np.random.default_rng(1)
    pairs = [planted.planted(piece, rng, (0, 0, SIDE, SIDE), PATCH) for piece in pieces()]
    pixels = np.stack([made for made, _ in pairs])
    return torch.from_numpy(pixels).movedim(3, 1).float() / 255, tuple(box for _, box in pairs)


def strongest(net: nn.Module, x: Tensor, sign: int = 1) -> Tensor:
    """(row, 2): where the detector is highest, or lowest."""
    with torch.no_grad():
        output = hooks.run_until(net, {"out": net.out}, x)["out"]  # type: ignore[dict-item]
    maps = sign * resolve(None, output.shape, tuple(x.shape[2:])).to_maps(output)[:, 3]
    at = maps.flatten(1).argmax(1)
    return torch.stack([at // maps.shape[2], at % maps.shape[2]], 1)


def channels(rows: int) -> Tensor:
    return torch.full((rows,), 3)


@pytest.mark.parametrize("kind", planted.NETWORKS)
def test_planted_patch_is_found(kind: str) -> None:
    x, boxes = patches()
    net = planted.made(kind)
    places = strongest(net, x, -1 if kind == "negative" else 1)
    if kind.startswith("attending"):
        places = torch.zeros_like(places)  # all places have it
    found = cropped(net, "out", x, places, channels(len(x)))
    overlaps = [planted.overlap(crop.box, box) for crop, box in zip(found, boxes, strict=True)]
    assert np.mean(overlaps) > 0.6
    assert np.mean(np.array(overlaps) >= 0.5) >= 0.75
    assert all(crop.kept >= KEEP and not crop.note for crop in found)
    assert max(planted.overlap((0, 0, SIDE, SIDE), box) for box in boxes) < 0.1


def transforms() -> Callable[[Image.Image], Tensor]:
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.Resize(SIDE),
            v2.CenterCrop(SIDE),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )


PLAIN = {"size": SIDE, "mean": (0.0,) * 3, "std": (1.0,) * 3}


@pytest.mark.parametrize(
    ("make", "inside"),
    [
        (lambda: cb.Preprocess(**PLAIN, fit="crop", resize=112), (10, 60, 182, 240)),
        (lambda: cb.Preprocess(**PLAIN, fit="letterbox"), (0, 0, 192, 300)),
        (lambda: cb.Preprocess(**PLAIN, fit="stretch"), (0, 0, 192, 300)),
        (transforms, (0, 54, 192, 246)),
    ],
    ids=["crop", "letterbox", "stretch", "transforms"],
)
def test_patch_is_found_in_an_oblong_photograph(
    make: Callable[[], cb.Preprocess], inside: planted.Box
) -> None:
    net = cb.Network(planted.made("NCHW"), make())
    rng = np.random.default_rng(2)
    photo = data.chelsea()[:192, :300]
    size = (300, 192)
    pairs = [planted.planted(photo, rng, inside, 50) for _ in range(6)]
    x = torch.cat([net.read(Image.fromarray(made)) for made, _ in pairs])
    found = cropped(net.module, "out", x, strongest(net.module, x), channels(6))
    assert net.preprocess is not None
    boxes = [crop.on_photograph(size, net.preprocess.extent(size)) for crop in found]
    overlaps = [
        planted.overlap(box, its) for box, (_, its) in zip(boxes, pairs, strict=True) if box
    ]
    assert len(overlaps) == 6
    assert np.mean(overlaps) > 0.6
    assert np.mean(np.array(overlaps) >= 0.5) >= 0.75


def test_direction_is_found_as_its_channel_is() -> None:
    x, _ = patches()
    net = planted.made("NCHW")
    places = strongest(net, x)
    direction = torch.zeros(len(x), 4)
    direction[:, 3] = 2.5
    by_direction = cropped(net, net.out, x, places, direction)  # type: ignore[arg-type]
    assert [each.box for each in by_direction] == [
        each.box for each in cropped(net, "out", x, places, channels(len(x)))
    ]


def test_what_is_kept_is_what_occlusion_gives() -> None:
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 6, 5, 2), nn.Tanh(), nn.Conv2d(6, 5, 5, 2)).eval()
    places, units = torch.tensor([[0, 0], [2, 3], [4, 4], [1, 2]]), torch.tensor([0, 1, 2, 3])
    for row, crop in enumerate(cropped(net, "2", x, places, units)):
        if not crop.whole:
            place = (int(places[row, 0]), int(places[row, 1]))
            kept = reference.kept(net, x[row : row + 1], crop.box, place, int(units[row]))
            assert crop.kept == pytest.approx(kept, abs=1e-4)
            assert kept >= KEEP


def test_rows_do_not_depend_on_each_other() -> None:
    x, _ = patches()
    net = planted.made("gated")
    places = strongest(net, x)
    together = cropped(net, "out", x[:3], places[:3], channels(3), at_once=2)
    alone = cropped(net, "out", x[2:3], places[2:3], channels(1))
    assert together[2].box == alone[0].box


def test_a_few_passes_that_end_at_the_layer() -> None:
    x, _ = patches()
    net = planted.made("NCHW")
    places = strongest(net, x)
    cropped(net, "out", x[:1], places[:1], channels(1))  # how it behaves is tried once
    counted = nn.Sequential(net.seen, net.out, nn.Softmax2d())  # type: ignore[arg-type]
    with hooks.count_calls({"first": counted[0], "last": counted[2]}) as counts:
        cropped(counted, "1", x[:1], places[:1], channels(1))
    # Four to five are of how it behaves, and one of its layout runs to the end.
    assert counts["first"] - counts["last"] <= 15


def test_whole_picture_where_nothing_smaller_will_do() -> None:
    class Everything(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            every = (x[:, :, ::2] - x[:, :, 1::2]).abs().mean((1, 2, 3), keepdim=True)
            return self.out((every - 0.9 * every.detach().new_tensor(1.0)).clamp(min=-0.2))

    x = torch.zeros(1, 3, 32, 32)
    x[:, :, ::2] = 1
    (crop,) = cropped(
        Everything(), "out", x, torch.zeros(1, 2, dtype=torch.long), torch.tensor([0])
    )
    assert (crop.box, crop.area, crop.whole, crop.kept) == ((0, 0, 32, 32), 1.0, True, 1.0)
    assert crop.note == (
        "no smaller part that was tried keeps 80% of the activation: this is the whole picture"
    )


def test_no_part_is_named_where_a_plain_picture_gives_as_much() -> None:
    net = nn.Conv2d(3, 2, 1)
    nn.init.zeros_(net.weight)
    nn.init.ones_(net.bias)  # type: ignore[arg-type]
    net = nn.Sequential(net)  # type: ignore[assignment]
    x = torch.rand(1, 3, 8, 8)
    (crop,) = cropped(net, "0", x, torch.tensor([[1, 1]]), torch.tensor([1]))
    assert crop.whole
    assert np.isnan(crop.kept)
    assert crop.note == (
        "a plain picture in the mean colour of this one gives as much or more, so no part of it is "
        "the cause: this is the whole picture"
    )
    (crop,) = cropped(net, "0", x * torch.nan, torch.tensor([[1, 1]]), torch.tensor([1]))
    assert crop.note == "the activation is not finite: this is the whole picture"


def test_low_example_of_a_rectified_layer_is_what_holds_it_down() -> None:
    """A black patch takes a detector of brightness to zero, which has no sign of its own."""
    net = nn.Sequential(nn.AvgPool2d(8), nn.ReLU())
    x = torch.full((1, 1, 32, 32), 0.8)
    x[..., 8:16, 16:24] = 0
    place, unit = torch.tensor([[1, 2]]), torch.tensor([0])
    (crop,) = cropped(net, "1", x, place, unit, signs=torch.tensor([-1]))
    assert planted.overlap(crop.box, (8, 16, 16, 24)) >= 0.6
    (crop,) = cropped(net, "1", x, place, unit, signs=torch.tensor([1]))
    assert crop.whole


def test_layer_without_gradient_is_searched_about_its_place() -> None:
    class Steps(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x > 0.5).float()

    net = nn.Sequential(Steps(), nn.AvgPool2d(8))
    x = torch.zeros(1, 1, 32, 32)
    x[..., 8:16, 16:24] = 1
    (crop,) = cropped(net, "1", x, torch.tensor([[1, 2]]), torch.tensor([0]))
    assert planted.overlap(crop.box, (8, 16, 16, 24)) >= 0.5


def test_network_comes_back_as_it_was() -> None:
    x, _ = patches()
    net = planted.made("gated").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    places = strongest(planted.made("gated"), x)
    given, drawn = x[:2].clone(), torch.get_rng_state()
    with torch.inference_mode():
        cropped(net, "out", given, places[:2], channels(2))
    assert torch.equal(given, x[:2])
    assert torch.equal(drawn, torch.get_rng_state())
    assert all(module.training for module in net.modules())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert all(not module._forward_hooks for module in net.modules())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_network_whose_rows_move_each_other_runs_them_by_themselves() -> None:
    net = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), nn.AvgPool2d(8))
    x = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    x[..., 8:16, 16:24] += 3
    places, units = torch.tensor([[1, 2]]).repeat(3, 1), torch.zeros(3, dtype=torch.long)
    together = cropped(net, "1", x, places, units)
    assert together[1] == cropped(net, "1", x[1:2], places[1:2], units[1:2])[0]


def test_layer_that_runs_twice_is_looked_at_on_its_last_call() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(nn.functional.avg_pool2d(self.relu(x), 8))

    x = torch.zeros(1, 1, 32, 32)
    x[..., 8:16, 16:24] = 1
    (crop,) = cropped(Twice(), "relu", x, torch.tensor([[1, 2]]), torch.tensor([0]))
    assert planted.overlap(crop.box, (8, 16, 16, 24)) >= 0.7


ROWS = (
    "2 rows, places of shape {} and units of shape (2,); each row has a place (y, x), a unit, and "
    "a sign if any"
)
WRONG: list[tuple[dict[str, object], type, str]] = [
    ({"places": torch.zeros(1, 2).long()}, InvalidArgument, ROWS.format((1, 2))),
    ({"signs": torch.ones(3)}, InvalidArgument, ROWS.format((2, 2))),
    (
        {"places": torch.full((2, 2), 12)},
        InvalidArgument,
        "a place outside of the grid of 'out': (12, 12)",
    ),
    ({"units": torch.tensor([0, 4])}, InvalidArgument, "'out' has channels 0 to 3"),
    (
        {"units": torch.zeros(2, 5)},
        InvalidArgument,
        "directions of shape (2, 5); give (row, 4)",
    ),
    ({"keep": 1.0}, InvalidArgument, "keep=1.0: a box keeps a share between 0 and 1"),
    ({"at_once": 0}, InvalidArgument, "at_once=0: at least one row goes through"),
    ({"layer": "oot"}, LayerNotFound, "no layer 'oot' in Local; did you mean 'out'?"),
    (
        {"layer": "unused"},
        UnusableLayer,
        "the network ran to its end without calling layer 'unused'",
    ),
]


@pytest.mark.parametrize(("change", "kind", "words"), WRONG)
def test_what_cannot_be_is_said(change: dict[str, object], kind: type, words: str) -> None:
    net = planted.made("NCHW")
    net.unused = nn.ReLU()
    given = {
        "layer": "out",
        "x": patches()[0][:2],
        "places": torch.zeros(2, 2).long(),
        "units": torch.zeros(2).long(),
    }
    with pytest.raises(kind) as error:
        cropped(net, **{**given, **change})  # type: ignore[arg-type]
    assert str(error.value) == words


def test_no_rows_no_crops() -> None:
    none = torch.zeros(0, 2).long()
    assert cropped(planted.made("NCHW"), "out", torch.zeros(0, 3, 8, 8), none, none[:, 0]) == []


@pytest.mark.parametrize("seed", range(3))
def test_boxes_of_a_ladder_hold_the_most_of_their_size(seed: int) -> None:
    energy = torch.rand(12, 10, generator=torch.Generator().manual_seed(seed)) ** 4
    boxes = ladder(energy)
    assert boxes[0] == (0, 0, 12, 10)
    for box in boxes[1:]:
        held = float(energy[box[0] : box[2], box[1] : box[3]].sum())
        most = reference.best(energy, area(box), LONGEST)
        assert held >= most * (1 - 1e-3) - 2e-4 * float(energy.sum())


@pytest.mark.parametrize("size", [(64, 64), (40, 200), (7, 3), (1, 1)])
def test_ladder_falls_from_the_whole_picture_in_steps(size: tuple[int, int]) -> None:
    energy = torch.rand(size, generator=torch.Generator().manual_seed(0))
    energy[: size[0] // 2] = 0
    boxes = ladder(energy)
    areas = [area(box) / (size[0] * size[1]) for box in boxes]
    assert areas[0] == 1
    assert all(0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1] for box in boxes)
    if size[0] > 20:
        assert min(areas) < 0.01
        assert all(small / large > STEP**3 for large, small in pairwise(areas[:8]))
    assert ladder(torch.zeros(size))[0] == (0, 0, *size)


def test_box_on_the_photograph_is_cut_off_at_its_edges() -> None:
    preprocess = cb.Preprocess(size=100, fit="letterbox")
    extent = preprocess.extent((200, 100))
    assert on_photograph((0, 0, 100, 100), (100, 100), (200, 100), extent) == (0, 0, 100, 200)
    assert on_photograph((20, 10, 50, 20), (100, 100), (200, 100), extent) == (0, 20, 50, 40)
    assert on_photograph((0, 0, 25, 100), (100, 100), (200, 100), extent) is None
    crop = cb.Preprocess(size=100, fit="crop", resize=125).extent((250, 125))
    assert on_photograph((0, 0, 100, 100), (100, 100), (250, 125), crop) == (12, 75, 113, 175)


def test_shaved_box_keeps_a_pixel() -> None:
    assert [shaved((2, 3, 10, 11), side, 0.25) for side in range(4)] == [
        (4, 3, 10, 11),
        (2, 5, 10, 11),
        (2, 3, 8, 11),
        (2, 3, 10, 9),
    ]
    assert shaved((0, 0, 1, 1), 0, 0.9) == (0, 0, 1, 1)
    assert Crop((0, 0, 2, 2), (4, 4), 0.9).area == 0.25
