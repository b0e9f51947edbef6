"""Where on a photograph lies what a network sees, read off pictures that tell their places.

The brightness of such a picture changes along one side only, in waves of which no two pieces are
alike. Which piece was seen is what fits best: also where the transform changes brightness and
contrast of each picture by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from captum_blocks.errors import InvalidArgument

Array = np.ndarray[Any, np.dtype[Any]]
# Start and stop, in fractions of a side of the photograph.
Piece = tuple[float, float]
# A line of brightness as the network sees it: along the side that changes, and across it.
Sees = Callable[[Array], tuple[Array, Array]]
# Cycles over the photograph, height and phase of each wave.
WAVES = ((0.9, 0.34, 0.10), (2.3, 0.26, 0.37), (5.1, 0.20, 0.71), (11.7, 0.12, 0.13))
# A wave needs so many pixels of the network's input to be seen.
PIXELS_A_WAVE = 6
SAMPLES = 40
STEPS = 128
# The share of a line's deviation that may be left over: a strong gamma leaves .27, a reflection .7.
FAIR = 0.3
# The same of a rise, whose brightness is to be what it was.
TRUE = 0.12
NARROW = 0.5
# Pixels in which waves may not be told, and a rise can.
FEW = 16
SHORT = 0.2
NEAR = np.arange(-3, 4)
SMEARED = (2, 3, 4)
ABOUT = 0.15


@dataclass(frozen=True)
class Waves:
    """Brightness in [0, 1] along one side of a photograph.

    Attributes:
        pixels: of the side of the network's input, which decides how fine waves may be.
        start, width: of the piece of the photograph that the waves are laid over.
        rises: brightness only rises instead, from black to white: the plainest picture where what
            is seen is brightness itself.
    """

    pixels: int
    start: float = 0.0
    width: float = 1.0
    rises: bool = False

    def __call__(self, places: Array, blur: Any = 0.0) -> Array:
        """Brightness at places in [0, 1] of the photograph, averaged over so wide a piece."""
        at, blur = (places - self.start) / self.width, np.asarray(blur) / self.width
        if self.rises:
            return np.asarray(0.02 + 0.96 * np.clip(at, 0, 1))
        seen = [wave for wave in WAVES if wave[0] <= max(1.0, self.pixels / PIXELS_A_WAVE)]
        total = sum(height for _, height, _ in seen)
        made = sum(
            height * np.sinc(cycles * blur) * np.sin(2 * np.pi * (cycles * at + phase))
            for cycles, height, phase in seen
        )
        return np.asarray(0.5 + 0.48 * made / total)

    def around(self, start: float, stop: float) -> Waves:
        """The same waves laid over a piece and a little more."""
        width = stop - start
        return replace(self, start=start - width / 4, width=width * 1.5)


def ends(sees: Sees, pixels: int, side: int, known: bool) -> Piece:
    """Where the input begins and ends on the photograph, along one side, in fractions of it.

    Args:
        sees: brightness of the photograph's pixels along the side -> that of the input's.
        pixels: of the input, along the side.
        side: of the photograph, in pixels.
        known: whether what is seen is brightness in [0, 1], and not up to an unknown scale.

    Raises:
        InvalidArgument: the picture is mirrored, turned, or nothing fits.
    """
    if pixels < 4:  # too small to tell
        return (0.0, 1.0)
    middles = (np.arange(side) + 0.5) / side
    rough, waves = None, Waves(pixels)
    if known:
        ramp = Waves(pixels, rises=True)
        rough = _checked(*sees(ramp(middles)), ramp)
    if rough is not None and rough[1] - rough[0] < NARROW:
        waves = waves.around(*rough)
    for _ in range(3):
        piece = _checked(*sees(waves(middles)), waves, rough)
        if piece is None:
            break
        if piece[1] - piece[0] >= NARROW * waves.width:
            return piece
        # A narrow piece is looked at again under waves that are as narrow.
        waves = waves.around(*piece)
    if rough is not None and pixels < FEW:
        return rough
    raise InvalidArgument(
        "where the photograph lies in what the preprocessing makes of it cannot be told, so "
        "nothing could be drawn at its place; give Preprocess(size, mean, std, fit=...), or the "
        "network ready tensors"
    )


def _checked(along: Array, across: Array, waves: Waves, rough: Piece | None = None) -> Piece | None:
    if _is_flat(along) and _is_flat(across):  # nothing of the picture arrives
        return (0.0, 1.0)
    piece = _piece(along, waves, rough)
    if piece is not None and piece[0] > piece[1]:
        raise InvalidArgument(
            "the preprocessing mirrors the picture, so nothing could be drawn at its place; give "
            "the transforms that are used for evaluation"
        )
    if piece is None and _piece(across, waves) is not None:
        raise InvalidArgument(
            "the preprocessing turns the picture on its side, or exchanges rows and columns, so "
            "nothing could be drawn at its place; give one that keeps (channel, y, x) upright"
        )
    return piece


def _is_flat(line: Array) -> bool:
    return not np.isfinite(line).all() or float(np.ptp(line)) < 1e-6


def _piece(line: Array, waves: Waves, rough: Piece | None = None) -> Piece | None:
    """The piece of a photograph that a line shows; None where none is like it."""
    if _is_flat(line):
        return None
    least, found = (TRUE if waves.rises else FAIR), None
    for first, last in _insides(line):
        if last - first < (2 if waves.rises else 4):
            continue
        (start, stop), left = _fitted(line[first:last], waves, rough)
        # Without a scale, every short piece is like many others.
        short = not waves.rises and abs(stop - start) < SHORT * waves.width
        if left <= least and not short:
            slope = (stop - start) / (last - first)
            least = left
            found = (start - slope * first, start + slope * (len(line) - first))
    return found


def _fitted(line: Array, waves: Waves, rough: Piece | None = None) -> tuple[Piece, float]:
    """The piece whose waves are most like a line, and the share of it that they leave over."""
    samples = np.unique(np.linspace(0, len(line) - 1, SAMPLES).round().astype(int))
    units, wanted = (samples + 0.5) / len(line), line[samples]
    step = waves.width / STEPS * (4 if waves.rises else 1)
    edges = waves.start + np.arange(0, waves.width + step / 2, step)
    ends = [edges, edges]
    if rough is not None:  # about there, up to what a gamma may do
        ends = [edges[np.abs(edges - np.clip(at, 0, 1)) < ABOUT * waves.width] for at in rough]
    starts, stops = (grid.ravel() for grid in np.meshgrid(*ends))
    for _ in range(7):
        wide = np.abs(stops - starts) > step / 2
        starts, stops = starts[wide], stops[wide]
        widths = (stops - starts)[:, None]
        shown = waves(starts[:, None] + widths * units, widths / len(line))
        left = _left_over(shown, wanted, waves.rises)
        place = int(np.argmin(left))
        best, least = (float(starts[place]), float(stops[place])), float(left[place])
        step /= 3
        near = np.meshgrid(best[0] + NEAR * step, best[1] + NEAR * step)
        starts, stops = (grid.ravel() for grid in near)
    return best, least


def _left_over(shown: Array, wanted: Array, scaled: bool) -> Array:
    """Of each row, the share of the wanted line's deviation that it does not explain.

    As it is where it is scaled as the line is, else at the contrast that fits best.
    """
    about = wanted - wanted.mean()
    power = max(float(about @ about), 1e-12)
    if scaled:
        return np.asarray(np.sqrt(((shown - wanted) ** 2).sum(1) / power))
    shown = shown - shown.mean(1, keepdims=True)
    explained = (shown @ about) ** 2 / np.maximum((shown**2).sum(1), 1e-12)
    return np.asarray(np.sqrt(np.maximum(0.0, 1 - explained / power)))


def _insides(line: Array) -> list[tuple[int, int]]:
    """The part of a line between bars, which are constant; without so many pixels beside them.

    How far the edge of a bar is smeared over the picture depends on how it was resized.
    """
    moving = np.flatnonzero(np.abs(np.diff(line)) >= 1e-3 * np.ptp(line))
    first, last = int(moving[0]), int(moving[-1]) + 2
    if first == 0 and last == len(line):
        return [(first, last)]
    return [
        (first + margin if first else 0, last - margin if last < len(line) else last)
        for margin in SMEARED
    ]
