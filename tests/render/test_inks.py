from __future__ import annotations

import numpy as np
import pytest

from captum_blocks.render import inks, palette
from captum_blocks.render.wording import number
from captum_blocks.scene import Field


def field(values, domain=(0.0, 1.0), hue=None, extent=(0.0, 0.0, 1.0, 1.0)) -> Field:
    return Field(np.asarray(values, float), domain, "u", "f", hue, extent)


def colour(name: str) -> np.ndarray:
    return np.array(palette.rgb(name)) / 255


def test_opacity_is_the_magnitude_and_colour_the_sign():
    cells = inks.mix([field([[-1.0, -0.5, 0.0, 0.5, 1.0]], (-1.0, 1.0))])
    assert cells[0, :, 3] == pytest.approx(inks.MOST_INK * np.array([1, 0.5, 0, 0.5, 1]))
    assert cells[0, 0, :3] == pytest.approx(colour(palette.OPPOSES))
    assert cells[0, 4, :3] == pytest.approx(colour(palette.SUPPORTS))


def test_what_has_no_sign_is_not_drawn_in_its_colours():
    cells = inks.mix([field([[1.0]])])
    assert cells[0, 0, :3] == pytest.approx(colour(palette.PRESENCE))


def test_values_beyond_the_domain_are_drawn_at_its_end():
    assert inks.weight(field([[2.0, 5.0]], (0.0, 2.0))) == pytest.approx(np.ones((1, 2)))


def test_a_domain_above_zero_starts_at_its_low_end():
    shown = inks.weight(field([[2.0, 3.0, 4.0]], (2.0, 4.0)))
    assert shown[0] == pytest.approx([0, 0.5, 1])


def test_the_strongest_of_mixed_fields_gives_most_of_the_colour():
    one, other = field([[1.0]], hue=0), field([[0.25]], hue=1)
    cell = inks.mix([one, other])[0, 0]
    mixed = (colour(palette.GROUPS[0]) + 0.25**3 * colour(palette.GROUPS[1])) / (1 + 0.25**3)
    assert cell[:3] == pytest.approx(mixed)
    assert cell[3] == pytest.approx(inks.MOST_INK)


def test_fields_of_one_grid_share_a_layer_and_others_do_not():
    half = (0.0, 0.0, 0.5, 1.0)
    fields = [field(np.ones((2, 2))), field(np.ones((2, 2))), field(np.ones((2, 2)), extent=half)]
    layers = inks.layers(fields)
    assert [extent for _, extent in layers] == [(0.0, 0.0, 1.0, 1.0), half]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (-0.3, "−0.30"),
        (12.34, "+12.3"),
        (123.4, "+123"),
        (0.0052, "+0.005"),
        (3e6, "+3.0e+6"),
    ],
)
def test_numbers_read_alike(value, text):
    assert number(value, signed=True) == text
