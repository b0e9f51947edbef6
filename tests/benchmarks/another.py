"""A second photograph by this build and by another: ``python -m tests.benchmarks.another``.

Run with ``--old FOLDER``, a checkout of the build to compare with (``git worktree add --detach
FOLDER COMMIT``). Each takes a photograph that it has not seen, at standard quality, by the command
line in a process of its own: the old build from an empty icon store, this one from what the report
of another photograph left there. They take turns; seconds of the clock beside those of the
processor. What the first report of this build takes is told, too.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from skimage import data

from captum_blocks.zoo import demo_photo
from tests.benchmarks.waiting import Took

HERE, ASKED = Path(__file__).resolve().parents[2], 0.4


def report(build: Path, photo: Path, cache: Path) -> Took:
    """What ``captum-blocks explain`` takes from the return key until the page is written."""
    environment = {**os.environ, "PYTHONPATH": str(build), "CAPTUM_BLOCKS_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "captum_blocks", "explain", str(photo)]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [*command, "-o", str(cache / "page.html")],
        cwd=build,
        env=environment,
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(time.perf_counter() - start, processor)


def main() -> None:
    """Both builds in turn, medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=Path, required=True, help="a checkout of the other build")
    parser.add_argument("--repeats", type=int, default=1)
    chosen = parser.parse_args()
    took: dict[str, list[Took]] = {"old": [], "first": [], "second": []}
    for _ in range(chosen.repeats):
        with tempfile.TemporaryDirectory() as held:
            folder, caches = Path(held), (Path(held) / "new", Path(held) / "old")
            first, second = folder / "first.png", folder / "second.png"
            demo_photo().save(first)
            Image.fromarray(data.astronaut()).save(second)
            for cache in caches:
                cache.mkdir()
            took["first"].append(report(HERE, first, caches[0]))
            took["old"].append(report(chosen.old.resolve(), second, caches[1]))
            took["second"].append(report(HERE, second, caches[0]))
    medians = {
        what: Took(*map(statistics.median, zip(*held, strict=True))) for what, held in took.items()
    }
    for what, (clock, processor) in medians.items():
        print(
            f"{what}: {clock:.0f} s, of the processor {processor:.0f} s, "
            f"{clock / medians['old'].clock:.2f} and "
            f"{processor / medians['old'].processor:.2f} of the old build's"
        )
    print(f"asked: the second at most {ASKED}")


if __name__ == "__main__":
    main()
