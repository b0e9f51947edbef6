"""Transforms: one warp against loops, filters, foreign ones, and what they refuse."""

from __future__ import annotations

import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.optim import (
    Blur,
    CollapseAlpha,
    ColourShift,
    Foreign,
    Jitter,
    Noise,
    Pad,
    RandomCrop,
    Rotate,
    Scale,
)
from captum_blocks.optim.filters import NARROW, WIDE, resolve
from captum_blocks.optim.transforms import apply
from tests.reference import optim_formulas as slow

EVERY = [
    Jitter(2),
    Scale(0.8, 1.2),
    Rotate(20),
    RandomCrop(0.6, 0.3),
    Noise(0.1),
    Blur(0.8),
    ColourShift(0.2),
    Pad(2),
]


def seeded(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def picture(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(9))


@given(height=st.integers(3, 8), width=st.integers(3, 8), seed=st.integers(0, 99))
def test_neighbours_are_one_warp(height, width, seed):
    images = picture(1, 2, height, width)
    members = [Jitter(1.5), Scale(0.7, 1.3), Rotate(40.0), Jitter(0.5)]
    made = apply(members, images, seeded(seed))
    jx, jy, factor, angle, kx, ky = torch.rand(6, generator=seeded(seed)[0]).tolist()
    factor, angle = 0.7 + factor * 0.6, math.radians((2 * angle - 1) * 40)
    cos, sin = math.cos(angle) / factor, math.sin(angle) / factor
    dx, dy = (2 * kx - 1) * 0.5, (2 * ky - 1) * 0.5
    # The last transform asks the one before it where to look, and so on to the first.
    matrix = [
        [cos, -sin, cos * dx - sin * dy + (2 * jx - 1) * 1.5],
        [sin, cos, sin * dx + cos * dy + (2 * jy - 1) * 1.5],
    ]
    expected = [slow.warped(plane, matrix, 0.5) for plane in images[0].tolist()]
    torch.testing.assert_close(made[0], torch.tensor(expected), atol=1e-4, rtol=0)


def test_padding_is_grey_and_grows_the_picture():
    images = picture(1, 3, 4, 6)
    made = Pad(2)(images, seeded(0))
    assert made.shape == (1, 3, 8, 10)
    torch.testing.assert_close(made[:, :, 2:-2, 2:-2], images, atol=1e-5, rtol=0)
    torch.testing.assert_close(made[:, :, :2], torch.full((1, 3, 2, 10), 0.5))


@given(seed=st.integers(0, 200))
def test_a_crop_stays_inside(seed):
    made = RandomCrop(0.5, 0.5)(torch.ones(1, 1, 12, 20), seeded(seed))
    torch.testing.assert_close(made[:, :, 1:-1, 1:-1], torch.ones(1, 1, 10, 18))


@pytest.mark.parametrize("pixels", [5, -3])
@given(seed=st.integers(0, 50))
def test_a_crop_of_a_padded_picture_may_go_anywhere_in_it(pixels, seed):
    images, crop = picture(1, 3, 12, 16), RandomCrop(0.5, 0.5)
    together = apply([Pad(pixels), crop, Pad(-2)], images, seeded(seed))
    padded = Pad(pixels)(images, seeded(seed))
    expected = crop(padded, seeded(seed))[:, :, 2:-2, 2:-2]
    torch.testing.assert_close(together, expected, atol=1e-5, rtol=0)


def test_a_crop_shrinks_on_the_way():
    sides = [RandomCrop(0.9, 0.3).at(progress).largest for progress in (0.0, 0.5, 1.0)]
    assert sides == pytest.approx([0.9, 0.6, 0.3])


def test_blur_keeps_the_mean_and_spreads_a_point():
    point = torch.zeros(1, 1, 15, 15)
    point[..., 7, 7] = 1
    made = Blur(1.0)(point, seeded(0))
    assert made.sum().item() == pytest.approx(1, abs=1e-4)
    assert (made[0, 0, 7, 8] / made[0, 0, 7, 7]).item() == pytest.approx(math.exp(-0.5), rel=1e-3)


def test_noise_has_the_deviation_asked_for():
    made = Noise(0.3)(torch.zeros(1, 3, 64, 64), seeded(0))
    assert made.std().item() == pytest.approx(0.3, rel=0.05)


def test_a_colour_shift_is_one_number_per_channel():
    images = picture(2, 3, 4, 4)
    shift = ColourShift(0.2)(images, seeded(0, 1)) - images
    torch.testing.assert_close(shift, shift[:, :, :1, :1].expand_as(shift))
    assert shift.abs().max() <= 0.2
    assert shift.unique().numel() >= 6


@pytest.mark.parametrize("background", ["noise", "colour", "grey"])
def test_what_is_opaque_hides_the_background(background):
    images = picture(2, 4, 8, 8)
    images[:, 3] = 1
    made = CollapseAlpha(background)(images, seeded(0, 1))
    torch.testing.assert_close(made, images[:, :3])
    images[:, 3] = 0
    behind = CollapseAlpha(background)(images, seeded(0, 1))
    assert behind.shape == (2, 3, 8, 8)
    assert not torch.allclose(behind, images[:, :3])


@pytest.mark.parametrize("one", EVERY, ids=lambda one: type(one).__name__)
def test_each_image_has_its_own_draws(one):
    images = picture(1, 3, 12, 12).expand(3, -1, -1, -1)
    alone = one(images[:1], seeded(7))
    together = one(images, seeded(1, 7, 2))
    torch.testing.assert_close(alone[0], together[1])


@pytest.mark.parametrize("one", [*EVERY, Foreign(v2.RandomErasing(1.0))])
def test_the_global_generator_is_as_it_was(one):
    before = torch.get_rng_state()
    one(picture(1, 3, 12, 12), seeded(0))
    assert torch.equal(before, torch.get_rng_state())


def test_torchvision_transforms_are_taken_and_repeatable():
    (foreign,) = resolve(v2.ColorJitter(0.5, 0.5))
    images = picture(2, 3, 8, 8)
    first, again, other = (foreign(images, seeded(seed, 0)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_gradients_pass_through_all():
    images = picture(2, 3, 16, 16).requires_grad_()
    apply([*NARROW, Noise(), Blur(), ColourShift()], images, seeded(0, 1)).sum().backward()
    assert images.grad.ne(0).any(dim=(1, 2, 3)).all()


def test_what_is_robust_depends_on_what_is_shown():
    assert resolve("robust") == resolve("narrow") == resolve("narrow", of_answer=True) == NARROW
    assert resolve("robust", of_answer=True) == resolve("wide") == WIDE
    assert resolve("none", of_answer=True) == ()
    assert resolve(Jitter(1), of_answer=True) == (Jitter(1),)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: resolve("strong"), "transforms 'strong' is none of robust, narrow, wide, none"),
        (
            lambda: Scale(1.1, 0.9),
            "Scale(1.1, 0.9): give two positive factors, the smaller one first",
        ),
        (
            lambda: RandomCrop(0.2, 0.5),
            "RandomCrop(0.2, 0.5): give two parts of the picture in (0, 1], the larger one first",
        ),
        (lambda: Blur(0), "Blur(0): give a positive number of pixels"),
        (
            lambda: CollapseAlpha("red"),
            "background 'red' is none of 'noise', 'colour', 'grey'",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(InvalidArgument, match=f"^{re.escape(message)}$"):
        make()


def test_what_is_no_transform_is_refused():
    message = "a transform is a Transform or a callable from images to images, not 3"
    with pytest.raises(WrongType, match=f"^{re.escape(message)}$"):
        resolve([Jitter(1), 3])


def test_a_foreign_transform_must_keep_the_batch():
    with pytest.raises(InvalidArgument, match="it must keep the batch and its channels$"):
        Foreign(lambda images: images[:1])(picture(2, 3, 4, 4), seeded(0, 1))
