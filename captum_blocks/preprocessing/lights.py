"""What a transform does to brightness and colour: the same for all pictures, or for each its own.

Read off pictures, never believed: a shift and scale read off black and white has to explain
textured pictures, too. Where it does not, the usual ways of standardising each picture by itself
are tried, and one is taken where it reproduces what the transform does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

Extent = tuple[float, float, float, float]
Array = np.ndarray[Any, np.dtype[Any]]
# The share of the deviation that may be left over: eight bits and resampling leave a hundredth.
FAIR = 0.05
TINY = 1e-6


def _z_score(pixels: Tensor, axes: tuple[int, ...]) -> Tensor:
    mean = pixels.mean(axes, keepdim=True)
    return (pixels - mean) / pixels.std(axes, keepdim=True).clamp_min(TINY)


def _min_max(pixels: Tensor, axes: tuple[int, ...]) -> Tensor:
    low = pixels.amin(axes, keepdim=True)
    return (pixels - low) / (pixels.amax(axes, keepdim=True) - low).clamp_min(TINY)


def _by_maximum(pixels: Tensor, axes: tuple[int, ...]) -> Tensor:
    return pixels / pixels.amax(axes, keepdim=True).clamp_min(TINY)


def _centred(pixels: Tensor, axes: tuple[int, ...]) -> Tensor:
    return pixels - pixels.mean(axes, keepdim=True)


Way = Callable[[Tensor, tuple[int, ...]], Tensor]
WAYS: dict[str, Way] = {
    "z-score": _z_score,
    "min-max": _min_max,
    "division by the maximum": _by_maximum,
    "subtraction of the mean": _centred,
}
OVER: dict[str, tuple[int, ...]] = {"the whole picture": (-3, -2, -1), "each channel": (-2, -1)}


@dataclass(frozen=True, eq=False)
class Light:
    """From pixels in [0, 1] to what a network takes; differentiable.

    Attributes:
        mix: (channel of the network, channel of the pixels), what each adds.
        offset: (channel of the network,).
        way: how each picture is standardised by itself before that; None: it is not.
        over: over what.

    >>> light = Light(torch.tensor([[2.0]]), torch.tensor([-1.0]))
    >>> light(torch.ones(1, 1, 1)).item()
    1.0
    """

    mix: Tensor
    offset: Tensor
    way: str | None = None
    over: str = "the whole picture"

    def __call__(self, pixels: Tensor) -> Tensor:
        """(..., channel, y, x) in [0, 1] -> as the network takes them."""
        if self.way is not None:
            pixels = WAYS[self.way](pixels, OVER[self.over])
        mix, offset = self.mix.to(pixels), self.offset.to(pixels)[:, None, None]
        if len(mix) == mix.shape[1] and torch.equal(mix, mix.diag().diag()):
            return pixels * mix.diag()[:, None, None] + offset
        return torch.einsum("oc,...cyx->...oyx", mix, pixels) + offset

    @property
    def gain(self) -> Tensor:
        """(channel of the network,), from black to white."""
        return self.mix.sum(1)

    @property
    def note(self) -> str:
        """What a page says of it; nothing where all pictures are treated alike."""
        if self.way is None:
            return ""
        return (
            f"the preprocessing standardises each picture by itself ({self.way} over {self.over}), "
            "so its own brightness or contrast does not reach the network"
        )


def uniform(shade: Array) -> Array:
    """A picture of one colour, (256, 256, band) uint8."""
    return np.full((256, 256, len(shade)), shade, np.uint8)


@dataclass(frozen=True)
class Texture:
    """Soft waves of colour, as a function of the place on a picture.

    Attributes:
        low, high: darkest and brightest.
        bend: below 1 most of it is bright, above 1 most of it is dark.
        turn: makes its waves others.
    """

    low: float
    high: float
    bend: float
    turn: float

    def __call__(self, y: Array, x: Array, bands: int, grey: bool = False) -> Array:
        """(y, x, band) in [0, 1] at places (y,) and (x,) in fractions of the picture."""
        numbers = np.zeros(bands) if grey else np.arange(bands)
        turns = self.turn + 1.1 * numbers
        down, across = y[:, None, None], x[None, :, None]
        wave = np.sin(2 * np.pi * (1.3 * down + 0.4 * across) + turns)
        other = np.sin(2 * np.pi * (0.5 * down - 1.1 * across) + 2 * turns + 1)
        made = (0.5 + 0.3 * wave + 0.2 * other) ** self.bend
        # Bands differ in contrast, each time otherwise: the whole picture is not each channel.
        shares = 0.7 + 0.3 * np.cos(1.9 * numbers + self.turn)
        return np.asarray(self.low + (self.high - self.low) * shares * made)

    def picture(self, size: tuple[int, int], bands: int, grey: bool = False) -> Array:
        """(y, x, band) uint8 of a (width, height)."""
        made = self(_middles(0, 1, size[1]), _middles(0, 1, size[0]), bands, grey)
        return np.asarray((made * 255).round().astype(np.uint8))


TEXTURES = (
    Texture(0.03, 0.97, 1.0, 0.0),
    Texture(0.1, 0.6, 2.5, 1.3),
    Texture(0.4, 0.9, 0.5, 4.1),
    Texture(0.0, 0.8, 1.6, 2.7),
)


def fixed(sees: Callable[[Array], Tensor], bands: int) -> Light | None:
    """The shift and scale of each channel, read off uniform pictures; None where there is none.

    Args:
        sees: (y, x, band) uint8 -> (channel, y, x) as the network takes it.
        bands: of the pictures.
    """
    shades = [np.zeros(bands), *(255.0 * np.eye(bands))]
    seen = [_middle(sees(uniform(shade))) for shade in shades]
    offset, mix = seen[0], torch.stack(seen[1:], 1) - seen[0][:, None]
    strongest = mix.abs().max()
    if not bool(mix.isfinite().all()) or not bool(offset.isfinite().all()) or strongest < TINY:
        return None
    mix = torch.where(mix.abs() < 1e-4 * strongest, 0.0, mix)
    if len(mix) == 1 and bands > 1:  # a network of one channel is given grey pictures
        mix = mix.sum(1, keepdim=True)
    return Light(mix, offset)


def _middle(seen: Tensor) -> Tensor:
    return seen[:, seen.shape[1] // 2, seen.shape[2] // 2].float()


@dataclass(frozen=True, eq=False)
class Trial:
    """A test picture in [0, 1] as the network's grid has it, and what the transform made of it.

    Attributes:
        pixels: (channel, y, x).
        seen: (channel, y, x), without the bars.
        whole: whether there are none.
    """

    pixels: Tensor
    seen: Tensor
    whole: bool


def trials(
    sees: Callable[[Array], Tensor], bands: int, size: tuple[int, int], extent: Extent
) -> list[Trial]:
    """Textured pictures, of a size that needs no resampling where there is one.

    Args:
        sees: (y, x, band) uint8 -> (channel, y, x) as the network takes it.
        bands: of the pictures.
        size: (width, height) of the pictures.
        extent: where the network's input lies on them.
    """
    made = []
    for texture in TEXTURES:
        seen = sees(texture.picture(size, bands))
        channels, rows, columns = seen.shape
        grey = channels != bands
        if grey:
            seen = sees(texture.picture(size, bands, grey))
        top, left, bottom, right = extent
        y, x = _middles(top, bottom, rows), _middles(left, right, columns)
        down, across = _inside(y), _inside(x)
        pixels = torch.from_numpy(texture(y[down], x[across], channels, grey))
        part = seen[:, torch.from_numpy(down)][:, :, torch.from_numpy(across)]
        is_whole = bool(down.all() and across.all())
        made.append(Trial(pixels.float().movedim(2, 0), part.float(), is_whole))
    return made


def _inside(at: Array) -> Array:
    """Which pixels show the photograph alone; those next to a bar are mixed with it."""
    inside = (at > 0) & (at < 1)
    if inside.all() or len(at) < 2:
        return np.asarray(inside)
    step = at[1] - at[0]
    return np.asarray((at > step) & (at < 1 - step))


def _middles(start: float, stop: float, count: int) -> Array:
    return start + (stop - start) * (np.arange(count) + 0.5) / count


def explaining(found: list[Trial], guess: Light | None) -> Light | None:
    """What explains all trials: the guess, or a way of standardising each picture by itself."""
    candidates = [] if guess is None else [guess]
    if all(trial.whole for trial in found):
        candidates += list(_standardisations(found))
    left = [_left_over(light, found) for light in candidates]
    if not left or min(left) > FAIR:
        return None
    # What treats all pictures alike is the simplest that it can be.
    return candidates[0 if left[0] <= FAIR else int(np.argmin(left))]


def _standardisations(found: list[Trial]) -> Iterator[Light]:
    """Each way, with the shift and scale behind it that fit best."""
    wanted = torch.cat([trial.seen.flatten(1) for trial in found], 1)
    for way, over in product(WAYS, OVER):
        made = [WAYS[way](trial.pixels, OVER[over]).flatten(1) for trial in found]
        given = torch.cat(made, 1)
        about, shown = wanted - wanted.mean(1, keepdim=True), given - given.mean(1, keepdim=True)
        gain = (about * shown).sum(1) / shown.square().sum(1).clamp_min(TINY)
        yield Light(gain.diag(), wanted.mean(1) - gain * given.mean(1), way, over)


def _left_over(light: Light, found: list[Trial]) -> float:
    """The largest share of a trial's deviation that is not explained."""
    shares = [
        (light(trial.pixels) - trial.seen).square().mean().sqrt() / trial.seen.std().clamp_min(TINY)
        for trial in found
    ]
    worst = float(torch.stack(shares).max())
    return worst if np.isfinite(worst) else np.inf
