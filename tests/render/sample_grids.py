"""A scene of a mosaic and of flows, without a network."""

from __future__ import annotations

from dataclasses import replace

from captum_blocks.scene import (
    Below,
    Cell,
    Cells,
    Chapter,
    Field,
    Flow,
    Flows,
    Mark,
    Sankey,
    Scene,
    Selection,
    Sprite,
)
from tests.render.sample import blob, icon, sample_scene

ROWS, COLUMNS = 4, 5
EMPTY = (0, 0)
DEFAULT = 2 * COLUMNS + 1
LEFT, RIGHT = 3, 2
SHARES = ((1.8, -0.4), (1.4, 0.9), (-0.6, 0.004), (-0.1, 0.2))


def size_of(y: int, x: int) -> float:
    """The share of its area that a cell's picture takes."""
    return (1 + y + x) / (ROWS + COLUMNS - 1)


def _cell(y: int, x: int) -> Cell:
    key = f"bn2/spatial/{y},{x}"
    label = f"row {y + 1}, column {x + 1}"
    sprite = None if (y, x) == EMPTY else key
    return Cell(Mark(key, label, (1.0,), sprite, detail=f"{label}: activation 1.0"), size_of(y, x))


def mosaic() -> Cells:
    """A grid of 4 x 5 cells over a part of the photograph; the first has no picture."""
    return Cells(
        "Mosaic at bn2",
        "One picture a cell.",
        "activation",
        sets=("place",),
        highlights="place",
        grid=(ROWS, COLUMNS),
        extent=(0.0, 0.1, 1.0, 0.9),
        frames=(tuple(_cell(y, x) for y in range(ROWS) for x in range(COLUMNS)),),
    )


def _group(k: int) -> Mark:
    name, key = f"group {k + 1}", f"bn2/group/{k}"
    total = sum(SHARES[k])
    return Mark(key, name, (total,), key, key, hue=k, detail=f"{name}: {total:+.2f} in all")


def flows() -> Sankey:
    """Three groups and what they leave out, and the two classes they speak for or against."""
    rest = Mark("bn2/group/residual", "not explained by the groups", (0.1,), role="remainder")
    classes = ("tiger cat", "Egyptian cat")
    return Sankey(
        "Groups to answers",
        "The wider the more.",
        "logit",
        titles=("bn2", "answers"),
        frames=(
            Flows(
                (*(_group(k) for k in range(LEFT)), rest),
                tuple(Mark(f"class/{name}", name, (0.0,)) for name in classes),
                tuple(
                    Flow(s, t, value, f"{s} to {t}: {value:+.2f} logit")
                    for t in range(RIGHT)
                    for s, value in enumerate(shares[t] for shares in SHARES)
                ),
            ),
        ),
    )


def grids_scene() -> Scene:
    """Two chapters: the mosaic and the flows."""
    cells = mosaic()
    sprites = {
        cell.mark.sprite: Sprite(icon(k), cell.mark.label, (("seed", "0"),))
        for k, cell in enumerate(cells.frames[0])
        if cell.mark.sprite
    }
    groups = {f"bn2/group/{k}": Sprite(icon(100 + k), f"group {k + 1}") for k in range(LEFT)}
    fields = {
        f"bn2/group/{k}": Field(
            blob(ROWS, COLUMNS, 0.3 * k, 0.4), (0.0, 1.0), "activation", f"group {k + 1}", hue=k
        )
        for k in range(LEFT)
    }
    place = Selection(
        "place",
        "hover",
        "spatial",
        tuple(f"{y},{x}" for y in range(ROWS) for x in range(COLUMNS)),
        DEFAULT,
        (ROWS, COLUMNS),
        cells.extent,
    )
    return replace(
        sample_scene(),
        chapters=(
            Chapter("What did it see everywhere?", "Point at a cell.", cells),
            Chapter("How did it put the answer together?", "Point at a mark.", Below((flows(),))),
        ),
        sprites=sprites | groups,
        fields=fields,
        selections=(place,),
    )
