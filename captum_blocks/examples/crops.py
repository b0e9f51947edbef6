"""The smallest part of a picture that alone keeps what stands at one place of a layer.

The theoretical receptive field of a late layer is larger than the picture, and one of a gated or
attending network is all of it. What counts is looked for by the gradient and found by occlusion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients
from captum_blocks.behaviour import observed
from captum_blocks.errors import InvalidArgument
from captum_blocks.examples._looked import Looked
from captum_blocks.examples.boxes import (
    Box,
    Extent,
    Size,
    area,
    ladder,
    masks,
    on_photograph,
    shaved,
)
from captum_blocks.layouts import Kind, Layout

KEEP = 0.8
# A box of more than this share of the picture is as good as all of it.
MOST = 0.9
# Cut off at each side of the box that the ladder gives, where enough is kept without it.
SHAVED = 0.25
# Where the gradient is taken, on the way from the plain picture to the picture: at its end alone,
# what has been reached fully (a clamp, a match) has none.
ALONG = (1.0, 0.5)
AT_ONCE = 8
# What a picture does as a share of what stands there: below, it is rounding.
_NOTHING = 1e-4

WHOLE = (
    "no smaller part that was tried keeps {keep:.0%} of the activation: this is the whole picture"
)
NO_CAUSE = (
    "a plain picture in the mean colour of this one gives as much or more, so no part of it is the "
    "cause: this is the whole picture"
)
NO_NUMBER = "the activation is not finite: this is the whole picture"


@dataclass(frozen=True)
class Crop:
    """A box of a network's input, and how much of an activation it keeps alone.

    Attributes:
        box: (top, left, bottom, right) in pixels of the network's input.
        shape: (height, width) of the network's input.
        kept: share of the activation that the box alone keeps; more than 1 where the rest of the
            picture dampens it. NaN where there is nothing that could be kept.
        note: why it is the whole picture; empty where it is not.

    >>> Crop((0, 0, 4, 8), (8, 8), 0.9).area
    0.5
    """

    box: Box
    shape: Size
    kept: float
    note: str = ""

    @property
    def area(self) -> float:
        """As a share of what the network sees."""
        return area(self.box) / prod(self.shape)

    @property
    def whole(self) -> bool:
        """Whether it is all that the network sees."""
        return area(self.box) == prod(self.shape)

    def on_photograph(self, size: Size, extent: Extent) -> Box | None:
        """The box in pixels of the photograph; None where all of it lies on a letterbox's bars.

        Args:
            size: (width, height) of the photograph.
            extent: ``preprocess.extent(size)``.
        """
        return on_photograph(self.box, self.shape, size, extent)


def cropped(
    module: nn.Module,
    layer: str | nn.Module,
    x: Tensor,
    places: Tensor,
    units: Tensor,
    *,
    layout: Layout | Kind | None = None,
    signs: Tensor | None = None,
    keep: float = KEEP,
    at_once: int = AT_ONCE,
) -> list[Crop]:
    """The smallest box of each picture that alone keeps most of what stands at one place.

    Outside of a box the picture is exchanged for its own mean colour: that says nothing of where
    something is, while a blurred picture still excites what looks for a colour. Boxes come from a
    gradient's energy, |sum over colours of (x - fill) * gradient|, the gradient a mean of two
    points between the plain picture and the picture (Integrated Gradients, Sundararajan et al.
    2017, with two steps): of each size the box that holds the most of it. The smallest that keeps
    enough is searched by bisection and then cut at each side where it still does. What is
    returned has been tried.

    What is kept is counted from zero, or from what the plain picture alone gives at the same
    place where that is more: kept = (a(box) - a0) / (a - a0) with a0 = max(0, a(plain)), signs
    turned where the activation is negative. A layer's constant part is no picture's doing.

    Some twelve forward passes and two backward ones for each row, all ending at the layer.

    Args:
        module: the network.
        layer: name or module.
        x: (row, channel, y, x), what the network takes.
        places: (row, 2), whole numbers: y and x on the layer's grid; zeros for a layer without.
        units: channels (row,), whole numbers; or directions (row, channel).
        layout: of the layer; guessed unless given.
        signs: (row,), 1 where the activation is looked at as high (a top example) and -1 as low;
            its own sign unless given. One that is not of its sign is counted from the plain
            picture's.
        keep: share of the activation to be kept.
        at_once: rows that go through the network together.

    Returns:
        A crop for each row: the whole picture where nothing smaller will do, which its note says.

    Raises:
        InvalidArgument: rows that do not match, a place or channel that is not there, a share that
            cannot be.
        LayerNotFound: there is no such layer.
        UnusableLayer: the network does not call it, or its numbers have no places.

    >>> x = torch.zeros(1, 3, 16, 16)
    >>> x[0, 0, 4:8, 8:12] = 1  # a red patch
    >>> red = nn.Sequential(nn.Conv2d(3, 1, 4, 4, bias=False), nn.ReLU())
    >>> _ = nn.init.constant_(red[0].weight, 0.1)
    >>> cropped(red, "1", x, torch.tensor([[1, 2]]), torch.tensor([0]))[0].box
    (4, 8, 8, 12)
    """
    if not 0 < keep < 1:
        raise InvalidArgument(f"keep={keep!r}: a box keeps a share between 0 and 1")
    if at_once < 1:
        raise InvalidArgument(f"at_once={at_once!r}: at least one row goes through")
    found: list[Crop] = []
    if not len(x):
        return found
    with _ready(module):
        images = x.detach().clone()
        looked = Looked.at(module, layer, images, layout)
        directions = looked.checked(len(images), places, units, signs).to(images)
        step = 1 if observed(module, images[:1]).apart else at_once
        for rows in torch.arange(len(images)).split(step):
            sign = None if signs is None else signs[rows].to(images)
            there = places[rows].to(images.device)
            found += _Search(looked, images[rows], there, directions[rows], sign).crops(keep)
    return found


@contextmanager
def _ready(module: nn.Module) -> Iterator[None]:
    """The network as it is run here, gradients possible whatever the caller's mode."""
    if any(parameter.is_inference() for parameter in module.parameters()):
        raise InvalidArgument(
            f"this {type(module).__name__} was made under torch.inference_mode(), so nothing can "
            "be differentiated through it; build or load it outside of that context"
        )
    with ExitStack() as undo:
        undo.enter_context(hooks.running(module))
        undo.enter_context(torch.inference_mode(False))
        undo.enter_context(torch.enable_grad())
        yield


