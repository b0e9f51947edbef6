"""From a photograph to what a network takes, and back to the place on the photograph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torchvision.transforms import v2
from torchvision.transforms._presets import ImageClassification

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
