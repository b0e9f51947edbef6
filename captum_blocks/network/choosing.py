"""Which layers to look at when none are named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from captum_blocks.network.layers import LayerInfo
from captum_blocks.network.reach import Pair
from captum_blocks.network.ways import Ways

BLOCKS = ("Block", "Layer")
Names = tuple[str, ...]
Look = Callable[[Iterable[str]], Ways]
Test = Callable[[Sequence[str]], Mapping[str, bool | None]]


def recommended(
    table: Sequence[LayerInfo],
    ways: Look | None = None,
    carries: Test | None = None,
) -> Names:
    """An early, a middle and a late layer; fewer where the network has no such three.

    Behind the nonlinearity where there are such layers in the later half: groups are parts that
    add up there. The late one is the last, the middle one the last with a grid twice as fine, the
    early one the last with a grid four times as fine. Of transformers, blocks at a third and two
    thirds of the depth and the last but one: behind the last block everything that decides may sit
    in the class token, which has no place in the photograph. Layers that run several times in one
    pass only where there are no others.

    Where a layer of the same grid, or a block of the same third, carries the whole answer, it is
    the last of those: behind the nonlinearity if it can be. One that does not, as a branch that a
    skip connection leads around, only where there is none.

    Args:
        table: the layers of a network.
        ways: how the network's answer depends on some layers.
        carries: tells of some layers whether they carry the whole answer.
    """
    table = _with_places(table)
    table = [info for info in table if info.calls == 1] or table
    slots = _slots(table)
    if ways is None or not slots:
        return _unlike(slot[0] for slot in slots)
    told = ways([slot[0] for slot in slots])
    if any(slot[0] in told.beside for slot in slots):
        # One that is beside the answer is seldom alone: all are asked at once.
        told = ways([info.name for info in table])
        slots = _slots([info for info in table if info.name not in told.beside])
    if carries is None:
        return _unlike(slot[0] for slot in slots)
    return _unlike(_carrying(slots, told, ways, carries))


def _unlike(names: Iterable[str]) -> Names:
    return tuple(dict.fromkeys(names))


def _carrying(slots: Sequence[Names], told: Ways, ways: Look, carries: Test) -> Names:
    """Of each slot the first that carries the answer, its first where none does."""
    found = _tested({slot: slot[:1] for slot in slots}, told, carries)
    others = {slot: slot[1:] for slot in slots if slot not in found and slot[1:]}
    if others:
        told = ways([name for names in others.values() for name in names])
        found |= _tested(others, told, carries)
    return tuple(found.get(slot, slot[0]) for slot in slots)


def _tested(slots: Mapping[Names, Names], told: Ways, carries: Test) -> dict[Names, str]:
    """The first of each slot's candidates that carries the answer.

    Only what may be a cut by the graph is tested: the best of all slots together, then the next
    best of those slots whose best does not.
    """
    left = {slot: [n for n in names if told.may_cut(n)] for slot, names in slots.items()}
    found: dict[Names, str] = {}
    while tried := {slot: names.pop(0) for slot, names in left.items() if names}:
        said = carries(list(tried.values()))
        found.update({slot: name for slot, name in tried.items() if said[name]})
        left = {slot: names for slot, names in left.items() if slot not in found}
    return found


def _with_places(table: Sequence[LayerInfo]) -> list[LayerInfo]:
    """Layers that are maps of the picture, as far as that is known.

    A guess is as good as its neighbours: a grid that no layer with tested places has is left out.
    """
    first = [info for info in table if min(info.grid) > 1 and not info.against]
    first = [info for info in first if not _is_second_choice(info, table)]
    known = {info.grid for info in first if info.places != "guessed"}
    return [info for info in first if not known or info.grid in known]


def _slots(table: Sequence[LayerInfo]) -> list[Names]:
    """Early to late, the layers that may stand there, the best first."""
    if not table:
        return []
    later = table[len(table) // 2 :]
    candidates = table
    if any(info.sign == ">= 0" for info in later):
        candidates = [info for info in table if info.sign == ">= 0"]
    last = candidates[-1]
    if last.layout.kind == "tokens":
        return _blocks(candidates, last)
    chosen = [_last_finer(candidates, last.grid, times) for times in (4, 2)]
    best = dict.fromkeys(info.grid for info in (*chosen, last) if info is not None)
    return [_of_grid(grid, candidates, table) for grid in best]


def _of_grid(grid: Pair, *tables: Sequence[LayerInfo]) -> Names:
    """The layers of a grid, the last one first, those of the first table before the others."""
    return _unlike(info.name for table in tables for info in reversed(table) if info.grid == grid)


def _is_second_choice(info: LayerInfo, table: Sequence[LayerInfo]) -> bool:
    """Only moves numbers, or returns several maps, any of which may be used."""
    if info.kind == "Permute" or info.kind.startswith("Adaptive"):
        return True
    several = any(other.name.startswith(f"{info.name}:") for other in table)
    return several and not info.kind.endswith(BLOCKS)


def each_runs_again(table: Sequence[LayerInfo], names: Iterable[str]) -> tuple[str, ...]:
    """What the reader has to know of recommended layers that run several times in one pass."""
    several = {info.name: info.calls for info in table if info.name in names and info.calls > 1}
    if not several:
        return ()
    told = ", ".join(f"{name!r} {calls} times" for name, calls in several.items())
    return (
        f"every layer with positions runs several times in one pass ({told}): numbers are of the "
        "last call of each",
    )


def _last_finer(table: Sequence[LayerInfo], grid: Pair, times: int) -> LayerInfo | None:
    """The last layer whose grid is so many times as fine, both ways."""
    rows, columns = grid
    # One cell of slack: 4 x 7 is nearly twice 2 x 4.
    finer = [
        info
        for info in table
        if info.grid[0] >= times * rows - 1 and info.grid[1] >= times * columns - 1
    ]
    return finer[-1] if finer and finer[-1].grid != grid else None


def _blocks(table: Sequence[LayerInfo], last: LayerInfo) -> list[Names]:
    """Of each third the blocks, the last one first."""
    blocks = [info for info in table if info.kind.endswith(BLOCKS)]
    inside = tuple(f"{info.name}." for info in blocks)
    blocks = [info for info in blocks if not info.name.startswith(inside)]
    blocks = blocks if len(blocks) > 1 else list(table)
    latest = max(0, len(blocks) - (2 if last.layout.n_unplaced else 1))
    places = sorted({min(latest, len(blocks) // 3), min(latest, 2 * len(blocks) // 3), latest})
    thirds = zip([-1, *places], places, strict=False)
    return [
        tuple(info.name for info in reversed(blocks[before + 1 : place + 1]))
        for before, place in thirds
    ]
