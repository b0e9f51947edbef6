"""Where the time of a page goes: ``python -m tests.benchmarks.explain [--quality standard]``.

The full report of the demo network on the shipped photograph: with an empty icon store, with a full
one, and on a second photograph with the same store. Prints seconds a stage, and the page's size.
How long it takes until a page has its numbers is told by ``python -m tests.benchmarks.waiting``.
Then the most memory that the demo and the full report take, each in a process of its own, beside
what it takes to hold the network, one batch of icons and the page.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from skimage import data

import captum_blocks as cb
from captum_blocks.compose import Progress, compose, quality_named
from captum_blocks.compose.evaluation.photographs import read_pictures
from captum_blocks.compose.evaluation.question import asked
from captum_blocks.compose.pictures.icons import BATCH
from captum_blocks.compose.pictures.progress import Advance
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.explanation import Explanation
from captum_blocks.optim import Channel, FeatureVisualizer
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
    renderer = PictureRenderer(net, quality_named(quality), store, clock, tuple(x.shape[1:]))
    *_, made = compose(interface, asked(net, x), pictures, renderer)
    Explanation(made.scene, made.values, made.predictions).save(page)
    seconds = time.perf_counter() - start
    print(f"{name}: {seconds:.1f} s, page {page.stat().st_size / 1e6:.2f} MB")
    for stage, took in clock.stages:
        print(f"    {stage:<44}{took:7.1f} s")
    print(f"    {'everything else':<44}{seconds - sum(t for _, t in clock.stages):7.1f} s")
    return seconds


MOST = 1.3  # times what has to be held


def peak() -> float:
    """The most memory this process has taken so far, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def held(what: str, quality: str) -> None:
    """Explain once; print peak memory, and what has to be held: network, batch and page."""
    net = cb.load_network("demo")
    layer = net.recommended()[0]
    maker = FeatureVisualizer(net.module, layer, net.preprocess.normalise)
    side = quality_named(quality).size
    maker.visualize([Channel(0)] * BATCH, size=side, n_steps=1)
    needed = peak()
    interface = (cb.report if what == "report" else cb.overview)(*net.recommended())
    page = cb.explain(
        interface, net, demo_photo(), quality=quality, progress=False, store=Store()
    ).html()
    needed += len(page)
    print(
        f"{what}: at most {peak() / 1e9:.2f} GB, {peak() / needed:.2f} times what network, batch "
        f"and page take ({needed / 1e9:.2f} GB); asked: <= {MOST}"
    )


def main() -> None:
    """Three runs in one process, then memory in two others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", default="standard", choices=("draft", "standard", "high"))
    parser.add_argument("--held", choices=("demo", "report"), help="only this one's memory")
    chosen = parser.parse_args()
    quality = chosen.quality
    if chosen.held:
        held(chosen.held, quality)
        return
    net = cb.load_network("demo")
    print(f"{torch.get_num_threads()} threads, quality {quality}")
    with tempfile.TemporaryDirectory() as folder:
        store, page = Store(Path(folder) / "icons"), Path(folder) / "page.html"
        cold = run("empty store", net, demo_photo(), quality, store, page)
        warm = run("full store", net, demo_photo(), quality, store, page)
        run("another photograph", net, data.astronaut(), quality, store, page)
        command = [sys.executable, "-m", "tests.benchmarks.explain", "--quality", quality]
        environment = {**os.environ, "CAPTUM_BLOCKS_CACHE_DIR": str(Path(folder) / "icons")}
        for what in ("demo", "report"):
            subprocess.run([*command, "--held", what], check=True, env=environment)
    print(f"asked at standard quality: <= 420 s empty, <= 20 s full; {cold:.0f} s and {warm:.0f} s")


if __name__ == "__main__":
    main()
