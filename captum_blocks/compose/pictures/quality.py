"""How good pictures are to be, and how many of them are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from captum_blocks.errors import UnknownName, did_you_mean
from captum_blocks.optim import Fourier, NAdam

Recipe = dict[str, Any]
# Of more positions than this each is shown so small that little is seen of its picture's pixels.
MANY = 100


@dataclass(frozen=True)
class Quality:
    """How icons are made, and how many at most.

    Attributes:
        size: side in pixels.
        n_steps: of optimization.
        budget: how many icons an element of the page may need on average; the most wanted are
            made.
        seed: of the optimization.
        cell: side in pixels of the pictures of a mosaic.
        cell_steps: of their optimization.
        small_cell: side of those of more than ``MANY`` positions, which are shown no larger, where
            the network gets to see such pictures as they are; 0: as of fewer.

    >>> made = Quality(size=64, n_steps=32, budget=12).recipe()
    >>> made["size"], made["n_steps"], made["parameterization"].decay
    (64, 32, 1.25)
    >>> [Quality(64, 32, 12).recipe(3, kind)["learning_rate"] for kind in ("group", "class")]
    [0.035, 0.05]
    """

    size: int
    n_steps: int
    budget: int
    seed: int = 0
    cell: int = 64
    cell_steps: int = 32
    small_cell: int = 0

    def cell_of(self, positions: int) -> int:
        """The side of each picture of a mosaic of so many.

        >>> [QUALITIES["draft"].cell_of(positions) for positions in (7 * 7, 14 * 14)]
        [48, 28]
        """
        return self.small_cell if self.small_cell and positions > MANY else self.cell

    @property
    def cell_sides(self) -> str:
        """The sides of pictures of mosaics, in words."""
        of_many = f" (more than {MANY} of a layer at {self.small_cell})" if self.small_cell else ""
        return f"{self.cell} pixels{of_many}"

    def recipe(self, channels: int = 3, kind: str = "channel") -> Recipe:
        """The arguments of ``FeatureVisualizer.visualize``.

        Args:
            channels: of the pictures.
            kind: what they are of: ``"channel"``, ``"group"``, ``"spatial"`` or ``"class"``.
        """
        made = {"size": self.size, "n_steps": self.n_steps, "seed": self.seed}
        return {**made, "channels": channels, **HOW.get(kind, OF_THINGS)}


# Less of the finest detail, and small steps with a short memory of how large gradients are: icons
# are calmer and get as far in fewer steps. What is one thing at one place, as groups and classes
# are, gets further from a fainter beginning, in still smaller steps.
OF_TEXTURES: Recipe = {
    "parameterization": Fourier(decay=1.25, deviation=0.02),
    "optimizer": NAdam(0.9, 0.9),
    "learning_rate": 0.05,
}
OF_THINGS: Recipe = {
    "parameterization": Fourier(decay=1.25, deviation=0.005),
    "optimizer": NAdam(0.8, 0.95),
    "learning_rate": 0.035,
}
HOW: Mapping[str, Recipe] = {
    "channel": OF_TEXTURES,
    "class": {**OF_THINGS, "learning_rate": 0.05},  # smaller steps are recognised less by others
}


QUALITIES: Mapping[str, Quality] = {
    "draft": Quality(size=96, n_steps=48, budget=11, cell=48, cell_steps=12, small_cell=28),
    "standard": Quality(size=128, n_steps=80, budget=24),
    "high": Quality(size=192, n_steps=256, budget=140, cell=96, cell_steps=64),
}


def quality_named(name: str | Quality) -> Quality:
    """A quality by name.

    Raises:
        UnknownName: with the names there are.

    >>> quality_named("draft").size
    96
    """
    if isinstance(name, Quality):
        return name
    if name not in QUALITIES:
        hint = did_you_mean(name, QUALITIES) or f"; there are {', '.join(QUALITIES)}"
        raise UnknownName(f"no quality {name!r}{hint}")
    return QUALITIES[name]
