"""From a photograph to what a network takes, and back to the place on the photograph."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torchvision.transforms import v2
from torchvision.transforms._presets import ImageClassification, SemanticSegmentation

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.preprocessing import FromTransforms

SIDES = st.integers(1, 90)
PLAIN = {"mean": (0.0,), "std": (1.0,)}


def dotted(size: tuple[int, int], place: tuple[int, int], dot: int) -> Image.Image:
    """A black (width, height) photograph with a white square whose middle is at (x, y)."""
    pixels = np.zeros((size[1], size[0]), np.uint8)
    x, y = place
    pixels[y - dot : y + dot, x - dot : x + dot] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [(320, 240), (240, 320), (200, 200), (500, 120)])
@pytest.mark.parametrize("shape", [(64, 64), (48, 96)])
def test_a_place_of_the_input_is_found_on_the_photograph(
    fit: str, size: tuple[int, int], shape: tuple[int, int]
) -> None:
    """The brightest place the network saw, carried back by ``extent``, is where the dot was."""
    preprocess = cb.Preprocess(shape, fit=fit, resize=min(shape), pad=0.0, **PLAIN)
    place = (size[0] // 2 + 11, size[1] // 2 - 7)
    seen = preprocess(dotted(size, place, 8))[0, 0]
    rows, columns = torch.meshgrid(*(torch.arange(side) + 0.5 for side in shape), indexing="ij")
    bright = seen.clamp_min(0)
    y, x = ((bright * axis).sum() / bright.sum() for axis in (rows, columns))
    top, left, bottom, right = preprocess.extent(size)
    back_y = (top + float(y) / shape[0] * (bottom - top)) * size[1]
    back_x = (left + float(x) / shape[1] * (right - left)) * size[0]
    assert (back_x, back_y) == pytest.approx(place, abs=2.0)


@given(SIDES, SIDES, SIDES, SIDES)
def test_a_letterbox_shows_all_of_it_undistorted(
    width: int, height: int, rows: int, columns: int
) -> None:
    preprocess = cb.Preprocess((rows, columns), fit="letterbox", pad=0.0, **PLAIN)
    top, left, bottom, right = preprocess.extent((width, height))
    assert max(top, left) <= 0
    assert min(bottom, right) >= 1 - 1e-9
    white = preprocess(Image.new("L", (width, height), "white"))[0, 0]
    tall = round(rows / (bottom - top))
    wide = round(columns / (right - left))
    assert int((white > 0.99).sum()) == tall * wide
    assert tall == rows or wide == columns
    # Proportions are kept up to the pixel that a side is rounded to.
    scale = min(rows / height, columns / width)
    assert abs(tall - max(1, height * scale)) <= 0.5
    assert abs(wide - max(1, width * scale)) <= 0.5


def test_the_bars_of_a_letterbox() -> None:
    white = Image.new("RGB", (20, 10), "white")
    stats = {"mean": (0.5, 0.4, 0.3), "std": (0.5,) * 3}
    default = cb.Preprocess(8, fit="letterbox", **stats)(white)
    assert torch.equal(default[0, :, :2], torch.zeros(3, 2, 8))
    black = cb.Preprocess(8, fit="letterbox", pad=0.0, **stats)(white)
    torch.testing.assert_close(black[0, :, 0, 0], torch.tensor([-1.0, -0.8, -0.6]))
    torch.testing.assert_close(default[0, :, 2:6], black[0, :, 2:6])


def test_a_crop_knows_what_it_saw() -> None:
    crop = cb.Preprocess(size=224, fit="crop", resize=256)
    top, left, bottom, right = crop.extent((512, 256))
    assert (top, bottom) == (0.0625, 0.9375)
    assert (left, right) == (0.28125, 0.71875)
    corner = np.zeros((256, 512, 3), np.uint8)
    corner[:16] = 255  # exactly what the crop leaves away at the top
    assert float(crop(Image.fromarray(corner))[0, :, 2:].max()) < 0


def test_a_large_crop_stays_inside_the_photograph() -> None:
    extent = cb.Preprocess(size=64, fit="crop", resize=32).extent((40, 40))
    assert extent == (0.0, 0.0, 1.0, 1.0)


def test_what_cannot_be() -> None:
    with pytest.raises(InvalidArgument, match="an input of 0 pixels cannot be made"):
        cb.Preprocess(0)
    with pytest.raises(InvalidArgument, match="fit='pad' is none of stretch, crop, letterbox"):
        cb.Preprocess(8, fit="pad")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="2 means and 1 deviations"):
        cb.Preprocess(8, (0.5, 0.5), (0.5,))
    with pytest.raises(InvalidArgument, match="a picture of 3 channels, and a mean for 4"):
        cb.Preprocess(8, (0.5,) * 4, (0.5,) * 4).bands(np.zeros((4, 4, 3), np.uint8))


class TestTransforms:
    def test_those_of_torchvision_are_understood(self, noise_picture: np.ndarray) -> None:
        transforms = ImageClassification(crop_size=24, resize_size=32)
        wrapped = FromTransforms(transforms)
        pixels = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
        mean = torch.tensor(transforms.mean)[:, None, None]
        std = torch.tensor(transforms.std)[:, None, None]
        torch.testing.assert_close(wrapped.normalise(pixels), (pixels - mean) / std)
        assert wrapped.extent((320, 320)) == (0.125, 0.125, 0.875, 0.875)
        net = cb.Network(nn.Conv2d(3, 2, 1), transforms)
        assert net.read(noise_picture).shape == (1, 3, 24, 24)

    @pytest.mark.parametrize("size", [(300, 200), (150, 260), (90, 90)])
    @pytest.mark.parametrize(
        ("steps", "same"),
        [
            ([v2.Resize((40, 60))], cb.Preprocess((40, 60))),
            (
                [v2.Resize(64, max_size=None), v2.CenterCrop(48)],
                cb.Preprocess(48, fit="crop", resize=64),
            ),
        ],
    )
    def test_any_of_them_tell_what_they_saw(
        self, steps: list, same: cb.Preprocess, size: tuple[int, int]
    ) -> None:
        ready = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
        wrapped = FromTransforms(v2.Compose([*steps, *ready, v2.Normalize([0.5] * 3, [0.2] * 3)]))
        assert wrapped.extent(size) == pytest.approx(same.extent(size), abs=0.012)

    def test_a_letterbox_of_ones_own(self) -> None:
        def boxed(picture: Image.Image) -> torch.Tensor:
            side = max(picture.size)
            square = Image.new("RGB", (side, side), (120, 90, 60))
            left, top = ((side - own) // 2 for own in picture.size)
            square.paste(picture, (left, top))
            return v2.functional.to_dtype(
                v2.functional.pil_to_tensor(square.resize((64, 64))), torch.float32, scale=True
            )

        found = FromTransforms(boxed).extent((200, 100))
        assert found == pytest.approx((-0.5, 0.0, 1.5, 1.0), abs=0.03)

    def test_what_mirrors_the_picture_is_refused(self) -> None:
        mirrored = FromTransforms(
            v2.Compose([v2.Resize((8, 8)), v2.RandomHorizontalFlip(1.0), v2.ToTensor()])
        )
        with pytest.raises(InvalidArgument, match="the preprocessing mirrors the picture"):
            mirrored.extent((40, 40))

    def test_those_that_draw_leave_the_callers_generator_alone(self) -> None:
        jitter = v2.Compose([v2.Resize((8, 8)), v2.RandomErasing(1.0), v2.ToTensor()])
        before = torch.random.get_rng_state()
        FromTransforms(jitter)(Image.new("RGB", (9, 9)))
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_those_that_give_no_float_tensor(self) -> None:
        with pytest.raises(WrongType, match="the preprocessing gives ndarray, not a float tensor"):
            cb.Network(nn.ReLU(), np.asarray)


def ready(*steps: object) -> v2.Compose:
    return v2.Compose([*steps, v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])


def small(picture: Image.Image) -> torch.Tensor:
    """The whole photograph, (3, 24, 32) in [0, 1]."""
    pixels = np.asarray(picture.resize((32, 24)), np.float32)
    return torch.from_numpy(pixels).movedim(2, 0) / 255


class TestPlaces:
    """Where the network looks is what it sees, not what an attribute says."""

    @pytest.mark.parametrize("size", [(640, 320), (300, 600)])
    def test_a_segmentation_preset_only_resizes(self, size: tuple[int, int]) -> None:
        net = cb.Network(nn.Conv2d(3, 2, 1), SemanticSegmentation(resize_size=64))
        assert net.read(Image.new("RGB", size)).shape[-1] == 64 * size[0] // min(size)
        assert net.preprocess.extent(size) == (0.0, 0.0, 1.0, 1.0)

    def test_an_attribute_is_not_believed(self) -> None:
        class Squash:
            resize_size = (64, 64)

            def __call__(self, picture: Image.Image) -> torch.Tensor:
                return small(picture)

        assert FromTransforms(Squash()).extent((640, 320)) == (0.0, 0.0, 1.0, 1.0)

    @pytest.mark.parametrize(
        "box", [(0.5, 0.25, 0.75, 0.5), (0.0, 0.0, 0.1, 0.1), (0.9, 0.2, 1, 1)]
    )
    def test_a_piece_anywhere(self, box: tuple[float, float, float, float]) -> None:
        """(top, left, bottom, right) of a photograph of 1000 x 1000, cut out by hand."""
        corners = tuple(round(1000 * box[side]) for side in (1, 0, 3, 2))

        def cut(picture: Image.Image) -> torch.Tensor:
            return small(picture.crop(corners)) if picture.size == (1000, 1000) else small(picture)

        assert FromTransforms(cut).extent((1000, 1000)) == pytest.approx(box, abs=0.002)

    def test_a_crop_without_a_resize(self) -> None:
        found = FromTransforms(ready(v2.CenterCrop(100))).extent((2000, 1000))
        assert found == pytest.approx((0.45, 0.475, 0.55, 0.525), abs=1e-3)

    @pytest.mark.parametrize("wrong", [lambda t: t.rot90(1, (1, 2)), lambda t: t.transpose(1, 2)])
    def test_a_picture_on_its_side_is_refused(self, wrong: object) -> None:
        turned = FromTransforms(lambda picture: wrong(small(picture)))  # type: ignore[operator]
        with pytest.raises(InvalidArgument, match="turns the picture on its side"):
            turned.extent((640, 320))

    def test_a_picture_upside_down_is_refused(self) -> None:
        with pytest.raises(InvalidArgument, match="mirrors the picture"):
            FromTransforms(lambda picture: small(picture).rot90(2, (1, 2))).extent((60, 40))

    def test_bars_that_are_no_bars_are_refused(self) -> None:
        reflected = ready(v2.Resize((40, 40)), v2.Pad(12, padding_mode="reflect"))
        with pytest.raises(InvalidArgument, match="cannot be told, so nothing could be drawn"):
            FromTransforms(reflected).extent((200, 100))

    def test_transforms_for_training_are_refused_where_places_matter(self) -> None:
        training = FromTransforms(ready(v2.RandomResizedCrop(24)))
        assert training(Image.new("RGB", (60, 40))).shape == (1, 3, 24, 24)
        with pytest.raises(InvalidArgument, match="draws at random: .* used for evaluation"):
            training.extent((60, 40))
        with pytest.raises(InvalidArgument, match="draws at random"):
            training.normalise(torch.zeros(3, 4, 4))

    def test_a_gamma_moves_nothing(self) -> None:
        brightened = FromTransforms(lambda picture: small(picture) ** 0.5)
        assert brightened.extent((640, 320)) == (0.0, 0.0, 1.0, 1.0)


# Each picture by itself: (channel, y, x) in [0, 1] -> what the network takes.
STANDARDISED = {
    "z-score": lambda t: (t - t.mean()) / (t.std() + 1e-6),
    "z-score of bytes": lambda t: (t * 255 - (t * 255).mean()) / (t * 255).std(correction=0),
    "z-score of each channel": lambda t: (
        (t - t.mean((1, 2), keepdim=True)) / t.std((1, 2), keepdim=True)
    ),
    "min-max": lambda t: (t - t.min()) / (t.max() - t.min()),
    "min-max of each channel, normalised": lambda t: (
        ((t - t.amin((1, 2), True)) / (t.amax((1, 2), True) - t.amin((1, 2), True)) - 0.4) / 0.3
    ),
    "maximum": lambda t: t / t.max(),
    "mean": lambda t: t - t.mean(),
}


class TestLight:
    @pytest.mark.parametrize("way", STANDARDISED)
    def test_a_picture_standardised_by_itself(self, way: str) -> None:
        def transforms(picture: Image.Image) -> torch.Tensor:
            return STANDARDISED[way](small(picture))

        found = FromTransforms(transforms)
        assert found.extent((640, 320)) == (0.0, 0.0, 1.0, 1.0)
        assert "standardises each picture by itself" in found.note
        several = torch.rand(3, 3, 24, 32, generator=torch.Generator().manual_seed(0)) * 0.7 + 0.1
        expected = torch.stack([STANDARDISED[way](one) for one in several])
        torch.testing.assert_close(found.normalise(several), expected, atol=0.02, rtol=0.02)

    def test_it_can_be_differentiated(self) -> None:
        found = FromTransforms(lambda picture: STANDARDISED["min-max"](small(picture)))
        pixels = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
        found.normalise(pixels).sum().backward()
        assert pixels.grad is not None
        assert pixels.grad.isfinite().all()

    def test_channels_in_another_order_and_greys(self) -> None:
        pixels = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(0))
        swapped = FromTransforms(lambda picture: small(picture).flip(0) * 255)
        torch.testing.assert_close(swapped.normalise(pixels), pixels.flip(0) * 255)
        grey = FromTransforms(ready(v2.Resize((24, 32)), v2.Grayscale(3)))
        luma = (torch.tensor([0.299, 0.587, 0.114])[:, None, None] * pixels).sum(0)
        torch.testing.assert_close(grey.normalise(pixels)[1], luma, atol=0.01, rtol=0)
        one = FromTransforms(ready(v2.Resize((24, 32)), v2.Grayscale(1), v2.RandomInvert(1.0)))
        assert one.channels == 1
        torch.testing.assert_close(one.normalise(pixels[:1]), 1 - pixels[:1])

    def test_what_is_not_known_is_refused_where_it_matters(self) -> None:
        curved = FromTransforms(lambda picture: small(picture) ** 2.2)
        assert curved.note == ""
        with pytest.raises(InvalidArgument, match="neither one shift and scale .* Preprocess"):
            curved.normalise(torch.zeros(3, 4, 4))

    @pytest.mark.parametrize("bars", [(0, 50), (50, 0), (50, 50)])
    @pytest.mark.parametrize("side", [32, 64])
    @pytest.mark.parametrize("fill", [0, 128])
    def test_bars_of_so_many_pixels_are_no_light(
        self, bars: tuple[int, int], side: int, fill: int
    ) -> None:
        """Which are next to the photograph, and mixed with it where they are resized."""
        steps = [v2.Pad(bars, fill=fill), v2.Resize((side, side)), v2.ToImage()]
        scaled = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.2] * 3)]
        found = FromTransforms(v2.Compose([*steps, *scaled]))
        pixels = torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(found.normalise(pixels), (pixels - 0.5) / 0.2)
        top, left, *_ = found.extent((200, 100))
        assert (top, left) == pytest.approx((-bars[1] / 100, -bars[0] / 200), abs=0.02)

    def test_a_gamma_between_bars_is_still_refused(self) -> None:
        padded = v2.Compose([v2.Pad((0, 50)), v2.Resize((32, 32)), v2.ToImage()])
        curved = FromTransforms(lambda picture: (padded(picture).float() / 255) ** 0.5)
        with pytest.raises(InvalidArgument, match="neither one shift and scale"):
            curved.normalise(torch.zeros(3, 4, 4))

    def test_the_page_says_it(self, noise_picture: np.ndarray) -> None:
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
        net = cb.Network(module, lambda picture: STANDARDISED["z-score"](small(picture)))
        words = cb.InfoVis(cb.Activation(cb.Hidden("0").channels))
        shown = cb.explain(words, net, noise_picture, progress=False)
        said = dict(shown.scene.footer)["photograph"]
        assert "(z-score over the whole picture)" in said


class TestFeeding:
    def test_transforms_of_tensors(self, noise_picture: np.ndarray) -> None:
        """Pixels of whole numbers, in [0, 1], and up to 255: the same network input."""
        resize, stats = v2.Resize((24, 32), antialias=True), ([0.5] * 3, [0.2] * 3)
        pixels = torch.from_numpy(noise_picture).movedim(2, 0).float() / 255
        expected = (v2.functional.resize(pixels, [24, 32], antialias=True) - 0.5) / 0.2
        for scale, steps in (
            (1, [resize, v2.ToDtype(torch.float32, scale=True), v2.Normalize(*stats)]),
            (1, [resize, v2.Normalize(*stats)]),
            (255, [v2.Normalize([127.5] * 3, [51.0] * 3), resize]),
        ):
            found = FromTransforms(v2.Compose(steps))
            made = found(Image.fromarray(noise_picture))[0]
            torch.testing.assert_close(made, expected, atol=0.02, rtol=0, msg=str(scale))
            torch.testing.assert_close(found.normalise(pixels), (pixels - 0.5) / 0.2)

    def test_other_numbers_of_bands(self) -> None:
        steps = [v2.Resize((8, 8)), v2.ToDtype(torch.float32, scale=True)]
        net = cb.Network(
            nn.Conv2d(5, 2, 1), v2.Compose([*steps, v2.Normalize([0.5] * 5, [0.5] * 5)])
        )
        bands = np.full((16, 16, 5), 255, np.uint8)
        torch.testing.assert_close(net.read(bands), torch.ones(1, 5, 8, 8))
        assert net.channels == 5

    def test_units_of_their_own_are_refused(self) -> None:
        with pytest.raises(InvalidArgument, match="units of its own, such as reflectances"):
            FromTransforms(v2.Compose([v2.Resize((8, 8)), v2.Normalize([0.0], [10000.0])]))

    @pytest.mark.parametrize(
        "wrapped",
        [
            lambda t: {"pixel_values": [t.numpy()]},
            lambda t: {"image": t[None]},
            lambda t: t.movedim(0, 2).double().numpy(),
            lambda t: [t],
        ],
    )
    def test_whatever_it_is_wrapped_in(self, wrapped: object) -> None:
        found = FromTransforms(lambda picture: wrapped(small(picture)))  # type: ignore[operator]
        picture = Image.new("RGB", (50, 40), (255, 0, 51))
        expected = torch.tensor([1.0, 0.0, 0.2])[None, :, None, None].expand(1, 3, 24, 32)
        torch.testing.assert_close(found(picture), expected)

    def test_without_a_channel_axis(self) -> None:
        net = cb.Network(nn.Conv2d(1, 2, 1), lambda picture: small(picture).mean(0))
        assert net.channels == 1
        assert net.read(np.full((9, 9, 3), 255, np.uint8)).shape == (1, 1, 24, 32)

    @pytest.mark.parametrize(
        ("transforms", "said"),
        [
            (lambda picture: torch.stack([small(picture)] * 5), r"shape \(5, 3, 24, 32\)"),
            (lambda picture: torch.cat([small(picture)] * 2), "6 channels for a picture of 3"),
            (lambda picture: {"a": 1, "b": 2}, "with 'a', 'b', and which of them is the picture"),
            (lambda image, *, mask: image, "takes no picture, .* 'mask'; give a function of"),
            (lambda picture: None, "gives NoneType, not a float tensor"),
        ],
    )
    def test_what_gives_no_picture_is_refused(self, transforms: object, said: str) -> None:
        with pytest.raises(cb.BlocksError, match=said):
            FromTransforms(transforms)  # type: ignore[arg-type]

    def test_no_generator_is_disturbed(self) -> None:
        def drawn(picture: Image.Image) -> torch.Tensor:
            return small(picture) + random.random() + float(np.random.rand()) + torch.rand(1)

        before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
        FromTransforms(drawn)(Image.new("RGB", (9, 9)))
        assert random.getstate() == before[0]
        assert (np.random.get_state()[1] == before[1]).all()
        assert torch.equal(torch.get_rng_state(), before[2])
