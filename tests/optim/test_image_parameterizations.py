"""How images are held: against loops, from photographs, with any number of channels."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from captum_blocks.errors import InvalidArgument
from captum_blocks.optim import (
    Channel,
    Cppn,
    FeatureVisualizer,
    Fourier,
    LaplacianPyramid,
    Maco,
    Parameterization,
    Pixel,
    Shared,
    fit_colour,
    fit_spectrum,
)
from captum_blocks.optim.images import Canvas
from tests.reference import optim_formulas as slow

ALL = [Fourier(), Pixel(), LaplacianPyramid(3), Cppn(8, 2), Shared(), Maco()]
INDEPENDENT = [one for one in ALL if not isinstance(one, Shared)]
names = [type(one).__name__ for one in ALL]


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def start(given: Parameterization, canvas: Canvas, *seeds: int, photo: Tensor | None = None):
    return given.start(canvas, generators(*seeds), photo)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7), (6, 5)])
def test_fourier_is_a_scaled_inverse_transform(height, width):
    given = Fourier(colour=None, deviation=1.0)
    image = start(given, Canvas(height, width, channels=1), 0)
    half = torch.view_as_complex(image.parameters[0].detach())[0, 0].tolist()
    scaled = [
        [
            value / max(slow.frequency(v, u, height, width), 1 / max(height, width))
            for u, value in enumerate(row)
        ]
        for v, row in enumerate(half)
    ]
    planes = torch.tensor(slow.real_inverse_fourier(scaled, height, width)) / 4
    torch.testing.assert_close(image.pixels()[0, 0].detach(), planes.sigmoid(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7)])
def test_a_pyramid_is_the_sum_of_its_enlarged_levels(height, width):
    given = LaplacianPyramid(3, colour=None, deviation=1.0)
    image = start(given, Canvas(height, width, channels=1), 0)
    levels = [
        torch.tensor(slow.enlarged(level.detach()[0, 0].tolist(), height, width))
        for level in image.parameters
    ]
    expected = (levels[0] + levels[1] + levels[2]).sigmoid()
    torch.testing.assert_close(image.pixels()[0, 0].detach(), expected, atol=1e-5, rtol=0)


def test_a_cppn_is_a_network_of_the_coordinates():
    image = start(Cppn(width=5, depth=2, colour=None), Canvas(4, 6), 0, 1)
    pixels = image.pixels().detach()
    for row in range(2):
        weights = [weight.detach()[row].tolist() for weight in image.parameters]
        for y in range(4):
            for x in range(6):
                planes = torch.tensor(slow.coordinate_network(weights, y, x, 4, 6))
                torch.testing.assert_close(pixels[row, :, y, x], planes.sigmoid())


def test_shared_spectra_are_weighed_and_added():
    mix, height, width = ((0.25, 0.75), (1.0, 0.0)), 5, 6
    given = Shared(own=0.6, shared=0.3, mix=mix, deviation=1.0, colour=None)
    image = start(given, Canvas(height, width, channels=1), 0, 1)
    own, common = (torch.view_as_complex(p.detach())[:, 0].tolist() for p in image.parameters)
    for n, (first, second) in enumerate(mix):
        spectrum = [
            [
                (0.6 * own[n][v][u] + 0.3 * (first * common[0][v][u] + second * common[1][v][u]))
                / max(slow.frequency(v, u, height, width), 1 / max(height, width))
                for u in range(width // 2 + 1)
            ]
            for v in range(height)
        ]
        planes = torch.tensor(slow.real_inverse_fourier(spectrum, height, width)) / 4
        expected = planes.sigmoid()
        torch.testing.assert_close(image.pixels()[n, 0].detach(), expected, atol=1e-5, rtol=0)


def test_colours_are_mixed_by_the_imagenet_matrix():
    canvas = Canvas(3, 3)
    mixed = start(Pixel(deviation=1.0), canvas, 0)
    plain = mixed.parameters[0].detach()[0]
    # The axes are the columns; the first, brightness, is the longest and has length 1.
    axes = [[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]]
    length = sum(row[0] ** 2 for row in axes) ** 0.5
    for d in range(3):
        expected = sum(axes[d][c] / length * plain[c] for c in range(3)).sigmoid()
        torch.testing.assert_close(mixed.pixels()[0, d].detach(), expected)


@pytest.mark.parametrize("one", ALL, ids=names)
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("alpha", [False, True])
def test_any_number_of_channels(one, channels, alpha):
    canvas = Canvas(9, 12, channels, alpha)
    image = start(one, canvas, 0, 1)
    pixels = image.pixels()
    assert pixels.shape == (2, channels + alpha, 9, 12)
    assert ((pixels >= 0) & (pixels <= 1)).all()
    pixels.sum().backward()
    assert all(parameter.grad is not None for parameter in image.parameters)


@pytest.mark.parametrize("one", ALL, ids=names)
@given(
    height=st.integers(2, 17),
    width=st.integers(2, 17),
    n=st.integers(1, 3),
    channels=st.sampled_from([1, 3, 5]),
)
def test_any_size(one, height, width, n, channels):
    image = start(one, Canvas(height, width, channels), *range(n))
    assert image.pixels().shape == (n, channels, height, width)
    assert image.pixels().isfinite().all()


@pytest.mark.parametrize("one", INDEPENDENT, ids=lambda one: type(one).__name__)
def test_an_image_depends_on_its_own_generator_only(one):
    canvas = Canvas(8, 8)
    alone = start(one, canvas, 5).pixels()
    together = start(one, canvas, 1, 5, 2).pixels()
    torch.testing.assert_close(alone[0], together[1], atol=1e-6, rtol=0)
    assert not torch.allclose(together[0], together[1])


@pytest.mark.parametrize("one", ALL, ids=names)
def test_nothing_is_drawn_from_the_global_generator(one):
    before = torch.get_rng_state()
    start(one, Canvas(8, 8), 0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("one", [Fourier(), Pixel(), LaplacianPyramid(3)])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_photograph_is_where_it_starts(one, alpha):
    photo = torch.rand(3, 9, 12, generator=torch.Generator().manual_seed(1)) * 0.9 + 0.05
    pixels = start(one, Canvas(9, 12, alpha=alpha), 0, 1, photo=photo).pixels()
    torch.testing.assert_close(pixels[0, :3], photo, atol=2e-5, rtol=0)
    torch.testing.assert_close(pixels[1, :3], photo, atol=2e-5, rtol=0)


def test_a_photograph_of_another_size_is_resized():
    pixels = start(Pixel(), Canvas(4, 5), 0, photo=torch.full((3, 8, 10), 0.3)).pixels()
    torch.testing.assert_close(pixels, torch.full((1, 3, 4, 5), 0.3))


def test_maco_keeps_its_magnitudes_up_to_a_factor():
    image = start(Maco(colour=None), Canvas(8, 8, channels=1), 0)
    planes = image.pixels().detach().logit()[0, 0]
    assert planes.mean().item() == pytest.approx(0, abs=1e-5)
    assert planes.std().item() == pytest.approx(1, abs=1e-3)
    found = torch.fft.rfft2(planes).abs()
    # Coefficients whose mirror image is elsewhere in the full spectrum are kept as they are.
    ratio = found[1, 1:4] * torch.tensor([slow.frequency(1, u, 8, 8) for u in (1, 2, 3)]) ** 1.25
    torch.testing.assert_close(ratio / ratio[0], torch.ones(3), atol=1e-4, rtol=0)


def test_a_fitted_spectrum_is_what_the_images_have():
    photo = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    spectrum = fit_spectrum(photo, 8)
    expected = torch.fft.rfft2(photo[0] - photo.mean(), norm="ortho").abs()
    torch.testing.assert_close(spectrum.like(photo), expected)
    assert start(Maco(spectrum=spectrum), Canvas(8, 8, 1), 0).pixels().isfinite().all()


def test_a_spectrum_is_fitted_along_the_axes_of_ones_own_colours():
    photo = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(2))
    colour = fit_colour(photo)
    spectrum = fit_spectrum(photo, (6, 8), colour=colour).like(photo)
    axes = torch.tensor(colour)
    axes = axes / max(sum(row[c] ** 2 for row in colour) ** 0.5 for c in range(3))
    planes, centred = torch.zeros(3, 6, 8), photo[0] - photo[0].mean((1, 2), keepdim=True)
    for y in range(6):
        for x in range(8):
            planes[:, y, x] = torch.linalg.solve(axes, centred[:, y, x])
    torch.testing.assert_close(spectrum, torch.fft.rfft2(planes, norm="ortho").abs())
    other = fit_spectrum(photo, (6, 8)).like(photo)
    assert not torch.allclose(other, spectrum)
    unmixed = fit_spectrum(photo, (6, 8), colour=None).like(photo)
    torch.testing.assert_close(unmixed, torch.fft.rfft2(centred, norm="ortho").abs())


def test_what_images_share_depends_on_the_seed_and_is_nobodys_own():
    given, canvas = Shared(mix=((1.0, 0.0), (0.0, 1.0))), Canvas(8, 8)
    first, again, other = (start(given, canvas, *seeds) for seeds in ((0, 1), (0, 1), (2, 3)))
    for own, common in (first.parameters, other.parameters):
        assert all(not torch.allclose(a, b) for a in own for b in common)
        assert not torch.allclose(common[0], common[1])
    assert torch.equal(first.parameters[1], again.parameters[1])
    assert not torch.allclose(first.parameters[1], other.parameters[1])


def test_fitted_colours_are_the_root_of_the_covariance():
    photos = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    photos[:, 1] = (photos[:, 0] + photos[:, 1]) / 2
    axes = torch.tensor(fit_colour(photos))
    flat = photos.transpose(0, 1).flatten(1)
    torch.testing.assert_close(axes @ axes.T, torch.cov(flat, correction=0), atol=1e-5, rtol=0)
    assert start(Fourier(colour=fit_colour(photos)), Canvas(8, 8), 0).pixels().shape[1] == 3


def test_shared_images_have_a_part_in_common():
    own = start(Fourier(deviation=1.0), Canvas(16, 16), 0, 1).pixels().detach()
    common = start(Shared(own=0.2, shared=1.0, deviation=1.0), Canvas(16, 16), 0, 1).pixels()
    apart = (own[0] - own[1]).abs().mean()
    assert (common[0] - common[1]).abs().mean() < apart / 3


def test_the_mix_says_how_much_of_each_shared_spectrum_an_image_has():
    mix = ((1.0, 0.0), (0.0, 1.0), (1.0, 0.0))
    image = start(Shared(own=0.0, shared=1.0, mix=mix), Canvas(8, 8), 0, 1, 2)
    a, b, c = image.pixels().detach()
    torch.testing.assert_close(a, c)
    assert not torch.allclose(a, b)


@pytest.mark.parametrize(
    "one", [Fourier(), Pixel(), LaplacianPyramid(3), Cppn(8, 3), Maco(), Shared()]
)
def test_scores_rise(one: Parameterization, stem: nn.Module):
    made = FeatureVisualizer(stem, "second").visualize(
        [Channel(0), Channel(3)], size=16, n_steps=40, parameterization=one, transforms="none"
    )
    assert (made.history[-1] > made.history[0] + 0.01).all()


@pytest.mark.parametrize(
    ("one", "canvas", "photo", "message"),
    [
        (
            Cppn(),
            Canvas(8, 8),
            torch.zeros(3, 8, 8),
            "Cppn cannot start from a photo; use Fourier, Pixel, LaplacianPyramid or Maco",
        ),
        (
            Fourier(),
            Canvas(8, 8),
            torch.zeros(1, 8, 8),
            "a photo of shape (1, 1, 8, 8) for 1 images of 3 channels; "
            "give (channel, y, x) or (1, channel, y, x) in [0, 1]",
        ),
        (
            Fourier(colour=((1.0, 0.0), (0.0, 1.0))),
            Canvas(8, 8),
            None,
            "colours of shape (2, 2) for 3 channels; fit them on images of 3 channels",
        ),
        (
            Maco(spectrum=fit_spectrum(torch.rand(1, 3, 4, 4), 4)),
            Canvas(8, 8),
            None,
            "Maco: a spectrum of shape (3, 4, 3) for 3 channels of 8x8 pixels; "
            "fit_spectrum takes that size",
        ),
        (
            Shared(mix=((1.0,), (1.0,))),
            Canvas(8, 8),
            None,
            "Shared: mix has 2 rows for 1 images; give one each",
        ),
    ],
)
def test_what_cannot_be_painted_is_refused(one, canvas, photo, message):
    with pytest.raises(InvalidArgument, match=f"^{re.escape(message)}$"):
        start(one, canvas, 0, photo=photo)


def test_a_pyramid_has_a_level():
    message = "LaplacianPyramid: 0 levels; give at least 1"
    with pytest.raises(InvalidArgument, match=f"^{re.escape(message)}$"):
        LaplacianPyramid(0)
