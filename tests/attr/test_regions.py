"""Edits of the picture: the engine against loops, and what the region of a map is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import captum_blocks as cb
from captum_blocks.attr import (
    BLUR,
    EDGE,
    RegionEdit,
    SteadyRegionEdit,
    regions_of_maps,
    regions_of_places,
    scored,
)
from captum_blocks.attr.regions import blurred, cells, strongest_half
from captum_blocks.errors import BlocksError, InvalidArgument, UnknownName, UnsupportedMethod
from tests.reference import regions as reference


@pytest.fixture
def x() -> Tensor:
    return torch.rand(2, 3, 8, 8)


@pytest.fixture
def masks() -> Tensor:
    hard = torch.zeros(2, 3, 8, 8)
    hard[:, 0, :5], hard[:, 1, 4:, 6:], hard[1, 2, 3:6, 3:6] = 1, 1, 1
    hard[0, 2] = torch.rand(8, 8)
    return hard


@pytest.mark.parametrize("at_once", [1, 2, 16])
@pytest.mark.parametrize("score", ["logit", "log-odds"])
def test_a_blur_is_the_plain_loop(
    convnet: nn.Module, x: Tensor, masks: Tensor, score: Any, at_once: int
) -> None:
    sigma = BLUR * 8
    rows = [torch.stack([reference.blurred(each, sigma) for each in one]) for one in x]
    filling = torch.stack(rows)
    engine = RegionEdit(convnet, perturbations_per_eval=at_once)
    own, after = engine.edited(x, masks)
    expected = reference.edited(convnet, x, masks, filling)
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(own, convnet(x).detach())
    found = engine.attribute(x, masks, targets=[2, 0], score=score)
    for place, target in enumerate((2, 0)):
        taken = scored(own, target, score)[:, None] - scored(expected, target, score)
        torch.testing.assert_close(found[:, place], taken, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["images", "image", "row", "channels"])
def test_what_replaces_a_region_is_what_is_given(
    convnet: nn.Module, x: Tensor, masks: Tensor, kind: str
) -> None:
    whole = torch.rand(2, 3, 8, 8)
    fill = {
        "images": whole,
        "image": whole[0],
        "row": whole[:1],
        "channels": torch.tensor([0.5, -1.0, 2.0]),
    }[kind]
    filling = {
        "images": whole,
        "image": whole[:1].expand(2, -1, -1, -1),
        "row": whole[:1].expand(2, -1, -1, -1),
        "channels": torch.tensor([0.5, -1.0, 2.0])[None, :, None, None].expand(2, 3, 8, 8),
    }[kind]
    _, after = RegionEdit(convnet).edited(x, masks, fill)
    torch.testing.assert_close(after, reference.edited(convnet, x, masks, filling))


def test_one_images_masks_serve_all_and_no_region_changes_nothing(
    convnet: nn.Module, x: Tensor, masks: Tensor
) -> None:
    both = torch.cat([masks[:1, :2], torch.zeros(1, 1, 8, 8)], 1)
    own, after = RegionEdit(convnet).edited(x, both)
    assert torch.equal(after[:, 2], own) or torch.allclose(after[:, 2], own, atol=1e-6)
    again = RegionEdit(convnet).edited(x, both.expand(2, -1, -1, -1))[1]
    torch.testing.assert_close(after, again)


class Coupled(nn.Module):
    """Batch norm by the statistics of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)
        self.bn = nn.BatchNorm2d(6, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.relu(self.bn(self.conv(x))).mean((2, 3)))


def test_rows_that_change_each_other_run_one_by_one(x: Tensor, masks: Tensor) -> None:
    module = Coupled().eval()
    with pytest.warns(UserWarning, match="each row was run by itself"):
        own, after = RegionEdit(module).edited(x, masks, torch.zeros(3))
    expected = reference.edited(module, x, masks, torch.zeros_like(x))
    torch.testing.assert_close(after, expected)
    torch.testing.assert_close(own, torch.cat([module(each[None]).detach() for each in x]))


