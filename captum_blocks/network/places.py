"""Where in the picture a layer's numbers lie: tested by woven pictures, not believed by shape."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn

from captum_blocks.layouts import Kind, Layout, detect, kind_of, patch_grid
from captum_blocks.network.weaving import Grid, Seen, Weave

Certainty = Literal["tested", "guessed", "declared", ""]

# How alike the contrast seen is to the one that a layout predicts: at least, where it is so laid
# out; at most, where it is not.
ALIKE, UNLIKE = 0.35, 0.2
# How strongly places lean to one picture: below, everything depends on everything; above, they
# would show where they are if they were where the layout has them.
FAINT, STRONG = 0.05, 0.3
# Fewer places than this tell too little to say that there are none.
FEW = 16
# How much better another order has to explain what was seen than rows from the top do.
MARGIN = 0.05
# Cells that are cut by more stripes than they can show say nothing; two digits are enough to tell
# rows from columns, and are seen through fields larger than a cell.
SHOWN, DIGITS = 0.3, 2
AXES: dict[Kind, int] = {"NCHW": 1, "NHWC": 3}


@dataclass(frozen=True)
class Found:
    """A layer's layout and how it is known.

    Attributes:
        layout: where channels and positions are; of the kind ``"none"`` where there are none.
        places: "tested" by pictures, or "guessed" from the shape.
        against: what speaks against looking at the layer first; nothing where empty.
    """

    layout: Layout
    places: Certainty
    against: str = ""


@dataclass(frozen=True)
class Fit:
    """How well a layout explains what was seen.

    Attributes:
        rows, columns: the correlation of contrasts seen and predicted, of the first digits.
        fine: the same of all digits that cells of this size can show.
        strength: root of the mean squared contrast.
        cells: how many places.
    """

    rows: float
    columns: float
    fine: float
    strength: float
    cells: int

    @property
    def holds(self) -> bool:
        """Places are where the layout has them."""
        return self.strength >= FAINT and self.worse >= ALIKE

    @property
    def fails(self) -> bool:
        """Numbers lean to one picture or the other, and not where the layout has them."""
        return self.strength >= STRONG and self.cells >= FEW and self.worse < UNLIKE

    @property
    def worse(self) -> float:
        """The correlation of rows or of columns, whichever is less."""
        return min(self.rows, self.columns)


def fit(contrast: Tensor, weave: Weave) -> Fit:
    """How well rows and columns of a map are those of the picture.

    Args:
        contrast: (digit, y, x), digits of rows, then of columns.
        weave: the pictures it was seen with.

    >>> weave = Weave((3, 8, 8))
    >>> fit(weave.sides((4, 4)), weave).holds, fit(weave.sides((4, 4)).mT, weave).holds
    (True, False)
    """
    height, width = contrast.shape[1:]
    sides, rows, columns = _shown(weave, (height, width))
    seen = contrast.cpu().double()
    centred = seen - seen.mean((1, 2), keepdim=True)
    # For every digit: what both share, what either has.
    shared, own, its = (
        (a * b).sum((1, 2)).tolist()
        for a, b in ((centred, sides), (centred, centred), (sides,) * 2)
    )

    def alike(digits: list[int]) -> float:
        """Within digits; one, where there is nothing to show."""
        norm = sum(own[k] for k in digits) * sum(its[k] for k in digits)
        return sum(shared[k] for k in digits) / max(norm, 1e-24) ** 0.5 if digits else 1.0

    coarse = [*rows[:DIGITS], *columns[:DIGITS]]
    return Fit(
        rows=alike(rows[:DIGITS]),
        columns=alike(columns[:DIGITS]),
        fine=alike(rows + columns),
        strength=float(seen[coarse].square().mean().sqrt()) if coarse else 0.0,
        cells=height * width,
    )


@lru_cache(maxsize=256)
def _shown(weave: Weave, grid: Grid) -> tuple[Tensor, list[int], list[int]]:
    """Sides less their mean, and which digits of rows and of columns cells of a grid can show."""
    sides = weave.sides(grid).double()
    told = [k for k in range(len(sides)) if float(sides[k].abs().mean()) >= SHOWN]
    rows, columns = ([k for k in told if (k < weave.middle) == first] for first in (True, False))
    return sides - sides.mean((1, 2), keepdim=True), rows, columns


def settled(
    seen: Seen, image: Grid, weave: Weave, module: nn.Module, orders: Iterable[Layout] = ()
) -> Found:
    """The layout of a layer's output, by what was seen of it.

    Args:
        seen: what it gave for woven pictures.
        image: (height, width) of the picture.
        weave: the pictures.
        module: what returned it.
        orders: layouts found for other layers, which may be this one's too.

    Raises:
        InvalidArgument: no layout fits the shape.
    """
    if seen.shape[0] > 1:
        return _windowed(seen, image, weave)
    guess = detect(seen.shape, image, module)
    if guess.kind == "tokens":
        found = _tokens(seen, guess, weave, orders)
    else:
        found = _maps(seen, guess, weave, kind_of(module) is not None)
    return replace(found, against=against(seen, found.layout))


def _maps(seen: Seen, guess: Layout, weave: Weave, known: bool) -> Found:
    """Four axes: channels first or last, whichever shows the picture; or no map at all.

    Shares of one along rows or columns are weights of attention.
    """
    kinds = [guess.kind] if known else [guess.kind, *(kind for kind in AXES if kind != guess.kind)]
    fails = seen.shares not in (0, AXES[guess.kind])
    for kind in () if fails else kinds:
        found = fit(seen.contrast(AXES[kind])[:, 0], weave)
        if found.holds:
            return Found(Layout(kind), "tested")
        fails |= found.fails
    if fails:
        return Found(Layout("none"), "tested")
    return Found(guess, "guessed")


def _tokens(seen: Seen, guess: Layout, weave: Weave, orders: Iterable[Layout]) -> Found:
    """Three axes: in the order and with the tokens apart that explain best what was seen."""
    contrast = seen.contrast(2)[:, 0]
    others = [*_apart_elsewhere(guess), *(o for o in orders if o.fits(seen.shape))]
    if (own := decoded(contrast, guess.grid, weave)) is not None:  # type: ignore[arg-type]
        others.append(own)
    fits = {
        layout: fit(layout.to_maps(contrast[:, :, None])[:, 0], weave)
        for layout in [guess, *others]
    }
    # The sharper the contrast, the less of a difference is chance.
    margin = MARGIN * max(0.0, 1 - fits[guess].strength)
    best = max(fits, key=lambda layout: fits[layout].fine + margin * (layout == guess))
    if fits[best].holds:
        return Found(best, "tested")
    elsewhere = fit(seen.contrast(1)[:, 0, :, None], weave).fails
    if fits[guess].fails or (fits[guess].strength < FAINT and elsewhere):
        return Found(Layout("none"), "tested")
    return Found(guess, "guessed")


def _apart_elsewhere(guess: Layout) -> list[Layout]:
    """The same grid, class and register tokens at the end or in the middle."""
    if not guess.prefix:
        return []
    rows, columns = guess.grid  # type: ignore[misc]
    middle = range(rows * columns // 2, rows * columns // 2 + guess.prefix)
    ends = range(-guess.prefix, 0)
    return [Layout("tokens", grid=guess.grid, unplaced=tuple(at)) for at in (ends, middle)]


def decoded(contrast: Tensor, grid: Grid, weave: Weave) -> Layout | None:
    """The order of tokens, read from the digits of their rows and columns.

    Args:
        contrast: (digit, token).
        grid: on which they lie.
        weave: the pictures.

    Returns:
        None unless every place has exactly one token that is most like it, for which it is the
        most alike place.
    """
    sides = weave.sides(grid).flatten(1).to(contrast)
    likeness = sides.T @ contrast
    token_of, place_of = likeness.argmax(1), likeness.argmax(0)
    places = torch.arange(len(likeness), device=contrast.device)
    if not torch.equal(place_of[token_of], places) or float(likeness.amax(1).min()) <= 0:
        return None
    placed = sorted(token_of.tolist())
    apart = tuple(sorted(set(range(contrast.shape[1])) - set(placed)))
    counted = {token: number for number, token in enumerate(placed)}
    order = tuple(counted[token] for token in token_of.tolist())
    first = apart == tuple(range(len(apart)))
    return Layout(
        "tokens",
        prefix=len(apart) if first else 0,
        grid=grid,
        order=None if order == tuple(range(len(order))) else order,
        unplaced=() if first else apart,
    )


def _windowed(seen: Seen, image: Grid, weave: Weave) -> Found:
    """The first axis counts parts of one picture: each token tells where it is, or none does."""
    rows, *sizes = seen.shape
    readings = {"tokens": 2} if len(sizes) == 2 else AXES
    for kind, axis in readings.items():
        if axis not in seen.towards:
            continue
        contrast = seen.contrast(axis)
        grid = patch_grid(contrast[0].numel(), image)
        window = None if grid is None else _window(grid, contrast.shape[2:], rows)
        own = None if grid is None else decoded(contrast.flatten(1), grid, weave)
        if own is not None and window is not None:
            layout = Layout(kind, grid=grid, order=own.order, window=window)  # type: ignore[arg-type]
            return Found(layout, "tested")
    return Found(Layout("none"), "tested")


def _window(grid: Grid, inside: Sequence[int], windows: int) -> Grid | None:
    """(rows, columns) of windows, so many of which make up the grid."""
    if len(inside) == 2:
        sizes = [(inside[0], inside[1])]
    else:
        talls = range(1, inside[0] + 1)
        sizes = [(tall, inside[0] // tall) for tall in talls if inside[0] % tall == 0]
        sizes.sort(key=lambda size: abs(size[0] - size[1]))
    for tall, wide in sizes:
        if -(-grid[0] // tall) * -(-grid[1] // wide) == windows:
            return (tall, wide)
    return None


def against(seen: Seen, layout: Layout) -> str:
    """What speaks against looking at a layer first."""
    if layout.kind == "none":
        return "no places"
    if not any(bool(change.any()) for change in seen.change.values()):
        return "the same for every picture"
    if seen.shares:
        return "shares of one"
    if layout.kind == "tokens":
        return ""
    change = seen.change[AXES[layout.kind]][0]
    edges = (change[0], change[-1], change[:, 0], change[:, -1])
    return "" if all(bool(edge.any()) for edge in edges) else "padding"


def has_several_places(shape: Sequence[int]) -> bool:
    """Whether there is anything to test in an output, batch axis included.

    >>> has_several_places((1, 512, 1, 1)), has_several_places((1, 197, 384))
    (False, True)
    """
    single = len(shape) == 4 and (1, 1) in (tuple(shape[2:]), tuple(shape[1:3]))
    return len(shape) in (3, 4) and not single


def without_places(name: str, shape: Sequence[int]) -> str:
    """Why a layer cannot be looked at, in words."""
    return (
        f"layer {name!r} returns {tuple(shape)}, and pictures show that its numbers are not at "
        "the places which that shape suggests: attention weights, heads, windows and boxes are no "
        "map of the picture; look at the block around it, or declare where its places are, e.g. "
        f"Network(module, layouts={{{name!r}: Layout('tokens', grid=(14, 14), window=(7, 7))}})"
    )
