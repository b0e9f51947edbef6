"""The colours every renderer shares, made in OKLCH so that equal lightness looks equal.

Source of the colour space: Ottosson, "A perceptual color space for image processing" (2020).
"""

from __future__ import annotations

from math import cos, pi, sin

import numpy as np

GROUP_HUES = (150, 330, 85, 215, 290, 50, 120, 180, 258, 5, 68, 310)
GROUP_LIGHTNESS, GROUP_CHROMA = 0.72, 0.15
# Further rounds, of twelve hues as far from one another as they can be, far ones in succession: a
# step of lightness, with the chroma that it has room for, is seen where one of hue is not.
FURTHER_HUES = tuple((25 + 150 * place) % 360 for place in range(12))
FURTHER_ROUNDS = ((0.56, 0.14), (0.86, 0.10), (0.42, 0.12))
SIGN_LIGHTNESS = 0.60

_TO_LMS = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def oklch(lightness: float, chroma: float, hue: float) -> str:
    """A colour as ``"#rrggbb"``; chroma gives way where the screen has no such colour.

    Args:
        lightness: 0 (black) to 1 (white).
        chroma: 0 (grey) to about 0.3.
        hue: in degrees.

    >>> oklch(1.0, 0.0, 0.0)
    '#ffffff'
    """
    linear = _linear_rgb(lightness, chroma, hue)
    while chroma > 0 and (linear.min() < -1e-4 or linear.max() > 1 + 1e-4):
        chroma = max(0.0, chroma - 0.005)
        linear = _linear_rgb(lightness, chroma, hue)
    levels = np.round(255 * _gamma(linear.clip(0, 1))).astype(int)
    return "#" + "".join(f"{level:02x}" for level in levels)


def group_colour(hue: int) -> str:
    """The categorical colour of a group, the same wherever the group appears.

    >>> len({group_colour(hue) for hue in range(48)}), group_colour(48) == group_colour(0)
    (48, True)
    """
    return GROUPS[hue % len(GROUPS)]


def rgb(colour: str) -> tuple[int, int, int]:
    """``"#rrggbb"`` as three levels.

    >>> rgb("#ff8000")
    (255, 128, 0)
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def _linear_rgb(lightness: float, chroma: float, hue: float) -> np.ndarray:
    angle = hue * pi / 180
    lab = np.array([lightness, chroma * cos(angle), chroma * sin(angle)])
    linear: np.ndarray = _TO_RGB @ (_TO_LMS @ lab) ** 3
    return linear


def _gamma(linear: np.ndarray) -> np.ndarray:
    curve = 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curve)


GROUPS: tuple[str, ...] = (
    *(oklch(GROUP_LIGHTNESS, GROUP_CHROMA, hue) for hue in GROUP_HUES),
    *(oklch(*tone, hue) for tone in FURTHER_ROUNDS for hue in FURTHER_HUES),
)
SUPPORTS: str = oklch(SIGN_LIGHTNESS, 0.16, 252)
OPPOSES: str = oklch(SIGN_LIGHTNESS, 0.19, 38)
# Where something is, without for or against: lighter than any group, unlike either sign.
PRESENCE: str = oklch(0.85, 0.175, 98)
NEUTRAL: str = oklch(SIGN_LIGHTNESS, 0.02, 252)
