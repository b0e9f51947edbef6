"""Which images of a run go through the network together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from torch import Tensor

from captum_blocks.optim.accentuation import accentuation_in
from captum_blocks.optim.objectives import Objective
from captum_blocks.optim.transforms import Transform

Generators = Sequence[torch.Generator]


@dataclass(frozen=True, eq=False)
class Batch:
    """Images that go through the network together.

    Attributes:
        objectives: what they maximise.
        sizes: how many images each objective has.
        rows: which images of the run they are, in order.
        transforms: what happens to them before the network sees them.
    """

    objectives: list[Objective]
    sizes: list[int]
    rows: list[int]
    transforms: tuple[Transform, ...] = ()

    def add(self, objective: Objective, rows: list[int]) -> None:
        """Take in an objective and its images, before anything is asked of the batch."""
        self.objectives.append(objective)
        self.sizes.append(len(rows))
        self.rows.extend(rows)

    def of(self, tensor: Tensor) -> Tensor:
        """Its own rows of a tensor of all images, (n, ...); a view where they are neighbours."""
        first, after = self.rows[0], self.rows[-1] + 1
        neighbours = after - first == len(self.rows)
        return tensor[first:after] if neighbours else tensor[self.rows]

    def generators(self, of_run: Generators) -> Generators:
        """Those of its own images."""
        return [of_run[row] for row in self.rows]

    @cached_property
    def compares(self) -> bool:
        """Whether an objective looks at a photograph beside its image."""
        return any(accentuation_in(objective) for objective in self.objectives)

    @cached_property
    def merged(self) -> Batch:
        """The same images, with neighbours of one kind scored at once where that is possible."""
        objectives: list[Objective] = []
        sizes: list[int] = []
        pairs = zip(self.objectives, self.sizes, strict=True)
        for (kind, size), group in groupby(pairs, lambda pair: (type(pair[0]), pair[1])):
            members = [objective for objective, _ in group]
            single = len(members) > 1 and size == 1
            together = kind.together(members) if single else None
            objectives += [together] if together else members
            sizes += [len(members)] if together else [size] * len(members)
        return Batch(objectives, sizes, self.rows, self.transforms)

    def only(self, which: Tensor) -> tuple[Batch, list[int]]:
        """The part with all objectives that have one of these images.

        Images that are compared with each other stay together.

        Args:
            which: of its images, (n,) booleans.

        Returns:
            The part, and which images of this batch it has.
        """
        members = torch.arange(len(self.rows)).split(self.sizes)
        kept = [i for i, part in enumerate(members) if which[part].any()]
        inside = torch.cat([members[i] for i in kept]).tolist()
        part = Batch(
            [self.objectives[i] for i in kept],
            [self.sizes[i] for i in kept],
            [self.rows[row] for row in inside],
            self.transforms,
        )
        return part, inside


def in_batches(
    pairs: Sequence[tuple[Objective, int]],
    most: int,
    transforms_of: Callable[[Objective], tuple[Transform, ...]] = lambda objective: (),
) -> list[Batch]:
    """Objectives with their numbers of images, as many together as fit.

    Those that are seen through the same transforms go together; and those that look at a
    photograph: transforms draw for it too, and a picture must not depend on its neighbours.

    Args:
        pairs: objectives and how many images each has; those stay together.
        most: how many images may go together.
        transforms_of: through what an objective's images are seen.
    """
    kinds: list[tuple[object, list[Batch]]] = []  # a transform of one's own may have no hash
    start = 0
    for objective, size in pairs:
        transforms = transforms_of(objective)
        kind = (accentuation_in(objective) is None, transforms)
        batches = next((held for known, held in kinds if known == kind), None)
        if batches is None:
            batches = []
            kinds.append((kind, batches))
        if not batches or len(batches[-1].rows) + size > most:
            batches.append(Batch([], [], [], transforms))
        batches[-1].add(objective, list(range(start, start + size)))
        start += size
    return [batch for _, batches in kinds for batch in batches]
