"""What photographs do on the way to a unit, as a network sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_blocks.compose.walking import Passes, Walk
from captum_blocks.examples import Example, ExampleIndex
from captum_blocks.network import Network
from captum_blocks.reliability.places import spots

# So many photographs go through a network at once.
AT_ONCE = 8
# Number of a photograph, and row and column on the grid of a unit's layer.
Place = tuple[int, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Seen:
    """What some pictures do on the way to a unit.

    Attributes:
        vectors: (picture, feature) of each layer.
        sources: (picture,) a number of the photograph that each was cut from.
    """

    vectors: Sequence[Tensor]
    sources: Sequence[int]


class SeenPhotographs:
    """The photographs of an index, each seen once for all who ask together.

    Args:
        index: of photographs, which can be looked at again.
        net: that sees them; the index's own unless given.
    """

    def __init__(self, index: ExampleIndex, net: Network | None = None) -> None:
        self.index, self._net = index, net
        known = index.pictures()
        self._source = dict(zip(known["image"].tolist(), known["source"].tolist(), strict=True))
        self._vectors: dict[Walk, dict[Place, Sequence[Tensor]]] = {}

    def read(self, examples: Sequence[Example]) -> Tensor:
        """(picture, ...) as the network takes them."""
        pictures: Tensor = self.index.read(examples, self._net)
        return pictures

    def look(
        self, wanted: Mapping[Walk, Iterable[Example]], check: Callable[[], None] = lambda: None
    ) -> None:
        """Look at those that were not looked at yet, each photograph once for all walks.

        Args:
            wanted: by each walk, the examples that are compared along it.
            check: called between photographs; what it raises ends the looking.
        """
        new: dict[int, dict[Walk, dict[Place, Example]]] = {}
        for walk, examples in wanted.items():
            known = self._vectors.setdefault(walk, {})
            for example in examples:
                if (place := _place(example)) not in known:
                    new.setdefault(example.image, {}).setdefault(walk, {})[place] = example
        if not new:
            return
        walks, asked = list(wanted), list(new.values())
        layers = dict.fromkeys(name for each in walks for name in each.layers)
        passes = walks[0].passes if len(walks) == 1 else Passes(walks[0].net, list(layers))
        for start in range(0, len(asked), AT_ONCE):
            check()
            self._look(passes, asked[start : start + AT_ONCE])

    def _look(
        self, passes: Passes, asked: Sequence[Mapping[Walk, Mapping[Place, Example]]]
    ) -> None:
        """By each photograph, what is asked of it along each walk."""
        first = [next(iter(next(iter(each.values())).values())) for each in asked]
        maps = passes(self.read(first))
        for row, by_walk in enumerate(asked):
            for walk, places in by_walk.items():
                counts = spots([position for _, position in places], walk.cells)
                vectors = walk.cut([maps[name][row : row + 1] for name in walk.layers], counts)
                parted = zip(*(each.split(1) for each in vectors), strict=True)
                self._vectors[walk] |= dict(zip(places, parted, strict=True))

    def along(self, walk: Walk, examples: Sequence[Example]) -> Seen:
        """What photographs do where the examples are."""
        self.look({walk: examples})
        rows = [self._vectors[walk][_place(each)] for each in examples]
        vectors = [torch.cat(each) for each in zip(*rows, strict=True)]
        return Seen(vectors, [self._source[each.image] for each in examples])


def _place(example: Example) -> Place:
    return example.image, example.position
