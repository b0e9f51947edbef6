"""Where a layer's numbers come from: pictures woven of two, and which of the two it looks like.

Two pictures of noise are woven into a third, stripe by stripe, from the one or from the other. At
each place the layer is nearer to what it gave for the picture that the place was taken from: one
forward pass tells for every place of every layer at once on which side of many borders it lies,
and stripes in a Gray code, as of structured light (Inokuchi, Sato and Matsuda, "Range imaging
system for 3-D object recognition", 1984), tell row and column in as many passes as their numbers
have digits. Both pictures are noise of one kind, so what is shared by the whole picture (a mean, a
gate, attention to everything) is hardly another one for the woven picture.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_blocks._gradients import without_gradients
from captum_blocks.hooks import replace, running, tapped
from captum_blocks.layouts import kind_of

Grid = tuple[int, int]
# Stripes enough to tell rows from columns and one order from another.
COARSE: Grid = (4, 4)
# Noise alone is averaged away by deep layers, so it comes in blocks of this many pixels too.
BLOCK = 32


def stripes(count: int, size: int) -> Tensor:
    """(digit, pixel): the side, +1 or -1, of each pixel, which lies in one of so many stripes.

    >>> stripes(4, 8).tolist()
    [[-1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0]]
    """
    stripe = torch.arange(size) * count // size
    code = stripe ^ (stripe >> 1)
    digits = range(digits_of(count) - 1, -1, -1)
    return torch.stack([((code >> digit) & 1).float() * 2 - 1 for digit in digits])


def digits_of(count: int) -> int:
    """How many digits tell so many stripes apart."""
    return max(1, (count - 1).bit_length())


def side(codes: Tensor, cells: int) -> Tensor:
    """(digit, pixel) -> (digit, cell): the share of the one picture less that of the other."""
    return functional.adaptive_avg_pool1d(codes[:, None], cells)[:, 0]


@dataclass(frozen=True)
class Weave:
    """Pictures woven of two.

    Attributes:
        shape: (channel, height, width).
        grid: how many stripes down and across.
        seed: of the two pictures.
    """

    shape: tuple[int, ...]
    grid: Grid = COARSE
    seed: int = 0

    @property
    def down(self) -> Tensor:
        """(digit, y): the side of each row."""
        return stripes(self.grid[0], self.shape[1])

    @property
    def across(self) -> Tensor:
        """(digit, x): the side of each column."""
        return stripes(self.grid[1], self.shape[2])

    def sides(self, grid: Grid) -> Tensor:
        """(digit, y, x): the sides of the cells of a grid; digits of rows, then of columns."""
        return _sides(self, grid)

    @property
    def middle(self) -> int:
        """How many digits are of rows."""
        return digits_of(self.grid[0])

    def two(self) -> tuple[Tensor, Tensor]:
        """(1, channel, y, x): the two pictures."""
        generator = torch.Generator().manual_seed(self.seed)
        return self._noise(generator), self._noise(generator)

    def woven(self) -> Iterator[Tensor]:
        """(1, channel, y, x): a woven picture for every digit."""
        one, other = self.two()
        _, height, width = self.shape
        for code in self.sides((height, width)):
            yield torch.where(code < 0, one, other)

    def _noise(self, generator: torch.Generator) -> Tensor:
        channels, height, width = self.shape
        low = (1, channels, max(1, height // BLOCK), max(1, width // BLOCK))
        blocks = functional.interpolate(torch.randn(low, generator=generator), (height, width))
        return blocks + 0.7 * torch.randn(1, *self.shape, generator=generator)


@lru_cache(maxsize=256)
def _sides(weave: Weave, grid: Grid) -> Tensor:
    rows, columns = side(weave.down, grid[0]), side(weave.across, grid[1])
    tall = rows[:, :, None].expand(-1, -1, grid[1])
    return torch.cat([tall, columns[:, None].expand(-1, grid[0], -1)])


@dataclass
class Seen:
    """What one layer gave for the two pictures and those woven of them.

    Attributes:
        shape: of its output for one picture, first axis included.
        change: by the axis that is summed over, how far apart the two pictures are at each place.
        towards: by the same axis, for every digit, how much nearer each place is to the second
            picture than to the first, -1 to 1.
        shares: the axis along which its numbers are shares of one, as those of a softmax; 0
            where they are none.
    """

    shape: tuple[int, ...]
    change: dict[int, Tensor]
    shares: int = 0
    towards: dict[int, list[Tensor]] = field(default_factory=dict)

    def contrast(self, axis: int) -> Tensor:
        """(digit, *places), the first axis of the output among the places."""
        return torch.stack(self.towards[axis])


class Lens:
    """Looks at what one layer returns, picture by picture.

    Args:
        module: the layer, which may tell where it keeps its channels.
    """

    def __init__(self, module: nn.Module) -> None:
        self._known = kind_of(module)
        self._pair: list[_Sample] = []
        self._last: _Sample | None = None
        self._shares = 0
        self.seen: Seen | None = None

    def __call__(self, output: Tensor) -> Tensor:
        """Hands on what the layer returned for a picture; of several calls the last one counts."""
        self._last = self._sampled(output.detach())
        if not self._pair:
            self._shares = _shares_of_one(output.detach())
        return output

    def at_both(self, output: Tensor) -> None:
        """Looks at what it returned for the two pictures at once, a row for each.

        Of several calls the last one counts.
        """
        self._pair, self.seen = [], None
        for row in (0, 1):
            self(output[row : row + 1])
            self.next_picture()

    def next_picture(self) -> None:
        """What was seen of the picture before is complete."""
        last, self._last = self._last, None
        if last is None:
            return
        if len(self._pair) < 2:
            self._pair.append(last)
            self._compare()
        elif self.seen is not None and last.shape == self.seen.shape:
            for axis in last.parts:
                one, other = (last.distance(each, axis) for each in self._pair)
                contrast = (one - other) / (one + other).clamp(min=1e-30)
                self.seen.towards.setdefault(axis, []).append(contrast.nan_to_num())

    def _compare(self) -> None:
        one, other = self._pair[0], self._pair[-1]
        if len(self._pair) == 2 and one.shape == other.shape and one.parts:
            change = {axis: one.distance(other, axis) for axis in one.parts}
            self.seen = Seen(one.shape, change, self._shares)

    def _sampled(self, output: Tensor) -> _Sample:
        axes: tuple[int, ...] = {3: (2, 1), 4: (1, 3)}.get(output.ndim, ())
        if not output.numel():
            axes = ()
        if output.ndim == 4 and self._known is not None:
            axes = (1,) if self._known == "NCHW" else (3,)
        return _Sample(tuple(output.shape), {axis: _some(output, axis) for axis in axes})


# Places are told as well by some channels as by all, and a map by some of its places.
CHANNELS, ACROSS = 32, 16


def _some(output: Tensor, axis: int) -> Tensor:
    """A copy of some channels and, of a map, of some rows and columns, its last ones among them."""
    whole = output.ndim == 3 or len(output) > 1
    chosen = [slice(None)]
    for each, size in enumerate(output.shape[1:], 1):
        most = CHANNELS if each == axis else size if whole else ACROSS
        step = -(-size // most)
        chosen.append(slice((size - 1) % step, None, step))
    return output[tuple(chosen)].to(torch.float32, copy=True)


@dataclass(frozen=True)
class _Sample:
    """Some channels of an output, by the axis that may count them."""

    shape: tuple[int, ...]
    parts: dict[int, Tensor]

    def distance(self, other: _Sample, axis: int) -> Tensor:
        """How far apart two outputs are at each place."""
        return (self.parts[axis] - other.parts[axis]).abs_().sum(axis)


def _shares_of_one(output: Tensor) -> int:
    """The axis along which numbers are never negative and sum to one; 0 where there is none."""
    for axis in range(1, output.ndim):
        line = output[_along(axis, output.ndim)]
        if output.shape[axis] > 1 and abs(float(line.sum()) - 1) < 1e-2:
            sums = output.float().sum(axis)
            if float(output.min()) >= 0 and bool(((sums - 1).abs() < 1e-2).all()):
                return axis
    return 0


def _along(axis: int, ndim: int) -> tuple[slice, ...]:
    return tuple(slice(None) if each == axis else slice(0, 1) for each in range(ndim))


class _Tap(nn.Module):
    """An element of what a layer returns, looked at on its way."""

    def __init__(self, lens: Lens) -> None:
        super().__init__()
        self._lens = lens

    def forward(self, tensor: Tensor) -> Tensor:
        return self._lens(tensor)


def look(
    network: nn.Module,
    layers: Mapping[str, nn.Module],
    weave: Weave,
    like: Tensor,
    grid_for: Callable[[Iterable[tuple[int, ...]]], Grid],
    looking: Mapping[str, Lens] | None = None,
) -> tuple[Weave, dict[str, Seen]]:
    """What layers give for two pictures and for those woven of them, one after another.

    Args:
        network: run in evaluation mode.
        layers: the modules by name; ``"name:element"`` for one of several tensors returned.
        weave: the pictures; how many stripes is decided here.
        like: a tensor of the type and on the device of the network's input.
        grid_for: how many stripes to weave, by the shapes of the layers' outputs.
        looking: a lens for each layer that has seen the two pictures already; none: they are shown.

    Returns:
        The pictures; what was seen by name, without layers that return no map of numbers, or
        another shape each time.
    """
    given = looking or {name: Lens(module) for name, module in layers.items()}
    lenses = {name: given[name] for name in layers}

    def show(picture: Tensor) -> None:
        network(picture.to(like))
        for lens in lenses.values():
            lens.next_picture()

    with ExitStack() as opened:
        for name, module in layers.items():
            base, _, wanted = name.partition(":")
            if wanted and not isinstance(module, nn.Identity):
                taps: dict[str, nn.Module] = {wanted: _Tap(lenses[name])}
                opened.enter_context(tapped(module, taps, base))
            else:
                opened.enter_context(replace(module, lenses[name]))
        opened.enter_context(running(network))
        opened.enter_context(without_gradients())
        for picture in () if looking else weave.two():
            show(picture)
        held = {name: lens.seen for name, lens in lenses.items() if lens.seen is not None}
        weave = dataclasses.replace(weave, grid=grid_for(s.shape for s in held.values()))
        for picture in weave.woven():
            show(picture)
    digits = weave.middle + len(weave.across)
    complete = {n: s for n, s in held.items() if all(len(t) == digits for t in s.towards.values())}
    return weave, {name: seen for name, seen in complete.items() if seen.towards}
