"""What can be looked at in a network, and which layers to look at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isinf

import torch
from torch import Tensor, nn

from captum_blocks.behaviour import observed
from captum_blocks.errors import BlocksError, InvalidArgument, UnusableLayer
from captum_blocks.hooks import capture, count_calls, running
from captum_blocks.layouts import Layout, detect
from captum_blocks.network.reach import WHOLE, Pair, Reach, Reaches
from captum_blocks.wrappers import can_be_hooked, why_nothing


@dataclass(frozen=True)
class LayerInfo:
    """What can be looked at in a layer.

    Attributes:
        name: dotted name; ``"name:element"`` for one of several tensors that a layer returns.
        shape: of its output, without the batch axis.
        layout: where the output keeps its channels and positions.
        sign: ">= 0" or "signed", as seen in the dry run.
        kind: class of the module.
        reach: receptive field and stride, where the operations before it are known to have one.
        calls: how often it runs in one forward pass; its last output is what is looked at.
        recommended: whether it is looked at when no layers are named.
    """

    name: str
    shape: tuple[int, ...]
    layout: Layout
    sign: str
    kind: str
    reach: Reach | None = None
    calls: int = 1
    recommended: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of positions."""
        if self.layout.kind == "tokens":
            assert self.layout.grid is not None
            return self.layout.grid
        if len(self.shape) == 1:
            return (1, 1)
        return self.shape[:2] if self.layout.kind == "NHWC" else self.shape[1:]  # type: ignore[return-value]

    @property
    def channels(self) -> int:
        """How many channels."""
        return self.shape[0 if self.layout.kind == "NCHW" else -1]

    @property
    def stride(self) -> Pair | None:
        """Input pixels between neighbouring positions, down and across; None where unknown."""
        return None if (local := self._local) is None else local.stride

    @property
    def field(self) -> Pair | None:
        """(height, width) of the receptive field in input pixels; None where unknown."""
        return None if (local := self._local) is None else local.field

    @property
    def _local(self) -> Reach | None:
        known = self.reach is not None and self.reach.field != WHOLE and min(self.grid) > 1
        return self.reach if known else None


BLOCKS = ("Block", "Layer")
COLUMNS = ("", "layer", "shape", "layout", "sign", "stride", "sees", "module")
LEGEND = {
    "*": "*: looked at when no layers are named",
    "+": "+: what it sees is scaled by numbers made from the whole picture",
}


