"""What must not be taken for something else: layers, photographs, bands, rounded values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import nn

import captum_blocks as cb
from captum_blocks.compose import Quality
from captum_blocks.errors import InvalidArgument, LayerNotFound
from captum_blocks.examples.likeness import alike, signatures
from tests.examples import planted
from tests.examples.conftest import photographs


class Twice(nn.Module):
    """A layer whose whole name ends the name of another."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.block = nn.Sequential()
        self.block.add_module("conv", nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(self.conv(x)).mean((2, 3))


@pytest.fixture(scope="module")
def twice() -> cb.Network:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return cb.Network(Twice().eval(), cb.Preprocess(16, (0.5,) * 3, (0.5,) * 3))


def test_a_layer_is_no_other_whose_name_ends_so(twice: cb.Network, pictures) -> None:
    index = cb.ExampleIndex.build(twice, pictures, ["block.conv"], progress=False)
    with pytest.raises(LayerNotFound, match=r"'conv' is not in the index; did you mean 'block\."):
        index.top(cb.Hidden("conv").channels[[0]])
    with pytest.raises(LayerNotFound):
        index.tables("conv")
    assert not index.knows("conv")
    assert index.knows("block.conv")
    shown = cb.FeatureVis(cb.Hidden("conv").channels[[0]], by=("optimized", cb.Dataset("a")))
    few = Quality(size=16, n_steps=1, budget=1)
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    with pytest.warns(UserWarning, match="was not built at conv"):
        made = cb.explain(shown, twice, noise, given={"a": index}, quality=few, progress=False)
    assert made.scene.galleries == {}
    only = cb.ExampleIndex.build(twice, pictures, ["conv", "block.conv"], progress=False)
    (first,), (other,) = only.top(("conv", [0]), k=1), only.top(("block.conv", [0]), k=1)
    assert first[0].value != other[0].value


def test_the_end_of_a_name_is_enough_where_the_network_knows_it(small, pictures) -> None:
    index = cb.ExampleIndex.build(small, pictures, ["late.1"], progress=False)
    assert index.top(("late.1", [0]), k=1)
    alone = cb.ExampleIndex.load(index.folder)
    with pytest.raises(LayerNotFound, match="did you mean 'late.1'"):
        alone.top(("1", [0]), k=1)


def dots(count: int) -> list[Image.Image]:
    """A small square of one of three colours somewhere on plain grey."""
    made = []
    for number in range(count):
        rng = np.random.default_rng(number)
        pixels = np.full((96, 96, 3), 128, np.uint8)
        y, x = rng.integers(0, 84, 2)
        pixels[y : y + 12, x : x + 12] = ((255, 255, 255), (255, 0, 0), (0, 255, 0))[number % 3]
        made.append(Image.fromarray(pixels))
    return made


def test_small_things_on_a_plain_ground_are_not_one_photograph(small: cb.Network) -> None:
    index = cb.ExampleIndex.build(small, dots(30), ["late"], progress=False)
    (found,) = index.top(("late", [0]), k=9)
    assert len(found) == 9
    assert sum(each.like for each in found) <= 2


def test_a_photograph_saved_again_is_nearly_the_same(small: cb.Network, tmp_path: Path) -> None:
    photo = Image.fromarray(data.chelsea())
    photo.save(tmp_path / "a.png")
    photo.save(tmp_path / "b.jpg", quality=80)
    photo.resize((300, 200)).save(tmp_path / "c.png")
    x = torch.cat([small.read(tmp_path / name) for name in ("a.png", "b.jpg", "c.png")])
    hashes, colours = signatures(x)
    assert alike(hashes, colours, 0, np.array([1, 2])).all()
    plain = torch.zeros(2, 3, 16, 16)
    hashes, colours = signatures(plain)
    assert alike(hashes, colours, 0, np.array([1])).all(), "plain ones are the same where equal"


def test_photographs_exchanged_are_others(small: cb.Network, tmp_path: Path) -> None:
    """Ones that are nearly the same to the eye are told apart by their bits."""
    for number, picture in enumerate(photographs(6)):
        picture.save(tmp_path / f"{number}.png")
    brighter = Image.fromarray(np.asarray(photographs(1)[0]) // 8 * 8)
    brighter.save(tmp_path / "6.png")
    index = cb.ExampleIndex.build(small, tmp_path, ["late"], progress=False)
    index.bound(small)
    (found,) = index.top(("late", [0]), k=7)
    first, last = (tmp_path / name for name in ("0.png", "6.png"))
    kept = first.read_bytes()
    first.write_bytes(last.read_bytes())
    last.write_bytes(kept)
    with pytest.raises(InvalidArgument, match="another photograph than the one"):
        index.bound(small).cut(found, "late")


def test_bands_of_directions_are_right_where_activations_are_not_kept(small, pictures) -> None:
    index = cb.ExampleIndex.build(small, pictures, ["late"], keep="extremes", progress=False)
    directions = torch.randn(3, 10, generator=torch.Generator().manual_seed(5))
    (maps,) = small.activations("late", [x[None] for x in pictures], batch_size=len(pictures))
    values = torch.einsum("nchw,dc->ndhw", maps, directions).amax((2, 3))
    for number, found in enumerate(index.top(directions, 4, "quantiles", layer="late")):
        order = (-values[:, number]).argsort(stable=True).tolist()
        bands = np.array_split(np.array(order), 4)
        assert [each.image in band for each, band in zip(found, bands, strict=True)] == [True] * 4
        for each in found:
            assert each.value == pytest.approx(float(values[each.image, number]), rel=1e-4)
            assert each.error == 0.0


def test_rounded_values_say_how_far_they_may_be_off(small, index, pictures) -> None:
    (maps,) = small.activations("late", [x[None] for x in pictures], batch_size=len(pictures))
    exact = maps[:, 3].amax((1, 2))
    for rank in ("quantiles", "random"):
        (found,) = index.top(("late", [3]), 5, rank)
        for each in found:
            assert abs(each.value - float(exact[each.image])) <= each.error + 1e-6
            assert 0 < each.error < 1e-2
    (top,) = index.top(("late", [3]), 5)
    assert [each.error for each in top] == [0.0] * 5


class Large(nn.Module):
    """Activations beyond half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Conv2d(3, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(1e6 * x).mean((2, 3))


def test_values_beyond_half_precision_are_looked_at_again(pictures) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = cb.Network(Large().eval())
    index = cb.ExampleIndex.build(net, pictures, ["out"], progress=False)
    (maps,) = net.activations("out", [x[None] for x in pictures], batch_size=len(pictures))
    exact = maps[:, 1].amax((1, 2))
    for rank in ("quantiles", "random"):
        (found,) = index.top(("out", [1]), 4, rank)
        for each in found:
            assert each.value == pytest.approx(float(exact[each.image]), rel=1e-4)


@pytest.mark.parametrize("kind", ["NCHW", "NHWC", "tokens"])
def test_a_pattern_smaller_than_what_a_place_sees_is_in_the_crop(kind: str, tmp_path: Path) -> None:
    rng, photo, middles = np.random.default_rng(2), data.astronaut(), {}
    for number in range(10):
        top, left = 80 * (number // 2), 200 * (number % 2)
        piece = photo[top : top + 96, left : left + 96]
        made, box = planted.planted(piece, rng, (0, 0, 96, 96), 8)
        Image.fromarray(made).save(tmp_path / f"{number}.png")
        middles[f"{number}.png"] = ((box[0] + box[2]) / 192, (box[1] + box[3]) / 192)
    net = cb.Network(planted.made(kind), cb.Preprocess(96, (0.0,) * 3, (1.0,) * 3))
    index = cb.ExampleIndex.build(net, tmp_path, ["out"], progress=False)
    (found,) = index.top(("out", [3]), k=8)
    cuts = index.cut(found, "out")
    held = [
        cut.box[0] <= y <= cut.box[2] and cut.box[1] <= x <= cut.box[3]
        for cut, (y, x) in zip(cuts, (middles[Path(e.path).name] for e in found), strict=True)
    ]
    assert np.mean(held) > 0.8
    assert np.mean([(c.box[2] - c.box[0]) * (c.box[3] - c.box[1]) for c in cuts]) < 0.2
