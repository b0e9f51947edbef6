"""What the marks on icons cost: ``python -m tests.benchmarks.judging FOLDER``.

FOLDER holds photographs, at least fifty of them; 150 are taken. The full report of the demo network
on the shipped photograph is made with those beside its icons, from an empty icon store. Judging its
icons is set against all that comes before, by the clock and by the processor.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from PIL import Image, UnidentifiedImageError

import captum_blocks as cb
from captum_blocks.store import Store
from captum_blocks.zoo import demo_photo
from tests.benchmarks.waiting import Took

PHOTOGRAPHS, LEAST_SIDE, ASKED = 150, 150, 0.15


def now() -> Took:
    """Both clocks."""
    return Took(time.perf_counter(), time.process_time())


def photographs(folder: Path) -> list[Path]:
    """Of all that are not small, as many as are taken, evenly."""
    large = []
    for path in sorted(each for each in folder.rglob("*.*") if each.is_file()):
        try:
            with Image.open(path) as picture:
                if min(picture.size) >= LEAST_SIDE:
                    large.append(path)
        except (UnidentifiedImageError, OSError):
            continue
    return large[:: max(1, len(large) // PHOTOGRAPHS)][:PHOTOGRAPHS]


def main() -> None:
    """One report; what is said of its icons, and how long that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of photographs")
    net, paths = cb.load_network("demo"), photographs(parser.parse_args().folder)
    with tempfile.TemporaryDirectory() as held:
        index = cb.ExampleIndex.build(net, paths, path=Path(held) / "some.blocks", progress=False)
        start, drawn = now(), None
        stream = cb.explain(
            cb.report(*net.recommended()),
            net,
            demo_photo(),
            examples=index,
            store=Store(Path(held) / "icons"),
            progress=False,
            stream=True,
        )
        for stage in stream:
            if drawn is None and not stage.scene.undrawn:
                drawn = now()
        end = now()
    assert drawn is not None
    levels = Counter(stream.now.trust.to_frame().level)
    print(f"{index.said}; " + ", ".join(f"{count} {level}" for level, count in levels.items()))
    for name, first, middle, last in zip(Took._fields, start, drawn, end, strict=True):
        judging, others = last - middle, middle - first
        print(
            f"by the {name}: judging {judging:.1f} s, all before it {others:.0f} s, "
            f"{judging / others:.3f}; asked at most {ASKED}"
        )


if __name__ == "__main__":
    main()
