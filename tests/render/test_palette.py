from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from captum_blocks.render import palette

# Linear sRGB of the cubes of long, medium and short.
TO_RGB = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    linear = []
    for level in palette.rgb(colour):
        part = level / 255
        linear.append(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("lch", "colour"),
    [
        ((0.627955, 0.257683, 29.2339), "#ff0000"),
        ((0.866440, 0.294827, 142.4953), "#00ff00"),
        ((0.452014, 0.313214, 264.0520), "#0000ff"),
        ((0.0, 0.0, 0.0), "#000000"),
    ],
)
def test_known_colours(lch, colour):
    shown = palette.rgb(palette.oklch(*lch))
    assert shown == pytest.approx(palette.rgb(colour), abs=3)


def test_signs_stand_out_on_both_schemes():
    for colour in (palette.SUPPORTS, palette.OPPOSES, palette.NEUTRAL):
        assert contrast(colour, "#ffffff") >= 3
        assert contrast(colour, "#15171a") >= 3


def test_signs_weigh_the_same():
    assert contrast(palette.SUPPORTS, palette.OPPOSES) < 1.2


def test_the_first_groups_can_be_told_apart():
    apart = [
        sum(abs(a - b) for a, b in zip(palette.rgb(one), palette.rgb(other), strict=True))
        for one, other in combinations(palette.GROUPS[:8], 2)
    ]
    assert min(apart) > 60


def test_no_two_of_forty_groups_share_a_colour():
    """Apart in OKLab, where a distance of 0.02 is just seen."""
    colours = [palette.group_colour(hue) for hue in range(40)]
    assert min(distance(*pair) for pair in combinations(colours, 2)) > 0.035


def distance(one: str, other: str) -> float:
    """In OKLab (Ottosson 2020)."""
    return float(np.linalg.norm(np.subtract(*map(oklab, (one, other)))))


def oklab(colour: str) -> np.ndarray:
    levels = np.array(palette.rgb(colour)) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    to_lms = np.linalg.inv(np.array(TO_RGB))
    to_lab = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.array(to_lab) @ np.cbrt(to_lms @ linear)


def test_chroma_gives_way_where_the_screen_ends():
    assert palette.oklch(0.72, 0.4, 215) == palette.oklch(0.72, 0.2, 215)
