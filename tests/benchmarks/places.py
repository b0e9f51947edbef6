"""Where layers of timm's model families keep their places: recommended layers, tested or guessed.

Run as ``python -m tests.benchmarks.places [family ...]``: one line a family, as many as
``tests/reference/families.py`` has.
"""

from __future__ import annotations

import sys
from time import process_time

import captum_blocks as cb
from captum_blocks.network.layers import LayerInfo
from tests.reference.families import FAMILIES, family


def told(info: LayerInfo) -> str:
    """A recommended layer in a few words."""
    layout = info.layout.kind + (" reordered" if info.layout.order is not None else "")
    apart = f" + {info.layout.n_unplaced}" if info.layout.n_unplaced else ""
    return f"{info.name} ({layout} {info.grid[0]} x {info.grid[1]}{apart}, {info.places})"


def main(names: list[str]) -> None:
    """Print the table."""
    print("| family | layers recommended | tested / guessed / no map | s |\n|---|---|---|---|")
    for name in names or FAMILIES:
        module, size = family(name)
        start = process_time()
        table = cb.Network(module, cb.Preprocess(size)).layers()
        seconds = process_time() - start
        shown = ", ".join(told(info) for info in table if info.recommended)
        counts = [sum(info.places == how for info in table) for how in ("tested", "guessed")]
        numbers = " / ".join(map(str, (*counts, len(table.left_out))))
        print(f"| {name} | {shown} | {numbers} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
