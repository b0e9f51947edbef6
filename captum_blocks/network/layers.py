"""What can be looked at in a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tqdm import tqdm

from captum_blocks.layouts import Layout
from captum_blocks.network.carrying import Carrying, Part
from captum_blocks.network.places import Certainty, Found
from captum_blocks.network.reach import WHOLE, Pair, Reach


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
        places: whether positions were "tested" by pictures, "guessed" from the shape, or
            "declared"; empty where there is one position only.
        against: what speaks against looking at it first, e.g. "padding"; nothing where empty.
        carrying: tells ``carries_all``; no part of what the layer is.
    """

    name: str
    shape: tuple[int, ...]
    layout: Layout
    sign: str
    kind: str
    reach: Reach | None = None
    calls: int = 1
    recommended: bool = False
    places: Certainty = "guessed"
    against: str = ""
    carrying: Carrying | None = field(default=None, repr=False, compare=False)

    @property
    def carries_all(self) -> bool | None:
        """Whether the whole answer goes through the layer: a cut, for the inputs tried.

        Tested when first asked for, and kept as long as the weights stay the same: with the whole
        output, class tokens too, exchanged for that of another picture, every score has to become
        that picture's, within two units in the last place of the largest score, for each of
        several unlike pairs, both ways. False: something goes around the layer, as a skip
        connection does, or the answer does not depend on it. None: undecided, as the layer returns
        several tensors or runs several times, the answers are alike, or the network cannot be run
        so. Of what the places alone carry it says nothing: see ``places_carry_all``.

        >>> from torch import nn
        >>> from captum_blocks.network import Network, Preprocess
        >>> net = Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), Preprocess(size=8))
        >>> net.layers()[0].carries_all
        True
        """
        return None if self.carrying is None else self.carrying(Part(self.name))

    @property
    def places_carry_all(self) -> bool | None:
        """The same of what has a place in the picture: tokens without one stay what they are.

        False behind the last block of a transformer that reads its answer from the class token.
        Without such tokens it is ``carries_all``; None for tokens in windows.

        >>> LayerInfo("fc", (5,), Layout("NCHW"), "signed", "Linear").places_carry_all is None
        True
        """
        whole, layout = self.carries_all, self.layout
        if not whole or not layout.n_unplaced:
            return whole
        if self.carrying is None or layout.window is not None:
            return None
        return self.carrying(Part(self.name, layout.token_places))

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of positions."""
        if self.layout.kind == "tokens":
            assert self.layout.grid is not None
            return self.layout.grid
        if len(self.shape) == 1 or self.layout.kind == "none":
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


COLUMNS = ("", "layer", "shape", "layout", "places", "sign", "stride", "sees", "module")
LEGEND = {
    "*": "*: looked at when no layers are named",
    "+": "+: what it sees is scaled by numbers made from the whole picture",
    "tested": "tested: pictures showed where its places are",
    "guessed": "guessed: places are believed by the shape; pictures did not show where they are",
}


# So many layers' outputs are held at a time, while they are tested.
TOGETHER = 16
CARRIES = {True: "all", False: "not all", None: "?"}
CARRIES_MEANS = (
    "carries all: with its output taken from another picture, the answer is that picture's, "
    "exactly, for those tried; ?: undecided"
)


class LayerTable(tuple[LayerInfo, ...]):
    """The layers of a network; prints as a table.

    Attributes:
        left_out: names of layers that are no maps of the picture, as pictures show.
        decided: whether it prints which layers carry the whole answer.
    """

    left_out: tuple[str, ...] = ()
    decided: bool = False

    def with_carrying(self, progress: bool = False) -> LayerTable:
        """The same table, which also prints which layers carry the whole answer.

        Of all layers that is tested here: a pass for each layer and pair of pictures, fewer for
        those that do not.

        Args:
            progress: whether a bar is shown meanwhile.

        >>> from torch import nn
        >>> from captum_blocks.network import Network, Preprocess
        >>> net = Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), Preprocess(size=8))
        >>> "carries" in repr(net.layers()), "carries" in repr(net.layers().with_carrying())
        (False, True)
        """
        told = [info for info in self if info.carrying is not None]
        with tqdm(total=len(told), desc="layers", disable=not progress) as bar:
            for start in range(0, len(told), TOGETHER):
                some = told[start : start + TOGETHER]
                for asked in dict.fromkeys(info.carrying for info in some):
                    asked.all([Part(info.name) for info in some if info.carrying is asked])  # type: ignore[union-attr]
                bar.update(len(some))
        made = LayerTable(self)
        made.left_out, made.decided = self.left_out, True
        return made

    def __repr__(self) -> str:
        rows = [COLUMNS, *map(_row, self)]
        if self.decided:
            told = ["carries", *map(_carries, self)]
            rows = [(*row[:6], cell, *row[6:]) for row, cell in zip(rows, told, strict=True)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        legend = [
            text
            for sign, text in LEGEND.items()
            if any(sign in (row[0], row[4], row[-2][-1:]) for row in rows[1:])
        ]
        if self.decided:
            legend.append(CARRIES_MEANS)
        if self.left_out:
            legend.append(
                f"left out: {len(self.left_out)} whose numbers are no map of the picture, as "
                f"{self.left_out[0]}"
            )
        return "\n".join([*lines, *([""] if legend else []), *legend])


def _carries(info: LayerInfo) -> str:
    """What it carries, and whether what has no place in the picture is needed for that."""
    needed = info.carries_all and info.places_carry_all is False
    return CARRIES[info.carries_all] + (", with tokens" if needed else "")


def _row(info: LayerInfo) -> tuple[str, ...]:
    apart = info.layout.n_unplaced
    layout: str = info.layout.kind
    layout += f", {apart} without place" if apart else ""
    layout += ", reordered" if info.layout.order is not None else ""
    runs = f", runs {info.calls} times" if info.calls > 1 else ""
    gated = "+" if info.reach is not None and info.reach.gated else ""
    return (
        "*" if info.recommended else "",
        info.name,
        "x".join(map(str, info.shape)),
        layout,
        info.places,
        info.sign,
        _pair(info.stride),
        _pair(info.field) + (gated if info.field else ""),
        info.kind + runs,
    )


def _pair(pair: Pair | None) -> str:
    if pair is None:
        return ""
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def with_places(
    table: Sequence[LayerInfo], test: Callable[[list[str]], Mapping[str, Found]]
) -> list[LayerInfo]:
    """The table with what tests tell of its layers; declared layouts stay.

    Args:
        table: the layers.
        test: tells of layers, by name.
    """
    found = test([info.name for info in table if info.places == "guessed"])
    return [_placed(info, found.get(info.name)) for info in table]


def _placed(info: LayerInfo, found: Found | None) -> LayerInfo:
    if found is None:
        return info
    return replace(info, layout=found.layout, places=found.places, against=found.against)


def marked(table: Sequence[LayerInfo], names: Sequence[str]) -> LayerTable:
    """The table with recommended layers marked, without those that are no maps."""
    maps = (info for info in table if info.layout.kind != "none")
    made = LayerTable(replace(info, recommended=info.name in names) for info in maps)
    made.left_out = tuple(info.name for info in table if info.layout.kind == "none")
    return made
