"""The places of all layers of a network, which tell of one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from torch import Tensor, nn

from captum_blocks.errors import InvalidArgument
from captum_blocks.layouts import Layout, detect, kind_of, patch_grid
from captum_blocks.network.places import AXES, UNLIKE, Found, against, fit, settled
from captum_blocks.network.weaving import COARSE, Grid, Seen, Weave

# Of the contrast that two other pictures repeat, where it is not as the likely layout has it: how
# strong it is at least, along the likely places, or along others, where something of a map is too.
REPEATED, SHARP = 0.12, 0.35


def stripes_for(shapes: Iterable[Sequence[int]], image: Grid) -> Grid:
    """How many stripes to weave: as many as the finest tokens of some layers need.

    Args:
        shapes: of the layers' outputs for one picture, first axis included.
        image: (height, width) of the picture.

    >>> stripes_for([(1, 8, 56, 56), (1, 197, 384)], (224, 224))
    (14, 14)
    """
    return max([COARSE, *(g for shape in set(shapes) for g in _grids(shape, image))], key=_cells)


def _cells(grid: Grid) -> int:
    return grid[0] * grid[1]


def _grids(shape: Sequence[int], image: Grid) -> list[Grid]:
    """The patch grids that an output may be of."""
    rows, *sizes = shape
    if rows > 1:
        counts = [sizes[0]] if len(sizes) == 2 else [sizes[0] * sizes[1], sizes[1] * sizes[2]]
        found = [patch_grid(rows * count, image) for count in counts]
    elif len(shape) == 3:
        try:
            found = [detect(shape, image).grid]
        except InvalidArgument:
            found = []
    else:
        found = []
    return [grid for grid in found if grid is not None]


def is_no_map(seen: Seen, again: Seen | None, guess: Layout, weave: Weave, least: float) -> bool:
    """Whether numbers lean the same way in a weave of two other pictures, and not as a map does.

    What has a place does, wherever that is; a channel leans to either picture by chance, and where
    all places give the same, its chance is not evened out. Of four axes read the other way round,
    rows or columns of a map are still there: only what is sharp counts then.

    Args:
        seen, again: what a layer gave in either weave; None where it gave nothing.
        guess: the layout that its shape suggests.
        weave: the pictures.
        least: how strong what is repeated has to be.
    """
    if again is None or again.shape != seen.shape:
        return False
    likely = AXES.get(guess.kind, 2)
    mean = (seen.contrast(likely)[:, 0] + again.contrast(likely)[:, 0]) / 2
    maps = mean if mean.ndim == 3 else guess.to_maps(mean[:, :, None])[:, 0]
    if fit(maps, weave).worse >= UNLIKE:
        return False
    shared = {axis: _shared(seen.contrast(axis), again.contrast(axis)) for axis in seen.towards}
    return shared.pop(likely) >= least or any(other >= SHARP for other in shared.values())


def _shared(one: Tensor, other: Tensor) -> float:
    """Root of the mean product of two contrasts, within digits."""
    a, b = (each.flatten(1) - each.flatten(1).mean(1, keepdim=True) for each in (one, other))
    return float((a * b).mean().clamp(min=0).sqrt())


def found_by(
    seen: Mapping[str, Seen],
    weave: Weave,
    layers: Mapping[str, nn.Module],
    again: Callable[[list[str]], Mapping[str, Seen]],
) -> dict[str, Found]:
    """The layouts of layers, an order found at one tried at those behind it too.

    Args:
        seen: by the name of the layer.
        weave: the pictures.
        layers: the modules by name.
        again: what some of them give for other pictures in the same weave.

    Returns:
        By name; layers whose shape has no layout are left out.
    """
    found = _one_by_one(seen, weave, layers)
    maps = {_alike(seen[name]) for name, one in found.items() if _is_map(one)}
    doubtful = [name for name, one in found.items() if _is_doubtful(one, seen[name])]
    twice = again(doubtful) if doubtful else {}
    for name in doubtful:
        guess = detect(seen[name].shape, (weave.shape[1], weave.shape[2]), layers[name])
        # Among maps of the same shape, a faint sign is no sign.
        least = SHARP if _alike(seen[name]) in maps else REPEATED
        if not is_no_map(seen[name], twice.get(name), guess, weave, least):
            found[name] = Found(guess, "guessed", against(seen[name], guess))
    return _as_neighbours(found, seen, layers)


def _one_by_one(
    seen: Mapping[str, Seen], weave: Weave, layers: Mapping[str, nn.Module]
) -> dict[str, Found]:
    found: dict[str, Found] = {}
    orders: dict[Layout, None] = {}
    image = (weave.shape[1], weave.shape[2])
    for name, what in seen.items():
        with suppress(InvalidArgument):
            found[name] = settled(what, image, weave, layers[name], orders)
            layout = found[name].layout
            if layout.order is not None and layout.window is None:
                orders[layout] = None
    return found


def _is_map(found: Found) -> bool:
    return found.places == "tested" and found.layout.kind != "none"


def _is_doubtful(found: Found, seen: Seen) -> bool:
    """One weave shows no map; windows of one picture are none in any case."""
    return found.layout.kind == "none" and seen.shape[0] == 1 and not seen.shares


def _alike(seen: Seen) -> tuple[int, ...]:
    """What layers that keep their places alike share: all axes, but of tokens the channels."""
    return seen.shape[:2] if len(seen.shape) == 3 else seen.shape


def _as_neighbours(
    found: Mapping[str, Found], seen: Mapping[str, Seen], layers: Mapping[str, nn.Module]
) -> dict[str, Found]:
    """What is guessed of a layer is what was tested of the nearest one of the same shape."""
    tested = {name: one for name, one in found.items() if one.places == "tested"}
    near = {_alike(seen[name]): tested[name].layout for name in reversed(list(tested))}
    made = dict(found)
    for name in found:
        alike = _alike(seen[name])
        if name in tested:
            near[alike] = tested[name].layout
        elif alike in near and near[alike].kind in (
            "none",
            "tokens",
            kind_of(layers[name]) or near[alike].kind,
        ):
            made[name] = Found(near[alike], "guessed", against(seen[name], near[alike]))
    return made