class _Search:
    """Of some rows at once; each goes its own way through its own boxes."""

    def __init__(
        self,
        looked: Looked,
        images: Tensor,
        places: Tensor,
        directions: Tensor,
        signs: Tensor | None,
    ) -> None:
        self._looked, self._places, self._directions = looked, places, directions
        self._images = images
        self._plain = images.mean((2, 3), keepdim=True).expand_as(images)
        self._size: Size = (images.shape[2], images.shape[3])
        own, self._energy = self._gradients()
        plain = self._values(self._plain)
        self._sign = own.sign() if signs is None else signs
        high, base = self._sign * own, self._sign * plain
        # From zero where the activation is of the sign it is looked at with, else from the plain.
        self._base = torch.where(high > 0, base.clamp(min=0), base)
        self._range = high - self._base
        self._least = _NOTHING * torch.maximum(own.abs(), plain.abs())

    def crops(self, keep: float) -> list[Crop]:
        """A crop for each row."""
        boxes, kept = self._bisected(keep)
        for side in range(4):
            fewer = [shaved(box, side, SHAVED) for box in boxes]
            boxes, kept = _better(boxes, kept, fewer, self._kept(fewer), keep)
        ranges = zip(self._range.tolist(), self._least.tolist(), strict=True)
        return [
            self._crop(box, share, *its, keep)
            for box, share, its in zip(boxes, kept, ranges, strict=True)
        ]

    def _crop(self, box: Box, kept: float, moves: float, least: float, keep: float) -> Crop:
        whole = (0, 0, *self._size)
        if not moves > least:
            note = NO_CAUSE if moves <= least else NO_NUMBER
            return Crop(whole, self._size, float("nan"), note)
        if area(box) > MOST * prod(self._size):
            return Crop(whole, self._size, 1.0, WHOLE.format(keep=keep))
        return Crop(box, self._size, kept)

    def _bisected(self, keep: float) -> tuple[list[Box], list[float]]:
        """The smallest box of each row's ladder that keeps enough, as far as bisection tells."""
        ladders = [ladder(energy) for energy in self._energy]
        fits, fails = [0] * len(ladders), [len(boxes) for boxes in ladders]
        kept = [1.0] * len(ladders)
        while any(last - first > 1 for first, last in zip(fits, fails, strict=True)):
            middles = [(first + last) // 2 for first, last in zip(fits, fails, strict=True)]
            tried = [boxes[middle] for boxes, middle in zip(ladders, middles, strict=True)]
            for row, (middle, share) in enumerate(zip(middles, self._kept(tried), strict=True)):
                if middle == fits[row]:
                    continue
                if share >= keep:
                    fits[row], kept[row] = middle, share
                else:
                    fails[row] = middle
        return [boxes[fit] for boxes, fit in zip(ladders, fits, strict=True)], kept

    def _kept(self, boxes: Sequence[Box]) -> list[float]:
        """(row,) what each row's box keeps alone; NaN where there is nothing to be kept."""
        share = masks(boxes, self._size).to(self._images)
        alone = self._values(self._images * share + self._plain * (1 - share))
        kept: list[float] = ((self._sign * alone - self._base) / self._range).tolist()
        return kept

    def _values(self, x: Tensor) -> Tensor:
        with without_gradients():
            return self._looked.values(x, self._places, self._directions).float()

    def _gradients(self) -> tuple[Tensor, Tensor]:
        """(row,) what stands there, and (row, y, x) how much each pixel moves it."""
        moved, own = torch.zeros_like(self._images), self._images.new_zeros(len(self._images))
        for share in ALONG:
            x = (self._plain + share * (self._images - self._plain)).requires_grad_()
            values = self._looked.values(x, self._places, self._directions)
            if values.requires_grad:
                moved += torch.autograd.grad(values.sum(), x)[0]
            own = values.detach().float() if share == 1 else own
        energy = (moved * (self._images - self._plain)).sum(1).abs().float()
        return own, self._about_the_places(energy)

    def _about_the_places(self, energy: Tensor) -> Tensor:
        """Energy as it is; where there is none, the more the nearer to a row's place."""
        middles = (self._places + 0.5) / self._places.new_tensor(self._looked.shape[1:])
        lines = [
            (torch.arange(side, device=energy.device) + 0.5) / side - middles[:, axis, None]
            for axis, side in enumerate(self._size)
        ]
        near = torch.exp(-8 * (lines[0].square()[:, :, None] + lines[1].square()[:, None]))
        total = energy.sum((1, 2), keepdim=True)
        return torch.where((total > 0) & total.isfinite(), energy, near)


def _better(
    boxes: list[Box], kept: list[float], others: list[Box], shares: list[float], keep: float
) -> tuple[list[Box], list[float]]:
    """Row by row the other box where it keeps enough."""
    better = [share >= keep for share in shares]
    pairs = zip(better, boxes, others, strict=True)
    numbers = zip(better, kept, shares, strict=True)
    return (
        [other if good else box for good, box, other in pairs],
        [other if good else share for good, share, other in numbers],
    )