class LayerTable(tuple[LayerInfo, ...]):
    """The layers of a network; prints as a table."""

    def __repr__(self) -> str:
        rows = [COLUMNS, *map(_row, self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        legend = [
            text
            for sign, text in LEGEND.items()
            if any(sign in row[0] + row[6] for row in rows[1:])
        ]
        return "\n".join([*lines, *([""] if legend else []), *legend])


def _row(info: LayerInfo) -> tuple[str, ...]:
    prefix = info.layout.prefix
    layout = info.layout.kind + (f", {prefix} without place" if prefix else "")
    runs = f", runs {info.calls} times" if info.calls > 1 else ""
    gated = "+" if info.reach is not None and info.reach.gated else ""
    return (
        "*" if info.recommended else "",
        info.name,
        "x".join(map(str, info.shape)),
        layout,
        info.sign,
        _pair(info.stride),
        _pair(info.field) + (gated if info.field else ""),
        info.kind + runs,
    )


def _pair(pair: Pair | None) -> str:
    if pair is None:
        return ""
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def layout_of(
    name: str, shape: tuple[int, ...], declared: Mapping[str, Layout], image: tuple[int, int]
) -> Layout:
    """The layout of a layer: as declared, or as its output suggests.

    Raises:
        InvalidArgument: the declaration does not fit the output, or nothing can be guessed.

    >>> layout_of("blocks.0", (1, 25, 8), {}, (64, 96)).grid
    (4, 6)
    """
    if name not in declared:
        return detect(shape, image)
    layout = declared[name]
    if not layout.fits(shape):
        raise InvalidArgument(
            f"layouts: {name!r} is declared {layout}, and its output has shape {shape} for a "
            f"picture of {image[0]} x {image[1]} pixels; {_wanted(layout)}"
        )
    return layout


def _wanted(layout: Layout) -> str:
    if layout.kind == "tokens":
        height, width = layout.grid  # type: ignore[misc]
        return (
            f"that layout needs (image, {layout.prefix} + {height} * {width} = "
            f"{layout.prefix + height * width} tokens, channel)"
        )
    return "that layout needs " + {
        "NCHW": "(image, channel, y, x) or (image, channel)",
        "NHWC": "(image, y, x, channel)",
    }.get(layout.kind, "")


def survey(network: nn.Module, noise: Tensor, declared: Mapping[str, Layout]) -> list[LayerInfo]:
    """Every layer that can be looked at, in the order in which they return.

    Args:
        network: run once, in evaluation mode.
        noise: (2, ...), what it is run on; one of it where the network takes no two.
        declared: layouts that cannot be guessed.

    Raises:
        InvalidArgument: a declared layout does not fit.
        UnusableLayer: the network cannot be run on it, or nothing in it can be looked at.
    """
    if isinf(observed(network, noise).coupling):
        noise = noise[:1]
    try:
        table = _surveyed(network, noise, declared)
    except (BlocksError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnusableLayer(
            f"{network._get_name()} cannot be run on a picture of shape {tuple(noise.shape[1:])}: "
            f"{said}; give layers() a ready tensor of the size it takes"
        ) from error
    if not table and (reason := why_nothing(network)) is not None:
        raise UnusableLayer(reason)
    return table


def _surveyed(network: nn.Module, noise: Tensor, declared: Mapping[str, Layout]) -> list[LayerInfo]:
    parts = network.named_modules()
    modules = {name: module for name, module in parts if name and can_be_hooked(module)}
    with (
        torch.no_grad(),
        running(network),
        count_calls(modules) as calls,
        capture(modules, lenient=True) as seen,
        Reaches(noise) as reaches,
    ):
        network(noise)
    table = []
    for name, output in seen.items():
        base = name.partition(":")[0]
        if not _worth_looking(modules[base], output, len(noise)):
            continue
        shape = tuple(output.shape)
        try:
            layout = layout_of(name, shape, declared, (noise.shape[-2], noise.shape[-1]))
        except InvalidArgument:
            if name in declared:
                raise
            continue
        sign = ">= 0" if bool((output >= 0).all()) else "signed"
        kind, reach = type(modules[base]).__name__, reaches.of(output)
        table.append(LayerInfo(name, shape[1:], layout, sign, kind, reach, calls[base]))
    return table


def _worth_looking(module: nn.Module, output: Tensor, batch: int) -> bool:
    """False for what nobody looks at: no batch axis, no numbers, attention heads."""
    if isinstance(module, (nn.Identity, nn.modules.dropout._DropoutNd)):
        return False
    if output.shape[:1] != (batch,) or not output.is_floating_point():
        return False
    heads = output.ndim == 4 and isinstance(module, nn.LayerNorm)
    return not heads or output.shape[1] == output.shape[2]


def marked(table: Sequence[LayerInfo], names: Sequence[str]) -> LayerTable:
    """The table with recommended layers marked."""
    return LayerTable(replace(info, recommended=info.name in names) for info in table)


def recommended(table: Sequence[LayerInfo]) -> tuple[str, ...]:
    """An early, a middle and a late layer; fewer where the network has no such three.

    Behind the nonlinearity where there are such layers in the later half: groups are parts that
    add up there. The late one is the last, the middle one the last with a grid twice as fine, the
    early one the last with a grid four times as fine. Of transformers, blocks at a third and two
    thirds of the depth and the last but one: behind the last block everything that decides may sit
    in the class token, which has no place in the photograph. Layers that run several times in one
    pass only where there are no others.
    """
    placed = [info for info in table if min(info.grid) > 1 and not _is_second_choice(info, table)]
    table = [info for info in placed if info.calls == 1] or placed
    if not table:
        return ()
    later = table[len(table) // 2 :]
    candidates = table
    if any(info.sign == ">= 0" for info in later):
        candidates = [info for info in table if info.sign == ">= 0"]
    last = candidates[-1]
    if last.layout.kind == "tokens":
        return _blocks(candidates, last)
    chosen = [_last_finer(candidates, last.grid, times) for times in (4, 2)]
    names = [info.name for info in (*chosen, last) if info is not None]
    return tuple(dict.fromkeys(names))


def each_runs_again(table: Sequence[LayerInfo], names: Sequence[str]) -> tuple[str, ...]:
    """What the reader has to know of recommended layers that run several times in one pass."""
    several = {info.name: info.calls for info in table if info.name in names and info.calls > 1}
    if not several:
        return ()
    told = ", ".join(f"{name!r} {calls} times" for name, calls in several.items())
    return (
        f"every layer with positions runs several times in one pass ({told}): numbers are of the "
        "last call of each",
    )


def _is_second_choice(info: LayerInfo, table: Sequence[LayerInfo]) -> bool:
    """Only moves numbers, or returns several maps, any of which may be used."""
    if info.kind == "Permute" or info.kind.startswith("Adaptive"):
        return True
    several = any(other.name.startswith(f"{info.name}:") for other in table)
    return several and not info.kind.endswith(BLOCKS)


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


def _blocks(table: Sequence[LayerInfo], last: LayerInfo) -> tuple[str, ...]:
    blocks = [info for info in table if info.kind.endswith(BLOCKS)]
    inside = tuple(f"{info.name}." for info in blocks)
    blocks = [info for info in blocks if not info.name.startswith(inside)]
    blocks = blocks if len(blocks) > 1 else list(table)
    latest = max(0, len(blocks) - (2 if last.layout.prefix else 1))
    places = sorted({min(latest, len(blocks) // 3), min(latest, 2 * len(blocks) // 3), latest})
    return tuple(blocks[place].name for place in places)
