"""What numbers of a photograph stand among: the same numbers of the photographs of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument
from captum_blocks.examples import ENOUGH, ExampleIndex
from captum_blocks.grammar import (
    Activation,
    Content,
    Filter,
    Percentile,
    Substrate,
    unfiltered,
)
from captum_blocks.grammar.datasets import check_stands
from captum_blocks.network import Network


@dataclass(frozen=True, eq=False)
class Among:
    """Numbers of a data set, one a photograph and atom.

    Attributes:
        table: (example, channel), of all channels of a layer.
        of: what they are, in words: "channel means of 600 photographs".
        origins: (example,) a number that is the same for pictures cut from one photograph.
        axis: of the value that stands among them, along which there is an atom a column.
        columns: of the table, one an atom.
        too_few: why nothing is claimed of what is usual among them; empty where it may be.
        unit: of its numbers. A percentile stands among numbers of another unit.

    >>> held = Among(torch.eye(3), "means of three", torch.arange(3), columns=(0, 1, 2))
    >>> held.select("channel", [2]).numbers.tolist(), held.sources
    ([[0.0], [0.0], [1.0]], 3)
    """

    table: Tensor
    of: str
    origins: Tensor
    axis: str = "channel"
    columns: tuple[int, ...] = ()
    too_few: str = ""
    unit: str = "activation"

    @cached_property
    def numbers(self) -> Tensor:
        """(example, atom)."""
        return self.table[:, list(self.columns)]

    @cached_property
    def sources(self) -> int:
        """How many photographs the examples were cut from."""
        return len(self.origins.unique())

    @property
    def noun(self) -> str:
        """What is counted: tiles of photographs are pictures."""
        return "photographs" if self.sources == len(self.table) else "pictures"

    @property
    def told(self) -> str:
        """What it is, in a sentence below the numbers that stand among it."""
        cut = "" if self.noun == "photographs" else f" cut from {self.sources} photographs"
        return f"among the {self.of}{cut}" + (f"; {self.too_few}" if self.too_few else "")

    def select(self, axis: str, indices: Sequence[int]) -> Among:
        """Some of the atoms, where they lie along that axis."""
        if axis != self.axis:
            return self
        return replace(self, columns=tuple(self.columns[i] for i in indices))

    def in_a_row(self, places: int) -> Among:
        """Of neurons one after another, each channel's at so many places."""
        columns = tuple(column for column in self.columns for _ in range(places))
        return replace(self, axis="neuron", columns=columns)


def among_of(source: Substrate, index: ExampleIndex, layer: str) -> Among:
    """What the atoms of a layer stand among: means among means, positions among positions.

    Args:
        source: all channels or neurons of the layer.
        index: of the data set.
        layer: its full name.
    """
    known = index.pictures()
    if source.atom == "channel":
        table, origins = np.array(index.tables(layer)["mean"]), known["source"]
        of = f"channel means of {len(table)} {_noun(len(table), origins)}"
        few = index.too_few
    else:
        table, images, _ = index.vectors(layer)
        origins = known["source"][known["image"].searchsorted(images)]
        several = f"{len(table)} {_noun(len(table), origins)}"
        of = f"activations at one place, away from the border, of each of {several}"
        few = index.too_few or _few_kept(len(table), len(set(origins.tolist())))
    columns = tuple(range(table.shape[1]))
    return Among(torch.from_numpy(table), of, torch.from_numpy(origins), "channel", columns, few)


def _noun(count: int, origins: np.ndarray) -> str:
    """Tiles of photographs are pictures."""
    return "photographs" if count == len(np.unique(origins)) else "pictures"


def _few_kept(examples: int, sources: int) -> str:
    """Why nothing is claimed of what few photographs have at one place."""
    if sources >= ENOUGH:
        return ""
    return (
        f"the index keeps the activations at one place of {examples} photographs, {sources} of "
        f"them different, and with fewer than {ENOUGH} no percentile is claimed: build it with "
        "more vectors="
    )


def check_among(content: Activation | Percentile, index: ExampleIndex, net: Network) -> None:
    """Whether a content can stand among the photographs of an index.

    Args:
        content: an activation with ``over``, or a percentile.
        index: of the data set that it names.
        net: the network that it is of, and that the index is known to be of.

    Raises:
        LayerNotFound: the index has not looked at the layer.
        InvalidArgument: atoms that no index knows; too few photographs for a percentile.
    """
    source = unfiltered(content if isinstance(content, Activation) else content.content).source
    check_stands(source)
    layer = net.name_of(source.layer.layer)
    if isinstance(content, Percentile):
        found = index.too_few or among_of(source, index, layer).too_few
        if found:
            raise InvalidArgument(f"{content!r}: {found}")
    index.tables(layer)


def check_kept(content: Content) -> None:
    """Whether what an activation stands among still means something where it is used.

    Raises:
        InvalidArgument: an operation makes other numbers of it, or it is of a region alone.
    """
    percentile = isinstance(content, Percentile)
    if not isinstance(content, (Activation, Filter, Percentile)):
        inner = [unfiltered(getattr(content, name, None)) for name in ("content", "other")]
        over = [part for part in inner if isinstance(part, Activation) and part.over is not None]
        if over:
            raise InvalidArgument(
                f"{content!r} makes other numbers of {over[0]!r}, which stand among nothing: leave "
                "over= out"
            )
    base = unfiltered(content.content if percentile else content)  # type: ignore[attr-defined]
    stands = percentile or (isinstance(base, Activation) and base.over is not None)
    if stands and base.source.atom == "channel" and _in_a_region(content):
        raise InvalidArgument(
            f"{content!r}: an index keeps the mean of each channel over the whole photograph, so "
            "that of a region stands among nothing; leave within= out"
        )


def _in_a_region(content: Content) -> bool:
    """Whether a filter, of those around an activation, is of a region."""
    inner = getattr(content, "content", None)
    own = isinstance(content, Filter) and content.within is not None
    return own or (isinstance(inner, (Filter, Percentile)) and _in_a_region(inner))