class Writing(nn.Module):
    """Dropout, and a network that writes to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.fc = nn.Dropout(0.5), nn.Linear(3 * 64, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.drop(x.sub_(0.5).flatten(1)))


def test_the_network_and_the_pictures_are_left_as_they_were(x: Tensor, masks: Tensor) -> None:
    module, before = Writing(), x.clone()
    module.drop.eval()
    with pytest.warns(UserWarning, match="training mode"):
        _, after = RegionEdit(module).edited(x, masks, torch.zeros(3))
    assert (module.training, module.drop.training, module.fc.training) == (True, False, True)
    assert torch.equal(x, before)
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in module.modules())
    mixed = (before * (1 - masks[1, 0]) - 0.5)[1].flatten()
    torch.testing.assert_close(after[1, 0], module.fc(mixed).detach())


@pytest.mark.parametrize(("height", "width", "sigma"), [(7, 9, 1.3), (4, 11, 5.0), (1, 6, 2.0)])
def test_a_blur_is_the_sum_over_a_mirrored_picture(height: int, width: int, sigma: float) -> None:
    picture = torch.rand(height, width)
    expected = reference.blurred(picture, sigma)
    torch.testing.assert_close(blurred(picture, sigma), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(blurred(picture, 0.0), picture)


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_a_region_is_the_smallest_set_that_holds_half(share: float) -> None:
    maps = torch.rand(3, 5, 4) ** 3
    found = strongest_half(maps, (10, 12), share)
    fires = functional.interpolate(maps[:, None], (10, 12), mode="bilinear")[:, 0]
    for own, region in zip(fires, found, strict=True):
        # The outermost places of a map are repeated at the edge: equals are in it together.
        lowest = own[reference.strongest(own, share).bool()].min()
        assert torch.equal(region, (own >= lowest - 1e-6 * own.max()).float())
        assert own[region.bool()].sum() >= share * own.sum() * (1 - 1e-5)
        without = region.bool() & (own > lowest + 1e-6 * own.max())
        assert own[without].sum() < share * own.sum()


def test_equals_are_in_a_region_together_and_nothing_has_none() -> None:
    maps = torch.stack([torch.ones(3, 3), torch.zeros(3, 3), -torch.ones(3, 3)])
    shares = regions_of_maps(maps, (16, 24)).mean((1, 2))
    torch.testing.assert_close(shares, torch.tensor([1.0, 0.0, 0.0]))
    spike = torch.zeros(1, 3, 3)
    spike[0, 0, 0], spike[0, 2, 2] = 5, -9
    region = strongest_half(spike, (12, 12))[0]
    assert region[0, 0] == 1
    assert region[6:].sum() == 0


def test_the_edge_of_a_region_is_soft() -> None:
    maps = torch.zeros(1, 2, 2)
    maps[0, :, 0] = 1
    region = regions_of_maps(maps, (100, 100))[0, 50]
    hard = strongest_half(maps, (100, 100))[0, 50]
    last = int(hard.sum())
    reach = int(3 * EDGE * 100)
    assert region[last - 1 - reach] == pytest.approx(1, abs=0.01)
    assert region[last + reach] == pytest.approx(0, abs=0.01)
    assert region[last - 1] + region[last] == pytest.approx(1, abs=1e-4)
    assert bool((region.diff() <= 1e-6).all())


@pytest.mark.parametrize("grid", [(7, 7), (3, 5), (1, 1), (12, 12)])
def test_places_are_cells_that_are_the_picture_together(grid: tuple[int, int]) -> None:
    soft, hard = regions_of_places(grid, (12, 17)), cells(grid, (12, 17))
    assert soft.shape == (grid[0] * grid[1], 12, 17)
    torch.testing.assert_close(soft.sum(0), torch.ones(12, 17))
    torch.testing.assert_close(hard.sum(0), torch.ones(12, 17))
    for cell, region in enumerate(hard):
        rows, columns = region.nonzero().T
        assert bool(((rows + 0.5) * grid[0] / 12).long().eq(cell // grid[1]).all())
        assert bool(((columns + 0.5) * grid[1] / 17).long().eq(cell % grid[1]).all())
        assert float(soft[cell].max()) > 0.9


class Slow(nn.Module):
    """As quick as any: the clock says otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def test_what_takes_too_long_is_refused(
    x: Tensor, masks: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter([0.0, 200.0])
    monkeypatch.setattr("captum_blocks.attr.edits.perf_counter", lambda: next(ticks))
    message = "6 edits of the picture: the whole network runs for each, which takes about 10 min"
    with pytest.raises(UnsupportedMethod, match=message):
        RegionEdit(Slow().eval()).edited(x, masks)


ONES = torch.ones(1, 1, 8, 8)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"masks": torch.ones(1, 1, 6, 6)}, InvalidArgument, r"give \(image, region, 8, 8\)"),
        ({"masks": torch.ones(8, 8)}, InvalidArgument, r"masks of shape \(8, 8\) do not fit"),
        ({"masks": torch.ones(3, 1, 8, 8)}, InvalidArgument, "do not fit images"),
        ({"masks": [[1]]}, InvalidArgument, "masks are a tensor .* not a list"),
        ({"masks": 0 * ONES}, InvalidArgument, "zero everywhere have no region"),
        ({"masks": 2 * ONES}, InvalidArgument, "from 0 .stays. to 1 .edited., and these from 2 to"),
        ({"masks": ONES * torch.nan}, InvalidArgument, "these from nan to nan"),
        ({"fill": "blurr"}, UnknownName, "no filling 'blurr' of a region; did you mean 'blur'"),
        ({"fill": torch.zeros(4)}, InvalidArgument, "or a number for each of the 3 channels"),
        ({"fill": torch.full((3,), torch.nan)}, InvalidArgument, "NaN or infinite"),
        ({"score": "odds"}, UnknownName, "no score 'odds'"),
        ({"targets": [4]}, InvalidArgument, "class 4 does not exist: this network has classes 0"),
        ({"targets": []}, InvalidArgument, "no target was given"),
        ({"inputs": torch.zeros(2, 12)}, InvalidArgument, "a region is one of pictures"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_told(
    convnet: nn.Module, x: Tensor, change: Any, kind: type[BlocksError], message: str
) -> None:
    given = {"inputs": x, "masks": ONES, "targets": [0]} | change
    with pytest.raises(kind, match=message):
        RegionEdit(convnet).attribute(**given)


@pytest.mark.parametrize("change", [{"sigma": 0}, {"sigma": 3}, {"perturbations_per_eval": 0}])
def test_wrong_settings_are_told(change: Any) -> None:
    with pytest.raises(InvalidArgument):
        RegionEdit(Slow(), **change)
    with pytest.raises(InvalidArgument, match="share=0"):
        strongest_half(torch.ones(2, 2), (4, 4), 0)


def test_the_demo_network_by_ten_lines_of_torch(demo: cb.Network) -> None:
    from skimage import data
    from torchvision.transforms.functional import gaussian_blur

    x, mask = demo.read(data.chelsea()), torch.zeros(1, 1, 224, 224)
    mask[..., 40:130, 60:200] = 1
    found = RegionEdit(demo.module).attribute(x, mask, targets=[282, 285], score="log-odds")
    with torch.no_grad():
        fuzzy = gaussian_blur(x, [137, 137], [22.4, 22.4])
        own, after = demo.module(x)[0], demo.module(x * (1 - mask[0]) + fuzzy * mask[0])[0]
    for place, index in enumerate((282, 285)):
        odds = [
            float(each[index] - torch.cat([each[:index], each[index + 1 :]]).logsumexp(0))
            for each in (own, after)
        ]
        assert found[0, place, 0] == pytest.approx(odds[0] - odds[1], abs=1e-3)


def test_steady_edits_of_another_picture_are_its_own(convnet: nn.Module, x: Tensor) -> None:
    masks = torch.rand(1, 3, *x.shape[2:], generator=torch.Generator().manual_seed(4))
    engine = SteadyRegionEdit(convnet)
    for each in (x[:1], x[1:2], x):
        found, expected = engine.edited(each, masks), RegionEdit(convnet).edited(each, masks)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


class Unlike(nn.Module):
    """A copy of it answers something else."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.own = nn.Linear(3, 4), True

    def __deepcopy__(self, memo: object) -> nn.Module:
        made = Unlike().eval()
        made.load_state_dict(self.state_dict())
        made.own = False
        return made

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.mean((2, 3))) * (1 if self.own else 2)


def test_steady_edits_run_no_copy_that_answers_something_else(x: Tensor) -> None:
    net, masks = Unlike().eval(), torch.ones(1, 1, *x.shape[2:])
    found, expected = (
        engine.edited(x, masks, torch.zeros(3))
        for engine in (SteadyRegionEdit(net), RegionEdit(net))
    )
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
