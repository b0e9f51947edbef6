from __future__ import annotations

from itertools import combinations

import pytest

from captum_blocks.render import palette


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


def test_chroma_gives_way_where_the_screen_ends():
    assert palette.oklch(0.72, 0.4, 215) == palette.oklch(0.72, 0.2, 215)
