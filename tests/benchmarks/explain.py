"""Where the time of a page goes: ``python -m tests.benchmarks.explain [--quality standard]``.

The full report of the demo network on the shipped photograph: with an empty icon store, with a full
one, and on a second photograph with the same store. Prints seconds a stage, and the page's size.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from skimage import data

import captum_blocks as cb
from captum_blocks.compose import Progress, compose, quality_named
from captum_blocks.compose.pictures import read_pictures
from captum_blocks.compose.progress import Advance
from captum_blocks.explanation import Explanation
from captum_blocks.store import Store
from captum_blocks.zoo import demo_photo


class Clock(Progress):
    """Remembers how long each stage took."""

    def __init__(self) -> None:
        super().__init__(enabled=False)
        self.stages: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        start = time.perf_counter()
        with super().stage(name, total, unit) as advance:
            yield advance
        self.stages.append((name, time.perf_counter() - start))


def run(
    name: str, net: cb.Network, picture: object, quality: str, store: Store, page: Path
) -> float:
    """Explain and save once; prints what took how long and returns the seconds in all."""
    clock, start = Clock(), time.perf_counter()
    interface = cb.report(*net.recommended())
    x, pictures = read_pictures(net, picture)
    made = compose(interface, net, x, pictures, {}, quality_named(quality), store, clock)
    Explanation(made.scene, made.values, made.predictions).save(page)
    seconds = time.perf_counter() - start
    print(f"{name}: {seconds:.1f} s, page {page.stat().st_size / 1e6:.2f} MB")
    for stage, took in clock.stages:
        print(f"    {stage:<44}{took:7.1f} s")
    print(f"    {'everything else':<44}{seconds - sum(t for _, t in clock.stages):7.1f} s")
    return seconds


def main() -> None:
    """Three runs in one process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", default="standard", choices=("draft", "standard", "high"))
    quality = parser.parse_args().quality
    net = cb.load_network("demo")
    print(f"{torch.get_num_threads()} threads, quality {quality}")
    with tempfile.TemporaryDirectory() as folder:
        store, page = Store(Path(folder) / "icons"), Path(folder) / "page.html"
        cold = run("empty store", net, demo_photo(), quality, store, page)
        warm = run("full store", net, demo_photo(), quality, store, page)
        run("another photograph", net, data.astronaut(), quality, store, page)
    print(f"asked at standard quality: <= 420 s empty, <= 20 s full; {cold:.0f} s and {warm:.0f} s")


if __name__ == "__main__":
    main()
